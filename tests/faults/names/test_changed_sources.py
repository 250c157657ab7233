"""A source file is changed, replaced or removed after the program has loaded it.

Its lines are not shown, for they are not those that run; that is told as a loss, and where the code
is blamed, it is by function and number of the line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, read_report, record, target

_CODE = "def work(time):\n    while True:\n        time.sleep(0.01)  # {}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that everybody may search."""
    for above in (tmp_path, *tmp_path.parents[:3]):
        above.chmod(above.stat().st_mode | 0o011)
    return tmp_path


def test_the_lines_of_a_file_that_was_replaced_are_not_shown(folder: Path) -> None:
    code = folder / "code.py"
    code.write_text(_CODE.format("as it runs"))
    code.chmod(0o644)
    with target([sys.executable, TARGETS / "strange_sources.py", code]) as server:
        code.write_text("# a new line\ndef wirk(time):\n    pass\n")
        record(server.pid, folder / "rec", seconds=1)
    assert json.loads((folder / "rec" / "sources.json").read_text())[str(code)] == {}
    (loss,) = [x for x in read_report(folder / "rec")["losses"] if "source" in x["what"]]
    assert loss["what"] == f"source lines of {code}"
    assert "changed since the process began" in loss["why"]


def test_those_of_a_file_that_is_gone_are_left_out(folder: Path) -> None:
    code = folder / "code.py"
    code.write_text(_CODE.format("as it runs"))
    code.chmod(0o644)
    with target([sys.executable, TARGETS / "strange_sources.py", code]) as server:
        code.unlink()
        record(server.pid, folder / "rec", seconds=1)
    assert str(code) not in json.loads((folder / "rec" / "sources.json").read_text())
    assert not [x for x in read_report(folder / "rec")["losses"] if "source" in x["what"]]
