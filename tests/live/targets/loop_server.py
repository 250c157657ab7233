"""An asyncio line server whose loop is harmed in a chosen way; it logs each harm it does.

argv: MODE HARM_S GAP_S [uvloop]. Python 3.8 syntax.
"""

import asyncio
import json
import os
import queue
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

MODE, HARM_S, GAP_S = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
OUT = []
CHILDREN = []


def sleep():
    time.sleep(HARM_S)


def nap_often():
    end = time.monotonic() + HARM_S
    while time.monotonic() < end:
        time.sleep(0.01)


def take_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=HARM_S)


def get_from_queue():
    try:
        queue.Queue().get(timeout=HARM_S)
    except queue.Empty:
        pass


def run_command():
    subprocess.run(["sleep", str(HARM_S)])


def receive():
    ours, theirs = socket.socketpair()
    threading.Timer(HARM_S, theirs.send, (b"x",)).start()
    ours.recv(1)


def select_myself():
    ours, theirs = socket.socketpair()
    with selectors.DefaultSelector() as selector:
        selector.register(ours, selectors.EVENT_READ)
        selector.select(HARM_S)


def join_thread():
    thread = threading.Thread(target=time.sleep, args=(HARM_S,))
    thread.start()
    thread.join()


def compute():
    end = time.monotonic() + HARM_S
    n = 0
    while time.monotonic() < end:
        n += sum(range(200))


def match_badly():
    end = time.monotonic() + HARM_S
    while time.monotonic() < end:
        re.match(r"(a+)+$", "a" * 16 + "b")


def wait_for_the_gil():
    """A thread of ours turns a huge number into text, which never lets go of the GIL."""
    threading.Thread(target=keep_the_gil).start()
    time.sleep(0.001)


def keep_the_gil():
    start = time.monotonic()
    while time.monotonic() < start + HARM_S / 2:
        str(BIG)
    log(start, time.monotonic())


BIG = 7**210000  # its text takes some tenths of a second

HARMS = {
    f.__name__: f
    for f in (
        sleep, nap_often, take_lock, get_from_queue, run_command, receive, select_myself,
        join_thread, compute, match_badly, wait_for_the_gil,
    )
}  # fmt: skip


def log(start, end):
    OUT.append({"start": start, "end": end})


def finish(*_):
    for line in OUT:
        os.write(1, (json.dumps(line) + "\n").encode())
    if CHILDREN:
        os.kill(CHILDREN[0], signal.SIGKILL)
    os._exit(0)


async def serve(reader, writer):
    try:
        while await reader.readline():
            writer.write(b"answer\n")
            await writer.drain()
    except ConnectionError:
        pass


async def serve_slowly(reader, writer):
    """Each answer costs a few milliseconds of CPU: fair, but always something to do."""
    try:
        while await reader.readline():
            end = time.perf_counter() + 0.004
            while time.perf_counter() < end:
                pass
            writer.write(b"answer\n")
            await writer.drain()
    except ConnectionError:
        pass


async def main():
    handler = serve_slowly if MODE == "saturated" else serve
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    if MODE == "fork":
        child = os.fork()
        if child == 0:  # inherits loop and epoll, never runs them
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            while True:
                time.sleep(1)
        CHILDREN.append(child)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    while True:
        await asyncio.sleep(GAP_S)
        if MODE in HARMS:
            start = time.monotonic()
            HARMS[MODE]()
            if MODE != "wait_for_the_gil":  # that one logs itself
                log(start, time.monotonic())


signal.signal(signal.SIGTERM, finish)
if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)
if "threads" in sys.argv[4:]:
    for _ in range(40):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
if "uvloop" in sys.argv[4:]:
    import uvloop

    loop = uvloop.new_event_loop()
else:
    loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(main())
