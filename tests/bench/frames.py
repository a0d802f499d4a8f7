"""P5: invocations over WebSocket (goals.md W6; ws.c). What counts is round trips, as in the anchor: one
request frame and the frame that answers it are one."""
import tempfile

import clients
import servers
from report import goal, interleave, say, spread, thousands

CONNECTIONS, DEPTH, RATE = 32, 8, 90_000  # 2.5 x the 35,500 of upstream's migd


def measure(build, opts):
    out, seconds = [], min(opts.seconds, 3)
    say(f"WebSocket: {CONNECTIONS} connections, {opts.pairs} rounds of {seconds} s")
    with tempfile.TemporaryDirectory() as folder:
        server = servers.start_migd(build, folder)
        results = interleave({d: lambda d=d: clients.ws(server, CONNECTIONS, d, seconds)
                              for d in (1, DEPTH)}, opts.pairs)
        server.stop()
    for depth, rows in results.items():
        rate = spread(rows, "per_s")
        goal(out, "P5", f"{depth} on the way: {thousands(rate)} round trips/s, "
             f"p50 {spread(rows, 'p50_us')['median']:.0f} us, "
             f"p99 {spread(rows, 'p99_us')['median']:.0f} us, "
             f"{spread(rows, 'cpu_us')['median']:.1f} us of CPU",
             "at least 90 k" if depth == 1 else "", rate["median"] >= RATE if depth == 1 else None,
             **rate)
    return {"goals": out, "rounds": {str(k): v for k, v in results.items()}}
