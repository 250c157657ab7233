"""Tasks that wait to read from a connection: in which methods they stand."""

from __future__ import annotations

from typing import NamedTuple

from waitspy.model.code_origin import base_name
from waitspy.model.stacks import Frame, Stack


class ReadMethod(NamedTuple):
    """A coroutine in which tasks wait for input: its file, its name, and the attributes that lead
    from its ``self`` to the connection's transport.
    """

    file: str
    name: str
    transport: tuple[str, ...]


READS = (
    ReadMethod("/asyncio/streams.py", "_wait_for_data", ("_transport",)),
    ReadMethod("/anyio/_backends/_asyncio.py", "receive", ("_transport",)),
    ReadMethod("/aiohttp/client_reqrep.py", "start", ("_protocol", "transport")),
    ReadMethod("/aiohttp/streams.py", "_wait", ("_protocol", "transport")),
)


def read_of(frame: Frame) -> ReadMethod | None:
    """The method that a frame is in; None: another one."""
    name = base_name(frame.function)
    found = (one for one in READS if name == one.name and frame.rooted.endswith(one.file))
    return next(found, None)


def reads(stack: Stack) -> bool:
    """Whether tasks with these awaits wait to read from a connection."""
    return any(read_of(frame) is not None for frame in stack)
