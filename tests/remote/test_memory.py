"""Places of memory that are read in one call, among them such as are not mapped."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator, Sequence

import pytest

from waitspy.remote.memory import Memory

_PAGE = mmap.PAGESIZE
_GONE = 8  # pages that cannot be read, behind one that can


class _Counted(Memory):
    """This process's memory, and how many system calls its pieces took."""

    reads = 0

    def _into(
        self, addresses: Sequence[int], sizes: Sequence[int], buffer: bytearray, at: int
    ) -> int:
        self.reads += 1
        return super()._into(addresses, sizes, buffer, at)


@pytest.fixture
def page() -> Iterator[int]:
    """The address of a page full of ``x``; the pages behind it cannot be read."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with mmap.mmap(-1, (1 + _GONE) * _PAGE) as mapped:
        mapped.write(b"x" * _PAGE)
        held = ctypes.c_char.from_buffer(mapped)
        address = ctypes.addressof(held)
        assert libc.mprotect(address + _PAGE, _GONE * _PAGE, 0) == 0
        yield address
        del held  # else it cannot be unmapped


def test_what_a_page_without_memory_has_is_asked_for_once(page: int) -> None:
    """A deep stack that is gone has left hundreds of places there: each copy asked for each."""
    gone = [(page + at, 16) for at in range(_PAGE, (1 + _GONE) * _PAGE, 32)]
    memory = _Counted(os.getpid())
    assert memory.pieces([(page, 8), *gone, (page + 8, 4)]) == [
        b"x" * 8,
        *[None] * len(gone),
        b"xxxx",
    ]
    assert memory.reads <= 1 + _GONE


def test_a_place_that_ends_in_such_a_page_hides_none_of_the_page_before_it(page: int) -> None:
    last = page + _PAGE - 8
    memory = Memory(os.getpid())
    places = [(last, 16), (last, 8), (last + 4, 4), (last + 8, 8), (page, 2 * _PAGE), (page, 4)]
    assert memory.pieces(places) == [None, b"x" * 8, b"xxxx", None, None, b"xxxx"]
