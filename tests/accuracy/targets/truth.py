"""What all targets share: they log their own stalls and what waited, on CLOCK_MONOTONIC.

Rows go to the file that TRUTH_LOG names, at once, so that they outlive any end of the target.
Python 3.8 syntax.
"""

import contextlib
import inspect
import itertools
import json
import os
import random
import threading
import time

MARK = "# culprit"
"""Ends every line that may be blamed for a stall."""

_LEAST_NS = 50_000_000
_LOG = os.open(os.environ["TRUTH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_numbers = itertools.count()
_begun = {}


def _say(**row):
    row["pid"] = os.getpid()
    os.write(_LOG, json.dumps(row).encode() + b"\n")


def ready(**facts):
    """Tells the harness that the target runs; ``port`` is where clients may ask."""
    print(json.dumps(facts), flush=True)


def lengths(shortest=0.15, longest=1.1):
    """Endless seconds of stalls: many short ones, some long ones, the same for each run."""
    rng = random.Random(int(os.environ.get("TRUTH_SEED", "1")))
    while True:
        yield shortest * (longest / shortest) ** rng.random()


def begin(kind, culprit, tid=None, anyone=False, root=None, of_tasks=False):
    """Logs that a stall begins; ``culprit`` is a function, a name, or None where none is to blame.

    Several functions that are equally right are in a tuple, or joined by ``|``: in the name, or in
    an attribute ``culprits`` of the function.
    ``tid`` is the thread that should have served: this one unless told, 0 where it is not one.
    ``anyone`` says that no single process should have. ``root`` are the functions, joined by
    ``|``, at which the chain of waits ends; in a deadlock, all that it goes through. ``of_tasks``
    says that nothing but tasks wait, for what other tasks hold.
    """
    name, lines = culprit, []
    if callable(culprit) or isinstance(culprit, tuple):
        some = culprit if isinstance(culprit, tuple) else (culprit,)
        name = "|".join(getattr(one, "culprits", one.__name__) for one in some)
        for source, first in map(inspect.getsourcelines, some):
            lines += [n for n, line in enumerate(source, first) if line.rstrip().endswith(MARK)]
    tid = threading.get_native_id() if tid is None else tid
    number = next(_numbers)
    _begun[number] = tid, _cpu(tid)
    _say(
        stall=number,
        kind=kind,
        function=name,
        lines=lines,
        tid=tid,
        anyone=anyone,
        root=root,
        of_tasks=of_tasks,
        at_ns=time.monotonic_ns(),
    )
    return number


def end(number):
    """Logs that a stall ended, and how long its thread ran and waited for a CPU meanwhile."""
    now_ns = time.monotonic_ns()
    tid, before = _begun.pop(number)
    spent = [now - then for now, then in zip(_cpu(tid), before)]
    _say(ended=number, at_ns=now_ns, **dict(zip(("cpu_ns", "delay_ns"), spent)))


def _cpu(tid):
    """For how long a thread has run, and waited for a CPU (proc(5), schedstat)."""
    if not tid:
        return []
    with open("/proc/self/task/%d/schedstat" % tid) as file:
        return [int(part) for part in file.read().split()[:2]]


@contextlib.contextmanager
def stall(kind, culprit, tid=None):
    """A stall of this thread while the block runs."""
    number = begin(kind, culprit, tid)
    yield
    end(number)


def served(kind, due_ns, tid=None, anyone=False):
    """Called when something that was due at that time is served now; logs it if it was late."""
    now_ns = time.monotonic_ns()
    if now_ns - due_ns >= _LEAST_NS:
        waits(kind, due_ns, now_ns, tid, anyone)


def waits(kind, due_ns, served_ns, tid=None, anyone=False):
    """Logs what waited; ``served_ns`` None: for ever."""
    tid = threading.get_native_id() if tid is None else tid
    _say(wait=kind, due_ns=due_ns, served_ns=served_ns, tid=tid, anyone=anyone)
