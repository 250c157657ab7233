"""Starts many threads that live for a few milliseconds each, then rests; says how long they lived."""

import json
import signal
import sys
import threading
import time

lived = []


def short():
    began = time.monotonic()
    time.sleep(0.004)
    lived.append(time.monotonic() - began)


def stop(*_):
    print(json.dumps({"threads": len(lived), "lived_s": sum(lived)}), flush=True)
    sys.exit()


signal.signal(signal.SIGTERM, stop)
print(json.dumps({"ready": True}), flush=True)
until = time.monotonic() + 4
while time.monotonic() < until:
    time.sleep(0.1)
    crowd = [threading.Thread(target=short) for _ in range(16)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
while True:
    time.sleep(60)
