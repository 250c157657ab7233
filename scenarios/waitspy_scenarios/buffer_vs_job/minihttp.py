"""As much of HTTP/1.1 as the plugin and its endpoint need, over asyncio's streams."""

from __future__ import annotations

import asyncio

HOST = "127.0.0.1"


class ClosedError(ConnectionError):
    """The peer ended the connection before a whole message arrived."""


async def read_message(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """The first line and the body of the next request or response; raises ClosedError."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *headers = head.split("\r\n")
        sizes = [line for line in headers if line.lower().startswith("content-length:")]
        size = int(sizes[0].partition(":")[2]) if sizes else 0
        return first, await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise ClosedError("connection closed") from error


def request(method: str, path: str, body: bytes = b"", *, keep: bool = False) -> bytes:
    """A request's bytes."""
    return _head(f"{method} {path} HTTP/1.1\r\nHost: {HOST}", body, keep=keep)


def response(status: str, body: bytes = b"", *, keep: bool = False) -> bytes:
    """A response's bytes; ``status`` is such as ``200 OK``."""
    return _head(f"HTTP/1.1 {status}", body, keep=keep)


class Client:
    """Requests to one local port; keeps idle connections for requests that ask for it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def fetch(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The response's body, over a connection of its own; OSError when it goes wrong."""
        reader, writer = await asyncio.open_connection(HOST, self._port)
        try:
            writer.write(request(method, path, body))
            return _body(*await read_message(reader))
        finally:
            writer.close()

    async def fetch_kept(self, method: str, path: str) -> bytes:
        """The same over an idle connection, or a new one that is kept afterwards."""
        connection = self._idle.pop() if self._idle else None
        reader, writer = connection or await asyncio.open_connection(HOST, self._port)
        try:
            writer.write(request(method, path, keep=True))
            body = _body(*await read_message(reader))
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return body

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop()[1].close()


def _body(first: str, body: bytes) -> bytes:
    if first.split(" ")[1:2] != ["200"]:
        raise ConnectionError(f"unexpected response: {first}")
    return body


def _head(first: str, body: bytes, *, keep: bool) -> bytes:
    connection = "keep-alive" if keep else "close"
    head = f"{first}\r\nConnection: {connection}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body
