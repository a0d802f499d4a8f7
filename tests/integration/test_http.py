"""HTTP/1.1 on raw sockets: framing, smuggling shapes, limits, slow clients (issue: Bad input)."""
import json
import socket
import time

import pytest
from helpers.daemon import SLOW
from helpers.http import eventually, post_text

SHARED = {"plugins": ["pool_sleep"], "settings": {
    "loops": 1, "http.max_header_bytes": 4096, "http.max_headers": 30, "http.max_url_bytes": 1024,
    "mig.max_body_bytes": 65536, "http.header_timeout_ms": 700, "http.body_timeout_ms": 700,
    "http.idle_timeout_ms": 1500}}

PATH = "/mig/v0.1/invoke/observatory.models.infer"
BODY = '{"header":{"tenant_id":"acme"},"payload":{"input":"x"}}'
GOOD = post_text(PATH, BODY)
CHUNKED = (f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.fixture
def raw(shared):
    with shared.raw() as r:
        yield r


def envelope(reply):
    """An error answer of whatever layer is the envelope of section 10."""
    body = reply.json
    assert set(body) == {"header", "error"}, reply
    assert set(body["error"]) == {"code", "message", "retryable", "details"}
    assert reply.headers["mig-message-id"] == body["header"]["message_id"]
    assert body["header"]["tenant_id"] == "unknown"
    return body["error"]


# --- good shapes ------------------------------------------------------------------------------------

def test_keep_alive(raw):
    for _ in range(20):
        r = raw.send(GOOD).reply()
        assert r.status == 200 and "connection" not in r.headers
        assert r.headers["content-type"] == "application/json" and r.headers["date"]


def test_connection_close(raw):
    r = raw.send(post_text(PATH, BODY, connection="close")).reply()
    assert r.status == 200 and r.headers["connection"] == "close" and raw.is_closed()


def test_pipelining_keeps_the_order(raw):
    ids = [f"p{i}" for i in range(50)]
    text = "".join(post_text(PATH, json.dumps({"header": {"tenant_id": "a", "message_id": i},
                                               "payload": {"input": i}})) for i in ids)
    raw.send(text)
    assert [raw.reply().headers["mig-message-id"] for _ in ids] == ids


def test_pipelining_behind_a_slow_request(raw):
    slow = post_text("/mig/v0.1/invoke/test.pool.sleep", json.dumps(
        {"header": {"tenant_id": "a", "message_id": "slow"}, "payload": {"ms": 150}}))
    fast = post_text(PATH, json.dumps({"header": {"tenant_id": "a", "message_id": "fast"},
                                       "payload": {"input": "x"}}))
    raw.send(slow + fast * 1 + post_text("/mig/v0.1/hello", BODY))
    assert [raw.reply().headers["mig-message-id"] for _ in range(2)] == ["slow", "fast"]
    assert raw.reply().json["server_id"]


def test_a_pipeline_that_is_cut_anywhere(raw):
    text = (GOOD * 3).encode()
    for at in range(0, len(text), 7):
        raw.send(text[at:at + 7])
    assert [raw.reply().status for _ in range(3)] == [200] * 3


def test_chunked_requests(raw):
    a, b = BODY[:20], BODY[20:]
    raw.send(CHUNKED + f"{len(a):x}\r\n{a}\r\n{len(b):X};ext=1\r\n{b}\r\n0\r\n\r\n")
    assert raw.reply().payload["echo"] == {"input": "x"}
    raw.send(CHUNKED + f"{len(BODY):x}\r\n{BODY}\r\n0\r\nX-Trailer: 1\r\n\r\n")
    assert raw.reply().status == 200
    assert raw.send(GOOD).reply().status == 200


def test_chunks_byte_by_byte(raw):
    raw.send(CHUNKED)
    for c in BODY:
        raw.send(f"1\r\n{c}\r\n")
    assert raw.send("0\r\n\r\n").reply().status == 200


def test_expect_continue(raw):
    raw.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n"
             "Expect: 100-continue\r\n\r\n")
    assert raw.reply().status == 100
    assert raw.send(BODY).reply().status == 200


def test_expect_something_else(raw):
    raw.send(post_text(PATH, BODY, "Expect: miracles"))
    r = raw.reply()
    assert r.status == 417 and envelope(r)["code"] == "MIG_INVALID_REQUEST" and raw.is_closed()


def test_expect_is_not_answered_for_a_body_that_is_too_large(raw):
    raw.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n"
             "Expect: 100-continue\r\n\r\n")
    assert raw.reply().status == 413 and raw.is_closed()


