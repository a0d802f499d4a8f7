"""P20: healthy clients beside each hostile load of attacks.py (goals.md W16). Healthy clients ask at a
fixed rate, a fraction of what the daemon can; their delays count from the moment a request was due."""
import os
import subprocess
import sys
import tempfile
import time

import clients
import servers
from attacks import ATTACKS, BUSY
from report import goal, interleave, ratio, say, spread, times
from servers import HERE, LOAD_CORE, LOOP, pinned

CONNECTIONS, PER_S, LIMIT = 32, 5000, 2.0
SECONDS = 5  # of each run; its figures are those of the second with the median p99
SETTINGS = ("http.max_connections=20000",)
SCRIPT = f"""local mig = require "mig"
local busy = mig.capability {{ id = "{BUSY}", version = "1.0.0", summary = "Never ends." }}
function busy.invoke(call)
  while true do end
end
"""


def _urgent():
    """A command that runs the healthy client before the attacker on their core, if we may."""
    argv = ["chrt", "--rr", "10"]
    may = subprocess.run([*argv, "true"], capture_output=True).returncode == 0
    return argv if may else []


class _Attack:
    def __init__(self, name, port):
        self.process = subprocess.Popen(
            pinned(LOAD_CORE, [sys.executable, os.path.join(HERE, "attacks.py"), name, str(port)]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise SystemExit(f"bench: the attack {name} did not begin")

    def stop(self):
        if self.process.poll() is not None:
            raise SystemExit("bench: an attack ended by itself")
        self.process.stdin.close()
        self.process.wait()


def _steady(server, seconds, before):
    """The machine itself stops for milliseconds now and then: such a second is not the typical one."""
    rows = [clients.run("steady", server.port, LOOP, CONNECTIONS, PER_S, 1, before=before)
            for _ in range(seconds)]
    r = sorted(rows, key=lambda row: row["p99_us"])[seconds // 2]
    return dict(r, missing=sum(row["missing"] for row in rows),
                failures=sum(row["failures"] for row in rows), rss_kb=servers.rss_kb(server.pid))


def _one(build, name, rounds, before):
    with tempfile.TemporaryDirectory() as folder:
        server = servers.start_migd(build, folder, settings=SETTINGS,
                                    scripts={"echo.lua": servers.SCRIPT, "busy.lua": SCRIPT})
        _steady(server, 1, before)

        def beside():
            attack = _Attack(name, server.port)
            time.sleep(0.2)
            ticks, began = servers.ticks(server.pid), time.monotonic()
            r = _steady(server, SECONDS, before)
            r["cpu"] = ((servers.ticks(server.pid) - ticks) / os.sysconf("SC_CLK_TCK")
                        / (time.monotonic() - began))
            attack.stop()
            time.sleep(0.5)  # what it has left behind is cleared away
            return r

        results = interleave({"alone": lambda: _steady(server, SECONDS, before), "beside": beside},
                             rounds)
        alive = server.process.poll() is None
        server.stop()
    return results, alive


def measure(build, opts):
    out, kept = [], {}
    rounds, before = max(1, (opts.pairs + 1) // 2), _urgent()
    clients.raise_files()
    say(f"hostile loads: {CONNECTIONS} healthy connections at {PER_S} calls/s together, {rounds} "
        "rounds" + ("" if before else "; the attacker disturbs the healthy client, too: no chrt"))
    for name in ATTACKS:
        results, alive = _one(build, name, rounds, before)
        kept[name] = results
        lost = sum(r["missing"] + r["failures"] for r in results["beside"])
        r = ratio(results["beside"], results["alone"], "p99_us")
        goal(out, "P20", f"{name.replace('_', ' ')}: p99 {spread(results['alone'], 'p99_us')['median']:.0f}"
             f" us alone, {spread(results['beside'], 'p99_us')['median']:.0f} beside: {times(r)}; {lost} "
             f"calls lost, CPU {spread(results['beside'], 'cpu')['median']:.0%}, "
             f"RSS {max(r['rss_kb'] for r in results['beside']) >> 10} MB", "at most 2.00",
             alive and not lost and r["median"] <= LIMIT, attack=name, lost=lost, **r)
    return {"goals": out, "rounds": kept}
