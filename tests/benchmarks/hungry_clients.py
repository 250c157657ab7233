"""Clients that ask one server again and again, without a pause: argv PORT CLIENTS.

For each line on standard input, one is written: how many answers there were until now.
"""

import asyncio
import sys

_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

answered = 0


class Client(asyncio.Protocol):
    """One connection: the next request goes out when the answer to the last one is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""
        transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        global answered  # noqa: PLW0603  (the only state of this program)
        self._buffer += data
        if self._buffer.endswith(b"\r\n\r\nok"):
            self._buffer = b""
            answered += 1
            self._transport.write(_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        sys.exit("the server has closed a connection")


def tell() -> None:
    if not sys.stdin.readline():
        sys.exit()
    print(answered, flush=True)


async def main() -> None:
    loop = asyncio.get_running_loop()
    for _ in range(int(sys.argv[2])):
        await loop.create_connection(Client, "127.0.0.1", int(sys.argv[1]))
    loop.add_reader(sys.stdin, tell)
    print("{}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
