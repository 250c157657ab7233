"""A loop whose only work are timers and callbacks, harmed in a chosen way.

argv MODE HARM_S GAP_S [TASKS [uvloop]]. Modes: blocked (a callback sleeps), naps (it sleeps for 5 ms
again and again), busy (it computes), parked (the
thread leaves the loop to wait), healthy, abandoned (a loop with overdue timers that nobody runs any
more, beside one that is run). TASKS more tasks sleep for long. It logs each harm. Python 3.8 syntax.
"""

import asyncio
import json
import os
import queue
import signal
import sys
import time

MODE, HARM_S, GAP_S = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
TASKS = int(sys.argv[4]) if len(sys.argv) > 4 else 0
OUT = []


def finish(*_):
    for line in OUT:
        os.write(1, (json.dumps(line) + "\n").encode())
    os._exit(0)


async def heartbeat():
    while True:
        await asyncio.sleep(0.02)


def hold_up():
    start = time.monotonic()
    if MODE == "busy":
        while time.monotonic() < start + HARM_S:
            pass
    elif MODE == "naps":
        while time.monotonic() < start + HARM_S:
            time.sleep(0.005)
    else:
        time.sleep(HARM_S)
    OUT.append({"start": start, "end": time.monotonic()})


def wait_outside():
    start = time.monotonic()
    try:
        queue.Queue().get(timeout=HARM_S)
    except queue.Empty:
        pass
    OUT.append({"start": start, "end": time.monotonic()})


async def main():
    beats = [asyncio.ensure_future(heartbeat()) for _ in range(3)]
    beats += [asyncio.ensure_future(asyncio.sleep(3600 + n)) for n in range(TASKS)]
    await asyncio.sleep(GAP_S)
    print("{}", flush=True)
    while True:
        await asyncio.sleep(GAP_S)
        if MODE in ("blocked", "busy", "naps"):
            hold_up()
    return beats


signal.signal(signal.SIGTERM, finish)
if MODE == "abandoned":
    left_behind = asyncio.new_event_loop()
    left_behind.run_until_complete(
        asyncio.wait([left_behind.create_task(heartbeat())], timeout=0.1)
    )
if "uvloop" in sys.argv:
    import uvloop

    loop = uvloop.new_event_loop()
else:
    loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
if MODE == "parked":
    print("{}", flush=True)
    tasks = []

    async def job():
        if not tasks:
            tasks.extend(asyncio.ensure_future(heartbeat()) for _ in range(3))
        await asyncio.sleep(GAP_S)

    while True:
        loop.run_until_complete(job())
        wait_outside()
loop.run_until_complete(main())
