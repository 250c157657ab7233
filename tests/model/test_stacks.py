"""The table of stacks: numbers that are pushed and popped as the stacks themselves would be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from waitspy.model.code_origin import CodePath, Homes, Origin, Program
from waitspy.model.stacks import Frame, PlacedFrame, Stack, StackTable, placed

FRAMES = st.builds(
    Frame, st.sampled_from("fg"), st.sampled_from(["/a.py", "/b.py"]), st.none() | st.integers(1, 2)
)
STACKS = st.lists(FRAMES, max_size=5).map(tuple)


def test_an_empty_table_holds_the_empty_stack_only() -> None:
    table = StackTable()
    assert len(table) == 1
    assert table[0] == ()
    assert table.number(()) == 0


def numbered(table: StackTable, frame: Frame) -> int:
    return table.frame(frame.function, frame.file, frame.line)


@given(st.lists(STACKS, max_size=12))
def test_equal_stacks_have_one_number_and_others_another(stacks: list[Stack]) -> None:
    table = StackTable()
    numbers = [table.number(stack) for stack in stacks]
    assert [table[number] for number in numbers] == stacks
    assert len(set(numbers)) == len(set(stacks))
    assert [table.number(stack) for stack in stacks] == numbers
    prefixes = {stack[:length] for stack in stacks for length in range(len(stack) + 1)} | {()}
    assert len(table) == len(prefixes)


@given(st.lists(st.none() | FRAMES, max_size=40))
def test_pushes_and_pops_lead_to_the_same_stack_as_on_a_tuple(steps: list[Frame | None]) -> None:
    table = StackTable()
    number = 0
    expected: Stack = ()
    for frame in steps:
        if frame is not None:
            number, expected = table.push(number, numbered(table, frame)), (*expected, frame)
        elif expected:
            number, expected = table.below[number], expected[:-1]
        assert table[number] == expected
        assert table.number(expected) == number


@given(st.lists(FRAMES, max_size=12))
def test_each_distinct_frame_has_one_number(frames: list[Frame]) -> None:
    table = StackTable()
    numbers = [numbered(table, frame) for frame in frames]
    assert [table.frames[number] for number in numbers] == frames
    assert list(table.frames) == list(dict.fromkeys(frames))


def test_a_stack_is_the_same_object_every_time() -> None:
    table = StackTable()
    number = table.number((Frame("f", "/a.py", 1), Frame("g", "/a.py", 2)))
    assert table[number] is table[number]


# --- whose frames they are -----------------------------------------------------------------------

HOMES = Homes([Program((CodePath("/deps", "mixed", ("slow",)),), "/app/main.py")])


def origins(*files: str) -> list[Origin]:
    table = StackTable(HOMES)
    shown = table[table.number([Frame("f", file, 1) for file in files])]
    assert [(f.function, f.file, f.line) for f in shown] == [("f", file, 1) for file in files]
    return [frame.origin for frame in shown]


def test_frames_know_whose_they_are() -> None:
    assert origins("/app/main.py", "/deps/slow/a.py") == [Origin.USER, Origin.PACKAGE]


def test_made_code_is_of_the_file_that_calls_it() -> None:
    user, package, library = Origin.USER, Origin.PACKAGE, Origin.STDLIB
    made = "<made>"
    assert origins("/app/main.py", made) == [user, user]
    assert origins("/app/main.py", "/deps/slow/a.py", made, made)[2:] == [package, package]
    assert origins("/deps/slow/a.py", "/app/main.py", "<string>")[2:] == [user]
    # What the library calls was given to it.
    assert origins("/usr/lib/python3.12/threading.py", made) == [library, user]
    assert origins(made) == [user]


def test_a_frame_without_its_line_keeps_its_home() -> None:
    frame = placed(Frame("f", "/deps/slow/a.py", 3), HOMES.of("/deps/slow/a.py"))
    assert isinstance(frame, PlacedFrame)
    assert frame.without_line().home == frame.home
    assert frame.without_line().line is None
    plain = Frame("f", "/app/main.py", 3)
    assert placed(plain, HOMES.of("/app/main.py")) is plain
    assert plain.without_line() == Frame("f", "/app/main.py")


def test_which_stacks_have_a_frame_and_which_have_it_on_top() -> None:
    table = StackTable()
    main, called = Frame("main", "/app/a.py", 1), Frame("called", "/app/a.py", 2)
    below, above = table.number((main,)), table.number((main, called))
    alone, other = table.number((called,)), table.number((called, main))

    def is_called(frame: Frame) -> bool:
        return frame.function == "called"

    assert np.flatnonzero(table.having(is_called)).tolist() == [above, alone, other]
    assert np.flatnonzero(table.topped(is_called)).tolist() == [above, alone]
    assert not table.having(is_called)[[0, below]].any()
    later = table.number((main, main, called))  # those that come afterwards are asked as well
    assert table.having(is_called)[later]
    assert table.topped(is_called)[later]
