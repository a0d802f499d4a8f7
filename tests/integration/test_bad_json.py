"""Bodies that are not what they should be: an envelope with details.reason, and the connection lives."""
import json

import pytest

SHARED = {"plugins": ["pool_sleep"], "settings": {"mig.max_body_bytes": 1 << 20}}

PATHS = ["/mig/v0.1/invoke/observatory.models.infer", "/mig/v0.1/hello", "/mig/v0.1/discover",
         "/mig/v0.1/cancel/x", "/mig/v0.1/heartbeat"]
HEADER = '"header":{"tenant_id":"acme"}'

BAD = {
    "nonsense": b"nonsense",
    "cut": b'{"header":{"tenant_id":"acme"',
    "two documents": b"{}{}",
    "trailing": b"{} x",
    "trailing comma": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "unquoted": b"{a:1}",
    "comment": b'{/* a */"a":1}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "leading zero": b'{"a":01}',
    "plus": b'{"a":+1}',
    "bare point": b'{"a":.5}',
    "hex": b'{"a":0x10}',
    "BOM": b'\xef\xbb\xbf{"a":1}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "invalid UTF-8": b'{"a":"\xff"}',
    "overlong UTF-8": b'{"a":"\xc0\xaf"}',
    "encoded surrogate": b'{"a":"\xed\xa0\x80"}',
    "cut UTF-8": b'{"a":"\xe2\x82"}',
    "lone surrogate escape": b'{"a":"\\ud800"}',
    "bad escape": b'{"a":"\\x41"}',
    "control character": b'{"a":"\x01"}',
    "raw newline in a string": b'{"a":"x\ny"}',
    "NUL": b'{"a":1}\x00',
    "duplicate members": b'{"a":1,"a":2}',
    "duplicate nested": b'{"a":{"b":1,"b":2}}',
    "duplicate by escape": b'{"a":1,"\\u0061":2}',
    "duplicate header": b'{"header":{"tenant_id":"a"},"header":{"tenant_id":"b"}}',
    "array": b"[]",
    "string": b'"x"',
    "number": b"5",
    "null": b"null",
    "deep arrays": b'{"a":' + b"[" * 200 + b"]" * 200 + b"}",
    "deep objects": b'{"a":' * 200 + b"1" + b"}" * 200,
    "very deep": b"[" * 300000,
    "header is a string": b'{"header":"x"}',
    "header is a list": b'{"header":[]}',
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("shape", BAD)
def test_bad_bodies(http, path, shape):
    r = http.request("POST", path, BAD[shape], {"X-Tenant-ID": "acme"})
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST"), r
    assert r.reason and isinstance(r.error["details"], dict)
    assert r.error["retryable"] is False and r.error["message"]
    assert r.json["header"]["message_id"] == r.headers["MIG-Message-ID"]


def test_the_message_id_of_the_transport_is_kept(http):
    r = http.request("POST", PATHS[0], b"{", {"X-Tenant-ID": "acme", "MIG-Message-ID": "mine"})
    assert r.status == 400 and r.headers["MIG-Message-ID"] == "mine"


@pytest.mark.parametrize("depth,status", [(100, 200), (128, None), (129, 400), (1000, 400)])
def test_depth(http, depth, status):
    """The envelope counts: payload is level 2."""
    inner = "[" * (depth - 2) + "]" * (depth - 2)
    r = http.request("POST", PATHS[0],
                     f'{{{HEADER},"payload":{{"input":"x","deep":{inner}}}}}'.encode())
    assert r.status == status if status else r.status in (200, 400)


def test_good_json_that_is_unusual(http):
    bodies = [
        f' \r\n\t{{{HEADER},"payload":{{"input":"x"}}}}\n ',
        f'{{{HEADER},"payload":{{"input":"\\ud83d\\ude00","\\u0000":1}}}}',
        f'{{{HEADER},"payload":{{"input":"😀","":{{}},"é":[[],{{}},null]}}}}',
        f'{{{HEADER},"payload":{{"input":"x","n":[0,-0,1e308,1E-5,123456789012345678901234567890]}}}}',
        '{"payload":{"input":"x"},"header":{"tenant_id":"acme"}}',
        '{"\\u0068eader":{"tenant_id":"acme"},"payload":{"input":"x"}}',
    ]
    for body in bodies:
        r = http.request("POST", PATHS[0], body.encode())
        assert r.status == 200, (body, r)


def test_the_payload_comes_back_as_it_was(http):
    payload = {"input": "q\"\\/\b\f\n\r\t\u2028😀", "n": [1, -2.5, 1e10, True, None], "o": {"": ""}}
    assert http.invoke("observatory.models.infer", payload).payload["echo"] == payload


def test_large_integers_keep_their_digits(http):
    body = f'{{{HEADER},"payload":{{"input":"x","n":12345678901234567890123}}}}'
    assert b"12345678901234567890123" in http.request("POST", PATHS[0], body.encode()).body


def test_a_body_over_the_limit(http):
    r = http.request("POST", PATHS[0], b"x" * ((1 << 20) + 1))
    assert r.status == 413 and r.code == "MIG_INVALID_REQUEST" and r.reason


def test_many_members(http):
    payload = {"input": "x", **{f"k{i}": i for i in range(20000)}}
    assert http.invoke("observatory.models.infer", payload).status == 200


def test_many_equal_hashes_do_not_take_long(http):
    keys = ",".join(f'"{"a" * (i % 50)}{i}":1' for i in range(30000))
    r = http.request("POST", PATHS[0], f'{{{HEADER},"payload":{{"input":"x",{keys}}}}}'.encode())
    assert r.status == 200


@pytest.mark.parametrize("envelope", [{"capability": 5}, {"capability": ["a"]},
                                      {"stream_preference": {}}, {"payload": "x"}])
def test_wrong_types_of_members(http, envelope):
    r = http.invoke("observatory.models.infer", {"input": "x"}, envelope=envelope)
    assert (r.status, r.code) == (400, "MIG_INVALID_REQUEST"), r


@pytest.mark.parametrize("path,body", [
    ("/admin/v0.1/capabilities", b"{"), ("/admin/v0.1/capabilities", b"[]"),
    ("/admin/v0.1/capabilities", b"{}"), ("/admin/v0.1/capabilities", b'{"descriptor":5}'),
    ("/admin/v0.1/capabilities", b""), ("/admin/v0.1/plugins/reload", b"{"),
    ("/admin/v0.1/plugins/reload", b""), ("/admin/v0.1/manifests", b""),
])
def test_bad_bodies_of_admin_routes(http, path, body):
    r = http.request("POST", path, body)
    assert r.status == 400 and r.code == "MIG_INVALID_REQUEST" and r.reason, r


def test_fuzzed_envelopes_never_hurt(http, shared):
    """Every byte of a good envelope replaced by a few others: an answer each time."""
    good = json.dumps({"header": {"tenant_id": "acme", "meta": {"a": [1, {}]}},
                       "payload": {"input": "x"}}).encode()
    for at in range(len(good)):
        for byte in b'"\\{}[],:0\xff\x00':
            body = good[:at] + bytes([byte]) + good[at + 1:]
            assert http.request("POST", PATHS[0], body).status in (200, 400)
    assert shared.is_alive()


@pytest.mark.parametrize("value", [["1", "2", "3", "4", "5"], {"a": 1, "b": 2}, 7, True, [[]] * 60])
def test_what_should_be_a_text_and_is_none(http, value):
    """Every text member of the wire as something else: an answer, never a crash."""
    for meta in ("mig.capability_version", "mig.stream_preference", "idg.x"):
        r = http.invoke("observatory.models.infer", {"input": "x"}, meta={meta: value})
        assert r.status in (200, 400), r
    for member in ("capability", "stream_preference", "topic", "key", "query", "target_message_id", "reason"):
        for operation in ("invoke/observatory.models.infer", "publish/a.b", "discover", "cancel/x", "hello"):
            assert http.mig(operation, {member: value, "payload": {"input": "x"}}).status in (200, 400)
