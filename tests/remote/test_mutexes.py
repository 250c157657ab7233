"""Mutexes of C code, as they lie in memory; and what only looks like one."""

from __future__ import annotations

import ctypes
import os
import struct

import pytest

from waitspy.remote import mutexes
from waitspy.remote.memory import Memory, Unreadable

pytestmark = pytest.mark.ptrace

TID = 4711


def of(
    lock: int = 2, count: int = 0, owner: int = TID, users: int = 1, kind: int = 0
) -> int | None:
    raw = struct.pack("<IIIII", lock, count, owner, users, kind)
    place = ctypes.create_string_buffer(raw)
    return mutexes.owner(Memory(os.getpid()), ctypes.addressof(place))


@pytest.mark.parametrize("kind", [0, 2, 3, 0x100, 0x203])
def test_a_mutex_that_others_wait_for_names_its_owner(kind: int) -> None:
    assert of(kind=kind) == TID
    assert of(kind=kind, users=5) == TID


def test_one_that_its_owner_has_taken_several_times_counts_that() -> None:
    assert of(count=3, kind=1) == TID
    assert of(count=3) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"lock": 0}, {"lock": 1}, {"lock": TID}, {"owner": 0}, {"owner": 1 << 31}, {"users": 0},
        {"users": 1 << 16}, {"kind": 4}, {"kind": 16}, {"kind": 32}, {"kind": 128},
        {"kind": 0x400},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_such_mutex_has_no_owner(fields: dict[str, int]) -> None:
    assert of(**fields) is None


def test_what_is_not_mapped_cannot_be_read() -> None:
    with pytest.raises(Unreadable):
        mutexes.owner(Memory(os.getpid()), 1 << 12)
