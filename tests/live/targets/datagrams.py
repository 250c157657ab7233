"""Reads datagrams that a thread of its own sends: argv readers, or SECONDS that each takes.

Prints what it reads from: descriptors, and with ``readers`` the thread that does, by how it has it.
"""

import json
import socket
import sys
import threading
import time

NEVER = 3600


def bound():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def handle(seconds):
    time.sleep(seconds)


def serve(sock, seconds):
    while True:
        sock.recvfrom(512)
        handle(seconds)


def send(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        while True:
            sock.send(b"a")
            time.sleep(0.02)


class Server:
    def __init__(self):
        self.sock = bound()

    def by_attribute(self):
        self.sock.recvfrom(512)
        handle(NEVER)


COMMON = bound()


def by_global():
    COMMON.recvfrom(512)
    handle(NEVER)


def by_variable(sock):
    sock.recvfrom(512)
    handle(NEVER)


def as_client(sock, peer):
    sock.sendto(b"a", peer)
    sock.recvfrom(512)
    handle(NEVER)


def no_reader(sock):
    handle(NEVER)


def readers():
    server, variable, client, unread = Server(), bound(), bound(), bound()
    cases = {
        "attribute": (server.sock, server.by_attribute, ()),
        "global": (COMMON, by_global, ()),
        "variable": (variable, by_variable, (variable,)),
        "client": (client, as_client, (client, unread.getsockname())),
        "none": (unread, no_reader, (unread,)),
    }
    told = {}
    for name, (sock, function, args) in cases.items():
        thread = threading.Thread(target=function, args=args, daemon=True)
        thread.start()
        unread.sendto(b"a", sock.getsockname())
        told[name] = [sock.fileno(), thread.native_id]
    print(json.dumps({"cases": told}), flush=True)
    handle(NEVER)


if sys.argv[1] == "readers":
    readers()
served = bound()
threading.Thread(target=send, args=(served.getsockname(),), daemon=True).start()
print(json.dumps({"port": served.getsockname()[1]}), flush=True)
serve(served, float(sys.argv[1]))
