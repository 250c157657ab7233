"""waitspy.target.node: the version in a file that defines Node, and in no other."""

from __future__ import annotations

import io

import pytest

from tests.target.test_interpreter import Elf
from waitspy.target import node

START = b"_ZN4node5StartEiPPc"
TEXT = b"\0node.js/v20.20.2\0"


def read(symbol: bytes, data: bytes, section: int = 1) -> str | None:
    elf = Elf(data=data, symbols={symbol: (0, 8)}, section=section)
    image = node.read_image(io.BytesIO(elf.build()))
    return None if image is None else image.version


def test_the_version_of_a_file_that_defines_node() -> None:
    assert read(START, TEXT) == "20.20.2"


def test_a_program_that_only_talks_of_node_is_none() -> None:
    assert read(b"main", TEXT) is None
    assert read(START, TEXT, section=0) is None, "it only imports it"


@pytest.mark.parametrize(
    "data", [bytes(64), b"node.js/v20.20.2 ", b"node.js/v20.20\0", b"node.js/v\0"]
)
def test_what_is_no_version_is_none(data: bytes) -> None:
    assert read(START, data) is None


def test_a_version_across_two_pieces_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "_PIECE", 40)
    for filler in range(60):
        assert read(START, bytes(filler) + TEXT) == "20.20.2"


def test_a_file_that_is_no_elf_is_none() -> None:
    assert node.read_image(io.BytesIO(b"#!/bin/sh\n" + TEXT)) is None


def test_where_its_data_and_its_timers_function_lie() -> None:
    timers = b"_ZN4node11Environment9RunTimersEP10uv_timer_s"
    elf = Elf(data=TEXT, symbols={START: (0, 8), timers: (16, 8)})
    image = node.read_image(io.BytesIO(elf.build()))
    assert image is not None
    assert image.run_timers == elf.base + 16
    assert [address for address, _ in image.writable] == [elf.base]


POOL = {
    b"wq": (0, 16),
    b"slow_io_pending_wq": (16, 16),
    b"run_slow_work_message": (32, 16),
    b"slow_io_work_running": (48, 4),
    b"threads": (56, 8),
    b"nthreads": (64, 4),
    b"cond": (72, 48),
}


def pool_of(symbols: dict[bytes, tuple[int, int]]) -> node.PoolPlaces | None:
    elf = Elf(data=TEXT, symbols={START: (0, 8), **symbols}, table_type=2)
    image = node.read_image(io.BytesIO(elf.build()))
    assert image is not None
    return image.pool


def test_where_the_pool_of_threads_is() -> None:
    base = Elf().base
    found = pool_of({**POOL, b"uv__fs_work": (200, 99)})
    assert found is not None
    assert (found.queue, found.slow_queue, found.threads, found.signal) == (
        *(base, base + 16, base + 56),
        base + 72,
    )
    assert found.work == ((base + 200, "a call of fs"),)
    moved = found.moved(0x1000)
    assert (moved.queue, moved.many, moved.work[0][0]) == (
        *(base + 0x1000, base + 0x1040),
        base + 0x10C8,
    )


@pytest.mark.parametrize("name", POOL)
def test_a_build_that_does_not_say_all_of_it_has_no_known_pool(name: bytes) -> None:
    assert pool_of({one: place for one, place in POOL.items() if one != name}) is None
    assert pool_of({**POOL, name: (80, 12)}) is None, "of another size"
