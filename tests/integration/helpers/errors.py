"""What an error must look like on every surface (mig-core.md 10), and the routes that the OpenAPI documents
name."""
import json
import subprocess

from .daemon import ROOT, clean_environment
from .ws import Socket

STATUS = {"MIG_INVALID_REQUEST": 400, "MIG_UNAUTHORIZED": 401, "MIG_FORBIDDEN": 403, "MIG_NOT_FOUND": 404,
          "MIG_UNSUPPORTED_CAPABILITY": 404, "MIG_VERSION_MISMATCH": 400, "MIG_TIMEOUT": 504,
          "MIG_RATE_LIMITED": 429, "MIG_BACKPRESSURE": 429, "MIG_UNAVAILABLE": 503, "MIG_INTERNAL": 500}
CODES = list(STATUS)
RETRYABLE = {"MIG_TIMEOUT", "MIG_RATE_LIMITED", "MIG_BACKPRESSURE", "MIG_UNAVAILABLE"}
DOCUMENTS = ["mig", "admin", "pro", "cloud"]
METHODS = ("get", "post", "put", "delete")


def check_envelope(envelope, code, reason=None, retryable=None, message_id=None):
    """The envelope of an answer, a record of an event stream, a frame of a WebSocket."""
    error, header = envelope["error"], envelope["header"]
    assert set(error) == {"code", "message", "retryable", "details"}, envelope
    assert error["code"] == code, error
    assert error["retryable"] is ((code in RETRYABLE) if retryable is None else retryable), error
    assert isinstance(error["details"], dict) and error["message"]
    assert error["details"].get("reason") == reason, error
    assert {"mig_version", "message_id", "timestamp", "tenant_id", "meta"} <= set(header), header
    assert header["mig_version"] == "0.1" and header["tenant_id"]
    assert not message_id or header["message_id"] == message_id, header
    if STATUS[code] in (429, 503):
        assert error["details"]["retry_after_ms"] >= 1, error


def check_reply(reply, code, reason=None, status=None, retryable=None, message_id=None):
    """An answer of HTTP. message_id: what the client called it; None: any."""
    status = status or STATUS[code]
    assert reply.status == status, reply
    assert reply.headers["Content-Type"] == "application/json"
    envelope = reply.json
    assert set(envelope) == {"header", "error"}, envelope
    check_envelope(envelope, code, reason, retryable, message_id)
    assert reply.headers["MIG-Message-ID"] == envelope["header"]["message_id"]
    assert (reply.headers.get("Retry-After") is not None) == (status in (429, 503)), reply
    assert (reply.headers.get("WWW-Authenticate") == "Bearer") == (status == 401), reply
    assert (reply.headers.get("Allow") is not None) == (status == 405), reply


def documents():
    """The OpenAPI documents as they are served from this tree, as Python objects."""
    import yaml  # comes with schemathesis
    return [yaml.safe_load((ROOT / f"docs/reference/openapi/{n}.yaml").read_text()) for n in DOCUMENTS]


def described():
    """{"POST /mig/v0.1/hello": its operation}"""
    return {f"{method.upper()} {path}": operation for document in documents()
            for path, item in document["paths"].items()
            for method, operation in item.items() if method in METHODS}


def error_statuses(operation):
    return {int(s) for s in operation["responses"] if int(s) >= 400}


def is_public(operation):
    return operation.get("security") == []


KEYS = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}


def key_pair(folder, kind="ec"):
    """A certificate, whose key may sign tokens: with it every token goes to a worker."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", *KEYS[kind], "-nodes", "-keyout", "k.key",
                    "-out", f"{kind}.pem", "-days", "9", "-subj", "/CN=k"], cwd=folder, check=True,
                   capture_output=True, timeout=60, env=clean_environment())
    return folder / f"{kind}.pem"


# --- INVOKE in its four shapes ----------------------------------------------------------------------

SHAPES = ["unary", "sse", "gathered", "ws"]


class Outcome:
    """How an INVOKE failed: .envelope, and the HTTP .reply when it was an ordinary answer."""

    def __init__(self, envelope, reply=None):
        self.envelope, self.reply = envelope, reply


def invoke_over_ws(d, capability, payload, header, headers, extra):
    with Socket(d.address, headers) as s:
        if s.reply:
            return Outcome(s.reply.json, s.reply)
        meta = {**header.pop("meta", {}), "mig.stream_preference": extra["stream_preference"]}
        frame = {"header": {**header, "meta": meta}, "stream_id": "s", "capability": capability,
                 "kind": "request", "payload": payload}
        last = s.send(frame).last()
        assert last["kind"] == "error" and last["end_stream"] is True, last
        return Outcome(last)


def invoke_in(shape, d, capability, payload, header, headers=None, preference="server_stream"):
    """The failure of an INVOKE."""
    headers = dict(headers or {})
    extra = {"stream_preference": "unary" if shape == "unary" else preference}
    if shape == "ws":
        return invoke_over_ws(d, capability, payload, dict(header), headers, extra)
    if shape == "sse":
        headers["Accept"] = "text/event-stream"
    client = d.client()
    r = client.post(f"/mig/v0.1/invoke/{capability}", {"header": header, "payload": payload, **extra}, headers)
    client.close()
    if not r.headers["Content-Type"].startswith("text/event-stream"):
        return Outcome(r.json, r)
    records = [block.split("\n") for block in r.body.decode().strip().split("\n\n")]
    assert r.status == 200 and all(block[0] == "event: mig-frame" for block in records), records
    last = json.loads(records[-1][1].removeprefix("data: "))
    assert last["kind"] == "error" and last["end_stream"] is True, last
    return Outcome(last)
