"""Event loops in known states. MODE [uvloop]; the first line says the truth, as JSON.

After it the target blocks in a read of its standard input (mode by mode: see the functions), and
ends when that is closed. Runs on Python 3.8 and newer.
"""

import asyncio
import json
import os
import selectors
import sys
import threading
import time


def say(**truth):
    print(json.dumps(truth), flush=True)


def tid():
    return threading.get_native_id()


def block():
    """Blocks in a call that lets nothing else of this thread run."""
    return os.read(0, 1)


def new_loop():
    if "uvloop" in sys.argv:
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def line_of(function):
    return function.__code__.co_firstlineno


# --- a loop that is blocked -------------------------------------------------------------------


async def sleeper(seconds):
    await asyncio.sleep(seconds)


async def inner(event):
    await event.wait()


async def waiter(event):
    await inner(event)


async def fresh():
    await asyncio.sleep(0)


async def limited(future):
    await asyncio.wait_for(future, 0.1)


async def limited_by_timeout(future):
    async with asyncio.timeout(0.1):
        await future


def overdue_callback():
    raise AssertionError("it must not run")


class Owner:
    def method(self):
        raise AssertionError("it must not run")


async def blocked(loop, then=None):
    event, never = asyncio.Event(), loop.create_future()
    sleepers = [loop.create_task(sleeper(0.2)) for _ in range(20)]
    waiters = [loop.create_task(waiter(event)) for _ in range(3)]
    waiting = [loop.create_task(waiter(asyncio.Event())) for _ in range(2)]
    far = loop.create_task(sleeper(3600))
    guarded = [loop.create_task(limited(never))]
    if hasattr(asyncio, "timeout"):
        guarded.append(loop.create_task(limited_by_timeout(never)))
    await asyncio.sleep(0.02)
    timers = [loop.call_later(0.15, overdue_callback), loop.call_later(0.16, Owner().method)]
    cancelled = loop.call_later(3600, overdue_callback)
    cancelled.cancel()
    unstarted = [loop.create_task(fresh()) for _ in range(2)]
    event.set()
    loop.call_soon(Owner().method)
    now = loop.time()
    tasks = [*sleepers, *waiters, *waiting, far, *guarded, *unstarted]
    end = time.monotonic() + 0.3
    if then is not None:
        then()
    while time.monotonic() < end:
        pass
    own = "uvloop" not in sys.argv
    say(
        tid=tid(),
        pending=len(asyncio.all_tasks()),
        runnable=len(waiters) + len(unstarted),
        overdue=len(sleepers) + len(timers) + len(guarded),
        total=len(sleepers) + len(timers) + len(guarded) + 1 + own,
        cancelled=int(own),
        ready=len(waiters) + len(unstarted) + 1,
        guards=len(guarded),
        now_s=now,
        sleeper_line=line_of(sleeper) + 1,
        inner_line=line_of(inner) + 1,
        owner_line=line_of(Owner.method),
        callback_line=line_of(overdue_callback),
        epfd=epoll_fds(),
        names=sorted(set_names(waiters + unstarted)),
        all=len(tasks) + 1,
    )
    block()
    os._exit(0)


def set_names(tasks):
    """Their names, where asking does not change how they are kept."""
    return [task.get_name() for task in tasks]


def epoll_fds():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name) == "anon_inode:[eventpoll]":
                found.append(int(name))
        except OSError:
            pass
    return found


def run_blocked(then=None):
    loop = new_loop()
    loop.run_until_complete(blocked(loop, then))


def run_among_timers():
    """The first of five timers that are due together blocks; another one is not due yet."""
    loop = new_loop()

    def first():
        say(waiting=4)
        block()
        os._exit(0)

    loop.call_later(0.01, first)
    for _ in range(4):
        loop.call_later(0.03, overdue_callback)
    loop.call_later(3600, overdue_callback)
    time.sleep(0.1)
    loop.run_forever()


# --- a loop that is parked --------------------------------------------------------------------


async def background():
    while True:
        await asyncio.sleep(0.05)


async def job(loop):
    tasks = [loop.create_task(background()) for _ in range(7)]
    await asyncio.sleep(0.01)
    tasks += [loop.create_task(fresh()) for _ in range(2)]
    loop.kept = tasks if hasattr(loop, "__dict__") else None
    return tasks


class Worker(threading.Thread):
    """Runs a job on its loop, then waits outside of it."""

    def __init__(self, queue):
        super().__init__(daemon=True)
        self.queue = queue
        self.loop = new_loop()
        self.kept = None

    def run(self):
        while True:
            done = self.queue.get()
            self.kept = self.loop.run_until_complete(job(self.loop))
            self.tid = tid()
            done.set()


