"""Programs that a server has started, with pipes that it reads, or does not. Python 3.8 syntax.

Usage: piped_children.py harmful | harmless | STORY...: all of them at once, in threads and in tasks
of one loop. The first line of output says the pid of each child.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from subprocess import PIPE

OUTPUT = ["head", "-c", "1000000", "/dev/zero"]
ERRORS = ["sh", "-c", "while :; do echo a line of an error, one of very many >&2; done"]
SOME_ERRORS = ["sh", "-c", "head -c 1000000 /dev/zero >&2"]
STARTED = {}


def start(name, argv, **more):
    child = subprocess.Popen(argv, **more)
    STARTED[name] = child.pid
    return child


async def start_task(name, argv, **more):
    child = await asyncio.create_subprocess_exec(*argv, **more)
    STARTED[name] = child.pid
    return child


# --- nobody reads what the child writes, and the server waits for the child ----------------------


async def task_reads_the_other_pipe():
    child = await start_task("task", ERRORS, stdout=PIPE, stderr=PIPE)
    await child.stdout.read()


async def task_gathers():
    child = await start_task("gathers", ERRORS, stdout=PIPE, stderr=PIPE)
    await asyncio.gather(child.stdout.read(), child.wait())


async def task_waits():
    child = await start_task("waits", OUTPUT, stdout=PIPE)
    await child.wait()


def thread_waits():
    child = start("thread", OUTPUT, stdout=PIPE)
    child.wait()


def thread_reads_the_other_pipe():
    child = start("thread reads", ERRORS, stdout=PIPE, stderr=PIPE)
    child.stdout.read()


def thread_writes():
    child = start("filter", ["cat"], stdin=PIPE, stdout=PIPE)
    child.stdin.write(bytes(1000000))


async def task_writes():
    child = await start_task("task filters", ["cat"], stdin=PIPE, stdout=PIPE)
    child.stdin.write(bytes(3000000))
    await child.stdin.drain()


def thread_waits_for_what_is_below():
    line = "head -c 1000000 /dev/zero >&2; echo done"
    child = start("below", ["sh", "-c", line], stderr=PIPE)
    child.wait()


async def loop_waits():
    """What is due meanwhile waits for ever."""
    child = start("loop", OUTPUT, stdout=PIPE)
    asyncio.get_running_loop().call_later(1.0, child.wait)
    while True:
        await asyncio.sleep(0.01)


# --- all is well ----------------------------------------------------------------------------------


async def task_communicates():
    while True:
        child = await start_task("communicates", SOME_ERRORS, stdout=PIPE, stderr=PIPE)
        await child.communicate()
        await asyncio.sleep(0.5)


async def task_reads_slowly():
    child = await start_task("slow task", ERRORS, stdout=PIPE, stderr=PIPE)

    async def read():
        while await child.stderr.read(1000):
            await asyncio.sleep(0.3)

    await asyncio.gather(read(), child.wait())


class Tool:
    """The reader has it at hand as an attribute only."""

    async def run(self):
        self.child = await start_task("slow object", ERRORS, stdout=PIPE, stderr=PIPE)
        await asyncio.gather(self.read(), self.child.wait())

    async def read(self):
        while await self.child.stderr.read(1000):
            await asyncio.sleep(0.3)


async def object_reads_slowly():
    await Tool().run()


async def task_has_other_work():
    """The reader takes one piece and is busy with it."""
    child = await start_task("busy task", ERRORS, stdout=PIPE, stderr=PIPE)

    async def read():
        while await child.stderr.read(1000):
            await asyncio.sleep(600)

    await asyncio.gather(read(), child.wait())


def thread_communicates():
    start("thread communicates", ["sleep", "600"], stdout=PIPE, stderr=PIPE).communicate()


def thread_reads_slowly():
    child = start("slow thread", OUTPUT, stdout=PIPE)
    threading.Thread(target=child.wait, daemon=True).start()
    while os.read(child.stdout.fileno(), 4096):
        time.sleep(0.3)


def thread_has_other_work():
    child = start("busy thread", OUTPUT, stdout=PIPE)
    threading.Thread(target=child.wait, daemon=True).start()
    child.stdout.read(1000)
    time.sleep(600)


def thread_reads_later():
    child = start("read later", OUTPUT, stdout=PIPE)
    threading.Thread(target=child.wait, daemon=True).start()
    time.sleep(600)
    child.stdout.read()


class Filter:
    """One thread writes, and another one, which is busy, reads."""

    def __init__(self):
        self.child = start("busy filter", ["cat"], stdin=PIPE, stdout=PIPE)

    def feed(self):
        self.child.stdin.write(bytes(1000000))

    def read(self):
        self.child.stdout.read(1000)
        time.sleep(600)


def two_threads_filter():
    filters = Filter()
    threading.Thread(target=filters.feed, daemon=True).start()
    filters.read()


def helper_is_idle():
    child = start("helper", ["cat"], stdin=PIPE, stdout=PIPE)
    child.wait()


def nobody_waits():
    KEPT.append(start("nobody waits", OUTPUT, stdout=PIPE))


def another_process_reads():
    """As in a pipeline whose last command has stopped."""
    writer = start("writes to another", OUTPUT, stdout=PIPE)
    KEPT.append(start("reads", ["sleep", "600"], stdin=writer.stdout))
    writer.stdout.close()
    writer.wait()


KEPT = []
HARMFUL = {
    one.__name__: one
    for one in (
        task_reads_the_other_pipe, task_gathers, task_waits, thread_waits,
        thread_reads_the_other_pipe, thread_waits_for_what_is_below, thread_writes, task_writes,
    )
}  # fmt: skip
HARMLESS = {
    one.__name__: one
    for one in (
        task_communicates, task_reads_slowly, object_reads_slowly, task_has_other_work, thread_communicates,
        thread_reads_slowly, thread_has_other_work, thread_reads_later, two_threads_filter, helper_is_idle,
        nobody_waits, another_process_reads,
    )
}  # fmt: skip


async def main(names):
    stories = {"harmful": HARMFUL, "harmless": HARMLESS}.get(names[0])
    stories = stories or {name: globals()[name] for name in names}
    for story in stories.values():
        if asyncio.iscoroutinefunction(story):
            KEPT.append(asyncio.ensure_future(story()))
        else:
            threading.Thread(target=story, daemon=True).start()
    while len(STARTED) < len(stories):
        await asyncio.sleep(0.01)
    print(json.dumps(STARTED), flush=True)
    await asyncio.sleep(600)


asyncio.run(main(sys.argv[1:]))
