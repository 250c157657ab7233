"""Threads that wait for room in queues whose consumers are slow. Python 3.8 syntax.

Usage: full_queues.py. The first line tells the consumers, all of which wait for an item; it is told
"fill\\n", upon which each takes one and keeps at it, and says who waits for room, by consumer.
"""

import json
import queue
import sys
import threading
import time

WAITS, TOLD = {}, {}


class Consumer:
    def __init__(self):
        self.queue = queue.Queue(1)

    def run(self):
        TOLD["attribute"] = threading.get_native_id()
        while True:
            self.handle(self.queue.get())

    def handle(self, item):
        time.sleep(600)


def variable(mine):
    TOLD["variable"] = threading.get_native_id()
    while True:
        mine.get()
        time.sleep(600)


GLOBAL = queue.Queue(1)


def of_global():
    TOLD["global"] = threading.get_native_id()
    while True:
        GLOBAL.get()
        time.sleep(600)


def leaves(mine):
    """It has taken from it, and no longer knows it."""
    TOLD["left"] = threading.get_native_id()
    mine.get()
    del mine
    time.sleep(600)


def put(name, target):
    WAITS[name] = threading.get_native_id()
    for n in range(3):
        target.put(n)


def start(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()


consumer, one, left = Consumer(), queue.Queue(1), queue.Queue(1)
start(consumer.run)
start(variable, one)
start(of_global)
start(leaves, left)
QUEUES = {"attribute": consumer.queue, "variable": one, "global": GLOBAL, "left": left}
while len(TOLD) < len(QUEUES):
    time.sleep(0.001)
time.sleep(0.2)  # for those that only begin to wait
print(json.dumps(TOLD), flush=True)
sys.stdin.readline()
for name, each in QUEUES.items():
    start(put, name, each)
while len(WAITS) < len(QUEUES) or not all(each.full() for each in QUEUES.values()):
    time.sleep(0.001)
time.sleep(0.2)
print(json.dumps(WAITS), flush=True)
time.sleep(600)
