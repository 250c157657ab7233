"""Builds the assets that the Python package carries, where they are not made from this folder.

``python frontend/assets.py`` builds, or fails; the package's build hook calls ``build``.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

FRONTEND = Path(__file__).parent
ASSETS = FRONTEND.parent / "profiler" / "waitspy" / "render" / "assets"
_STAMP = ASSETS / "made-from"
_SOURCES = ("package.json", "package-lock.json", "build.mjs", "tsconfig.json", "src/*")


def build() -> None:
    """Makes the assets anew unless they were made from these very sources.

    Raises:
        FileNotFoundError: npm is not there.
        subprocess.CalledProcessError: npm or the build failed; it has said why.
    """
    if fresh():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm")
    for command in (["ci", "--ignore-scripts", "--no-fund", "--no-audit"], ["run", "build"]):
        subprocess.run([npm, *command, "--loglevel=error"], cwd=FRONTEND, check=True, stdout=2)
    _STAMP.write_text(digest() + "\n", "utf-8")


def fresh() -> bool:
    """Whether the assets are there and were made from these sources."""
    try:
        return _STAMP.read_text("utf-8").strip() == digest()
    except FileNotFoundError:
        return False


def digest() -> str:
    """What the sources are, as one number."""
    files = sorted(file for pattern in _SOURCES for file in FRONTEND.glob(pattern))
    total = hashlib.sha256()
    for file in files:
        total.update(file.relative_to(FRONTEND).as_posix().encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


if __name__ == "__main__":
    try:
        build()
    except FileNotFoundError:
        sys.exit("npm is needed to build the pages' scripts: apt install npm")
    except subprocess.CalledProcessError as error:
        sys.exit(f"building the pages' scripts failed: {error}")
