"""Idempotency, policies, rate limits, quotas, registries and usage over HTTP (MIG v0.1 8.3, 9.3, 14)."""
import json
import os
import signal
import threading
import time
from urllib.parse import quote

import pytest
from helpers.daemon import IS_ASAN
from helpers.http import eventually

NOT_FOUND, TIMEOUT, UNAVAILABLE, INTERNAL = 4, 7, 10, 11


@pytest.fixture
def tally(migd, plugins):
    def make(**settings):
        return migd(settings, drop=[plugins("tally")])
    return make


def runs(d):
    return d.http.result("test.tally.count")["runs"]


def is_replay(reply):
    return reply.json["header"]["meta"].get("mig.idempotent_replay") is True


def call(d, payload=None, key="k", capability="test.tally.run", client=None, **more):
    return (client or d.http).invoke(capability, payload, idempotency_key=key, **more)


def at_once(d, n, ask):
    """ask(client, i) from n threads at the same time; the replies."""
    replies, gate = [None] * n, threading.Barrier(n)

    def one(i):
        client = d.client()
        gate.wait()
        replies[i] = ask(client, i)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return replies


def kill(d):
    d.exit_code = -signal.SIGKILL
    d.process.kill()
    d.wait()


def again(migd, d, plugins, **settings):
    """Another daemon on the same data."""
    new = migd({**d.settings, **settings}, drop=[plugins("tally")])
    return new


# --- 8.3, row by row ---------------------------------------------------------------------------------

def test_first_use_executes_and_repeats_replay(tally):
    d = tally()
    first = call(d, {"a": 1, "b": [1.0, "x"]}, message_id="one")
    assert first.payload == {"run": 1} and not is_replay(first)
    assert first.json["header"]["idempotency_key"] == "k"
    repeat = call(d, {"b": [1, "\u0078"], "a": 1.0}, message_id="two")
    assert repeat.payload == {"run": 1} and is_replay(repeat)
    assert repeat.json["header"]["message_id"] == "two"
    assert repeat.json["capability"] == "test.tally.run"
    assert runs(d) == 1
    assert call(d, {"a": 1, "b": [1, "x"]}, key="other").payload == {"run": 2}
    assert d.http.invoke("test.tally.run", {}).payload == {"run": 3}  # without a key: no store


def test_the_key_may_come_as_a_header(tally):
    d = tally()
    for _ in range(2):
        r = d.http.invoke("test.tally.run", {}, headers={"Idempotency-Key": "h"})
        assert r.payload == {"run": 1}


def test_same_key_and_other_payload_is_refused(tally):
    d = tally()
    call(d, {"a": 1})
    for payload in ({"a": 2}, {}, {"a": "1"}, {"a": 1, "b": None}):
        r = call(d, payload)
        assert (r.status, r.code, r.reason) == (400, "MIG_INVALID_REQUEST", "idempotency_key_reuse")
    assert runs(d) == 1


def test_tenants_and_capabilities_are_apart(tally):
    d = tally()
    assert call(d, tenant="acme").payload == {"run": 1}
    assert call(d, tenant="other").payload == {"run": 2}
    assert call(d, {"x": 1}, tenant="third").payload == {"run": 3}  # other payload, other tenant
    assert call(d, capability="test.tally.keyed").payload == {"run": 4}
    assert call(d, tenant="other").payload == {"run": 2}


def test_fifty_twins_are_one_execution(tally):
    d = tally()
    replies = at_once(d, 50, lambda c, i: call(d, {"sleep_ms": 150}, client=c,
                                               message_id="same" if i % 2 else f"m{i}"))
    assert [r.payload for r in replies] == [{"run": 1}] * 50
    assert sum(not is_replay(r) for r in replies) == 1
    assert runs(d) == 1


def test_a_waiting_twin_has_its_own_deadline(tally):
    d = tally()
    slow = threading.Thread(target=lambda: call(d, {"sleep_ms": 700}, client=d.client()))
    slow.start()
    eventually(lambda: runs(d) == 1)
    r = call(d, {"sleep_ms": 700}, deadline_ms=100)  # else it would be a replay
    assert (r.status, r.code, r.reason) == (504, "MIG_TIMEOUT", "deadline_exceeded")
    slow.join()
    assert is_replay(call(d, {"sleep_ms": 700})) and runs(d) == 1


