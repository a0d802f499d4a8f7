"""Every error on every route: what provokes it, and that it looks as mig-core.md 10 wants it. The table is as
large as the OpenAPI documents: a route, or a status of a route, without a row fails the first test.
INVOKE and the streams have a table of their own in test_error_streams.py."""
import re
import threading
import time

import pytest
from helpers.daemon import ROOT
from helpers.error_table import (FOR_TENANTS, FORBIDDEN, INFER, INVALID, JWT, NOT_FOUND, TABLE, UNAVAILABLE, Row,
                                 capability)
from helpers.errors import check_reply, described, error_statuses, is_public, key_pair
from helpers.http import eventually
from test_error_streams import CAUSES, CONTROLS
from test_http2 import Frames, field, frame
from test_identity import bearer, token

DESCRIBED = described()
REFERENCE = ROOT / "docs/reference/errors.md"
ROUTES = sorted(TABLE)
PROTECTED = [r for r in ROUTES if r in DESCRIBED and not is_public(DESCRIBED[r])]
OPERATORS = [r for r in PROTECTED if not r.split()[1].startswith("/mig/")]
POSTS = [r for r in ROUTES if r.startswith("POST")]
ROWS = [(r, n) for r in ROUTES for n in range(len(TABLE[r][1]))]


def of_all(route):
    """What every route answers, for reasons that are not its own."""
    protected = {401, 403, 429} if route in PROTECTED else set()
    return {408, 414, 431, 503} | protected | ({413} if route in POSTS else set())


def test_the_table_is_as_large_as_the_documents():
    assert set(TABLE) == set(DESCRIBED), "a route without rows, or rows without a route"
    for route in ROUTES:
        have = of_all(route) | {r.status for r in TABLE[route][1]}
        assert have == error_statuses(DESCRIBED[route]), route


def test_the_documents_are_as_large_as_the_daemon(shared):
    http = shared.http
    served = {f"{r['method']} {r['pattern']}" for name in ("http", "ws", "admin", "pro")
              for r in http.admin("plugins/" + name).json["routes"]}
    assert served == set(DESCRIBED)


def test_the_reference_knows_every_reason():
    listed = dict(re.findall(r"^\| `(MIG_\w+)` \| \d+ \| \w+ \| (.*) \|$", REFERENCE.read_text(), re.M))
    rows = [row for _, rows in TABLE.values() for row in rows if row.status != 422]
    given = {(r.code, r.reason) for r in rows if r.reason} | \
        {(code, reason) for code, reason, *_ in CAUSES.values()} | {(c[1], c[2]) for c in CONTROLS.values()}
    of_arguments = {(INVALID, r.reason) for r in rows if "audit" in (r.path or "")}
    assert [g for g in sorted(given - of_arguments) if f"`{g[1]}`" not in listed[g[0]]] == []


# --- worlds -----------------------------------------------------------------------------------------

SHARED = {"plugins": ["tally", "hostile"], "settings": {
    "loops": 2, "mig.max_body_bytes": 30000, "mig.replay_quota": 5}}


@pytest.fixture(scope="module")
def plain(shared):
    http = shared.http
    for _ in range(9):
        assert http.mig("publish/matrix.replayed", {"payload": {}}).status == 200
    for path, body in (("orgs", {"id": "o0", "name": "o"}), ("tenants", {"id": "t0", "name": "t", "org_id": "o0"}),
                       ("gateways", {"id": "g0", "tenant_id": "t0", "region": "us", "binding": "http"})):
        assert http.post("/cloud/v0.1/" + path, body).status == 201
    assert http.post("/pro/v0.1/quotas", {"tenant_id": "spent", "max_invocations": 1}).status == 200
    assert http.invoke(INFER, {"input": "x"}, tenant="spent").status == 200
    return shared


@pytest.fixture(scope="module")
def worlds(tmp_path_factory, request):
    """Daemons by name, made when they are asked for."""
    from conftest import judge
    from helpers.daemon import Daemon
    made = {}

    def make(name, settings, **more):
        if name not in made:
            made[name] = Daemon(tmp_path_factory.mktemp(name) / "migd", settings, **more)
        return made[name]

    yield make
    judge(made.values(), "worlds", request.session.testsfailed > 0)


@pytest.fixture(scope="module")
def jwt(worlds):
    """Where alice's call of the id `running` runs."""
    d = worlds("jwt", JWT).start()
    slow = d.client(timeout=120)
    slow.request_only = threading.Thread(target=lambda: slow.invoke(
        INFER, {"input": "x", "delay_ms": 60000}, tenant=None, headers=bearer(token()), message_id="running",
        deadline_ms=90000), daemon=True)
    slow.request_only.start()
    running = lambda: d.http.get("/admin/v0.1/health/detailed", **bearer(token())).json["inflight"]
    eventually(lambda: running() >= 1)
    yield d
    d.http.mig("cancel/running", tenant=None, headers=bearer(token()))
    slow.request_only.join(20)


@pytest.fixture(scope="module")
def keyed(worlds):
    return worlds("keyed", {"mig.admin_api_key": "k", "http.hosts": ["127.0.0.1", "localhost"]}).start()


