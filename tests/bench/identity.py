"""P13: what tokens cost (goals.md W13): cached ones against none, and ones that were never seen."""
import base64
import contextlib
import hashlib
import hmac
import json
import os
import subprocess
import tempfile
import time

import clients
import servers
import wrk
from report import goal, interleave, ratio, say, spread, thousands, times
from servers import LOOP, TENANT

SECRET = "a secret of this benchmark alone"
CONNECTIONS, CACHED, COLD_PER_S, COLD_MAX = 32, 1000, 8000, 40_000
ALGORITHMS = {"RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
              "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}


# --- keys and tokens ----------------------------------------------------------------------------------

def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _hs256(i):
    claims = {"sub": f"user-{i}", "tenant_id": TENANT, "exp": int(time.time()) + 3600,
              "scopes": ["capability:infer"]}
    text = _base64(b'{"alg":"HS256","typ":"JWT"}') + "." + _base64(json.dumps(claims).encode())
    return text + "." + _base64(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())


def _openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def make_tokens(folder, algorithm, count):
    """(the file of the tokens, the settings of a daemon that takes them)"""
    path = os.path.join(folder, f"{algorithm}-{count}")
    if algorithm == "HS256":
        with open(path, "w") as f:
            f.writelines(_hs256(i) + "\n" for i in range(count))
        return path, ("mig.auth_mode=jwt", f"mig.jwt_hs256_secret={SECRET}")
    key, public = path + ".key", path + ".pem"
    _openssl("genpkey", *ALGORITHMS[algorithm], "-out", key)
    _openssl("pkey", "-in", key, "-pubout", "-out", public)
    with open(path, "w") as f:
        subprocess.run([clients.program("tokens"), key, str(count)], check=True, stdout=f,
                       env=clients.environment())
    return path, ("mig.auth_mode=jwt", f"mig.jwt_key_files={public}")


# --- measuring ----------------------------------------------------------------------------------------

def _cached(build, folder, opts):
    """rounds by name: no tokens, and 1,000 of each algorithm that the daemon knows already."""
    systems, seconds = {}, min(opts.seconds, 3)
    with contextlib.ExitStack() as stack:
        for name in ("none", "HS256", "RS256"):
            tokens, settings = ("", ()) if name == "none" else make_tokens(folder, name, CACHED)
            site = stack.enter_context(tempfile.TemporaryDirectory())
            server = servers.start_migd(build, site, settings=settings)
            stack.callback(server.stop)
            wrk.run(server, LOOP, CONNECTIONS, 1, tries=1, tokens=tokens)
            systems[name] = lambda server=server, tokens=tokens: wrk.run(
                server, LOOP, CONNECTIONS, seconds, tokens=tokens)
        return interleave(systems, opts.pairs)


def _threads_us(pid):
    """CPU time by thread."""
    used = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{tid}/schedstat") as f:
            used[tid] = int(f.read().split()[0]) / 1e3
    return used


def _cold_once(build, tokens, settings, count):
    """A new daemon each time: it has seen no token."""
    with tempfile.TemporaryDirectory() as folder:
        server = servers.start_migd(build, folder, settings=settings)
        before = _threads_us(server.pid)
        r = wrk.once(server, LOOP, CONNECTIONS, 2, tokens=tokens)
        after = _threads_us(server.pid)
        server.stop()
    if r["non2xx"] or r["socket_errors"] or r["requests"] > count:
        raise SystemExit(f"bench: cold tokens: {r}")
    used = sorted(t - before.get(tid, 0) for tid, t in after.items())
    r["per_cpu_s"] = r["requests"] * 1e6 / sum(used)
    # One loop works more than any of the workers unless it is the loop that verifies.
    r["busiest_us"], r["others_us"] = used[-1] / r["requests"], sum(used[:-1]) / r["requests"]
    return r


def measure(build, opts):
    out = []
    say(f"tokens: {CONNECTIONS} connections, {CACHED} cached tokens in turn, {opts.pairs} rounds")
    with tempfile.TemporaryDirectory() as folder:
        rounds = _cached(build, folder, opts)
        for name in ("HS256", "RS256"):
            r = ratio(rounds[name], rounds["none"], "rps")
            goal(out, "P13", f"{name} cached, to no tokens: {times(r)}", "at least 0.92",
                 r["median"] >= 0.92, **r)
        tokens, settings = make_tokens(folder, "ES256", COLD_MAX)
        cold = [_cold_once(build, tokens, settings, COLD_MAX) for _ in range(min(opts.pairs, 3))]
    rate, per_core = spread(cold, "rps"), spread(cold, "per_cpu_s")
    goal(out, "P13", f"ES256, each token new: {thousands(rate)} calls/s on the one core "
         f"({thousands(per_core)} per second of CPU)", "at least 8 k",
         rate["median"] >= COLD_PER_S, **rate)
    loop, workers = spread(cold, "busiest_us"), spread(cold, "others_us")
    goal(out, "P13", f"ES256, each token new: {times(loop, 1)} us of the loop per call, "
         f"{times(workers, 1)} us of the workers", "workers more",
         workers["median"] > loop["median"], loop=loop, workers=workers)
    return {"goals": out, "cached": rounds, "cold": cold}
