"""Threads that stand still in many ways, below every kind of frame. Python 3.8 syntax."""

import asyncio
import json
import queue
import threading
import time

try:
    import greenlet
except ImportError:
    greenlet = None


class Things:
    def method(self):
        def inner():
            time.sleep(600)

        inner()

    @staticmethod
    def static():
        [threading.Event().wait() for _ in range(1)]

    @classmethod
    def of_class(cls):
        list(map(lambda one: queue.Queue().get(), [1]))  # noqa: C417  (a frame below C code)

    def __getattr__(self, name):
        time.sleep(600)

    def __lt__(self, other):
        time.sleep(600)


def generator():
    yield
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def from_generator():
    for _ in generator():
        pass


def deep(frames):
    if frames:
        return deep(frames - 1)
    return sorted([1, 2], key=lambda one: time.sleep(600))


async def coroutine():
    time.sleep(600)


def in_greenlets():
    def inner():
        time.sleep(600)

    greenlet.greenlet(lambda: greenlet.greenlet(inner).switch()).switch()


WAYS = [
    Things().method,
    Things.static,
    Things.of_class,
    from_generator,
    lambda: deep(300),
    lambda: asyncio.run(coroutine()),
    lambda: Things().missing,
    lambda: Things() < Things(),
    lambda: exec("import time\n\n\ntime.sleep(600)"),
]
if greenlet:
    WAYS.append(in_greenlets)

for way in WAYS:
    threading.Thread(target=way, daemon=True).start()
time.sleep(0.2)  # for those that only begin to wait: what is compared has to stand still
print(json.dumps({"threads": len(WAYS) + 1}), flush=True)
time.sleep(600)
