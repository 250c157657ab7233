"""Lines, awaits and frames, against what Python itself says."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import types
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

from waitspy.model.stacks import Frame
from waitspy.remote import layouts
from waitspy.remote.callables import Callables
from waitspy.remote.frames import Frames
from waitspy.remote.line_tables import line_at
from waitspy.remote.memory import Memory, Torn
from waitspy.remote.objects import Objects


@pytest.fixture
def frames() -> Frames:
    layout = layouts.of_version(sys.version_info[:2])
    return Frames(Objects(Memory(os.getpid()), layout))


def code_objects() -> list[types.CodeType]:
    found = [compile(inspect.getsource(asyncio.base_events), "f", "exec")]
    for code in found:
        found += [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return found


def test_every_line_of_a_large_module() -> None:
    for code in code_objects():
        for begin, end, line in code.co_lines():
            for offset in range(begin, end, 2):
                pair = sys.version_info[:2]
                told = line_at(pair, code.co_linetable, code.co_firstlineno, offset)
                assert told == (line or None)  # a module begins at line 0


def test_line_tables_of_3_8_and_3_10() -> None:
    # co_lnotab: (bytes, lines) steps; an address belongs to the last step at or before it
    steps = bytes([0, 1, 6, 2, 10, 0xFF, 4, 3])
    assert [line_at((3, 8), steps, 10, at) for at in (0, 5, 6, 15, 16, 19, 20, 99)] == [
        11, 11, 13, 13, 12, 12, 15, 15,
    ]  # fmt: skip
    # co_linetable of 3.10: (bytes, line step) ranges; -128 belongs to no line
    ranges = bytes([4, 1, 6, 0x80, 2, 2, 8, 0xFE])
    assert [line_at((3, 10), ranges, 10, at) for at in (0, 3, 4, 9, 10, 12, 19, 20)] == [
        11, 11, None, None, 13, 11, 11, None,
    ]  # fmt: skip


async def outer(event: asyncio.Event) -> None:
    await middle(event)


async def middle(event: asyncio.Event) -> None:
    async for _ in numbers(event):
        pass


async def numbers(event: asyncio.Event) -> AsyncIterator[int]:
    yield 1
    await waits(event)


@types.coroutine
def waits(event: asyncio.Event) -> Generator[Any, None, None]:
    yield from event.wait().__await__()


def test_awaits(frames: Frames) -> None:
    async def main() -> None:
        event = asyncio.Event()
        task = asyncio.create_task(outer(event))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        coroutine = task.get_coro()
        found = frames.awaits(id(coroutine))
        functions = [frame.function for frame in found]
        assert functions == ["outer", "middle", "numbers", "waits", "Event.wait"]
        lines = [frame.line for frame in found[:4]]
        first = [f.__code__.co_firstlineno for f in (outer, middle, numbers)]
        assert lines[:3] == [first[0] + 1, first[1] + 1, first[2] + 2]
        assert {frame.file for frame in found[:4]} == {__file__}
        event.set()
        await task
        assert frames.awaits(id(coroutine)) == ()

    asyncio.run(main())


def test_a_coroutine_that_did_not_start_stands_at_its_first_line(frames: Frames) -> None:
    unstarted = outer(asyncio.Event())
    assert [frame.function for frame in frames.awaits(id(unstarted))] == ["outer"]
    assert frames.qualname(id(unstarted)) == "outer"
    unstarted.close()


def test_recycled_code_is_not_mistaken(frames: Frames) -> None:
    first = compile("def f(): pass", "one.py", "exec").co_consts[0]
    second = compile("\n\ndef g(): pass", "two.py", "exec").co_consts[0]
    assert frames.code(id(first)).function == "f"
    frames._codes[id(second)] = frames._codes[id(first)]
    seen = frames.code(id(second))
    assert (seen.function, seen.file, seen.line) == ("g", "two.py", 3)
    with pytest.raises(Torn):
        frames.code(id(frames))


def test_code_whose_names_were_others_is_another(frames: Frames) -> None:
    code = id(plain.__code__)
    place = code, code + frames.objects.layout.code_bytecode
    assert frames.codes([place], known_only=True) == [None], "it was not known before"
    (seen,) = frames.codes([place], known_only=True)
    assert seen is not None
    assert (seen.function, seen.file) == ("plain", __file__)
    known = frames._codes[code]  # as if other names had lain there, in code with the same pointers
    known.frame, known.told = Frame("old", "old.py", 1), (b"other",) * len(known.pieces)
    if not known.pieces:
        known.head = known.mark = b"another number"
    assert frames.codes([place], known_only=True) == [None]
    assert frames.codes([place]) == [seen]


def test_an_instruction_of_other_code_has_no_line(frames: Frames) -> None:
    code = id(plain.__code__)
    begin = code + frames.objects.layout.code_bytecode
    assert None not in frames.codes([(code, begin)])
    assert frames.codes([(code, begin + 100_000), (code, begin - 100)]) == [None, None]


def plain(*numbers: int) -> None:
    pass


class Thing:
    def method(self) -> None:
        pass

    def __call__(self) -> None:
        pass


def test_names_of_callables(frames: Frames) -> None:
    import functools
    import threading
    from concurrent.futures.process import _process_chunk

    callables = Callables(frames.objects, frames)
    thing = Thing()
    bound, part = thing.method, functools.partial(functools.partial(plain, 1), 2)
    numbers: list[int] = []
    append, made, cached = numbers.append, Thing, functools.lru_cache(plain)
    chunk = functools.partial(_process_chunk, plain)
    for call, name in (
        (plain, "plain"),
        (bound, "Thing.method"),
        (part, "plain"),
        (append, "list.append"),
        (len, "len"),
        (thing, "Thing.__call__"),
        (made, "Thing"),
        (cached, "plain"),
        (chunk, "plain"),
        (threading.Lock(), "_thread.lock"),
    ):
        assert callables.describe(id(call)).name == name
    assert callables.describe(id(bound)).bound == id(thing)
    assert callables.describe(id(thing)).bound == id(thing)
    assert callables.describe(id(plain)).where == f"{__file__}:{plain.__code__.co_firstlineno}"
    endless = functools.partial(plain)
    for _ in range(100):
        endless = functools.partial(endless.__call__)
    assert callables.describe(id(endless)).name
