"""An OpenTelemetry collector: takes OTLP/HTTP JSON, checks its shape, keeps the spans."""
import http.server
import json
import re
import threading

HEX = {"traceId": 32, "spanId": 16, "parentSpanId": 16}


def check_span(span):
    """opentelemetry-proto trace/v1 in its JSON form: ids as hex, 64-bit numbers as strings."""
    for name, size in HEX.items():
        if name in span:
            assert re.fullmatch("[0-9a-f]{%d}" % size, span[name]), span
    assert {"traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano",
            "attributes"} <= set(span), span
    assert span["kind"] == 2 and span["name"]
    start, end = span["startTimeUnixNano"], span["endTimeUnixNano"]
    assert isinstance(start, str) and isinstance(end, str) and int(start) <= int(end)
    if "status" in span:
        assert span["status"]["code"] in (1, 2)


def attributes(list_):
    assert all(set(a) == {"key", "value"} and set(a["value"]) == {"stringValue"} for a in list_)
    return {a["key"]: a["value"]["stringValue"] for a in list_}


class Collector:
    def __init__(self):
        self.spans, self.faults, self.requests = [], [], []
        self.answers = []  # statuses to give first; then 200
        self.changed = threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer._take(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _take(self, path, headers, body):
        with self.changed:
            self.requests.append((path, headers))
            status = self.answers.pop(0) if self.answers else 200
            if status == 200:
                try:
                    self._read(path, headers, body)
                except Exception as e:
                    self.faults.append(repr(e))
            self.changed.notify_all()
            return status

    def _read(self, path, headers, body):
        assert path == "/v1/traces", path
        assert headers["Content-Type"] == "application/json"
        for resource in json.loads(body)["resourceSpans"]:
            self.resource = attributes(resource["resource"]["attributes"])
            for scope in resource["scopeSpans"]:
                assert scope["scope"]["name"] == "migd"
                for span in scope["spans"]:
                    check_span(span)
                    span["attributes"] = attributes(span["attributes"])
                    self.spans.append(span)

    def wait(self, count, within=10):
        with self.changed:
            self.changed.wait_for(lambda: len(self.spans) >= count or self.faults, within)
            assert not self.faults, self.faults
            assert len(self.spans) >= count, f"{len(self.spans)} of {count} spans"
            return list(self.spans)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
