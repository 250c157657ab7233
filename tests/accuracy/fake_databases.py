"""MySQL and MongoDB as far as a client needs them to be connected and to wait for an answer.

Neither is in Debian. MySQL answers every query with "done", ``select sleep(SECONDS)`` after so long;
MongoDB every command, ``{"ping": SECONDS}`` after so long.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Awaitable, Callable

from waitspy_scenarios.serving.stage import Stage

_Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_KEPT: list[asyncio.Server] = []


async def start_mysql(_: Stage) -> int:
    """Its port."""
    return await _start(_mysql)


async def start_mongo(_: Stage) -> int:
    """Its port."""
    return await _start(_mongo)


async def _start(serve: _Streams) -> int:
    async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the target has closed it
        finally:
            writer.close()

    server = await asyncio.start_server(until_closed, "127.0.0.1", 0, backlog=512)
    _KEPT.append(server)
    return int(server.sockets[0].getsockname()[1])


# --- MySQL's protocol, version 10 -----------------------------------------------------------------

_CAPABILITIES = 0x0008F7FF  # 4.1, secure connection, plugins: of old servers, without TLS
_GREETING = (
    b"\x0a8.0.0\0" + struct.pack("<I", 1) + b"12345678\0"
    + struct.pack("<HBHH", _CAPABILITIES & 0xFFFF, 45, 2, _CAPABILITIES >> 16)
    + b"\x15" + bytes(10) + b"123456789012\0" + b"mysql_native_password\0"
)  # fmt: skip
_DONE = b"\0\0\0\2\0\0\0"
_QUERY, _QUIT = 3, 1
_SLEEP = re.compile(rb"sleep\(([0-9.]+)\)")


async def _mysql(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_packet(0, _GREETING))
    while True:
        head = await reader.readexactly(4)
        asked = await reader.readexactly(int.from_bytes(head[:3], "little"))
        slow = _SLEEP.search(asked)
        if asked[:1] == bytes([_QUERY]) and slow:
            await asyncio.sleep(float(slow[1]))
        if asked == bytes([_QUIT]):
            return
        writer.write(_packet(head[3] + 1, _DONE))


def _packet(number: int, content: bytes) -> bytes:
    return struct.pack("<I", len(content))[:3] + bytes([number]) + content


# --- MongoDB's protocol ---------------------------------------------------------------------------

_REPLY, _QUERY_2004, _MESSAGE = 1, 2004, 2013
_DOUBLE = 1
_HELLO = {
    b"ok": 1.0, b"ismaster": True, b"isWritablePrimary": True, b"helloOk": True,
    b"maxBsonObjectSize": 1 << 24, b"maxMessageSizeBytes": 48_000_000,
    b"maxWriteBatchSize": 100_000, b"minWireVersion": 0, b"maxWireVersion": 21,
}  # fmt: skip


async def _mongo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        size, number, _, kind = struct.unpack("<4i", await reader.readexactly(16))
        asked = await reader.readexactly(size - 16)
        begin = asked.index(b"\0", 4) + 9 if kind == _QUERY_2004 else 5
        first, _, rest = asked[begin + 5 :].partition(b"\0")
        if asked[begin + 4] == _DOUBLE and first == b"ping":
            await asyncio.sleep(struct.unpack_from("<d", rest)[0])
        if kind == _QUERY_2004:
            answer = struct.pack("<iqii", 0, 0, 0, 1) + _bson()
        else:
            answer = struct.pack("<ib", 0, 0) + _bson()
        kind = _REPLY if kind == _QUERY_2004 else _MESSAGE
        writer.write(struct.pack("<4i", 16 + len(answer), 1, number, kind) + answer)


def _bson() -> bytes:
    """What it says of itself, as a document."""
    content = b""
    for name, value in _HELLO.items():
        if isinstance(value, bool):
            content += b"\x08" + name + b"\0" + struct.pack("<?", value)
        elif isinstance(value, float):
            content += b"\x01" + name + b"\0" + struct.pack("<d", value)
        else:
            content += b"\x10" + name + b"\0" + struct.pack("<i", value)
    return struct.pack("<i", len(content) + 5) + content + b"\0"
