"""Prints its pid; a thread and a task wait for programs whose output nobody reads."""

import asyncio
import os
import subprocess
import threading

ERRORS = ["sh", "-c", "while :; do echo a line of an error, one of very many >&2; done"]
PIPE = subprocess.PIPE


def convert():
    program = subprocess.Popen(["head", "-c", "1000000", "/dev/zero"], stdout=PIPE)
    program.wait()


async def search():
    program = await asyncio.create_subprocess_exec(*ERRORS, stdout=PIPE, stderr=PIPE)
    await program.stdout.read()


async def main():
    threading.Thread(target=convert, name="converter", daemon=True).start()
    print(os.getpid(), flush=True)
    await search()


asyncio.run(main())
