"""Starts migd and nginx for measuring: one core for the server, one for the load (goals.md 2.1)."""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SERVER_CORE, LOAD_CORE = "0", "1"

TENANT = "acme"
BODY = json.dumps({"header": {"tenant_id": TENANT}, "payload": {"input": "h" * 60}},
                  separators=(",", ":"))
LOOP = "/mig/v0.1/invoke/observatory.models.infer"
POOL = "/mig/v0.1/invoke/bench.echo.pool"
LUA = "/mig/v0.1/invoke/bench.echo.lua"
DISCOVER = "/mig/v0.1/discover"

MANIFEST = """version: 0.2
plugin_dirs: [plugins]
providers:
  pool:
    plugin: dev.migd.echo
    config:
      capabilities:
        - exec: pool
          descriptor:
            id: bench.echo.pool
            version: 1.0.0
            modes: [unary]
            input_schema_uri: schema://bench/in
            output_schema_uri: schema://bench/out
  scripted:
    lua: echo.lua
"""

SCRIPT = """local mig = require "mig"
local echo = mig.capability { id = "bench.echo.lua", version = "1.0.0", summary = "Echo." }
function echo.invoke(call)
  return { result = "ok", echo = call.payload, capability = call.capability,
           delivery_qos = "at_least_once" }
end
"""


def pinned(core, argv):
    return ["taskset", "-c", core] + argv


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    """The process and its descendants."""
    out = [pid]
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as f:
                for child in f.read().split():
                    out += tree(int(child))
    return out


def rss_kb(pid):
    total = 0
    for p in tree(pid):
        with contextlib.suppress(OSError), open(f"/proc/{p}/status") as f:
            m = re.search(r"VmRSS:\s+(\d+)", f.read())
            total += int(m.group(1)) if m else 0
    return total


def ticks(pid):
    """CPU time of the process tree, in clock ticks."""
    total = 0
    for p in tree(pid):
        with contextlib.suppress(OSError), open(f"/proc/{p}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total


def make_certificate(pem, key):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", pem, "-days", "9",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)


class Server:
    """A running server: .port, .pid, .scheme, .stop()."""
    scheme = "http"

    def __init__(self, argv, port, env=None, log=None, core=SERVER_CORE):
        self.port = port
        self.log = log
        out = open(log, "ab") if log else subprocess.DEVNULL
        argv = pinned(core, argv) if core else argv
        self.process = subprocess.Popen(argv, env=env, stdout=out, stderr=out)
        self.pid = self.process.pid

    def wait(self, path="/", timeout=30.0):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                c.request("GET", path)
                c.getresponse().read()
                c.close()
                return self
            time.sleep(0.02)
        text = ""
        if self.log and os.path.exists(self.log):
            with open(self.log, errors="replace") as f:
                text = f.read()[-2000:]
        raise SystemExit(f"bench: the server on port {self.port} does not answer\n{text}")

    def url(self, path):
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


def migd_env(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MIGD_")}
    env.update(extra or {})
    return env


def make_site(folder, manifest=MANIFEST, scripts=None):
    """A folder with a manifest and its plugin folder; the path of the manifest."""
    plugins = os.path.join(folder, "plugins")
    os.makedirs(plugins, exist_ok=True)
    for name, text in (scripts or {"echo.lua": SCRIPT}).items():
        with open(os.path.join(plugins, name), "w") as f:
            f.write(text)
    path = os.path.join(folder, "manifest.yaml")
    with open(path, "w") as f:
        f.write(manifest)
    return path


def migd_argv(build, folder, port, manifest):
    return [os.path.join(build, "migd"), "--manifest", manifest,
            "--set", f"mig.addr=127.0.0.1:{port}", "--set", "loops=1", "--set", "log.level=warn",
            "--set", f"state_dir={folder}/state"]


def start_migd(build, folder, wrap=None, env=None, core=SERVER_CORE, timeout=30.0, settings=(),
               manifest=MANIFEST, scripts=None):
    port = free_port()
    manifest = make_site(folder, manifest, scripts)
    argv = (wrap or []) + migd_argv(build, folder, port, manifest)
    for setting in settings:
        argv += ["--set", setting]
    server = Server(argv, port, migd_env(env), os.path.join(folder, "migd.log"), core)
    return server.wait("/health", timeout)


def start_nginx(folder, static_body, conf_file="nginx.conf", more=None):
    """nginx with /static (exactly these bytes) and what else the configuration has. more: what is
    to be filled in."""
    port = free_port()
    for name in ("logs", "tmp"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    with open(os.path.join(HERE, conf_file)) as f:
        conf = f.read()
    for name, value in (more or {}).items():
        conf = conf.replace(name, value)
    modules = "/usr/lib/nginx/modules"
    conf = (conf.replace("@PORT@", str(port)).replace("@MODULES@", modules)
            .replace("@BODY@", static_body.replace("'", "\\'"))
            .replace("@USER@", "user root;" if os.geteuid() == 0 else ""))
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w") as f:
        f.write(conf)
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not nginx:
        raise SystemExit("bench: nginx is missing; make deps-dev")
    server = Server([nginx, "-p", folder, "-c", path], port, log=os.path.join(folder, "nginx.log"))
    return server.wait("/static")


class Connection:
    """One keep-alive connection; post() returns status and body."""

    def __init__(self, port):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self, path, body=BODY):
        self.http.request("POST", path, body, {"X-Tenant-ID": TENANT,
                                               "Content-Type": "application/json"})
        r = self.http.getresponse()
        return r.status, r.read()

    def get(self, path):
        self.http.request("GET", path)
        return json.loads(self.http.getresponse().read())

    def close(self):
        self.http.close()


class Raw:
    """The same without a library between: for counting what each request costs the server."""

    def __init__(self, port, path=LOOP, body=BODY):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                        f"X-Tenant-ID: {TENANT}\r\nContent-Type: application/json\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
        self.answer_len = 0

    def _first(self):
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._recv()
        head, rest = got.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
        while len(rest) < length:
            rest += self._recv()
        if b" 200 " not in head[:16]:
            raise SystemExit(f"bench: {head.decode(errors='replace')}")
        self.answer_len = len(head) + 4 + length

    def _recv(self):
        data = self.sock.recv(65536)
        if not data:
            raise SystemExit("bench: the server closed the connection")
        return data

    def run(self, n):
        """n requests, one after the other; every answer has the length of the first."""
        for _ in range(n):
            self.sock.sendall(self.request)
            if not self.answer_len:
                self._first()
                continue
            left = self.answer_len
            while left > 0:
                left -= len(self._recv())
            if left:
                raise SystemExit("bench: an answer has another length than the first")

    def close(self):
        self.sock.close()
