"""A reader of a process, or the reason why there can be none."""

from __future__ import annotations

from waitspy.remote.memory import Unavailable, Unreadable
from waitspy.remote.reader import Reader


def open_reader(pid: int) -> Reader | str:
    """What reads the memory of a process, or why nothing can."""
    try:
        return Reader(pid)
    except Unavailable as error:
        return str(error)
    except Unreadable:
        return "its memory changed at every try"
    except ProcessLookupError:
        return "the process is gone"
    except OSError as error:
        return f"process_vm_readv: {error.strerror}"
