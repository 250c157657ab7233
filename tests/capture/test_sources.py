"""Which lines are shown of a file: as Python counts them, and only while it is what was loaded."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.examples.build import process, recording, stack, worker
from waitspy.capture.sources import Roots
from waitspy.kernel import calls

NAME = "code.py"


def lines(folder: Path, *shown: str, age_s: float = 0.0) -> Mapping[int, str] | None:
    """What a process that is so old, and shows these functions at these lines, is told to have."""
    ticks = (time.clock_gettime(time.CLOCK_BOOTTIME) - age_s) * os.sysconf("SC_CLK_TCK")
    me = process(os.getpid(), start_ticks=int(ticks))
    stacks = [stack(one.replace(":", f"@{folder / NAME}:")) for one in shown]
    rows = [(10 * n, 10 * n + 10, one) for n, one in enumerate(stacks)]
    seen = replace(worker(shown={7: rows}), worker=me)
    roots = Roots()
    roots.open(me)
    try:
        return roots.read(recording(seen)).get(str(folder / NAME))
    finally:
        roots.close()


def test_lines_are_counted_as_python_counts_them(tmp_path: Path) -> None:
    text = "# a\x0cb\u2028c\x85d\x0be\r\ndef f():\r    pass\n"
    (tmp_path / NAME).write_bytes(text.encode())
    compile(text, NAME, "exec")
    names: dict[str, object] = {}
    exec(text, names)
    assert names["f"].__code__.co_firstlineno == 2  # type: ignore[attr-defined]
    found = lines(tmp_path, "f:3")
    assert found == {1: "# a\x0cb\u2028c\x85d\x0be", 2: "def f():", 3: "    pass", 4: ""}


@pytest.mark.parametrize(
    "shown",
    ["f:2", "A.f:2", "<module>:1", "<lambda>:2", "A.__annotate__:2", "f.<locals>.<genexpr>:2"],
)
def test_what_fits_is_shown(tmp_path: Path, shown: str) -> None:
    (tmp_path / NAME).write_text("async def f(): x\n    y\n")
    assert lines(tmp_path, shown)


@pytest.mark.parametrize("line", [2, 3, 5, 6])
def test_a_decorated_function_begins_with_its_decorators(tmp_path: Path, line: int) -> None:
    """As its code object says it does: a call that has only just begun is on that line."""
    text = "import x\n@x.one\n@x.two(\n    3,\n)\ndef f():\n    pass\n"
    (tmp_path / NAME).write_text(text)
    assert lines(tmp_path, f"f:{line}")
    assert lines(tmp_path, "f:1") == {}


@pytest.mark.parametrize("shown", ["g:2", "f:1", "f:5", "<module>:5", "A.__call__:2"])
def test_what_no_longer_fits_is_not_shown(tmp_path: Path, shown: str) -> None:
    (tmp_path / NAME).write_text("# def g()\n  def f(): x\n")
    assert lines(tmp_path, shown) == {}
    assert lines(tmp_path, "f:2", shown) == {}


def test_one_torn_frame_among_others_hides_nothing_but_its_own_line(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("def f():\n    x\n    y\n" + 20 * "# far away\n")
    found = lines(tmp_path, "f:2", "f:3", "torn:20")
    assert found is not None
    assert found[2] == "    x"
    assert 20 not in found


def test_a_file_newer_than_the_process_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("def f(): x\n")
    os.utime(tmp_path / NAME, (0, 0))  # as an installer sets it that keeps times
    assert lines(tmp_path, "f:1", age_s=0.1)
    assert lines(tmp_path, "f:1", age_s=10) == {}


def test_what_is_not_there_is_not_said_to_have_changed(tmp_path: Path) -> None:
    assert lines(tmp_path, "f:1") is None
    (tmp_path / NAME).mkdir()
    assert lines(tmp_path, "f:1") is None
    (tmp_path / NAME).rmdir()
    os.mkfifo(tmp_path / NAME)
    assert lines(tmp_path, "f:1") is None


def test_without_the_rights_of_its_user_nothing_is_read_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_text("def f(): x\n")
    assert lines(tmp_path, "f:1")

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(calls, "take_file_rights", refused)
    assert lines(tmp_path, "f:1") is None
    roots = Roots()
    loss = roots.open(process(os.getpid()))
    assert loss is not None
    assert (loss.what, loss.pid) == ("source lines", os.getpid())
    assert "CAP_SETUID" in loss.remedy
    roots.close()
