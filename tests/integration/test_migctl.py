"""migctl against a running daemon, and what the issue shows (Shows 2, 3 and 5)."""
import json
import os
import re
import shutil
import subprocess

import pytest
from helpers.daemon import BUILD, IS_ASAN, ROOT, clean_environment, migctl
from helpers.http import eventually
from test_invoke import in_background, started, wait_started

SHARED = {"plugins": ["counter", "pool_sleep"]}
FIVE = ROOT / "tests/data/manifests/bad-five.yaml"
INFER = "observatory.models.infer"


@pytest.fixture
def ctl(shared):
    return lambda *args, **more: migctl(*args, url=shared.url, **more)


def test_hello(ctl):
    r = ctl("hello")
    assert r.returncode == 0 and "migd-core" in r.stdout and "0.1" in r.stdout
    assert json.loads(ctl("hello", "--json").stdout)["selected_version"] == "0.1"


def test_discover(ctl):
    r = ctl("discover")
    assert r.returncode == 0 and r.stdout.splitlines()[0].split()[:2] == ["CAPABILITY", "VERSION"]
    assert INFER in r.stdout and "test.counter.get" in r.stdout
    r = ctl("discover", "--query", "COUNTER", "--json")
    assert [c["id"] for c in json.loads(r.stdout)["capabilities"]] == ["test.counter.get",
                                                                       "test.counter.more"]


def test_invoke(ctl):
    r = ctl("invoke", INFER, '{"input":"x"}')
    assert r.returncode == 0 and json.loads(r.stdout)["result"] == "ok"
    r = ctl("invoke", INFER, "-", stdin='{"input":"from stdin"}')
    assert json.loads(r.stdout)["echo"] == {"input": "from stdin"}
    r = ctl("invoke", INFER, '{"input":"x"}', "--json", "--message-id", "ctl-1", "--tenant", "beta")
    body = json.loads(r.stdout)
    assert body["header"]["message_id"] == "ctl-1" and body["header"]["tenant_id"] == "beta"
    assert ctl("invoke", INFER, '{"input":1}', "--cap-version", "9.x").returncode == 1


def test_refusals_are_1_and_named(ctl):
    r = ctl("invoke", "no.such")
    assert r.returncode == 1 and "MIG_UNSUPPORTED_CAPABILITY" in r.stderr and r.stdout == ""
    r = ctl("invoke", "test.pool.sleep", '{"ms":5000}', "--timeout", "0.1")
    assert r.returncode == 1


@pytest.mark.parametrize("args", [[], ["nonsense"], ["invoke"], ["hello", "--nonsense"],
                                  ["invoke", INFER, "{bad"], ["hello", "--timeout", "x"],
                                  ["new", "spaceship", "x"], ["new", "lua", "Bad Name"],
                                  ["plugins", "explode"]])
def test_wrong_usage_is_2(ctl, args, tmp_path):
    r = ctl(*args, cwd=tmp_path)
    assert r.returncode == 2 and r.stderr and not list(tmp_path.iterdir())


def test_nobody_there_is_3(shared):
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))  # bound, not listening: refused
        r = migctl("hello", url=f"http://127.0.0.1:{s.getsockname()[1]}")
    assert r.returncode == 3 and r.stderr


def test_cancel(ctl, shared, http):
    before = started(http)
    call = in_background(shared, "test.pool.sleep", {"ms": 20000}, message_id="ctl-cancel")
    wait_started(http, before)
    r = ctl("cancel", "ctl-cancel", "--reason", "enough")
    assert r.returncode == 0 and "cancelled" in r.stdout
    assert call().error["details"]["cancel_reason"] == "enough"


def test_plugins_and_instances(ctl):
    for args in (["plugins"], ["plugins", "list"]):
        r = ctl(*args)
        assert r.returncode == 0 and "org.test.counter" in r.stdout
    assert json.loads(ctl("plugins", "show", "counter").stdout)["id"] == "org.test.counter"
    assert ctl("plugins", "show", "nobody").returncode == 1
    r = ctl("instances")
    assert r.returncode == 0 and "serving" in r.stdout
    assert json.loads(ctl("instances", "--json").stdout)["abandoned"] == 0
    r = ctl("plugins", "reload", "counter", "--json")
    assert r.returncode == 0 and json.loads(r.stdout)["changed"] == ["counter"]


def test_reload(ctl, shared):
    shared.drop("x = = 1\n", "broken.lua")
    r = ctl("reload")
    shared.remove("broken.lua")
    assert r.returncode in (1, 2) and re.search(r"broken\.lua:1:\d+: error", r.stderr), r.stderr
    r = ctl("reload", "--dry-run")
    assert r.returncode == 0 and "nothing was changed" in r.stdout
    r = ctl("reload")
    assert r.returncode == 0 and "generation" in r.stdout
    assert json.loads(ctl("reload", "--json").stdout)["dry_run"] is False


def test_validate(tmp_path):
    r = migctl("validate", FIVE)
    assert r.returncode == 2
    assert len(set(re.findall(r"bad-five\.yaml:(\d+):\d+: (?:error|warning)", r.stderr))) >= 5
    r = migctl("validate", "--json", FIVE)
    body, = json.loads(r.stdout)
    assert r.returncode == 2 and body["valid"] is False and len(body["findings"]) >= 5
    good = tmp_path / "good.yaml"
    good.write_text("version: 0.2\nproviders: {}\n")
    r = migctl("validate", good)
    assert r.returncode == 0 and "manifest" in r.stdout
    assert migctl("validate", tmp_path / "missing.yaml").returncode == 2


