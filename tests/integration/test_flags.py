"""The command line of migd: --check, --daemon and what steers a daemon in the background."""
import json
import re
import subprocess
import time

import pytest
from helpers.daemon import BUILD, ROOT, SLOW, clean_environment
from helpers.http import Client, eventually

FIVE = ROOT / "tests/data/manifests/bad-five.yaml"


def migd_cli(*args, cwd=None, env=None):
    return subprocess.run([BUILD / "migd", *map(str, args)], capture_output=True, text=True, cwd=cwd,
                          timeout=30 * SLOW, env=clean_environment(**(env or {})))


@pytest.mark.parametrize("flag", ["--version", "-version"])
def test_version(flag):
    r = migd_cli(flag)
    assert r.returncode == 0 and re.fullmatch(r"migd \d+\.\d+\.\d+\n", r.stdout)


@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_help(flag):
    r = migd_cli(flag)
    assert r.returncode == 0 and "--config" in r.stdout and r.stderr == ""


@pytest.mark.parametrize("args", [["--nonsense"], ["nonsense"], ["--config"], ["--daemon=yes"],
                                  ["--set", "no.such.key=1", "--check"],
                                  ["--set", "loops=many", "--check"], ["--set", "loops", "--check"]])
def test_wrong_usage_is_2(args, tmp_path):
    r = migd_cli(*args, cwd=tmp_path)
    assert r.returncode == 2 and (r.stderr or r.stdout)


def test_check_names_all_five_mistakes(tmp_path):
    r = migd_cli("--check", "--manifest", FIVE, cwd=tmp_path)
    assert r.returncode == 2
    places = set(re.findall(r"bad-five\.yaml:(\d+):(\d+): (?:error|warning)", r.stdout))
    assert len(places) >= 5, r.stdout


def test_check_of_good_files(tmp_path):
    (tmp_path / "m.yaml").write_text("version: 0.2\nproviders: {}\n")
    (tmp_path / "migd.yaml").write_text("manifest: m.yaml\nloops: 1\n")
    r = migd_cli("--check", "--config", tmp_path / "migd.yaml")
    assert r.returncode == 0 and r.stdout.startswith("ok"), r


@pytest.mark.parametrize("text,line", [("loops: many\n", 1), ("a: 1\nlop: 2\n", 1), ("loops: [1\n", None),
                                       ("log:\n  level: loud\n", 2), ("loops: 1\nloops: 2\n", 2)])
def test_check_of_bad_settings(tmp_path, text, line):
    (tmp_path / "migd.yaml").write_text(text)
    r = migd_cli("--check", cwd=tmp_path)
    assert r.returncode == 2 and "migd.yaml" in r.stdout
    assert not line or f"migd.yaml:{line}:" in r.stdout, r.stdout


def test_flags_win_over_environment_and_file(migd):
    d = migd({"mig.server_id": "file"}, env={"MIGD_SERVER_ID": "environment"},
             args=["--set", "mig.server_id=flag"])
    assert d.http.mig("hello").json["server_id"] == "flag"
    d = migd({"mig.server_id": "file"}, env={"MIGD_SERVER_ID": "environment"})
    assert d.http.mig("hello").json["server_id"] == "environment"
    d = migd({"mig.server_id": "file"}, env={"MIGD_SERVER_ID": ""})
    assert d.http.mig("hello").json["server_id"] == "file"


def test_an_address_in_use_is_an_error_not_a_crash(migd, tmp_path):
    d = migd()
    r = migd_cli("--set", f"mig.addr=127.0.0.1:{d.address[1]}", "--set",
                 f"state_dir={tmp_path}/other", cwd=tmp_path)
    assert r.returncode == 1 and str(d.address[1]) in r.stderr


def test_a_first_generation_that_is_refused_is_exit_2(tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/x.lua").write_text("x = = 1\n")
    r = migd_cli("--set", "mig.addr=127.0.0.1:0", "--set", f"state_dir={tmp_path}/state",
                 "--plugin-dir", tmp_path / "plugins", cwd=tmp_path)
    assert r.returncode == 2 and "x.lua:1" in r.stderr


def test_in_the_background(tmp_path, plugins):
    pid, log = tmp_path / "migd.pid", tmp_path / "migd.log"
    folder = tmp_path / "plugins"
    folder.mkdir()
    files = ["--pid-file", pid, "--log-file", log]
    start = ["--daemon", *files, "--set", "mig.addr=127.0.0.1:0", "--set",
             f"state_dir={tmp_path}/state", "--plugin-dir", folder, "--set", "loops=1"]

    r = migd_cli("--status", *files)
    assert r.returncode == 3 and "stopped" in r.stdout
    assert migd_cli("--reload", *files).returncode == 3
    assert migd_cli("--stop", *files).returncode == 0
    try:
        r = migd_cli(*start, cwd=tmp_path)
        assert r.returncode == 0, r
        ready = eventually(lambda: next((json.loads(l) for l in log.read_text().splitlines()
                                         if "migd.ready" in l), None))
        host, port = ready["address"].split("//")[-1].rsplit(":", 1)
        client = Client((host, int(port)))
        assert client.mig("hello").status == 200, "it serves when the command returns"
        r = migd_cli("--status", "--json", *files)
        status = json.loads(r.stdout)
        assert r.returncode == 0 and status["status"] == "running"
        assert status["pid"] == int(pid.read_text()) and status["uptime_seconds"] >= 0
        r = migd_cli(*start, cwd=tmp_path)
        assert r.returncode == 1 and "already running" in r.stderr
        (folder / "counter.so").write_bytes(plugins.counter("1").read_bytes())
        assert migd_cli("--reload", *files).returncode == 0
        eventually(lambda: client.invoke("test.counter.get").status == 200)
        log.rename(tmp_path / "old.log")
        assert migd_cli("--log-rotate", *files).returncode == 0
        eventually(log.exists)
        client.close()
    finally:
        r = migd_cli("--stop", *files)
    assert r.returncode == 0 and "stopped" in r.stdout and not pid.exists()
    assert migd_cli("--status", *files).returncode == 3


def test_a_daemon_that_cannot_start_says_so_to_who_started_it(tmp_path):
    (tmp_path / "m.yaml").write_text("version: 0.2\nproviders: []\n")
    r = migd_cli("--daemon", "--pid-file", tmp_path / "pid", "--log-file", tmp_path / "log", "--set",
                 "mig.addr=127.0.0.1:0", "--set", f"state_dir={tmp_path}/s", "--manifest",
                 tmp_path / "m.yaml", cwd=tmp_path)
    assert r.returncode == 2 and "m.yaml:2" in r.stderr + r.stdout
