"""Generations: files that come, change and go; refusals that leave the old generation serving."""
import hashlib
import json
import signal
import threading
import time

import pytest
from helpers.daemon import SLOW
from helpers.http import eventually
from test_invoke import in_background

GET = "test.counter.get"


def lua(answer, id="test.script.get", extra=""):
    return (f'local mig = require "mig"\n{extra}\n'
            f'local c = mig.capability {{ id = "{id}", version = "1.0.0", summary = "s" }}\n'
            f'function c.invoke(call) return {{ answer = {answer} }} end\n')


def version(d):
    return d.http.result(GET)["version"]


def one_generation(d):
    eventually(lambda: len(d.http.generations()["generations"]) == 1)


# --- files ------------------------------------------------------------------------------------------

def test_a_module_comes_changes_and_goes(migd, plugins):
    d = migd()
    assert d.http.invoke(GET).code == "MIG_UNSUPPORTED_CAPABILITY"
    d.drop(plugins.counter("1"))
    assert d.http.invoke(GET).status == 404, "nothing changes without a reload"
    r = d.http.reload().json
    assert r["added"] == ["counter"] and r["generation"] == 2 and r["dry_run"] is False
    assert set(r["kept"]) == {"http", "ws", "admin", "pro", "echo"} and r["build_ms"] >= 0
    assert version(d) == "1"
    d.drop(plugins.counter("2"))
    assert version(d) == "1"
    assert d.http.reload().json["changed"] == ["counter"]
    assert version(d) == "2"
    d.remove("counter.so")
    assert d.http.reload().json["removed"] == ["counter"]
    assert d.http.invoke(GET).status == 404
    one_generation(d)
    eventually(lambda: not d.http.instance("counter"), what="the instance is destroyed")


def test_a_script_comes_changes_and_goes(migd):
    d = migd()
    d.drop(lua(1), "script.lua")
    assert d.http.reload().json["added"] == ["script"]
    assert d.http.result("test.script.get") == {"answer": 1}
    d.drop(lua(2), "script.lua")
    assert d.http.result("test.script.get") == {"answer": 1}
    assert d.http.reload().json["changed"] == ["script"]
    assert d.http.result("test.script.get") == {"answer": 2}
    d.remove("script.lua")
    assert d.http.reload().json["removed"] == ["script"]
    assert d.http.invoke("test.script.get").status == 404


