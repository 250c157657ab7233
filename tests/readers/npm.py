"""Packages of the npm registry, kept in the user's cache between runs."""

from __future__ import annotations

import os
import subprocess
import tarfile
from functools import cache
from pathlib import Path

import pytest


@cache
def folder(package: str) -> Path:
    """The folder ``package`` of ``NAME@VERSION``, unpacked; its install scripts have not run."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = root / "waitspy-tests" / "npm" / package.replace("/", "+")
    if kept.exists():
        return kept / "package"
    partial = kept.with_name(f"{kept.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    command = ["npm", "pack", package, "--silent", "--pack-destination", str(partial)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        if os.environ.get("CI"):
            pytest.fail(f"npm cannot fetch {package}: {error}")
        pytest.skip(f"npm cannot fetch {package}: {error}")
    (archive,) = partial.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(partial, filter="data")
    partial.replace(kept)
    return kept / "package"
