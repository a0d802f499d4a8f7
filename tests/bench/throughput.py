"""Calls per second and their delays beside nginx, the systems in turn within one run (P1, P2, P15)."""
import contextlib
import tempfile

import servers
import wrk
from report import goal, ratio, say, spread, times
from servers import DISCOVER, LOOP, LUA, POOL

STATIC = "/static"

# name, server, path, connections
RUNS = [
    ("nginx static", "nginx", STATIC, 64),
    ("nginx-lua", "nginx", LOOP, 64),
    ("migd LOOP echo", "migd", LOOP, 64),
    ("migd POOL echo", "migd", POOL, 64),
    ("migd Lua echo", "migd", LUA, 64),
    ("migd discover", "migd", DISCOVER, 64),
    ("nginx static", "nginx", STATIC, 32),
    ("nginx-lua", "nginx", LOOP, 32),
    ("migd LOOP echo", "migd", LOOP, 32),
    ("nginx static", "nginx", STATIC, 1),
    ("migd LOOP echo", "migd", LOOP, 1),
]

# goal, figure, run, anchor, limit, is the limit a minimum
RATIOS = [
    ("P1", "rps", ("migd LOOP echo", 32), ("nginx static", 32), 0.65, True),
    ("P1", "rps", ("migd LOOP echo", 32), ("nginx-lua", 32), 1.0, True),
    ("P1 (64)", "rps", ("migd LOOP echo", 64), ("nginx static", 64), 0.65, True),
    ("P1 (64)", "rps", ("migd LOOP echo", 64), ("nginx-lua", 64), 1.0, True),
    ("P2", "p50_us", ("migd LOOP echo", 1), ("nginx static", 1), 1.4, False),
    ("P15", "rps", ("migd Lua echo", 64), ("migd LOOP echo", 64), 0.75, True),
    ("P15", "rps", ("migd Lua echo", 64), ("nginx-lua", 64), 0.8, True),
    ("P15", "rps", ("migd POOL echo", 64), ("migd LOOP echo", 64), 0.5, True),
    ("-", "rps", ("migd POOL echo", 64), ("nginx static", 64), None, True),
    ("-", "rps", ("migd Lua echo", 64), ("nginx static", 64), None, True),
    ("-", "rps", ("migd discover", 64), ("nginx static", 64), None, True),
    ("- CPU", "cpu_us", ("migd LOOP echo", 32), ("nginx static", 32), None, False),
    ("- CPU", "cpu_us", ("migd LOOP echo", 32), ("nginx-lua", 32), None, False),
]


def rounds(up, pairs, seconds):
    """results[(name, connections)]: one entry per round. Every other round goes backwards."""
    results = {(name, c): [] for name, _, _, c in RUNS}
    for name, server, path, c in RUNS:
        if c == 64:
            wrk.once(up[server], path, c, 2)
    for i in range(pairs):
        order = RUNS if i % 2 == 0 else RUNS[::-1]
        for name, server, path, c in order:
            results[(name, c)].append(wrk.run(up[server], path, c, seconds))
        say(f"  round {i + 1} of {pairs} done")
    return results


def table(results):
    say()
    say(f"{'':16}{'conns':>6}{'req/s':>9}{'p50 us':>9}{'p99 us':>9}{'CPU':>6}{'us/req':>8}"
        f"{'RSS MB':>8}{'load CPU':>10}{'foreign':>9}{'/static':>9}")
    out = []
    for (name, c), rows in results.items():
        m = {k: spread(rows, k)["median"] for k in rows[0]}
        static = spread(results[("nginx static", c)], "rps")["median"]
        say(f"{name:16}{c:6}{m['rps']:9.0f}{m['p50_us']:9.0f}{m['p99_us']:9.0f}{m['cpu']:6.0%}"
            f"{m['cpu_us']:8.2f}{m['rss_kb'] / 1024:8.1f}{m['load_cpu']:10.0%}{m['foreign']:9.0%}"
            f"{m['rps'] / static:9.2f}")
        out.append({"name": name, "connections": c, **m, "rounds": rows})
    return out


def ratios(results):
    say()
    out = []
    for name, figure, run, anchor, limit, is_minimum in RATIOS:
        r = ratio(results[run], results[anchor], figure)
        m = r["median"]
        kept = None if limit is None else (m >= limit if is_minimum else m <= limit)
        wish = "" if limit is None else f"{'at least' if is_minimum else 'at most'} {limit:.2f}"
        goal(out, name, f"{figure:7} {run[0]:15} / {anchor[0]:15} c={run[1]:<3} {times(r)}", wish, kept,
             figure=figure, of=run, to=anchor, limit=limit, **r)
    return out


def measure(build, opts):
    pairs, seconds = opts.pairs, opts.seconds
    with contextlib.ExitStack() as stack:
        mine = stack.enter_context(tempfile.TemporaryDirectory())
        theirs = stack.enter_context(tempfile.TemporaryDirectory())
        up = {"migd": servers.start_migd(build, mine)}
        stack.callback(up["migd"].stop)
        c = servers.Connection(up["migd"].port)
        status, answer = c.post(LOOP)
        c.close()
        if status != 200:
            raise SystemExit(f"bench: {status} {answer.decode()}")
        up["nginx"] = servers.start_nginx(theirs, answer.decode())
        stack.callback(up["nginx"].stop)
        say(f"throughput: body {len(servers.BODY)} bytes, answer {len(answer)} bytes, "
            f"{pairs} rounds of {seconds} s")
        results = rounds(up, pairs, seconds)
    return {"table": table(results), "goals": ratios(results)}


