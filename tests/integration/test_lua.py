"""Scripts: the examples, the API that needs a real host, and every hostile script of tests/data."""
import json
import threading
import time
from pathlib import Path

import pytest
from helpers.daemon import ROOT, SLOW
from helpers.http import eventually
from test_invoke import in_background

EXAMPLES = ROOT / "lua/examples"
HOSTILE = sorted((ROOT / "tests/data/lua/hostile").glob("*.lua"))

HEAD = 'local mig = require "mig"\nlocal c = mig.capability { id = "test.lua.run", version = "1.0.0"%s }\n'


def script(body, more=""):
    return HEAD % more + "function c.invoke(call)\n" + body + "\nend\n"


@pytest.fixture(scope="module")
def lua(shared):
    """lua(body)(payload) runs a script on the shared daemon."""
    def load(body, more=""):
        shared.drop(script(body, more), "run.lua")
        r = shared.http.reload()
        assert r.status == 200, r
        return lambda payload=None, **kw: shared.http.invoke("test.lua.run", payload, **kw)
    return load


SHARED = {"plugins": ["pool_sleep"]}


# --- examples ---------------------------------------------------------------------------------------

def test_the_examples(migd):
    d = migd(drop=sorted(EXAMPLES.glob("*.lua")))
    rome = lambda: d.http.result("example.weather.now", {"city": "Rome"})
    assert rome() == {"celsius": 21, "cached": False} and rome() == {"celsius": 21, "cached": True}
    r = d.http.invoke("example.weather.now", {"city": "Atlantis"})
    assert (r.status, r.code, r.error["details"]) == (404, "MIG_NOT_FOUND", {"city": "Atlantis"})
    p = d.http.result("example.pipeline.report", {"cities": ["Rome", "Oslo", "Atlantis"]})
    assert p["warmest"] == "Rome" and p["celsius"] == {"Oslo": 4, "Rome": 21}
    assert p["missing"] == ["Atlantis"]


def test_the_streaming_example(migd, plugins):
    from test_streams import stream
    d = migd(drop=[EXAMPLES / "countdown.lua", plugins("stream_binding")])
    frames, last, _ = stream(d, "example.countdown.run", "server_stream", {"from": 5, "every_ms": 1})
    assert [f["left"] for f in frames] == [5, 4, 3, 2, 1] and last["payload"]["done"] is True
    frames, last, _ = stream(d, "example.countdown.run", "server_stream",
                             {"from": 1000, "every_ms": 0})
    assert len(frames) == 1000


# --- the API ----------------------------------------------------------------------------------------

def test_what_a_call_knows(lua):
    run = lua("return { p = call.payload, m = call.meta, t = call.tenant, s = call.subject, "
              "id = call.message_id, ss = call.session, c = call.capability, "
              "k = call.idempotency_key, left = call.deadline_ms, mode = call.mode }")
    p = run({"a": [1, {}]}, message_id="lua-1", session_id="s", idempotency_key="k",
            deadline_ms=5000, meta={"x": 1}).payload
    assert p["p"] == {"a": [1, {}]} and p["m"] == {"x": 1} and p["t"] == "acme"
    assert (p["s"], p["id"], p["ss"], p["c"], p["k"], p["mode"]) == (
        "anonymous", "lua-1", "s", "test.lua.run", "k", "unary")
    assert 4000 < p["left"] <= 5000


@pytest.mark.parametrize("body,result", [
    ("return call.payload", {"a": 1}), ("return 5", {"result": 5}), ("return", {}),
    ('return "x"', {"result": "x"}), ("return { 1, 2 }", {"result": [1, 2]}),
    ("return mig.array {}", {"result": []}), ("return { x = mig.null }", {"x": None}),
    ("return { f = 1.5, i = 3, b = true }", {"f": 1.5, "i": 3, "b": True}),
])
def test_results(lua, body, result):
    assert lua(body)({"a": 1}).payload == result


def test_errors(lua):
    r = lua('return nil, mig.error("MIG_NOT_FOUND", "gone", { a = 1 })')()
    assert (r.status, r.code, r.error["message"], r.error["details"]) == (
        404, "MIG_NOT_FOUND", "gone", {"a": 1})
    r = lua('error(mig.error("MIG_UNAVAILABLE", "later"))')()
    assert (r.status, r.code) == (503, "MIG_UNAVAILABLE") and r.headers["Retry-After"]


def test_tracebacks_stay_in_the_log(lua, shared):
    mark = shared.log_mark()
    r = lua('local x = nil\nreturn x.y')()
    assert (r.status, r.code) == (500, "MIG_INTERNAL")
    assert b".lua" not in r.body and b"traceback" not in r.body
    line = shared.wait_log(lambda l: "run.lua" in json.dumps(l) and "traceback" in json.dumps(l),
                           start=mark)
    assert "run.lua:5" in json.dumps(line)


