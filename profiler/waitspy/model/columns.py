"""Columns: many values of one field as one array, for what a recording holds by the million.

Rows of such columns are read as ordinary values one at a time; code that passes over all of them
works on the arrays.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
"""One column of whole numbers: nanoseconds, ids, or numbers of stacks and waits."""

Mask = npt.NDArray[np.bool_]

UNKNOWN = -(1 << 63)
"""What stands in a column where a row's value is None."""

_ALL_BITS = (1 << 64) - 1
_NO_WORD = UNKNOWN & _ALL_BITS


def int64s(values: Iterable[int | None]) -> Int64s:
    """A column of those values."""
    return np.array([UNKNOWN if value is None else value for value in values], np.int64)


def words(values: Iterable[int | None]) -> Int64s:
    """A column of words of 64 bits; those above 2**63 keep their bits and become negative."""
    bits = [_NO_WORD if value is None else value for value in values]
    try:
        return np.array(bits, np.uint64).view(np.int64)
    except OverflowError:  # a damaged recording
        return np.array([value & _ALL_BITS for value in bits], np.uint64).view(np.int64)


def known(value: int) -> int | None:
    """The value of a row: None where the column says that it is not known."""
    return None if value == UNKNOWN else value


def known_word(value: int) -> int | None:
    """The same for words of 64 bits, which have no sign."""
    return None if value == UNKNOWN else value & _ALL_BITS
