"""Who stays connected beside the keep-alive clients of wrk: WebSockets and HTTP/2."""
import re
import shutil
import subprocess
import threading

WAYS = ("observatory.models.infer", "test.counter.get", "test.script.get")
H2_CONNECTIONS, H2_STREAMS, SOCKETS = 2, 4, 4


class Talker:
    """One WebSocket: calls one capability after the other, and reads a topic meanwhile."""

    def __init__(self, d, topic):
        from helpers.ws import Socket
        self.socket, self.is_over = Socket(d.address), threading.Event()
        assert self.socket.status == 101, self.socket.reply
        self.calls, self.seen, self.faults = 0, [], []
        self.socket.control("subscribe", "events", topic=topic, resume_cursor="0")
        self.socket.until(lambda f: f["stream_id"] == "events" and f["payload"].get("accepted"))
        self.thread = threading.Thread(target=self.guard, daemon=True)
        self.thread.start()

    def guard(self):
        try:
            while not self.is_over.is_set():
                self.call()
        except Exception as e:
            self.faults.append(repr(e))

    def call(self):
        stream = f"c{self.calls}"
        self.socket.request(WAYS[self.calls % len(WAYS)], {"input": "hello"}, stream)
        while True:
            frame = self.take()
            if frame["stream_id"] == stream and frame.get("end_stream"):
                assert frame["kind"] == "response", frame
                self.calls += 1
                return

    def take(self):
        frame = self.socket.next(20)
        assert "close" not in frame, frame
        if frame["kind"] == "event":
            self.seen.append(frame["payload"]["sequence"])
        return frame

    def end(self, published):
        """Every event came once, in order."""
        self.is_over.set()
        self.thread.join(30)
        try:
            while not self.faults and len(self.seen) < published:
                self.take()
        except Exception as e:
            self.faults.append(repr(e))
        if self.seen != list(range(1, published + 1)):
            self.faults.append(f"{len(self.seen)} of {published} events")
        self.socket.close()


class Http2:
    """h2load with prior knowledge: some streams on each of some connections, without a pause."""

    def __init__(self, d, seconds, folder):
        if not shutil.which("h2load"):
            raise SystemExit("soak: h2load is not installed (Debian package nghttp2-client)")
        body = folder / "body.json"
        body.write_text('{"payload":{"input":"hello"}}')
        self.process = subprocess.Popen(
            ["h2load", "-D", str(seconds), "-t", "1", "-c", str(H2_CONNECTIONS),
             "-m", str(H2_STREAMS), "-d", str(body), "-H", "X-Tenant-ID: acme",
             *(f"{d.url}/mig/v0.1/invoke/{way}" for way in WAYS)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self):
        """(answers of 2xx, everything else)"""
        out = self.process.communicate(timeout=30)[0]
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out)
        faults = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", out)
        if not codes or not faults:
            return 0, out
        bad = [int(n) for n in (*codes.groups()[1:], *faults.groups())]
        return int(codes[1]), sum(bad)