@pytest.fixture(scope="module")
def broken(worlds, plugins):
    """Its manifest has become nonsense."""
    d = worlds("broken", {})
    d.start()
    assert d.http.admin("capabilities", "POST", capability("matrix.made")).status == 201
    d.write_manifest("version: 0.2\nproviders: {x: {nonsense: true}}\n")
    return d


def path_of(route):
    sample = {"capability": INFER, "topic": "matrix.topic", "message_id": "target", "name": "echo",
              "id": "matrix.made" if "capabilities" in route else "conn-000000000001"}
    return route.split()[1].format(**sample)


def ask(d, route, row=None, headers=None):
    """The route's sample request with what the row changes."""
    method, body = route.split()[0], TABLE[route][0]
    row = row or Row(None, None)
    body = body if row.body is None else row.body
    sent = {"MIG-Message-ID": "matrix-1", **row.headers, **(headers or {})}
    if method == "GET" and "X-Tenant-ID" not in sent and "Authorization" not in sent:
        sent["X-Tenant-ID"] = "acme"
    client = d.client()
    try:
        return client.request(method, row.path or path_of(route), body, sent)
    finally:
        client.close()
        d.clients.remove(client)


# --- what a route has of its own --------------------------------------------------------------------

@pytest.mark.parametrize("route, n", ROWS, ids=[f"{r}-{n}" for r, n in ROWS])
def test_errors_of_the_route(request, plain, route, n):
    row = TABLE[route][1][n]
    d = plain if row.world == "plain" else request.getfixturevalue(row.world)
    check_reply(ask(d, route, row), row.code, row.reason, row.status, row.retryable, "matrix-1")


def test_no_handshake_is_told_what_to_speak(plain):
    """RFC 9110 15.5.22; RFC 6455 4.4."""
    for headers in ({}, {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "8"}):
        r = plain.http.get("/mig/v0.1/stream", **headers)
        assert (r.status, r.headers["Upgrade"], r.headers["Connection"]) == (426, "websocket", "upgrade")
        assert r.headers["Sec-WebSocket-Version"] == "13"


# --- what all routes have in common -----------------------------------------------------------------

@pytest.mark.parametrize("route", PROTECTED)
def test_without_credentials(jwt, route):
    for headers in ({"X-Tenant-ID": "acme"}, {"Authorization": "Basic x", "X-Tenant-ID": "acme"}):
        check_reply(ask(jwt, route, headers=headers), "MIG_UNAUTHORIZED", "missing_token", message_id="matrix-1")
    check_reply(ask(jwt, route, headers=bearer("a.b.c")), "MIG_UNAUTHORIZED", "invalid_token",
                message_id="matrix-1")


@pytest.mark.parametrize("route", PROTECTED)
def test_for_another_tenant(jwt, route):
    r = ask(jwt, route, headers={**bearer(token()), "X-Tenant-ID": "other"})
    check_reply(r, FORBIDDEN, "tenant_mismatch", message_id="matrix-1")


@pytest.mark.parametrize("route", OPERATORS)
def test_what_operators_do_is_for_operators(jwt, keyed, plain, route):
    is_read = route.startswith("GET")
    r = ask(jwt, route, headers=bearer(token()))
    if route in FOR_TENANTS:
        assert r.status in (200, 404), r
    else:
        check_reply(r, FORBIDDEN, "operators_only" if is_read else "admin_scope_required", message_id="matrix-1")
    if not is_read:
        r = ask(jwt, route, headers=bearer(token(scopes=["mig:viewer"])))
        check_reply(r, FORBIDDEN, "admin_scope_required", message_id="matrix-1")
    check_reply(ask(keyed, route), "MIG_UNAUTHORIZED", "authentication_required", message_id="matrix-1")
    r = ask(keyed, route, headers={"X-Admin-API-Key": "wrong"})
    check_reply(r, "MIG_UNAUTHORIZED", "authentication_failed", message_id="matrix-1")
    r = ask(plain, route, headers={"Origin": "https://foreign.example"})
    check_reply(r, FORBIDDEN, "origin", message_id="matrix-1")


@pytest.mark.parametrize("route", ROUTES)
def test_requests_that_are_too_large_or_go_astray(plain, keyed, route):
    path = path_of(route)
    r = ask(plain, route, Row(None, None, path=path + "?" + "a" * 9000))
    check_reply(r, INVALID, "url_too_long", status=414)
    r = ask(plain, route, headers={"X-Long": "a" * 17000})
    check_reply(r, INVALID, "headers_too_large", status=431)
    if route in POSTS:
        r = ask(plain, route, Row(None, None, body=" " * 40000))
        check_reply(r, INVALID, "body_too_large", status=413)
    r = plain.http.request("PATCH", path, headers={"MIG-Message-ID": "matrix-1"})
    check_reply(r, INVALID, "method_not_allowed", status=405, message_id="matrix-1")
    assert route.split()[0] in r.headers["Allow"]
    r = plain.http.request(route.split()[0], path + "/no/such", headers={"MIG-Message-ID": "matrix-1"})
    check_reply(r, NOT_FOUND, "no_route", message_id="matrix-1")
    r = ask(keyed, route, headers={"Host": "foreign.example", "X-Admin-API-Key": "k"})
    check_reply(r, INVALID, "misdirected", status=421, message_id="matrix-1")


