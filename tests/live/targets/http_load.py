"""Keeps asking a URL, each time on a new connection: argv PORT PATH CONCURRENCY PAUSE_S."""

import contextlib
import http.client
import sys
import threading
import time

PORT, PATH, CONCURRENCY = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
PAUSE_S = float(sys.argv[4])


def ask():
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", PATH)
            connection.getresponse().read()
        connection.close()
        time.sleep(PAUSE_S)


for _ in range(CONCURRENCY):
    threading.Thread(target=ask, daemon=True).start()
print("{}", flush=True)
threading.Event().wait()
