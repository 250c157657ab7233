"""The awaits of a coroutine, and what the Python frames of a thread hold."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from waitspy.model.stacks import Frame, Stack
from waitspy.remote.codes import Codes
from waitspy.remote.memory import Torn, Unreadable, word_at
from waitspy.remote.type_facts import TypeFacts

DEEPEST = 32
"""Awaits of one coroutine that are followed."""

_WORD = struct.Struct("<Q")
_PAIR, _INT = struct.Struct("<QQ"), struct.Struct("<i")
_MOST_FRAMES = 256
_MOST_CHUNKS = 64
_MOST_WORDS = 1 << 15
_FIRST_OF_STACK = 8

_OWN = frozenset({"coroutine", "generator", "async_generator"})
_WRAPPERS = frozenset(
    {"coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable"}
)
"""Types of Objects/genobject.c and iterobject.c that pass on to another awaitable."""


class Suspended(NamedTuple):
    """Where a frame stands: its code, and the pointer or index that it holds.

    What it awaits lies at ``slot`` on its stack (zero: nothing), ``deep`` says that there is more
    below it. No code: the frame is gone.
    """

    code: int = 0
    instruction: int = 0
    slot: int = 0
    deep: bool = False


class Frames(Codes):
    """Reads coroutines, and what frames hold; the code of both.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    # --- coroutines -----------------------------------------------------------------------

    def qualname(self, coroutine: int) -> str | None:
        """The qualified name of a coroutine; its type's name when it is of a compiled module."""
        kind = self.objects.type_of(coroutine)
        if not is_coroutine(kind):
            return kind.name
        name = self.objects.memory.word(coroutine + self.objects.layout.gen_qualname)
        return self.objects.text(name)

    def qualnames(self, coroutines: Sequence[int]) -> list[str | None]:
        """The same of many; None for what cannot be read."""
        lay = self.objects.layout
        size = 8 + max(lay.ob_type, lay.gen_qualname)
        names: list[int] = []
        found: list[str | None] = []
        for raw in self.objects.memory.many(coroutines, size):
            try:
                kind = None if raw is None else self.objects.type_at(word_at(raw, lay.ob_type))
            except Unreadable:
                kind = None
            own = raw is not None and kind is not None and is_coroutine(kind)
            names.append(word_at(raw, lay.gen_qualname) if raw is not None and own else 0)
            found.append(None if kind is None or own else kind.name)
        texts = self.objects.texts(names)
        return [text or other for text, other in zip(texts, found, strict=True)]

    def awaits(self, coroutine: int) -> Stack:
        """Where a coroutine and what it awaits stand, outermost first; as far as it can be read.

        One that has not started stands at its first line; one that runs is not followed.
        """
        found: list[Frame] = []
        seen: set[int] = set()
        address = coroutine
        while address and address not in seen and len(seen) < DEEPEST:
            seen.add(address)
            try:
                kind = self.objects.type_of(address)
                if is_wrapper(kind):
                    address = self.objects.memory.word(
                        address + self.objects.layout.awaitable_wrapped
                    )
                    continue
                if not is_coroutine(kind):
                    break
                frame, address = self._suspended(address)
            except Unreadable:
                break
            if frame is not None:
                found.append(frame)
        return tuple(found)

    def _suspended(self, address: int) -> tuple[Frame | None, int]:
        """Where a coroutine stands, and what it awaits (0: nothing)."""
        lay, memory = self.objects.layout, self.objects.memory
        name = self.objects.text(memory.word(address + lay.gen_qualname))
        at = self._frame_of(address)
        if not at.code:
            return None, 0
        frame = self.code(at.code, at.instruction)
        awaited = self.awaited(at, memory.read(at.slot - 8, 16)) if at.slot else 0
        return self._placed(name, frame.file, frame.line), awaited

    def _frame_of(self, address: int) -> Suspended:
        lay, memory = self.objects.layout, self.objects.memory
        head = memory.read(address, self.head_size)
        if lay.pair >= (3, 11):
            return self.inside(address, head)
        place = word_at(head, lay.gen_frame)
        return self.outside(head, memory.read(place, self.own_size)) if place else Suspended()

    @property
    def head_size(self) -> int:
        """Bytes of a coroutine that tell where it stands: its frame, or where that is (to 3.10)."""
        lay = self.objects.layout
        if lay.pair >= (3, 11):
            return lay.gen_frame + lay.frame_locals
        return max(lay.gen_frame + 8, lay.gen_running + 1)

    @property
    def own_size(self) -> int:
        """Bytes of a frame of its own (to 3.10) that tell where it stands."""
        lay = self.objects.layout
        return max(lay.frame_instruction, lay.frame_state, lay.frame_stack_top) + 8

    def inside(self, address: int, head: bytes) -> Suspended:
        """Where a coroutine of 3.11 and newer stands; its frame is a part of it."""
        lay = self.objects.layout
        inside = address + lay.gen_frame
        try:  # as word_at does, without the calls: there are very many coroutines
            state = head[lay.gen_state]
            code = _WORD.unpack_from(head, lay.gen_frame + lay.frame_code)[0] & ~3
            instruction = _WORD.unpack_from(head, lay.gen_frame + lay.frame_instruction)[0]
            stack = _WORD if lay.minor >= 14 else _INT
            depth = stack.unpack_from(head, lay.gen_frame + lay.frame_stack_top)[0]
        except (IndexError, struct.error):
            raise Torn("a frame that lies outside") from None
        state -= (state & 128) << 1  # it is signed
        if state == lay.frame_cleared:
            return Suspended()
        if not lay.frame_awaiting_first <= state <= lay.frame_awaiting_last:
            return Suspended(code, instruction)
        if lay.minor >= 14:  # where its top is
            depth = (depth - inside - lay.frame_locals) // 8
        if not 0 < depth < 1 << 16:
            return Suspended(code, instruction)
        slot = inside + lay.frame_locals + 8 * (depth - 1)
        return Suspended(code, instruction, slot, depth > 1)

    def outside(self, head: bytes, frame: bytes) -> Suspended:
        """The same up to 3.10, whose frame is an object of its own: its bytes are given, too."""
        lay = self.objects.layout
        top = 0
        try:  # as word_at does, without the calls: there are very many coroutines
            code = _WORD.unpack_from(frame, lay.frame_code)[0]
            instruction = _INT.unpack_from(frame, lay.frame_instruction)[0]
            if lay.minor == 10:
                state = frame[lay.frame_state]
                state -= (state & 128) << 1  # it is signed
                depth = _INT.unpack_from(frame, lay.frame_stack_top)[0]
                awaits = lay.frame_awaiting_first <= state <= lay.frame_awaiting_last
                if awaits and 0 < depth < 1 << 16:
                    top = _WORD.unpack_from(frame, lay.frame_value_stack)[0] + 8 * depth
            elif head[lay.gen_running] == 0 and instruction >= 0:
                top = _WORD.unpack_from(frame, lay.frame_stack_top)[0]
        except (IndexError, struct.error):
            raise Torn("a frame that lies outside") from None
        return Suspended(code, max(0, instruction), top - 8 if top else 0)

    def awaited(self, at: Suspended, words: bytes) -> int:
        """What lies in a slot; the words are that one and the one below it."""
        lay = self.objects.layout
        # from 3.14 on, references on the stack carry tags in their two lowest bits; from 3.15 on
        # an index, or nothing, lies on top of what is awaited
        below, top = _PAIR.unpack(words)
        if lay.minor >= 15 and at.deep and not top & ~3:
            return int(below) & ~3
        return int(top) & ~3

    def first_local(self, coroutine: int) -> int:
        """The first local of a suspended coroutine: ``self``, in a method."""
        lay, memory = self.objects.layout, self.objects.memory
        frame = coroutine + lay.gen_frame
        if lay.pair < (3, 11):
            frame = memory.word(frame)
        return self.first_variable(frame)

    def coroutine_held(self, coroutine: int) -> list[int]:
        """What a suspended coroutine holds in locals and on its value stack: words."""
        begin, end = self.held_between(coroutine)
        raw = self.objects.memory.read(begin, end - begin) if end > begin else b""
        return [word & ~3 for word in struct.unpack(f"<{len(raw) // 8}Q", raw)]

    def held_between(self, coroutine: int) -> tuple[int, int]:
        """From where to where the locals of a suspended coroutine are, and its value stack as far
        as that is in use.
        """
        lay, memory = self.objects.layout, self.objects.memory
        at = self._frame_of(coroutine)
        if not at.slot:
            return 0, 0
        frame = coroutine + lay.gen_frame
        if lay.pair < (3, 11):
            frame = memory.word(frame)
        count = (at.slot - frame - lay.frame_locals) // 8 + 1
        if not 0 < count <= _MOST_WORDS:
            raise Torn("a frame of unlikely size")
        return frame + lay.frame_locals, frame + lay.frame_locals + 8 * count

    def locals_of(self, frame: int, code: int) -> list[int]:
        """The locals of a thread's frame, cells among them: all that is there is in use."""
        lay, memory = self.objects.layout, self.objects.memory
        count = self.local_count(frame, code)
        if not 0 <= count <= _MOST_WORDS:
            raise Torn("a frame of unlikely size")
        raw = memory.read(frame + lay.frame_locals, 8 * count) if count else b""
        return [word & ~3 for word in struct.unpack(f"<{count}Q", raw)]

    def inside_of(self, generator: int) -> int:
        """The frame of a generator or coroutine; 0: it has ended."""
        lay, memory = self.objects.layout, self.objects.memory
        if not is_coroutine(self.objects.type_of(generator)):
            raise Torn("no generator")
        if lay.pair < (3, 11):
            return memory.word(generator + lay.gen_frame)
        state = word_at(memory.read(generator + lay.gen_state, 1), 0, "b")
        return 0 if state == lay.frame_cleared else generator + lay.gen_frame

    def stands(self, frame: int) -> tuple[int, int]:
        """The code of a frame, and the pointer or index that says where in it."""
        lay = self.objects.layout
        raw = self.objects.memory.read(frame, max(lay.frame_code, lay.frame_instruction) + 8)
        code = word_at(raw, lay.frame_code) & ~3
        if lay.pair >= (3, 11):
            return code, word_at(raw, lay.frame_instruction)
        return code, max(0, word_at(raw, lay.frame_instruction, "i"))

    # --- variables ------------------------------------------------------------------------

    def local_count(self, frame: int, code: int) -> int:
        """How many variables a frame of that code has; they lie before its value stack."""
        lay, memory = self.objects.layout, self.objects.memory
        if lay.pair < (3, 11):
            end = memory.word(frame + lay.frame_value_stack)
            return (end - frame - lay.frame_locals) // 8
        return word_at(memory.read(code + lay.code_locals, 4), 0, "I")

    def first_variable(self, frame: int) -> int:
        """What the first variable of a frame refers to: ``self``, in a method."""
        lay, memory = self.objects.layout, self.objects.memory
        first = memory.word(frame + lay.frame_locals) & ~3
        with contextlib.suppress(Unreadable):  # there may be no variable at all
            # where inner functions use it, too, there is a cell in its place (from 3.11 on)
            if first and self.objects.type_of(first).name == "cell":
                first = memory.word(first + lay.cell_content)
        return first

    def variables(self, frames: Sequence[tuple[int, int]]) -> list[dict[int, TypeFacts]]:
        """What the variables of frames, each given with its code, refer to, and of which type that
        is; of those that inner functions use, too, what is in their cells.
        """
        lay, memory = self.objects.layout, self.objects.memory
        words: list[list[int]] = []
        for frame, code in frames:
            words.append([])
            with contextlib.suppress(Unreadable):
                count = self.local_count(frame, code)
                if 0 < count <= _MOST_WORDS:
                    raw = memory.read(frame + lay.frame_locals, 8 * count)
                    words[-1] = _plausible(w & ~3 for w in struct.unpack(f"<{count}Q", raw))
        kinds = self._kinds(word for some in words for word in some)
        cells = [w for w, kind in kinds.items() if kind.name == "cell" and not kind.heap]
        content = memory.many([cell + lay.cell_content for cell in cells], 8)
        inside = {w: word_at(raw, 0) for w, raw in zip(cells, content, strict=True) if raw}
        kinds |= self._kinds(inside.values())
        return [
            {one: kinds[one] for word in some if (one := inside.get(word, word)) in kinds}
            for some in words
        ]

    def _kinds(self, words: Iterable[int]) -> dict[int, TypeFacts]:
        """The types of what are objects among these."""
        found = _plausible(words)
        types = zip(found, self.objects.types_of(found), strict=True) if found else ()
        return {word: kind for word, kind in types if kind is not None}

    # --- threads --------------------------------------------------------------------------

    def held(self, thread: int) -> list[int]:
        """What the Python frames of a thread state hold in locals and on value stacks.

        Words without duplicates, objects or not: some are leftovers of calls that returned.
        """
        lay = self.objects.layout
        words = self._chunk_words(thread) if lay.pair >= (3, 11) else self._frame_words(thread)
        if lay.pair >= (3, 14):
            words = [word & ~3 for word in words]
        return _plausible(words)

    def words_of(self, frame: int, code: int) -> list[int]:
        """What lies in a frame's variables and in the first of its value stack, as of ``held``.

        A generator's frame, from 3.11 on, is a part of the generator, and not of the data stack.
        """
        count = self.local_count(frame, code) + _FIRST_OF_STACK
        if not 0 < count <= _MOST_WORDS:
            raise Torn("a frame of unlikely size")
        raw = self.objects.memory.read(frame + self.objects.layout.frame_locals, 8 * count)
        return _plausible(word & ~3 for word in struct.unpack(f"<{count}Q", raw))

    def _chunk_words(self, thread: int) -> list[int]:
        lay, memory = self.objects.layout, self.objects.memory
        chunk = memory.word(thread + lay.thread_chunk)
        end = memory.word(thread + lay.thread_chunk_top)
        words: list[int] = []
        for _ in range(_MOST_CHUNKS):
            if not chunk or len(words) >= _MOST_WORDS:
                break
            begin = chunk + lay.chunk_data
            count = min((end - begin) // 8, _MOST_WORDS)
            if count > 0:
                words += struct.unpack(f"<{count}Q", memory.read(begin, 8 * count))
            chunk = memory.word(chunk + lay.chunk_previous)
            if chunk:  # how much of an older chunk is in use is written down in it
                end = (
                    chunk
                    + lay.chunk_data
                    + 8 * min(memory.word(chunk + lay.chunk_top), _MOST_WORDS)
                )
        return words

    def _frame_words(self, thread: int) -> list[int]:
        lay, memory = self.objects.layout, self.objects.memory
        frame = memory.word(thread + lay.thread_frame)
        words: list[int] = []
        for _ in range(_MOST_FRAMES):
            if not frame:
                break
            raw = memory.read(frame, lay.frame_locals)
            count = word_at(raw, lay.ob_size)
            if 0 < count <= _MOST_WORDS:
                words += struct.unpack(
                    f"<{count}Q", memory.read(frame + lay.frame_locals, 8 * count)
                )
            frame = word_at(raw, lay.frame_back)
        return words


def _plausible(words: Iterable[int]) -> list[int]:
    """Those that may be addresses of objects, without duplicates."""
    return [w for w in dict.fromkeys(words) if w % 8 == 0 and 1 << 16 < w < 1 << 48]


def is_coroutine(kind: TypeFacts) -> bool:
    """Whether it is one of CPython's own coroutine and generator types."""
    return kind.name in _OWN and not kind.heap


def is_wrapper(kind: TypeFacts) -> bool:
    """Whether it is one of CPython's own that pass on to another awaitable."""
    return kind.name in _WRAPPERS and not kind.heap
