"""Queues of asyncio whose consumers idle, and are then at something else. Python 3.8 syntax.

The first line names the queues; told to fill, it says when a task waits for room in each.
"""

import asyncio
import json
import sys

KEPT = []


def keep(coroutine):
    KEPT.append(asyncio.ensure_future(coroutine))


async def forever():
    await asyncio.sleep(600)


async def by_variable(queue):
    while True:
        await queue.get()
        await forever()


class Worker:
    def __init__(self, queue):
        self.queue = queue

    async def by_attribute(self):
        while True:
            await self.queue.get()
            await forever()


async def by_name(name):
    while True:
        await QUEUES[name].get()
        await forever()


async def by_own_task(queue):
    while True:
        await asyncio.ensure_future(queue.get())
        await forever()


async def joins(queue, facts):
    """It waits until others have done what it has put in."""
    facts.get("nothing")
    await queue.join()


async def died(queue):
    await queue.get()
    raise ValueError


async def fill(queue):
    while True:
        await queue.put(0)


QUEUES = {}


async def main():
    for name in ("variable", "attribute", "name", "own task", "died", "nobody"):
        QUEUES[name] = asyncio.Queue(1)
    keep(by_variable(QUEUES["variable"]))
    keep(Worker(QUEUES["attribute"]).by_attribute())
    keep(by_name("name"))
    keep(by_own_task(QUEUES["own task"]))
    keep(died(QUEUES["died"]))
    await asyncio.sleep(0.05)
    print(json.dumps({name: id(queue) for name, queue in QUEUES.items()}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for queue in QUEUES.values():
        keep(fill(queue))
    await asyncio.sleep(0.05)
    keep(joins(QUEUES["nobody"], {}))
    await asyncio.sleep(0.05)
    print(json.dumps({}), flush=True)
    await forever()


asyncio.run(main())
