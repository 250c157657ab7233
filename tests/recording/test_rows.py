"""The lines of a stream: what cannot be read costs its own line, and a torn end is noticed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waitspy.recording.listeners import ListenerClosed, ListenerFound, ListenerRow
from waitspy.recording.rows import Lines, columns, reader, written
from waitspy.recording.rows import read as read_parts
from waitspy.recording.threads import ThreadRow

START: dict[str, Any] = {"type": "start", "oracle": "backlog", "pid": 7}
END: dict[str, Any] = {"type": "end", "why": "exited"}
FOUND, CLOSED = ListenerFound(1, 66, "[::1]:80", 3), ListenerClosed(2, 66)
READER = reader(ListenerRow)


def read(data: bytes) -> tuple[list[Any], Lines]:
    """The rows, and what has become of the lines."""
    found: list[Any] = []
    lines = read_parts(data, READER, found.extend)
    assert lines.last_ns == (found[-1].at_ns if found else 0)
    return found, lines


def test_a_row_begins_with_its_kind_where_there_are_several() -> None:
    assert written([FOUND]) == b'["listens",1,66,"[::1]:80",3]\n'
    assert columns(ListenerRow) == {
        "listens": ["at_ns", "inode", "name", "fd"],
        "waiting": ["at_ns", "inode", "connections"],
        "accepted": ["at_ns", "inode", "connections", "threads"],
        "closed": ["at_ns", "inode"],
    }


def test_a_row_is_what_it_says_where_there_is_one_kind() -> None:
    assert written([ThreadRow(1, 7, "X")]) == b'[1,7,"X",null,null,null,null]\n'
    names = columns(ThreadRow)
    assert names == ["at_ns", "tid", "state", "syscall", "arg0", "ran_ns", "queued_ns"]


def test_a_whole_stream_is_read() -> None:
    rows, lines = read(written([START, FOUND, CLOSED, END]))
    assert rows == [FOUND, CLOSED]
    assert (lines.damaged, lines.torn, lines.ended) == (0, False, True)


def test_a_stream_that_goes_on_has_not_ended() -> None:
    data = written([START, FOUND, END, START, CLOSED])
    assert read(data)[0] == [FOUND, CLOSED]
    assert not read(data)[1].ended
    assert read(data + written([END]))[1].ended
    assert not read(b"")[1].ended


@pytest.mark.parametrize(
    "bad",
    [
        '["listens",1,66,"x"]',  # too short
        '["opens",1,66]',
        '["closed",-1,66]',
        '["closed",1.0,66]',
        '["closed",true,66]',
        '["closed",null,66]',
        f'["closed",{2**63},66]',
        '["listens",1,66,7,3]',
        '["listens",1,66,"\\ud800","x"]',
        "[]",
        "7",
        "null",
        '"closed"',
        "nonsense",
        '["closed",1,',
        "[" * 100_000,
        "\0" * 100,
        '["closed",NaN,66]',
    ],
)
def test_a_damaged_row_costs_itself_only(bad: str) -> None:
    whole = written([START, FOUND, CLOSED, END]).splitlines(keepends=True)
    for n in range(1, 4):
        data = b"".join([*whole[:n], bad.encode() + b"\n", *whole[n:]])
        rows, lines = read(data)
        assert rows == [FOUND, CLOSED]
        assert (lines.damaged, lines.torn, lines.ended) == (1, False, True)
    rows, lines = read(b"".join(whole) + bad.encode())
    assert rows == [FOUND, CLOSED]
    assert (lines.damaged, lines.torn, lines.ended) == (0, True, False)


def test_a_stream_cut_at_any_byte_keeps_its_whole_rows() -> None:
    whole = written([START, FOUND, CLOSED, END])
    for length in range(len(whole) - 1):
        rows, lines = read(whole[:length])
        seen = whole[:length].replace(b"]\n", b"]").count(b"]") - whole[:length].count(b"[::1]")
        assert rows == [FOUND, CLOSED][:seen]
        assert (lines.damaged, lines.ended) == (0, False)


def test_elements_that_a_newer_waitspy_adds_are_left_out() -> None:
    assert read(b'["closed",2,66,"new"]\n')[0] == [CLOSED]


@pytest.mark.parametrize("spelt", [rb"\ud800", rb"\uD800", b"\xff", b"\xed\xa0\x80"])
def test_text_that_is_no_unicode_is_kept_without_what_is_not(spelt: bytes) -> None:
    data = written([START, FOUND, CLOSED, END]).replace(b"::1", b"a" + spelt + b"b")
    rows, lines = read(data)
    assert (lines.damaged, lines.torn, lines.ended) == (0, False, True)
    name = rows[0].name
    assert (name[:2], name[-5:]) == ("[a", "b]:80")
    assert set(name[2:-5]) <= {"?", "\ufffd"}


@given(st.text(st.characters(codec=None), max_size=5))
def test_any_text_is_written_as_one_line_of_utf_8(text: str) -> None:
    data = written([ListenerFound(1, 66, text, 3), CLOSED])
    assert data.count(b"\n") == 2
    data.decode("utf-8")
    found, closed = read(data)[0]
    assert found.name == text.encode("utf-8", "replace").decode("utf-8")
    assert closed == CLOSED


def test_a_mark_in_between_is_told_from_a_name_like_one() -> None:
    like_one = ListenerFound(1, 66, "{[::1]}:80", 3)
    data = written([like_one, START, CLOSED])
    assert read(data)[0] == [like_one, CLOSED]
    indented = b" " + data.replace(b"\n{", b"\n\t{")
    assert read(indented)[0] == [like_one, CLOSED]


@given(st.binary(max_size=40))
def test_any_bytes_are_read_as_something(data: bytes) -> None:
    rows, lines = read(written([FOUND]) + data + b"\n" + written([CLOSED, END]))
    assert (rows[0], rows[-1], lines.ended) == (FOUND, CLOSED, True)


def test_marks_are_json_objects() -> None:
    assert json.loads(written([END])) == END