def test_a_waiting_twin_that_leaves_changes_nothing(tally):
    d = tally()
    slow = threading.Thread(target=lambda: call(d, {"sleep_ms": 400}, client=d.client()))
    slow.start()
    eventually(lambda: runs(d) == 1)
    body = json.dumps({"header": {"tenant_id": "acme", "idempotency_key": "k"},
                       "payload": {"sleep_ms": 400}})
    with d.raw() as s:
        s.send(f"POST /mig/v0.1/invoke/test.tally.run HTTP/1.1\r\nHost: localhost\r\n"
               f"Content-Length: {len(body)}\r\n\r\n{body}")
        time.sleep(0.05)
    slow.join()
    assert is_replay(call(d, {"sleep_ms": 400})) and runs(d) == 1


def test_final_errors_of_the_provider_are_stored(tally):
    d = tally()
    for i in range(3):
        r = call(d, {"error": NOT_FOUND, "until": 1})
        assert (r.status, r.code) == (404, "MIG_NOT_FOUND")
        assert r.error["message"] == "as asked" and r.error["details"]["why"] == "asked"
        assert is_replay(r) == (i > 0)
    assert runs(d) == 1


@pytest.mark.parametrize("error", [{"error": UNAVAILABLE}, {"error": NOT_FOUND, "retry": 1},
                                   {"error": TIMEOUT}])
def test_retryable_errors_are_forgotten(tally, error):
    d = tally()
    assert call(d, {**error, "until": 1}).status >= 400
    r = call(d, {**error, "until": 1})
    assert r.payload == {"run": 2} and not is_replay(r)
    assert is_replay(call(d, {**error, "until": 1})) and runs(d) == 2


def test_timeouts_are_forgotten(tally):
    d = tally()
    assert call(d, {"sleep_ms": 300}, deadline_ms=50).code == "MIG_TIMEOUT"
    assert call(d, {"sleep_ms": 300}).payload == {"run": 2}


def test_cancelled_ones_are_forgotten_and_the_first_twin_executes(tally):
    d = tally()
    got = {}

    def ask(name, wait):
        def run():
            time.sleep(wait)
            got[name] = call(d, {"sleep_ms": 600}, client=d.client(), message_id=name)
        t = threading.Thread(target=run)
        t.start()
        return t

    threads = [ask("first", 0)]
    eventually(lambda: runs(d) == 1)
    threads += [ask("second", 0), ask("third", 0.1)]
    time.sleep(0.25)
    assert d.http.cancel("first").json["status"] == "cancelled"
    for t in threads:
        t.join()
    assert got["first"].reason == "cancelled"
    assert got["second"].payload == {"run": 2} and not is_replay(got["second"])
    assert got["third"].payload == {"run": 2} and is_replay(got["third"])
    assert runs(d) == 2


def test_what_the_host_refuses_is_forgotten(tally):
    d = tally(**{"mig.rate_limit_tenant_rps": 5, "mig.rate_limit_tenant_burst": 1})
    d.http.invoke("test.tally.run", {}, tenant="acme")
    r = call(d)
    assert r.code == "MIG_RATE_LIMITED"
    time.sleep(r.error["details"]["retry_after_ms"] / 1000)
    assert call(d).payload == {"run": 2}


def test_scope_and_mode_come_before_the_store(tally):
    d = tally()
    assert call(d).status == 200
    r = call(d, envelope={"stream_preference": "bidi_stream"})
    assert r.reason == "mode_not_supported"


def test_a_stream_replays_its_end(tally):
    d = tally()
    ask = {"stream_preference": "server_stream"}
    first = call(d, envelope=ask)
    assert first.payload["run"] == 1 and len(first.payload["frames"]) == 3
    repeat = call(d, envelope=ask)
    assert repeat.payload["run"] == 1 and repeat.payload["frames"] == [] and is_replay(repeat)
    raw = d.http.request("POST", "/mig/v0.1/invoke/test.tally.run",
                         {"header": {"tenant_id": "acme", "idempotency_key": "k"}, "payload": {},
                          **ask}, {"Accept": "text/event-stream"})
    frames = [json.loads(l[6:]) for l in raw.body.decode().split("\n") if l.startswith("data: ")]
    assert len(frames) == 1 and frames[0]["end_stream"] and frames[0]["payload"] == {"run": 1}
    assert frames[0]["header"]["meta"]["mig.idempotent_replay"] is True
    assert runs(d) == 1


def test_a_stream_that_is_refused_late_gets_an_ordinary_error(tally):
    d = tally()
    quota(d, tenant_id="acme", max_invocations=1)
    infer(d)
    r = d.http.request("POST", "/mig/v0.1/invoke/test.tally.run",
                       {"header": {"tenant_id": "acme"}, "stream_preference": "server_stream"},
                       {"Accept": "text/event-stream"})
    assert (r.status, r.reason) == (429, "tenant_quota")


