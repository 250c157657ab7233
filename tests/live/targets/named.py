"""Blocks its loop in a function, a file and a thread that are called as it is told.

Usage: named.py SOURCE [FUNCTION [THREAD]], each in JSON's spelling. Says "ready".
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time

CODE = "def work(time):\n    time.sleep(0.25)\n"


def ask(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while True:
            connection.send(b"x\n")
            time.sleep(0.02)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():
        writer.write(b"x\n")


async def main(path: str, function: str) -> None:
    names: dict = {}
    exec(compile(CODE, path, "exec"), names)
    work = names["work"]
    code = work.__code__.replace(co_name=function)
    if hasattr(code, "co_qualname"):
        code = code.replace(co_qualname=function)
    work.__code__ = code
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    threading.Thread(target=ask, args=(port,), daemon=True).start()
    print("ready", flush=True)
    while True:
        work(time)
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    told = [json.loads(one) for one in sys.argv[1:]]
    path, function, thread = told + ["file.py", "work", "loop"][len(told) :]
    loop = threading.Thread(target=lambda: asyncio.run(main(path, function)), name=thread)
    loop.start()
    loop.join()
