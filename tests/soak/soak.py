#!/usr/bin/env python3
"""Reloads as fast as they go while wrk saturates the gateway, and WebSockets, HTTP/2 and event streams
stay connected. usage: soak.py SECONDS [--build DIR]

In turn a module of other content, a changed script and a changed manifest. Nothing may fail: no answer
but 2xx, no socket error, no closed connection, no growth, no generation or instance left behind, and no
subscriber that misses an event.
Last line: N passed, M failed; exit 0 when M is 0."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))

from clients import H2_CONNECTIONS, SOCKETS, Http2, Talker  # noqa: E402

CONNECTIONS = 32
WARM_UP = 20, 0.1       # reloads, and the share of the time, before the memory is looked at: at 200
                        # reloads/s the clients have hardly begun after twenty
GROWTH_KIB = 1024
RATE = 300 / 60         # reloads per second
SUBSCRIBERS = 20        # of one topic
PAUSE = 0.02            # seconds between two events
# What is kept of the past grows up to its limit, by design: small limits are reached while it warms up.
SMALL_TAILS = {"mig.event_max_per_topic": 100, "mig.audit_max": 1000}

# wrk: one connection after the other gets the next of the three calls.
WRK = """
local paths = { "observatory.models.infer", "test.counter.get", "test.script.get" }
local requests, at = {}, 0
function init(args)
  for i, p in ipairs(paths) do
    requests[i] = wrk.format("POST", "/mig/v0.1/invoke/" .. p, { ["X-Tenant-ID"] = "acme" },
                             '{"payload":{"input":"hello"}}')
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
local shown = 0
function response(status, headers, body)
  if status > 299 and shown < 5 then
    shown = shown + 1
    io.write("BAD " .. status .. " " .. body .. "\\n")
  end
end
function done(summary, latency, requests)
  io.write(string.format("WRK requests=%d status=%d connect=%d read=%d write=%d timeout=%d p50=%d p99=%d\\n",
    summary.requests, summary.errors.status, summary.errors.connect, summary.errors.read,
    summary.errors.write, summary.errors.timeout, latency:percentile(50), latency:percentile(99)))
