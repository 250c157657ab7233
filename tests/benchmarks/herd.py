"""A parent of idle workers: argv WORKERS THREADS. Each worker is an asyncio server that waits."""

import asyncio
import subprocess
import sys
import threading


async def serve(threads: int) -> None:
    for _ in range(threads - 1):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    print("{}", flush=True)
    await server.serve_forever()


def main() -> None:
    if sys.argv[1] == "worker":
        asyncio.run(serve(int(sys.argv[2])))
        return
    children = [
        subprocess.Popen([sys.executable, __file__, "worker", sys.argv[2]], stdout=subprocess.PIPE)
        for _ in range(int(sys.argv[1]))
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    print("{}", flush=True)
    for child in children:
        child.wait()


main()
