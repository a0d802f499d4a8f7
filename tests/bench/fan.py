"""P6: one topic, 1,000 SSE subscribers (goals.md W8; fan.c)."""
import itertools
import tempfile

import clients
import servers
from report import goal, interleave, ratio, say, spread, thousands, times

SUBSCRIBERS, BURST = 1000, 16
RATE, P50_US, STALLED = 270_000, 4000, 0.95  # 6 x the 45,000 of upstream's migd


def measure(build, opts):
    """One event at a time for the delays, bursts for the rate, bursts with a stalled subscriber."""
    out, number, seconds = [], itertools.count(), min(opts.seconds, 2)
    say(f"fan-out: {SUBSCRIBERS} SSE subscribers of one topic, one publisher, {opts.pairs} rounds")
    clients.raise_files()
    with tempfile.TemporaryDirectory() as folder:
        server = servers.start_migd(build, folder)

        def run(burst, stalled):
            return lambda: clients.fan(server, f"bench.fan.n{next(number)}", SUBSCRIBERS, burst,
                                       seconds, stalled)

        results = interleave({"one": run(1, 0), "burst": run(BURST, 0), "stalled": run(BURST, 1)},
                             opts.pairs)
        server.stop()
    _goals(out, results)
    return {"goals": out, "rounds": results}


def _goals(out, results):
    for name, burst in (("one", 1), ("burst", BURST)):
        rate, cpu = spread(results[name], "per_s"), spread(results[name], "cpu_us")
        goal(out, "P6", f"bursts of {burst}: {thousands(rate)} deliveries/s", "at least 270 k",
             rate["median"] >= RATE, **rate)
        goal(out, "P6 CPU", f"bursts of {burst}: {times(cpu)} us of the server per delivery, "
             f"{1e3 / cpu['median']:.0f} k per second of its core", "", None, **cpu)
        p50, p99 = spread(results[name], "p50_us"), spread(results[name], "p99_us")
        goal(out, "P6", f"bursts of {burst}: the last subscriber has it after p50 "
             f"{p50['median'] / 1e3:.2f} ms, p99 {p99['median'] / 1e3:.2f} ms",
             "p50 at most 4 ms" if burst == 1 else "", p50["median"] <= P50_US if burst == 1 else None,
             p50=p50, p99=p99)
    lost = sum(r["missing"] + r["repeated"] for rows in results.values() for r in rows)
    total = sum(r["deliveries"] for rows in results.values() for r in rows)
    goal(out, "P6", f"{lost} sequences missing or twice in {total / 1e6:.1f} M deliveries", "none",
         lost == 0, missing=lost)
    r = ratio(results["stalled"], results["burst"], "per_s")
    goal(out, "M13", f"one subscriber stalled, to none: {times(r)} of the rate", "at least 0.95",
         r["median"] >= STALLED, **r)
