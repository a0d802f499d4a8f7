#!/usr/bin/env python3
"""make bench: migd beside nginx, one core for the server and one for the load, the systems in turn
within one run (goals.md section 2). Ratios are medians of the pairs of each round, with the smallest
and the largest; absolute figures mean something only beside the anchor of the same run.

    tests/bench/bench.py --build build/release [--pairs 5] [--seconds 5] [--only throughput,life,counts]
"""
import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import counts
import life
import servers
import wrk
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


def say(text=""):
    print(text, flush=True)


def machine():
    def line(argv):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            done = subprocess.run(argv, capture_output=True, text=True)
            return (done.stdout + done.stderr).strip().splitlines()[0]
        return ""
    cpu = ""
    with open("/proc/cpuinfo") as f:
        for row in f:
            if row.startswith("model name"):
                cpu = row.split(":", 1)[1].strip()
                break
    nginx = "/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else "nginx"
    return {"kernel": platform.release(), "cpu": cpu, "cores": os.cpu_count(),
            "nginx": line([nginx, "-v"]), "wrk": line(["wrk", "-v"]).split(" Copyright")[0],
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


# --- throughput -------------------------------------------------------------------------------------

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


def median(rows, figure):
    return statistics.median(r[figure] for r in rows)


def table(results):
    say()
    say(f"{'':16}{'conns':>6}{'req/s':>9}{'p50 us':>9}{'p99 us':>9}{'CPU':>6}{'us/req':>8}"
        f"{'RSS MB':>8}{'load CPU':>10}{'foreign':>9}{'/static':>9}")
    out = []
    for (name, c), rows in results.items():
        m = {k: median(rows, k) for k in rows[0]}
        static = median(results[("nginx static", c)], "rps")
        say(f"{name:16}{c:6}{m['rps']:9.0f}{m['p50_us']:9.0f}{m['p99_us']:9.0f}{m['cpu']:6.0%}"
            f"{m['cpu_us']:8.2f}{m['rss_kb'] / 1024:8.1f}{m['load_cpu']:10.0%}{m['foreign']:9.0%}"
            f"{m['rps'] / static:9.2f}")
        out.append({"name": name, "connections": c, **m, "rounds": rows})
    return out


def verdict(is_kept):
    return "" if is_kept is None else "ok" if is_kept else "MISSED"


def ratios(results):
    say()
    out = []
    for goal, figure, run, anchor, limit, is_minimum in RATIOS:
        pairs = [a[figure] / b[figure] for a, b in zip(results[run], results[anchor])]
        m = statistics.median(pairs)
        kept = None if limit is None else (m >= limit if is_minimum else m <= limit)
        wish = "" if limit is None else f"{'at least' if is_minimum else 'at most'} {limit:.2f}"
        say(f"{goal:8} {figure:7} {run[0]:15} / {anchor[0]:15} c={run[1]:<3} {m:5.2f} "
            f"({min(pairs):.2f} to {max(pairs):.2f})  {wish:14} {verdict(kept)}")
        out.append({"goal": goal, "figure": figure, "of": run, "to": anchor, "median": m,
                    "min": min(pairs), "max": max(pairs), "limit": limit, "kept": kept})
    return out


def throughput(build, pairs, seconds):
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
    return {"table": table(results), "ratios": ratios(results)}


# --- the rest ---------------------------------------------------------------------------------------

def goal(out, name, text, is_kept, **figures):
    say(f"{name:8} {text:72} {verdict(is_kept)}")
    out.append({"goal": name, "kept": is_kept, **figures})


def measure_life(build, quick):
    out = []
    say()
    cold = life.cold_start(build, 10, 5 if quick else 20)
    goal(out, "P9", f"first good answer, 10 providers: median {cold['median_ms']:.2f} ms, best "
         f"{cold['best_ms']:.2f}, worst {cold['worst_ms']:.2f} (5)", cold["median_ms"] <= 5, **cold)
    with tempfile.TemporaryDirectory() as folder:
        server = servers.start_migd(build, folder)
        r = life.reload_under_load(server, folder)
        server.stop()
    goal(out, "P10", f"{r['reloads']} reloads: {r['failed_calls']} failed calls, "
         f"{r['closed_connections']} closed connections, {r['refused']} refused",
         not (r["failed_calls"] or r["closed_connections"] or r["refused"] or r["socket_errors"]),
         **r)
    goal(out, "P10", f"p99 {r['p99_us']:.0f} us to {r['p99_steady_us']:.0f} us steady: "
         f"{r['p99_ratio']:.2f} (1.5)", r["p99_ratio"] <= 1.5)
    goal(out, "P10", f"RSS drift {r['rss_drift_kb']} kB (2048)", r["rss_drift_kb"] <= 2048)
    with tempfile.TemporaryDirectory() as folder:
        server = servers.start_migd(build, folder)
        m = life.memory(server, 200_000 if quick else 1_000_000)
        idle = life.idle_connections(server)
        server.stop()
    goal(out, "P17", f"base RSS {m['base_kb']} kB (8192)", m["base_kb"] <= 8192, **m)
    goal(out, "P17", f"RSS after {m['early_calls']} calls {m['early_kb']} kB, after {m['calls']} "
         f"{m['end_kb']} kB (+1024)", m["growth_kb"] <= 1024)
    goal(out, "idle", f"{idle['bytes_each']:.0f} bytes for each idle keep-alive connection (4096)",
         idle["bytes_each"] <= 4096, **idle)
    size = life.stripped_bytes(build)
    goal(out, "P18", f"migd stripped {size} bytes (6291456)", size <= 6 << 20, bytes=size)
    return out


def measure_counts(build):
    out = []
    say()
    result = counts.measure(build)
    for name, value, gate, is_kept in counts.verdicts(result):
        goal(out, "count", f"{name} per call: {value:.3f} ({gate})", is_kept, **{name: value})
    say(f"{'':8} epoll_wait per call at one connection: {result['epoll_waits']:.3f}; "
        f"{result['by_name']}")
    return {"goals": out, **result}


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build/release")
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--seconds", type=int, default=5)
    p.add_argument("--only", default="throughput,life,counts")
    p.add_argument("--quick", action="store_true", help="fewer repeats, for trying the script")
    p.add_argument("--out")
    a = p.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: two cores are needed, one for the server and one for the load")
    build, parts = os.path.abspath(a.build), a.only.split(",")
    result = {"machine": machine()}
    say(" | ".join(f"{k} {v}" for k, v in result["machine"].items()))
    if "throughput" in parts:
        result["throughput"] = throughput(build, a.pairs, a.seconds)
    if "life" in parts:
        result["life"] = measure_life(build, a.quick)
    if "counts" in parts:
        result["counts"] = measure_counts(build)
    if a.out:
        with open(a.out, "w") as f:
            json.dump(result, f, indent=1)
        say(f"\nwritten: {a.out}")


if __name__ == "__main__":
    main()
