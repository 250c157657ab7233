"""The interpreters that the reader is tried on, and what each of them can import."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from tests import pythons

ROOT = Path(__file__).parents[2]
_SYSTEM = "/usr/bin/python3.11"  # another patch release than pyenv's


@dataclass(frozen=True)
class Python:
    """An interpreter and the environment in which it finds third-party packages."""

    version: str
    path: str
    site: str | None = None

    @property
    def pair(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split(".")[:2])

    @property
    def environment(self) -> dict[str, str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        if self.site:
            environment["PYTHONPATH"] = self.site
        return environment

    def with_libraries(self) -> Python:
        """The same with what ``make libraries`` has put beside its packages, which most tests do
        without.
        """
        libraries = ROOT / ".pythons" / f"libraries-{'.'.join(map(str, self.pair))}"
        if self.site is None or not libraries.is_dir():
            return self
        return replace(self, site=f"{self.site}{os.pathsep}{libraries}")

    def has(self, *modules: str) -> bool:
        """Whether it can import all of these."""
        return _has(self, modules)

    def __str__(self) -> str:
        return self.version


@functools.cache
def found() -> tuple[Python, ...]:
    """Every interpreter of a known version on this machine, oldest first.

    Packages for those that are no virtual environments are looked for in ``.pythons/site-X.Y``.
    """
    paths = dict(pythons.found())
    if os.access(_SYSTEM, os.X_OK):
        paths.setdefault(_version(_SYSTEM), _SYSTEM)
    result = []
    for version, path in paths.items():
        site = ROOT / ".pythons" / f"site-{version.rpartition('.')[0]}"
        result.append(Python(version, path, str(site) if site.is_dir() else None))
    return tuple(sorted(result, key=lambda python: [int(p) for p in python.version.split(".")]))


@functools.cache
def with_modules(*modules: str) -> tuple[Python, ...]:
    """Those that have all of these, among them the one that runs the tests."""
    return tuple(
        python
        for python in (*(p for p in found() if p.pair != HERE.pair), HERE)
        if python.has(*modules)
    )


@functools.cache
def _has(python: Python, modules: tuple[str, ...]) -> bool:
    code = f"from importlib.util import find_spec; assert all(map(find_spec, {modules!r}))"
    done = subprocess.run(
        [python.path, "-c", code], stderr=subprocess.DEVNULL, env=python.environment, check=False
    )
    return done.returncode == 0


def _version(path: str) -> str:
    code = "import platform; print(platform.python_version())"
    return subprocess.check_output([path, "-c", code], text=True).strip()


HERE = Python(_version(sys.executable), sys.executable)
"""The interpreter that runs the tests, with the packages that they need."""
