"""What the targets share in which some hold what others want: argv is up to them. Python 3.8 syntax.

Requests come from clients that say in each line when they sent it; a thread or a task of the server
serves each connection. Those who hold something begin at the same time, so that it is known when
the last place is taken.
"""

import asyncio
import contextlib
import socketserver
import threading
import time

import truth

FREE_S = 0.3
NEVER = threading.Event()


def start(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


# --- threads ---------------------------------------------------------------------------------


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128
    answer = None


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(ConnectionError):
            for _ in self.rfile:
                self.server.answer()
                self.wfile.write(b"answer\n")


def serve_in_threads(answer):
    """Calls ``answer`` for each request; gives what the harness must know."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.answer = answer
    start(server.serve_forever)
    return {"port": server.server_address[1]}


def want(lock):
    """Wants a lock all the time, and says for how long it had to wait."""
    while True:
        due_ns = time.monotonic_ns()
        with lock:
            truth.served("thread", due_ns, tid=0)
        time.sleep(0.01)


def harm(lock, hold, culprit, root):
    """Holds a lock that threads want over ``hold(length_s)`` every now and then, for ever."""
    for _ in range(3):
        start(want, lock)
    truth.ready()
    for length_s in truth.lengths(0.3):
        time.sleep(FREE_S)
        with lock:
            number = truth.begin("held-lock", culprit, tid=0, root=root)
            hold(length_s)
        truth.end(number)


class AllHold:
    """Waits until so many threads hold what they hold, and then until that is logged."""

    def __init__(self, places):
        self._barrier = threading.Barrier(places + 1)

    def __call__(self):
        self._barrier.wait()
        self._barrier.wait()


def harm_often(kind, culprit, hold, places, lengths=None, **more):
    """Lets so many threads ``hold(all_hold, length_s)`` every now and then, for ever."""
    for length_s in lengths or truth.lengths(0.3):
        time.sleep(FREE_S)
        all_hold = AllHold(places)
        holders = [start(hold, all_hold, length_s) for _ in range(places)]
        all_hold._barrier.wait()
        number = truth.begin(kind, culprit, tid=0, **more)
        all_hold._barrier.wait()
        for holder in holders:
            holder.join()
        truth.end(number)


# --- tasks -----------------------------------------------------------------------------------


async def serve_in_tasks(answer):
    """The same for tasks; the server has to be kept."""

    async def serve(reader, writer):
        try:
            while await reader.readline():
                await answer()
                writer.write(b"answer\n")
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=128)
    return {"port": server.sockets[0].getsockname()[1]}, server


class AllTasksHold:
    """The same for tasks."""

    def __init__(self, places):
        self._left, self.all, self.logged = places, asyncio.Event(), asyncio.Event()

    async def __call__(self):
        self._left -= 1
        if not self._left:
            self.all.set()
        await self.logged.wait()


async def harm_tasks_often(kind, culprit, hold, places, **more):
    """Lets so many tasks ``hold(all_hold, length_s)`` every now and then, for ever."""
    for length_s in truth.lengths(1.6, 3):
        await asyncio.sleep(FREE_S)
        all_hold = AllTasksHold(places)
        holders = [asyncio.ensure_future(hold(all_hold, length_s)) for _ in range(places)]
        await asyncio.wait([*holders, asyncio.ensure_future(all_hold.all.wait())],
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        number = truth.begin(kind, culprit, tid=0, of_tasks=True, **more)
        all_hold.logged.set()
        await asyncio.gather(*holders)
        truth.end(number)
