"""What a failed test has to do to count as passed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tried(folder: Path, body: str, *, tests: int = 1) -> subprocess.CompletedProcess[str]:
    """A file of tests that note each run in ``runs`` beside them."""
    lines = [
        "from pathlib import Path",
        "HERE = Path(__file__).parent",
        "def runs():",
        "    with (HERE / 'runs').open('a+') as file:",
        "        file.write('x')",
        "    return len((HERE / 'runs').read_text())",
    ]
    for n in range(tests):
        lines += [f"def test_{n}():", f"    {body}"]
    (folder / "test_it.py").write_text("\n".join(lines) + "\n")
    return subprocess.run(
        [sys.executable, "-m", "tests.again", "-q"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("body", "passes", "runs"),
    [
        ("runs()", True, 1),
        ("assert runs() > 1", True, 4),
        ("assert runs() not in {1, 4}", False, 4),
        ("assert runs() < 0", False, 2),
    ],
)
def test_it_must_pass_three_times(tmp_path: Path, body: str, passes: bool, runs: int) -> None:
    done = tried(tmp_path, body)
    assert (done.returncode == 0) == passes, done.stdout
    assert len((tmp_path / "runs").read_text()) == runs
    if passes and runs > 1:
        assert "failed once, and passed 3 times alone: " in done.stdout


def test_many_failures_are_not_tried_again(tmp_path: Path) -> None:
    done = tried(tmp_path, "assert runs() > 4", tests=4)
    assert done.returncode == 1
    assert "tried 3 times" not in done.stdout


def test_what_is_no_failed_test_stays_an_error(tmp_path: Path) -> None:
    done = tried(tmp_path, "def")
    assert done.returncode not in {0, 1}, done.stdout
