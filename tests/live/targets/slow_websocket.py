"""Sends by a WebSocket to a client that does not read, until there is no room."""

import asyncio
import json
import socket

from websockets.asyncio.server import serve

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def sends(connection):
    while True:
        await connection.send(bytes(1_000_000))


async def main():
    async with serve(sends, "127.0.0.1", 0) as server:
        (listening,) = server.sockets
        with socket.create_connection(listening.getsockname()) as client:
            client.sendall(UPGRADE)
            print(json.dumps({"port": client.getsockname()[1]}), flush=True)
            await asyncio.sleep(3600)


asyncio.run(main())
