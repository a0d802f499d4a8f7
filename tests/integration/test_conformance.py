"""`migctl conformance`: against a gateway that is right (nothing may fail), against the same one with a fault
(the check for it has to fail), against the daemon, and against nobody."""
import json
import re
import socket

import pytest
from helpers.daemon import SLOW, migctl
from helpers.fake_gateway import FAMILIES, FakeGateway
from test_identity import SECRET, bearer, token
from test_tls import certificate
from test_tls import settings as tls_settings

SHARED = {}

# What is wrong with the gateway, and the checks that have to see it.
FAULTS = {
    "header.any_version": "header.version.other mirror.version",
    "header.id_upper": "header.message_id.generated header.message_id.empty",
    "header.no_clamp": "header.deadline.clamped",
    "mirror.wins": "mirror.body_wins",
    "tenant.any": "tenant.mismatch publish.tenant ws.tenant",
    "tenant.no_placeholder": "tenant.placeholder",
    "tenant.header_only": "tenant.from_body ws.harness",
    "trace.raw": "header.traceparent.bad",
    "trace.none": "header.traceparent.echo mirror.traceparent trace.invoke trace.event stream.trace",
    "meta.idg_kept": "header.meta.idg",
    "meta.lost": "header.meta.echo",
    "http.no_id": "header.message_id.http",
    "http.no_id_on_error": "header.message_id.http header.message_id.same",
    "http.other_id": "header.message_id.same mirror.message_id",
    "http.no_413": "error.too_large",
    "error.plain": "error.json error.route error.method",
    "error.status": "invoke.unknown error.code deadline.expired",
    "json.strict": "header.unknown",
    "hello.all_features": "hello.features",
    "discover.no_query": "discover.query.nothing",
    "discover.refs": "discover.schema_refs",
    "discover.null_list": "discover.descriptors",
    "discover.unsorted": "discover.sorted",
    "heartbeat.no_clamp": "heartbeat.low heartbeat.high heartbeat.negative",
    "pin.any": "invoke.pin.mismatch",
    "cancel.refuses": "cancel.unknown cancel.empty_body",
    "cancel.any_tenant": "cancel.other_tenant",
    "cancel.lies": "cancel.running cancel.reason",
    "cancel.forgets": "cancel.pending",
    "cancel.slow": "cancel.running stream.cancel control.cancel",
    "cancel.retryable": "cancel.running stream.cancel control.cancel",
    "disconnect.ignored": "cancel.disconnect stream.disconnect ws.disconnect",
    "inflight.any": "inflight.duplicate stream.duplicate",
    "deadline.ignored": "deadline.expired deadline.mirror stream.deadline ws.deadline",
    "idem.none": "idempotency.replay idempotency.reuse idempotency.mirror",
    "idem.no_flag": "idempotency.replay",
    "idem.reuse": "idempotency.reuse",
    "idem.any_tenant": "idempotency.tenants",
    "idem.text": "idempotency.canonical",
    "stream.two_ends": "stream.order ws.unary ws.chunks",
    "stream.gap": "stream.order ws.chunks",
    "stream.no_end": "stream.order ws.unary",
    "stream.late": "stream.incremental",
    "stream.id": "stream.frame",
    "sse.name": "stream.records",
    "sse.type": "stream.order subscribe.head",
    "sse.cache": "subscribe.head",
    "sse.late_head": "subscribe.head",
    "sse.no_retry": "subscribe.retry",
    "sse.no_record_id": "subscribe.record",
    "events.gap": "publish.sequence",
    "events.lost": "subscribe.order subscribe.lossless",
    "events.shared": "publish.tenants",
    "events.replay_flag": "subscribe.replay_flag control.subscribe",
    "publish.twice": "publish.idempotency",
    "subscribe.off_by_one": "subscribe.cursor.0 subscribe.cursor.n",
    "subscribe.no_last_id": "subscribe.last_event_id",
    "subscribe.no_memory": "subscribe.consumer",
    "consumer.both": "subscribe.takeover",
    "ws.accept": "ws.handshake ws.unary",
    "ws.origin": "ws.origin",
    "ws.protocol": "ws.subprotocol",
    "ws.serial": "ws.concurrent ws.interleave control.overtakes",
    "ws.any_stream": "ws.duplicate",
    "ws.malformed_closes": "ws.malformed",
    "ws.malformed_forever": "ws.ten_malformed",
    "ws.unmasked": "ws.unmasked",
    "ws.any_size": "ws.too_large",
    "ws.any_bytes": "ws.utf8",
    "ws.no_pong": "ws.ping",
    "ws.no_close": "ws.close",
    "ws.no_pressure": "ws.backpressure",
    "control.case": "control.cancel.case",
    "control.no_pause": "control.pause",
    "control.any": "control.unsupported",
    "audit.none": "audit.success audit.error audit.timeout audit.cancelled",
    "audit.reversed": "audit.export",
    "metrics.no_invocations_total": "metrics.invocations metrics.by_capability",
    "metrics.no_errors_total": "metrics.errors metrics.by_code",
    "metrics.no_http_requests_total": "metrics.requests metrics.by_route metrics.other_route",
    "metrics.no_queue_depth": "metrics.queue_depth",
}
TOKEN_FAULTS = {
    "token.optional": "token.missing subscribe.token ws.token",
    "token.any": "token.bad token.alg_none",
    "token.any_tenant": "token.header",
    "token.no_challenge": "token.missing",
    "tenant.any": "token.body token.second",
}


