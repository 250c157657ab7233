"""What runs a process's program, of all that waitspy knows: a Python, or Node.js."""

from __future__ import annotations

from waitspy.kernel import procfs
from waitspy.target import interpreter, node
from waitspy.target.interpreter import Interpreter


def identify(pid: int) -> Interpreter | None:
    """The runtime that the process has mapped; None when it has none that is known here.

    A Node that has loaded a Python is a Python: then more can be seen. Raises as
    ``interpreter.identify``.
    """
    return interpreter.identify(pid) or node.identify(pid)


def is_known(pid: int, *, unsure: bool = True) -> bool:
    """Whether it runs one of any kind; ``unsure`` when this user may not see what it runs."""
    try:
        return identify(pid) is not None
    except PermissionError:
        stat = procfs.stats([pid]).get(pid)
        return unsure and stat is not None and not stat.kernel_thread
    except ProcessLookupError:
        return False
