"""TLS of listeners: settings, certificates that change with a reload, client certificates."""
import re
import shutil
import socket
import ssl
import subprocess

import pytest
from helpers.http import Raw

HEALTH = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True, timeout=60)


def certificate(folder, name, cn="localhost", ca=None, san="DNS:localhost"):
    """name.pem and name.key in folder; signed by the certificate called ca, or by itself."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
    if ca is None:
        openssl("req", "-x509", *key, "-out", f"{name}.pem", "-days", "9", "-subj", cn_of(cn),
                "-addext", f"subjectAltName={san}", cwd=folder)
    else:
        openssl("req", *key, "-out", f"{name}.csr", "-subj", cn_of(cn), cwd=folder)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                "-CAcreateserial", "-days", "9", "-out", f"{name}.pem", cwd=folder)


def cn_of(cn):
    return cn if cn.startswith("/") else f"/CN={cn}"


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    for name in ("one", "two", "ca", "stranger"):
        certificate(folder, name, cn=name)
    certificate(folder, "alice", cn="/O=acme/CN=alice", ca="ca")
    return folder


def client(certs, cert=None, version=None):
    """It trusts whom it talks to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    if cert:
        context.load_cert_chain(certs / f"{cert}.pem", certs / f"{cert}.key")
    return context


def secure(d, certs, cert=None, server_name="localhost", version=None, port=None, context=None,
           session=None):
    """A Raw client over TLS; it remembers the certificate's name."""
    context = context or client(certs, cert, version)
    if port is None:
        ready = d.wait_log(lambda l: l.get("event") == "migd.ready")
        port = int(ready["tls"].rsplit(":", 1)[1])
    raw = Raw.__new__(Raw)
    Raw.__init__(raw, ("127.0.0.1", port), 10)
    raw.sock = context.wrap_socket(raw.sock, server_hostname=server_name, session=session)
    return raw


def shown(raw):
    der = raw.sock.getpeercert(binary_form=True)
    text = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-subject"], input=der,
                          capture_output=True, timeout=20).stdout.decode()
    return re.search(r"CN ?= ?(.*)", text)[1].strip()  # OpenSSL 3.5 writes no blanks


def settings(certs, name="one", **more):
    return {"tls.addr": "127.0.0.1:0", "tls.cert_file": str(certs / f"{name}.pem"),
            "tls.key_file": str(certs / f"{name}.key"), **more}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_beside_plain_text(migd, certs, version):
    d = migd(settings(certs))
    assert d.http.get("/health").status == 200
    with secure(d, certs, version=version) as raw:
        for _ in range(3):
            assert raw.send(HEALTH).reply().status == 200
        assert shown(raw) == "one"


def test_tls_instead_of_plain_text_by_environment(migd, certs):
    d = migd(env={"MIGD_TLS_CERT_FILE": str(certs / "one.pem"),
                  "MIGD_TLS_KEY_FILE": str(certs / "one.key")})
    with secure(d, certs) as raw:
        assert raw.send(HEALTH).reply().status == 200
    with d.raw() as raw:
        assert raw.send(HEALTH).reply().status == 400


def test_a_reload_reads_certificates_anew(migd, certs, tmp_path):
    for part in ("pem", "key"):
        shutil.copy(certs / f"one.{part}", tmp_path / f"live.{part}")
    d = migd(settings(tmp_path, "live"))
    old = secure(d, certs)
    assert old.send(HEALTH).reply().status == 200
    for part in ("pem", "key"):
        shutil.copy(certs / f"two.{part}", tmp_path / f"live.{part}")
    assert d.http.reload().status == 200
    with secure(d, certs) as new:
        assert shown(new) == "two" and new.send(HEALTH).reply().status == 200
    assert old.send(HEALTH).reply().status == 200  # goes on with its own
    assert shown(old) == "one"
    old.close()


def test_a_broken_pair_refuses_the_reload(migd, certs, tmp_path):
    for part in ("pem", "key"):
        shutil.copy(certs / f"one.{part}", tmp_path / f"live.{part}")
    d = migd(settings(tmp_path, "live"))
    shutil.copy(certs / "two.key", tmp_path / "live.key")
    r = d.http.reload()
    assert r.status == 422
    found = [f for f in r.findings if f["id"] == "tls.key_file"]
    assert found and found[0]["file"] == str(tmp_path / "live.key") and "mismatch" in found[0]["message"]
    (tmp_path / "live.pem").unlink()
    r = d.http.reload()
    assert "No such file" in [f for f in r.findings if f["id"] == "tls.cert_file"][0]["message"]
    with secure(d, certs) as raw:
        assert shown(raw) == "one" and raw.send(HEALTH).reply().status == 200


