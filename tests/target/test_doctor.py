"""waitspy.target.doctor without a target, and how py-spy is found."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from waitspy.errors import SamplerError
from waitspy.samplers.pyspy_binary import find_pyspy
from waitspy.target import doctor


def program(folder: Path, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "py-spy"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python in a folder without py-spy, and an empty PATH."""
    home, path = tmp_path / "home", tmp_path / "path"
    home.mkdir()
    path.mkdir()
    monkeypatch.setattr(sys, "executable", str(home / "python"))
    monkeypatch.setenv("PATH", str(path))
    return tmp_path


def pyspy_check() -> doctor.Check:
    (check,) = (check for check in doctor.examine() if check.name == "py-spy")
    return check


def test_py_spy_beside_the_interpreter_comes_first(bare: Path) -> None:
    on_path = program(bare / "path", "echo on the path")
    assert find_pyspy() == str(on_path)
    beside = program(bare / "home", "echo beside")
    assert find_pyspy() == str(beside)
    assert pyspy_check() == doctor.Check("py-spy", "ok", f"beside at {beside}")


def test_py_spy_that_is_missing(bare: Path) -> None:
    assert bare.is_dir()
    with pytest.raises(SamplerError, match="py-spy") as caught:
        find_pyspy()
    assert "pip install py-spy" in caught.value.hint
    check = pyspy_check()
    assert check.status == "warn"
    assert "no --blocking" in check.found
    assert check.remedy == caught.value.hint


@pytest.mark.parametrize("script", ["echo broken >&2; exit 1", "kill -9 $$"])
def test_py_spy_that_does_not_run(bare: Path, script: str) -> None:
    program(bare / "home", script)
    check = pyspy_check()
    assert check.status == "warn"
    assert "reinstall" in (check.remedy or "")


def test_py_spy_for_another_machine(bare: Path) -> None:
    program(bare / "home", "").write_bytes(b"\x7fELF" + bytes(60))
    assert pyspy_check().status == "warn"


def test_a_target_that_does_not_exist_fails_its_check_only() -> None:
    without, checks = doctor.examine(), doctor.examine(str(os.getpid()))
    assert [check.name for check in checks] == [*(check.name for check in without), "target"]
    assert checks[-1].status == "fail"
    assert "waitspy itself" in checks[-1].found
    assert checks[-1].remedy
