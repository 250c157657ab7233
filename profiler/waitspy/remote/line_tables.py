"""Line numbers from the three formats of CPython's line tables.

``co_lnotab`` up to 3.9 (Objects/lnotab_notes.txt), ``co_linetable`` of 3.10 (PEP 626) and of 3.11
and newer (Objects/locations.md, InternalDocs/code_objects.md).
"""

from __future__ import annotations

_NO_LINE = -128  # 3.10: this stretch of code belongs to no line
_NO_LOCATION, _LONG, _NO_COLUMNS = 15, 14, 13
_ONE_LINE = range(10, 13)


def line_at(pair: tuple[int, int], table: bytes, first: int, offset: int) -> int | None:
    """The line of the instruction at that byte offset; None when the table does not say."""
    if pair >= (3, 11):
        line = _line_from_locations(table, first, offset)
    elif pair == (3, 10):
        line = _line_from_ranges(table, first, offset)
    else:
        line = _line_from_steps(table, first, offset)
    return line if line is not None and 0 < line < 1 << 24 else None


def _line_from_steps(table: bytes, line: int, offset: int) -> int:
    address = 0
    for at in range(0, len(table) - 1, 2):
        address += table[at]
        if address > offset:
            break
        line += _signed(table[at + 1])
    return line


def _line_from_ranges(table: bytes, line: int, offset: int) -> int | None:
    address = 0
    for at in range(0, len(table) - 1, 2):
        step = _signed(table[at + 1])
        if step != _NO_LINE:
            line += step
        address += table[at]
        if address > offset:
            return line if step != _NO_LINE else None
    return None


def _line_from_locations(table: bytes, line: int, offset: int) -> int | None:
    at, address = 0, 0
    while at < len(table):
        kind, units = table[at] >> 3 & 15, (table[at] & 7) + 1
        at += 1
        if kind in {_LONG, _NO_COLUMNS}:
            step, at = _varint(table, at)
            line += -(step >> 1) if step & 1 else step >> 1
        elif kind in _ONE_LINE:
            line += kind - _ONE_LINE.start
        while at < len(table) and not table[at] & 128:  # columns, up to the next entry
            at += 1
        address += 2 * units
        if address > offset:
            return line if kind != _NO_LOCATION else None
    return None


def _varint(table: bytes, at: int) -> tuple[int, int]:
    """A number in pieces of six bits, the lowest first, and where it ends."""
    value = shift = 0
    while at < len(table) and shift < 36:
        piece = table[at]
        at += 1
        value |= (piece & 63) << shift
        shift += 6
        if not piece & 64:
            break
    return value, at


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte
