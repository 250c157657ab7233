"""Threads that wait for each other for ever, and such that only seem to: argv STORY. Python 3.8 syntax.

two, three: each holds a lock and wants the next one's. again: a thread wants the lock that it
holds. join: it holds a lock, and waits for the end of a thread that wants it. future: the same for
a job of a pool. places: each holds a place of a semaphore with one place. forked: a child wants a
lock that was held when it was forked.
Harmless: ordered: all take two locks in the same order; signals: each waits inside of the other's
condition, which gives its lock up; reentrant: a lock that may be taken again; patient: each gives
up after a moment, and tries again; released: a child was forked while no lock was held.
place-free: it looks like a ring, but one more place of the semaphore becomes free.
"""

import concurrent.futures
import os
import sys
import threading
import time

import truth
from together import FREE_S, NEVER, start

STORY = sys.argv[1]
LATER_S = 1.5


def wait_for_ever(culprit):
    truth.begin("deadlock", culprit, tid=0, root=culprit.__name__)
    truth.waits("thread", time.monotonic_ns(), None, tid=0)


def take_both(mine, next_one, all_hold):
    with mine:
        all_hold.wait()
        with next_one:  # culprit
            pass


def ring_of(*locks):
    all_hold = threading.Barrier(len(locks), lambda: wait_for_ever(take_both))
    for one, other in zip(locks, (*locks[1:], locks[0])):
        start(take_both, one, other, all_hold)


def two():
    ring_of(threading.Lock(), threading.Lock())


def three():
    ring_of(threading.Lock(), threading.RLock(), threading.Condition())


def places():
    ring_of(threading.Semaphore(1), threading.Semaphore(1))


def take_again(lock):
    with lock:
        wait_for_ever(take_again)
        with lock:  # culprit
            pass


def again():
    start(take_again, threading.Lock())


def wants(lock):
    with lock:  # culprit
        pass


def wait_for_end(lock):
    with lock:
        thread = start(wants, lock)
        truth.begin("deadlock", (wait_for_end, wants), tid=0, root="wait_for_end|wants")
        truth.waits("thread", time.monotonic_ns(), None, tid=0)
        thread.join()  # culprit


def join():
    start(wait_for_end, threading.Lock())


def wait_for_result(lock):
    with lock:
        future = POOL.submit(wants, lock)
        truth.begin("deadlock", (wait_for_result, wants), tid=0, root="wait_for_result|wants")
        truth.waits("thread", time.monotonic_ns(), None, tid=0)
        future.result()  # culprit


def future():
    start(wait_for_result, threading.Lock())


def hold(lock, held):
    with lock:
        held.set()
        time.sleep(0.2)


def forked():
    lock, held = threading.Lock(), threading.Event()
    if STORY == "forked":
        start(hold, lock, held)
        held.wait()
    if os.fork() == 0:
        if STORY == "forked":
            wait_for_ever(wants)
        wants(lock)
        while True:
            time.sleep(0.05)


# --- harmless ---------------------------------------------------------------------------------


def in_order(one, other):
    while True:
        with one, other:
            time.sleep(0.005)


def ordered():
    one, other = threading.Lock(), threading.Lock()
    for _ in range(4):
        start(in_order, one, other)


def in_turn(mine, other):
    while True:
        with mine:
            mine.wait(0.5)
        with other:
            other.notify_all()


def signals():
    one, other = threading.Condition(), threading.Condition()
    start(in_turn, one, other)
    start(in_turn, other, one)


def enter(lock, times):
    with lock:
        enter(lock, times - 1) if times else time.sleep(0.005)


def reenter(lock):
    while True:
        enter(lock, 3)


def reentrant():
    lock = threading.RLock()
    for _ in range(4):
        start(reenter, lock)


def try_both(mine, other):
    while True:
        with mine:
            if other.acquire(timeout=0.05):
                other.release()
        time.sleep(0.001)


def patient():
    one, other = threading.Lock(), threading.Lock()
    start(try_both, one, other)
    start(try_both, other, one)


def slow_call(length_s):
    time.sleep(length_s)  # culprit


def keep(place, length_s):
    with place:
        slow_call(length_s)


def place_free():
    places, lock = threading.Semaphore(2), threading.Lock()
    truth.ready()
    for length_s in truth.lengths(0.3):
        time.sleep(FREE_S)
        both = threading.Barrier(2)
        number = truth.begin("held-lock", (take_both, slow_call), tid=0, root="slow_call")
        due_ns = time.monotonic_ns()
        third = start(keep, places, length_s)
        threads = [
            start(take_both, places, lock, both),
            start(take_both, lock, places, both),
        ]
        for thread in threads:
            thread.join()
        truth.served("thread", due_ns, tid=0)
        third.join()
        truth.end(number)


POOL = concurrent.futures.ThreadPoolExecutor(2)
if STORY == "place-free":
    place_free()
HARMFUL = (two, three, places, again, join, future, forked)
story = {each.__name__: each for each in (*HARMFUL, ordered, signals, reentrant, patient)}
story["released"] = forked
truth.ready()
time.sleep(LATER_S)
story[STORY]()
NEVER.wait()
