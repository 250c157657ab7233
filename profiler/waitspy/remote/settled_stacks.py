"""A thread whose frames are where they were before: all that tells so is read in one call.

A thread that runs is found in the same functions again and again: a loop that polls, or the body
of a loop of its own. Then nothing has to be followed. Its frames lie where they lay, and have the
same code, linked and standing as before; only the innermost one may stand elsewhere, and may be one
of those further out, as the calls above it are over. If that and the code is proven, its stack is
known. Otherwise it is followed from anew.

One copy is enough for that, as it need not tell what the stack is, only whether it is one that is
known. Where the innermost frame is, is read first, and the frames after that: one that was live
then is overwritten only by one that is called later, and what was called shows in the frame below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from waitspy.model.stacks import Stack
from waitspy.remote.codes import Codes
from waitspy.remote.frame_shapes import FrameShape, RawFrame, raw_frame
from waitspy.remote.memory import Memory, Torn, Unreadable, packed
from waitspy.remote.thread_stacks import ThreadState

_LARGEST_SPAN = 1 << 15
_TRIES = 2  # the thread may call or return while it is read; to follow it takes ten times as long
_MOST_STACKS = 256  # instructions of the innermost frame that are remembered


class _Level(NamedTuple):
    """A stack of which the innermost frame is one of the chain's.

    ``pick`` takes from the words of a copy what has to be as ``expected``: all but where that
    frame stands, the word ``instruction``. ``code`` is its code, ``below`` are the frames below it,
    and ``stacks`` has the whole stack by where it stands.
    """

    pick: Callable[[tuple[int, ...]], object]
    expected: object
    instruction: int
    code: int
    below: Stack
    stacks: dict[int, Stack]


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
        self._chain, self._stack = chain, stack
        self._is_of_c = shape.is_of_c
        self.innermost, top = next(iter(chain.items()))
        if shape.is_of_c(top):
            raise Torn("a call from C that only begins")
        proof = code.proof({raw.code: None for raw in chain.values() if not shape.is_of_c(raw)})
        places, offsets = _places(shape, thread, cframe, part, list(chain))
        self._told = proof.told
        self._same = memory.same(places + proof.places)
        fields = [(shape.frame_at, "Q"), (shape.ident_at, "Q")]
        if cframe:
            fields.append((shape.head_size, "Q"))
        self._heads = len(fields)
        fields += [(at + offset, kind) for at in offsets for offset, kind in shape.fields]
        self._words, self._order = packed(fields)
        # where a C frame leads to the innermost frame, it has to be the same one
        self._fixed = [0, 1] if cframe else [1]
        self._frame = self._order[2 if cframe else 0]
        self._expected = self._first(thread, cframe or self.innermost)
        self._levels: dict[int, _Level] = {}

    def _first(self, thread: ThreadState, frame: int) -> tuple[int, ...]:
        """The words of the first copy, if they are those of the chain.

        Raises:
            Unreadable: they are not.
        """
        raw = self._same.read()
        if raw is None or not raw.endswith(self._told):
            raise Unreadable("frames that have ended")
        words: tuple[int, ...] = self._words.unpack_from(raw)
        told = [words[n] for n in self._order]
        heads, links, width = self._heads, [*self._chain, 0], len(RawFrame._fields)
        right = told[:2] == [frame, thread.ident] and told[2:heads] == links[: heads - 2]
        chain = zip(enumerate(self._chain.values()), pairwise(links), strict=True)
        for (n, known), (_, back) in chain:
            seen = raw_frame(told[heads + width * n :][:width])
            if n == 0:
                seen = seen._replace(instruction=known.instruction)
            right = right and seen == known and seen.back == back
        if not right:
            raise Unreadable("frames that have changed")
        return words

    def look(self) -> Stack | None:
        """Its stack now, if the frames are the same; None: they are to be followed."""
        for _ in range(_TRIES):
            raw = self._same.read()
            if raw is None or not raw.endswith(self._told):
                return None
            words = self._words.unpack_from(raw)
            self.innermost = frame = words[self._frame]
            level = self._levels.get(frame) or self._level(frame)
            if level is None:
                return None
            if level.pick(words) == level.expected:
                instruction = max(0, words[level.instruction])
                return level.stacks.get(instruction) or self._standing(level, instruction)
        return None

    def _level(self, frame: int) -> _Level | None:
        """What has to be so while that frame is the innermost one; None: it is none of the chain,
        or an entry from C, above which a call may only begin.
        """
        top = self._chain.get(frame)
        if top is None or self._is_of_c(top):
            return None
        outer = list(self._chain.values())[list(self._chain).index(frame) + 1 :]
        width = len(RawFrame._fields)
        end = self._heads + width * len(self._chain)
        begin = end - width * (len(outer) + 1)
        at = begin + RawFrame._fields.index("instruction")
        wanted = [*self._fixed, *range(begin, at), *range(at + 1, end)]
        pick = itemgetter(*(self._order[field] for field in wanted))
        below = self._stack[: sum(not self._is_of_c(raw) for raw in outer)]
        made = _Level(pick, pick(self._expected), self._order[at], top.code, below, {})
        self._levels[frame] = made
        return made

    def _standing(self, level: _Level, instruction: int) -> Stack | None:
        """The stack when the innermost frame stands there."""
        if len(level.stacks) >= _MOST_STACKS:
            level.stacks.clear()
        try:
            frame = self._code.known(level.code, instruction)
        except Unreadable:
            return None
        found = level.stacks[instruction] = (*level.below, frame)
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
