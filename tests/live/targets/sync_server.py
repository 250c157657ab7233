"""A pre-forking server: argv WORKERS SECONDS [computes]; each request takes that long, blocked or not."""

import json
import os
import socket
import sys
import time

WORKERS, SECONDS = int(sys.argv[1]), float(sys.argv[2])
COMPUTES = sys.argv[3:] == ["computes"]


def answer(connection):
    connection.recv(1 << 16)
    if COMPUTES:
        compute()
    else:
        time.sleep(SECONDS)
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    connection.close()


def compute():
    end = time.process_time() + SECONDS
    while time.process_time() < end:
        pass


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