def test_the_store(lua, shared):
    run = lua("""
  local k = call.payload.key
  local before = mig.kv.get(k)
  local first = mig.kv.put(k, { n = 1 }, { expect = 0 })
  local again, err = mig.kv.put(k, { n = 2 }, { expect = 0 })
  local value, revision = mig.kv.get(k)
  local second = mig.kv.put(k, { n = 3 }, { expect = revision })
  local now = mig.kv.get(k)
  return { before = before or mig.null, took = first ~= nil, refused = err.code, n = value.n,
           grew = second > first, now = now.n, gone = mig.kv.delete(k), after = mig.kv.get(k) or mig.null }""")
    assert run({"key": "a"}).payload == {
        "before": None, "took": True, "refused": "MIG_VERSION_MISMATCH", "n": 1, "grew": True,
        "now": 3, "gone": True, "after": None}


def test_the_store_outlives_reloads_and_keeps_tenants_apart(lua, shared):
    body = ('local n = (mig.kv.get("count") or 0) + 1\nmig.kv.put("count", n)\n'
            'return { n = n, build = %d }')
    run = lua(body % 1)
    assert [run().payload["n"] for _ in range(3)] == [1, 2, 3]
    run = lua(body % 2)
    assert run().payload == {"n": 4, "build": 2}
    assert run(tenant="other").payload["n"] == 1
    run = lua('mig.kv.delete("count")')
    run(), run(tenant="other")


def test_values_expire(lua):
    run = lua('if call.payload.put then mig.kv.put("t", 1, { ttl_ms = 60 }) end\n'
              'return { v = mig.kv.get("t") or mig.null }')
    assert run({"put": True}).payload == {"v": 1}
    eventually(lambda: run().payload == {"v": None}, 3)


def test_the_store_has_limits(migd):
    d = migd({"kv.max_value_bytes": 1000, "kv.max_keys": 10})
    d.drop(script('local r, e = mig.kv.put(call.payload.k, call.payload.v)\n'
                  'return { ok = r ~= nil, code = e and e.code or mig.null }'), "run.lua")
    d.http.reload()
    put = lambda k, v: d.http.result("test.lua.run", {"k": k, "v": v})
    assert put("a", "x" * 2000)["ok"] is False
    assert d.http.invoke("test.lua.run", {"k": "k" * 600, "v": 1}).status == 500
    results = [put(f"k{i}", i)["ok"] for i in range(15)]
    assert results == [True] * 10 + [False] * 5


def test_invoke_sleep_and_all(lua):
    run = lua("""
  local t = mig.now_ms()
  local r, e = mig.all {
    function() mig.sleep(150) return "a" end,
    function() mig.sleep(150) return mig.invoke("test.pool.mirror", {}) end,
    function() return mig.invoke("no.such.thing", {}) end,
    function() return mig.invoke("observatory.models.infer", { input = "x" }) end,
  }
  return { a = r[1], tenant = r[2].tenant, hops = r[2].hops, code = e[3].code, echo = r[4].echo,
           ms = mig.now_ms() - t }""")
    p = run().payload
    assert p["a"] == "a" and p["tenant"] == "acme" and p["hops"] >= 1
    assert p["code"] == "MIG_UNSUPPORTED_CAPABILITY" and p["echo"] == {"input": "x"}
    assert 149 <= p["ms"] < 290 * SLOW


def test_a_call_that_sleeps_can_be_cancelled(lua, shared):
    run = lua("""
  local s <close> = setmetatable({}, { __close = function() mig.log.info("it was closed") end })
  mig.sleep(60000)""")
    call = in_background(shared, "test.lua.run", message_id="lua-sleeps")
    eventually(lambda: shared.http.instance("run")[-1]["debt"] >= 1)
    mark = shared.log_mark()
    assert shared.http.cancel("lua-sleeps").json["status"] == "cancelled"
    assert call().status == 504  # and not a minute later
    shared.wait_log(lambda l: "it was closed" in json.dumps(l), start=mark)
    eventually(lambda: shared.http.instance("run")[-1]["debt"] == 0)


def test_the_deadline_of_a_script(lua):
    r = lua("mig.sleep(60000)")(deadline_ms=80)
    assert (r.status, r.error["message"]) == (504, "deadline exceeded")


