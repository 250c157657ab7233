"""Two threads that keep the GIL, beside a loop with timers: argv KEPT_S GAP_S. Python 3.8 syntax.

They take turns: one is in a single call of C all the time, the other one goes from call to call
without getting back to Python. It logs who kept it when. With a third argument, a collection of
garbage does so instead, for ever.
"""

import asyncio
import collections
import ctypes
import gc
import json
import os
import signal
import sys
import threading
import time

KEPT_S, GAP_S = float(sys.argv[1]), float(sys.argv[2])
sleep_us = ctypes.PyDLL(None).usleep  # of a PyDLL: the GIL is kept
OUT = []


def finish(*_):
    for line in OUT:
        os.write(1, (json.dumps(line) + "\n").encode())
    os._exit(0)


def keep_in_one_call():
    sleep_us(int(KEPT_S * 1e6))


def keep_from_call_to_call():
    collections.deque(map(sleep_us, [int(KEPT_S * 1e5)] * 10), 0)


def take_turns(keep, mine, others):
    while True:
        mine.acquire()
        time.sleep(GAP_S)
        start = time.monotonic()
        keep()
        end = time.monotonic()
        OUT.append({"by": keep.__name__, "start": start, "end": end})
        others.release()


async def beat():
    while True:
        await asyncio.sleep(0.02)


async def serve():
    beats = [asyncio.ensure_future(beat()) for _ in range(3)]
    one, other = threading.Lock(), threading.Lock()
    other.acquire()
    for argv in ((keep_in_one_call, one, other), (keep_from_call_to_call, other, one)):
        threading.Thread(target=take_turns, args=argv, daemon=True).start()
    await asyncio.sleep(GAP_S)
    print("{}", flush=True)
    await asyncio.gather(*beats)


def collect_for_ever():
    def told(phase, info):
        print(json.dumps({"tid": threading.get_native_id()}), flush=True)
        sleep_us(2**31)

    gc.callbacks.append(told)
    gc.collect()


signal.signal(signal.SIGTERM, finish)
if len(sys.argv) > 3:
    threading.Thread(target=collect_for_ever).start()
else:
    asyncio.run(serve())
