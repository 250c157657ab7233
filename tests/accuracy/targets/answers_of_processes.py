"""Threads that hold a lock while another process of theirs has to answer: argv STORY. Python 3.8 syntax.

pipe: it is asked by a pipe; service: by TCP, where it has a thread for each connection; manager: by
a proxy of ``multiprocessing``. Harmless: turns: whoever has the lock takes the next job from the
other process, which is slow to make one, and the others are next; quick: the answers come at once.
"""

import multiprocessing
import multiprocessing.managers
import socket
import socketserver
import sys
import threading
import time

import truth
from together import NEVER, harm, start

STORY = sys.argv[1]
CONTEXT = multiprocessing.get_context("fork")


def answer(length_s):
    time.sleep(length_s)


def serve_pipe(connection):
    while True:
        answer(connection.recv())
        connection.send(None)


def by_pipe():
    ours, theirs = CONTEXT.Pipe()
    CONTEXT.Process(target=serve_pipe, args=(theirs,), daemon=True).start()

    def ask(length_s):
        ours.send(length_s)
        ours.recv()  # culprit

    return ask


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            answer(float(line))
            self.wfile.write(b"done\n")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def by_service():
    server = Server(("127.0.0.1", 0), Handler)
    CONTEXT.Process(target=server.serve_forever, daemon=True).start()
    server.socket.close()
    connection = socket.create_connection(server.server_address)
    replies = connection.makefile("rb")

    def ask(length_s):
        connection.sendall(b"%f\n" % length_s)
        replies.readline()  # culprit

    return ask


class Store:
    def fetch(self, length_s):
        answer(length_s)


class Manager(multiprocessing.managers.BaseManager):
    pass


def by_manager():
    Manager.register("Store", Store)
    manager = Manager(ctx=CONTEXT)
    manager.start()
    store = manager.Store()

    def ask(length_s, kept=manager):
        store.fetch(length_s)  # culprit

    return ask


def make_jobs(connection):
    while True:
        answer(0.7)
        connection.send(None)


def take_jobs(lock, connection):
    while True:
        with lock:
            connection.recv()


def turns():
    ours, theirs = CONTEXT.Pipe()
    CONTEXT.Process(target=make_jobs, args=(theirs,), daemon=True).start()
    lock = threading.Lock()
    for _ in range(4):
        start(take_jobs, lock, ours)
    truth.ready()
    NEVER.wait()


def ask_on(lock, ask):
    while True:
        with lock:
            ask(0.005)


def quick():
    ask, lock = by_pipe(), threading.Lock()
    for _ in range(4):
        start(ask_on, lock, ask)
    truth.ready()
    NEVER.wait()


if STORY in {"turns", "quick"}:
    {"turns": turns, "quick": quick}[STORY]()
else:
    ask = {"pipe": by_pipe, "service": by_service, "manager": by_manager}[STORY]()
    harm(threading.Lock(), ask, ask, "answer")
