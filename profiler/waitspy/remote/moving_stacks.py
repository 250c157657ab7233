"""The stacks of threads that may run while they are read: what several copies agree on.

A thread that runs changes its frames faster than they can be followed one by one: what is read so
mixes frames that never were there together. So all of a thread's frames are copied at once, and
more than once, in a single call; believed is what every copy shows. From 3.11 on most frames lie
in one piece of memory, the data stack. Others, and all up to 3.10, are copied from where they were
when they were last followed.

What is found twice is settled: from then on it is only looked whether it is still so.

Frames are believed from the outermost one on: as far as all copies have them, linked in the same
way and standing at the same instruction, and the innermost of them is alive for certain. Only of
the innermost one may the instruction differ, as each copy of it is one word, and true by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from waitspy.model.stacks import Frame, Stack
from waitspy.remote.frame_shapes import FrameShape, RawFrame
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.settled_stacks import Settled
from waitspy.remote.thread_stacks import ThreadFrame, ThreadState

_ROUNDS = 3  # of copying: frames that were not where they were are followed, and copied again
_AT_ONCE = 16  # threads that are copied in one call
_MOST_PLANS = 10_000
_DEEPEST = 1024  # frames; of deeper stacks the innermost ones
_LARGEST_PART = 1 << 16
_GROWS = 2048  # bytes of the data stack that are copied beyond its end, as it may grow meanwhile
_MOST_SETTLED = 128  # stacks of all threads of a process
_MOST_SINGLES = 64  # of a settled one, that do not lie in one piece
_MOST_CHAINS = 8  # of one thread that are remembered


class MovingStack(NamedTuple):
    """The frames of a thread that are believed, outermost first.

    ``whole`` says that the innermost one is among them. It says nothing of a thread that has none.
    """

    frames: tuple[ThreadFrame, ...]
    whole: bool


_TORN = MovingStack((), whole=False)
_NONE = MovingStack((), whole=True)


@dataclass(slots=True)
class _Plan:
    """What is copied of a thread: its C frame (3.11, 3.12), its part of the data stack, and the
    frames outside of it.

    ``chain`` is where the frames were when they were last followed, innermost first, ``seen`` the
    same as they were last copied whole. ``settled`` are those stacks that were found twice, by
    where the innermost frame is, ``last`` the one that was right last, ``met`` what was found once.
    """

    thread: ThreadState
    cframe: int = 0
    begin: int = 0
    size: int = 0
    singles: tuple[int, ...] = ()
    chain: tuple[int, ...] = ()
    seen: Mapping[int, RawFrame] | None = None
    settled: dict[int, Settled] = field(default_factory=dict)
    last: Settled | None = None
    met: dict[int, tuple[int, ...]] = field(default_factory=dict)


class _Copy:
    """One copy of a thread: its head, its innermost frame, and its frames by address."""

    __slots__ = ("_plan", "_shape", "frame", "head", "part", "singles")

    def __init__(
        self, shape: FrameShape, plan: _Plan, head: bytes, rest: Sequence[bytes | None]
    ) -> None:
        self._shape, self._plan = shape, plan
        self.head = shape.head(head)
        pieces = list(rest)
        self.frame: int | None = self.head.frame
        if shape.by_cframe:
            said = pieces.pop(0) if plan.cframe else None
            same = said is not None and self.head.frame == plan.cframe
            self.frame = int.from_bytes(said or b"", "little") if same else None
        self.part = pieces.pop(0) if plan.size else None
        self.singles = dict(zip(plan.singles, pieces, strict=True))

    def at(self, address: int) -> RawFrame | None:
        """The frame at that address, if it was copied."""
        raw, offset = self._found(address)
        return None if raw is None else self._shape.frame(raw, offset)

    def is_same(self, address: int, others: Sequence[_Copy]) -> bool:
        """Whether others of the same plan have the same bytes there."""
        size, start = self._shape.size, address - self._plan.begin
        if self.part is not None and 0 <= start <= len(self.part) - size:
            seen = self.part[start : start + size]
            for one in others:
                if one.part is None or one.part[start : start + size] != seen:
                    return False
            return True
        single = self.singles.get(address)
        return all(one.singles.get(address) == single for one in others)

    def _found(self, address: int) -> tuple[bytes | None, int]:
        offset = address - self._plan.begin
        if self.part is not None and 0 <= offset <= len(self.part) - self._shape.size:
            return self.part, offset
        return self.singles.get(address), 0

    def alive(self, address: int, raw: RawFrame) -> bool:
        """Whether a frame is on the stack of its thread for certain."""
        if self._shape.has_chunks:
            plan, head = self._plan, self.head
            return plan.begin == head.chunk and plan.begin < address < head.top
        return raw.owner == self._shape.executing


class MovingStacks:
    """Reads stacks of one process.

    Raises:
        Unreadable: from every method: its layout contradicts itself.
        OSError: from every method: no permission, or the process is gone.
    """

    def __init__(self, frames: Frames) -> None:
        self._code = frames
        self._memory = frames.objects.memory
        self._plans: dict[int, _Plan] = {}
        self._settled_count = 0

    @cached_property
    def _shape(self) -> FrameShape:
        return FrameShape(self._code.objects.layout)

    def look(self, threads: Sequence[ThreadState]) -> list[tuple[Stack, bool]]:
        """The stack of each of these threads now, and whether it is whole."""
        found: list[tuple[Stack, bool]] = []
        others: list[tuple[int, _Plan]] = []
        for thread in threads:
            plan = self._plans.get(thread.address)
            if plan is None or plan.thread != thread:
                plan = self._planned(plan, thread)
            stack = None if plan.last is None else self._settled(plan, plan.last)
            if stack is None:
                others.append((len(found), plan))
            found.append((stack or (), True))
        for begin in range(0, len(others), _AT_ONCE):
            some = others[begin : begin + _AT_ONCE]
            followed = self._followed([plan for _, plan in some])
            for (n, _), seen in zip(some, followed, strict=True):
                found[n] = seen
        return found

    def _settled(self, plan: _Plan, last: Settled) -> Stack | None:
        """The stack of a thread if it is one that it had before."""
        if last.homes is not self._code.homes:
            self._unsettle(plan)
            return None
        stack = last.look()
        if stack is None:
            other = plan.settled.get(last.innermost)
            if other is not None and other is not last:
                stack = other.look()
                plan.last = other
        return stack

    def _unsettle(self, plan: _Plan) -> None:
        self._settled_count -= len(plan.settled)
        plan.settled.clear()
        plan.last = None

    def _followed(self, plans: Sequence[_Plan]) -> list[tuple[Stack, bool]]:
        seen = self._look(plans)
        named = self._named(seen)
        if any(None in frames for frames in named):  # by now that code is known
            seen = self._look(plans)
            named = self._named(seen)
        found = []
        for plan, one, frames in zip(plans, seen, named, strict=True):
            stack = tuple(_first_known(frames))
            whole = one.whole and len(stack) == len(frames)
            if stack and whole:
                self._settle(plan, stack)
            found.append((stack, whole))
        return found

    def _settle(self, plan: _Plan, stack: Stack) -> None:
        """Remembers a stack that was found before."""
        chain, seen = plan.chain, plan.seen
        if seen is None or len(chain) >= _DEEPEST or len(plan.singles) > _MOST_SINGLES:
            return
        if len(plan.met) >= _MOST_CHAINS:
            plan.met.clear()
        if plan.met.get(chain[0]) != chain:
            plan.met[chain[0]] = chain
            return
        if len(plan.settled) >= _MOST_CHAINS:
            self._unsettle(plan)
        elif self._settled_count >= _MOST_SETTLED:
            for one in self._plans.values():
                self._unsettle(one)
        part, memory = (plan.begin, plan.size), self._memory
        with suppress(Unreadable):
            made = Settled(
                memory, self._code, self._shape, plan.thread, plan.cframe, part, seen, stack
            )
            self._settled_count += chain[0] not in plan.settled
            plan.settled[chain[0]] = plan.last = made

    def _named(self, seen: Sequence[MovingStack]) -> list[list[Frame | None]]:
        places = [(frame.code, frame.instruction) for one in seen for frame in one.frames]
        named = iter(self._code.codes(places, known_only=True))
        return [[next(named) for _ in one.frames] for one in seen]

    def _planned(self, before: _Plan | None, thread: ThreadState) -> _Plan:
        """A plan for a thread that has none, or that has the place of another one."""
        if before is not None:
            self._unsettle(before)
        elif len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
            self._settled_count = 0
        plan = self._plans[thread.address] = _Plan(thread)
        return plan

    def _look(self, plans: Sequence[_Plan]) -> list[MovingStack]:
        found: dict[int, MovingStack] = {}
        left = list(enumerate(plans))
        for n in range(_ROUNDS):
            again = []
            for (at, plan), copies in zip(
                left, self._copied([plan for _, plan in left]), strict=True
            ):
                stack = self._stack(plan, copies, last=n == _ROUNDS - 1)
                if stack is None:
                    again.append((at, plan))
                else:
                    found[at] = stack
            left = again
            if not left:
                break
        return [found[at] for at in range(len(plans))]

    def _copied(self, plans: Sequence[_Plan]) -> list[list[_Copy]]:
        """The copies of each thread, of equal ones the first; none of what is gone."""
        shape = self._shape
        places: list[tuple[int, int]] = []
        for plan in plans:
            one = [(plan.thread.address, shape.head_size)]
            if plan.cframe:
                one.append((plan.cframe + shape.cframe_frame, 8))
            if plan.size:
                one.append((plan.begin, plan.size))
            one += [(address, shape.size) for address in plan.singles]
            places += one * shape.copies
        pieces = iter(self._memory.pieces(places))
        found = []
        for plan in plans:
            count = bool(plan.cframe) + bool(plan.size) + len(plan.singles)
            read = [[next(pieces) for _ in range(1 + count)] for _ in range(shape.copies)]
            if all(one == read[0] for one in read):
                read = read[:1]
            heads = [(head, rest) for head, *rest in read if head is not None]
            whole = len(heads) == len(read)
            found.append([_Copy(shape, plan, *one) for one in heads] if whole else [])
        return found

    def _stack(self, plan: _Plan, copies: Sequence[_Copy], *, last: bool) -> MovingStack | None:
        """What the copies agree on; None: it is to be copied again, as the plan has changed."""
        plan.seen = None
        if not copies or any(one.head.ident != plan.thread.ident for one in copies):
            return _TORN
        newest = copies[-1]
        if newest.frame == 0 and all(one.frame == 0 for one in copies):
            return _NONE
        chain = self._chain(newest)
        if chain is not None:
            plan.chain, plan.seen = tuple(chain), chain
            return self._agreed(plan.chain, chain, copies)
        if last:
            known = {address: newest.at(address) for address in plan.chain}
            return self._agreed(plan.chain, known, copies)
        with suppress(Unreadable):
            self._follow(plan)
        return None

    def _chain(self, copy: _Copy) -> dict[int, RawFrame] | None:
        """The frames of a copy by address, innermost first; None where one was not copied."""
        address = copy.frame
        if address is None:
            return None
        found: dict[int, RawFrame] = {}
        while address and len(found) < _DEEPEST:
            raw = copy.at(address)
            if raw is None or address in found:
                return None
            found[address] = raw
            address = raw.back
        return found

    def _follow(self, plan: _Plan) -> None:
        """Notes where the thread's frames are, one by one: what is to be copied.

        Raises:
            Unreadable: they changed meanwhile.
        """
        shape, memory = self._shape, self._memory
        head = shape.head(memory.read(plan.thread.address, shape.head_size))
        frame = head.frame
        plan.cframe = 0
        if shape.by_cframe:
            plan.cframe = head.frame
            frame = memory.word(plan.cframe + shape.cframe_frame)
        if shape.has_chunks:
            end = min(head.limit, head.top + _GROWS)
            plan.begin, plan.size = head.chunk, end - head.chunk
            if not 0 < plan.size <= _LARGEST_PART:
                plan.begin = plan.size = 0
        found: dict[int, None] = {}
        part = memory.read(plan.begin, plan.size) if plan.size else b""
        while frame and len(found) < _DEEPEST:
            if frame in found:
                raise Torn("a stack that does not end")
            found[frame] = None
            offset = frame - plan.begin
            if part and 0 <= offset <= len(part) - shape.size:
                frame = shape.frame(part, offset).back
            else:
                frame = shape.frame(memory.read(frame, shape.size), 0).back
        plan.chain = tuple(found)
        within = range(plan.begin, plan.begin + plan.size - shape.size + 1)
        plan.singles = tuple(address for address in plan.chain if address not in within)

    def _agreed(
        self, chain: Sequence[int], known: Mapping[int, RawFrame | None], copies: Sequence[_Copy]
    ) -> MovingStack:
        """The frames of a chain that all copies have in the same way, from the outermost one on.

        ``known`` has them as the newest copy has.
        """
        newest, others = copies[-1], copies[:-1]
        kept: list[tuple[int, RawFrame]] = []
        below = 0 if len(chain) < _DEEPEST else None  # of what lies below nothing is known
        for address in reversed(chain):
            raw = known[address]
            if raw is None or (below is not None and raw.back != below):
                break
            if newest.is_same(address, others):
                kept.append((address, raw))
                below = address
                continue
            versions = [one.at(address) for one in others]
            if any(v is None or (v.back, v.code) != (raw.back, raw.code) for v in versions):
                break
            kept.append((address, raw))
            below = address
            if any(v is not None and v.instruction != raw.instruction for v in versions):
                break  # it goes on: nothing that was above it is known to be
        whole = bool(kept) and all(one.frame == kept[-1][0] for one in copies)
        if not whole:
            while kept and not all(_alive(one, kept[-1][0]) for one in copies):
                kept.pop()
        return MovingStack(tuple(self._python(kept)), whole)

    def _python(self, kept: Sequence[tuple[int, RawFrame]]) -> list[ThreadFrame]:
        """Those of the frames that are Python's own."""
        return [
            ThreadFrame(address, raw.code, raw.instruction)
            for address, raw in kept
            if not self._shape.is_of_c(raw)
        ]


def _first_known(frames: Sequence[Frame | None]) -> Iterator[Frame]:
    """The frames up to the first one that is not known."""
    for frame in frames:
        if frame is None:
            return
        yield frame


def _alive(copy: _Copy, address: int) -> bool:
    raw = copy.at(address)
    return raw is not None and copy.alive(address, raw)
