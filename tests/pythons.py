"""The CPythons on this machine that waitspy can profile: one executable per minor version."""

from __future__ import annotations

import functools
import glob
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

OLDEST, NEWEST = (3, 8), (3, 15)
_ROOT = Path(__file__).parents[1]


@functools.cache
def found() -> dict[str, str]:
    """Executable by version text, ``{"3.8.18": "/…/bin/python3.8"}``, oldest first.

    Looks at pyenv's versions, at what ``make pythons`` has put into ``.pythons``, and at PATH.
    """
    candidates = sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python")))
    candidates += sorted(glob.glob(f"{_ROOT}/.pythons/usr/bin/python3.*"))
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        candidates += [p for p in (shutil.which(f"python3.{minor}"),) if p]
    by_minor: dict[tuple[int, int], tuple[str, str]] = {}
    for path in candidates:
        version = _version(path)
        if version is None:
            continue
        major, minor = (int(part) for part in version.split(".")[:2])
        if OLDEST <= (major, minor) <= NEWEST and (major, minor) not in by_minor:
            by_minor[major, minor] = version, path
    return {version: path for _, (version, path) in sorted(by_minor.items())}


def ends() -> dict[str, str]:
    """The oldest and the newest of them: for what differs little between versions."""
    versions = list(found())
    return {version: found()[version] for version in (*versions[:1], *versions[-1:])}


def marks(version: str) -> list[pytest.MarkDecorator]:
    """For what takes long and differs little: all but the newest are left to ``make slow``."""
    return [] if version == list(found())[-1] else [pytest.mark.slow]


def newest_always() -> list[ParameterSet]:
    """Parameters for a test: all of them; but the newest, they are left to ``make slow``."""
    return [
        pytest.param(path, id=version, marks=marks(version)) for version, path in found().items()
    ]


def _version(path: str) -> str | None:
    code = "import platform; print(platform.python_version())"
    try:
        done = subprocess.run(
            [path, "-I", "-c", code], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
