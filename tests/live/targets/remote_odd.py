"""Processes that the reader has to refuse, or to bear with. Ends with its stdin."""

import json
import os
import sys


def say(**truth):
    print(json.dumps(truth), flush=True)


def python_tasks():
    """asyncio without its C tasks, as some patches leave it."""
    import asyncio.tasks

    asyncio.tasks.Task = asyncio.tasks._PyTask
    say()
    os.read(0, 1)


def late():
    """asyncio is imported only when a line is read; a loop then blocks."""

    async def main():
        say(pending=1)
        os.read(0, 1)

    say()
    sys.stdin.readline()
    import asyncio

    asyncio.run(main())


def hostile():
    """Names full of markup, escape codes and lone surrogates, ten thousand characters long."""
    nasty = "<b>\x1b[31m\u202e\ud800\n\"'" * 1000

    async def main():
        loop = asyncio.get_running_loop()

        async def work():
            await asyncio.sleep(0)

        work.__qualname__ = nasty
        task = loop.create_task(work())
        if hasattr(task, "set_name"):
            task.set_name(nasty)
        loop.call_soon(type(nasty.replace("\ud800", ""), (), {"__call__": print})())
        say(length=len(nasty))
        os.read(0, 1)
        os._exit(0)

    asyncio.run(main())


def forked():
    """A child of a fork, while the parent's loop ran; it ran no loop of its own."""

    async def main():
        tasks = [asyncio.get_running_loop().create_task(asyncio.sleep(3600)) for _ in range(3)]
        await asyncio.sleep(0)
        pid = os.fork()
        if pid == 0:
            os.read(0, 1)
            os._exit(0)
        say(child=pid)
        os.read(0, 1)
        del tasks
        os._exit(0)

    asyncio.run(main())


def renewed():
    """Its loops come and go: every line read closes one and opens the next."""
    loops = []

    async def nothing():
        pass

    while True:
        loop = asyncio.new_event_loop()
        loops.append(loop)
        task = loop.create_task(nothing())
        loop.run_until_complete(task)
        say(count=len(loops))
        if not sys.stdin.readline():
            break
        loops.pop().close()


if sys.argv[1] != "late":
    import asyncio

globals()[sys.argv[1]]()
