"""Threads that wait for what others hold, in many ways; the first line tells the truth of each.

Python 3.8 syntax. Says, by case, who waits, for what kind of thing, who holds it, how that can be
known and at which line it was taken.
"""

import contextlib
import importlib.machinery
import json
import os
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

CASES = {}


def here():
    """The line after the one that asks."""
    return sys._getframe(1).f_lineno + 1


class Case:
    """One waiter and what it waits for; a holder says when it has it."""

    def __init__(self, name, kind, how=None):
        self.told = {"kind": kind, "how": how, "waits": 0, "holders": [], "lines": []}
        CASES[name] = self.told

    def holds(self, line=None):
        self.told["holders"].append(threading.get_native_id())
        self.told["lines"].append(line)

    def held_by(self, function, count=1):
        for _ in range(count):
            start(function)
        until(lambda: len(self.told["holders"]) >= count)

    def waited_by(self, function):
        def wait():
            self.told["waits"] = threading.get_native_id()
            function()

        start(wait)
        until(lambda: self.told["waits"])


def start(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def until(true):
    while not true():
        time.sleep(0.001)


def forever():
    time.sleep(600)


def with_lock():
    case, lock, before = Case("with lock", "lock", "with"), threading.Lock(), threading.Lock()

    def hold():
        with before:
            pass  # what it leaves behind on the stack must not be believed
        line = here()
        with lock:
            case.holds(line)
            forever()

    def wait():
        with lock:
            pass

    case.held_by(hold)
    case.waited_by(wait)
    # the lock that it has left is held by hand: nobody can be named
    left = Case("left before", "lock")
    before.acquire()

    def wait_before():
        before.acquire()

    left.waited_by(wait_before)


def importing():
    """Who imports a module keeps others who want it from that; its name has to be new."""
    case = Case("importing", "lock", "owner")
    name = "waited_for_%d" % os.getpid()

    class Module:
        @staticmethod
        def find_spec(wanted, path=None, target=None):
            return importlib.machinery.ModuleSpec(name, Module) if wanted == name else None

        @staticmethod
        def create_module(spec):
            return None

        @staticmethod
        def exec_module(module):
            case.holds()
            forever()

    def want():
        __import__(name)

    sys.meta_path.insert(0, Module)
    case.held_by(want)
    case.waited_by(want)


def deep_in_blocks():
    case, lock, outer = Case("deep in blocks", "lock", "with"), threading.Lock(), threading.Lock()

    def hold():
        for _ in range(2):
            with contextlib.suppress(ValueError):
                try:
                    with outer:
                        line = here()
                        with lock:
                            for _ in [1]:
                                try:
                                    case.holds(line)
                                    [forever() for _ in range(1)]
                                finally:
                                    time.sleep(0)
                except KeyError:
                    pass

    case.held_by(hold)
    case.waited_by(lambda: lock.acquire(timeout=600))


def twice_at_one_depth():
    case, locks = Case("twice at one depth", "lock", "with"), [threading.Lock() for _ in range(2)]

    def hold():
        with locks[0]:
            time.sleep(0)
        line = here()
        with locks[1]:
            case.holds(line)
            forever()

    case.held_by(hold)
    case.waited_by(locks[1].acquire)


def in_handler():
    case, lock = Case("in a handler", "lock", "with"), threading.Lock()

    def hold():
        line = here()
        with lock:
            try:
                int("no number")
            except ValueError:
                case.holds(line)
                forever()

    case.held_by(hold)
    case.waited_by(lock.acquire)


def with_rlock():
    case, lock = Case("with rlock", "lock", "owner"), threading.RLock()

    def hold():
        line = here()
        with lock:
            lock.acquire()
            case.holds(line)
            forever()

    def wait():
        with lock:
            pass

    case.held_by(hold)
    case.waited_by(wait)


def rlock_by_hand():
    case, lock = Case("rlock by hand", "lock", "owner"), threading.RLock()

    def hold():
        lock.acquire()
        case.holds()
        forever()

    case.held_by(hold)
    case.waited_by(lambda: lock.acquire())


def condition():
    case, one = Case("condition", "lock", "with"), threading.Condition(threading.Lock())
    signal, waits = Case("signal", "condition"), threading.Condition(threading.Lock())

    def wait_for_signal():
        with one:
            case.told["beside"] = True
            one.wait(600)  # is in the block, and does not hold the lock

    def hold():
        line = here()
        with one:
            case.holds(line)
            forever()

    def wait():
        with one:
            pass

    start(wait_for_signal)
    until(lambda: "beside" in case.told)
    case.held_by(hold)
    case.waited_by(wait)

    def wait_alone():
        with waits:
            waits.wait()

    signal.waited_by(wait_alone)


def generator_block():
    case, lock = Case("block of a generator", "lock", "with"), threading.Lock()
    lines = []

    @contextlib.contextmanager
    def locked():
        lines.append(here())
        with lock:
            yield

    def hold():
        with locked():
            case.holds(lines[0])
            forever()

    case.held_by(hold)
    case.waited_by(lock.acquire)


def semaphore():
    case, two = Case("semaphore", "semaphore", "with"), threading.Semaphore(2)

    def hold():
        line = here()
        with two:
            case.holds(line)
            forever()

    def wait():
        with two:
            pass

    case.held_by(hold, 2)
    case.waited_by(wait)


def joined():
    case = Case("join", "thread", "join")

    def end():
        case.holds()
        forever()

    thread = start(end)
    until(lambda: case.told["holders"])
    case.waited_by(thread.join)


def work_item():
    case, pool = Case("future", "future", "work-item"), ThreadPoolExecutor(1)

    def work():
        case.holds()
        forever()

    future = pool.submit(work)
    until(lambda: case.told["holders"])
    case.waited_by(future.result)


def queues():
    full, empty = Case("full queue", "full-queue"), Case("empty queue", "queue")
    joined, undone = Case("joined queue", "joined-queue"), queue.Queue()
    undone.put(1)
    joined.waited_by(undone.join)
    mutex = Case("mutex of a queue", "lock", "with")
    one, none, kept = queue.Queue(1), queue.Queue(), queue.Queue()
    one.put(1)
    full.waited_by(lambda: one.put(2))
    empty.waited_by(none.get)

    def hold():
        line = here()
        with kept.mutex:
            mutex.holds(line)
            forever()

    mutex.held_by(hold)
    mutex.waited_by(lambda: kept.put(1))


def others():
    Case("event", "event").waited_by(threading.Event().wait)
    Case("barrier", "barrier").waited_by(threading.Barrier(2).wait)
    lock = threading.Lock()
    lock.acquire()

    def wait():
        lock.acquire()

    Case("by hand", "lock").waited_by(wait)


class ByHand:
    """Who takes its lock by hand has a ``try`` block behind that."""

    def __init__(self):
        self.lock, self.line = threading.Lock(), None

    def take(self, then):
        self.line = here()
        self.lock.acquire()
        try:
            then()
        finally:
            self.lock.release()


def try_blocks():
    case, one = Case("try behind", "lock", "reach"), ByHand()
    case.held_by(lambda: one.take(lambda: (case.holds(one.line), forever())))
    case.waited_by(lambda: one.take(None))
    # the holder of another one does not hold this one
    other = ByHand()
    other.lock.acquire()
    Case("try behind another lock", "lock").waited_by(lambda: other.take(None))
    lock, stands = threading.Lock(), []

    def take(own):
        lock.acquire()
        try:
            own()
        finally:
            lock.release()
        stands.append(1)
        forever()

    start(lambda: take(int))  # has given it back
    until(lambda: stands)
    lock.acquire()
    Case("behind the try block", "lock").waited_by(lambda: take(None))


def try_blocks_of_others():
    stands = []
    places, held = threading.Semaphore(2), Case("semaphore by hand", "semaphore", "reach")

    def enter(own):
        line = here()
        places.acquire()
        try:
            own(line)
        except ValueError:
            pass
        finally:
            places.release()

    held.held_by(lambda: enter(lambda line: (held.holds(line), forever())), count=2)
    held.waited_by(lambda: enter(None))
    within, kept = Case("try block of a generator", "lock", "reach"), threading.Lock()
    lines = []

    @contextlib.contextmanager
    def taken():
        lines.append(here())
        kept.acquire()
        try:
            yield
        finally:
            kept.release()

    def inside(own):
        with taken():
            own()

    within.held_by(lambda: inside(lambda: (within.holds(lines[0]), forever())))
    within.waited_by(lambda: inside(None))
    items = threading.Semaphore(1)

    def work():
        while True:
            items.acquire()  # one more has come
            try:
                stands.append(2)
                forever()
            except ValueError:
                pass

    start(work)
    until(lambda: 2 in stands)
    Case("semaphore as a signal", "semaphore").waited_by(work)


def ring():
    locks = [threading.Lock(), threading.Lock()]
    cases = [Case(f"ring {n}", "lock", "with") for n in range(2)]
    both = threading.Barrier(2)

    def run(n):
        line = here()
        with locks[n]:
            cases[1 - n].holds(line)
            both.wait()
            cases[n].told["waits"] = threading.get_native_id()
            with locks[1 - n]:
                pass

    for n in range(2):
        start(lambda n=n: run(n))
    until(lambda: all(case.told["waits"] for case in cases))


def own_lock():
    """One that wants its own lock again."""
    case, lock = Case("its own lock", "lock", "with"), threading.Lock()

    def hold():
        line = here()
        with lock:
            case.holds(line)
            case.told["waits"] = threading.get_native_id()
            with lock:
                pass

    case.held_by(hold)


def runs():
    """The one who holds it computes."""
    case, lock = Case("holder that runs", "lock", "with"), threading.Lock()

    def hold():
        line = here()
        with lock:
            case.holds(line)
            while True:
                time.sleep(0.001)
                sum(range(1000))

    case.held_by(hold)
    case.waited_by(lock.acquire)


for each in (
    with_lock, deep_in_blocks, twice_at_one_depth, in_handler, with_rlock, rlock_by_hand,
    condition, generator_block, semaphore, joined, work_item, queues, others, try_blocks, try_blocks_of_others, ring,
    own_lock, importing,
    runs,
):  # fmt: skip
    each()
time.sleep(0.3)  # for those that only begin to wait
print(json.dumps({"cases": CASES}), flush=True)
time.sleep(600)
