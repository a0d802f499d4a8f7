"""Compiles tests/plugins/*.c against the public headers; one build per source and set of -D."""
import hashlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "tests/plugins"
INCLUDE = ROOT / "plugin-api/include"
FLAGS = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared",
         "-fvisibility=hidden", "-pthread"]


class Builder:
    def __init__(self, folder):
        self.folder = Path(folder)

    def __call__(self, source, name=None, defs=True, **macros):
        """The path of NAME.so. Macros: counter(COUNTER_VERSION='"2"'), bad(BAD_MAGIC="")."""
        given = [f"-D{k}={v}" if v != "" else f"-D{k}" for k, v in sorted(macros.items())]
        key = hashlib.sha256(" ".join([source, str(defs), *given]).encode()).hexdigest()[:12]
        target = self.folder / key / f"{name or source}.so"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            link = ["-Wl,-z,defs"] if defs else []
            made = subprocess.run(["gcc", *FLAGS, *given, f"-I{INCLUDE}",
                                   str(SOURCES / f"{source}.c"), *link, "-o", str(target)],
                                  capture_output=True, text=True)
            assert made.returncode == 0, made.stderr
        return target

    def counter(self, version, name="counter", **more):
        return self("counter", name, COUNTER_VERSION=f'"{version}"', **more)
