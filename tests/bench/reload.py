#!/usr/bin/env python3
"""Reloads under load for a while, of any build: what .ci/tsan runs. Exit 1 when a call failed, a
connection was closed, a reload was refused or the daemon did not end well.

    tests/bench/reload.py --build build/tsan [--seconds 10] [--reloads 40]
"""
import argparse
import json
import os
import sys
import tempfile

import life
import servers


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", default="build/release")
    p.add_argument("--seconds", type=int, default=10)
    p.add_argument("--reloads", type=int, default=40)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = servers.start_migd(os.path.abspath(a.build), folder, core=None,
                                    settings=["loops=2"], timeout=60)
        r = life.reload_under_load(server, folder, reloads=a.reloads, seconds=a.seconds)
        code = server.stop()
        with open(os.path.join(folder, "migd.log"), errors="replace") as f:
            text = f.read()
    print(text)
    bad = code or r["failed_calls"] or r["closed_connections"] or r["refused"]
    print(json.dumps({"exit": code, **r}))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
