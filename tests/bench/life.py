"""What is not throughput: cold start, reload under load, memory, size (goals.md W10, W11, W9, W15)."""
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

import servers
import wrk
from report import goal
from servers import LOOP, Connection, Raw

SPIN_S = 0.00005


def _sites(folder, count, build):
    """A manifest of `count` providers, half modules and half scripts, each serving a capability."""
    plugins = os.path.join(folder, "plugins")
    os.makedirs(plugins, exist_ok=True)
    text = "version: 0.2\nplugin_dirs: [plugins]\nautoload: false\nproviders:\n"
    scripts = {}
    for i in range(count):
        if i % 2:
            name = f"script{i}.lua"
            scripts[name] = servers.SCRIPT.replace("bench.echo.lua", f"bench.echo.lua{i}")
            text += f"  script{i}:\n    lua: {name}\n"
        else:
            name = f"echo{i}.so"
            shutil.copy(os.path.join(build, "plugins", "echo.so"), os.path.join(plugins, name))
            with open(os.path.join(plugins, name), "ab") as f:
                f.write(b"\0" * (i + 1))  # five modules, not one loaded five times
            text += (f"  module{i}:\n    module: {name}\n    config:\n      capabilities:\n"
                     f"        - descriptor: {{id: bench.echo.so{i}, version: 1.0.0, "
                     "modes: [unary], input_schema_uri: schema://b/i, "
                     "output_schema_uri: schema://b/o}\n")
    return servers.make_site(folder, text, scripts)


