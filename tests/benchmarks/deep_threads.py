"""Threads that wait, so many frames deep, beside one that works: argv THREADS DEPTH.

The one that works says every quarter of a second how far it has come.
"""

import json
import sys
import threading
import time


def deep(left: int) -> None:
    if left:
        deep(left - 1)
    else:
        threading.Event().wait()


def step(total: int) -> int:
    return sum(range(50)) + total


def work() -> None:
    count = total = 0
    next_s = time.monotonic()
    while True:
        for _ in range(1000):
            total = step(total)
        count += 1
        now_s = time.monotonic()
        if now_s >= next_s:
            print(json.dumps([now_s, count]), flush=True)
            next_s = now_s + 0.25


for _ in range(int(sys.argv[1]) - 1):
    threading.Thread(target=deep, args=(int(sys.argv[2]),), daemon=True).start()
work()
