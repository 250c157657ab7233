"""Tasks that wait for room in a connection: where they stand, and what is known of its peer."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from waitspy.model.code_origin import base_name
from waitspy.model.ranges import Count, Many
from waitspy.model.stacks import Frame, Stack


class DrainMethod(NamedTuple):
    """A coroutine in which tasks wait until a connection takes more: its file, its name, and the
    attribute of its ``self`` that is the connection's transport.
    """

    file: str
    name: str
    transport: str


DRAINS = (
    DrainMethod("/asyncio/streams.py", "drain", "_transport"),
    DrainMethod("/aiohttp/base_protocol.py", "_drain_helper", "transport"),
    DrainMethod("/uvicorn/protocols/http/flow_control.py", "drain", "_transport"),
    DrainMethod("/websockets/asyncio/connection.py", "drain", "transport"),
    DrainMethod("/websockets/legacy/protocol.py", "_drain_helper", "transport"),
)


class Unsent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What tasks wait to get rid of: ``size`` bytes in the kernel's send queues of so many
    connections, the most of them to ``peer``. ``refused`` says that this peer has no room for more,
    as it does not read; else it is not known why they are still there.
    """

    peer: str
    size: Count
    connections: Many
    refused: bool


def drain_of(frame: Frame) -> DrainMethod | None:
    """The method that a frame is in; None: another one."""
    name = base_name(frame.function)
    found = (one for one in DRAINS if name == one.name and frame.rooted.endswith(one.file))
    return next(found, None)


def drains(stack: Stack) -> bool:
    """Whether tasks with these awaits wait for room in a connection."""
    return any(drain_of(frame) is not None for frame in stack)
