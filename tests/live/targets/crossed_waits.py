"""Threads that wait for what tasks hold or have to hand in, and tasks that wait for threads.

Python 3.8 syntax. The first line tells the truth: by case, who waits, for what kind of thing, which
tasks hold it (by the function that each runs) or which thread, how that is known, at which line it
was taken, and whom the task waits for, by one of them and how many. Every case has a loop and a
thread of its own.
"""

import asyncio
import contextlib
import json
import queue
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

CASES = {}
KEPT = []


def here():
    """The line after the one that asks."""
    return sys._getframe(1).f_lineno + 1


def start(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def until(true):
    while not true():
        time.sleep(0.001)


def forever():
    time.sleep(600)


class Case:
    """``tasks`` are pairs of a function and the line at which it took what it holds."""

    def __init__(self, name, kind, how=None):
        self.loop = asyncio.new_event_loop()
        self.told = {
            "kind": kind, "how": how, "waits": 0, "tasks": [], "line": None, "thread": None,
            "loop": 0, "then": None, "count": 0, "peer": None,
        }  # fmt: skip
        CASES[name] = self.told
        start(self.run)
        until(lambda: self.told["loop"])

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(lambda: self.told.update(loop=threading.get_native_id()))
        self.loop.run_forever()

    def task(self, function):
        """Starts it, and returns when it stands in its last wait."""
        stands = threading.Event()
        self.loop.call_soon_threadsafe(lambda: self.keep(function(stands.set)))
        stands.wait()

    def keep(self, coroutine):
        self.kept = asyncio.ensure_future(coroutine)

    def waited_by(self, function):
        def wait():
            self.told["waits"] = threading.get_native_id()
            function()

        start(wait)
        until(lambda: self.told["waits"])

    def held(self, function, line):
        self.told["tasks"].append(function)
        self.told["line"] = line


async def last(stands):
    stands()
    await asyncio.sleep(600)


def lock():
    case, one, before = Case("lock", "lock", "with"), threading.Lock(), threading.Lock()

    async def hold(stands):
        with before:
            await asyncio.sleep(0)  # what it leaves behind must not be believed
        line = here()
        with one:
            case.held("hold", line)
            for _ in range(2):
                with contextlib.suppress(KeyError):
                    await last(stands)

    case.task(hold)
    case.waited_by(one.acquire)
    left = Case("left before", "lock")
    before.acquire()
    left.waited_by(lambda: before.acquire())


def in_generator():
    case, one, lines = Case("generator", "lock", "with"), threading.Lock(), []

    @contextlib.asynccontextmanager
    async def locked():
        lines.append(here())
        with one:
            yield

    async def hold(stands):
        async with locked():
            case.held("hold", lines[0])
            await last(stands)

    case.task(hold)
    case.waited_by(one.acquire)


def rlock():
    case, one = Case("rlock", "lock", "owner"), threading.RLock()

    async def hold(stands):
        line = here()
        with one:
            case.held("hold", line)
            await last(stands)

    case.task(hold)

    def wait():
        with one:
            pass

    case.waited_by(wait)


def condition():
    case, one = Case("condition", "lock", "with"), threading.Condition(threading.Lock())

    async def hold(stands):
        line = here()
        with one:
            case.held("hold", line)
            await last(stands)

    case.task(hold)

    def wait():
        with one:
            pass

    case.waited_by(wait)


def full_queue():
    """Its mutex is the lock of its conditions, too."""
    case, one = Case("queue", "lock", "with"), queue.Queue()

    async def hold(stands):
        line = here()
        with one.mutex:
            case.held("hold", line)
            await last(stands)

    case.task(hold)
    case.waited_by(lambda: one.put(1))


def semaphore():
    case, two = Case("semaphore", "semaphore", "with"), threading.Semaphore(2)

    async def hold(stands):
        line = here()
        with two:
            case.held("hold", line)
            await last(stands)

    case.task(hold)
    case.task(hold)

    def wait():
        with two:
            pass

    case.waited_by(wait)


def own_loop():
    """The loop's own thread wants what one of its tasks holds."""
    case, one = Case("own loop", "lock", "with"), threading.Lock()

    async def hold(stands):
        line = here()
        with one:
            case.held("hold", line)
            await last(stands)

    case.task(hold)

    def wait():
        case.told["waits"] = threading.get_native_id()
        one.acquire()

    case.loop.call_soon_threadsafe(wait)
    until(lambda: case.told["waits"])


def threadsafe():
    case = Case("run_coroutine_threadsafe", "future", "task")
    stands = threading.Event()

    async def work():
        await last(stands.set)

    case.told["tasks"].append("work")
    case.waited_by(asyncio.run_coroutine_threadsafe(work(), case.loop).result)
    stands.wait()


def threadsafe_on_its_own_loop():
    """What it waits for can never begin."""
    case = Case("from its own loop", "future", "loop")

    async def work():
        pass

    def wait():
        case.told["waits"] = case.told["thread"] = threading.get_native_id()
        asyncio.run_coroutine_threadsafe(work(), case.loop).result()

    case.loop.call_soon_threadsafe(wait)
    until(lambda: case.told["waits"])


def behind_a_blocked_loop():
    """The task has begun, and cannot go on: its loop is blocked."""
    case = Case("runs no more", "future", "task")
    stands = threading.Event()

    async def work():
        stands.set()
        forever()

    case.told["tasks"].append("work")
    case.waited_by(asyncio.run_coroutine_threadsafe(work(), case.loop).result)
    stands.wait()


def of_thread():
    """A task holds it that waits for a thread of a pool, which wants it, too."""
    case, one, pool = Case("ring", "lock", "with"), threading.Lock(), ThreadPoolExecutor(1)

    def item():
        case.told["waits"] = threading.get_native_id()
        one.acquire()

    async def hold(stands):
        line = here()
        with one:
            case.held("hold", line)
            work = case.loop.run_in_executor(pool, item)
            stands()
            await work

    case.task(hold)
    until(lambda: case.told["waits"])
    case.told.update(then=["future", case.told["waits"]], count=1)


def of_other_thread():
    """The task waits for a thread that is at work on something else."""
    case, one, pool = Case("work item", "lock", "with"), threading.Lock(), ThreadPoolExecutor(2)
    case.told.update(then=["future", 0], count=1)

    def item():
        case.told["then"][1] = threading.get_native_id()
        forever()

    async def hold(stands):
        line = here()
        with one:
            case.held("hold", line)
            work = case.loop.run_in_executor(pool, item)
            stands()
            await work

    pool.submit(time.sleep, 0).result()
    case.task(hold)
    until(lambda: case.told["then"][1])
    case.waited_by(one.acquire)


def of_peer():
    """The task waits for a peer that does not read."""
    case, one = Case("peer", "lock", "with"), threading.Lock()
    listener = socket.create_server(("127.0.0.1", 0))

    async def hold(stands):
        line = here()
        with one:
            case.held("hold", line)
            _, writer = await asyncio.open_connection(*listener.getsockname())
            KEPT.append(writer)
            writer.write(bytes(20_000_000))
            stands()
            await writer.drain()

    case.told["peer"] = listener.getsockname()[1]
    case.task(hold)
    KEPT.extend(listener.accept())
    case.waited_by(one.acquire)


async def by_group(inner, done):
    async with asyncio.TaskGroup() as group:
        for coroutine in (inner, done):
            group.create_task(coroutine)


async def in_vain(inner, done):
    """Nobody is known to make the last one."""
    await asyncio.gather(inner, done, asyncio.get_running_loop().create_future())


HELPERS = {
    "task": lambda inner, done: asyncio.gather(done, asyncio.ensure_future(inner)),
    "gather": lambda *both: asyncio.gather(*both, return_exceptions=True),
    "shield": lambda inner, done: asyncio.shield(asyncio.gather(inner, done)),
    "wait": lambda *both: asyncio.wait([asyncio.ensure_future(one) for one in both]),
    "wait_for": lambda inner, done: asyncio.wait_for(asyncio.gather(done, inner), 600),
    "wait_for a task": lambda inner, done: asyncio.wait_for(asyncio.shield(inner), 600),
    "nobody": in_vain,
}
if sys.version_info >= (3, 11):
    HELPERS["group"] = by_group


def of_tasks():
    for name, helper in HELPERS.items():
        of_task(name, helper)
    of_task("two", lambda inner, _: asyncio.gather(inner, last(lambda: None)), 2)


def of_task(name, helper, count=1):
    case, one = Case(name, "lock", "with"), threading.Lock()
    if helper is not in_vain:
        case.told.update(then=["task", "inner"], count=count)

    async def inner(stands):
        await asyncio.sleep(0.01)
        await last(stands)

    async def done():
        pass

    async def hold(stands):
        line = here()
        with one:
            case.held("hold", line)
            await helper(inner(stands), done())

    case.task(hold)
    case.waited_by(one.acquire)


for each in (
    lock, in_generator, rlock, condition, full_queue, semaphore, own_loop, threadsafe,
    threadsafe_on_its_own_loop, behind_a_blocked_loop, of_thread, of_other_thread, of_peer, of_tasks,
):  # fmt: skip
    each()
time.sleep(0.3)  # for those that only begin to wait
print(json.dumps({"cases": CASES}), flush=True)
time.sleep(600)