def test_replays_are_no_usage_and_no_quota(tally):
    d = tally()
    d.http.post("/pro/v0.1/quotas", {"tenant_id": "acme", "max_invocations": 2})
    for _ in range(5):
        assert call(d).status == 200
    used = d.http.get("/pro/v0.1/quotas").json["quotas"][0]["used"]
    assert used == 1
    assert d.http.get("/cloud/v0.1/usage").json["total_invocations"] == 1


def test_the_window_and_the_bound(tally):
    d = tally(**{"mig.idempotency_max": 2, "mig.idempotency_ttl_s": 1})
    for key in "abc":
        call(d, key=key)
    assert is_replay(call(d, key="c")) and is_replay(call(d, key="b"))
    assert not is_replay(call(d, key="a"))  # had to make room
    time.sleep(1.1)
    assert not is_replay(call(d, key="c"))


def test_metrics_know_of_it(tally):
    d = tally()
    call(d)
    call(d)
    text = d.http.get("/metrics").body.decode()
    assert "mig_idempotency_entries 1\n" in text and "mig_idempotency_replays_total 1\n" in text


# --- PUBLISH -----------------------------------------------------------------------------------------

def publish(d, payload, key, topic="shop.order.made", tenant="acme", **more):
    return d.http.mig("publish/" + topic, {"payload": payload, **more}, tenant,
                      idempotency_key=key)


def test_publish_is_acknowledged_again(tally):
    d = tally()
    first = publish(d, {"n": 1}, "p").json
    repeat = publish(d, {"n": 1.0}, "p").json
    assert (repeat["event_id"], repeat["sequence"]) == (first["event_id"], 1)
    assert repeat["accepted"] is True and repeat["topic"] == "shop.order.made"
    assert repeat["header"]["meta"]["mig.idempotent_replay"] is True
    assert publish(d, {"n": 2}, "p").reason == "idempotency_key_reuse"
    assert publish(d, {"n": 1}, "q").json["sequence"] == 2
    assert publish(d, {"n": 1}, "p", tenant="other").json["sequence"] == 1
    assert publish(d, {"n": 1}, "p", topic="shop.order.paid").json["sequence"] == 1
    assert publish(d, {"n": 1}, None).json["sequence"] == 3  # without a key: one more


def test_twenty_publishers_make_one_event(tally, tmp_path):
    d = tally(**{"mig.data_dir": str(tmp_path / "data")})
    replies = at_once(d, 20, lambda c, i: c.mig("publish/a.b", {"payload": {}},
                                                idempotency_key="p"))
    assert {r.json["sequence"] for r in replies} == {1}
    assert len({r.json["event_id"] for r in replies}) == 1


# --- restarts ----------------------------------------------------------------------------------------

def test_results_survive_a_restart(tally, migd, plugins, tmp_path):
    d = tally(**{"mig.data_dir": str(tmp_path / "data")})
    first = call(d, {"x": "y"})
    error = call(d, {"error": NOT_FOUND, "until": 99}, key="e")
    ack = publish(d, {}, "p").json
    assert d.faults() == []
    d = again(migd, d, plugins)
    repeat = call(d, {"x": "y"})
    assert repeat.payload == first.payload and is_replay(repeat)
    r = call(d, {"error": NOT_FOUND, "until": 99}, key="e")
    assert is_replay(r) and r.error == error.error
    assert publish(d, {}, "p").json["event_id"] == ack["event_id"]
    assert call(d, {"x": "z"}).reason == "idempotency_key_reuse"
    assert runs(d) == 0


def test_kill_after_the_answer_loses_no_result(tally, migd, plugins, tmp_path):
    d = tally(**{"mig.data_dir": str(tmp_path / "data")})
    for i in range(20):
        assert call(d, {"i": i}, key=f"k{i}").payload == {"run": i + 1}
    kill(d)
    d = again(migd, d, plugins)
    for i in range(20):
        r = call(d, {"i": i}, key=f"k{i}")
        assert r.payload == {"run": i + 1} and is_replay(r)
    assert runs(d) == 0


def test_kill_during_the_call_executes_again(tally, migd, plugins, tmp_path):
    d = tally(**{"mig.data_dir": str(tmp_path / "data")})

    def ask():
        with pytest.raises(Exception):
            call(d, {"sleep_ms": 5000}, client=d.client())

    t = threading.Thread(target=ask)
    t.start()
    eventually(lambda: runs(d) == 1)
    kill(d)
    t.join()
    d = again(migd, d, plugins)
    assert not is_replay(call(d, {"sleep_ms": 0}))


