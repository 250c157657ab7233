"""A loop with many short callbacks: argv MODE. Runs on Python 3.8 and newer.

``overloaded`` puts 300 of a millisecond each into the queue again and again, ``naps`` 12 that block
for 30 ms, ``fair`` always has one or two to run.
"""

import asyncio
import json
import sys
import time

MODE = sys.argv[1]


def crunch():
    end = time.perf_counter() + 0.001
    while time.perf_counter() < end:
        pass


def nap():
    time.sleep(0.03)


async def burst(callback, many):
    loop = asyncio.get_running_loop()
    while True:
        for _ in range(many):
            loop.call_soon(callback)
        await asyncio.sleep(0.01)


async def chain():
    while True:
        crunch()
        await asyncio.sleep(0)


async def main():
    print(json.dumps({}), flush=True)
    if MODE == "overloaded":
        await burst(crunch, 300)
    elif MODE == "naps":
        await burst(nap, 12)
    else:
        await asyncio.gather(chain(), chain())


asyncio.run(main())
