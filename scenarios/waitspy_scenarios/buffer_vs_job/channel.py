"""Messages between the program and the processes it starts: JSON lines over a socket pair.

Each process is started with the number of its end as last argument. When the other end closes,
for whatever reason, the process ends.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """The message as one line."""
    return json.dumps(message).encode() + b"\n"


def from_arguments(arguments: Sequence[str]) -> socket.socket:
    """This process's end of the channel; SystemExit when it was not started by the program."""
    try:
        return socket.socket(fileno=int(arguments[-1]))
    except (ValueError, OSError):
        raise SystemExit(
            "this is a part of python -m waitspy_scenarios.buffer_vs_job; run that"
        ) from None


def receive(connection: socket.socket) -> Iterator[Message]:
    """The messages of a blocking socket until its other end closes."""
    rest = b""
    while True:
        try:
            chunk = connection.recv(65536)
        except ConnectionError:
            return
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from map(json.loads, lines)