end
"""

SCRIPT = """local mig = require "mig"
local c = mig.capability {{ id = "test.script.get", version = "1.0.0" }}
function c.invoke(call) return {{ answer = {} }} end
"""


class Soak:
    def __init__(self, daemon, module):
        self.d, self.module = daemon, module
        self.stamp_at = module.index(b"STAMP:0000000000") + 6
        self.reloads, self.refused, self.rss, self.millis = 0, [], [], []
        self.began, self.warm = time.monotonic(), None

    def change(self, n):
        kind, n = n % 3, n // 3
        if kind == 0:
            stamp = b"%010d" % n
            whole = self.module[:self.stamp_at] + stamp + self.module[self.stamp_at + 10:]
            tmp = self.d.dir / ".counter.so"
            tmp.write_bytes(whole)
            tmp.rename(self.d.plugins / "counter.so")
        elif kind == 1:
            self.d.drop(SCRIPT.format(n), "script.lua")
        else:
            self.d.write_manifest({"providers": {"configured": {"module": "extra.so",
                                                                "config": {"n": n}}}})

    def step(self):
        self.change(self.reloads)
        began = time.monotonic()
        r = self.d.http.reload()
        self.millis.append((time.monotonic() - began) * 1000)
        self.reloads += 1
        if r.status != 200:
            self.refused.append(r)
        self.rss.append(self.d.rss_kib())

    def look_whether_warm(self, seconds):
        if self.warm is None and self.reloads > WARM_UP[0] and \
                time.monotonic() - self.began > WARM_UP[1] * seconds:
            self.warm = self.reloads


class Topic:
    """Subscribers that stay, and one who publishes to them."""

    def __init__(self, d):
        from helpers.events import Flock
        self.d, self.published, self.is_over, self.faults = d, 0, threading.Event(), []
        self.client = d.client()
        self.flock = Flock(d, "soak.topic", SUBSCRIBERS)
        self.publish()
        self.threads = [threading.Thread(target=self.guard, args=(job,), daemon=True)
                        for job in (self.write, self.read)]
        [t.start() for t in self.threads]

    def guard(self, job):
        try:
            job()
        except Exception as e:
            self.faults.append(repr(e))

    def publish(self):
        from helpers.events import publish
        r = publish(self.d, "soak.topic", {"n": self.published}, client=self.client)
        assert r.status == 200, r
        self.published = r.json["sequence"]

    def write(self):
        while not self.is_over.wait(PAUSE):
            self.publish()

    def has_all(self):
        return all(len(s) >= self.published for s in self.flock.seen)

    def read(self):
        self.flock.read(lambda: self.is_over.is_set() and self.has_all(), 10**6)

    def end(self):
        """Every subscriber has every event once, in order."""
        self.is_over.set()
        self.threads[0].join()
        self.threads[1].join(20)
        whole = list(range(1, self.published + 1))
        short = [len(s) for s in self.flock.seen if s != whole]
        if self.threads[1].is_alive() or short:
            self.faults.append(f"{len(short)} subscribers have not all: {short[:5]}")
        self.flock.close()


def accepted(d):
    return sum(l["accepted"] for l in d.http.admin("loops").json["loops"])


def run(seconds, d, builder):
    from helpers.http import eventually
    module = builder("counter").read_bytes()
    d.drop(builder("counter"))
    d.drop(builder("counter", "extra", COUNTER_ID='"test.extra"'))
    d.drop(SCRIPT.format(0), "script.lua")
    d.write_manifest({"providers": {"configured": {"module": "extra.so", "config": {"n": 0}}}})
    d.start()
    topic = Topic(d)
    talkers = [Talker(d, "soak.topic") for _ in range(SOCKETS)]
    script = d.dir / "soak.lua"
    script.write_text(WRK)
    before = accepted(d)
    wrk = subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s",
                            "-s", str(script), d.url], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    http2 = Http2(d, seconds, d.dir)
    eventually(lambda: accepted(d) >= before + CONNECTIONS + H2_CONNECTIONS,
               what="wrk and h2load have connected")
    opened = accepted(d)
    soak, end = Soak(d, module), time.monotonic() + seconds - 1
    while time.monotonic() < end and wrk.poll() is None:
        soak.step()
        soak.look_whether_warm(seconds)
    closed = accepted(d) - opened
    out = wrk.communicate(timeout=30)[0]
    h2 = http2.end()
    topic.end()
    [t.end(topic.published) for t in talkers]
    found = re.search(r"WRK (.*)", out)
    load = {k: int(v) for k, v in (p.split("=") for p in found.group(1).split())} if found else {}
    try:
        eventually(lambda: len(d.http.generations()["generations"]) == 1, 10)
    except AssertionError:
        pass
    return soak, load, closed, topic, talkers, h2, out


def judge(seconds, soak, load, closed, topic, talkers, h2, d):
    """(what, is good, what was seen)"""
    warm = soak.rss[soak.warm:] if soak.warm else [0, GROWTH_KIB + 1]
    growth = max(warm) - warm[0]
    generations = len(d.http.generations()["generations"])
    instances = d.http.instances()
    names = [i["name"] for i in instances["instances"]]
    errors = {k: load.get(k, -1) for k in ("connect", "read", "write", "timeout")}
    answer = d.http.result("test.counter.get")
    number = (soak.reloads - 1) // 3
    return [
        ("every answer is 2xx", load.get("status") == 0, f"{load.get('status')} others"),
        ("no socket error", all(v == 0 for v in errors.values()), errors),
        ("no connection was closed", closed == 0, f"{closed} more accepted"),
        (f"{SUBSCRIBERS} subscribers got every event", not topic.faults,
         topic.faults or topic.published),
        (f"{SOCKETS} WebSockets got every answer and every event",
         all(not t.faults and t.calls > seconds for t in talkers),
         [t.faults or t.calls for t in talkers]),
        ("every answer over HTTP/2 is 2xx", h2[0] > 100 * seconds and not h2[1], h2),
        ("no reload was refused", not soak.refused, soak.refused[:1]),
        (f"at least {RATE:.0f} reloads/s", soak.reloads >= RATE * (seconds - 1),
         f"{soak.reloads} in {seconds} s"),
        (f"memory is flat after {soak.warm} reloads", growth <= GROWTH_KIB,
         f"{growth:+d} KiB at most, {warm[0]} to {warm[-1]}"),
        ("one generation is left", generations == 1, generations),
        ("no instance is abandoned", instances["abandoned"] == 0, instances["abandoned"]),
        ("one instance of each provider", len(set(names)) == len(names) and
         {"counter", "script", "configured"} <= set(names), names),
        ("the last module serves", int(answer["stamp"]) in (number, number - 1), answer["stamp"]),
        ("work was done", load.get("requests", 0) > 100 * seconds, load.get("requests")),
    ]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("seconds", type=int, nargs="?", default=60)
    p.add_argument("--build")
    a = p.parse_args()
    if a.build:
        os.environ["MIGD_BUILD"] = a.build
    if not shutil.which("wrk"):
        sys.exit("soak: wrk is not installed (Debian package wrk)")
    from helpers.daemon import Daemon
    from helpers.plugins import Builder
    with tempfile.TemporaryDirectory(prefix="migd-soak-") as tmp:
        d = Daemon(Path(tmp) / "migd", {"unmap": "when-clean"} | SMALL_TAILS)
        try:
            soak, load, closed, topic, talkers, h2, out = run(a.seconds, d,
                                                              Builder(Path(tmp) / "built"))
            checks = judge(a.seconds, soak, load, closed, topic, talkers, h2, d)
        finally:
            faults = d.faults()
    checks.append(("the daemon ended well", not faults, faults))
    ms = sorted(soak.millis)
    print(f"{a.seconds} s: {load.get('requests', 0)} calls, p50 {load.get('p50', 0) / 1000:.2f} ms, "
          f"p99 {load.get('p99', 0) / 1000:.2f} ms; {soak.reloads} reloads, median "
          f"{ms[len(ms) // 2]:.1f} ms, longest {ms[-1]:.1f} ms; RSS {soak.rss[0]} to {soak.rss[-1]} KiB")
    if not load or load.get("status"):
        print(out)
        print("\n".join(str(l) for l in d.lines if l.get("level") in ("error", "warn"))[:4000])
    for what, is_good, seen in checks:
        print(f"{'ok  ' if is_good else 'FAIL'} {what}: {seen}")
    failed = sum(not c[1] for c in checks)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
