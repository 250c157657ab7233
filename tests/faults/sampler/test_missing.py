"""py-spy is not installed.

A recording needs none. Where py-spy is asked for, it is said at once with the command that installs it, and no recording
is begun; `waitspy doctor` says what cannot be done without it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import run_with
from tests.live.session import has_stacks, load, said_well


@pytest.fixture(autouse=True)
def _not_installed() -> None:
    assert shutil.which("py-spy", path="/usr/bin:/bin") is None


def test_a_recording_has_its_stacks(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    code, out, err = run_with(tmp_path, None, "record", target.pid, "-d", "1", "-o", "rec")
    assert (code, err) == (0, ""), out
    recording = load(tmp_path / "rec")
    has_stacks(recording)
    assert recording.losses == ()


@pytest.mark.parametrize("options", [["--sampler", "py-spy"], ["--blocking"]], ids=" ".join)
def test_who_asks_for_it_is_told_how_to_install_it(
    tmp_path: Path, target: subprocess.Popen[str], options: list[str]
) -> None:
    code, out, err = run_with(tmp_path, None, "record", *options, target.pid, "-d", "1")
    assert (code, out) == (1, "")
    said_well(err, "py-spy", "pip install py-spy")
    assert os.listdir(tmp_path) == ["bin"]


def test_the_doctor_says_what_is_missing(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    code, out, err = run_with(tmp_path, None, "doctor", target.pid)
    assert (code, err) == (0, ""), out
    said = " ".join(out.split())
    assert "py-spy: py-spy is neither installed beside this Python nor on the PATH" in said
    assert "no --blocking" in said
    assert "pip install py-spy" in said
    assert re.search(rf"ok pid {target.pid} stacks: read (\d+) of \1 thread", said), said
