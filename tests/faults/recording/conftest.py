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
    return _recorded(tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="session")
def recorded_by_pyspy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with stacks in a file of py-spy's."""
    return _recorded(tmp_path_factory.mktemp("by_pyspy"), "--sampler", "py-spy")


def _recorded(folder: Path, *options: str) -> Path:
    argv = [sys.executable, str(TARGETS / "stalled_server.py")]
    with started(argv) as (process, _):
        code, out, err = run(folder, "record", process.pid, "-d", "1.5", "-o", "rec", *options)
    assert (code, err) == (0, ""), err
    assert "STARVING" in out
    (worker,) = load(folder / "rec").workers
    assert set(worker.oracles.values()) == {"ok"}
    return folder / "rec"


@pytest.fixture
def sampler() -> str:
    """Whose stacks the copy has; a test may ask for others."""
    return "delta"


@pytest.fixture
def rec(sampler: str, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of it."""
    name = "recorded" if sampler == "delta" else "recorded_by_pyspy"
    shutil.copytree(request.getfixturevalue(name), tmp_path / "rec")
    return tmp_path / "rec"
