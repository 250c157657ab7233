"""Work on the CPU in callbacks: argv WORK on-loop|in-threads|unseen. Python 3.8 syntax."""

import json
import re
import time

import loop_under_test

PARTS = {"name": "part", "values": list(range(200)), "more": {"a": 1.5, "b": None}}


def cpu_loop(length_s):
    end = time.monotonic() + length_s
    total = 0
    while time.monotonic() < end:  # culprit
        total += sum(n * n for n in range(100))  # culprit
    return total


def many_calls(length_s):
    """Frames that change all the time, below one that stays."""
    end = time.monotonic() + length_s
    while time.monotonic() < end:
        step(5)


def step(depth):
    return step(depth - 1) + 1 if depth else 0


many_calls.culprits = "many_calls|step"


def big_json(length_s):
    """One call of a C function, as long as the object is big."""
    size = int(length_s * JSON_PER_SECOND)
    json.dumps([PARTS] * size)  # culprit


def json_per_second():
    start = time.perf_counter()
    json.dumps([PARTS] * 2000)
    return 2000 / (time.perf_counter() - start)


def regex(length_s):
    """A pattern that tries everything; each letter more takes twice the time."""
    letters = 14
    while REGEX_S * 2 ** (letters - 14) < length_s:
        letters += 1
    re.match(r"(a+)+$", "a" * letters + "b")  # culprit


def regex_s():
    start = time.perf_counter()
    re.match(r"(a+)+$", "a" * 14 + "b")
    return time.perf_counter() - start


def sorting(length_s):
    sorted(range(int(length_s * SORT_PER_SECOND)), key=lambda n: -n)  # culprit


def sort_per_second():
    start = time.perf_counter()
    sorted(range(200_000), key=lambda n: -n)
    return 200_000 / (time.perf_counter() - start)


WORK = (cpu_loop, many_calls, big_json, regex, sorting)
JSON_PER_SECOND, REGEX_S, SORT_PER_SECOND = json_per_second(), regex_s(), sort_per_second()

if __name__ == "__main__":
    loop_under_test.run_harm({f.__name__.replace("_", "-"): f for f in WORK}, "busy-loop")
