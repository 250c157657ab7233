"""One recording of a server that stalls in all ways, and copies of it to damage."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS
from tests.live.session import load, run
from tests.live.started import started


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording in which every oracle has told something; it stays as it is."""
    folder = tmp_path_factory.mktemp("recorded")
    argv = [sys.executable, str(TARGETS / "stalled_server.py")]
    with started(argv) as (process, _):
        code, out, err = run(folder, "record", process.pid, "-d", "1.5", "-o", "rec")
    assert (code, err) == (0, ""), err
    assert "STARVING" in out
    (worker,) = load(folder / "rec").workers
    assert set(worker.oracles.values()) == {"ok"}
    return folder / "rec"


@pytest.fixture
def rec(recorded: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(recorded, tmp_path / "rec")
    return tmp_path / "rec"
