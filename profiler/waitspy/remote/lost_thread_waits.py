"""What threads wait for that nobody else refers to: futures, events, and full queues.

The frames of a thread that waits have it in their variables. What they have on their value stacks
is not known while they are in calls; from 3.11 on the arguments of a Python function are in its own
variables only. So it is not told up to 3.10.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from waitspy.model.code_origin import base_name
from waitspy.model.wait_for import Held, Lost
from waitspy.remote.memory import Unreadable
from waitspy.remote.references import References
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import ThreadFrame, ThreadStacks
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
    """Finds it among the threads of one interpreter.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, stacks: ThreadStacks) -> None:
        self._stacks = stacks
        self._frames = stacks.code
        self._objects = stacks.code.objects

    def is_lost(self, subject: int, threads: Sequence[Thread]) -> bool:
        """Whether nobody refers to it but these threads, which are all that wait for it."""
        if self._objects.layout.pair < (3, 11) or len(threads) > _MOST_GROUP:
            return False
        refers = References(self._frames)
        stacks = [self._stacks.frames(thread.address) for thread in threads]
        if refers.count(subject) < _LEAST and not any(self._names(subject, s) for s in stacks):
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
        return [self._stacks.frames(thread.address) for thread in threads] == stacks

    def _names(self, subject: int, frames: Sequence[ThreadFrame]) -> bool:
        """Whether a frame around its methods has it in a variable, from which those borrow it from
        3.14 on.
        """
        return any(
            subject in self._frames.locals_of(frame.address, frame.code)
            for frame in frames
            if not self._frames.code(frame.code).rooted.endswith(FILES)
        )

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
