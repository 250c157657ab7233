"""The names that Python gives to its threads: what ``threading`` holds of each."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from waitspy.remote.anchors import InterpreterState
from waitspy.remote.memory import Unreadable
from waitspy.remote.thread_objects import active


def thread_names(
    interps: Iterable[InterpreterState], first: int, many: int
) -> tuple[dict[int, str], bool]:
    """The names of so many of the threads that interpreters know by one, by their pthread ids;
    and whether there are more after them.
    """
    found: dict[int, str] = {}
    for interp in interps:
        if many <= 0:
            return found, True
        with suppress(Unreadable):  # something changed while it was read
            every = active(interp)
            some = every[first : first + many]
            idents = interp.objects.integers([key for key, _ in some])
            for ident, (_, thread) in zip(idents, some, strict=True):
                with suppress(Unreadable):  # it is just starting
                    name = interp.objects.attributes(thread, {"_name"}).get("_name")
                    if name is not None and ident is not None:
                        found[ident] = interp.objects.text(name)
            many = 0 if len(every) > first + many else many - len(some)
            first = max(0, first - len(every))
    return found, many <= 0
