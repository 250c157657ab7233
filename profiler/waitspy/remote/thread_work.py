"""What a thread of a pool is working on: an executor's work items, or what AnyIO has given to it.

What a thread holds on its stacks may be left over from a call that has returned; a frame that
runs the work, and has not returned, is proof.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from waitspy.model.code_origin import base_name
from waitspy.remote.asgiref_waits import EXECUTOR as ASGIREF
from waitspy.remote.awaiting import linked
from waitspy.remote.callables import Callables
from waitspy.remote.memory import Unreadable
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import ThreadFrame, ThreadStacks

_EXECUTORS, _ANYIO = "/concurrent/futures/thread.py", "/anyio/_backends/_asyncio.py"
_RUN = "run"
_IDLE = "/queue.py"
_TO_LOOP = "_call_set_state"
"""The function of ``_chain_future`` (Lib/asyncio/futures.py) that is called when the future of a
thread is done, and has the loop's future that then is done, too."""


class ThreadWork:
    """Reads it of the threads of one interpreter, once a look.

    Raises:
        OSError: from every method.
    """

    def __init__(self, stacks: ThreadStacks, work_item: int | None) -> None:
        self._stacks = stacks
        self._frames = stacks.code
        self._objects = stacks.code.objects
        self._work_item = work_item
        self._words: dict[int, list[int]] = {}
        self._items: dict[int, Sequence[int]] = {}

    def items(self, thread: Thread) -> Sequence[int]:
        """The work items that a thread runs: one of an executor's; of asgiref's, where that thread
        serves one meanwhile, several, the innermost first.
        """
        if thread.address not in self._items:
            self._items[thread.address] = ()
            with contextlib.suppress(Unreadable):
                self._items[thread.address] = tuple(self._of(thread))
        return self._items[thread.address]

    def _of(self, thread: Thread) -> Iterator[int]:
        words = self._held(thread) if self._work_item else []
        items = self._objects.of_type(words, self._work_item)
        for frame, _ in self._runs(thread, _EXECUTORS, ASGIREF):
            first = self._frames.first_variable(frame.address)
            if first in items or self._frames.code(frame.code).rooted.endswith(ASGIREF):
                yield first

    def does(self, thread: Thread, future: int, callables: Callables) -> bool:
        """Whether a thread is at work on what completes that future of a loop."""
        for item in self.items(thread):
            with contextlib.suppress(Unreadable):
                mine = self._objects.attributes(item, {"future"}).get("future", 0)
                if any(future in cells for cells in linked(callables, mine, _TO_LOOP)):
                    return True
        return self.promises(thread, future)

    def promises(self, thread: Thread, future: int) -> bool:
        """Whether a thread of AnyIO's is at work on what completes that future of a loop."""
        try:
            if future not in self._held(thread):
                return False
            return any(
                inner is not None
                and not self._frames.code(inner.code).rooted.endswith(_IDLE)
                and future in self._frames.locals_of(frame.address, frame.code)
                for frame, inner in self._runs(thread, _ANYIO)
            )
        except Unreadable:
            return False

    def _held(self, thread: Thread) -> list[int]:
        if thread.address not in self._words:
            self._words[thread.address] = self._frames.held(thread.address)
        return self._words[thread.address]

    def _runs(
        self, thread: Thread, *files: str
    ) -> Iterator[tuple[ThreadFrame, ThreadFrame | None]]:
        """The frames of ``run`` of those files, each with the one that it has called."""
        inner: ThreadFrame | None = None
        for frame in self._stacks.frames(thread.address):
            code = self._frames.code(frame.code)
            if code.rooted.endswith(files) and base_name(code.function) == _RUN:
                yield frame, inner
            inner = frame
