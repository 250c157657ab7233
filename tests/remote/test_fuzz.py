"""Whatever is read, the reader neither crashes nor hangs: it says that it could not read."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.remote.memories import MadeUp, Noise, Wrong
from waitspy.model.stacks import Frame
from waitspy.remote import debug_offsets, layouts, uvloop
from waitspy.remote.callables import Callables
from waitspy.remote.connection_pools import OF_TASKS, OF_THREADS, ConnectionPools
from waitspy.remote.end_users import ACCEPTS
from waitspy.remote.frames import Frames
from waitspy.remote.layouts import Layout
from waitspy.remote.line_tables import line_at
from waitspy.remote.memory import Memory, Unavailable, Unreadable
from waitspy.remote.moving_stacks import MovingStacks
from waitspy.remote.objects import Objects
from waitspy.remote.reader import Reader
from waitspy.remote.thread_stacks import ThreadState
from waitspy.remote.type_facts import LONGEST_PATH, LONGEST_TEXT

PAIRS = sorted(layouts.PAIRS)
PLACES = sorted(layouts.names() - {"object_size"})  # that one is checked before it is used
PATIENCE_S = 5.0
"""Far more than any call takes on a busy machine, far less than an endless walk."""


def calls(objects: Objects, address: int) -> list[Callable[[], object]]:
    """Everything that takes an address from the other process."""
    frames = Frames(objects)
    callables = Callables(objects, frames)
    pools = ConnectionPools(objects)
    loop = uvloop.UvLoop(address, address, address, address, 3, closed=False)
    return [
        lambda: objects.type_of(address),
        lambda: objects.type_at(address),
        lambda: objects.members(objects.type_at(address)),
        lambda: objects.text(address),
        lambda: objects.c_text(address),
        lambda: objects.texts([address, address + 8]),
        lambda: objects.integer(address),
        lambda: objects.sequence(address),
        lambda: objects.dict_items(address),
        lambda: objects.set_items(address),
        lambda: objects.referents([address]),
        lambda: objects.attributes(address),
        lambda: objects.types_of([address, 0, 1 << 63]),
        lambda: frames.code(address, address + 7),
        lambda: frames.qualname(address),
        lambda: frames.awaits(address),
        lambda: frames.held(address),
        lambda: frames.variables([(address, address + 8), (address + 64, address)]),
        lambda: frames.first_variable(address),
        lambda: frames.codes([(address, address + 7), (address, 1)]),
        lambda: MovingStacks(frames).look([ThreadState(address, 0), ThreadState(address, address)]),
        lambda: list(pools.lent(address)),
        lambda: pools.use(address, (*OF_TASKS, *OF_THREADS)),
        lambda: pools.used(Frame("f", "/redis/client.py"), [address, 0]),
        lambda: callables.describe(address, address),
        lambda: uvloop.read_loop(objects, address),
        lambda: uvloop.handle_callback(objects, address, address),
        lambda: uvloop.schedule(objects, loop, 1.0, 8),
    ]


def survive(memory: Memory, layout: Layout, address: int) -> None:
    for number in range(len(calls(Objects(memory, layout), address))):
        objects = Objects(memory, layout)
        began_s = time.monotonic()
        with contextlib.suppress(Unreadable):
            calls(objects, address)[number]()
        assert time.monotonic() - began_s < PATIENCE_S, number


@given(
    pair=st.sampled_from(PAIRS),
    parts=st.dictionaries(st.integers(1 << 12, 1 << 14), st.binary(max_size=600), max_size=4),
    address=st.integers(-(1 << 65), 1 << 65) | st.integers(1 << 12, 1 << 14),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_up_and_cut_off_memory(
    pair: tuple[int, int], parts: dict[int, bytes], address: int
) -> None:
    survive(MadeUp(parts), layouts.of_version(pair), address)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("seed", range(4))
def test_noise(pair: tuple[int, int], seed: int) -> None:
    survive(Noise(seed), layouts.of_version(pair), 0x5555_0000_1000)


@given(number=st.integers(0, 200), place=st.sampled_from(PLACES))
@example(number=16, place="ob_type")
@settings(max_examples=60, deadline=None)
def test_wrong_layouts_on_real_objects(number: int, place: str) -> None:
    layout = replace(layouts.of_version(PAIRS[3]), **{place: number})
    for thing in ("text", {"key": 1}, 12345, [1, 2], Frames.awaits, print, Objects):
        survive(Memory(os.getpid()), layout, id(thing))


@given(st.binary(max_size=2000), st.sampled_from(PAIRS))
@settings(max_examples=100, deadline=None)
def test_debug_offsets_of_any_bytes(head: bytes, pair: tuple[int, int]) -> None:
    with contextlib.suppress(Unavailable):
        debug_offsets.interpreter(debug_offsets.COOKIE + head.ljust(1016, b"\0"), pair)
    with contextlib.suppress(Unavailable):
        debug_offsets.asyncio(head)


@given(
    st.sampled_from(PAIRS), st.binary(max_size=300), st.integers(-(1 << 31), 1 << 31), st.integers()
)
def test_line_tables_of_any_bytes(
    pair: tuple[int, int], table: bytes, first: int, offset: int
) -> None:
    line = line_at(pair, table, first, offset)
    assert line is None or line > 0


@contextlib.contextmanager
def something_to_read() -> Iterator[None]:
    """A loop with tasks and timers, and a pool, in this very process."""
    loop = asyncio.new_event_loop()
    pool = ThreadPoolExecutor(1)

    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def begin() -> list[asyncio.Task[None]]:
        tasks = [loop.create_task(wait(0.0)) for _ in range(10)]
        tasks += [loop.create_task(wait(3600.0)) for _ in range(10)]
        loop.call_later(0.001, len, ())
        return tasks

    tasks = loop.run_until_complete(begin())
    pool.submit(int).result()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()
        pool.shutdown()


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5])
def test_a_process_read_with_errors(share: float) -> None:
    with something_to_read():
        for seed in range(12):
            memory = Wrong(os.getpid(), seed, 0.0)
            reader = Reader(os.getpid(), memory)
            loops = reader.loops()
            assert any(loop.pending == 20 for loop in loops)
            memory.share = share
            groups = functools.partial(reader.pools.groups, ())
            looks = (
                reader.loops,
                reader.pools.executors,
                reader.pools.limiters,
                groups,
                reader.pools.processes,
                functools.partial(reader.ends.using, [0, 1, 2]),
                functools.partial(reader.ends.has_asked, threading.get_native_id()),
                functools.partial(reader.ends.receiving, 0),
                functools.partial(reader.ends.receiving, 0, names=ACCEPTS),
                functools.partial(reader.ends.polled, id(loops)),
            )
            for look in looks:
                began_s = time.monotonic()
                with contextlib.suppress(Unreadable, Unavailable):
                    look()
                assert time.monotonic() - began_s < PATIENCE_S
            began_s = time.monotonic()
            with contextlib.suppress(Unreadable, Unavailable):
                for seen in reader.tasks_looks((), 10**12):
                    assert len(seen.tasks) <= seen.looked <= seen.pending
                    for task in seen.tasks:
                        check_text(reader.where(task))
                        reader.streams.full(task)
                        reader.streams.empty(task)
            assert time.monotonic() - began_s < PATIENCE_S
            for loop in loops:
                for names in (0, 50):
                    began_s = time.monotonic()
                    with contextlib.suppress(Unreadable):
                        snapshot = reader.snapshot(loop, names=names)
                        check_text(snapshot)
                    with contextlib.suppress(Unreadable):
                        reader.service(loop)
                    assert time.monotonic() - began_s < PATIENCE_S


PATHS = {"file": LONGEST_PATH, "where": LONGEST_PATH + len(":4294967295")}


def check_text(value: object, longest: int = 3 * LONGEST_TEXT) -> None:
    """Every text inside is short, or a path, and can be written out."""
    if isinstance(value, str):
        value.encode()
        assert len(value) <= longest
    elif isinstance(value, tuple):
        for item in value:
            check_text(item, longest)
    else:
        for name in getattr(type(value), "__slots__", ()):
            check_text(getattr(value, name), PATHS.get(name, longest))


@pytest.mark.parametrize("seed", range(8))
def test_attaching_with_errors(seed: int) -> None:
    with contextlib.suppress(Unavailable, Unreadable):
        Reader(os.getpid(), Wrong(os.getpid(), seed, 0.3)).loops()
    with pytest.raises((Unavailable, Unreadable)):
        Reader(os.getpid(), Noise(seed))