@pytest.fixture(scope="module")
def fake():
    gateway = FakeGateway()
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def guarded():
    gateway = FakeGateway(tokens={"token-a": "acme", "token-b": "beta"})
    yield gateway
    gateway.close()


def check(gateway, *args, only=None, tokens=()):
    more = ["--only", ",".join(only.split())] if only else []
    r = migctl("conformance", "--json", "--second-tenant", "beta", *args, *more, url=gateway.url,
               timeout=90)
    assert r.returncode in (0, 1), r.stderr
    return r.returncode, json.loads(r.stdout)


def results(report):
    return {c["id"]: c["result"] for c in report["checks"]}


def test_a_right_gateway_fails_nothing(fake):
    code, report = check(fake)
    bad = [c for c in report["checks"] if c["result"] == "FAIL"]
    assert not bad and code == 0
    skipped = {c["id"] for c in report["checks"] if c["result"] == "SKIP"}
    assert all(id.startswith("token.") or id in ("ws.token", "subscribe.token") for id in skipped)
    assert report["passed"] + report["skipped"] == len(report["checks"]) and report["passed"] > 200
    assert report["ms"] < 30000 * SLOW


def test_a_right_gateway_with_tokens_fails_nothing(guarded):
    code, report = check(guarded, "--token", "token-a", "--second-token", "token-b", "--profile", "evented")
    bad = [c for c in report["checks"] if c["result"] == "FAIL"]
    assert not bad and code == 0
    found = results(report)
    assert found["token.missing"] == found["token.second"] == "PASS"
    assert found["tenant.none"] == "SKIP"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(fake, fault):
    fake.fault = fault
    try:
        code, report = check(fake, only=FAULTS[fault])
    finally:
        fake.fault = None
    found = results(report)
    assert code == 1
    assert [id for id in FAULTS[fault].split() if found[id] != "FAIL"] == [], report["checks"]
    for c in report["checks"]:
        assert c["result"] != "FAIL" or c["expected"] and c["came"]


@pytest.mark.parametrize("fault", TOKEN_FAULTS)
def test_a_fault_with_tokens_is_seen(guarded, fault):
    guarded.fault = fault
    try:
        code, report = check(guarded, "--token", "token-a", "--second-token", "token-b",
                             only=TOKEN_FAULTS[fault])
    finally:
        guarded.fault = None
    found = results(report)
    assert code == 1 and [id for id in TOKEN_FAULTS[fault].split() if found[id] != "FAIL"] == []


def test_every_family_of_metrics_is_looked_for(fake):
    listed = migctl("conformance", "--list", "--only", "metrics.").stdout
    assert [name for name in FAMILIES if f"mig_gateway_{name} " not in listed] == []


def test_no_token_is_said_once(guarded):
    r = migctl("conformance", url=guarded.url)
    assert r.returncode == 1 and "--token" in r.stderr and not r.stdout


