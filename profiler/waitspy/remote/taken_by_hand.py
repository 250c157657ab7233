"""The threads that seem to hold what another one waits for, as they stand behind the same call."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from waitspy.model.wait_for import Holder
from waitspy.remote.memory import Unreadable
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import ThreadFrame, ThreadStacks
from waitspy.remote.try_blocks import TryBlocks, WaitingCall
from waitspy.remote.wait_subjects import WaitSubjects
from waitspy.remote.with_blocks import Entered, WithBlocks

AllInside = Callable[[int], Iterable[tuple[int, Entered]]]
"""The blocks that each thread is in, as far as there is CPU time until then."""


class TakenByHand:
    """Finds them in one look; all that wait in one call for one thing have the same answer.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, stacks: ThreadStacks, blocks: WithBlocks, subjects: WaitSubjects) -> None:
        self._stacks = stacks
        self._subjects = subjects
        self._frames = stacks.code
        self._tries = TryBlocks(stacks.code, blocks)
        self._known: dict[tuple[int, int, int], tuple[Holder, ...]] = {}

    def holders(
        self,
        frames: Sequence[ThreadFrame],
        subject: int,
        threads: Mapping[int, Thread],
        all_inside: AllInside,
        until_ns: int,
    ) -> tuple[Holder, ...]:
        """Who seems to have that for which a thread with these frames waits; nobody, where there
        was no time to ask all.
        """
        inner = sum(1 for _ in self._subjects.methods(frames))
        if inner >= len(frames):
            return ()
        address, code, instruction = frames[inner]
        key = code, instruction, subject
        if key not in self._known:
            call = self._tries.call(address, code, instruction, subject)
            has: tuple[int, ...] = ()
            if call is not None:
                has = tuple(self._taken(call, threads, all_inside, until_ns))
                if time.thread_time_ns() >= until_ns:
                    return ()
            at = self._frames.code(code, instruction) if has else None
            self._known[key] = tuple(Holder(one, "reach", at) for one in has)
        return self._known[key]

    def _taken(
        self,
        call: WaitingCall,
        threads: Mapping[int, Thread],
        all_inside: AllInside,
        until_ns: int,
    ) -> Iterator[int]:
        inside: dict[int, list[Entered]] = {}
        for tid, entered in all_inside(until_ns):
            inside.setdefault(tid, []).append(entered)
        for tid, thread in threads.items():
            if time.thread_time_ns() >= until_ns:
                break
            with contextlib.suppress(Unreadable):
                frames = self._stacks.frames(thread.address)
                mine = [frame.address for frame in frames if frame.code == call.code]
                taken = any(self._tries.has_taken(frame, call) for frame in mine)
                if taken or self._tries.have_taken(inside.get(tid, ()), call):
                    yield tid
