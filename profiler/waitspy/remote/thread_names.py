"""The names that Python gives to its threads: what ``threading`` holds of each."""

from __future__ import annotations

from contextlib import suppress

from waitspy.remote.anchors import InterpreterState
from waitspy.remote.memory import Unreadable
from waitspy.remote.thread_objects import active


def thread_names(interp: InterpreterState) -> dict[int, str]:
    """The name of each thread that an interpreter knows by one, by its pthread id.

    Raises:
        Unreadable: something changed while it was read.
    """
    found: dict[int, str] = {}
    for key, thread in active(interp):
        with suppress(Unreadable):  # it is just starting
            name = interp.objects.attributes(thread, {"_name"}).get("_name")
            if name is not None:
                found[interp.objects.integer(key)] = interp.objects.text(name)
    return found
