"""A thread owns a loop, runs it per job and then waits in its inbox, with a reply on its way.

argv: GAP_S DELAY_S. Logs when each reply arrived and when the loop ran again. Python 3.8 syntax.
"""

import asyncio
import json
import os
import queue
import signal
import socket
import sys
import threading
import time

GAP_S, DELAY_S = float(sys.argv[1]), float(sys.argv[2])
ARRIVED, SERVED = [], []


def endpoint(listener):
    def answer(connection):
        connection.recv(100)
        time.sleep(DELAY_S)
        connection.sendall(b"reply\n")
        ARRIVED.append(time.monotonic())

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


class Worker:
    def __init__(self):
        self.inbox = queue.Queue()
        self.loop = asyncio.new_event_loop()

    def run(self):
        while True:
            job = self.next_job()
            self.loop.run_until_complete(job())

    def next_job(self):
        return self.inbox.get()


def finish(*_):
    SERVED.append(time.monotonic())  # one may still be waiting
    for start, end in zip(ARRIVED, SERVED):
        os.write(1, (json.dumps({"start": start, "end": end}) + "\n").encode())
    os._exit(0)


async def flush(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"rows\n")
    await reader.readline()
    SERVED.append(time.monotonic())
    writer.close()


def main():
    signal.signal(signal.SIGTERM, finish)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    threading.Thread(target=endpoint, args=(listener,), daemon=True).start()
    worker = Worker()
    tasks = []

    async def job():
        tasks.append(asyncio.ensure_future(flush(port)))
        await asyncio.sleep(0.03)

    threading.Thread(target=worker.run, daemon=True, name="worker").start()
    print("{}", flush=True)
    while True:
        worker.inbox.put(job)
        time.sleep(GAP_S)


main()
