"""A server whose workers show one story each, side by side: blocked, parked, and their healthy twin.

Says who has which pid (as it sees it) and which port; logs each worker's harms. Python 3.8 syntax.
"""

import json
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WORKERS = {
    "blocked": ("loop_server.py", "sleep", "0.35", "0.4"),
    "healthy": ("loop_server.py", "healthy", "0", "0.2", "threads"),
    "parked": ("parked_worker.py", "1.2", "0.4"),
}


def start(script, *arguments):
    argv = [sys.executable, os.path.join(HERE, script), *arguments]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    return process, json.loads(process.stdout.readline())


def finish(*_):
    for name, process in workers.items():
        process.send_signal(signal.SIGTERM)
        for line in process.communicate()[0].splitlines():
            print(json.dumps(dict(json.loads(line), worker=name)), flush=True)
    for process in clients:
        process.kill()
        process.wait()
    os._exit(0)


workers, clients, said = {}, [], {}
for name, argv in WORKERS.items():
    workers[name], ready = start(*argv)
    said[name] = dict(ready, pid=workers[name].pid)
    if "port" in ready:
        clients.append(start("client.py", str(ready["port"]), "2", "0.005")[0])
signal.signal(signal.SIGTERM, finish)
print(json.dumps(said), flush=True)
while True:
    signal.pause()
