"""A server of HTTP with threads that read from connections which it has opened: argv KIND …

``held-up`` now and then takes long over a message, and more come meanwhile; ``behind`` always does.
The others let something lie that nobody waits for. Prints the ports of the peers, by kind.
"""

import http.server
import json
import socket
import sys
import threading
import time

NEVER = 3600
WORK_S = 1.5
SIZE = 1 << 16


def messages(peer):
    while True:
        peer.sendall(b"%64d" % time.monotonic_ns())
        time.sleep(0.3)


def work():
    time.sleep(WORK_S)


def prompt(mine):
    while mine.recv(SIZE):
        pass


def held_up(mine):
    while True:
        for _ in range(3):
            mine.recv(SIZE)
        work()


def behind(mine):
    while mine.recv(64):
        work()


def farewell(peer):
    peer.recv(SIZE)
    peer.sendall(b"answer")
    time.sleep(0.5)
    peer.sendall(b"too long idle")
    time.sleep(NEVER)


def ticket(peer):
    peer.recv(SIZE)
    peer.sendall(b"answer")
    peer.sendall(b"a ticket for the next time")
    time.sleep(NEVER)


def pooled(mine):
    mine.sendall(b"request")
    mine.recv(6)
    time.sleep(NEVER)


def rows(peer):
    peer.recv(SIZE)
    peer.sendall(bytes(64 * 200))
    time.sleep(NEVER)


def download(peer):
    peer.recv(SIZE)
    while True:
        peer.sendall(bytes(SIZE))


def slowly(mine):
    mine.sendall(b"request")
    while mine.recv(64):
        work()


KINDS = {
    "held-up": (messages, held_up),
    "behind": (messages, behind),
    "prompt": (messages, prompt),
    "farewell": (farewell, pooled),
    "ticket": (ticket, pooled),
    "rows": (rows, slowly),
    "download": (download, slowly),
}

ports = {}
for kind in sys.argv[1:]:
    send, receive = KINDS[kind]
    listening = socket.create_server(("127.0.0.1", 0))
    ports[kind] = listening.getsockname()[1]
    mine = socket.create_connection(listening.getsockname())
    peer = listening.accept()[0]
    threading.Thread(target=send, args=(peer,), daemon=True).start()
    threading.Thread(target=receive, args=(mine,), daemon=True).start()
    del mine, peer  # these are the threads'
print(json.dumps({"ports": ports}), flush=True)
with http.server.ThreadingHTTPServer(
    ("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler
) as server:
    server.serve_forever()
