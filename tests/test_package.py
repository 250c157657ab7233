"""The package: what a wheel and an sdist carry, and that names of others do not get in its way."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from waitspy import __version__

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden" / "parked"
WAYS = ([sys.executable, "-m", "waitspy"], [str(Path(sys.executable).parent / "waitspy")])
"""Each way to start it."""


def built(source: Path, target: str, folder: Path) -> Path:
    """The wheel or sdist of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return path


def content(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_a_wheel_brings_our_two_packages_and_nothing_else(tmp_path: Path) -> None:
    found = content(built(ROOT, "wheel", tmp_path))
    about = f"waitspy-{__version__}.dist-info"
    assert {name.split("/")[0] for name in found} == {"waitspy", "waitspy_scenarios", about}
    assert {name for name in found if "__pycache__" in name or name.endswith(".pyc")} == set()
    for name in ("py.typed", "render/report.schema.json", "render/assets/page.js"):
        assert f"waitspy/{name}" in found


def test_an_sdist_makes_the_same_wheel(tmp_path: Path) -> None:
    with tarfile.open(built(ROOT, "sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("waitspy-*")
    again = built(source, "wheel", tmp_path / "again")
    assert content(again) == content(built(ROOT, "wheel", tmp_path / "first"))


def started(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs it where modules of the target come first."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=["module", "program"])
@pytest.mark.parametrize(
    "args",
    [
        ("--version",),
        ("report", str(GOLDEN)),
        ("scenario", "list"),
        ("scenario", "run", "buffer-vs-job", "--", "--help"),
        ("scenario", "run", "gil-hog", "--", "--help"),
    ],
    ids=["version", "report", "list", "a scenario", "a scenario with servers"],
)
def test_a_profiler_or_scenarios_of_the_target_is_not_ours(
    tmp_path: Path, way: list[str], args: tuple[str, ...]
) -> None:
    for name in ("profiler", "scenarios", "frontend", "docs", "tests", "tools"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported by mistake')\n")
    done = started(tmp_path, *way, *args)
    assert (done.returncode, done.stderr) == (0, "")


def test_both_ways_to_start_it_say_the_same(tmp_path: Path) -> None:
    module, program = (started(tmp_path, *way, "report", str(GOLDEN)) for way in WAYS)
    assert module.stdout == program.stdout != ""
    usage = [started(tmp_path, *way, "frobnicate").stderr for way in WAYS]
    assert usage[0] == usage[1]
    assert usage[0].startswith("Usage: waitspy ")
