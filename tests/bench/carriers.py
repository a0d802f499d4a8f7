"""The same calls over TLS and over HTTP/2 without TLS, beside nginx with as many bytes to send."""
import contextlib
import copy
import os
import tempfile

import servers
import wrk
from report import goal, interleave, ratio, say, spread, times
from servers import BODY, LOOP

TLS_CONNECTIONS, H2_CONNECTIONS, H2_STREAMS = 32, 16, 32
TLS_RATIO, H2_RATIO = 0.6, 0.7


def _start(stack, build):
    """Servers by (who, carrier)."""
    mine, theirs = (stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(2))
    servers.make_certificate(os.path.join(theirs, "bench.pem"), os.path.join(theirs, "bench.key"))
    port = servers.free_port()
    migd = servers.start_migd(build, mine, settings=(
        f"tls.addr=127.0.0.1:{port}", f"tls.cert_file={theirs}/bench.pem",
        f"tls.key_file={theirs}/bench.key"))
    stack.callback(migd.stop)
    c = servers.Connection(migd.port)
    status, answer = c.post(LOOP)
    c.close()
    if status != 200:
        raise SystemExit(f"bench: {status} {answer.decode()}")
    h2c = servers.free_port()
    nginx = servers.start_nginx(theirs, answer.decode(), "nginx_carriers.conf", {"@H2C@": str(h2c)})
    stack.callback(nginx.stop)
    return {("migd", "tls"): _beside(migd, port, "https"), ("migd", "h2c"): migd,
            ("nginx", "tls"): _beside(nginx, nginx.port, "https"),
            ("nginx", "h2c"): _beside(nginx, h2c, "http")}


def _beside(server, port, scheme):
    """The same process under another address."""
    other = copy.copy(server)
    other.port, other.scheme = port, scheme
    return other


def measure(build, opts):
    out, seconds = [], min(opts.seconds, 3)
    say(f"carriers: TLS with {TLS_CONNECTIONS} connections, h2c with {H2_CONNECTIONS} x {H2_STREAMS} "
        f"streams, {opts.pairs} rounds")
    with contextlib.ExitStack() as stack:
        up = _start(stack, build)
        body = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "body")
        with open(body, "w") as f:
            f.write(BODY)

        def run(who, carrier):
            server, path = up[who, carrier], LOOP if who == "migd" else "/static"
            if carrier == "tls":
                return lambda: wrk.run(server, path, TLS_CONNECTIONS, seconds)
            return lambda: wrk.h2load(server, path, H2_CONNECTIONS, H2_STREAMS, seconds, body)

        results = interleave({key: run(*key) for key in up}, opts.pairs)
    for carrier, name, limit in (("tls", "TLS, keep-alive", TLS_RATIO), ("h2c", "h2c", H2_RATIO)):
        mine, theirs = results["migd", carrier], results["nginx", carrier]
        r = ratio(mine, theirs, "rps")
        goal(out, carrier, f"{name}: {spread(mine, 'rps')['median']:.0f} calls/s, nginx "
             f"{spread(theirs, 'rps')['median']:.0f}: {times(r)}", f"at least {limit:.2f}",
             r["median"] >= limit, **r)
        goal(out, carrier + " CPU", f"{spread(mine, 'cpu_us')['median']:.1f} us of CPU per call, nginx "
             f"{spread(theirs, 'cpu_us')['median']:.1f}", "", None)
    return {"goals": out, "rounds": {" ".join(k): v for k, v in results.items()}}
