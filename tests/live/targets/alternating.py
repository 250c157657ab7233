"""Two stacks that take turns, and a count that shows that the process works on.

Usage: alternating.py [TURN_S]. Says "ready"; then, a line for each turn of its second thread.
"""

from __future__ import annotations

import sys
import threading
import time

TURN_S = float(sys.argv[1]) if len(sys.argv) > 1 else 0.3


def ping() -> None:
    time.sleep(TURN_S)


def pong() -> None:
    time.sleep(TURN_S)


def take_turns() -> None:
    while True:
        ping()
        pong()


def count() -> None:
    turn = 0
    while True:
        time.sleep(0.05)
        turn += 1
        try:
            print(turn, flush=True)
        except OSError:
            return


if __name__ == "__main__":
    threading.Thread(target=take_turns, daemon=True).start()
    print("ready", flush=True)
    count()
