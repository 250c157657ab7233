"""Keeps asking a line server on several connections: argv PORT CONNECTIONS GAP_S."""

import socket
import sys
import threading
import time


def ask(port, gap_s):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while True:
            connection.sendall(b"ask\n")
            if not connection.recv(100):
                return
            time.sleep(gap_s)


def guarded(port, gap_s):
    try:
        ask(port, gap_s)
    except OSError:
        pass


threads = [
    threading.Thread(target=guarded, args=(int(sys.argv[1]), float(sys.argv[3])))
    for _ in range(int(sys.argv[2]))
]
for thread in threads:
    thread.start()
print("{}", flush=True)
