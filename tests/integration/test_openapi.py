"""The OpenAPI documents say what the daemon does: schemathesis makes requests of them, good and bad, and
looks at every answer (docs/reference/openapi)."""
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.daemon import ROOT, clean_environment

DOCUMENTS = ROOT / "docs/reference/openapi"
NAMES = ["mig", "admin", "pro", "cloud"]
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,"
          "response_schema_conformance,response_headers_conformance")
# A call may time out: one with a deadline of a millisecond, or with an id that was cancelled before.
CONFIG = "[checks.not_a_server_error]\nexpected-statuses = [\"2xx\", \"4xx\", 504]\n"
# Endless answers, which it would wait for: test_events and the WebSocket tests have those.
ENDLESS = {"mig": ["--exclude-path-regex", "/mig/v0.1/(subscribe|stream)"]}


@pytest.mark.parametrize("name", NAMES)
def test_the_document_is_served_as_it_is(http, name):
    r = http.get(f"/openapi/{name}.yaml")
    assert r.status == 200 and r.headers["Content-Type"] == "application/yaml"
    assert r.body == (DOCUMENTS / f"{name}.yaml").read_bytes()
    assert http.get(f"/openapi/{name}.yam").status == 404


@pytest.mark.parametrize("name", NAMES)
def test_the_documents_need_no_credentials(migd, name):
    d = migd({"mig.auth_mode": "jwt", "mig.jwt_hs256_secret": "x" * 32, "mig.admin_api_key": "k"})
    assert d.http.get(f"/openapi/{name}.yaml").status == 200


def served(http):
    """(method, path) of every route that plugins of the host offer."""
    return {(r["method"], r["pattern"]) for name in ("http", "ws", "admin", "pro")
            for r in http.admin("plugins/" + name).json["routes"]}


def test_every_route_is_described_and_nothing_else(http):
    described = set()
    for name in NAMES:
        path = None
        for line in (DOCUMENTS / f"{name}.yaml").read_text().splitlines():
            if found := re.match(r"  (/\S*):$", line):
                path = found[1]
            elif found := re.match(r"    (get|post|put|delete):$", line):
                described.add((found[1].upper(), path))
    assert described == served(http)


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_as_described(migd, tmp_path, name):
    d = migd()
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    command = [Path(sys.executable).parent / "st", "--config-file", tmp_path / "schemathesis.toml",
               "run", DOCUMENTS / f"{name}.yaml", "--url", d.url, "--checks", CHECKS,
               "--phases", "examples,coverage,fuzzing", "--max-examples", "10", *ENDLESS.get(name, []),
               "--generation-deterministic", "--suppress-health-check", "all", "--no-color",
               "--continue-on-failure", "--request-timeout", "10", "--warnings", "off"]
    r = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120,
                       env=clean_environment(LC_ALL="C.UTF-8"))
    assert r.returncode == 0, r.stdout[-6000:] + r.stderr[-1000:]
    assert int(re.search(r"(\d+) generated", r.stdout)[1]) >= 100, r.stdout[-1500:]
