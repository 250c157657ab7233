"""A server of the library in a thread of its own, while the main thread looks round all the time: argv
SECONDS that each request takes. Another server, which has nothing to do, runs beside it.

Prints the port, and the descriptor and the thread of both.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

SECONDS = float(sys.argv[1])
STOPPED = False


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answer()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def answer():
    time.sleep(SECONDS)


class Server(HTTPServer):
    request_queue_size = 64


def begun(server):
    tids = []
    there = threading.Event()

    def serve():
        tids.append(threading.get_native_id())
        there.set()
        server.serve_forever()

    threading.Thread(target=serve, daemon=True).start()
    there.wait()
    return [server.fileno(), tids[0]]


SERVED, ASIDE = Server(("127.0.0.1", 0), Handler), Server(("127.0.0.1", 0), Handler)
cases = {"served": begun(SERVED), "aside": begun(ASIDE), "none": [0, 0]}
print(json.dumps({"port": SERVED.server_address[1], "cases": cases}), flush=True)
while not STOPPED:
    time.sleep(0.02)