def test_check(plugins):
    r = migctl("check", plugins("counter"))
    assert r.returncode == 0, r.stdout + r.stderr
    for defect in ("BAD_MAJOR", "BAD_MISSING_CREATE", "BAD_MAGIC", "BAD_CREATE_FAILS"):
        r = migctl("check", plugins("bad", **{defect: ""}))
        assert r.returncode in (1, 2) and r.stdout + r.stderr, defect
    assert migctl("check", "--no-run", plugins("counter")).returncode == 0


def test_the_key(migd):
    d = migd({"mig.admin_api_key": "k"})
    r = migctl("plugins", url=d.url)
    assert r.returncode == 1 and "MIG_UNAUTHORIZED" in r.stderr
    assert migctl("plugins", "--admin-key", "k", url=d.url).returncode == 0
    assert migctl("plugins", url=d.url, env={"MIGD_ADMIN_API_KEY": "k"}).returncode == 0


def test_nothing_is_overwritten(tmp_path):
    assert migctl("new", "lua", "weather", cwd=tmp_path).returncode == 0
    (tmp_path / "weather.lua").write_text("mine")
    assert migctl("new", "lua", "weather", cwd=tmp_path).returncode == 1
    assert (tmp_path / "weather.lua").read_text() == "mine"


# --- what the issue shows ---------------------------------------------------------------------------

def run(*args, cwd=None, env=None):
    r = subprocess.run([str(a) for a in args], cwd=cwd, capture_output=True, text=True, timeout=120,
                       env=env or clean_environment())
    assert r.returncode == 0, f"{args}: {r.stdout}{r.stderr}"
    return r.stdout


def test_show_2_new_plugins_without_a_restart(migd, tmp_path):
    d = migd()
    ctl = lambda *a: migctl(*a, url=d.url, cwd=tmp_path)
    for args in (["new", "lua", "weather"], ["new", "plugin", "hello"], ["new", "manifest", "mine"]):
        r = ctl(*args)
        assert r.returncode == 0, r.stderr
    assert migctl("validate", tmp_path / "mine.yaml").returncode in (0, 2)
    include = f"MIGD_INCLUDE={ROOT}/plugin-api/include"
    run("make", "-C", tmp_path / "hello", include, "hello.so")
    d.drop(tmp_path / "weather.lua")
    d.drop(tmp_path / "hello/hello.so")
    assert ctl("reload").returncode == 0
    greet = lambda: json.loads(ctl("invoke", "example.hello.greet", '{"name":"Ada"}').stdout)
    city = lambda: json.loads(ctl("invoke", "example.weather.now", '{"city":"Rome"}').stdout)
    assert greet() == {"greeting": "Hello, Ada!"} and city()["city"] == "Rome"
    for path, old, new in ((tmp_path / "weather.lua", "% 35 - 5", "* 0 + 99"),
                           (tmp_path / "hello/hello.c", "Hello, %s!", "Good day, %s!")):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
    run("make", "-B", "-C", tmp_path / "hello", include, "hello.so")
    d.drop(tmp_path / "weather.lua")
    d.drop(tmp_path / "hello/hello.so")
    assert ctl("reload").returncode == 0
    assert greet() == {"greeting": "Good day, Ada!"} and city()["celsius"] == 99
    d.remove("weather.lua")
    d.remove("hello.so")
    assert ctl("reload").returncode == 0
    for id in ("example.hello.greet", "example.weather.now"):
        assert d.http.invoke(id).status == 404 and ctl("invoke", id).returncode == 1


@pytest.mark.skipif(IS_ASAN, reason="a sanitizer build is not what one installs")
def test_show_3_an_out_of_tree_project_with_the_installed_package(migd, tmp_path):
    stage = tmp_path / "stage"
    run("cmake", "--install", BUILD, env=clean_environment(DESTDIR=str(stage)))
    prefix = next(p.parent for p in stage.rglob("bin") if (p / "migctl").exists())
    assert (prefix / "sbin/migd").exists() and (prefix / "include/mig/plugin.h").exists()
    project = tmp_path / "elsewhere"
    project.mkdir()
    run(prefix / "bin/migctl", "new", "plugin", "hello", cwd=project)
    source = project / "hello"
    run("cmake", "-S", source, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", project / "build")
    module = next((project / "build").rglob("hello.so"))
    r = migctl("check", module)
    assert r.returncode == 0, r.stdout + r.stderr
    assert " mig_plugin_entry" in run("nm", "-D", "--defined-only", module)
    pc = next(stage.rglob("migd.pc"))
    flags = run("pkg-config", "--cflags", "migd", env=clean_environment(PKG_CONFIG_PATH=str(pc.parent)))
    assert "-I" in flags
    d = migd(drop=[module])
    assert d.http.result("example.hello.greet", {"name": "Ada"}) == {"greeting": "Hello, Ada!"}


def test_show_5_the_key_and_five_mistakes(migd):
    d = migd(env={"MIGD_ADMIN_API_KEY": "k"})
    key = {"X-Admin-API-Key": "k"}
    assert d.http.admin("plugins").status == 401
    assert d.http.request("GET", "/admin/v0.1/plugins", headers=key).status == 200
    text = FIVE.read_text()
    r = d.http.request("POST", "/admin/v0.1/manifests", text, key)
    assert r.status == 422
    over_http = {(f["line"], f["column"], f["message"]) for f in r.findings}
    body, = json.loads(migctl("validate", "--json", FIVE).stdout)
    said = {(f["line"], f["column"], f["message"]) for f in body["findings"]}
    assert over_http == said and len(said) >= 5
