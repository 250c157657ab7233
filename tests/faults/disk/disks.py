"""Small disks, and what fills them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def fill(folder: Path) -> None:
    """Leaves no byte free."""
    with open(folder / "filler", "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(bytes(4096))


@contextmanager
def mounted(
    folder: Path, *options: str, kind: str = "tmpfs", what: str = "tmpfs"
) -> Iterator[Path]:
    """Another file system at that folder, which is made, until the end."""
    if os.geteuid() != 0:
        pytest.skip("is not root")
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", kind, "-o", ",".join(options), what, str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"may not mount: {done.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