def test_nobody_there_is_3():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        r = migctl("conformance", url=f"http://127.0.0.1:{s.getsockname()[1]}")
    assert r.returncode == 3 and r.stderr and not r.stdout


def test_the_list_calls_nobody():
    ids = {}
    for profile in ("core", "streaming", "evented", "full"):
        r = migctl("conformance", "--list", "--profile", profile, url="http://127.0.0.1:1")
        assert r.returncode == 0
        ids[profile] = [line.split()[0] for line in r.stdout.splitlines()]
    assert len(set(ids["full"])) == len(ids["full"]) >= 130
    assert set(ids["core"]) < set(ids["streaming"]) < set(ids["full"])
    assert set(ids["core"]) < set(ids["evented"]) < set(ids["full"])
    lines = migctl("conformance", "--list", "--json").stdout.splitlines()
    assert len(lines) == len(ids["full"]) and all(json.loads(line)["section"] for line in lines)


@pytest.mark.parametrize("args", [["--profile", "half"], ["--only", "no.such"], ["extra"],
                                  ["--second-tenant", 'a"b']])
def test_wrong_usage_is_2(fake, args):
    r = migctl("conformance", *args, url=fake.url)
    assert r.returncode == 2 and r.stderr


def test_the_text_report(fake):
    fake.fault = "header.no_clamp"
    r = migctl("conformance", "--only", "header.deadline", url=fake.url)
    fake.fault = None
    assert r.returncode == 1
    assert re.search(r"^FAIL  2 +header\.deadline\.clamped .*\n +expected: .*\n +came: ", r.stdout, re.M)
    assert re.search(r"^profile full: \d+ passed, 1 failed, 0 skipped", r.stdout.splitlines()[-1])


def test_the_daemon_is_a_core_gateway(shared):
    r = migctl("conformance", "--json", "--profile", "core", "--second-tenant", "beta", url=shared.url)
    bad = [c for c in json.loads(r.stdout)["checks"] if c["result"] == "FAIL"]
    assert not bad and r.returncode == 0


WITHOUT_TOKENS = "a rule of gateways without tokens"
WITH_TOKENS = "a rule of gateways with tokens; needs --token"
HTTP_2 = "HTTP/2 forbids the header that this is about (RFC 9113 8.2.2)"
# How the daemon is set up, how migctl speaks to it, and why it may leave checks out.
WAYS = {
    "http": (False, False, [], {WITH_TOKENS}),
    "h2c": (False, False, ["--http2"], {WITH_TOKENS, HTTP_2}),
    "https, tokens": (True, True, [], {WITHOUT_TOKENS}),
    "h2, tokens": (True, True, ["--http2"], {WITHOUT_TOKENS, HTTP_2}),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_daemon_conforms_over(migd, tmp_path, way):
    is_tls, has_tokens, args, reasons = WAYS[way]
    certificate(tmp_path, "one")
    tokens = {"mig": {"auth_mode": "jwt", "jwt_hs256_secret": SECRET, "admin_api_key": "k"}}
    d = migd({**(tls_settings(tmp_path) if is_tls else {}), **(tokens if has_tokens else {})})
    url = d.url
    hello = d.http.mig("hello", tenant=None if has_tokens else "acme", headers=bearer(token()) if has_tokens else {})
    assert hello.json["header"]["meta"]["mig.profile"] == "full", "what it says of itself has to be true"
    if is_tls:
        ready = d.wait_log(lambda l: l.get("event") == "migd.ready")
        url = "https://" + ready["tls"].replace("127.0.0.1", "localhost")
        args = ["--ca", tmp_path / "one.pem", *args]
    if has_tokens:
        args = ["--token", token(), "--second-token", token(tenant_id="beta"), "--admin-key", "k", *args]
    r = migctl("conformance", "--json", "--second-tenant", "beta", *args, url=url, timeout=180)
    checks = json.loads(r.stdout)["checks"]
    assert [c for c in checks if c["result"] == "FAIL"] == [] and r.returncode == 0
    skipped = {c["id"]: c["reason"] for c in checks if c["result"] == "SKIP"}
    assert set(skipped.values()) <= reasons, skipped
    assert len(checks) - len(skipped) > 200
