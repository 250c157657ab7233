"""A trio server: argv harmed|healthy. Python 3.8 syntax."""

import sys
import time

import loop_under_test
import trio
import truth


def sleep(length_s):
    time.sleep(length_s)  # culprit


async def answer(stream):
    received = b""
    async for chunk in stream:
        received += chunk
        *lines, received = received.split(b"\n")
        for line in lines:
            truth.served("io", int(line))
            await stream.send_all(b"answer\n")


async def guarded(stream):
    try:
        await answer(stream)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def harm_often():
    for length_s in truth.lengths():
        await trio.sleep(loop_under_test.GAP_S)
        with truth.stall("blocked-loop", sleep):
            sleep(length_s)


async def main():
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, guarded, 0)
        truth.ready(port=listeners[0].socket.getsockname()[1])
        if sys.argv[1] == "harmed":
            nursery.start_soon(harm_often)


trio.run(main)