def run_parked():
    import queue

    jobs, done = queue.Queue(), threading.Event()
    worker = Worker(jobs)
    worker.start()
    jobs.put(done)
    done.wait()
    owner, loop = worker.tid, worker.loop
    pending = len(asyncio.all_tasks(loop))
    del worker, loop
    time.sleep(0.1)
    # uvloop runs once more after the job is done, asyncio does not: the new tasks tell
    say(tid=owner, pending=pending, runnable=pending - 7, ready=pending - 7, overdue=7)
    block()


def run_history():
    """A loop that runs, and after a line is parked where other threads hold it too."""
    loop = new_loop()

    async def main():
        say(tid=tid())
        sys.stdin.readline()

    def hold(held):
        forever.wait()
        del held

    loop.run_until_complete(main())
    for _ in range(2):
        threading.Thread(target=hold, args=(loop,), daemon=True).start()
    say(parked=True)
    block()


# --- loops without tasks, of unusual types, in threads ----------------------------------------


class Mixin:
    pass


class MixedLoop(Mixin, asyncio.SelectorEventLoop):
    """A loop whose first base is no loop."""


class PollLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        super().__init__(selectors.PollSelector())


class Holder:
    """Keeps a loop as an attribute, as servers do."""

    def __init__(self, loop):
        self.loop = loop

    def wait(self, ready):
        truths["attribute"] = tid()
        ready.set()
        forever.wait()


truths = {}
forever = threading.Event()


def in_local(ready):
    loop = MixedLoop()
    truths["local"] = tid()
    ready.set()
    forever.wait()
    loop.close()


def running_idle(ready):
    loop = PollLoop()
    truths["running"] = tid()
    loop.call_soon(ready.set)
    loop.run_forever()


def closed_in_local(ready):
    loop = asyncio.new_event_loop()
    loop.close()
    truths["closed"] = tid()
    ready.set()
    forever.wait()
    del loop


def run_threads():
    first = Holder(asyncio.new_event_loop())
    for target in (in_local, running_idle, closed_in_local, first.wait):
        ready = threading.Event()
        threading.Thread(target=target, args=(ready,), daemon=True).start()
        ready.wait()
    del first, target
    say(**truths)
    block()


# --- exact counts -----------------------------------------------------------------------------


def run_counter():
    """Every line read runs exactly that many callbacks and one more, which reads again."""
    loop = new_loop()

    def nothing():
        pass

    def turn():
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        for _ in range(int(line)):
            loop.call_soon(nothing)
        loop.call_soon(told)

    def told():
        say(blocked=True)
        turn()

    loop.call_soon(told)
    loop.run_forever()


# --- load -------------------------------------------------------------------------------------


async def spark():
    for _ in range(3):
        await asyncio.sleep(0)


async def churn(loop, width, pause):
    while True:
        timers = [loop.call_later(0.0005 * i, int) for i in range(20)]
        await asyncio.gather(*[spark() for _ in range(width)])
        for timer in timers[::2]:
            timer.cancel()
        if pause:
            await asyncio.sleep(pause)


async def anchored(loop, anchors, pause):
    kept = [loop.create_task(waiter(asyncio.Event())) for _ in range(anchors)]
    await asyncio.sleep(0.01)
    say(tid=tid(), anchors=anchors)
    await churn(loop, 100, pause)
    del kept


def run_busy():
    """At full speed, beside tasks that never change."""
    loop = new_loop()
    loop.run_until_complete(anchored(loop, 50, 0))


def run_gentle():
    """Bursts of work, with pauses in the loop's own poll."""
    loop = new_loop()
    loop.run_until_complete(anchored(loop, 50, 0.02))


def run_beside():
    """A blocked loop beside a thread whose loop runs at full speed."""

    def other():
        loop = new_loop()
        loop.run_until_complete(churn(loop, 100, 0))

    run_blocked(threading.Thread(target=other, daemon=True).start)


# --- many, and idle ---------------------------------------------------------------------------


async def nested(depth, seconds):
    if depth:
        await nested(depth - 1, seconds)
    else:
        await asyncio.sleep(seconds)


async def many(loop, count):
    tasks = [loop.create_task(nested(2, 0.05 if n % 2 else 3600)) for n in range(count - 1)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(0.06)
    say(tid=tid(), pending=count, total=count - 1, overdue=sum(n % 2 for n in range(count - 1)))
    block()
    del tasks
    os._exit(0)


def run_many():
    loop = new_loop()
    loop.run_until_complete(many(loop, int(sys.argv[-1])))


async def idle(loop):
    async def handle(reader, writer):
        while await reader.readline():
            pass

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
    await asyncio.sleep(0.05)
    task = loop.create_task(sleeper(3600))
    loop.call_later(
        0.1, lambda: say(tid=tid(), pending=len(asyncio.all_tasks(loop)), clients=len(clients))
    )
    await loop.run_in_executor(None, block)
    del task
    os._exit(0)


def run_idle():
    loop = new_loop()
    loop.run_until_complete(idle(loop))


globals()["run_" + sys.argv[1]]()
