"""Every command of the README and the guides runs: the ```sh blocks of a file, in order, in a folder like
the clone's, against a daemon like that of `make run`. A line `# => text` says what the output so far of its
block must contain. What must not run in a test (foreground daemons, systemd) stands in ```console blocks.
"""
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MIGD_BUILD", ROOT / "build/release"))
BUILD = BUILD if BUILD.is_absolute() else ROOT / BUILD
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)
WANTED = re.compile(r"^# => (.+)$", re.M)
DOCS = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs/guide").glob("*.md"))]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def clone(tmp_path):
    """A folder with what the documents touch, and a daemon on a port of its own: (folder, port, env)."""
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    shutil.copytree(ROOT / "lua/examples", tmp_path / "lua/examples")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "build").mkdir()
    (tmp_path / "build/release").symlink_to(BUILD)
    port = free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith("MIGD_")}
    env.update(MIGD_URL=f"http://127.0.0.1:{port}", PATH=f"{BUILD}:{env['PATH']}", LC_ALL="C.UTF-8")
    with open(tmp_path / "migd.log", "wb") as log:
        daemon = subprocess.Popen(
            [BUILD / "migd", "--manifest", "manifests/default.yaml", "--set", f"mig.addr=127.0.0.1:{port}",
             "--set", f"state_dir={tmp_path}/state"], cwd=tmp_path, env=env, stdout=log, stderr=log)
    end = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            break
        except OSError:
            assert daemon.poll() is None and time.monotonic() < end, (tmp_path / "migd.log").read_text()
            time.sleep(0.05)
    yield tmp_path, port, env
    daemon.terminate()
    assert daemon.wait(30) == 0, (tmp_path / "migd.log").read_text()[-4000:]


def run(block, clone):
    folder, port, env = clone
    text = block.replace("localhost:8080", f"127.0.0.1:{port}")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=env, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120)
    assert done.returncode == 0, f"{text}\n--- exit {done.returncode}\n{done.stdout}"
    for wanted in WANTED.findall(block):
        assert wanted in done.stdout, f"{text}\n--- has no {wanted!r}\n{done.stdout}"


@pytest.mark.parametrize("doc", DOCS)
def test_commands_of_the_document_run(doc, clone):
    blocks = BLOCK.findall((ROOT / doc).read_text())
    assert blocks, f"{doc} has no commands"
    for block in blocks:
        run(block, clone)


def test_every_script_block_of_the_lua_guide_loads(clone):
    folder, _, env = clone
    text = (ROOT / "docs/guide/lua-author.md").read_text()
    for i, script in enumerate(re.findall(r"^```lua\n(.*?)^```$", text, re.M | re.S)):
        (folder / f"plugins/guide{i}.lua").write_text(script)
    done = subprocess.run(["migctl", "reload"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_manifests_of_the_documents_are_valid(clone, tmp_path):
    for doc in DOCS:
        for i, text in enumerate(re.findall(r"^```yaml\n(.*?)^```$", (ROOT / doc).read_text(), re.M | re.S)):
            path = tmp_path / f"{Path(doc).stem}{i}.yaml"
            path.write_text(text)
            done = subprocess.run(["migctl", "validate", path], env=clone[2], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("doc", [*DOCS, *sorted(str(p.relative_to(ROOT)) for p in
                                                (ROOT / "docs/reference").glob("*.md"))])
def test_links_of_the_document_lead_somewhere(doc):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / doc).read_text()):
        assert ((ROOT / doc).parent / target).exists(), f"{doc}: {target}"