def test_requests_that_do_not_end(worlds):
    d = worlds("slow", {"http.header_timeout_ms": 300, "http.body_timeout_ms": 300}).start()
    raws = {}
    for route in ROUTES:
        method, path = route.split()[0], path_of(route)
        raws[route, "head"] = d.raw().send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n")
        if method == "POST":
            raws[route, "body"] = d.raw().send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
                                               "Content-Length: 10\r\n\r\n{")
    for (route, part), raw in raws.items():
        r = raw.reply()
        r.headers = {"Content-Type": r.headers["content-type"], "MIG-Message-ID": r.headers["mig-message-id"]}
        check_reply(r, "MIG_TIMEOUT", "request_timeout", status=408)
        raw.close()


def test_requests_that_come_while_it_stops(worlds, plugins):
    d = worlds("stopping", {}, exit_code=0)
    d.drop(plugins("pool_sleep"))
    d.start()
    hold = d.raw(30)
    hold.send("POST /mig/v0.1/invoke/test.pool.sleep HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: acme\r\n"
              'Content-Length: 23\r\n\r\n{"payload":{"ms":2000}}')
    raws = {}
    for route in ROUTES:
        raws[route] = d.raw().send(f"{route.split()[0]} {path_of(route)} HTTP/1.1\r\nHost: localhost\r\n")
    eventually(lambda: d.http.result("test.pool.status")["started"] == 1)
    for _ in range(8):  # every loop has looked at its connections since
        client = d.client()
        client.mig("hello")
        client.close()
    d.signal(15)
    d.wait_log(lambda l: l.get("event") == "migd.stopping")
    for route, raw in raws.items():
        raw.send("MIG-Message-ID: matrix-1\r\nX-Tenant-ID: acme\r\n" +
                 ('Content-Length: 2\r\n\r\n{}' if route in POSTS else "\r\n"))
        r = raw.reply()
        r.headers = {k: r.headers.get(k.lower()) for k in ("Content-Type", "MIG-Message-ID", "Retry-After")}
        check_reply(r, UNAVAILABLE, "stopping", message_id="matrix-1")
        raw.close()
    hold.close()


# --- too many who are not known yet -----------------------------------------------------------------

def with_new_token(d, route, timeout=20):
    """The answer to a token that was never seen."""
    method, body = route.split()[0], "{}" if route in POSTS else ""
    with d.raw(timeout) as raw:
        return raw.send(f"{method} {path_of(route)} HTTP/1.1\r\nHost: localhost\r\nMIG-Message-ID: matrix-1\r\n"
                        f"Authorization: Bearer {time.monotonic_ns()}\r\nContent-Length: {len(body)}\r\n\r\n"
                        f"{body}").reply()


def is_refused(d):
    try:
        return with_new_token(d, "GET /metrics", 0.3).status == 429
    except TimeoutError:
        return False


@pytest.fixture(scope="module")
def busy(worlds, plugins, tmp_path_factory):
    """Its only worker sleeps, and more tokens wait for it than may."""
    key = key_pair(tmp_path_factory.mktemp("key"))
    d = worlds("busy", {"workers": 1, "loops": 2, "mig": {
        **JWT["mig"], "jwt_key_files": [str(key)], "admin_api_key": "k"}})
    d.drop(plugins("pool_sleep"))
    d.start()
    sleeper = d.client(timeout=120)
    sleep = threading.Thread(target=lambda: pytest.raises(Exception, sleeper.invoke, "test.pool.sleep",
                             {"ms": 100000}, tenant=None, headers=bearer(token()), deadline_ms=200000), daemon=True)
    sleep.start()
    running = lambda: d.http.get("/admin/v0.1/health/detailed", **{"X-Admin-API-Key": "k"}).json["inflight"]
    eventually(lambda: running() == 1, what="its handler has the worker")
    crowd = [Frames(d) for _ in range(12)]
    for n, c in enumerate(crowd):
        c.send(*[frame(1, 5, 2 * i + 1, b"".join(field(*f) for f in (
            (":method", "GET"), (":scheme", "http"), (":path", "/metrics"), (":authority", "x"),
            ("authorization", f"Bearer {n}-{i}")))) for i in range(100)])
    eventually(lambda: is_refused(d), 30, what="the queue of tokens is full")
    yield d
    [c.close() for c in crowd]
    sleeper.conn.sock.shutdown(2)
    sleep.join(20)


@pytest.mark.parametrize("route", PROTECTED)
def test_too_many_tokens_wait(busy, route):
    r = with_new_token(busy, route)
    r.headers = {k: r.headers.get(k.lower()) for k in ("Content-Type", "MIG-Message-ID", "Retry-After")}
    check_reply(r, "MIG_BACKPRESSURE", "authentication_busy", message_id="matrix-1")
