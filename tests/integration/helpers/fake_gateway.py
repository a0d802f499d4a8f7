"""A small MIG v0.1 gateway in Python: what `migctl conformance` is tried against. It does what the standard says,
until a fault is named: FakeGateway().fault = "stream.two_ends". With tokens ({token: tenant}) callers need
one. Threads, no dependencies, memory only."""
import base64
import hashlib
import json
import re
import socket
import socketserver
import struct
import threading
import time
import uuid
from datetime import datetime, timezone
from urllib.parse import parse_qs, unquote, urlsplit

INFER = "observatory.models.infer"
DESCRIPTOR = {
    "id": INFER, "version": "1.0.0", "modes": ["unary", "server_stream"],
    "input_schema_uri": "schema://in/v1", "output_schema_uri": "schema://out/v1", "auth_scopes": [],
    "event_topics": ["observatory.inference.completed"],
    "qos": {"max_payload_bytes": 1048576, "delivery_semantics": "at_least_once"}}
OTHER = {**DESCRIPTOR, "id": "another.thing", "event_topics": []}
FEATURES = ("streaming server_stream client_stream bidi_stream events replay cancel idempotency heartbeat "
            "backpressure telemetry websocket sse mcp-bridge schema-registry").split()
STATUS = {"MIG_INVALID_REQUEST": 400, "MIG_UNAUTHORIZED": 401, "MIG_FORBIDDEN": 403, "MIG_NOT_FOUND": 404,
          "MIG_UNSUPPORTED_CAPABILITY": 404, "MIG_VERSION_MISMATCH": 400, "MIG_TIMEOUT": 504,
          "MIG_RATE_LIMITED": 429, "MIG_BACKPRESSURE": 429, "MIG_UNAVAILABLE": 503, "MIG_INTERNAL": 500}
