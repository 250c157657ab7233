"""The objects that threads wait in: those whose methods they stand in, locks of theirs, queues."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from waitspy.model.code_origin import base_name
from waitspy.model.wait_for import Held
from waitspy.remote.locks import OF_MODULES, Locks
from waitspy.remote.memory import Unreadable
from waitspy.remote.pool_jobs import FILE as POOL_FILE
from waitspy.remote.pool_jobs import RESULTS
from waitspy.remote.queues import Queues
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import ThreadFrame, ThreadStacks
from waitspy.remote.type_facts import TypeFacts

_KINDS: Mapping[str, Held] = {
    "Condition": "condition",
    "Event": "event",
    "Semaphore": "semaphore",
    "Barrier": "barrier",
    "Thread": "thread",
    "Queue": "queue",
    "Future": "future",
    OF_MODULES: "lock",
    **dict.fromkeys(RESULTS, "future"),
}
"""Classes of the standard library in whose methods threads wait, by name."""

_OF_QUEUES: Mapping[str, Held] = {"put": "full-queue", "join": "joined-queue"}
"""Methods of a queue in which a thread waits for those who take from it, not for an item."""

FILES = (
    "/threading.py", "/queue.py", "/concurrent/futures/_base.py", POOL_FILE,
    "<frozen importlib._bootstrap>",
)  # fmt: skip
"""Where these are."""

_BEGIN = frozenset({"run", "worker"})
"""Functions in these files that do what a thread was started for, and wait for nothing."""


class WaitSubjects:
    """Reads them of the threads of one interpreter.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, stacks: ThreadStacks, locks: Locks) -> None:
        self._frames = stacks.code
        self._objects = stacks.code.objects
        self._locks = locks
        self._queues = Queues(stacks.code.objects)

    def of(self, frames: Sequence[ThreadFrame]) -> tuple[Held | None, int]:
        """The kind and object whose method the innermost frames are in: the outermost of these."""
        found: tuple[Held | None, int] = None, 0
        for function, first, kind in self.methods(frames):
            if kind is not None:
                other = _OF_QUEUES.get(function) if kind == "queue" else None
                found = other or kind, first
        return found

    def methods(self, frames: Iterable[ThreadFrame]) -> Iterator[tuple[str, int, Held | None]]:
        """The innermost frames, as far as they are of the standard library's own waits: function,
        first local, and its kind.
        """
        for frame in frames:
            code = self._frames.code(frame.code)
            if not code.rooted.endswith(FILES) or base_name(code.function) in _BEGIN:
                break
            first = self._frames.first_variable(frame.address)
            yield base_name(code.function), first, self._kind(first)

    def is_signalled(self, frames: Iterable[ThreadFrame]) -> bool:
        """Whether the innermost frame waits on a condition, for a lock of its own that nobody else
        knows; an event's own lock it takes in frames of others.
        """
        function, _, kind = next(self.methods(frames), ("", 0, None))
        return function == "wait" and kind == "condition"

    def simple_queue(self, thread: Thread, futex: int) -> tuple[Held | None, int]:
        """The SimpleQueue, written in C, for an item of which a thread waits."""
        handles = {futex, self._locks.parked(futex)}
        words = self._frames.held(thread.address)
        for word, kind in zip(words, self._objects.types_of(words), strict=True):
            simple = kind is not None and self._queues.is_simple(kind)
            if simple and self._queues.parks_at(word) in handles:
                return "queue", word
        return None, 0

    def lock(self, thread: Thread, handle: int, inner: ThreadFrame) -> int | None:
        """The lock object with that handle, as far as the thread's own frames refer to it, of which
        the innermost one may be a generator's.
        """
        lock = self._locks.at(handle)
        if lock is not None:
            return lock
        words = self._frames.held(thread.address)
        with contextlib.suppress(Unreadable):
            words += self._frames.words_of(inner.address, inner.code)
        for word, kind in zip(words, self._objects.types_of(words), strict=True):
            with contextlib.suppress(Unreadable):
                found = 0 if kind is None else self._locked_by(word, kind)
                if found and self._locks.handle(found) == handle:
                    return found
        return None

    def _locked_by(self, word: int, kind: TypeFacts) -> int:
        """A lock, or the one whose own ``__exit__`` it is: that lies ready in a block that is about
        to be entered.
        """
        if kind.name == "builtin_function_or_method" and not kind.heap:
            word = self._objects.memory.word(word + self._objects.layout.builtin_self)
            if not word:
                return 0
            kind = self._objects.type_of(word)
        return word if self._locks.is_lock(kind) else 0

    def _kind(self, address: int) -> Held | None:
        with contextlib.suppress(Unreadable):
            bases = self._objects.bases(address)
            return next((_KINDS[name] for name in bases if name in _KINDS), None)
        return None
