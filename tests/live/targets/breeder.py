"""A master whose workers end and are replaced; logs when each was started. argv LIFE_S."""

import json
import os
import signal
import subprocess
import sys
import time

LIFE_S = float(sys.argv[1])
OUT = []


def finish(*_):
    for line in OUT:
        os.write(1, (json.dumps(line) + "\n").encode())
    os._exit(0)


signal.signal(signal.SIGTERM, finish)
print("{}", flush=True)
while True:
    start = time.monotonic()
    code = f"import time\ndef wait_as_a_worker():\n    time.sleep({LIFE_S})\nwait_as_a_worker()\n"
    worker = subprocess.Popen([sys.executable, "-c", code])
    OUT.append({"pid": worker.pid, "start": start})
    worker.wait()