@pytest.mark.parametrize("path", ["/health", "/admin/v0.1/health/live", "/admin/v0.1/plugins"])
def test_head_is_get_without_the_body(raw, path):
    got = raw.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").reply()
    head = raw.send(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").reply(is_head=True)
    assert (got.status, head.status) == (200, 200)
    assert head.headers["content-length"] and head.headers["content-type"]
    assert raw.send(GOOD).reply().status == 200  # no body was sent


def test_http_1_0(shared):
    with shared.raw() as raw:
        r = raw.send(f"POST {PATH} HTTP/1.0\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}").reply()
        assert r.status == 200 and r.headers["connection"] == "close" and raw.is_closed()
    with shared.raw() as raw:
        text = (f"POST {PATH} HTTP/1.0\r\nConnection: keep-alive\r\n"
                f"Content-Length: {len(BODY)}\r\n\r\n{BODY}")
        for _ in range(2):
            r = raw.send(text).reply()
            assert r.status == 200 and r.headers["connection"] == "keep-alive"


@pytest.mark.parametrize("target", [f"http://localhost{PATH}", f"{PATH}?x=1&y=%20", f"{PATH}?"])
def test_forms_of_the_target(raw, target):
    assert raw.send(post_text(target, BODY)).reply().status == 200


def test_an_upgrade_that_nobody_serves_is_ignored(raw):
    r = raw.send(post_text(PATH, BODY, "Connection: Upgrade", "Upgrade: websocket")).reply()
    assert r.status == 200
    r = raw.send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade, HTTP2-Settings\r\n"
                 "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n").reply()
    assert r.status == 200
    assert raw.send(GOOD).reply().status == 200


def test_any_content_type_is_json(raw):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "nonsense", ""):
        assert raw.send(post_text(PATH, BODY, f"Content-Type: {kind}")).reply().status == 200


def test_empty_lines_before_a_request(raw):
    assert raw.send("\r\n" + GOOD).reply().status == 200


# --- routes -----------------------------------------------------------------------------------------

