"""A server that accepts in a thread, blocks now and then, and on SIGUSR1 becomes itself again.

It calls exec and keeps its listening socket, as servers do to load new code: argv [FD OF THE
SOCKET]. Logs each block; the second program never calls exec. Python 3.8 syntax.
"""

import json
import os
import signal
import socket
import sys
import threading
import time

HARM_S, GAP_S = 0.5, 0.4
AGAIN = len(sys.argv) > 1


def say(line):
    os.write(1, (json.dumps(line) + "\n").encode())


def block_before():
    time.sleep(HARM_S)


def block_after():
    time.sleep(HARM_S)


def answer(connection):
    with connection:
        connection.recv(1 << 16)
        time.sleep(0.005)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")


def work(listener):
    rested = time.monotonic()
    while not asked.is_set():
        answer(listener.accept()[0])
        if time.monotonic() > rested + GAP_S:
            start = time.monotonic()
            block_after() if AGAIN else block_before()
            rested = time.monotonic()
            say({"again": AGAIN, "start": start, "end": rested})
    done.set()


asked, done = threading.Event(), threading.Event()
if AGAIN:
    listener = socket.socket(fileno=int(sys.argv[1]))
else:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    signal.signal(signal.SIGUSR1, lambda *_: asked.set())
    say({"port": listener.getsockname()[1]})
threading.Thread(target=work, args=(listener,), daemon=True).start()
done.wait()
listener.set_inheritable(True)
say({"exec": time.monotonic()})
os.execv(sys.executable, [sys.executable, sys.argv[0], str(listener.fileno())])
