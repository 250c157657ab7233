"""The protobuf wire format, as far as the formats here need it: each function encodes one field.

A message is its fields, one after the other (https://protobuf.dev/programming-guides/encoding/).
The files are plain lists of a few kinds of records; a library with compiled schemas would be a
dependency many times the size of this module.
"""

from __future__ import annotations

from collections.abc import Iterable

_VARINT, _BYTES = 0, 2


def varint(number: int) -> bytes:
    """An int32, int64, uint64, bool or enum; negative numbers are those of 64 bits."""
    if 0 <= number < 0x80:
        return _SMALL[number]
    number &= 0xFFFF_FFFF_FFFF_FFFF
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_SMALL = [bytes([number]) for number in range(0x80)]


def integer(field: int, number: int) -> bytes:
    """One whole number."""
    return varint(field << 3 | _VARINT) + varint(number)


def message(field: int, *parts: bytes) -> bytes:
    """A message within a message, or a string of bytes."""
    body = b"".join(parts)
    return varint(field << 3 | _BYTES) + varint(len(body)) + body


def text(field: int, value: str) -> bytes:
    """A string: valid Unicode."""
    return message(field, value.encode())


def packed(field: int, numbers: Iterable[int]) -> bytes:
    """A repeated whole number."""
    return message(field, *map(varint, numbers))
