"""The lines of a stream: rows, each a JSON array of its type's fields, and marks, JSON objects.

A row says what has changed; it holds until the next one about the same thing. Where a stream has
rows of several kinds, the name of the kind comes first. Which they are, and what turns them into
values, stands in one file for each subject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any, get_args

import msgspec

from waitspy.model.ranges import Ns
from waitspy.recording.valid_json import read_json, valid


class Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One line of a stream: what changed at ``at_ns``."""

    at_ns: Ns


RowType = type[msgspec.Struct] | UnionType
"""The type of a stream's rows: one kind, or the union of several."""

Mark = dict[str, Any]
"""The first line of a stream, and the last; there are several where a pid came back."""

Reader = msgspec.json.Decoder[Any]
"""Decodes one line, or many."""

_ENCODER = msgspec.json.Encoder()
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def reader(rows: RowType) -> Reader:
    """What decodes a stream of such rows."""
    return msgspec.json.Decoder(rows | Mark)


def columns(rows: RowType) -> list[str] | dict[str, list[str]]:
    """The names of a row's elements; by the row's kind, where there are several."""
    if isinstance(rows, type):
        return list(rows.__struct_fields__)
    kinds: tuple[type[msgspec.Struct], ...] = get_args(rows)
    return {str(kind.__struct_config__.tag): list(kind.__struct_fields__) for kind in kinds}


def written(rows: Iterable[msgspec.Struct | Mark]) -> bytes:
    """Rows or marks as lines."""
    rows = list(rows)
    try:
        return _ENCODER.encode_lines(rows)
    except UnicodeEncodeError:  # names from a target's memory may be no valid Unicode
        plain = [valid(msgspec.to_builtins(row, str_keys=True)) for row in rows]
        return _ENCODER.encode_lines(plain)


_PART_BYTES = 1 << 20


@dataclass(slots=True)
class Lines:
    """What has become of a stream's lines.

    ``damaged`` ones cannot be read; ``torn`` says that the last one, which is not among them,
    cannot either. ``ended`` says that the last line is the mark of an end. ``last_ns`` is the time
    of the last row, zero without any.
    """

    damaged: int = 0
    torn: bool = False
    ended: bool = False
    last_ns: int = 0


def read(data: bytes, reader: Reader, take: Callable[[list[Any]], object]) -> Lines:
    """Gives a stream's rows to ``take``, part by part: there may be a million of them.

    What cannot be read costs its own line only.
    """
    found = Lines()
    for part in _parts(data):
        try:  # the usual case, and the fast one
            lines, torn = reader.decode_lines(part), False
        except _UNREADABLE:
            lines, torn = _line_by_line(part, reader, found)
        if not lines and not torn:
            continue
        found.damaged += found.torn
        found.torn = torn
        found.ended = not torn and _is_end(lines[-1])
        rows = _without_marks(lines, part)
        if rows:
            found.last_ns = rows[-1].at_ns
            take(rows)
    return found


def _parts(data: bytes) -> Iterator[bytes]:
    """The data, cut at ends of lines."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + _PART_BYTES) + 1 or len(data)
        yield data[start:end]
        start = end


def _line_by_line(data: bytes, reader: Reader, found: Lines) -> tuple[list[Any], bool]:
    """The lines that can be read, and whether the last one cannot; others of these are counted."""
    lines: list[Any] = []
    torn = False
    for line in data.split(b"\n"):
        if not line or line.isspace():
            continue
        found.damaged += torn
        torn = False
        try:
            lines.append(_line(line, reader))
        except (ValueError, RecursionError):
            torn = True
    return lines, torn


def _line(line: bytes, reader: Reader) -> Any:
    """One line, also where its text is not valid Unicode.

    Raises:
        ValueError: it cannot be read.
        RecursionError: it is nested too deeply.
    """
    try:
        return reader.decode(line)
    except msgspec.ValidationError:
        raise
    except (ValueError, RecursionError):
        value = read_json(line.decode("utf-8", "replace"))
        return msgspec.convert(value, reader.type, str_keys=True)


def _without_marks(lines: list[Any], part: bytes) -> list[Any]:
    """The rows among those lines, which a part held."""
    first, end = 0, len(lines)
    while first < end and type(lines[first]) is dict:
        first += 1
    while first < end and type(lines[end - 1]) is dict:
        end -= 1
    rows = lines[first:end]
    if part.count(b"{") > len(lines) - len(rows):  # some in between, or in a name: to look is slow
        return [row for row in rows if type(row) is not dict]
    return rows


def _is_end(line: Any) -> bool:
    return isinstance(line, dict) and line.get("type") == "end"
