"""Stacks that are found again are proven, not followed: nothing of them may be of before."""

from __future__ import annotations

import struct
import sys
import time
from pathlib import Path

import pytest

from tests.live.running import TARGETS, target
from tests.pythons import newest_always
from waitspy.remote.memory import Memory
from waitspy.remote.reader import Reader

pytestmark = pytest.mark.ptrace


@pytest.mark.parametrize("python", newest_always())
def test_code_that_lies_where_other_code_lay_is_never_taken_for_it(
    python: str, tmp_path: Path
) -> None:
    """What runs is read before and after: where it is the same, the stack has to show that."""
    shared = tmp_path / "now"
    shared.write_bytes(bytes(8))
    seen = set[str]()
    with target([python, TARGETS / "renewed_code.py", shared]) as process, shared.open("rb") as now:
        reader = Reader(process.pid)
        states = [state for own in reader.python_threads().values() for state in own]
        end_s = time.monotonic() + 2
        while time.monotonic() < end_s:
            now.seek(0)
            before = now.read(8)
            ((stack, whole),) = reader.moving_stacks(states)
            now.seek(0)
            (number,) = struct.unpack("<q", before)
            if now.read(8) != before or number < 0 or not whole:
                continue
            made = [frame for frame in stack if frame.file.startswith("/renewed/")]
            assert [(frame.function, frame.file) for frame in made] == [
                (f"f{number:03}", f"/renewed/{number:03}.py")
            ]
            seen.add(made[0].function)
    assert len(seen) > 50


def test_a_stack_that_was_found_twice_is_read_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with target([sys.executable, TARGETS / "standing_threads.py"]) as process:
        reader = Reader(process.pid)
        states = [state for own in reader.python_threads().values() for state in own]
        every = zip(states, reader.moving_stacks(states), strict=True)
        states = [state for state, (stack, _) in every if 0 < len(stack) < 50]
        followed = [reader.moving_stacks(states) for _ in range(3)][-1]
        for name in ("read", "pieces", "gather"):
            monkeypatch.setattr(Memory, name, None)  # what follows frames
        assert reader.moving_stacks(states) == followed
    assert len(states) > 5
