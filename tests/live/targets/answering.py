"""Threads and tasks that hold locks while they wait for the answers of processes of their own.

One answers by a pipe and has one thread, one by TCP with a thread for each connection, one by a
unix socket on an event loop. A task asks the second one, too. Runs on Python 3.8 and newer.
"""

import asyncio
import json
import multiprocessing
import socket
import threading
import time

ANSWER_S = 0.8


def slow_reply():
    time.sleep(ANSWER_S)  # by pipe


def by_pipe(connection):
    while True:
        connection.recv()
        slow_reply()
        connection.send(None)


def slow_thread():
    time.sleep(ANSWER_S)  # by thread


def serve(connection):
    while connection.recv(1):
        slow_thread()
        connection.sendall(b".")


def by_threads(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def slow_loop():
    time.sleep(ANSWER_S)  # by loop


def by_loop(connection):
    async def answer():
        reader, writer = await asyncio.open_connection(sock=connection)
        while await reader.read(1):
            slow_loop()
            writer.write(b".")

    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    asyncio.new_event_loop().run_until_complete(answer())


def holds(lock, ask):
    while True:
        with lock:
            ask()
        time.sleep(0.05)


def wants(lock):
    while True:
        with lock:
            pass
        time.sleep(0.05)


def ask_pipe(pipe):
    pipe.send(None)
    pipe.recv()


def ask_thread(connection):
    connection.sendall(b".")
    connection.recv(1)


def ask_loop(connection):
    connection.sendall(b".")
    connection.recv(1)


async def of_tasks(port):
    lock = asyncio.Lock()

    async def ask(reader, writer):
        while True:
            async with lock:
                writer.write(b".")
                await reader.read(1)
            await asyncio.sleep(0.05)

    async def want():
        while True:
            async with lock:
                pass
            await asyncio.sleep(0.05)

    await asyncio.gather(ask(*await asyncio.open_connection("127.0.0.1", port)), want())


def main():
    context = multiprocessing.get_context("fork")
    pipe, end = context.Pipe()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    mine, other = socket.socketpair()
    for target, argument in ((by_pipe, end), (by_threads, listener), (by_loop, other)):
        context.Process(target=target, args=(argument,), daemon=True).start()
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    asks = (lambda: ask_pipe(pipe), lambda: ask_thread(connection), lambda: ask_loop(mine))
    for ask in asks:
        lock = threading.Lock()
        threading.Thread(target=holds, args=(lock, ask), daemon=True).start()
        threading.Thread(target=wants, args=(lock,), daemon=True).start()
    print(json.dumps({"fd": mine.fileno()}), flush=True)
    asyncio.new_event_loop().run_until_complete(of_tasks(port))


if __name__ == "__main__":
    main()