# --- policies ----------------------------------------------------------------------------------------

def test_a_key_can_be_required(tally):
    d = tally()
    r = d.http.invoke("test.tally.keyed", {})
    assert (r.status, r.reason) == (400, "idempotency_key_required")
    assert call(d, capability="test.tally.keyed").status == 200


def test_the_host_retries_what_may_run_twice(tally):
    d = tally()
    r = d.http.invoke("test.tally.again", {"error": UNAVAILABLE, "until": 2})
    assert r.payload == {"run": 3}
    r = d.http.invoke("test.tally.again", {"error": UNAVAILABLE, "until": 99})
    assert r.code == "MIG_UNAVAILABLE" and runs(d) == 6  # three attempts, no more
    assert d.http.get("/cloud/v0.1/usage").json["capability_invocations"]["test.tally.again"] == 1


def test_the_host_does_not_retry_anything_else(tally):
    d = tally()
    assert d.http.invoke("test.tally.again", {"error": NOT_FOUND, "until": 9}).status == 404
    assert runs(d) == 1
    r = d.http.invoke("test.tally.withkey", {"error": UNAVAILABLE, "until": 9})
    assert r.status == 503 and runs(d) == 2  # not idempotent, and no key
    r = call(d, {"error": UNAVAILABLE, "until": 3}, capability="test.tally.withkey")
    assert r.payload == {"run": 4}
    r = d.http.invoke("test.tally.again", {"error": UNAVAILABLE, "until": 99},
                      envelope={"stream_preference": "server_stream"})
    assert r.status == 503 and runs(d) == 5
    r = d.http.invoke("test.tally.run", {"error": UNAVAILABLE, "until": 99})
    assert r.status == 503 and runs(d) == 6  # no policy


def test_retries_end_with_the_deadline(tally):
    d = tally()
    r = d.http.invoke("test.tally.patient", {"error": UNAVAILABLE, "until": 9}, deadline_ms=400)
    assert r.code == "MIG_UNAVAILABLE"  # no use to wait: that would end as MIG_TIMEOUT
    assert runs(d) == 1


def test_a_cancel_between_attempts_is_heard(tally):
    d = tally()
    got = []
    t = threading.Thread(target=lambda: got.append(d.client().invoke(
        "test.tally.patient", {"error": UNAVAILABLE, "until": 9}, message_id="m")))
    t.start()
    eventually(lambda: runs(d) == 1)
    time.sleep(0.1)
    assert d.http.cancel("m").json["status"] == "cancelled"
    t.join()
    assert got[0].reason == "cancelled"
    assert runs(d) == 1


def test_a_client_that_leaves_between_attempts_ends_them(tally):
    d = tally()
    body = json.dumps({"header": {"tenant_id": "acme"}, "payload": {"error": UNAVAILABLE, "until": 9}})
    with d.raw() as s:
        s.send(f"POST /mig/v0.1/invoke/test.tally.patient HTTP/1.1\r\nHost: localhost\r\n"
               f"Content-Length: {len(body)}\r\n\r\n{body}")
        eventually(lambda: runs(d) == 1)
    eventually(lambda: d.http.admin("health/detailed").json["inflight"] == 0, within=2)
    assert runs(d) == 1


def test_a_capability_has_a_rate_per_tenant(tally):
    d = tally()
    codes = [d.http.invoke("test.tally.rare", {}).status for _ in range(3)]
    assert codes == [200, 200, 429]
    r = d.http.invoke("test.tally.rare", {})
    assert (r.code, r.reason) == ("MIG_RATE_LIMITED", "rate_limit_capability")
    assert r.error["retryable"] is True and 0 < r.error["details"]["retry_after_ms"] <= 500
    assert r.headers["Retry-After"] == "1"
    assert d.http.invoke("test.tally.rare", {}, tenant="other").status == 200
    assert d.http.reload().status == 200  # the count outlives generations
    assert d.http.invoke("test.tally.rare", {}, tenant="acme").status in (200, 429)
    time.sleep(r.error["details"]["retry_after_ms"] / 1000)
    assert d.http.invoke("test.tally.rare", {}).status == 200