def test_timers(migd):
    d = migd()
    d.drop('local mig = require "mig"\n'
           'mig.every(20, function() mig.log.info("tick") end)\n' + script("return 1")
           .replace('local mig = require "mig"\n', ""), "run.lua")
    d.http.reload()
    for _ in range(3):
        mark = d.log_mark()
        d.wait_log(lambda l: l.get("message") == "tick", 3, mark)
    d.remove("run.lua")
    d.http.reload()
    eventually(lambda: not d.http.instance("run"))


def test_streams_of_scripts(migd, plugins):
    from test_streams import stream
    d = migd(drop=[plugins("stream_binding")])
    d.drop(script("""
  local n = 0
  for m in call:messages() do n = n + 1 call:send { got = m.v } end
  return { n = n }""", ', modes = { "bidi" }'), "run.lua")
    d.http.reload()
    frames, last, _ = stream(d, "test.lua.run", "bidi_stream", messages=[{"v": i} for i in range(100)])
    assert [f["got"] for f in frames] == list(range(100)) and last["payload"] == {"n": 100}


def test_a_script_of_two_files(migd):
    d = migd()
    (d.plugins / "lib").mkdir()
    (d.plugins / "lib/words.lua").write_text('return { hello = "one" }')
    d.drop('local words = require "lib.words"\n' + script("return words.hello"), "run.lua")
    assert d.http.reload().status == 200
    assert d.http.result("test.lua.run") == {"result": "one"}
    (d.plugins / "lib/words.lua").write_text('return { hello = "two" }')
    assert d.http.reload().json["changed"] == ["run"]
    assert d.http.result("test.lua.run") == {"result": "two"}


# --- those that mean harm ---------------------------------------------------------------------------

def allowed(text, value):
    return text == "*" or value in text.split("|")


@pytest.fixture(scope="module")
def bystander(shared):
    """Another client, all the while; its times are looked at after each script."""
    stop, times, wrong = threading.Event(), [], []

    def run():
        client = shared.client()
        while not stop.is_set():
            began = time.monotonic()
            r = client.invoke("observatory.models.infer", {"input": "x"})
            times.append((time.monotonic() - began) * 1000)
            if r.status != 200:
                wrong.append(r)
            stop.wait(0.002)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield times, wrong
    stop.set()
    thread.join(5)


@pytest.mark.parametrize("path", HOSTILE, ids=lambda p: p.stem)
def test_hostile_scripts(shared, bystander, path):
    times, wrong = bystander
    times.clear()
    text = path.read_text()
    verb, rest = text.splitlines()[0][len("-- expect: "):].split(" -- ")[0].split(" ", 1)
    id = "hostile." + path.stem.replace("_", "-") + ".run"
    name = "h" + path.stem.replace("_", "-")[:50]
    shared.drop(text, name + ".lua")
    try:
        r = shared.http.reload()
        if verb == "load":
            assert r.status == 422 and rest in json.dumps(r.findings), r
            return
        assert r.status == 200, r
        began = time.monotonic()
        r = shared.http.invoke(id, {}, deadline_ms=5000)
        took = time.monotonic() - began
        assert took < 2 * SLOW, took
        if r.status == 200:
            assert allowed(verb, "ok"), r
            value = r.payload.get("result", r.payload)
            assert rest == "*" or value == json.loads(rest), r
        else:
            assert allowed(verb, r.code) and allowed(rest, r.reason), r
            assert b".lua" not in r.body and b"traceback" not in r.body
        ping = shared.http.invoke(id, {"ping": True})
        assert ping.payload == {"result": "pong"}, "the script serves the next call"
    finally:
        shared.remove(name + ".lua")
        assert shared.http.reload().status == 200
        assert not wrong
    eventually(lambda: len(times) > 5)
    p99 = sorted(times)[int(len(times) * 0.99) - (len(times) >= 100)]
    assert p99 < 200 * SLOW, f"p99 of a bystander: {p99:.0f} ms of {len(times)}"


def test_a_busy_script_shares_its_loop(migd):
    d = migd({"loops": 1})
    d.drop(script("local t = mig.now_ms() while mig.now_ms() - t < 40 do end return 1"), "run.lua")
    d.http.reload()
    stop = threading.Event()

    def busy():
        client = d.client()
        while not stop.is_set():
            client.invoke("test.lua.run")

    threads = [threading.Thread(target=busy) for _ in range(4)]
    [t.start() for t in threads]
    times = []
    for _ in range(100):
        began = time.monotonic()
        assert d.http.invoke("observatory.models.infer", {"input": "x"}).status == 200
        times.append((time.monotonic() - began) * 1000)
    stop.set()
    [t.join(10) for t in threads]
    times.sort()  # the machine may be busy with others: the tail says less than the middle
    assert times[50] < 60 * SLOW and times[95] < 300 * SLOW, times[-10:]
