"""A running migd: own folders, port from the kernel, logs kept, judged when it stops."""
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from .http import Client, Raw

BUILD = Path(os.environ.get("MIGD_BUILD", Path(__file__).parents[3] / "build/release")).resolve()
ROOT = Path(__file__).parents[3]
IS_ASAN = (BUILD / "migd").exists() and b"__asan_init" in (BUILD / "migd").read_bytes()
SLOW = 3.0 if IS_ASAN else 1.0  # limits in milliseconds are multiplied by this

# Lines that no daemon may write whatever it was sent.
FAULTS = re.compile(r"must\(|broken\(|runtime error:|Sanitizer|migd: fatal|migd: bug")


def clean_environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MIGD_", "NOTIFY_SOCKET"))}
    env.update(more)
    return env


class Daemon:
    def __init__(self, folder, settings=None, manifest=None, args=(), env=None, leaks=False,
                 exit_code=0, port=0):
        self.dir = Path(folder)
        self.plugins = self.dir / "plugins"
        self.state = self.dir / "state"
        self.config = self.dir / "migd.yaml"
        self.manifest = self.dir / "manifest.yaml"
        self.args, self.exit_code, self.port = list(args), exit_code, port
        self.env = clean_environment(**(env or {}))
        if leaks:  # plugins that never end calls leave memory behind on purpose
            self.env["ASAN_OPTIONS"] = "detect_leaks=0:" + self.env.get("ASAN_OPTIONS", "")
        self.settings = {"loops": 2, "log.format": "json", **(settings or {})}
        self.plugins.mkdir(parents=True, exist_ok=True)
        self.write_settings()
        self.write_manifest(manifest if manifest is not None else {})
        self.lines, self.changed = [], threading.Condition()
        self.process = self.reader = None
        self.clients = []

    # files
    def write_settings(self, **changes):
        self.settings.update(changes)
        whole = {"mig.addr": f"127.0.0.1:{self.port}", "state_dir": str(self.state),
                 "plugin_dirs": [str(self.plugins)], "manifest": str(self.manifest),
                 **self.settings}
        self._put(self.config, json.dumps({k: v for k, v in whole.items() if v is not None}))

    def write_manifest(self, manifest):
        if isinstance(manifest, dict):
            manifest = json.dumps({"version": 0.2, "providers": {}, **manifest})
        self._put(self.manifest, manifest)

    def drop(self, source, name=None):
        """Puts a file (a path), or a text under a name, into the plugin folder in one step."""
        target = self.plugins / (name or Path(source).name)
        tmp = self.dir / ("." + target.name)
        if isinstance(source, Path):
            shutil.copyfile(source, tmp)
        else:
            tmp.write_text(source)
        tmp.rename(target)
        return target

    def remove(self, name):
        (self.plugins / name).unlink()

    @staticmethod
    def _put(path, text):
        tmp = path.with_name("." + path.name)
        tmp.write_text(text)
        tmp.rename(path)

    # process
    def start(self, within=20):
        command = [str(BUILD / "migd"), "--config", str(self.config), *self.args]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=self.env, cwd=self.dir)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        ready = self.wait_log(lambda l: l.get("event") == "migd.ready", within * SLOW)
        self.url = ready["address"] if "://" in ready["address"] else "http://" + ready["address"]
        host, port = self.url.split("//")[1].rsplit(":", 1)
        self.address = (host, int(port))
        self.http = self.client()
        return self

    def _read(self):
        with open(self.dir / "migd.log", "ab") as log:
            for raw in self.process.stdout:
                log.write(raw)
                log.flush()
                with self.changed:
                    self.lines.append(self._parsed(raw))
                    self.changed.notify_all()
        with self.changed:
            self.lines.append({"event": "test.eof"})
            self.changed.notify_all()

    @staticmethod
    def _parsed(raw):
        text = raw.decode("utf-8", "replace").rstrip("\n")
        try:
            line = json.loads(text)
            return line if isinstance(line, dict) else {"text": text}
        except ValueError:
            return {"text": text}

    def wait_log(self, want, within=10, start=0):
        """The first log line (a dict) that want() accepts; waits for it."""
        end = time.monotonic() + within
        at = start
        with self.changed:
            while True:
                while at < len(self.lines):
                    if want(self.lines[at]):
                        return self.lines[at]
                    if self.lines[at].get("event") == "test.eof":
                        raise AssertionError(f"migd ended: {self.tail()}")
                    at += 1
                if not self.changed.wait(max(0, end - time.monotonic())) and time.monotonic() > end:
                    raise AssertionError(f"no such log line in {within} s: {self.tail()}")

    def log_mark(self):
        with self.changed:
            return len(self.lines)

    def tail(self, n=25):
        return "\n".join(json.dumps(l) for l in self.lines[-n:])

    def signal(self, number):
        self.process.send_signal(number)

    def client(self, **more):
        client = Client(self.address, **more)
        self.clients.append(client)
        return client

    def raw(self, timeout=10):
        return Raw(self.address, timeout)

    def is_alive(self):
        return self.process.poll() is None

    def rss_kib(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1])

    def wait(self, within=20):
        code = self.process.wait(within)
        self.reader.join(5)
        return code

    def faults(self):
        """What is wrong with how it ran. Stops it if it still runs."""
        found = []
        for c in self.clients:
            c.close()
        if self.process is None:
            return found
        if self.is_alive():
            if not any(l.get("event") == "migd.stopping" for l in self.lines):
                self.signal(signal.SIGTERM)  # a second one would mean: at once
            try:
                self.wait(25 * SLOW)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGABRT)
                self.wait(20)
                found.append("did not end after SIGTERM")
        else:
            self.reader.join(5)
        if self.process.returncode != self.exit_code:
            found.append(f"exit code {self.process.returncode}, not {self.exit_code}")
        for line in self.lines:
            text = line.get("text", "") if "event" not in line else ""
            if FAULTS.search(text):
                found.append(text)
            elif text and self.exit_code == 0:
                found.append(f"not a log line: {text}")
        return found


def migctl(*args, url=None, tenant="acme", env=None, stdin=None, cwd=None, timeout=60, **more):
    """Runs migctl; returns CompletedProcess with text output."""
    environment = clean_environment(MIGD_TENANT=tenant, **(env or {}))
    if url:
        environment["MIGD_URL"] = url
    return subprocess.run([str(BUILD / "migctl"), *map(str, args)], env=environment, input=stdin,
                          stdin=subprocess.DEVNULL if stdin is None else None, text=True,
                          capture_output=True, cwd=cwd, timeout=timeout, **more)