def test_concurrency_and_tier_of_a_capability(tally):
    d = tally()
    began = time.monotonic()
    replies = at_once(d, 4, lambda c, i: c.invoke("test.tally.single", {"sleep_ms": 100}))
    assert [r.status for r in replies] == [200] * 4
    assert time.monotonic() - began >= 0.4  # one after the other
    meta = replies[0].json["header"]["meta"]
    assert meta["idg.product_tier"] == "gold"
    assert d.http.invoke("test.tally.run").json["header"]["meta"]["idg.product_tier"] == "core"


DESCRIPTOR = {"id": "shop.price", "version": "1.0.0", "input_schema_uri": "schema://a",
              "output_schema_uri": "schema://b"}


def test_an_upsert_may_have_a_policy(migd):
    d = migd()
    policy = {"require_idempotency_key": True, "rate_limit": {"rps": 5}, "tags": ["a.b"],
              "billing_tier": "pro", "retry": {"max_attempts": 2, "backoff_ms": 1},
              "idempotent": True, "max_concurrency": 3}
    r = d.http.admin("capabilities", "POST", {"descriptor": DESCRIPTOR, "policy": policy})
    assert r.status == 201 and r.json["policy"] == policy and r.json["id"] == "shop.price"
    assert d.http.invoke("shop.price", {}).reason == "idempotency_key_required"
    r = call(d, capability="shop.price")
    assert r.json["header"]["meta"]["idg.product_tier"] == "pro"
    one = d.http.admin("capabilities/shop.price").json
    assert one["policy"] == policy
    listed = [c for c in d.http.admin("capabilities").json["capabilities"] if c["id"] == "shop.price"]
    assert listed[0]["policy"] == policy
    assert "policy" not in d.http.mig("discover").json["capabilities"][0]


@pytest.mark.parametrize("policy", [
    [], {"retry": 3}, {"retry": {"max_attempts": 0}}, {"retry": {"max_attempts": 11}},
    {"retry": {"tries": 1}}, {"rate_limit": {}}, {"rate_limit": {"rps": 0}}, {"idempotent": "yes"},
    {"rate_limit": {"rps": 1.5}}, {"tags": "x"}, {"tags": ["A"]}, {"billing_tier": ""},
    {"billing_tier": "x" * 33}, {"max_concurrency": 0}, {"require_idempotency_keys": True}])
def test_a_wrong_policy_is_refused(shared, policy):
    r = shared.http.admin("capabilities", "POST", {"descriptor": DESCRIPTOR, "policy": policy})
    assert (r.status, r.reason) == (400, "invalid_capability") and "policy" in r.error["message"]


def test_a_plugin_with_a_wrong_policy_is_refused(migd, plugins):
    d = migd()
    d.drop(plugins("tally", name="bad", TALLY_META='"{\\"policy\\":{\\"retry\\":1}}"'))
    r = d.http.reload()
    assert r.status == 422 and r.findings[0]["id"] == "capability.policy"


def test_the_manifest_has_the_last_word(migd, plugins):
    d = migd(drop=[plugins("tally")], manifest={"policies": {
        "test.tally.run": {"require_idempotency_key": True, "billing_tier": "silver"},
        "test.tally.keyed": {"idempotent": True}}})
    assert d.http.invoke("test.tally.run", {}).reason == "idempotency_key_required"
    assert call(d).json["header"]["meta"]["idg.product_tier"] == "silver"
    assert d.http.invoke("test.tally.keyed", {}).status == 200
    d.write_manifest({"policies": {"nobody.has.this": {"idempotent": True}}})
    r = d.http.reload()
    assert r.status == 200 and r.json["findings"][0]["id"] == "policy.capability.unknown"
    assert d.http.invoke("test.tally.run", {}).status == 200
    d.write_manifest({"policies": {"test.tally.run": {"retry": {"max_attempts": 99}}, "a b": {}}})
    ids = {f["id"] for f in d.http.reload().findings}
    assert ids == {"policy.retry", "policy.capability"}


# --- rates of tenants and peers ----------------------------------------------------------------------

def test_rate_of_a_tenant(migd):
    d = migd({"mig.rate_limit_tenant_rps": 1, "mig.rate_limit_tenant_burst": 3})
    infer = "observatory.models.infer"
    replies = [d.http.invoke(infer, {"input": "x"}) for _ in range(4)]
    assert [r.status for r in replies] == [200, 200, 200, 429]
    assert replies[3].reason == "rate_limit_tenant"
    assert 0 < replies[3].error["details"]["retry_after_ms"] <= 1000
    assert d.http.invoke(infer, {"input": "x"}, tenant="other").status == 200
    d.write_settings(**{"mig.rate_limit_tenant_rps": 0})
    assert d.http.reload().status == 200
    assert d.http.invoke(infer, {"input": "x"}).status == 200


