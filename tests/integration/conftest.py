import os
import shutil
from pathlib import Path

import pytest
from helpers.daemon import BUILD, Daemon
from helpers.plugins import Builder

failed_logs = Path(os.environ.get("MIGD_TEST_LOGS", BUILD / "test-logs"))


def pytest_sessionstart(session):
    if not (BUILD / "migd").exists():
        pytest.exit(f"no {BUILD}/migd: build first, or set MIGD_BUILD", 2)
    shutil.rmtree(failed_logs, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "report_" + call.when, outcome.get_result())


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    stats = reporter.stats if reporter else {}
    bad = len(stats.get("failed", [])) + len(stats.get("error", []))
    print(f"{len(stats.get('passed', []))} passed, {bad} failed")


@pytest.fixture(scope="session")
def build():
    return BUILD


@pytest.fixture(scope="session")
def plugins(tmp_path_factory):
    return Builder(tmp_path_factory.mktemp("plugins"))


def keep(daemon, name):
    folder = failed_logs / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("migd.log", "migd.yaml", "manifest.yaml"):
        if (daemon.dir / file).exists():
            shutil.copy(daemon.dir / file, folder)
    return folder


def judge(daemons, name, has_failed=False):
    """Stops them; every fault is a failure of the test."""
    found = {d.dir.name: d.faults() for d in daemons}
    bad = {k: v for k, v in found.items() if v}
    if bad or has_failed:
        for d in daemons:
            folder = keep(d, f"{name}-{d.dir.name}".replace("/", "_"))
            if has_failed:
                print(f"--- logs: {folder}\n{d.tail()}")
    assert not bad, bad


@pytest.fixture
def migd(request, tmp_path):
    """A factory: migd(settings={...}, manifest={...}, drop=[paths]) is a started Daemon."""
    made = []

    def make(settings=None, manifest=None, drop=(), start=True, **more):
        d = Daemon(tmp_path / f"migd{len(made)}", settings, manifest, **more)
        made.append(d)
        for file in drop:
            d.drop(file)
        return d.start() if start else d

    yield make
    has_failed = getattr(request.node, "report_call", None) is not None and \
        request.node.report_call.failed
    judge(made, request.node.name, has_failed)


@pytest.fixture(scope="module")
def shared(request, tmp_path_factory, plugins):
    """One daemon per file for tests that leave nothing behind; the file may say SHARED = {...}."""
    how = dict(getattr(request.module, "SHARED", {}))
    drop = [plugins(name) for name in how.pop("plugins", [])]
    d = Daemon(tmp_path_factory.mktemp("shared") / "migd", **how)
    for file in drop:
        d.drop(file)
    d.start()
    yield d
    judge([d], Path(request.module.__file__).stem, request.session.testsfailed > 0)


@pytest.fixture
def http(shared):
    client = shared.client()
    yield client
    client.close()
