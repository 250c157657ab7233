"""Which ``with`` blocks a frame is in: who is inside of a lock that knows no owner.

The interpreter has to remember whose ``__exit__`` it will call. Up to 3.10 the frame's stack of
blocks says how much of its value stack is in use; from 3.11 on the code's table of exceptions does,
by the entry that covers the current instruction (Objects/exception_handling_notes.txt). What lies
above is left over from blocks that have ended, and never looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from typing import NamedTuple

from waitspy.model.stacks import Frame
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Torn, Unreadable, word_at
from waitspy.remote.thread_stacks import ThreadStacks

_EXITS = frozenset({"__exit__", "__aexit__"})
GENERATOR_MANAGERS = frozenset({"_GeneratorContextManager", "_AsyncGeneratorContextManager"})
"""Lib/contextlib.py: what ``with`` blocks the generator is in, whoever uses it is in."""

_EXIT_STACKS = frozenset({"ExitStack", "AsyncExitStack"})
"""The same file: they keep the bound ``__exit__`` of each object that was entered."""

_SETUPS = frozenset({143, 154})
"""SETUP_WITH and SETUP_ASYNC_WITH up to 3.10 (Lib/opcode.py)."""

_SETUP_TRY = 122
"""SETUP_FINALLY up to 3.10, the type of the blocks that it makes, too."""

_EXTENDED_ARG = 144
_MOST_SLOTS = 256
_MOST_BLOCKS = 20  # CO_MAXBLOCKS, Include/cpython/code.h
_LONGEST_CODE = 1 << 18
_MOST_CODES = 10_000
_DEEPEST = 4  # generators in whose blocks others are


class Entered(NamedTuple):
    """The object of a ``with`` block that a frame is in, and the line at which it was entered."""

    held: int
    at: Frame


class _Covered(NamedTuple):
    """A row of a table of exceptions: from where to where (bytes), handler, depth of the stack, and
    whether the handler gets the instruction, too: that of a ``with`` block does, not that of
    ``try`` (Python/flowgraph.c, ``preserve_lasti``).
    """

    start: int
    end: int
    target: int
    depth: int
    with_lasti: bool


class WithBlocks:
    """Reads the blocks of frames of one process.

    Raises:
        Unreadable: from every method: the frame is gone.
        OSError: from every method.
    """

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._objects = frames.objects
        self._memory = frames.objects.memory
        self._tables: dict[int, tuple[int, list[_Covered]]] = {}
        self._setups: dict[int, tuple[int, bool]] = {}

    def of_frame(self, frame: int, depth: int = 0) -> list[Entered]:
        """The blocks that a frame is in, the outermost first; what generators among them stand for
        (``contextlib.contextmanager``), and what was entered into an exit stack.
        """
        lay = self._objects.layout
        found: list[Entered] = []
        modern = lay.pair >= (3, 11)
        for held, at in self._modern(frame) if modern else self._classic(frame):
            found.append(Entered(held, at))
            found += self._behind(held, at, depth)
        return found

    def of_thread(self, stacks: ThreadStacks, thread: int) -> list[Entered]:
        """The blocks that a thread is in, by its state, the outermost first; of one that runs,
        those which it has not left meanwhile.
        """
        first, again = (
            [
                (frame.address, frame.code, entered)
                for frame in reversed(stacks.frames(thread))
                for entered in self.of_frame(frame.address)
            ]
            for _ in range(2)
        )
        return [entered for *frame, entered in first if (*frame, entered) in again]

    def of_generator(self, generator: int, depth: int = 0) -> list[Entered]:
        """The blocks that a suspended generator or coroutine is in."""
        frame = self._frames.inside_of(generator)
        return self.of_frame(frame, depth) if frame else []

    def may_be_in(self, code: int, instruction: int) -> bool:
        """Whether a frame that stands there can be in a block; cheap, and for many frames."""
        lay = self._objects.layout
        if lay.pair < (3, 11):
            return self._has_setups(code)
        offset = instruction - code - lay.code_bytecode
        table = self._table(code)
        if not _depth(table, offset):
            return False
        return any(_around(table, offset, {e.depth for e in table if e.depth and e.with_lasti}))

    def try_behind(self, code: int, instruction: int, most: int) -> int | None:
        """What tells the ``try`` block that begins within so many bytes behind an instruction, and
        does not cover it; None: there is none.
        """
        lay = self._objects.layout
        if lay.pair < (3, 11):
            return self._setup_behind(code, instruction, most)
        offset = instruction - code - lay.code_bytecode
        table = self._table(code)
        around = {entry.target for entry in table if entry.start <= offset < entry.end}
        blocks = [
            (entry.start, entry.target)
            for entry in table
            if offset < entry.start <= offset + most
            and not entry.with_lasti
            and entry.target not in around
        ]
        return min(blocks)[1] if blocks else None

    def is_in_try(self, frame: int, block: int) -> bool:
        """Whether a frame is in that block."""
        lay = self._objects.layout
        if lay.pair < (3, 11):
            blocks = self._classic_blocks(self._memory.read(frame, lay.frame_locals))
            return any(kind == _SETUP_TRY and handler == block for kind, handler, _ in blocks)
        code, instruction = self._frames.stands(frame)
        offset = instruction - code - lay.code_bytecode
        mine = [e for e in self._table(code) if e.target == block and not e.with_lasti]
        # where it awaits, another row covers it: each instruction has the innermost one only
        starts, ends = [e.start for e in mine], [e.end for e in mine]
        return bool(mine) and min(starts) <= offset < max(ends)

    def _behind(self, held: int, at: Frame, depth: int) -> list[Entered]:
        """The blocks that the generator of a context manager is in, or that a stack has entered."""
        name = self._objects.type_of(held).name
        if depth >= _DEEPEST or name not in GENERATOR_MANAGERS | _EXIT_STACKS:
            return []
        if name in GENERATOR_MANAGERS:
            generator = self._objects.attributes(held, {"gen"}).get("gen")
            return self.of_generator(generator, depth + 1) if generator else []
        found: list[Entered] = []
        callbacks = self._objects.attributes(held, {"_exit_callbacks"}).get("_exit_callbacks")
        for pair in self._objects.deque_items(callbacks, _MOST_SLOTS) if callbacks else ():
            for _, entered in self._held(self._objects.sequence(pair, 2)):
                found += [Entered(entered, at), *self._behind(entered, at, depth + 1)]
        return found

    # --- 3.11 and newer -------------------------------------------------------------------

    def _modern(self, frame: int) -> Iterator[tuple[int, Frame]]:
        lay = self._objects.layout
        raw = self._memory.read(frame, lay.frame_locals)
        code = word_at(raw, lay.frame_code) & ~3
        offset = word_at(raw, lay.frame_instruction) - code - lay.code_bytecode
        table = self._table(code)
        depth = _depth(table, offset)
        if not 0 < depth <= _MOST_SLOTS:
            return
        base = frame + lay.frame_locals + 8 * self._frames.local_count(frame, code)
        words = struct.unpack(f"<{depth}Q", self._memory.read(base, 8 * depth))
        for used, held in self._held([word & ~3 for word in words]):
            entered = _entered(table, offset, used)
            if entered is not None:  # else it only awaits its ``__aenter__``
                yield held, self._frames.code(code, code + lay.code_bytecode + entered)

    def _table(self, code: int) -> list[_Covered]:
        lay = self._objects.layout
        address = self._memory.word(code + lay.code_exceptions)
        known = self._tables.get(code)
        if known is not None and known[0] == address:
            return known[1]
        raw = self._bytes(address)
        if len(self._tables) >= _MOST_CODES:
            self._tables.clear()
        table = list(_entries(raw))
        self._tables[code] = address, table
        return table

    def _bytes(self, address: int) -> bytes:
        lay = self._objects.layout
        if self._objects.type_of(address).name != "bytes":
            raise Torn("not bytes")
        length = self._memory.word(address + lay.ob_size)
        if length > _LONGEST_CODE:
            raise Torn("code of unlikely length")
        return self._memory.read(address + lay.bytes_value, length) if length else b""

    # --- up to 3.10 -----------------------------------------------------------------------

    def _classic(self, frame: int) -> Iterator[tuple[int, Frame]]:
        lay = self._objects.layout
        raw = self._memory.read(frame, lay.frame_locals)
        handlers: dict[int, int] = {}
        for _, handler, level in self._classic_blocks(raw):
            handlers.setdefault(level, handler)
        depth = max(handlers, default=0)
        if not 0 < depth <= _MOST_SLOTS:
            return
        code = word_at(raw, lay.frame_code)
        base = word_at(raw, lay.frame_value_stack)
        words = struct.unpack(f"<{depth}Q", self._memory.read(base, 8 * depth))
        for used, held in self._held(words):
            yield held, self._frames.code(code, self._setup(code, handlers.get(used)))

    def _classic_blocks(self, raw: bytes) -> Iterator[tuple[int, int, int]]:
        """Type, handler and level of each block of a frame, the outermost first."""
        lay = self._objects.layout
        count = word_at(raw, lay.frame_block_count, "i")
        if 0 < count <= _MOST_BLOCKS:
            end = lay.frame_blocks + count * lay.block_size
            for at in range(lay.frame_blocks, end, lay.block_size):
                fields = 0, lay.block_handler, lay.block_level
                kind, handler, level = (word_at(raw, at + one, "i") for one in fields)
                yield kind, handler, level

    def _setup_behind(self, code: int, instruction: int, most: int) -> int | None:
        """The handler of the ``try`` block that begins behind that instruction."""
        unit = self._unit
        begin = instruction * unit
        for at, target in self._begun(code, {_SETUP_TRY}):
            if begin < at <= begin + most:
                return target // unit
        return None

    @property
    def _unit(self) -> int:
        """The bytes that a jump, and an index of a frame, count."""
        return 2 if self._objects.layout.pair == (3, 10) else 1

    def _begun(self, code: int, kinds: Container[int]) -> Iterator[tuple[int, int]]:
        """Where blocks of these kinds begin, and their handlers, in bytes."""
        raw = self._bytes(self._memory.word(code + self._objects.layout.code_bytes))
        argument = 0
        for at in range(0, len(raw) - 1, 2):
            argument = argument << 8 | raw[at + 1]
            if raw[at] == _EXTENDED_ARG:
                continue
            if raw[at] in kinds:
                yield at, at + 2 + argument * self._unit
            argument = 0

    def _has_setups(self, code: int) -> bool:
        """Whether there are such blocks in it at all."""
        address = self._memory.word(code + self._objects.layout.code_bytes)
        known = self._setups.get(code)
        if known is not None and known[0] == address:
            return known[1]
        found = not _SETUPS.isdisjoint(self._bytes(address)[::2])
        if len(self._setups) >= _MOST_CODES:
            self._setups.clear()
        self._setups[code] = address, found
        return found

    def _setup(self, code: int, handler: int | None) -> int | None:
        """The instruction that began the block with that handler, as frames count them."""
        unit = self._unit
        return next(
            (at // unit for at, to in self._begun(code, _SETUPS) if to == (handler or 0) * unit),
            None,
        )

    # --- both -----------------------------------------------------------------------------

    def _held(self, words: list[int] | tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Whose ``__exit__`` lies there, and how deep the stack was once it did."""
        lay = self._objects.layout
        for n, word in enumerate(words):
            try:
                kind = self._objects.type_of(word) if word else None
                if kind is None or kind.heap:
                    continue
                if kind.name == "builtin_function_or_method":
                    name = self._memory.word(self._memory.word(word + lay.builtin_def))
                    if self._objects.c_text(name) in _EXITS:
                        yield n + 1, self._memory.word(word + lay.builtin_self)
                elif kind.name == "method":
                    if self._is_exit(self._memory.word(word + lay.method_function)):
                        yield n + 1, self._memory.word(word + lay.method_self)
                elif lay.pair >= (3, 14) and any(words[n + 1 : n + 2]) and self._is_exit(word):
                    # LOAD_SPECIAL leaves the function and the object that it is called with
                    yield n + 2, words[n + 1]
            except Unreadable:
                continue

    def _is_exit(self, function: int) -> bool:
        lay = self._objects.layout
        kind = self._objects.type_of(function)
        if kind.heap:
            return False
        if kind.name == "function":
            name = self._objects.text(self._memory.word(function + lay.function_qualname))
            return name.rpartition(".")[2] in _EXITS
        if kind.name in {"method_descriptor", "wrapper_descriptor"}:
            name = self._objects.text(self._memory.word(function + lay.descriptor_name))
            return name in _EXITS
        return False