def test_rate_of_an_address(migd):
    d = migd({"mig.rate_limit_client_rps": 1, "mig.rate_limit_client_burst": 2})
    got = [d.client().invoke("observatory.models.infer", {"input": "x"}, tenant=f"t{i}")
           for i in range(3)]
    assert [r.status for r in got] == [200, 200, 429]
    assert got[2].reason == "rate_limit_client"


# --- quotas ------------------------------------------------------------------------------------------

def quota(d, **body):
    return d.http.post("/pro/v0.1/quotas", body)


def infer(d, tenant="acme", client=None, **more):
    return (client or d.http).invoke("observatory.models.infer", {"input": "x"}, tenant, **more)


def test_the_harness_of_the_reference(migd):
    d = migd()
    r = quota(d, tenant_id="acme", max_invocations=1)
    assert r.status == 200 and r.json == {"tenant_id": "acme", "max_invocations": 1}
    assert infer(d, message_id="invoke-1").status == 200
    r = infer(d, message_id="invoke-1")
    assert (r.status, r.code) == (429, "MIG_RATE_LIMITED")
    assert r.error["message"] == "tenant quota exceeded" and r.reason == "tenant_quota"
    assert infer(d, tenant="other", message_id="invoke-1").status == 200


def test_a_quota_counts_what_was_before_it(migd):
    d = migd()
    for _ in range(3):
        infer(d)
    quota(d, tenant_id="acme", max_invocations=4)
    assert [infer(d).status for _ in range(2)] == [200, 429]
    assert d.http.get("/pro/v0.1/quotas?tenant_id=%61cm%65").json["quotas"][0]["used"] == 4
    assert d.http.get("/pro/v0.1/quotas?tenant_id=acme").json == {
        "quotas": [{"tenant_id": "acme", "max_invocations": 4, "used": 4}]}
    quota(d, tenant_id="acme", max_invocations=5)
    assert [infer(d).status for _ in range(2)] == [200, 429]


def test_a_quota_is_exact_and_failures_give_it_back(tally):
    d = tally()
    quota(d, tenant_id="acme", max_invocations=10)
    bad = at_once(d, 8, lambda c, i: c.invoke("test.tally.run", {"error": NOT_FOUND, "until": 8}))
    assert {r.status for r in bad} == {404}
    good = at_once(d, 30, lambda c, i: c.invoke("test.tally.run", {"sleep_ms": 5}))
    assert sorted(r.status for r in good) == [200] * 10 + [429] * 20
    assert d.http.get("/pro/v0.1/quotas").json["quotas"][0]["used"] == 10


def test_a_quota_with_a_window(migd):
    d = migd()
    r = quota(d, tenant_id="acme", max_invocations=2, window_seconds=1)
    assert r.json == {"tenant_id": "acme", "max_invocations": 2, "window_seconds": 1}
    assert [infer(d).status for _ in range(3)] == [200, 200, 429]
    wait = infer(d).error["details"]["retry_after_ms"]
    assert 0 < wait <= 1000
    time.sleep(wait / 1000)
    assert infer(d).status == 200


@pytest.mark.parametrize("body, message", [
    ({"max_invocations": 1}, "tenant_id is required"),
    ({"tenant_id": "acme"}, "max_invocations must be > 0"),
    ({"tenant_id": "acme", "max_invocations": 0}, "max_invocations must be > 0"),
    ({"tenant_id": "acme", "max_invocations": 1.5}, "max_invocations must be > 0"),
    ({"tenant_id": "a.b", "max_invocations": 1}, "tenant_id has the wrong form"),
    ({"tenant_id": "acme", "max_invocations": 1, "window_seconds": 0},
     "window_seconds must be from 1 to 315360000")])
def test_wrong_quotas(shared, body, message):
    r = shared.http.post("/pro/v0.1/quotas", body)
    assert (r.status, r.error["message"]) == (400, message)


# --- policies/validate -------------------------------------------------------------------------------

def ask(d, **body):
    return d.http.post("/pro/v0.1/policies/validate", {
        "tenant_id": "acme", "capability": "observatory.models.infer", "action": "invoke", **body})


