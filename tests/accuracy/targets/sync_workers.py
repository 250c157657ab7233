"""Workers that accept from one listening socket, one request at a time: argv both|one|idle.

both: at times all of them are held up by a slow request, and connections wait. one: only the first
is, and the other one serves. Python 3.8 syntax.
"""

import os
import socket
import sys
import time

import truth

STORY = sys.argv[1]
WORKERS = 2


def slow_request(until_s):
    time.sleep(max(0.0, until_s - time.monotonic()))  # culprit


def windows():
    """The times at which requests are slow: the same in every worker."""
    at_s = START_S
    for length_s in truth.lengths(0.25):
        at_s += 0.4
        yield at_s, at_s + length_s
        at_s += length_s


def work(number):
    slow = windows()
    start_s, end_s = next(slow)
    while True:
        connection, _ = listener.accept()
        accepted_s = time.monotonic()
        with connection:
            sent_ns = int(connection.recv(100) or accepted_s * 1e9)
            if accepted_s - sent_ns / 1e9 > 0.05:
                truth.waits("connection", sent_ns, int(accepted_s * 1e9), tid=0, anyone=True)
            while accepted_s > end_s:
                start_s, end_s = next(slow)
            if accepted_s >= start_s and (STORY == "both" or (STORY == "one" and number == 0)):
                stall = None
                if number == 0 and STORY == "both":
                    stall = truth.begin("accept-backlog", slow_request, tid=0, anyone=True)
                slow_request(end_s)
                if stall is not None:
                    truth.end(stall)
            connection.sendall(b"answer\n")


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(64)
START_S = time.monotonic()
truth.ready(port=listener.getsockname()[1])
for number in range(WORKERS):
    if os.fork() == 0:
        work(number)
os.wait()
