"""The load generators in C beside this file: built once into build/bench, run on the load's core."""
import json
import os
import resource
import subprocess

from servers import BODY, HERE, LOAD_CORE, ROOT, TENANT, pinned

OUT = os.path.join(ROOT, "build", "bench")
LIBRARIES = {"tokens": ["-lcrypto"]}


def program(name):
    """The path of the program NAME.c, built when it or what it shares is newer."""
    sources = [os.path.join(HERE, f) for f in (name + ".c", "load.c", "load.h")]
    path = os.path.join(OUT, name)
    if not os.path.exists(path) or os.path.getmtime(path) < max(map(os.path.getmtime, sources)):
        os.makedirs(OUT, exist_ok=True)
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-o", path,
                        *sources[:2], *LIBRARIES.get(name, [])], check=True)
    return path


def environment(body=BODY):
    return dict(os.environ, BODY=body, TENANT=TENANT)


def raise_files():
    """As many open files as may be, also for what is started afterwards; how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def run(name, *args, body=BODY, before=()):
    """The line of JSON that it prints. before: a command that runs it."""
    done = subprocess.run(pinned(LOAD_CORE, [*before, program(name), *map(str, args)]),
                          env=environment(body), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: {name}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def fan(server, topic, subscribers, burst, seconds, stalled=0):
    body = json.dumps({"payload": {"input": "h" * 60}}, separators=(",", ":"))
    return run("fan", server.port, server.pid, topic, subscribers, burst, seconds, stalled,
               body=body)


def ws(server, connections, depth, seconds):
    return run("ws", server.port, server.pid, connections, depth, seconds,
               body='{"input":"' + "h" * 60 + '"}')
