"""The recording's name holds line feeds and escape sequences, is no text, or is longer than allowed.

Such a name is used as it is and shown without doing anything to the terminal; one that is too long is refused.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.live.session import load, run, said_well


@pytest.mark.parametrize("name", ["a\nb\x1b[31m\x07", "\udcff\udcfe", " \u202e "])
def test_an_odd_name(tmp_path: Path, target: subprocess.Popen[str], name: str) -> None:
    code, out, err = run(tmp_path, "record", target.pid, "-d", "0.4", "-o", name)
    assert (code, err) == (0, "")
    assert os.listdir(tmp_path) == [name]
    assert load(tmp_path / name).losses == ()
    for forbidden in ("\x1b", "\x07", "\u202e"):
        assert forbidden not in out
    assert out.splitlines()[-1].startswith("recording: ")
    assert run(tmp_path, "report", name)[0] == 0


@pytest.mark.parametrize("name", ["n" * 256, "/".join(["n" * 200] * 25)])
def test_a_name_that_is_too_long(tmp_path: Path, target: subprocess.Popen[str], name: str) -> None:
    code, out, err = run(tmp_path, "record", target.pid, "-d", "0.4", "-o", name)
    assert (code, out) == (1, "")
    said_well(err, "File name too long", "-o")
    assert os.listdir(tmp_path) == []