def test_policy_questions(migd):
    d = migd()
    scope = ["capability:infer"]
    assert ask(d, scopes=scope).json == {"allowed": True}
    assert ask(d, scopes=scope, action="discover").json == {"allowed": True}
    for body, reason in [({"action": "delete"}, "unsupported action"),
                         ({"capability": "a.b"}, "capability does not exist"),
                         ({"scopes": ["x"]}, "insufficient capability scope"),
                         ({}, "insufficient capability scope")]:
        assert ask(d, **body).json == {"allowed": False, "reason": reason}
    for missing in ("tenant_id", "capability", "action"):
        r = ask(d, **{missing: ""})
        assert (r.status, r.error["message"]) == (400, missing + " is required")
    quota(d, tenant_id="acme", max_invocations=1)
    assert ask(d, scopes=scope).json == {"allowed": True}  # a question is no use
    infer(d)
    assert ask(d, scopes=scope).json == {"allowed": False, "reason": "tenant quota exceeded"}
    assert ask(d, scopes=scope, action="discover").json == {"allowed": True}


# --- registries --------------------------------------------------------------------------------------

def register(d, plural, **body):
    return d.http.post("/cloud/v0.1/" + plural, body)


def test_registries(migd):
    d = migd()
    org = register(d, "orgs", name="Acme")
    assert org.status == 201 and set(org.json) == {"id", "name"}
    assert org.json["id"].startswith("org-") and len(org.json["id"]) == 16
    int(org.json["id"][4:], 16)
    tenant = register(d, "tenants", id="acme", name="Acme", org_id=org.json["id"])
    assert tenant.status == 201
    assert tenant.json == {"id": "acme", "name": "Acme", "org_id": org.json["id"]}
    made = register(d, "tenants", name="x", org_id=org.json["id"]).json["id"]
    assert made.startswith("tenant-") and len(made) == 19
    gw = register(d, "gateways", tenant_id="acme", region="eu", binding="http")
    assert gw.status == 201 and gw.json["id"].startswith("gw-") and len(gw.json["id"]) == 15
    assert [t["id"] for t in d.http.get("/cloud/v0.1/tenants").json["tenants"]] == ["acme", made]
    assert d.http.get("/cloud/v0.1/orgs").json == {"orgs": [org.json]}
    assert d.http.get("/cloud/v0.1/gateways").json == {"gateways": [gw.json]}


def test_the_same_row_again_and_another(migd):
    d = migd()
    for _ in range(2):
        assert register(d, "orgs", id="o1", name="Acme").status == 201
    r = register(d, "orgs", id="o1", name="Other")
    assert (r.status, r.code, r.reason) == (409, "MIG_INVALID_REQUEST", "conflict")
    assert len(d.http.get("/cloud/v0.1/orgs").json["orgs"]) == 1


@pytest.mark.parametrize("plural, body, status, message", [
    ("orgs", {}, 400, "name is required"),
    ("orgs", {"name": "x", "id": "a b"}, 400, "id must be"),
    ("tenants", {"name": "x"}, 400, "org_id is required"),
    ("tenants", {"name": "x", "org_id": "none"}, 404, "org not found"),
    ("gateways", {"tenant_id": "none", "region": "eu", "binding": "http"}, 404, "tenant not found"),
    ("gateways", {"tenant_id": "none", "region": "eu", "binding": "x"}, 400, "binding must be"),
    ("gateways", {"tenant_id": "none", "binding": "http"}, 400, "region is required")])
def test_wrong_rows(shared, plural, body, status, message):
    r = shared.http.post("/cloud/v0.1/" + plural, body)
    assert r.status == status and r.error["message"].startswith(message)


def test_wrong_bodies(shared):
    for body, reason in [("", "body_required"), ("{", "malformed_json"), ("[]", "malformed_json")]:
        r = shared.http.post("/cloud/v0.1/orgs", body)
        assert (r.status, r.reason) == (400, reason)


def test_only_registered_tenants(migd):
    d = migd({"mig.tenant_mode": "registered"})
    r = infer(d)
    assert (r.status, r.code, r.reason) == (403, "MIG_FORBIDDEN", "tenant_not_registered")
    assert d.http.mig("discover").status == 403 and d.http.mig("publish/a.b").status == 403
    assert ask(d, scopes=["capability:infer"]).json["reason"] == "tenant is not registered"
    org = register(d, "orgs", name="o").json["id"]
    register(d, "tenants", id="acme", name="a", org_id=org)
    assert infer(d).status == 200 and infer(d, tenant="other").status == 403
    assert ask(d, scopes=["capability:infer"]).json == {"allowed": True}
    assert infer(d, tenant="_migd").status == 403  # only the host itself needs no registration
    told = d.http.admin("health/conformance").json
    assert told["full"], told
    quota(d, tenant_id="third", max_invocations=5)  # a quota alone is no registration
    assert infer(d, tenant="third").status == 403


