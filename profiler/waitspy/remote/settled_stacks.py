"""A thread whose frames are where they were before: all that tells so is read in one call.

A thread that runs is found in the same functions again and again: a loop that polls, or the body
of a loop of its own. Then nothing has to be followed. Its frames lie where they lay, and have the
same code, linked and standing as before; only the innermost one may stand elsewhere. If all copies
agree in this, and the code is proven, its stack is known. Otherwise it is followed from anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from waitspy.model.stacks import Stack
from waitspy.remote.codes import Codes
from waitspy.remote.frame_shapes import FrameShape, RawFrame, packed, raw_frame
from waitspy.remote.memory import Memory, Torn, Unreadable
from waitspy.remote.thread_stacks import ThreadState

_LARGEST_SPAN = 1 << 15
_MOST_STACKS = 256  # instructions of the innermost frame that are remembered


class Settled:
    """The frames of one thread, as they were found twice.

    ``chain`` has them by address, innermost first; ``stack`` is what they meant, root first, with
    the innermost one's instruction as it is in ``chain``. ``part`` is the piece of memory in which
    most of them lie, its address and size; ``cframe`` the thread's C frame, or zero. ``innermost``
    is where the innermost frame was at the last look.

    Raises:
        Unreadable: from the constructor: they changed, or are too many.
        OSError: from every method, as of ``Memory``.
    """

    def __init__(
        self,
        memory: Memory,
        code: Codes,
        shape: FrameShape,
        thread: ThreadState,
        cframe: int,
        part: tuple[int, int],
        chain: Mapping[int, RawFrame],
        stack: Stack,
    ) -> None:
        self._code = code
        self.homes = code.homes
        self._below = stack[:-1]
        self.innermost, top = next(iter(chain.items()))
        self._top = top
        if shape.is_of_c(top):
            raise Torn("a call from C that only begins")
        self._stacks = {top.instruction: stack}
        proof = code.proof({raw.code: None for raw in chain.values() if not shape.is_of_c(raw)})
        places, offsets = _places(shape, thread, cframe, part, list(chain))
        self._size = sum(size for _, size in places)
        self._copies = shape.copies
        self._told = proof.told
        self._code_at = self._size * self._copies
        self._same = memory.same(places * self._copies + proof.places)
        fields = [(shape.frame_at, "Q"), (shape.ident_at, "Q")]
        if cframe:
            fields.append((shape.head_size, "Q"))
        heads = len(fields)
        fields += [(at + offset, kind) for at in offsets for offset, kind in shape.fields]
        self._words, order = packed(fields)
        self._frame = order[2 if cframe else 0]
        self._instruction = order[heads + RawFrame._fields.index("instruction")]
        self._expected = self._first(order, heads, thread, cframe or self.innermost, chain)

    def _first(
        self,
        order: Sequence[int],
        heads: int,
        thread: ThreadState,
        frame: int,
        chain: Mapping[int, RawFrame],
    ) -> tuple[int, ...]:
        """The words of the first copy, if they are those of the chain.

        Raises:
            Unreadable: they are not.
        """
        raw = self._same.read()
        if raw is None or raw[self._code_at :] != self._told:
            raise Unreadable("frames that have ended")
        words: tuple[int, ...] = self._words.unpack_from(raw)
        told = [words[n] for n in order]
        links, width = [*chain, 0], len(RawFrame._fields)
        right = told[:2] == [frame, thread.ident] and told[2:heads] == links[: heads - 2]
        for (n, known), (_, back) in zip(enumerate(chain.values()), pairwise(links), strict=True):
            seen = raw_frame(told[heads + width * n :][:width])
            if n == 0:
                seen = seen._replace(instruction=known.instruction)
            right = right and seen == known and seen.back == back
        if not right:
            raise Unreadable("frames that have changed")
        return words

    def look(self) -> Stack | None:
        """Its stack now, if the frames are the same; None: they are to be followed."""
        raw = self._same.read()
        if raw is None or raw[self._code_at :] != self._told:
            return None
        size, at = self._size, self._instruction
        last = raw[self._code_at - size : self._code_at]
        instruction = -1
        for n in reversed(range(self._copies)):
            copy = raw[n * size : n * size + size]
            if copy == last and instruction >= 0:
                continue
            words = self._words.unpack_from(copy)
            if instruction < 0:
                instruction = max(0, words[at])
            if words != self._expected and (
                words[:at] != self._expected[:at] or words[at + 1 :] != self._expected[at + 1 :]
            ):
                self.innermost = words[self._frame]
                return None
        return self._standing(instruction)

    def _standing(self, instruction: int) -> Stack | None:
        """The stack when the innermost frame stands there."""
        known = self._stacks.get(instruction)
        if known is not None:
            return known
        if len(self._stacks) >= _MOST_STACKS:
            self._stacks.clear()
        try:
            frame = self._code.known(self._top.code, instruction)
        except Unreadable:
            return None
        found = self._stacks[instruction] = (*self._below, frame)
        return found


def _places(
    shape: FrameShape,
    thread: ThreadState,
    cframe: int,
    part: tuple[int, int],
    chain: Sequence[int],
) -> tuple[list[tuple[int, int]], list[int]]:
    """What is read for one copy, and where in it each frame of the chain lies.

    Raises:
        Unreadable: it is too much.
    """
    places = [(thread.address, shape.head_size)]
    if cframe:
        places.append((cframe + shape.cframe_frame, 8))
    at = sum(size for _, size in places)
    begin, size = part
    within = range(begin, begin + size - shape.size + 1)
    inside = [address for address in chain if address in within]
    first, end = min(inside, default=0), max(inside, default=0) + shape.size
    if inside:
        if end - first > _LARGEST_SPAN:
            raise Unreadable("frames that are far apart")
        places.append((first, end - first))
    single = at + (end - first if inside else 0)
    offsets = []
    for address in chain:
        if address in within:
            offsets.append(at + address - first)
        else:
            places.append((address, shape.size))
            offsets.append(single)
            single += shape.size
    return places, offsets
