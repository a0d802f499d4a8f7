"""Events that are on disk when they are acknowledged: 64 publishers, one event per request."""
import contextlib
import os
import tempfile
import time

import servers
import wrk
from report import goal, interleave, ratio, say, spread, thousands, times

PUBLISHERS, PER_S, SYNC_S = 64, 5000, 0.5
PATH = "/mig/v0.1/publish/bench.durable"
DATA = os.path.join(servers.ROOT, "build")  # a disk, where the folder for temporary files may be none
KINDS = {"memory": None, "interval": "interval", "always": "always"}


def _syncs_per_s(folder):
    """How often this disk takes 4 kB for good, one after the other: the anchor."""
    fd = os.open(os.path.join(folder, "sync"), os.O_WRONLY | os.O_CREAT)
    began, n = time.perf_counter(), 0
    while time.perf_counter() - began < SYNC_S:
        os.pwrite(fd, bytes(4096), 4096 * (n % 100))
        os.fdatasync(fd)
        n += 1
    os.close(fd)
    return n / SYNC_S


def _start(stack, build, fsync):
    folder = stack.enter_context(tempfile.TemporaryDirectory(dir=DATA, prefix="bench-data."))
    settings = () if fsync is None else (f"mig.data_dir={folder}/data", f"mig.event_fsync={fsync}")
    server = servers.start_migd(build, folder, settings=settings)
    stack.callback(server.stop)
    wrk.run(server, PATH, PUBLISHERS, 1, tries=1)
    return server


def measure(build, opts):
    out, seconds = [], min(opts.seconds, 3)
    with contextlib.ExitStack() as stack:
        up = {name: _start(stack, build, fsync) for name, fsync in KINDS.items()}
        disk = _syncs_per_s(stack.enter_context(tempfile.TemporaryDirectory(dir=DATA)))
        say(f"durable: {PUBLISHERS} publishers, {opts.pairs} rounds; the disk does {disk:.0f} writes "
            "with fdatasync per second, one after the other")
        results = interleave({name: lambda s=server: wrk.run(s, PATH, PUBLISHERS, seconds)
                              for name, server in up.items()}, opts.pairs)
    for name in ("interval", "always"):
        rate = spread(results[name], "rps")
        p99 = spread(results[name], "p99_us")
        goal(out, "durable", f"fsync {name}: {thousands(rate)} acknowledged/s, p99 "
             f"{p99['median'] / 1e3:.1f} ms, {times(ratio(results[name], results['memory'], 'rps'))} "
             "of the rate in memory", "at least 5 k", rate["median"] >= PER_S, **rate)
    return {"goals": out, "disk_syncs_per_s": disk, "rounds": results}
