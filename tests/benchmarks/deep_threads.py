"""Threads that wait beside one that works, all so many frames deep: argv THREADS DEPTH.

The one that works says every quarter of a second how far it has come, and how long the longest of
its rounds took, which take somewhat less than a millisecond each.
"""

import json
import sys
import threading
import time
from collections.abc import Callable


def deep(left: int, end: Callable[[], object]) -> None:
    if left:
        deep(left - 1, end)
    else:
        end()


def wait() -> None:
    threading.Event().wait()


def step(total: int) -> int:
    return sum(range(50)) + total


def work() -> None:
    count = total = 0
    longest_s = 0.0
    before_s = next_s = time.monotonic()
    while True:
        for _ in range(1000):
            total = step(total)
        count += 1
        now_s = time.monotonic()
        longest_s = max(longest_s, now_s - before_s)
        if now_s >= next_s:
            print(json.dumps([now_s, count, longest_s]), flush=True)
            next_s, longest_s = now_s + 0.25, 0.0
            now_s = time.monotonic()
        before_s = now_s


count, depth = map(int, sys.argv[1:])
for _ in range(count - 1):
    threading.Thread(target=deep, args=(depth, wait), daemon=True).start()
deep(depth, work)
