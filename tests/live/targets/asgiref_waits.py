"""Threads and tasks that wait for each other by asgiref; the first line tells the truth.

Python 3.8 syntax, asgiref 3.8 and newer. By case: who waits, for what kind of thing, by whom it is
done (the function of a task, or the thread whose loop has to begin it), and for whom that task
waits: what kind of thing, and the function of that task, or the thread.
"""

import asyncio
import json
import sys
import threading
import time

from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async

CASES = {}
LOOPS = []
NEW = sys.version_info >= (3, 9)  # asgiref 3.8 runs the coroutine itself, and has one executor


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
    def __init__(self, name, how="task", task=None, then=None):
        self.told = {
            "kind": "future", "how": how, "waits": 0, "tasks": [task] if task else [], "line": None,
            "thread": None, "loop": 0, "then": then, "count": int(then is not None), "peer": None,
        }  # fmt: skip
        CASES[name] = self.told

    def on_loop(self, view):
        """Runs it in a thread of its own, as a server does with a synchronous view."""

        async def serve():
            self.told["loop"] = threading.get_native_id()
            async with ThreadSensitiveContext():
                await sync_to_async(view)()

        start(lambda: asyncio.run(serve()))

    def waits(self):
        self.told["waits"] = threading.get_native_id()


def own_loop():
    task = "new_loop_wrap" if NEW else "main_wrap"
    case, begun = Case("a loop of its own", task=task), threading.Event()

    async def work():
        case.told["loop"] = threading.get_native_id()
        begun.set()
        await asyncio.sleep(600)

    def view():
        case.waits()
        async_to_sync(work)()

    start(view)
    begun.wait()


def main_loop():
    case, begun = Case("the server's loop", task="main_wrap"), threading.Event()

    async def work():
        begun.set()
        await asyncio.sleep(600)

    def view():
        case.waits()
        async_to_sync(work)()

    case.on_loop(view)
    begun.wait()


def asyncio_lock():
    one_asyncio_lock("asyncio.Lock", ["lock", "keep"])


def asyncio_lock_given_up():
    """Who waits in its condition is in a block of it, too; nobody can say who has it."""
    one_asyncio_lock("given up", None)


def one_asyncio_lock(name, then):
    case, begun = Case(name, task="main_wrap", then=then), threading.Event()

    async def keep(lock):
        async with lock:
            await (asyncio.sleep(600) if then else asyncio.Condition(lock).wait())

    async def work():
        lock = asyncio.Lock()
        case.kept = asyncio.ensure_future(keep(lock))
        await asyncio.sleep(0.05)
        if not then:
            await lock.acquire()
        begun.set()
        await lock.acquire()

    def view():
        case.waits()
        async_to_sync(work)()

    case.on_loop(view)
    begun.wait()


def blocked_loop():
    case, begun = Case("a loop that is blocked", task="main_wrap"), threading.Event()

    async def work():
        begun.set()
        forever()

    def view():
        case.waits()
        async_to_sync(work)()

    case.on_loop(view)
    begun.wait()


def not_begun():
    case, blocked = Case("not begun", how="loop"), threading.Event()

    async def work():
        pass

    def block():
        blocked.set()
        forever()

    def view():
        LOOPS[0].call_soon_threadsafe(block)
        blocked.wait()
        case.waits()
        async_to_sync(work)()

    async def serve():
        LOOPS.append(asyncio.get_running_loop())
        case.told["thread"] = threading.get_native_id()
        async with ThreadSensitiveContext():
            await sync_to_async(view)()

    start(lambda: asyncio.run(serve()))
    until(lambda: case.told["waits"])


def queued_behind_itself():
    """The thread that alone may run it waits for it."""
    case, begun = Case("ring", task="work", then=["future", 0]), threading.Event()

    async def work():
        begun.set()
        await sync_to_async(forever)()

    async def serve():
        case.told["loop"] = threading.get_native_id()
        loop = asyncio.get_running_loop()

        def view():
            case.waits()
            case.told["then"][1] = threading.get_native_id()
            asyncio.run_coroutine_threadsafe(work(), loop).result()

        async with ThreadSensitiveContext():
            await sync_to_async(view)()

    start(lambda: asyncio.run(serve()))
    begun.wait()


def queued_for_outer():
    """A thread serves an inner executor only, while work is queued in its outer one."""
    case, begun = Case("nested", task="main_wrap", then=["task", "other"]), threading.Event()
    tasks = []

    async def other():
        while not case.told["waits"]:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        begun.set()
        await sync_to_async(forever)()

    async def inner():
        await tasks[0]

    def view():
        case.waits()
        async_to_sync(inner)()

    async def outer():
        case.told["loop"] = threading.get_native_id()
        tasks.append(asyncio.ensure_future(other()))
        await sync_to_async(view)()

    start(async_to_sync(outer))
    begun.wait()


def busy_caller():
    """A thread that waits for a task makes the call that another task waits for."""
    case, begun = Case("at work", task="work", then=["future", 0]), threading.Event()

    def call():
        case.told["then"][1] = threading.get_native_id()
        begun.set()
        forever()

    async def work():
        await sync_to_async(call)()

    async def outer():
        case.told["loop"] = threading.get_native_id()
        future = asyncio.run_coroutine_threadsafe(work(), asyncio.get_running_loop())

        def wait():
            case.waits()
            future.result()

        start(wait)
        await asyncio.sleep(600)

    start(async_to_sync(outer))
    begun.wait()


for each in (
    own_loop, main_loop, asyncio_lock, asyncio_lock_given_up, blocked_loop, not_begun, queued_behind_itself, queued_for_outer,
    busy_caller,
):  # fmt: skip
    if NEW or each is not queued_for_outer:
        each()
until(lambda: all(case["waits"] for case in CASES.values()))
time.sleep(0.3)  # for those that only begin to wait
print(json.dumps({"cases": CASES}), flush=True)
forever()