def _entries(raw: bytes) -> Iterator[_Covered]:
    """The rows of a table of exceptions: numbers in pieces of six bits, the highest first; the
    first byte of a row has bit 7 set, all but a number's last byte bit 6.
    """
    at = 0

    def number() -> int:
        nonlocal at
        value = raw[at] & 63
        while raw[at] & 64:
            at += 1
            value = value << 6 | raw[at] & 63
        at += 1
        return value

    try:
        while at < len(raw):
            start, length, target, depth = number(), number(), number(), number()
            yield _Covered(2 * start, 2 * (start + length), 2 * target, depth >> 1, bool(depth & 1))
    except IndexError:
        return


def _depth(table: list[_Covered], offset: int) -> int:
    """How much of the value stack is in use for sure at an instruction."""
    return next((e.depth for e in table if e.start <= offset < e.end), 0)


def _entered(table: list[_Covered], offset: int, used: int) -> int | None:
    """Where the block was entered that left the stack so deep: the instruction before those that
    its handler covers.
    """
    around = list(_around(table, offset, {used}))
    return max(around) - 2 if around else None


def _around(table: list[_Covered], offset: int, used: Container[int]) -> Iterator[int]:
    """Where the blocks begin that are around an instruction, and leave the stack so deep."""
    spans: dict[int, tuple[int, int]] = {}
    for entry in table:
        if entry.with_lasti and entry.depth in used:
            first, last = spans.get(entry.target, (entry.start, entry.end))
            spans[entry.target] = min(first, entry.start), max(last, entry.end)
    return (first for first, last in spans.values() if first <= offset < last)