def test_self_checks_are_nobodys_calls(migd):
    d = migd({"mig.audit_log_path": "audit.jsonl", "mig.rate_limit_tenant_rps": 1,
              "mig.rate_limit_tenant_burst": 1})
    quota(d, tenant_id="_migd", max_invocations=1)
    for _ in range(2):
        told = d.http.admin("health/conformance").json
        assert told["full"], told
    assert usage(d)["total_invocations"] == 0
    assert infer(d, tenant="_migd").status == 200  # what clients invoke in its name counts
    assert usage(d)["tenant_invocations"] == {"_migd": 1}
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    lines = (d.dir / "audit.jsonl").read_text().splitlines()
    assert [json.loads(l)["outcome"] for l in lines if '"_migd"' in l and '"INVOKE"' in l.upper()] \
        == ["success"]


# --- usage -------------------------------------------------------------------------------------------

def usage(d, query=""):
    return d.http.get("/cloud/v0.1/usage" + query).json


def test_usage_counts_successes(tally):
    d = tally()
    for _ in range(3):
        infer(d)
    infer(d, tenant="other")
    d.http.invoke("test.tally.run", {"error": NOT_FOUND, "until": 1})
    d.http.invoke("test.tally.run", {})
    d.http.invoke("no.such", {})
    want = {"tenant_invocations": {"acme": 4, "other": 1},
            "capability_invocations": {"observatory.models.infer": 4, "test.tally.run": 1},
            "total_invocations": 5}
    assert usage(d) == want
    assert usage(d, "?tenant_id=other") == {"tenant_invocations": {"other": 1},
                                            "capability_invocations": {"observatory.models.infer": 1},
                                            "total_invocations": 1}
    assert usage(d, "?tenant_id=nobody")["total_invocations"] == 0


def test_usage_is_exact_over_loops(migd):
    d = migd({"loops": 4})

    def many(client, _):
        for _ in range(50):
            infer(d, client=client)

    at_once(d, 8, many)
    assert usage(d)["total_invocations"] == 400


def test_what_survives_a_restart(migd, tmp_path):
    data = {"mig.data_dir": str(tmp_path / "data"), "mig.tenant_mode": "registered"}
    d = migd(data)
    org = register(d, "orgs", name="o").json["id"]
    register(d, "tenants", id="acme", name="a", org_id=org)
    register(d, "gateways", tenant_id="acme", region="eu", binding="nats")
    quota(d, tenant_id="acme", max_invocations=5)
    for _ in range(3):
        infer(d)
    assert d.faults() == []
    d = migd(data)
    assert usage(d)["tenant_invocations"] == {"acme": 3}  # stored when it stopped
    assert d.http.get("/cloud/v0.1/gateways").json["gateways"][0]["binding"] == "nats"
    assert register(d, "tenants", id="acme", name="a", org_id=org).status == 201
    assert [infer(d).status for _ in range(3)] == [200, 200, 429]
    time.sleep(1.5)  # at most a second is lost
    kill(d)
    d = migd(data)
    assert usage(d)["tenant_invocations"] == {"acme": 5}
    assert infer(d).status == 429
    assert quota(d, tenant_id="acme", max_invocations=9).status == 200
    kill(d)  # what was answered is stored
    d = migd(data)
    assert d.http.get("/pro/v0.1/quotas").json["quotas"][0]["max_invocations"] == 9


def test_a_windowed_quota_survives(migd, tmp_path):
    data = {"mig.data_dir": str(tmp_path / "data")}
    d = migd(data)
    quota(d, tenant_id="acme", max_invocations=2, window_seconds=600)
    infer(d)
    assert d.faults() == []
    d = migd(data)
    assert [infer(d).status for _ in range(2)] == [200, 429]


def test_without_the_grant_nothing_is_served(migd):
    d = migd({"control": ["dev.migd.admin"]})
    assert d.http.get("/cloud/v0.1/usage").status == 404
    assert infer(d).status == 200


def test_these_are_routes_of_operators(migd):
    d = migd({"mig.admin_api_key": "s3cret"})
    assert d.http.get("/cloud/v0.1/usage").status == 401
    assert quota(d, tenant_id="acme", max_invocations=1).status == 401
    assert d.http.get("/cloud/v0.1/usage", **{"X-Admin-API-Key": "s3cret"}).status == 200
