"""Errors that single routes have: what provokes them (test_error_matrix.py). A new route needs a line here."""
from test_identity import SECRET, bearer, token

INFER = "observatory.models.infer"
INVALID, FORBIDDEN, NOT_FOUND = "MIG_INVALID_REQUEST", "MIG_FORBIDDEN", "MIG_NOT_FOUND"
VERSION, UNAVAILABLE = "MIG_VERSION_MISMATCH", "MIG_UNAVAILABLE"
HEAD = {"header": {"tenant_id": "acme"}}
JWT = {"mig": {"auth_mode": "jwt", "jwt_hs256_secret": SECRET}}

HANDSHAKE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}


class Row:
    def __init__(self, code, reason, status=None, body=None, path=None, headers=None, world="plain",
                 retryable=None, member=None):
        self.code, self.reason, self.body, self.path, self.world = code, reason, body, path, world
        self.status = status or {INVALID: 400, VERSION: 400, FORBIDDEN: 403, NOT_FOUND: 404}.get(code)
        self.headers, self.retryable, self.member = headers or {}, retryable, member


def bad_headers(envelope):
    """What any operation refuses."""
    return [Row(INVALID, "malformed_json", body="{"),
            Row(INVALID, "invalid_envelope", body="[]"),
            Row(INVALID, "invalid_member", body={"header": {"tenant_id": "acme", "meta": 1}, **envelope}),
            Row(INVALID, "tenant_required", body={"header": {"tenant_id": "unknown"}, **envelope}),
            Row(VERSION, "mig_version", body={"header": {"tenant_id": "acme", "mig_version": "9"}, **envelope}),
            Row(FORBIDDEN, "tenant_mismatch", body={**HEAD, **envelope}, headers={"X-Tenant-ID": "other"})]


EMPTY = Row(INVALID, "body_required", body="")
CURSOR = Row(INVALID, "resume_cursor", path="/mig/v0.1/subscribe/matrix.topic?resume_cursor=x")
OBJECT_WANTED = [EMPTY, Row(INVALID, "malformed_json", body="[")]
REFUSED = Row(INVALID, "invalid_configuration", status=422, world="broken")


def capability(id="matrix.made"):
    return {"descriptor": {"id": id, "version": "1.0.0", "input_schema_uri": "schema://m/i",
                           "output_schema_uri": "schema://m/o"}}


def row(plural, **more):
    return {"name": "x", "tenant_id": "none", "org_id": "none", "region": "eu", "binding": "http", **more}


