"""Runs wrk, or h2load, against a server and says what it cost."""
import json
import os
import re
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


def command(url, connections, seconds, script="call.lua"):
    return pinned(LOAD_CORE, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                              "-s", os.path.join(HERE, script), url])


def environment(body=BODY, tokens=""):
    """tokens: the file of them that tokens.lua reads."""
    return dict(os.environ, BODY=body, TENANT=TENANT, TOKENS=tokens)


def parse(text):
    lines = [line for line in text.splitlines() if line.startswith('{"requests"')]
    if not lines:
        raise SystemExit(f"bench: wrk said nothing to read:\n{text}")
    r = json.loads(lines[-1])
    r["rps"] = r["requests"] * 1e6 / r["us"]
    return r


def once(server, path, connections, seconds, body=BODY, tokens=None):
    argv = command(server.url(path), connections, seconds,
                   "call.lua" if tokens is None else "tokens.lua")
    return measured(server, argv, environment(body, tokens or ""), parse)


def measured(server, argv, env, read):
    """What a load generator says (read makes figures of it), and what server and machine did."""
    server_0, busy_0, self_0 = ticks(server.pid), _busy_ticks(), os.times()
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    server_1, busy_1, self_1 = ticks(server.pid), _busy_ticks(), os.times()
    r = read(done.stdout)
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


def run(server, path, connections, seconds, tries=3, body=BODY, tokens=None):
    """The quietest of up to `tries` runs. A run with an error is no performance."""
    return quietest(path, lambda: once(server, path, connections, seconds, body, tokens), tries)


def quietest(path, measure, tries=3):
    best = None
    for _ in range(tries):
        r = measure()
        if r["non2xx"] or r["socket_errors"]:
            raise SystemExit(f"bench: {path}: {r['non2xx']} answers other than 2xx, "
                             f"{r['socket_errors']} socket errors")
        if best is None or r["foreign"] < best["foreign"]:
            best = r
        if best["foreign"] <= FOREIGN_MAX:
            break
    return best


def parse_h2load(text):
    m = re.search(r"finished in .*?, ([\d.]+) req/s", text)
    n = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, "
                  r"(\d+) errored, (\d+) timeout", text)
    codes = re.search(r"status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    if not (m and n and codes):
        raise SystemExit(f"bench: h2load said nothing to read:\n{text}")
    done, _, failed, errored, timeout = map(int, n.groups())
    return {"requests": done, "rps": float(m.group(1)), "us": done / float(m.group(1)) * 1e6,
            "non2xx": sum(map(int, codes.groups())),  # an answer may be under way at the end
            "socket_errors": failed + errored + timeout}


def h2load(server, path, connections, streams, seconds, body):
    """HTTP/2, so many streams at a time on each connection. body: a file."""
    argv = pinned(LOAD_CORE, ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}",
                              "-d", body, "-H", f"X-Tenant-ID: {TENANT}",
                              "-H", "Content-Type: application/json", server.url(path)])
    return quietest(path, lambda: measured(server, argv, None, parse_h2load))