def _start_once(argv, port, request, env):
    """Milliseconds from exec to the first byte of a good answer."""
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    os.sched_setaffinity(0, {int(servers.SERVER_CORE)})  # the child inherits it; no taskset between
    began = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, env, file_actions=null)
    os.sched_setaffinity(0, {int(servers.LOAD_CORE)})
    try:
        while time.perf_counter() - began < 10:
            s = socket.socket()
            try:
                s.connect(("127.0.0.1", port))
                s.sendall(request)
                if s.recv(65536).startswith(b"HTTP/1.1 200"):
                    return (time.perf_counter() - began) * 1e3
                raise SystemExit("bench: the first answer is not 200")
            except ConnectionRefusedError:
                time.sleep(SPIN_S)
            finally:
                s.close()
        raise SystemExit("bench: no answer within 10 s of the start")
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def cold_start(build, providers, runs):
    with tempfile.TemporaryDirectory() as folder:
        manifest = _sites(folder, providers, build)
        port = servers.free_port()
        body = servers.BODY
        request = (f"POST {LOOP} HTTP/1.1\r\nHost: b\r\nX-Tenant-ID: acme\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
        argv = servers.migd_argv(build, folder, port, manifest)
        env = servers.migd_env()
        mine = os.sched_getaffinity(0)
        try:
            times = [_start_once(argv, port, request, env) for _ in range(runs + 1)][1:]
        finally:
            os.sched_setaffinity(0, mine)
    return {"providers": providers, "runs": runs, "median_ms": statistics.median(times),
            "best_ms": min(times), "worst_ms": max(times)}


class _Load:
    """wrk in the background."""

    def __init__(self, server, connections, seconds):
        self.process = subprocess.Popen(
            wrk.command(server.url(LOOP), connections, seconds), env=wrk.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self):
        out, err = self.process.communicate()
        return wrk.parse(out + err)


def _accepted(admin):
    return sum(l["accepted"] for l in admin.get("/admin/v0.1/loops")["loops"])


# What changes before reload i: nothing, a script, the manifest.
def _change(folder, i):
    if i % 3 == 1:
        servers.make_site(folder, scripts={"echo.lua": f"-- {i}\n" + servers.SCRIPT})
    elif i % 3 == 2:
        servers.make_site(folder, servers.MANIFEST.replace("bench/in", f"bench/in{i}"))


def _reloads(folder, admin, count, pause, first=0):
    failed = 0
    for i in range(first, first + count):
        _change(folder, i)
        status, _ = admin.post("/admin/v0.1/reload", "")
        failed += status != 200
        time.sleep(pause)
    return failed


def reload_under_load(server, folder, connections=32, reloads=100, seconds=8):
    """Reloads while wrk saturates the loop, against the same load without them."""
    admin = Connection(server.port)
    wrk.once(server, LOOP, connections, 2)
    _reloads(folder, admin, 20, 0.02)  # the first ones fill caches and the list of old modules
    accepted_steady = _accepted(admin)
    steady = _Load(server, connections, seconds).result()
    rss_0 = servers.rss_kb(server.pid)
    accepted_0 = _accepted(admin)
    load = _Load(server, connections, seconds)
    time.sleep(0.5)
    pause = max(0.005, (seconds - 2) / reloads - 0.02)
    refused = _reloads(folder, admin, reloads, pause, first=100)
    under = load.result()
    time.sleep(1.0)
    accepted_1 = _accepted(admin)
    generations = len(admin.get("/admin/v0.1/generations")["generations"])
    admin.close()
    return {
        "connections": connections, "reloads": reloads, "refused": refused,
        "failed_calls": under["non2xx"], "socket_errors": under["socket_errors"],
        # each connection that was closed is one more that wrk opened than in the steady run
        "closed_connections": (accepted_1 - accepted_0) - (accepted_0 - accepted_steady),
        "p99_steady_us": steady["p99_us"], "p99_us": under["p99_us"],
        "p99_ratio": under["p99_us"] / steady["p99_us"],
        "rps_ratio": under["rps"] / steady["rps"],
        "rss_drift_kb": servers.rss_kb(server.pid) - rss_0, "generations_left": generations,
    }


def idle_connections(server, count=1000):
    """Bytes of RSS for each keep-alive connection that has made a call and waits."""
    warm = [Raw(server.port) for _ in range(count // 10)]
    for c in warm:
        c.run(1)
    for c in warm:
        c.close()
    time.sleep(0.5)
    rss_0 = servers.rss_kb(server.pid)
    held = []
    for _ in range(count):
        c = Raw(server.port)
        c.run(1)
        held.append(c)
    time.sleep(1.0)
    rss_1 = servers.rss_kb(server.pid)
    for c in held:
        c.close()
    return {"connections": count, "bytes_each": (rss_1 - rss_0) * 1024 / count}


def memory(server, calls=1_000_000):
    """RSS after the first tenth and after all calls, 64 connections."""
    base = servers.rss_kb(server.pid)
    peak, stop = [base], threading.Event()

    def watch():
        while not stop.wait(0.1):
            peak[0] = max(peak[0], servers.rss_kb(server.pid))

    thread = threading.Thread(target=watch)
    thread.start()
    done, early = 0, None
    while done < calls:
        done += wrk.once(server, LOOP, 64, 3)["requests"]
        if early is None:
            early, early_at = servers.rss_kb(server.pid), done
    stop.set()
    thread.join()
    end = servers.rss_kb(server.pid)
    return {"base_kb": base, "calls": done, "early_calls": early_at, "early_kb": early,
            "end_kb": end, "peak_kb": peak[0], "growth_kb": end - early}


def stripped_bytes(build):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "migd")
        subprocess.run(["strip", "-o", out, os.path.join(build, "migd")], check=True)
        return os.path.getsize(out)


def measure(build, opts):
    out = []
    cold = cold_start(build, 10, 5 if opts.quick else 20)
    goal(out, "P9", f"first good answer, 10 providers: median {cold['median_ms']:.2f} ms, best "
         f"{cold['best_ms']:.2f}, worst {cold['worst_ms']:.2f}", "at most 5 ms",
         cold["median_ms"] <= 5, **cold)
    with tempfile.TemporaryDirectory() as folder:
        server = servers.start_migd(build, folder)
        r = reload_under_load(server, folder)
        server.stop()
    goal(out, "P10", f"{r['reloads']} reloads: {r['failed_calls']} failed calls, "
         f"{r['closed_connections']} closed connections, {r['refused']} refused", "none",
         not (r["failed_calls"] or r["closed_connections"] or r["refused"] or r["socket_errors"]),
         **r)
    goal(out, "P10", f"p99 {r['p99_us']:.0f} us to {r['p99_steady_us']:.0f} us steady: "
         f"{r['p99_ratio']:.2f}", "at most 1.50", r["p99_ratio"] <= 1.5)
    goal(out, "P10", f"RSS drift {r['rss_drift_kb']} kB", "at most 2048", r["rss_drift_kb"] <= 2048)
    with tempfile.TemporaryDirectory() as folder:
        server = servers.start_migd(build, folder)
        m = memory(server, 200_000 if opts.quick else 1_000_000)
        idle = idle_connections(server)
        server.stop()
    goal(out, "P17", f"base RSS {m['base_kb']} kB", "at most 8192", m["base_kb"] <= 8192, **m)
    goal(out, "P17", f"RSS after {m['early_calls']} calls {m['early_kb']} kB, after {m['calls']} "
         f"{m['end_kb']} kB", "at most +1024", m["growth_kb"] <= 1024)
    goal(out, "idle", f"{idle['bytes_each']:.0f} bytes for each idle keep-alive connection",
         "at most 4096", idle["bytes_each"] <= 4096, **idle)
    size = stripped_bytes(build)
    goal(out, "P18", f"migd stripped {size} bytes", "at most 6291456", size <= 6 << 20, bytes=size)
    return {"goals": out}