def test_overwriting_in_place_does_not_touch_what_runs(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    target = d.plugins / "counter.so"
    target.write_bytes(b"x" * 100)  # truncates: a mapped file would crash now
    assert version(d) == "1"
    r = d.http.reload()
    assert r.status == 422 and version(d) == "1"
    target.write_bytes(plugins.counter("2").read_bytes())
    assert d.http.reload().status == 200 and version(d) == "2"


def test_what_did_not_change_keeps_its_state(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    assert [d.http.result(GET)["count"] for _ in range(3)] == [1, 2, 3]
    for i in range(4):
        d.drop(lua(i), "script.lua")
        assert "counter" in d.http.reload().json["kept"]
    assert d.http.result(GET)["count"] == 4
    d.drop(plugins.counter("2"))
    d.http.reload()
    assert d.http.result(GET)["count"] == 1


def test_plugins_reload_makes_one_instance_fresh(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    d.http.result(GET)
    r = d.http.admin("plugins/reload", "POST", {"plugin_name": "counter"})
    assert r.json["changed"] == ["counter"] and d.http.result(GET)["count"] == 1
    r = d.http.admin("plugins/reload", "POST", {"plugin_name": "nobody"})
    assert (r.status, r.code) == (404, "MIG_NOT_FOUND")


def test_going_back_to_an_earlier_module(migd, plugins):
    d = migd()
    for v in ("1", "2", "1", "2"):
        d.drop(plugins.counter(v))
        d.http.reload()
        assert version(d) == v
    one_generation(d)


def test_files_that_are_none_of_ours_are_left_alone(migd):
    d = migd()
    for name in (".hidden.so", "README.md", "lib.so.1", "x.lua~", "#x.lua#"):
        (d.plugins / name).write_text("nonsense")
    (d.plugins / "folder.so").mkdir()
    assert d.http.reload().status == 200


def test_autoload_off(migd, plugins):
    d = migd({"autoload": False}, drop=[plugins.counter("1")])
    assert d.http.invoke(GET).status == 404
    d.write_manifest({"providers": {"counter": {"module": "counter.so"}}})
    assert d.http.reload().status == 200 and version(d) == "1"


# --- the manifest -----------------------------------------------------------------------------------

def test_a_manifest_entry_configures_a_module(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    assert d.http.result(GET)["config"] == {}
    d.write_manifest({"providers": {"mine": {"module": "counter.so", "config": {"a": [1, "x"]}}}})
    r = d.http.reload().json
    assert r["added"] == ["mine"] and r["removed"] == ["counter"]
    assert d.http.result(GET)["config"] == {"a": [1, "x"]}
    d.write_manifest({"providers": {"mine": {"module": "counter.so", "config": {"a": 2}}}})
    assert d.http.reload().json["changed"] == ["mine"]
    assert d.http.result(GET)["config"] == {"a": 2}


def test_a_manifest_entry_configures_a_script(migd):
    d = migd()
    d.drop(lua('mig.config.text or "none"'), "script.lua")
    d.http.reload()
    assert d.http.result("test.script.get")["answer"] == "none"
    d.write_manifest({"providers": {"s": {"lua": "script.lua", "config": {"text": "hello"}}}})
    assert d.http.reload().status == 200
    assert d.http.result("test.script.get")["answer"] == "hello"


def test_the_digest_of_a_module_can_be_pinned(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    digest = hashlib.sha256(plugins.counter("1").read_bytes()).hexdigest()
    entry = {"module": "counter.so", "sha256": digest}
    d.write_manifest({"providers": {"counter": entry}})
    assert d.http.reload().status == 200
    d.drop(plugins.counter("2"))
    r = d.http.reload()
    assert r.status == 422 and digest in json.dumps(r.findings) and version(d) == "1"


@pytest.mark.parametrize("path", ["../counter.so", "/etc/passwd", "missing.so", "a/../../x.so"])
def test_modules_lie_in_a_plugin_folder(migd, path):
    d = migd()
    d.write_manifest({"providers": {"x": {"module": path}}})
    r = d.http.reload()
    assert r.status == 422 and r.findings[0]["file"].endswith("manifest.yaml")
    assert r.findings[0]["line"] >= 1


def test_a_manifest_can_be_uploaded(migd, plugins):
    d = migd({"autoload": False}, drop=[plugins.counter("1")])
    text = 'version: 0.2\nproviders:\n  up:\n    module: counter.so\n    config: {n: 1}\n'
    r = d.http.admin("manifests?dry_run=true", "POST", text)
    assert r.json["dry_run"] is True and r.json["added"] == ["up"]
    assert d.http.invoke(GET).status == 404 and "up" not in d.manifest.read_text()
    r = d.http.admin("manifests", "POST", text)
    assert r.status == 200 and d.manifest.read_text() == text
    assert d.http.result(GET)["config"] == {"n": 1}


def test_a_bad_upload_changes_nothing(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    before = d.manifest.read_text()
    r = d.http.admin("manifests", "POST", "version: 0.2\nproviders:\n  a:\n    moduel: x.so\n")
    assert r.status == 422 and d.manifest.read_text() == before and version(d) == "1"
    assert [(f["line"], f["column"]) for f in r.findings if f["line"] == 4]


# --- refusals ---------------------------------------------------------------------------------------

BAD_MODULES = {
    "BAD_MAGIC": "not a migd plugin", "BAD_NO_ENTRY": "not a migd plugin", "BAD_MAJOR": "9",
    "BAD_FUTURE_MINOR": "99", "BAD_SMALL": "16", "BAD_EMPTY": "no plugin",
    "BAD_PLUGIN_ID": "reverse DNS", "BAD_PLUGIN_VERSION": "semantic version",
    "BAD_MISSING_CREATE": "create", "BAD_MISSING_DESTROY": "destroy",
    "BAD_UNDEFINED_SYMBOL": "nobody_has_this_function",
    "BAD_CREATE_FAILS": "the flux capacitor is missing", "BAD_CREATE_FAILS_SILENTLY": "create",
    "BAD_START_FAILS": "the database does not answer", "BAD_DESCRIBE_FAILS": "describe",
    "BAD_CAPABILITY_ID": "id", "BAD_CAPABILITY_VERSION": "version",
    "BAD_CAPABILITY_NO_INVOKE": "invoke",
    "BAD_CAPABILITY_NEWER": "", "BAD_DUPLICATE_CAPABILITY": "test.bad.get",
    "BAD_TAKES_OTHERS_CAPABILITY": "observatory.models.infer",
}


@pytest.fixture(scope="module")
def refuser(shared, plugins):
    """A daemon that serves counter 1 and refuses everything it is offered."""
    shared.drop(plugins.counter("1"))
    assert shared.http.reload().status == 200
    return shared


def check_refused(d, r, name, *texts):
    assert r.status == 422, r
    assert r.code == "MIG_INVALID_REQUEST" and r.reason == "invalid_configuration"
    said = json.dumps(r.findings)
    assert name in said, f"nothing names {name}: {said}"
    for text in texts:
        assert text in said, f"no {text!r}: {said}"
    assert all(set(f) >= {"level", "message"} or f for f in r.findings)
    assert version(d) == "1"


@pytest.mark.parametrize("defect", BAD_MODULES)
def test_bad_modules_are_refused(refuser, plugins, defect):
    refuser.drop(plugins("bad", defs=defect != "BAD_UNDEFINED_SYMBOL", **{defect: ""}))
    before = refuser.http.generations()["current"]
    try:
        check_refused(refuser, refuser.http.reload(), "bad", BAD_MODULES[defect])
        assert refuser.http.generations()["current"] == before
        assert refuser.http.invoke("test.bad.get").status == 404
    finally:
        refuser.remove("bad.so")
        assert refuser.http.reload().status == 200
    assert not refuser.http.instance("bad")


@pytest.mark.parametrize("content", [b"", b"not ELF", b"\x7fELF", b"\x7fELF" + b"\0" * 4096,
                                     b"#!/bin/sh\n"])
def test_files_that_are_no_modules(refuser, content):
    (refuser.plugins / "junk.so").write_bytes(content)
    try:
        check_refused(refuser, refuser.http.reload(), "junk.so")
    finally:
        refuser.remove("junk.so")


@pytest.mark.parametrize("part", [0.01, 0.1, 0.2, 0.3, 0.5, 0.9])
def test_modules_that_are_cut(refuser, plugins, part):
    whole = plugins.counter("7").read_bytes()
    (refuser.plugins / "cut.so").write_bytes(whole[:int(len(whole) * part)])
    try:
        check_refused(refuser, refuser.http.reload(), "cut")  # not SIGBUS
    finally:
        refuser.remove("cut.so")


@pytest.mark.parametrize("name", ["Upper.so", "two words.so", "dot.ted.so"])
def test_names_that_are_no_provider_names(refuser, plugins, name):
    refuser.drop(plugins.counter("1"), name)
    try:
        check_refused(refuser, refuser.http.reload(), name)
    finally:
        refuser.remove(name)


BAD_SCRIPTS = {
    "syntax": ('local mig = require "mig"\nlocal x = = 1\n', 2, ""),
    "no end": ("function f(\n\n", None, ""),
    # errors of a running script know their line only
    "runtime": ('local mig = require "mig"\n\nerror("at the top")\n', 3, "at the top"),
    "nil call": ('local x = nil\nx()\n', 2, ""),
    "bad id": ('local mig = require "mig"\nmig.capability { id = "a b", version = "1.0.0" }\n', 2, ""),
    "no version": ('local mig = require "mig"\nmig.capability { id = "a.b" }\n', 2, "version"),
    "no handler": ('local mig = require "mig"\nmig.capability { id = "a.b", version = "1.0.0" }\n',
                   None, "invoke"),
    "waits": ('local mig = require "mig"\nmig.sleep(1)\n', 2, ""),
    "bytecode": ("\x1bLua", None, ""),
    "missing module": ('require "nothing.here"\n', 1, "nothing"),
}


@pytest.mark.parametrize("shape", BAD_SCRIPTS)
def test_bad_scripts_are_refused_with_line_and_column(refuser, shape):
    text, line, says = BAD_SCRIPTS[shape]
    refuser.drop(text, "broken.lua")
    try:
        r = refuser.http.reload()
        check_refused(refuser, r, "broken.lua", says)
        if line:
            f = next(f for f in r.findings if str(f.get("file", "")).endswith("broken.lua"))
            assert f["line"] == line and (f["column"] >= 1 or shape != "syntax"), f
    finally:
        refuser.remove("broken.lua")


BAD_MANIFESTS = {
    "yaml": ("version: 0.2\nproviders: {a: [}\n", 2),
    "tab": ("version: 0.2\nproviders:\n\ta: 1\n", 3),
    "type": ("version: 0.2\nproviders: []\n", 2),
    "version": ("version: 7.0\nproviders: {}\n", 1),
    "no source": ("version: 0.2\nproviders:\n  a: {config: {}}\n", 3),
    "two sources": ("version: 0.2\nproviders:\n  a: {module: x.so, lua: y.lua}\n", 3),
    "duplicate key": ("version: 0.2\nproviders: {}\nproviders: {}\n", 3),
    "not UTF-8": ("version: 0.2\nproviders: {}\nx: \udcff\n", None),
    "empty": ("", None),
    "a list": ("- 1\n", 1),
}


@pytest.mark.parametrize("shape", BAD_MANIFESTS)
def test_bad_manifests_are_refused_with_line_and_column(refuser, shape):
    text, line = BAD_MANIFESTS[shape]
    good = refuser.manifest.read_text()
    refuser.manifest.write_bytes(text.encode("utf-8", "surrogateescape"))
    try:
        r = refuser.http.reload()
        check_refused(refuser, r, "manifest.yaml")
        if line:
            assert [f for f in r.findings if f["line"] == line and f["column"] >= 1], r.findings
    finally:
        refuser.write_manifest(good)


def test_unknown_keys_of_a_manifest_are_warned_of(refuser):
    refuser.manifest.write_text("version: 0.2\nprovders: {}\nproviders: {}\n")
    r = refuser.http.reload()
    f, = [f for f in r.json["findings"] if f["level"] == "warning"]
    assert (f["line"], f["column"]) == (2, 1) and "did you mean" in f["message"]
    refuser.write_manifest({})


def test_an_alias_bomb_costs_nothing(refuser):
    text, last = "version: 0.2\na0: &a0 [x,x,x,x,x,x,x,x,x]\n", "a0"
    for i in range(1, 12):
        text += f"a{i}: &a{i} [" + ",".join([f"*{last}"] * 9) + "]\n"
        last = f"a{i}"
    refuser.manifest.write_text(text + f"providers: {{x: *{last}}}\n")
    before, began = refuser.rss_kib(), time.monotonic()
    r = refuser.http.reload()
    assert time.monotonic() - began < 3 * SLOW and refuser.rss_kib() - before < 100_000
    check_refused(refuser, r, "manifest.yaml")
    refuser.write_manifest({})


def test_all_problems_are_named_at_once(refuser, plugins):
    refuser.drop(plugins("bad", BAD_MAJOR=""), "first.so")
    refuser.drop("x = = 1\n", "second.lua")
    refuser.drop(plugins("bad", BAD_CREATE_FAILS=""), "third.so")
    try:
        r = refuser.http.reload()
        check_refused(refuser, r, "first.so", "second.lua", "flux capacitor")
    finally:
        for name in ("first.so", "second.lua", "third.so"):
            refuser.remove(name)
    assert refuser.http.reload().status == 200


def test_a_create_that_hangs_is_given_up(migd, plugins):
    d = migd({"life.timeout_ms": 200}, drop=[plugins.counter("1")], leaks=True)
    d.drop(plugins("bad", BAD_CREATE_HANGS=""))
    began = time.monotonic()
    r = d.http.reload()
    assert time.monotonic() - began < 1.2 * SLOW
    check_refused(d, r, "bad", "create", "200")
    d.drop(plugins("bad", BAD_CREATE_FAILS=""), "behind.so")
    check_refused(d, d.http.reload(), "bad", "200", "flux capacitor")  # the others have their turn
    d.remove("bad.so")
    d.remove("behind.so")
    assert d.http.reload().status == 200


def test_none_is_started_behind_one_that_fails(refuser, plugins):
    names = [f"{n}.so" for n in ("one", "two", "three")]
    for name in names:
        ident = '"test.' + name[:-3] + '.get"'
        refuser.drop(plugins("bad", "bad_" + name[:-3], BAD_START_FAILS="", BAD_ID=ident), name)
    try:
        r = refuser.http.reload()
        check_refused(refuser, r, "one", "the database does not answer")
        assert json.dumps(r.findings).count("the database") == 1
    finally:
        [refuser.remove(name) for name in names]
    assert refuser.http.reload().status == 200


def test_a_missing_manifest_is_refused(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    d.manifest.unlink()
    check_refused(d, d.http.reload(), "manifest.yaml")


# --- dry run, triggers ------------------------------------------------------------------------------

def test_a_dry_run_changes_nothing(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    d.drop(plugins.counter("2"))
    d.drop(lua(1), "script.lua")
    r = d.http.reload("?dry_run=true").json
    assert (r["dry_run"], r["added"], r["changed"]) == (True, ["script"], ["counter"])
    assert version(d) == "1" and d.http.generations()["current"] == 1
    d.drop("x = = 1", "script.lua")
    assert d.http.reload("?dry_run=true").status == 422
    assert len(d.http.instances()["instances"]) == 6


def test_sighup(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    d.drop(plugins.counter("2"))
    d.signal(signal.SIGHUP)
    eventually(lambda: version(d) == "2")
    d.drop("x = = 1", "broken.lua")
    mark = d.log_mark()
    d.signal(signal.SIGHUP)
    d.wait_log(lambda l: l.get("event") == "reload.refused", start=mark)
    assert version(d) == "2"


def test_watch(migd, plugins):
    d = migd({"watch": True}, drop=[plugins.counter("1")])
    d.drop(plugins.counter("2"))
    eventually(lambda: version(d) == "2", 5)
    d.drop(lua(1), "script.lua")
    eventually(lambda: d.http.invoke("test.script.get").status == 200, 5)
    d.write_manifest({"providers": {"mine": {"module": "counter.so", "config": {"w": 1}}}})
    eventually(lambda: d.http.result(GET)["config"] == {"w": 1}, 5)
    d.write_settings(**{"mig.server_id": "watched"})
    eventually(lambda: d.http.mig("hello").json["server_id"] == "watched", 5)
    d.remove("script.lua")
    eventually(lambda: d.http.invoke("test.script.get").status == 404, 5)


def test_watch_can_be_turned_on_by_a_reload(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    d.write_settings(watch=True)
    assert d.http.reload().status == 200
    d.drop(plugins.counter("2"))
    eventually(lambda: version(d) == "2", 5)


def test_watch_rests_when_nothing_changes(migd):
    d = migd({"watch": True, "plugin_dirs": ["plugins", "not-there"]})
    d.write_settings(**{"mig.server_id": "other"})
    eventually(lambda: d.http.mig("hello").json["server_id"] == "other", 5)
    assert d.http.reload().status == 200
    time.sleep(0.5)  # more than changes have to settle
    mark = d.log_mark()
    time.sleep(0.5)
    assert not [l for l in d.lines[mark:] if l.get("event") == "generation.adopted"]


def test_settings_that_need_a_restart_are_refused(migd):
    d = migd()
    for name, value in (("loops", 3), ("workers", 3), ("mig.addr", "127.0.0.1:1")):
        old = d.settings.get(name)
        d.write_settings(**{name: value})
        r = d.http.reload()
        assert r.status == 422 and name in json.dumps(r.findings), r
        assert "restart" in json.dumps(r.findings)
        d.write_settings(**{name: old})
        if old is None:
            d.settings.pop(name)
            d.write_settings()
    assert d.http.reload().status == 200


def test_live_settings_take_effect(migd):
    d = migd()
    d.write_settings(**{"mig.server_id": "two", "mig.max_body_bytes": 2000,
                        "mig.max_deadline_ms": 500})
    assert d.http.reload().status == 200
    assert d.http.mig("hello").json["server_id"] == "two"
    assert d.http.mig("hello", {"x": "y" * 3000}).status == 413
    assert d.http.mig("hello", deadline_ms=9000).json["header"]["deadline_ms"] == 500


def test_bad_settings_are_refused(migd):
    d = migd()
    good = d.config.read_text()
    d.config.write_text(good.replace('"loops": 2', '"loops": "many"'))
    r = d.http.reload()
    assert r.status == 422 and "migd.yaml" in json.dumps(r.findings)
    d.config.write_text(good)
    assert d.http.reload().status == 200


def test_redescribe(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    d.http.result(GET)
    for i in (1, 2):
        d.http.result("test.counter.more")
        eventually(lambda: d.http.invoke(f"test.counter.extra{i}").status == 200)
    assert d.http.result(GET)["count"] >= 4, "the instance is the same"


# --- under way --------------------------------------------------------------------------------------

def test_calls_in_flight_finish_on_the_old_instance(migd, plugins):
    d = migd(drop=[plugins("pool_sleep")])
    call = in_background(d, "test.pool.sleep", {"ms": 600}, message_id="old")
    eventually(lambda: d.http.result("test.pool.status")["started"] == 1)
    d.write_manifest({"providers": {"sleepier": {"module": "pool_sleep.so"}}})
    r = d.http.reload().json
    assert r["added"] == ["sleepier"] and r["removed"] == ["pool_sleep"]
    assert d.http.result("test.pool.status")["started"] == 0, "new calls meet the new instance"
    states = {i["name"]: i["state"] for i in d.http.instances()["instances"]}
    assert {"pool_sleep", "sleepier"} <= set(states) and states["sleepier"] == "serving"
    assert sorted(g["state"] for g in d.http.generations()["generations"]) == ["current", "draining"]
    assert d.http.invoke("observatory.models.infer", {"input": "x"}, message_id="old").reason == \
        "duplicate_message_id"
    assert call().payload == {"slept": True}
    eventually(lambda: not d.http.instance("pool_sleep"))
    one_generation(d)


def test_old_calls_can_be_cancelled_after_a_reload(migd, plugins):
    d = migd(drop=[plugins("pool_sleep")])
    call = in_background(d, "test.pool.sleep", {"ms": 20000}, message_id="old")
    eventually(lambda: d.http.result("test.pool.status")["started"] == 1)
    d.remove("pool_sleep.so")
    d.http.reload()
    assert d.http.cancel("old").json["status"] == "cancelled"
    assert call().status == 504
    one_generation(d)


def test_streams_go_on_during_reloads(migd, plugins):
    from test_streams import text_of
    d = migd(drop=[plugins("streamer"), plugins("stream_binding")])
    with d.raw() as raw:
        raw.send(text_of("test.stream.forever", "server_stream", message_id="s"))
        raw.until(b"tick")
        for i in range(3):
            d.drop(lua(i), "script.lua")
            assert d.http.reload().status == 200
            raw.until(b"tick")
        d.remove("streamer.so")
        d.http.reload()
        raw.until(b"tick")
        raw.until(b"tick")
        assert d.http.cancel("s").json["status"] == "cancelled"
        assert b"MIG_TIMEOUT" in raw.until(b"0\r\n\r\n")
    one_generation(d)


def test_lua_calls_in_flight_finish_with_the_old_script(migd):
    d = migd()
    sleepy = ('local mig = require "mig"\nlocal c = mig.capability { id = "test.script.get", '
              'version = "1.0.0" }\nfunction c.invoke(call) mig.sleep(call.payload.ms or 0) '
              'return { answer = %d } end\n')
    d.drop(sleepy % 1, "script.lua")
    d.http.reload()
    call = in_background(d, "test.script.get", {"ms": 400}, message_id="l")
    eventually(lambda: d.http.instance("script")[0]["debt"] >= 1)
    d.drop(sleepy % 2, "script.lua")
    d.http.reload()
    assert d.http.result("test.script.get") == {"answer": 2}
    assert call().payload == {"answer": 1}


def test_no_call_is_lost_while_modules_change(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    stop, bad, counts, versions = threading.Event(), [], [0] * 4, set()

    def hammer(i):
        client = d.client()
        while not stop.is_set():
            r = client.invoke(GET)
            if r.status != 200:
                bad.append(r)
            else:
                versions.add(r.payload["version"])
            counts[i] += 1

    threads = [threading.Thread(target=hammer, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    accepted = lambda: sum(l["accepted"] for l in d.http.admin("loops").json["loops"])
    eventually(lambda: min(counts) > 20)
    before = accepted()
    for i in range(30):
        d.drop(plugins.counter(str(i % 4)))
        assert d.http.reload().status == 200
    stop.set()
    [t.join(10) for t in threads]
    assert not bad and versions == {"0", "1", "2", "3"} and accepted() == before
    one_generation(d)
    assert d.http.instances()["abandoned"] == 0


def test_reloads_asked_at_once_are_all_answered(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    replies = []

    def ask():
        client = d.client()
        replies.append(client.reload().status)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    [t.start() for t in threads]
    [t.join(20) for t in threads]
    assert replies == [200] * 12 and version(d) == "1"


def test_unmap_when_clean(migd, plugins):
    d = migd({"unmap": "when-clean"}, drop=[plugins.counter("1")])
    maps = lambda: len({l.split()[-1] for l in open(f"/proc/{d.process.pid}/maps")
                        if "/modules-" in l})
    assert maps() == 1
    for v in ("2", "3", "4"):
        d.drop(plugins.counter(v))
        d.http.reload()
        assert version(d) == v
    eventually(lambda: maps() == 1)
    assert d.http.instances()["retired_modules"] == 0


def test_retired_modules_stay_mapped_by_default(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    d.drop(plugins.counter("2"))
    d.http.reload()
    eventually(lambda: d.http.instances()["retired_modules"] == 1)


def test_copies_of_modules_are_private_and_removed(migd, plugins):
    d = migd(drop=[plugins.counter("1")])
    folder, = d.state.glob("modules-*")
    copy, = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700 and copy.stat().st_mode & 0o777 == 0o500
    assert copy.name == hashlib.sha256(plugins.counter("1").read_bytes()).hexdigest() + ".so"
    d.signal(signal.SIGTERM)
    assert d.wait() == 0 and not list(d.state.glob("modules-*"))


def test_many_reloads_do_not_put_off_the_end_of_an_old_call(migd):
    script = """-- %d
local mig = require "mig"
local c = mig.capability { id = "old.call.run", version = "1.0.0", summary = "sleeps" }
function c.invoke(call) mig.sleep(20000) return {} end
"""
    d = migd({"drain.streams_ms": 500, "loops": 1})
    d.drop(script % 0, "old.lua")
    d.http.reload()
    call = in_background(d, "old.call.run", {}, deadline_ms=20000)
    eventually(lambda: d.http.instance("old")[0]["debt"] == 1)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(call()))
    waiting.start()
    for n in range(1, 100):
        d.drop(script % n, "old.lua")
        assert d.http.reload().status == 200
        if n < 40:
            in_background(d, "old.call.run", {}, deadline_ms=20000)  # holds this generation too
        waiting.join(0.1)
        if answers or n == 40:
            break
    assert answers, "while reloads went on, the call went on too"
    assert (answers[0].status, answers[0].reason) == (503, "reload")
    waiting.join()