RETRYABLE = {"MIG_TIMEOUT", "MIG_RATE_LIMITED", "MIG_BACKPRESSURE", "MIG_UNAVAILABLE"}
TRACE = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
TENANT = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$")
TOPIC = re.compile(r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")
FAMILIES = {  # name: type, sample labels
    "http_requests_total": "counter", "http_request_duration_seconds": "histogram",
    "errors_total": "counter", "active_streams": "gauge", "invocations_total": "counter",
    "invocation_duration_seconds": "histogram", "inflight_invocations": "gauge",
    "cancellations_total": "counter", "deadline_exceeded_total": "counter",
    "idempotent_replays_total": "counter", "events_published_total": "counter",
    "events_delivered_total": "counter", "events_replayed_total": "counter", "event_lag": "gauge",
    "backpressure_total": "counter", "queue_depth": "gauge", "pending_acks": "gauge",
    "auth_decisions_total": "counter"}


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class MigError(Exception):
    def __init__(self, code, message, reason=None, retryable=None, status=None, **details):
        super().__init__(message)
        self.code, self.message, self.status = code, message, status or STATUS[code]
        self.retryable = code in RETRYABLE if retryable is None else retryable
        self.details = {**({"reason": reason} if reason else {}), **details}
        self.header = None

    def body(self, header):
        return {"header": self.header or header,
                "error": {"code": self.code, "message": self.message, "retryable": self.retryable,
                          "details": self.details}}


def invalid(message, reason=None, **more):
    return MigError("MIG_INVALID_REQUEST", message, reason, **more)


class Call:
    def __init__(self, message_id):
        self.message_id, self.stop, self.why = message_id, threading.Event(), None
        self.paused = threading.Event()

    def end(self, why):
        self.why = self.why or why
        self.stop.set()


class FakeGateway:
    def __init__(self, tls=None, tokens=None):
        self.fault, self.lock, self.tokens = None, threading.RLock(), tokens
        self.running, self.done, self.pending, self.stored = {}, {}, {}, {}
        self.topics, self.grown, self.published = {}, threading.Condition(self.lock), {}
        self.consumers, self.readers, self.counters, self.audit = {}, {}, {}, []
        self.streams, self.connections = 0, []
        gateway = self

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads, allow_reuse_address, request_queue_size = True, True, 64

            def handle_error(self, request, address):
                pass  # clients that go away

        class Handler(socketserver.StreamRequestHandler):
            def setup(self):
                if tls:
                    self.request = tls.wrap_socket(self.request, server_side=True)
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                super().setup()

            def handle(self):
                while Connection(gateway, self).serve():
                    pass

        self.server = Server(("127.0.0.1", 0), Handler)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def bad(self, *names):
        return self.fault in names

    # --- headers (2, 3)
    def tenant(self, named, told):
        if told == "mcp-adapter" and named and not self.bad("tenant.no_placeholder"):
            told = ""
        if told and named and told != named and not self.bad("tenant.any"):
            raise MigError("MIG_FORBIDDEN", "tenant_id does not match authenticated principal")
        tenant = named if self.bad("tenant.header_only") else told or named
        if not tenant or tenant == "unknown" or not TENANT.match(tenant):
            raise invalid("tenant_id is required")
        return tenant

    def header(self, given, heads, named=None):
        given = {} if given is None else given
        if not isinstance(given, dict):
            raise invalid("header must be an object")
        mirrors = {"mig_version": "mig-version", "message_id": "mig-message-id", "session_id": "mig-session-id",
                   "traceparent": "traceparent", "idempotency_key": "idempotency-key",
                   "deadline_ms": "mig-deadline-ms"}
        h = {k: v for k, v in given.items() if v is not None and v != ""}
        for key, name in mirrors.items():
            if heads.get(name) and (key not in h or self.bad("mirror.wins")):
                h[key] = int(heads[name]) if key == "deadline_ms" else heads[name]
        out = {"mig_version": h.get("mig_version", "0.1"), "message_id": h.get("message_id", str(uuid.uuid4())),
               "timestamp": now(), "tenant_id": "unknown", "deadline_ms": 30000, "meta": {}}
        if self.bad("header.id_upper") and "message_id" not in h:
            out["message_id"] = out["message_id"].upper()
        try:
            self.checked(h, out)
            out["tenant_id"] = self.tenant(named if named is not None else heads.get("x-tenant-id", ""),
                                           h.get("tenant_id", ""))
        except MigError as e:
            e.header = out
            raise
        return out

    def checked(self, h, out):
        if out["mig_version"] != "0.1" and not self.bad("header.any_version"):
            raise MigError("MIG_VERSION_MISMATCH", "only 0.1 is served")
        mid = out["message_id"]
        if not isinstance(mid, str) or not re.fullmatch(r"[!-~]{1,128}", mid):
            out["message_id"] = str(uuid.uuid4())
            raise invalid("message_id")
        if "timestamp" in h and not re.match(r"^\d{4}-\d\d-\d\dT", str(h["timestamp"])):
            raise invalid("timestamp")
        for key in ("session_id", "idempotency_key"):
            if h.get(key):
                out[key] = h[key]
        if TRACE.match(str(h.get("traceparent", ""))) or (self.bad("trace.raw") and h.get("traceparent")):
            out["traceparent"] = h["traceparent"]
        if self.bad("trace.none"):
            out.pop("traceparent", None)
        deadline = h.get("deadline_ms", 0)
        if type(deadline) is not int:
            raise invalid("deadline_ms")
        out["deadline_ms"] = min(deadline, 300000) if deadline > 0 else 30000
        if self.bad("header.no_clamp") and deadline > 0:
            out["deadline_ms"] = deadline
        meta = h.get("meta", {})
        if not isinstance(meta, dict) or len(meta) > 64 or len(json.dumps(meta)) > 16384:
            raise invalid("meta")
        keep = {k: v for k, v in meta.items() if not k.startswith("idg.") or self.bad("meta.idg_kept")}
        out["meta"] = {"idg.principal_subject": "anonymous", "idg.principal_scopes": [],
                       "idg.product_tier": "core", "idg.meter_key": "invocations_capability_tier",
                       "mig.binding": "http", **({} if self.bad("meta.lost") else keep)}

    # --- counting
    def count(self, name, **labels):
        with self.lock:
            key = (name, tuple(labels.items()))
            self.counters[key] = self.counters.get(key, 0) + 1

    def metrics(self):
        lines = []
        for name, kind in FAMILIES.items():
            if self.bad("metrics.no_" + name):
                continue
            lines.append(f"# TYPE mig_gateway_{name} {kind}")
            for (counter, labels), n in sorted(self.counters.items()):
                if counter == name:
                    text = ",".join(f'{k}="{v}"' for k, v in labels)
                    lines.append(f"mig_gateway_{name}{{{text}}} {n}")
        lines.append(f'mig_gateway_active_streams{{type="sse"}} {self.streams}')
        for le in ("0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf").split():
            lines.append('mig_gateway_http_request_duration_seconds_bucket'
                         f'{{method="POST",path="/mig/v0.1/hello",le="{le}"}} 1')
        return "\n".join(lines) + "\n"

    def record(self, h, capability, outcome, actor):
        if not self.bad("audit.none"):
            with self.lock:
                self.audit.append({"actor": actor, "tenant_id": h["tenant_id"], "capability": capability,
                                   "outcome": outcome, "timestamp": now(), "message_id": h["message_id"]})

    # --- operations (5)
    def hello(self, h, body):
        versions = [str(v).strip() for v in body.get("supported_versions") or ["0.1"]]
        if "0.1" not in versions:
            raise MigError("MIG_VERSION_MISMATCH", "no compatible MIG version")
        bindings = [b.strip().lower() for b in body.get("requested_bindings") or []]
        wanted = body.get("requested_features") or []
        features = wanted if self.bad("hello.all_features") else \
            [f for i, f in enumerate(wanted) if f in FEATURES and f not in wanted[:i]]
        h["meta"]["mig.profile"] = "full"
        return {"selected_version": "0.1", "enabled_features": features, "server_id": "fake",
                "selected_binding": next((b for b in bindings if b == "http"), "http")}

    def discover(self, h, body):
        query = str(body.get("query") or "")
        found = []
        for d in (OTHER, DESCRIPTOR):
            d = json.loads(json.dumps(d))
            hay = " ".join([d["id"], *d["event_topics"]])
            if query.lower() not in hay.lower() and not (self.bad("discover.no_query")):
                continue
            if body.get("include_schema_refs") is False and not self.bad("discover.refs"):
                d["input_schema_uri"] = d["output_schema_uri"] = ""
            if body.get("include_qos") is False:
                d["qos"] = {}
            if self.bad("discover.null_list"):
                d["auth_scopes"] = None
            found.append(d)
        return {"capabilities": found[::-1] if self.bad("discover.unsorted") else found}

    def heartbeat(self, h, body):
        ms = body.get("interval_ms") or 0
        ms = ms if self.bad("heartbeat.no_clamp") else min(max(ms, 1000), 60000) if ms > 0 else 5000
        return {"suggested_interval_ms": ms, "load_factor": 0.0}

    def cancel(self, h, body, target):
        if self.bad("cancel.refuses"):
            raise MigError("MIG_NOT_FOUND", "no such call")
        self.count("cancellations_total", binding="http", status="x")
        with self.lock:
            key = (h["tenant_id"], target)
            call = self.running.get(key)
            if self.bad("cancel.any_tenant"):
                call = call or next((c for (_, m), c in self.running.items() if m == target), None)
            if call:
                if not self.bad("cancel.lies"):
                    call.end(("cancelled", str(body.get("reason") or "")))
                status = "cancelled"
            elif key in self.done:
                status = "completed"
            else:
                status = "pending"
                if not self.bad("cancel.forgets"):
                    self.pending[key] = time.monotonic()
        return {"target_message_id": target, "accepted": True, "status": status}

    def open_call(self, h):
        key = (h["tenant_id"], h["message_id"])
        with self.lock:
            if self.pending.pop(key, None):
                self.done[key] = True
                raise MigError("MIG_TIMEOUT", "invocation cancelled: ", "cancelled", False, cancel_reason="")
            if key in self.running and not self.bad("inflight.any"):
                raise invalid("already in flight", "duplicate_message_id")
            call = self.running[key] = Call(h["message_id"])
        return call

    def close_call(self, h, call):
        key = (h["tenant_id"], h["message_id"])
        with self.lock:
            if self.running.get(key) is call:
                del self.running[key]
            self.done[key] = True

    def sleep(self, call, ms, end):
        left = end - time.monotonic()
        if self.bad("deadline.ignored"):
            left = 1e9
        call.stop.wait(min(ms / 1000, max(left, 0)))
        if call.why and call.why[0] == "cancelled":
            if self.bad("cancel.slow"):
                time.sleep(0.6)
            raise MigError("MIG_TIMEOUT", f"invocation cancelled: {call.why[1]}", "cancelled",
                           self.bad("cancel.retryable"), cancel_reason=call.why[1])
        if call.why:
            raise ConnectionError
        if ms / 1000 > left:
            self.count("deadline_exceeded_total", capability=INFER)
            raise MigError("MIG_TIMEOUT", "deadline exceeded")

    def admit(self, h, capability, body, text_len):
        told = body.get("capability")
        if told and told != capability:
            raise invalid("capability differs from the path")
        if capability != INFER:
            raise MigError("MIG_UNSUPPORTED_CAPABILITY", "capability not found")
        pin = h["meta"].get("mig.capability_version")
        if pin and pin not in ("1.0.0", "1.x") and not self.bad("pin.any"):
            raise MigError("MIG_VERSION_MISMATCH", "no such version")
        preference = body.get("stream_preference") or "unary"
        if preference not in ("unary", "server_stream"):
            known = preference in ("bidi_stream", "client_stream")
            raise invalid("mode", "mode_not_supported" if known else None)
        payload = body.get("payload")
        payload = {} if payload is None else payload
        if len(json.dumps(payload)) > 1048576:
            raise invalid("payload", "payload_too_large")
        if "input" in payload and not isinstance(payload["input"], str):
            raise invalid("payload", "schema_violation", errors=[{"path": "/input", "message": "no string"}])
        return payload, preference

    def result(self, payload):
        return {"result": "ok", "echo": payload, "capability": INFER, "delivery_qos": "at_least_once"}

    def invoke(self, h, capability, body, call_gone):
        payload, preference = self.admit(h, capability, body, 0)
        end = time.monotonic() + h["deadline_ms"] / 1000
        key = h.get("idempotency_key")
        slot = (h["tenant_id"], key) if key and not self.bad("idem.none") else None
        if slot and self.bad("idem.any_tenant"):
            slot = ("", key)
        print_of = json.dumps(payload, sort_keys=not self.bad("idem.text"))
        while slot:
            with self.lock:
                entry = self.stored.get(slot)
                if not entry:
                    entry = self.stored[slot] = {"print": print_of, "done": threading.Event()}
                    break
            if entry["print"] != print_of and not self.bad("idem.reuse"):
                raise invalid("reused", "idempotency_key_reuse")
            if not entry["done"].wait(max(end - time.monotonic(), 0)):
                raise MigError("MIG_TIMEOUT", "deadline exceeded")
            if "result" in entry:
                if not self.bad("idem.no_flag"):
                    h["meta"]["mig.idempotent_replay"] = True
                self.count("idempotent_replays_total", capability=capability)
                return {"capability": capability, "payload": entry["result"],
                        "result_schema_uri": DESCRIPTOR["output_schema_uri"]}
        call = None
        try:
            call = self.open_call(h)
            watcher = threading.Thread(target=call_gone, args=(call,), daemon=True)
            watcher.start()
            frames = []
            chunks = int(payload.get("stream_chunks", 3)) if preference == "server_stream" else 0
            for i in range(max(chunks, 1)):
                if payload.get("delay_ms"):
                    self.sleep(call, payload["delay_ms"], end)
                frames.append({"payload": {"chunk": i + 1, "of": chunks, "echo": payload}})
            out = {"capability": capability, "payload": self.result(payload),
                   "result_schema_uri": DESCRIPTOR["output_schema_uri"]}
            if chunks:
                out["payload"] = {**out["payload"], "frames": frames}
            if slot:
                self.stored[slot]["result"] = out["payload"]
            return out
        finally:
            if call:
                self.close_call(h, call)
                call.end(("over", ""))
            if slot:
                entry = self.stored[slot]
                if "result" not in entry:
                    del self.stored[slot]
                entry["done"].set()

    # frames of one stream, through send(frame); the last one is terminal
    def stream(self, h, body, stream_id, call, send):
        seq = [0]
        two_ends = self.bad("stream.two_ends")

        def frame(kind, end, **more):
            seq[0] += 2 if self.bad("stream.gap") and seq[0] == 1 else 1
            header = {**h, "meta": {**h["meta"], "mig.frame_seq": seq[0]}}
            out = {"header": header, "stream_id": stream_id, "capability": body.get("capability", INFER),
                   "kind": kind, **more}
            if end and not self.bad("stream.no_end"):
                out["end_stream"] = True
            send(out)

        try:
            payload, preference = self.admit(h, body.get("capability", INFER), body, 0)
            preference = h["meta"].get("mig.stream_preference", preference)
            chunks = int(payload.get("stream_chunks", 3)) if preference == "server_stream" else 0
            end = time.monotonic() + h["deadline_ms"] / 1000
            held = []
            for i in range(chunks):
                if payload.get("delay_ms"):
                    self.sleep(call, payload["delay_ms"], end)
                while call.paused.is_set() and not self.bad("control.no_pause"):
                    self.sleep(call, 10, end)
                piece = {"chunk": i + 1, "of": chunks, "echo": payload}
                if self.bad("stream.late"):
                    held.append(piece)
                else:
                    frame("response", False, payload=piece)
            for piece in held:
                frame("response", False, payload=piece)
            if not chunks and payload.get("delay_ms"):
                self.sleep(call, payload["delay_ms"], end)
            frame("response", True, payload=self.result(payload))
            if two_ends:
                frame("response", True, payload=self.result(payload))
        except MigError as e:
            try:
                frame("error", True, error=e.body(h)["error"])
            except OSError:
                pass
        except OSError:
            pass
        finally:
            self.close_call(h, call)

    # --- events (7)
    def topic_of(self, topic):
        if not TOPIC.match(topic):
            raise invalid("bad topic")
        if "." not in topic:
            raise invalid("topic names must be namespaced")

    def publish(self, h, topic, body):
        self.topic_of(topic)
        if body.get("topic") not in (None, topic):
            raise invalid("topic differs from the path")
        with self.lock:
            tenant = "" if self.bad("events.shared") else h["tenant_id"]
            log = self.topics.setdefault((tenant, topic), [])
            key = (tenant, topic, h.get("idempotency_key"))
            if key[2] and key in self.published and not self.bad("publish.twice"):
                e = self.published[key]
            else:
                sequence = len(log) + (2 if self.bad("events.gap") and len(log) >= 2 else 1)
                meta = {**h["meta"], "mig.cursor": str(sequence)}
                if body.get("key"):
                    meta["mig.event_key"] = body["key"]
                payload = body.get("payload")
                e = {"header": {**h, "meta": meta}, "topic": topic, "event_id": str(uuid.uuid4()),
                     "sequence": sequence, "payload": {} if payload is None else payload,
                     "published_at": now()}
                log.append(e)
                if key[2]:
                    self.published[key] = e
                self.grown.notify_all()
            self.count("events_published_total", tenant=h["tenant_id"], topic=topic)
        return {"topic": topic, "event_id": e["event_id"], "sequence": e["sequence"], "accepted": True}

    def cursor_of(self, tenant, topic, cursor, last_id, consumer):
        """Where to begin, and how many events there are: what comes from now on is no replay, even if it comes
        before follow() does."""
        with self.lock:
            head = len(self.topics.get((tenant, topic), []))
            if cursor is None and last_id and not self.bad("subscribe.no_last_id"):
                cursor = last_id
            if cursor is None and consumer:
                cursor = str(self.consumers.get((tenant, topic, consumer), 0))
                if self.bad("subscribe.no_memory"):
                    cursor = "latest"
            if cursor == "latest":
                return head, head
            if cursor is not None and not re.fullmatch(r"\d+", cursor):
                raise invalid("resume_cursor must be a non-negative integer")
            n = int(cursor or 0) + (self.bad("subscribe.off_by_one") and 1)
            return min(n, head), head

    def follow(self, tenant, topic, place, consumer, send, is_over):
        """Sends the events from a place of cursor_of() until is_over(); returns why it ended."""
        key, (at, old) = (tenant, topic), place
        with self.lock:
            mine = object()
            if consumer:
                self.readers[(key, consumer)] = mine
                self.grown.notify_all()
        while not is_over():
            with self.lock:
                log = self.topics.get(key, [])
                if consumer and self.readers[(key, consumer)] is not mine and not self.bad("consumer.both"):
                    return "consumer_superseded"
                if at >= len(log):
                    self.grown.wait(0.05)
                    continue
                e = log[at]
            if not (self.bad("events.lost") and e["sequence"] == 3):
                replay = e["sequence"] <= old
                send({**e, "replay": replay if not self.bad("events.replay_flag") else True})
            at += 1
            if consumer:
                self.consumers[(tenant, topic, consumer)] = at
        return None


class Connection:
    """One request of a kept connection."""

    def __init__(self, gateway, handler):
        self.g, self.sock, self.file = gateway, handler.request, handler.rfile

    def serve(self):
        line = self.file.readline(65536).decode("latin-1").split()
        if len(line) != 3:
            return False
        self.heads = {}
        while True:
            text = self.file.readline(65536).decode("latin-1").strip()
            if not text:
                break
            name, _, value = text.partition(":")
            self.heads[name.lower()] = value.strip()
        self.method, target = line[0], urlsplit(line[1])
        self.path, self.query = target.path, {k: v[0] for k, v in parse_qs(target.query).items()}
        self.is_open, self.sent = True, None
        try:
            self.answer()
        except (ConnectionError, OSError):
            return False
        return self.is_open

    def read_body(self):
        if self.heads.get("expect"):
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.heads.get("transfer-encoding") == "chunked":
            data = b""
            while n := int(self.file.readline(), 16):
                data += self.file.read(n)
                self.file.readline()
            self.file.readline()
            return data
        n = int(self.heads.get("content-length", 0))
        data = self.file.read(n)
        if n > 4 << 20:
            raise invalid("the body is too large", status=400 if self.g.bad("http.no_413") else 413)
        return data

    def send(self, status, body, kind="application/json", mid=None, extra=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(data)}", *extra]
        if mid and not self.g.bad("http.no_id") and not (self.g.bad("http.no_id_on_error") and status >= 400):
            lines.append(f"MIG-Message-ID: {'other' if self.g.bad('http.other_id') else mid}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self.sock.sendall(head + (b"" if self.method == "HEAD" else data))
        self.sent = status

    def answer(self):
        g, label, operation = self.g, "other", "other"
        header = {"mig_version": "0.1", "message_id": self.heads.get("mig-message-id") or str(uuid.uuid4()),
                  "timestamp": now(), "tenant_id": "unknown", "deadline_ms": 30000, "meta": {}}
        try:
            raw = self.read_body()
            parts = [unquote(p) for p in self.path.split("/")[1:]]
            if parts[:2] == ["mig", "v0.1"] and len(parts) in (3, 4):
                operation = parts[2]
                label = "/mig/v0.1/" + operation + ("/{" + {
                    "invoke": "capability", "publish": "topic", "subscribe": "topic",
                    "cancel": "message_id"}.get(operation, "x") + "}" if len(parts) == 4 else "")
                self.mig(operation, parts[3] if len(parts) == 4 else None, raw, header)
            elif not self.other():
                label = "other"
                raise MigError("MIG_NOT_FOUND", "no such path")
        except MigError as e:
            if g.bad("error.plain"):
                self.send(e.status, b"error", "text/plain", header["message_id"])
            else:
                status = 500 if g.bad("error.status") else e.status
                extra = ["WWW-Authenticate: Bearer"] if status == 401 and not g.bad("token.no_challenge") else []
                self.send(status, e.body(header), mid=(e.header or header)["message_id"], extra=extra)
            g.count("errors_total", code=e.code, operation=operation)
        g.count("http_requests_total", method=self.method, path=label, status=self.sent or 200)

    def other(self):
        g = self.g
        if self.path == "/metrics" and self.method in ("GET", "HEAD"):
            self.send(200, g.metrics().encode(), "text/plain; version=0.0.4", str(uuid.uuid4()))
        elif self.path == "/pro/v0.1/audit/export":
            with g.lock:
                records = [r for r in g.audit if r["tenant_id"] == self.query.get("tenant_id")]
            self.send(200, {"records": records[::-1] if g.bad("audit.reversed") else records}, mid="x")
        elif self.path == "/admin/v0.1/health/conformance":
            self.send(200, {"core": True, "streaming": True, "evented": True, "full": True}, mid="x")
        elif self.path == "/admin/v0.1/connections":
            with g.lock:
                found = [c for c in g.connections[::-1] if c["tenant_id"] == self.query.get("tenant_id")]
            self.send(200, {"generated_at": now(), "summary": {"total": len(found)}, "connections": found,
                            "filter_tenant": self.query.get("tenant_id")}, mid="x")
        else:
            return False
        return True

    def authenticate(self):
        """The tenant of the token takes the place of the tenant header, as of section 3."""
        g, given = self.g, self.heads.get("authorization", "")
        if not g.tokens or (g.bad("token.optional") and not given):
            return
        if not given.startswith("Bearer "):
            raise MigError("MIG_UNAUTHORIZED", "missing bearer token")
        tenant = g.tokens.get(given[7:])
        if not tenant and not g.bad("token.any"):
            raise MigError("MIG_UNAUTHORIZED", "invalid bearer token")
        named = self.heads.get("x-tenant-id")
        if named and named != tenant and not g.bad("token.any_tenant", "token.any"):
            raise MigError("MIG_FORBIDDEN", "tenant header does not match token tenant")
        if not (g.bad("token.any_tenant") and named):
            self.heads["x-tenant-id"] = tenant or named

    def mig(self, operation, target, raw, header):
        g = self.g
        self.authenticate()
        if operation == "stream" and self.method == "GET":
            return self.websocket()
        if operation == "subscribe" and self.method == "GET":
            return self.subscribe(target)
        needs_target = operation in ("invoke", "publish", "cancel", "subscribe")
        if operation not in ("hello", "discover", "invoke", "publish", "cancel", "heartbeat", "subscribe") \
                or needs_target != (target is not None):
            raise MigError("MIG_NOT_FOUND", "no such path")
        if self.method != "POST":
            raise invalid("wrong method", status=405)
        if not raw and operation in ("cancel", "heartbeat"):
            raw = b"{}"
        try:
            body = json.loads(raw)
        except ValueError:
            raise invalid("malformed JSON", "malformed_json") from None
        if not isinstance(body, dict):
            raise invalid("no object")
        if g.bad("json.strict") and set(body) - {"header", "payload", "capability", "supported_versions"}:
            raise invalid("unknown member")
        h = g.header(body.get("header"), self.heads)
        try:
            self.operate(operation, target, body, h)
        except MigError as e:
            e.header = h
            raise

    def operate(self, operation, target, body, h):
        g = self.g
        if operation == "invoke":
            out = self.invoke(target, body, h)
            if out is None:
                return
        elif operation == "publish":
            out = g.publish(h, target, body)
        elif operation == "cancel":
            out = g.cancel(h, body, target)
        else:
            out = getattr(g, operation)(h, body)
        self.send(200, {"header": h, **out}, mid=h["message_id"])

    def invoke(self, target, body, h):
        g = self.g
        actor, outcome, code = self.heads.get("x-actor") or "anonymous", "success", ""
        try:
            if "text/event-stream" in self.heads.get("accept", "") and \
                    body.get("stream_preference") == "server_stream":
                g.admit(h, target, body, 0)
                return self.invoke_stream(target, body, h)
            return g.invoke(h, target, body, self.watch)
        except MigError as e:
            reason = e.details.get("reason")
            outcome, code = ("cancelled" if reason == "cancelled" else
                             "timeout" if e.code == "MIG_TIMEOUT" else "error"), e.code
            raise
        finally:
            g.record(h, target, outcome, actor)
            g.count("invocations_total", capability=target, tenant=h["tenant_id"], outcome=outcome, code=code)

    def watch(self, call):
        """Ends a call whose client goes away."""
        while not call.stop.wait(0.02):
            try:
                self.sock.setblocking(True)
                if self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
                    if not self.g.bad("disconnect.ignored"):
                        call.end(("gone", ""))
                    return
            except BlockingIOError:
                continue
            except (OSError, ValueError):
                return  # TLS sockets cannot be peeked at

    def sse_head(self):
        kind = "text/plain" if self.g.bad("sse.type") else "text/event-stream"
        cache = "" if self.g.bad("sse.cache") else "Cache-Control: no-cache\r\n"
        self.sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{cache}Connection: keep-alive\r\n"
                          f"X-Accel-Buffering: no\r\nMIG-Message-ID: {uuid.uuid4()}\r\n\r\n".encode())
        self.is_open = False

    def invoke_stream(self, target, body, h):
        g, call = self.g, self.g.open_call(h)
        threading.Thread(target=self.watch, args=(call,), daemon=True).start()
        self.sse_head()

        def send(frame):
            name = "frame" if g.bad("sse.name") else "mig-frame"
            try:
                self.sock.sendall(f"event: {name}\ndata: {json.dumps(frame)}\n\n".encode())
            except OSError:
                if not g.bad("disconnect.ignored"):
                    raise

        stream_id = "s" if g.bad("stream.id") else "stream-" + h["message_id"]
        g.stream(h, {**body, "capability": target}, stream_id, call, send)
        call.end(("over", ""))

    def subscribe(self, topic):
        g, q = self.g, self.query
        named = self.heads.get("x-tenant-id") or q.get("tenant_id", "")
        h = g.header({}, self.heads, named)
        g.topic_of(topic)
        text = q.get("max_inflight", "32")
        if not text.isdigit() or not 1 <= int(text) <= 1024:
            raise invalid("max_inflight")
        tenant, consumer = h["tenant_id"], q.get("consumer_id")
        place = g.cursor_of(tenant, topic, q.get("resume_cursor"), self.heads.get("last-event-id"), consumer)
        entry = {"id": "conn-" + uuid.uuid4().hex[:12], "protocol": "http", "kind": "sse_subscribe",
                 "tenant_id": tenant, "started_at": now(), "meta": {"topic": topic}}
        with g.lock:
            g.streams += 1
            g.connections.append(entry)
        try:
            if g.bad("sse.late_head"):
                with g.lock:
                    g.grown.wait(5)
            self.sse_head()
            self.sock.sendall(b"" if g.bad("sse.no_retry") else b"retry: 3000\n\n")
            gone = Call("")
            threading.Thread(target=self.watch, args=(gone,), daemon=True).start()

            def send(e):
                mark = "" if g.bad("sse.no_record_id") else f"id: {e['sequence']}\n"
                self.sock.sendall(f"{mark}event: mig-event\ndata: {json.dumps(e)}\n\n".encode())

            shared = "" if g.bad("events.shared") else tenant
            why = g.follow(shared, topic, place, consumer, send, gone.stop.is_set)
            if why:
                e = MigError("MIG_UNAVAILABLE", why, why).body(h)
                self.sock.sendall(f"event: mig-error\ndata: {json.dumps(e)}\n\n".encode())
        finally:
            with g.lock:
                g.streams -= 1
                g.connections.remove(entry)

    # --- WebSocket (6, 11.4)
    def websocket(self):
        g = self.g
        key = self.heads.get("sec-websocket-key")
        if not key:
            raise invalid("a WebSocket is needed")
        if self.heads.get("origin") and not g.bad("ws.origin"):
            raise MigError("MIG_FORBIDDEN", "origin")
        accept = base64.b64encode(hashlib.sha1(
            (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        accept = "x" * 28 if g.bad("ws.accept") else accept
        offered = self.heads.get("sec-websocket-protocol")
        extra = f"Sec-WebSocket-Protocol: {offered}\r\n" if offered and not g.bad("ws.protocol") else ""
        self.sock.sendall(f"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          f"Sec-WebSocket-Accept: {accept}\r\n{extra}\r\n".encode())
        self.is_open = False
        WebSocket(g, self).run()


class Closed(Exception):
    pass


class WebSocket:
    LIMIT, HIGH = 256, 192

    def __init__(self, gateway, connection):
        self.g, self.sock, self.file = gateway, connection.sock, connection.file
        self.heads, self.lock, self.streams = connection.heads, threading.Lock(), {}
        self.tenant, self.malformed, self.is_over = self.heads.get("x-tenant-id", ""), 0, threading.Event()
        self.queue, self.has_room, self.is_pressed = [], threading.Condition(), False

    def run(self):
        writer = threading.Thread(target=self.write, daemon=True)
        writer.start()
        try:
            self.read()
        except Closed as e:
            self.put(8, struct.pack(">H", e.args[0]))
        except (ConnectionError, OSError, struct.error):
            pass
        finally:
            for call in list(self.streams.values()):
                if not self.g.bad("disconnect.ignored"):
                    call.end(("gone", ""))
            with self.has_room:
                self.is_over.set()
                self.has_room.notify_all()
            writer.join(5)

    def put(self, opcode, data):
        """Queues a frame of the protocol; waits where the queue is full."""
        with self.has_room:
            while len(self.queue) >= self.LIMIT and not self.is_over.is_set():
                self.has_room.wait(0.2)
            self.queue.append((opcode, data))
            if len(self.queue) >= self.HIGH and not self.is_pressed and not self.g.bad("ws.no_pressure"):
                self.is_pressed = True
                text = json.dumps({"kind": "control", "payload": {
                    "action": "backpressure", "queued": len(self.queue), "limit": self.LIMIT}})
                self.queue.append((1, text.encode()))
            self.has_room.notify_all()

    def write(self):
        try:
            while True:
                with self.has_room:
                    while not self.queue:
                        if self.is_over.is_set():
                            return
                        self.has_room.wait(0.2)
                    opcode, data = self.queue.pop(0)
                    if self.is_pressed and len(self.queue) < self.LIMIT // 4:
                        self.is_pressed = False
                        self.queue.append((1, b'{"kind":"control","payload":{"action":"resumed"}}'))
                    self.has_room.notify_all()
                n = len(data)
                size = bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n) if n < 65536 else \
                    b"\x7f" + struct.pack(">Q", n)
                self.sock.sendall(bytes([0x80 | opcode]) + size + data)
        except (ConnectionError, OSError):
            self.is_over.set()

    def send(self, frame):
        if self.is_over.is_set():
            raise ConnectionError
        self.put(1, json.dumps(frame).encode())

    def frame_in(self):
        a, b = self.file.read(2)
        n = b & 127
        if n == 126:
            n, = struct.unpack(">H", self.file.read(2))
        elif n == 127:
            n, = struct.unpack(">Q", self.file.read(8))
        if not b & 128 and not self.g.bad("ws.unmasked"):
            raise Closed(1002)
        if n > 4 << 20 and not self.g.bad("ws.any_size"):
            raise Closed(1009)
        mask = self.file.read(4) if b & 128 else b"\0\0\0\0"
        data = self.file.read(n)
        key = int.from_bytes(mask * (n // 4 + 1), "little") & ((1 << (8 * n)) - 1)
        return a >> 7, a & 15, (int.from_bytes(data, "little") ^ key).to_bytes(n, "little")

    def read(self):
        whole, kind = b"", 0
        while True:
            is_last, opcode, data = self.frame_in()
            if opcode == 8:
                if not self.g.bad("ws.no_close"):
                    self.put(8, data[:2])
                return
            if opcode == 9:
                if not self.g.bad("ws.no_pong"):
                    self.put(10, data)
                continue
            if opcode == 10:
                continue
            if opcode:
                whole, kind = b"", opcode
            whole += data
            if is_last:
                self.message(kind, whole)

    def message(self, kind, data):
        try:
            text = data.decode()
        except UnicodeDecodeError:
            if not self.g.bad("ws.any_bytes"):
                raise Closed(1007) from None
            text = "{}"
        stream_id = None
        try:
            try:
                f = json.loads(text)
            except ValueError:
                self.malformed += 1
                if self.g.bad("ws.malformed_closes") or \
                        (self.malformed >= 10 and not self.g.bad("ws.malformed_forever")):
                    raise Closed(1008) from None
                raise invalid("malformed JSON") from None
            self.malformed = 0
            stream_id = f.get("stream_id")
            h = self.g.header(f.get("header"), {}, self.tenant)
            stream_id = stream_id or "stream-" + h["message_id"]
            if f.get("kind") == "request":
                self.request(f, h, stream_id)
            elif f.get("kind") == "control":
                self.control(f, h, stream_id)
            else:
                raise invalid("frame.kind must be request or control")
        except MigError as e:
            h = e.header or {"mig_version": "0.1", "message_id": str(uuid.uuid4()), "timestamp": now(),
                             "tenant_id": "unknown", "deadline_ms": 30000, "meta": {}}
            self.send({"header": h, "stream_id": stream_id or "", "kind": "error", "end_stream": True,
                       "error": e.body(h)["error"]})

    def request(self, f, h, stream_id):
        if stream_id in self.streams and not self.g.bad("ws.any_stream"):
            raise invalid("stream_id in use")
        if len(self.streams) >= 128 and not self.g.bad("ws.any_number"):
            raise MigError("MIG_BACKPRESSURE", "too many streams")
        call = self.streams[stream_id] = self.g.open_call(h)

        def work():
            try:
                self.g.stream(h, f, stream_id, call, self.send)
            finally:
                self.streams.pop(stream_id, None)

        if self.g.bad("ws.serial"):
            work()
        else:
            threading.Thread(target=work, daemon=True).start()

    def reply(self, h, stream_id, payload):
        self.send({"header": h, "stream_id": stream_id, "kind": "control", "end_stream": True,
                   "payload": payload})

    def control(self, f, h, stream_id):
        payload = f.get("payload") or {}
        action = str(payload.get("action", ""))
        action = action if self.g.bad("control.case") else action.strip().lower()
        call = self.streams.get(stream_id)
        if action == "cancel":
            target = payload.get("target_message_id") or (call.message_id if call else h["message_id"])
            out = self.g.cancel(h, payload, target)
            self.reply(h, stream_id, {"accepted": True, "status": out["status"]})
        elif action in ("pause", "resume"):
            if call:
                (call.paused.set if action == "pause" else call.paused.clear)()
            self.reply(h, stream_id, {"accepted": True})
        elif action == "heartbeat":
            self.reply(h, stream_id, self.g.heartbeat(h, payload))
        elif action == "subscribe":
            self.g.topic_of(payload.get("topic", ""))
            place = self.g.cursor_of(h["tenant_id"], payload["topic"], payload.get("resume_cursor"), None, None)
            self.reply(h, stream_id, {"accepted": True})

            def send(e):
                self.send({"header": h, "stream_id": stream_id, "kind": "event",
                           "payload": {k: v for k, v in e.items() if k != "header"}})

            threading.Thread(target=self.g.follow, daemon=True, args=(
                h["tenant_id"], payload["topic"], place, None, send, self.is_over.is_set)).start()
        elif self.g.bad("control.any"):
            self.reply(h, stream_id, {"accepted": True})
        else:
            raise invalid("unsupported control action")


if __name__ == "__main__":
    import sys
    gateway = FakeGateway()
    gateway.fault = sys.argv[1] if len(sys.argv) > 1 else None
    print(gateway.url, flush=True)
    gateway.thread.join()
