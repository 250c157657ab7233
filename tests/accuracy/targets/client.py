"""Keeps asking a target, and says in each question when it was sent: argv PORT CONNECTIONS GAP_S.

With ``anew`` as fourth argument each question comes over a connection of its own.
"""

import contextlib
import socket
import sys
import threading
import time

PORT, CONNECTIONS, GAP_S = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
ANEW = "anew" in sys.argv[4:]


def ask() -> bool:
    """Asks until the other side ends; False when it cannot be reached any more."""
    now_ns = time.monotonic_ns()
    try:
        with socket.create_connection(("127.0.0.1", PORT)) as connection:
            while True:
                connection.sendall(b"%d\n" % now_ns)
                if not connection.recv(100):
                    return True
                time.sleep(GAP_S)
                if ANEW:
                    return True
                now_ns = time.monotonic_ns()
    except ConnectionError:
        return False


def keep_asking() -> None:
    with contextlib.suppress(OSError):
        while ask():
            pass


threads = [threading.Thread(target=keep_asking) for _ in range(CONNECTIONS)]
for thread in threads:
    thread.start()
print("{}", flush=True)
