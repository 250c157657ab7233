"""What threads wait for that nobody else refers to: futures, events, and full queues.

The frames of a thread that waits have it in their variables. What they have on their value stacks
is not known while they are in calls; from 3.11 on the arguments of a Python function are in its own
variables only. So it is not told up to 3.10.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat

from msgspec import structs

from waitspy.model.code_origin import base_name
from waitspy.model.wait_for import Held, Lost, WaitEdge
from waitspy.remote.event_waits import EventWaits
from waitspy.remote.memory import Unreadable
from waitspy.remote.references import References
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import Piece, ThreadFrame, ThreadStacks, that_may_have
from waitspy.remote.wait_subjects import FILES

LOST_KINDS: Mapping[Held, Lost] = {
    "future": "lost-result",
    "event": "lost-signal",
    "full-queue": "lost-queue",
}
"""What it is where nobody else refers to what is waited for."""

_THREADING = "/threading.py"
_LEAST = (
    2  # that refer to what was made to be reached: a method has its object, even a nameless one
)
_MOST_GROUP = 32
_MOST_KNOWN = 256


class LostThreadWaits:
    """Finds it among the threads of one interpreter, in one look; ``events`` knows of former ones.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(
        self, stacks: ThreadStacks, threads: Mapping[int, Thread], events: EventWaits
    ) -> None:
        self._stacks = stacks
        self._threads = threads
        self._events = events
        self._frames = stacks.code
        self._objects = stacks.code.objects
        self._of_files: dict[int, bool] = {}

    def among(self, edges: Iterable[WaitEdge], until_ns: int) -> Iterator[WaitEdge]:
        """Those of these waits that are lost, as far as this thread's CPU time until then allows;
        who has waited longest to be asked about comes first.
        """
        groups: dict[tuple[Held, int], list[WaitEdge]] = {}
        for edge in edges:
            # who took from a queue may have dropped it
            given = edge.holders and edge.kind != "full-queue"
            if edge.kind in LOST_KINDS and not given:
                groups.setdefault((edge.kind, edge.subject), []).append(edge)
        in_turn = sorted(groups.values(), key=lambda edges: self._events.turn(edges[0].tid))
        for some in in_turn:
            if time.thread_time_ns() >= until_ns:
                break
            kind, subject = some[0].kind, some[0].subject
            self._events.note_turn(edge.tid for edge in some)
            with contextlib.suppress(Unreadable):
                if self._is_lost(subject, [self._threads[edge.tid] for edge in some]):
                    for edge in some:
                        lost = structs.replace(edge, kind=LOST_KINDS[kind], holders=())
                        # of several, one may give up waiting, and give it to the others then
                        alone = kind == "event" and len(some) == 1
                        yield self._events.note(lost) if alone else lost

    def _is_lost(self, subject: int, threads: Sequence[Thread]) -> bool:
        """Whether nobody refers to it but these threads, which are all that wait for it."""
        if self._objects.layout.pair < (3, 11) or len(threads) > _MOST_GROUP:
            return False
        refers = References(self._frames)
        pieces = [self._stacks.piece(thread.address) for thread in threads]
        addresses = [thread.address for thread in threads]
        stacks = [
            self._stacks.frames(at, piece=piece)
            for at, piece in zip(addresses, pieces, strict=True)
        ]
        named = map(self._names, repeat(subject), pieces, stacks)
        if refers.count(subject) < _LEAST and not any(named):
            return False
        for frames in stacks:
            for frame in frames:
                refers.add_variables(frame.address, frame.code)
                for arguments in self._arguments(frame):
                    refers.add_items(arguments)
        if not refers.are_all_of([subject]):
            known = refers.known()[:_MOST_KNOWN]
            refers.add_ended([error for one in known if (error := self._error(one))])
            if not refers.are_all_of([subject]):
                return False
        return [self._stacks.frames(at) for at in addresses] == stacks

    def _names(self, subject: int, piece: Piece, frames: Sequence[ThreadFrame]) -> bool:
        """Whether a frame around its methods has it in a variable, from which those borrow it from
        3.14 on.
        """
        around = [frame for frame in frames if not self._is_of_files(frame.code)]
        return any(
            subject in self._frames.locals_of(frame.address, frame.code)
            for frame in that_may_have(subject, piece, around)
        )

    def _is_of_files(self, code: int) -> bool:
        """Whether it is code of those methods: the same all the while that frames have it."""
        found = self._of_files.get(code)
        if found is None:
            found = self._of_files[code] = self._frames.code(code).rooted.endswith(FILES)
        return found

    def _arguments(self, frame: ThreadFrame) -> Iterator[int]:
        """Those that a thread was made with: others have the thread, but no use for them."""
        code = self._frames.code(frame.code)
        if code.rooted.endswith(_THREADING) and base_name(code.function) == "run":
            thread = self._frames.first_variable(frame.address)
            yield from self._objects.attributes(thread, {"_args"}).values()

    def _error(self, address: int) -> int:
        """The exception that has ended the work of a future; zero: it is none."""
        with contextlib.suppress(Unreadable):
            if "Future" in self._objects.bases(address):
                error = self._objects.attributes(address, {"_exception"}).get("_exception", 0)
                if error and "BaseException" in self._objects.bases(error):
                    return error
        return 0
