"""Runs wrk against a server and says what it cost."""
import json
import os
import subprocess

from servers import BODY, HERE, LOAD_CORE, TENANT, pinned, rss_kb, ticks

HZ = os.sysconf("SC_CLK_TCK")
FOREIGN_MAX = 0.10  # goals.md 2.2: more CPU than this for others, and the run is repeated


def _busy_ticks():
    """Of the two cores that are measured."""
    busy = 0
    with open("/proc/stat") as f:
        for line in f:
            name, *v = line.split()
            if name in ("cpu0", "cpu1"):
                v = [int(x) for x in v[:8]]
                busy += sum(v) - v[3] - v[4]
    return busy


def command(url, connections, seconds):
    return pinned(LOAD_CORE, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                              "-s", os.path.join(HERE, "call.lua"), url])


def environment(body=BODY):
    return dict(os.environ, BODY=body, TENANT=TENANT)


def parse(text):
    lines = [line for line in text.splitlines() if line.startswith('{"requests"')]
    if not lines:
        raise SystemExit(f"bench: wrk said nothing to read:\n{text}")
    r = json.loads(lines[-1])
    r["rps"] = r["requests"] * 1e6 / r["us"]
    return r


def once(server, path, connections, seconds, body=BODY):
    server_0, busy_0, self_0 = ticks(server.pid), _busy_ticks(), os.times()
    done = subprocess.run(command(server.url(path), connections, seconds), env=environment(body),
                          capture_output=True, text=True, check=True)
    server_1, busy_1, self_1 = ticks(server.pid), _busy_ticks(), os.times()
    r = parse(done.stdout)
    load = (self_1.children_user + self_1.children_system
            - self_0.children_user - self_0.children_system)
    took = r["us"] / 1e6
    cpu = (server_1 - server_0) / HZ
    r["cpu"] = cpu / took
    r["load_cpu"] = load / took
    r["cpu_us"] = cpu * 1e6 / max(1, r["requests"])
    r["foreign"] = max(0.0, ((busy_1 - busy_0) / HZ - cpu - load) / (2 * took))
    r["rss_kb"] = rss_kb(server.pid)
    return r


def run(server, path, connections, seconds, tries=3, body=BODY):
    """The quietest of up to `tries` runs. A run with an error is no performance."""
    best = None
    for _ in range(tries):
        r = once(server, path, connections, seconds, body)
        if r["non2xx"] or r["socket_errors"]:
            raise SystemExit(f"bench: {path}: {r['non2xx']} answers other than 2xx, "
                             f"{r['socket_errors']} socket errors")
        if best is None or r["foreign"] < best["foreign"]:
            best = r
        if best["foreign"] <= FOREIGN_MAX:
            break
    return best
