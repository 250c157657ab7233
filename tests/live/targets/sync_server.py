"""A pre-forking server: argv WORKERS SECONDS; each request takes that long, blocked."""

import json
import os
import socket
import sys
import time

WORKERS, SECONDS = int(sys.argv[1]), float(sys.argv[2])


def answer(connection):
    connection.recv(1 << 16)
    time.sleep(SECONDS)
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    connection.close()


def work(listener):
    while True:
        connection, _ = listener.accept()
        answer(connection)


listener = socket.create_server(("127.0.0.1", 0), backlog=64)
for _ in range(WORKERS):
    if os.fork() == 0:
        work(listener)
print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
os.wait()