def test_tls_cannot_be_turned_off_by_a_reload(migd, certs):
    d = migd(settings(certs))
    d.write_settings(**{"tls.addr": None, "tls.cert_file": None, "tls.key_file": None})
    r = d.http.reload()
    assert r.status == 422 and any(f["id"] == "setting.restart" for f in r.findings)


def test_names_choose_certificates(migd, certs):
    pair = {"names": ["two.example", "*.two.example"], "cert_file": str(certs / "two.pem"),
            "key_file": str(certs / "two.key")}
    d = migd(settings(certs, **{"tls.sni": [pair]}))
    for name, cn in (("localhost", "one"), ("two.example", "two"), ("a.two.example", "two")):
        with secure(d, certs, server_name=name) as raw:
            assert shown(raw) == cn, name


def test_clients_must_show_a_certificate(migd, certs):
    d = migd(settings(certs, **{"tls.client_ca_file": str(certs / "ca.pem")}))
    with secure(d, certs, "alice") as raw:
        assert raw.send(HEALTH).reply().status == 200
    for who in (None, "stranger"):
        with pytest.raises((ssl.SSLError, OSError, EOFError)):
            with secure(d, certs, who) as raw:
                raw.send(HEALTH).reply()
    loops = d.http.admin("loops").json["loops"]
    assert sum(l["tls_failed"] for l in loops) == 2


def run(build, d, *args):
    return subprocess.run([build / "migd", "--config", d.config, *args], capture_output=True,
                          text=True, env=d.env, timeout=60)


@pytest.mark.parametrize("changes, words", [
    ({"tls.key_file": None}, "tls.key_file is missing"),
    ({"tls.cert_file": None}, "tls.cert_file is missing"),
    ({"tls.cert_file": None, "tls.key_file": None}, "needs tls.cert_file"),
    ({"tls.cert_file": "/nowhere.pem"}, "No such file"),
    ({"tls.min_version": "1.1"}, "1.2, 1.3"),
    ({"tls.ciphers": "NONSENSE"}, "no cipher match"),
    ({"tls.sni": [{"names": ["a b"], "cert_file": "x", "key_file": "y"}]}, "no server name"),
    ({"tls.sni": [{"names": ["a"]}]}, "cert_file and key_file"),
])
def test_what_is_wrong_is_said_by_check(build, migd, certs, changes, words):
    d = migd(settings(certs), start=False)
    d.write_settings(**changes)
    r = run(build, d, "--check")
    assert r.returncode == 2 and words in r.stdout, r.stdout


def test_plain_text_beyond_loopback(build, migd, certs):
    d = migd({"mig.addr": "0.0.0.0:0", "insecure": True}, start=False)
    r = run(build, d, "--check")
    assert r.returncode == 0 and "setting.plaintext" in r.stdout
    d.write_settings(**{"mig.require_tls": True})
    r = run(build, d, "--check")
    assert r.returncode == 2 and "setting.plaintext" in r.stdout
    d.write_settings(**{**settings(certs), "tls.addr": None})
    r = run(build, d, "--check")
    assert r.returncode == 0 and "setting.plaintext" not in r.stdout


def test_client_certificates_are_authentication(build, migd, certs):
    d = migd({**settings(certs), "tls.addr": None, "mig.addr": "0.0.0.0:0"}, start=False)
    r = run(build, d, "--check")
    assert r.returncode == 2 and "setting.insecure" in r.stdout
    d.write_settings(**{"tls.client_ca_file": str(certs / "ca.pem")})
    r = run(build, d, "--check")
    assert r.returncode == 0, r.stdout


def test_a_stop_says_good_bye(migd, certs):
    d = migd(settings(certs))
    raw = secure(d, certs)
    assert raw.send(HEALTH).reply().status == 200
    d.signal(15)
    assert raw.sock.recv(100) == b""  # close_notify: a cut would raise
    raw.close()
    assert d.wait() == 0


def test_handshakes_that_stop_half_way_are_ended(migd, certs):
    d = migd(settings(certs, **{"tls.handshake_timeout_ms": 100}))
    port = int(d.wait_log(lambda l: l.get("event") == "migd.ready")["tls"].rsplit(":", 1)[1])
    s = socket.create_connection(("127.0.0.1", port), timeout=5)
    s.sendall(b"\x16\x03\x01\x02\x00")
    assert s.recv(100) == b""
    s.close()
