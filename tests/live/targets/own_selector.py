"""A hand-written select loop: argv client|server. Python 3.8 syntax.

client: it collects what a peer sends it, and works on that for a while before it looks again, as
consumers of message brokers do. server: it answers clients, and one of its answers takes long.
"""

import json
import selectors
import socket
import sys
import threading
import time

MODE = sys.argv[1]


def talk(listener):
    connection, _ = listener.accept()
    while True:
        connection.sendall(b"message\n")
        time.sleep(0.02)


def work_on_messages():
    time.sleep(0.5)


def consume():
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=talk, args=(listener,), daemon=True).start()
    peer = socket.create_connection(listener.getsockname())
    print("{}", flush=True)
    with selectors.DefaultSelector() as selector:
        selector.register(peer, selectors.EVENT_READ)
        while True:
            for _ in range(10):
                if selector.select(0.05):
                    peer.recv(4096)
            work_on_messages()


def answer_slowly():
    time.sleep(0.5)


def serve():
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    rested = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select(0.05):
                if key.fileobj is listener:
                    selector.register(listener.accept()[0], selectors.EVENT_READ)
                elif key.fileobj.recv(100):
                    key.fileobj.sendall(b"answer\n")
                else:
                    selector.unregister(key.fileobj)
            if time.monotonic() > rested + 0.5:
                answer_slowly()
                rested = time.monotonic()


serve() if MODE == "server" else consume()
