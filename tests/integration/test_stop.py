"""Stopping: what runs is finished, what is new is refused."""
import signal
import time

import pytest
from helpers.daemon import SLOW
from helpers.http import eventually, post_text
from test_invoke import in_background

BODY = '{"header":{"tenant_id":"acme"},"payload":{"input":"x"}}'


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_finished(migd, plugins, number):
    d = migd(drop=[plugins("pool_sleep")])
    call = in_background(d, "test.pool.sleep", {"ms": 500})
    eventually(lambda: d.http.result("test.pool.status")["started"] == 1)
    d.signal(number)
    d.wait_log(lambda l: l.get("event") == "migd.stopping")
    r = call()
    assert r.status == 200 and r.headers["Connection"] == "close"
    assert d.wait(5 * SLOW) == 0


def test_new_work_is_refused_while_stopping(migd, plugins):
    d = migd({"loops": 1}, drop=[plugins("pool_sleep")])
    raw = d.raw()
    slow = post_text("/mig/v0.1/invoke/test.pool.sleep",
                     '{"header":{"tenant_id":"a"},"payload":{"ms":500}}')
    raw.send(slow)
    half = d.raw()
    text = post_text("/mig/v0.1/invoke/observatory.models.infer", BODY)
    half.send(text[:30])  # a request under way has not begun yet
    eventually(lambda: d.http.result("test.pool.status")["started"] == 1)
    d.signal(signal.SIGTERM)
    d.wait_log(lambda l: l.get("event") == "migd.stopping")
    half.send(text[30:])
    r = half.reply()
    assert r.status == 503 and r.code == "MIG_UNAVAILABLE" and r.headers["retry-after"]
    assert r.headers["connection"] == "close" and half.is_closed()
    assert raw.reply().status == 200 and raw.is_closed()
    with pytest.raises((OSError, EOFError)):
        d.raw().send(text).reply()
    assert d.wait(5 * SLOW) == 0


def test_idle_connections_are_closed_at_once(migd):
    d = migd()
    raws = [d.raw() for _ in range(10)]
    text = post_text("/mig/v0.1/invoke/observatory.models.infer", BODY)
    assert all(r.send(text).reply().status == 200 for r in raws)
    began = time.monotonic()
    d.signal(signal.SIGTERM)
    assert d.wait(5) == 0 and time.monotonic() - began < 3.5 * SLOW  # 2 s to linger
    assert all(r.is_closed() for r in raws)


def test_connections_that_never_said_anything_do_not_hold_the_stop_up(migd):
    d = migd()
    raws = [d.raw() for _ in range(5)]
    d.http.mig("hello")
    began = time.monotonic()
    d.signal(signal.SIGTERM)
    assert d.wait(12) == 0 and time.monotonic() - began < 3.5 * SLOW
    [r.close() for r in raws]


def test_the_stop_has_a_limit(migd, plugins):
    d = migd({"stop.timeout_ms": 300}, drop=[plugins("pool_sleep")])
    call = in_background(d, "test.pool.sleep", {"ms": 20000})
    eventually(lambda: d.http.result("test.pool.status")["started"] == 1)
    began = time.monotonic()
    d.signal(signal.SIGTERM)
    r = call()
    assert (r.status, r.code) == (503, "MIG_UNAVAILABLE")
    assert d.wait(8 * SLOW) == 0 and time.monotonic() - began < 5 * SLOW


def test_a_plugin_that_never_ends_does_not_hold_the_stop_up(migd, plugins):
    d = migd({"stop.timeout_ms": 300}, drop=[plugins("hostile")], leaks=True)
    assert d.http.invoke("test.hostile.never_ends", deadline_ms=20).status == 504
    d.signal(signal.SIGTERM)
    assert d.wait(10 * SLOW) == 0


def test_a_reload_while_stopping_does_no_harm(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    for _ in range(5):
        d.signal(signal.SIGHUP)
    d.signal(signal.SIGTERM)
    d.signal(signal.SIGHUP)
    assert d.wait(10) == 0


def test_asked_twice_it_ends_now(migd, plugins):
    d = migd(drop=[plugins("pool_sleep")], exit_code=1)
    in_background(d, "test.pool.sleep", {"ms": 20000, "deaf": 1})
    eventually(lambda: d.http.result("test.pool.status")["started"] == 1)
    d.signal(signal.SIGTERM)
    d.wait_log(lambda l: l.get("event") == "migd.stopping")
    d.signal(signal.SIGTERM)
    assert d.wait(3) == 1


def test_health_says_that_it_stops(migd, plugins):
    d = migd({"loops": 1}, drop=[plugins("pool_sleep")])
    in_background(d, "test.pool.sleep", {"ms": 400})
    eventually(lambda: d.http.result("test.pool.status")["started"] == 1)
    half = d.raw()
    half.send("GET /health HTTP/1.1\r\n")
    d.http.mig("hello")  # the loop has looked at both connections since
    d.http.mig("hello")
    d.signal(signal.SIGTERM)
    d.wait_log(lambda l: l.get("event") == "migd.stopping")
    half.send("Host: localhost\r\n\r\n")
    assert half.reply().status == 503
    assert d.wait(5 * SLOW) == 0
