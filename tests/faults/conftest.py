"""What the faults have in common: a target that must work on, and a disk that is small."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.session import no_spy_is_left, nothing_left_behind, running_target, still_works


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each of them looks into another process."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ptrace)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    with nothing_left_behind():
        yield


@pytest.fixture
def target() -> Iterator[subprocess.Popen[str]]:
    """A Python that takes turns; afterwards it works on and nobody looks at it any more."""
    with running_target() as process:
        yield process
        no_spy_is_left(process.pid)
        still_works(process)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"may not mount: {mounted.stderr}" if os.geteuid() == 0 else "is not root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
