"""The threads that make room in a full queue: those that take from it.

One that was seen to wait for an item of it during the recording, and has it in a variable still,
does so for sure. One that was seen there, and has it no longer in a variable, may have taken from
another queue at the same address; and what a thread was started with tells what it is likely to
take from (``thread_groups``). Others may take from it, too, now and then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from waitspy.model.wait_for import Holder
from waitspy.remote.memory import Unreadable
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import ThreadStacks

Taking = Callable[[int], Mapping[int, bool]]
"""The threads that take from a queue, each with whether it was seen to do so."""

_MOST = 32
_MOST_FRAMES = 32


class QueueTakers:
    """Finds them among the threads of one interpreter.

    Raises:
        OSError: from every method.
    """

    def __init__(self, stacks: ThreadStacks, taking: Taking) -> None:
        self._stacks = stacks
        self._frames = stacks.code
        self._taking = taking

    def of(self, queue: int, threads: Mapping[int, Thread], waits: int) -> Iterator[Holder]:
        """Those who take from it for sure; else those who seem to. ``waits`` does not itself."""
        taking = self._taking(queue)
        others = sorted(taking.keys() & threads.keys() - {waits})[:_MOST]
        sure = [one for one in others if taking[one] and self._has(threads[one], queue)]
        yield from (Holder(one, "takes" if sure else "reach") for one in sure or others)

    def _has(self, thread: Thread, queue: int) -> bool:
        """Whether a variable of a thread is that object, or the first one of a function has it as
        an attribute: ``self``, in a method.
        """
        with contextlib.suppress(Unreadable):
            frames = self._stacks.frames(thread.address, _MOST_FRAMES)
            every = self._frames.variables([(frame.address, frame.code) for frame in frames])
            if any(queue in variables for variables in every):
                return True
            for variables in every:
                for word, kind in list(variables.items())[:1]:
                    if kind.heap and queue in self._frames.objects.attributes(word).values():
                        return True
        return False
