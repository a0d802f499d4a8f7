"""Client certificates in mode none: who acts, and for which tenant (mig-core.md section 4)."""
import json
import ssl
import subprocess

import pytest
from helpers.http import eventually, post_text
from test_identity import SECRET, token
from test_tls import certificate, client, secure, settings

INFER = "/mig/v0.1/invoke/observatory.models.infer"
SUBJECTS = {"alice": "/O=acme/CN=alice", "bob": "/O=other/CN=bob", "proxy": "/CN=proxy",
            "nobody": "/O=acme", "two": "/O=acme/O=other/CN=two", "long": "/O=Acme Ltd./CN=long",
            "unknown": "/O=unknown/CN=unknown", "empty": "/C=AT"}


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    for name in ("one", "ca"):
        certificate(folder, name, cn=name)
    for name, subject in SUBJECTS.items():
        certificate(folder, name, cn=subject, ca="ca")
    return folder


@pytest.fixture
def asks(migd, certs):
    def make(**more):
        return migd(settings(certs, **{"tls.client_ca_file": str(certs / "ca.pem"), **more}))
    return make


def invoke(raw, *headers, header=None):
    body = json.dumps({"header": header or {}, "payload": {"input": "x"}})
    return raw.send(post_text(INFER, body, *headers)).reply()


def tenant(reply):
    assert reply.status == 200, reply
    return reply.json["header"]["tenant_id"]


def refused(reply, reason):
    assert reply.status == 403, reply
    error = reply.json["error"]
    assert (error["code"], error["details"]["reason"]) == ("MIG_FORBIDDEN", reason)


def actors(d):
    records = d.http.get("/pro/v0.1/audit/export").json["records"]
    return {(r["tenant_id"], r["actor"]) for r in records if r.get("operation") == "invoke"}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_organization_is_the_tenant(asks, certs, version):
    d = asks()
    with secure(d, certs, "alice", version=version) as raw:
        assert tenant(invoke(raw)) == "acme"
        assert tenant(invoke(raw, "X-Tenant-ID: acme", header={"tenant_id": "acme"})) == "acme"
        refused(invoke(raw, "X-Tenant-ID: other"), "tenant_mismatch")
        refused(invoke(raw, header={"tenant_id": "other"}), "tenant_mismatch")
        assert tenant(invoke(raw, header={"tenant_id": "mcp-adapter"})) == "acme"
    with secure(d, certs, "bob") as raw:
        assert tenant(invoke(raw)) == "other"


def test_the_common_name_is_the_actor(asks, certs):
    """What the client says of itself does not count."""
    d = asks()
    for name in ("alice", "nobody", "proxy"):
        with secure(d, certs, name) as raw:
            r = invoke(raw, "X-Actor: mallory", "X-Tenant-ID: acme")
            assert tenant(r) == "acme"
            assert r.json["header"]["meta"]["idg.principal_subject"] == "anonymous"
    eventually(lambda: actors(d) == {("acme", "alice"), ("acme", "anonymous"), ("acme", "proxy")})


def test_without_an_organization_the_request_names_the_tenant(asks, certs):
    d = asks()
    for name in ("proxy", "empty"):
        with secure(d, certs, name) as raw:
            assert tenant(invoke(raw, "X-Tenant-ID: acme")) == "acme"
            assert tenant(invoke(raw, header={"tenant_id": "other"})) == "other"
            assert invoke(raw).status == 400


@pytest.mark.parametrize("name", ["two", "long", "unknown"])
def test_an_organization_that_is_no_tenant_is_refused(asks, certs, name):
    with secure(asks(), certs, name) as raw:
        refused(invoke(raw), "tenant_certificate")
        refused(invoke(raw, "X-Tenant-ID: acme"), "tenant_certificate")
        assert raw.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").reply().status == 200


def test_a_session_that_resumes_is_whose_it_was(asks, certs):
    d = asks()
    context = client(certs, "alice")
    with secure(d, certs, context=context) as raw:
        assert tenant(invoke(raw)) == "acme"
        session = raw.sock.session
    with secure(d, certs, context=context, session=session) as raw:
        assert raw.sock.session_reused
        assert tenant(invoke(raw)) == "acme"
        refused(invoke(raw, "X-Tenant-ID: other"), "tenant_mismatch")


def test_each_stream_of_http2_has_it(asks, certs):
    d = asks()
    ready = d.wait_log(lambda l: l.get("event") == "migd.ready")
    r = subprocess.run(["curl", "-sSk", "--http2", "--max-time", "20", "--cert", certs / "alice.pem",
                        "--key", certs / "alice.key", "-d", '{"payload":{"input":"x"}}',
                        "-w", " %{http_version}", f"https://{ready['tls']}{INFER}"],
                       capture_output=True, text=True, timeout=60)
    text, version = r.stdout.rsplit(" ", 1)
    assert version == "2" and json.loads(text)["header"]["tenant_id"] == "acme"


def test_plain_text_beside_it_stays_as_it_was(asks):
    d = asks()
    r = d.http.invoke("observatory.models.infer", {"input": "x"}, tenant="other",
                      headers={"X-Actor": "carol"})
    assert tenant(r) == "other"
    eventually(lambda: actors(d) == {("other", "carol")})


def test_a_token_counts_instead(asks, certs):
    d = asks(**{"mig.auth_mode": "jwt", "mig.jwt_hs256_secret": SECRET})
    with secure(d, certs, "bob") as raw:
        assert invoke(raw).status == 401
        assert tenant(invoke(raw, f"Authorization: Bearer {token()}")) == "acme"