def test_unknown_paths_and_methods(raw):
    r = raw.send("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n").reply()
    assert r.status == 404 and envelope(r)["code"] == "MIG_NOT_FOUND"
    r = raw.send(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n").reply()
    assert r.status == 405 and r.headers["allow"] == "POST"
    assert envelope(r)["code"] == "MIG_INVALID_REQUEST"
    r = raw.send(f"DELETE /health HTTP/1.1\r\nHost: localhost\r\n\r\n").reply()
    assert r.status == 405 and set(r.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert raw.send(GOOD).reply().status == 200


@pytest.mark.parametrize("path", ["/mig/v0.1/hello/", "//mig/v0.1/hello", "/MIG/v0.1/hello",
                                  "/mig/v0.1/../v0.1/hello", "/mig/v0.1/invoke/%00",
                                  "/mig/v0.1/invoke/%ff", "/mig/v0.1/invoke/%", "/%2e%2e/etc"])
def test_paths_are_taken_literally(raw, path):
    assert raw.send(post_text(path, BODY)).reply().status == 404
    assert raw.send(GOOD).reply().status == 200


# --- smuggling and malformed ------------------------------------------------------------------------

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
BAD = {
    "both lengths": CHUNKED[:-2] + f"Content-Length: 5\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "both lengths, other order": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                                 f"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "two lengths": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                   f"Content-Length: 6\r\n\r\nabcde{SMUGGLED}",
    "two equal lengths": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                         f"Content-Length: 5\r\n\r\nabcde{SMUGGLED}",
    "length list": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nabcde",
    "negative length": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "signed length": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nabcde",
    "hex length": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nabcde",
    "length over 64 bit": f"POST {PATH} HTTP/1.1\r\nHost: x\r\n"
                          f"Content-Length: 184467440737095516150\r\n\r\n",
    "empty length": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
    "unknown coding": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n{SMUGGLED}",
    "chunked not last": f"POST {PATH} HTTP/1.1\r\nHost: x\r\n"
                        f"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "chunked twice": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                     f"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "xchunked": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "space before colon": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nabcde",
    "obs-fold": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "obs-fold length": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n 5\r\n\r\nabcde",
    "bare LF head": f"POST {PATH} HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "bare LF line": f"POST {PATH} HTTP/1.1\r\nHost: x\nContent-Length: 5\r\n\r\nabcde",
    "bare CR": f"POST {PATH} HTTP/1.1\r\nHost: x\rX: y\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "control in a name": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX\x01: a\r\nContent-Length: 0\r\n\r\n",
    "no colon": f"POST {PATH} HTTP/1.1\r\nHost: x\r\nnonsense\r\nContent-Length: 0\r\n\r\n",
    "no host": f"POST {PATH} HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": f"POST {PATH} HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
    "bad chunk size": CHUNKED + "zz\r\nabc\r\n0\r\n\r\n",
    "negative chunk": CHUNKED + "-1\r\nabc\r\n0\r\n\r\n",
    "empty chunk size": CHUNKED + "\r\nabc\r\n0\r\n\r\n",
    "chunk size over 64 bit": CHUNKED + "fffffffffffffffff\r\nabc",
    "chunk longer than it says": CHUNKED + "3\r\nabcdef\r\n0\r\n\r\n",
    "chunk with bare LF": CHUNKED + "3\nabc\n0\n\n",
    "space in chunk size": CHUNKED + "3 3\r\nabc\r\n0\r\n\r\n",
    "chunked in 1.0": f"POST {PATH} HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                      f"0\r\n\r\n{SMUGGLED}",
    "binary": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00" * 40,
    "space in target": f"POST {PATH} x HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": f"BREW {PATH} HTTP/1.1\r\nHost: x\r\n\r\n",
    "lower-case method": f"post {PATH} HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("shape", BAD)
def test_malformed_requests_are_answered_400_and_closed(raw, shared, http, shape):
    r = raw.send(BAD[shape]).reply()
    assert r.status == 400, r
    error = envelope(r)
    assert error["code"] == "MIG_INVALID_REQUEST" and error["details"]["reason"]
    assert r.headers["connection"] == "close" and raw.is_closed()
    assert b"HTTP/1.1" not in raw.buffer, "a second request was answered"
    assert http.mig("hello").status == 200


@pytest.mark.parametrize("text", [f"POST {PATH}\r\n\r\n", "GET /\r\n\r\n"])
def test_http_0_9_is_refused(raw, text):
    r = raw.send(text).reply()
    assert r.status in (400, 505) and raw.is_closed()
    assert envelope(r)["code"] == "MIG_INVALID_REQUEST" and not envelope(r)["retryable"]


def test_http_2_preface_behind_a_request_is_refused(raw):
    assert raw.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").reply().status == 200
    r = raw.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").reply()
    assert r.status in (400, 505) and raw.is_closed()


def test_connect_is_refused(raw):
    r = raw.send("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n").reply()
    assert r.status in (400, 405) and raw.is_closed()


def test_http_1_2_is_spoken_to_or_refused_but_understood(raw):
    r = raw.send(f"POST {PATH} HTTP/1.2\r\nHost: x\r\nContent-Length: 0\r\n\r\n").reply()
    assert r.status in (400, 505)


def test_protocol_errors_are_counted(shared, http):
    before = http.admin("loops").json["loops"][0]["protocol_errors"]
    with shared.raw() as raw:
        raw.send(BAD["obs-fold"]).reply()
    assert http.admin("loops").json["loops"][0]["protocol_errors"] == before + 1


# --- limits -----------------------------------------------------------------------------------------

def test_a_head_that_is_too_large(raw):
    r = raw.send(post_text(PATH, BODY, "X-Long: " + "a" * 4096)).reply()
    assert r.status == 431 and envelope(r)["details"]["reason"] and raw.is_closed()


def test_a_head_of_many_small_headers_is_too_large(raw):
    r = raw.send(post_text(PATH, BODY, *[f"X-{i}: {'a' * 300}" for i in range(20)])).reply()
    assert r.status == 431 and raw.is_closed()


def test_too_many_headers(raw):
    r = raw.send(post_text(PATH, BODY, *[f"X-{i}: a" for i in range(40)])).reply()
    assert r.status == 431 and raw.is_closed()


def test_as_many_headers_as_allowed(raw):
    assert raw.send(post_text(PATH, BODY, *[f"X-{i}: a" for i in range(28)])).reply().status == 200


def test_a_target_that_is_too_long(raw):
    r = raw.send(post_text(PATH + "?" + "a" * 1200, BODY)).reply()
    assert r.status == 414 and envelope(r)["code"] == "MIG_INVALID_REQUEST" and raw.is_closed()


def test_an_endless_head_is_cut(raw):
    with pytest.raises((EOFError, OSError)):
        raw.send(f"POST {PATH} HTTP/1.1\r\n")
        for _ in range(10000):
            raw.send("X: " + "y" * 500 + "\r\n")
        raw.until(b"never")


def big_body(n):
    return BODY[:-2] + "," + '"pad":"' + "x" * (n - len(BODY) - 9) + '"}}'


def test_a_body_at_the_limit(raw):
    body = big_body(65536)
    assert len(body) == 65536 and raw.send(post_text(PATH, body)).reply().status == 200


def test_a_body_over_the_limit(raw):
    raw.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n")
    r = raw.reply()
    assert r.status == 413 and envelope(r)["code"] == "MIG_INVALID_REQUEST" and raw.is_closed()


def test_chunks_over_the_limit(raw):
    raw.send(CHUNKED)
    chunk = f"{8192:x}\r\n{'x' * 8192}\r\n"
    try:
        for _ in range(9):
            raw.send(chunk)
    except OSError:
        pass
    r = raw.reply()
    assert r.status == 413 and raw.is_closed()


def test_a_body_over_the_limit_that_is_sent_anyway_gets_its_answer(raw):
    """Lingering close: the client that writes on sees the 413, not a reset."""
    raw.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(10):
        raw.send("x" * 50000)
    assert raw.reply().status == 413


def test_connections_over_the_limit_are_closed(migd):
    d = migd({"loops": 1, "http.max_connections": 5})
    d.http.close()
    eventually(lambda: True)
    socks = [d.raw() for _ in range(5)]
    assert [s.send(GOOD).reply().status for s in socks] == [200] * 5
    with d.raw() as extra:
        assert extra.is_closed()
    socks[0].close()

    def fits():
        with d.raw() as again:
            try:
                return again.send(GOOD).reply().status == 200
            except (EOFError, OSError):
                return False

    eventually(fits)
    for s in socks:
        s.close()


# --- time -------------------------------------------------------------------------------------------

def closes_between(raw, low, high):
    began = time.monotonic()
    assert raw.is_closed(high * SLOW)
    assert time.monotonic() - began >= low


def test_a_client_that_says_nothing(raw):
    closes_between(raw, 0.6, 3)


def test_a_head_that_never_ends(raw):
    raw.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n")
    r = raw.reply()
    assert r.status == 408 and envelope(r)["code"] == "MIG_TIMEOUT" and raw.is_closed()


def test_a_head_that_drips_does_not_win_time(raw):
    began = time.monotonic()
    raw.sock.settimeout(0.05)
    text = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n" * 400
    for c in text:
        try:
            raw.send(c)
            raw.buffer += raw.sock.recv(65536)
            break
        except socket.timeout:
            continue
        except OSError:
            break
    assert 0.6 < time.monotonic() - began < 3 * SLOW
    assert b"408" in raw.buffer


def test_a_body_that_stops(raw):
    raw.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    r = raw.reply()
    assert r.status == 408 and raw.is_closed()


def test_a_body_that_drips_goes_on(raw):
    raw.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n")
    step = 16
    for at in range(0, len(BODY), step):
        raw.sock.settimeout(0.25)
        with pytest.raises(socket.timeout):  # waits a quarter of a second, and nothing comes
            raw.sock.recv(1)
        raw.send(BODY[at:at + step])
    raw.sock.settimeout(10)
    assert raw.reply().status == 200


def test_an_idle_connection_is_closed_quietly(raw):
    assert raw.send(GOOD).reply().status == 200
    closes_between(raw, 1.3, 4)
    assert raw.buffer == b""


def test_a_client_that_takes_nothing_is_dropped(migd, plugins):
    d = migd({"loops": 1, "http.write_timeout_ms": 400}, drop=[plugins("hostile")])
    body = '{"header":{"tenant_id":"a"},"payload":{}}'
    raw = d.raw()
    raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.send(post_text("/mig/v0.1/invoke/test.hostile.huge", body))
    mine = lambda: d.http.admin("loops").json["loops"][0]["connections"]
    eventually(lambda: mine() == 2)
    eventually(lambda: mine() == 1, 5, what="the connection is gone")
    raw.close()


def test_a_slow_reader_gets_all_of_a_large_answer(migd, plugins):
    d = migd({"loops": 1}, drop=[plugins("hostile")])
    body = '{"header":{"tenant_id":"a"},"payload":{}}'
    with d.raw() as raw:
        raw.send(post_text("/mig/v0.1/invoke/test.hostile.huge", body))
        r = raw.reply()
        assert r.status == 200 and len(r.json["payload"]["x"]) == 16 << 20


def test_many_idle_connections_do_not_disturb(shared, http):
    socks = [shared.raw() for _ in range(200)]
    began = time.monotonic()
    for _ in range(50):
        assert http.mig("hello").status == 200
    assert time.monotonic() - began < 2 * SLOW
    for s in socks:
        s.close()
