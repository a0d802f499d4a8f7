#!/usr/bin/env python3
"""make bench: migd beside nginx, one core for the server and one for the load, the systems in turn
within one run (goals.md section 2). Ratios are medians of the pairs of each round, with the smallest
and the largest; absolute figures mean something only beside the anchor of the same run.

    tests/bench/bench.py --build build/release [--pairs 5] [--seconds 5] [--only fan,idle]

Sections: SECTIONS
"""
import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time

import carriers
import counts
import durable
import fan
import frames
import hostile
import identity
import idle
import life
import policy
import report
import throughput
from report import goal, say


def measure_counts(build, _):
    out = []
    result = counts.measure(build)
    for name, value, gate, is_kept in counts.verdicts(result):
        goal(out, "count", f"{name} per call: {value:.3f}", f"at most {gate}", is_kept,
             **{name: value})
    say(f"{'':8} epoll_wait per call at one connection: {result['epoll_waits']:.3f}; "
        f"{result['by_name']}")
    return {"goals": out, **result}


SECTIONS = {
    "throughput": throughput.measure,
    "life": life.measure,
    "counts": measure_counts,
    "fan": fan.measure,
    "frames": frames.measure,
    "idle": idle.measure,
    "identity": identity.measure,
    "policy": policy.measure,
    "hostile": hostile.measure,
    "carriers": carriers.measure,
    "durable": durable.measure,
}


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
            "h2load": line(["h2load", "--version"]),
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def options():
    p = argparse.ArgumentParser(description=__doc__.replace("SECTIONS", ", ".join(SECTIONS)),
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build/release")
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--seconds", type=int, default=5, help="of a run; most sections take fewer")
    p.add_argument("--only", default=",".join(SECTIONS))
    p.add_argument("--quick", action="store_true", help="fewer repeats, for trying the script")
    p.add_argument("--out")
    a = p.parse_args()
    a.parts = a.only.split(",")
    unknown = [part for part in a.parts if part not in SECTIONS]
    if unknown:
        p.error(f"no section {unknown[0]}; there are {', '.join(SECTIONS)}")
    return a


def main():
    a = options()
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: two cores are needed, one for the server and one for the load")
    result = {"machine": machine()}
    say(" | ".join(f"{k} {v}" for k, v in result["machine"].items()))
    for part in a.parts:
        began = time.monotonic()
        say()
        result[part] = SECTIONS[part](os.path.abspath(a.build), a)
        result[part]["took_s"] = round(time.monotonic() - began, 1)
    result["goals"] = report.summary()
    if a.out:
        with open(a.out, "w") as f:
            json.dump(result, f, indent=1)
        say(f"\nwritten: {a.out}")


if __name__ == "__main__":
    main()
