"""A server of one's own: accepts, and hands connections to an executor of two threads. argv SECONDS: so
often something comes that all of them look for, in short waits; 0: it is always there.
"""

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

SECONDS = float(sys.argv[1])


def look_for_it():
    until = time.monotonic() // SECONDS * SECONDS + SECONDS if SECONDS else 0
    while time.monotonic() < until:
        time.sleep(0.02)


def serve(connection):
    with connection:
        connection.recv(1 << 16)
        look_for_it()
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")


listener = socket.create_server(("127.0.0.1", 0), backlog=64)
pool = ThreadPoolExecutor(2)
print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
while True:
    pool.submit(serve, listener.accept()[0])