# Sample path, sample body, and the rows that only this route has. Those that all have are made below.
TABLE = {
    "POST /mig/v0.1/hello": (HEAD, bad_headers({}) + [
        EMPTY, Row(VERSION, "mig_version", body={**HEAD, "supported_versions": ["9.9"]}),
        Row(INVALID, "invalid_member", body={**HEAD, "supported_versions": 1})]),
    "POST /mig/v0.1/discover": (HEAD, bad_headers({}) + [
        EMPTY, Row(INVALID, "invalid_member", body={**HEAD, "query": 1})]),
    "POST /mig/v0.1/heartbeat": (HEAD, bad_headers({}) + [
        Row(INVALID, "invalid_member", body={**HEAD, "interval_ms": "x"})]),
    "POST /mig/v0.1/cancel/{message_id}": (HEAD, bad_headers({}) + [
        Row(INVALID, "target_mismatch", body={**HEAD, "target_message_id": "another"}),
        Row(FORBIDDEN, "not_the_invoker", body={}, path="/mig/v0.1/cancel/running", world="jwt",
            headers=bearer(token(sub="bob")))]),
    "POST /mig/v0.1/publish/{topic}": ({**HEAD, "payload": {}}, bad_headers({"payload": {}}) + [
        EMPTY, Row(INVALID, "invalid_payload", body={**HEAD, "payload": 1}),
        Row(INVALID, "topic_mismatch", body={**HEAD, "topic": "another.topic"}),
        Row(INVALID, "topic_namespace", path="/mig/v0.1/publish/nodot"),
        Row(INVALID, "invalid_member", path="/mig/v0.1/publish/a..b"),
        Row(FORBIDDEN, "insufficient_scope", path="/mig/v0.1/publish/observatory.inference.completed",
            body={}, world="jwt", headers=bearer(token(scopes=[])))]),
    "GET /mig/v0.1/subscribe/{topic}": (None, [
        CURSOR, Row(INVALID, "topic_namespace", path="/mig/v0.1/subscribe/nodot"),
        Row(INVALID, "invalid_member", path="/mig/v0.1/subscribe/matrix.topic?max_inflight=0"),
        Row(INVALID, "tenant_required", headers={"X-Tenant-ID": ""}),
        Row(VERSION, "mig_version", headers={"MIG-Version": "9"}),
        Row("MIG_RATE_LIMITED", "replay_quota", status=429,
            path="/mig/v0.1/subscribe/matrix.replayed?consumer_id=c&resume_cursor=0"),
        Row(FORBIDDEN, "insufficient_scope", path="/mig/v0.1/subscribe/observatory.inference.completed",
            world="jwt", headers=bearer(token(scopes=[])))]),
    "GET /mig/v0.1/schemas": (None, [
        Row(INVALID, "uri_required"), Row(VERSION, "mig_version", headers={"MIG-Version": "9"}),
        Row(INVALID, "tenant_required", headers={"X-Tenant-ID": ""}),
        Row(NOT_FOUND, "schema_not_found", path="/mig/v0.1/schemas?uri=schema://no")]),
    "GET /mig/v0.1/stream": (None, [
        Row(INVALID, "websocket_handshake", status=426),
        Row(INVALID, "websocket_handshake", headers={**HANDSHAKE, "Sec-WebSocket-Key": "short"}),
        Row(FORBIDDEN, "origin", headers={**HANDSHAKE, "Origin": "https://foreign.example"})]),
    "POST /mig/v0.1/invoke/{capability}": ({**HEAD, "payload": {"input": "x"}}, bad_headers({}) + [
        EMPTY, Row("MIG_UNSUPPORTED_CAPABILITY", "capability_not_found", status=404,
                   path="/mig/v0.1/invoke/no.such"),
        Row(NOT_FOUND, None, status=404, path="/mig/v0.1/invoke/test.tally.run",
            body={**HEAD, "payload": {"error": 4, "until": 10**9}}),
        Row("MIG_INTERNAL", "invalid_provider_output", status=500, path="/mig/v0.1/invoke/test.hostile.garbage"),
        Row("MIG_TIMEOUT", "deadline_exceeded", status=504,
            body={"header": {"tenant_id": "acme", "deadline_ms": 30}, "payload": {"input": "x", "delay_ms": 900}}),
        Row("MIG_RATE_LIMITED", "tenant_quota", status=429,
            body={"header": {"tenant_id": "spent"}, "payload": {"input": "x"}})]),
    "POST /admin/v0.1/reload": ("", [REFUSED]),
    "POST /admin/v0.1/manifests": ("version: 0.2\nproviders: {}\n", [
        EMPTY, Row(INVALID, "invalid_configuration", status=422, body="version: 99\n")]),
    "POST /admin/v0.1/plugins/reload": ({"plugin_name": "echo"}, OBJECT_WANTED + [
        REFUSED, Row(NOT_FOUND, "plugin_not_found", body={"plugin_name": "nobody"})]),
    "GET /admin/v0.1/plugins/{name}": (None, [
        Row(NOT_FOUND, "plugin_not_found", path="/admin/v0.1/plugins/nobody")]),
    "POST /admin/v0.1/capabilities": (capability(), OBJECT_WANTED + [
        REFUSED, Row(INVALID, "invalid_capability", body={"descriptor": {}})]),
    "GET /admin/v0.1/capabilities/{id}": (None, [
        Row(NOT_FOUND, "capability_not_found", path="/admin/v0.1/capabilities/no.such")]),
    "DELETE /admin/v0.1/capabilities/{id}": (None, [
        Row(NOT_FOUND, "capability_not_found", path="/admin/v0.1/capabilities/no.such"),
        Row(FORBIDDEN, "not_an_upsert", path="/admin/v0.1/capabilities/test.tally.run"), REFUSED]),
    "GET /admin/v0.1/schemas": (None, [
        Row(NOT_FOUND, "schema_not_found", path="/admin/v0.1/schemas?uri=schema://no")]),
    "POST /admin/v0.1/schemas": ({"uri": "schema://m/new", "schema": {}}, OBJECT_WANTED + [
        REFUSED, Row(INVALID, "uri_required", body={"schema": {}}),
        Row(INVALID, "schema_required", body={"uri": "schema://m/s"}),
        Row(INVALID, "invalid_uri", body={"uri": "none", "schema": {}}),
        Row(INVALID, "invalid_schema", body={"uri": "schema://m/s", "schema": {"type": "sideways"}}),
        Row(INVALID, "schema_provided", status=409,
            body={"uri": "schema://observatory/models/infer-input/v1", "schema": {}})]),
    "DELETE /admin/v0.1/connections/{id}": (None, [
        Row(NOT_FOUND, "connection_not_found", path="/admin/v0.1/connections/conn-000000000000")]),
    "GET /pro/v0.1/audit/export": (None, [
        Row(INVALID, member, path=f"/pro/v0.1/audit/export?{member}=x")
        for member in ("limit", "format", "since", "until", "outcome")]),
    "POST /pro/v0.1/policies/validate": (
        {"tenant_id": "acme", "capability": INFER, "action": "invoke"}, OBJECT_WANTED + [
            Row(INVALID, "invalid_question", body={"tenant_id": "acme"})]),
    "POST /pro/v0.1/quotas": ({"tenant_id": "some", "max_invocations": 9}, OBJECT_WANTED + [
        Row(INVALID, "invalid_quota", body={"tenant_id": "some", "max_invocations": 0})]),
    "POST /cloud/v0.1/orgs": ({"id": "o1", "name": "o"}, OBJECT_WANTED + [
        Row(INVALID, "invalid_row", body={}), Row(INVALID, "conflict", status=409, body={"id": "o0", "name": "x"})]),
    "POST /cloud/v0.1/tenants": (row("tenants", id="t1", org_id="o0"), OBJECT_WANTED + [
        Row(INVALID, "invalid_row", body={}), Row(NOT_FOUND, "not_found", body=row("tenants")),
        Row(INVALID, "conflict", status=409, body=row("tenants", id="t0", org_id="o0"))]),
    "POST /cloud/v0.1/gateways": (row("gateways", id="g1", tenant_id="t0"), OBJECT_WANTED + [
        Row(INVALID, "invalid_row", body={}), Row(NOT_FOUND, "not_found", body=row("gateways")),
        Row(INVALID, "conflict", status=409, body=row("gateways", id="g0", tenant_id="t0"))]),
    **{f"GET {path}": (None, []) for path in (
        "/admin/v0.1/generations", "/admin/v0.1/plugins", "/admin/v0.1/instances", "/admin/v0.1/capabilities",
        "/admin/v0.1/connections", "/admin/v0.1/loops", "/admin/v0.1/config", "/admin/v0.1/health/detailed",
        "/admin/v0.1/health/conformance", "/admin/v0.1/health/live", "/admin/v0.1/health/ready", "/health",
        "/metrics", "/pro/v0.1/quotas", "/cloud/v0.1/orgs", "/cloud/v0.1/tenants", "/cloud/v0.1/gateways",
        "/cloud/v0.1/usage", "/openapi/mig.yaml", "/openapi/admin.yaml", "/openapi/pro.yaml",
        "/openapi/cloud.yaml")},
}
# Of operators' routes, what a plain tenant token reads.
FOR_TENANTS = {"GET " + path for path in (
    "/admin/v0.1/capabilities", "/admin/v0.1/capabilities/{id}", "/admin/v0.1/connections",
    "/admin/v0.1/health/detailed", "/admin/v0.1/health/conformance", "/pro/v0.1/audit/export",
    "/pro/v0.1/quotas", "/cloud/v0.1/usage")}
