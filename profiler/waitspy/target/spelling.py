"""Tells what kind of thing a target names, by its spelling alone.

Pure: whether there is such a process, port, unit or container is found out elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from waitspy.errors import TargetError
from waitspy.kernel import procfs

HOW = "give the PID of the server, :PORT, or a part of its command line"

Kind = Literal["number", "port", "unit", "container", "pattern"]

_URL = re.compile(r"(https?|wss?)://([^/?#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:[^@]*@)?(\[[0-9A-Fa-f:.%]*\]|[^:\[\]\s]*)(?::(\d*))?")
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|\*|[\w.-]+):(\d+)", re.ASCII)
_UNIT = re.compile(r"[\w@.:\\-]+\.(?:service|scope)", re.ASCII)
_CONTAINER = re.compile(r"[0-9a-f]{12,64}")
_LONGEST_PID = 9
"""pid_max is at most 2**22; longer numbers are not worth converting."""


@dataclass(frozen=True, slots=True)
class Spelled:
    """What a target may be; ``number`` is the PID or port, ``text`` the rest of it.

    A ``number`` is a PID or a port, whichever there is. The ``text`` of a port is the host that
    stood before it, "" without one.
    """

    kind: Kind
    text: str = ""
    number: int = 0


def read(target: str) -> Spelled:
    """What a target names.

    Raises:
        TargetError: it is empty, or names a port that cannot be.
    """
    target = target.strip()
    if not target:
        raise TargetError("the target is empty", HOW)
    if target.startswith(":"):
        return _port(target, "", target[1:])
    if target.isascii() and target.isdigit() and not _CONTAINER.fullmatch(target):
        return Spelled("number", target, int(target) if len(target) <= _LONGEST_PID else 0)
    if url := _URL.match(target):
        place = _AUTHORITY.fullmatch(url[2])
        if place is None:
            return Spelled("pattern", target)
        usual = "443" if url[1].lower() in {"https", "wss"} else "80"
        return _port(target, place[1], place[2] or usual)
    if place := _PLACE.fullmatch(target):
        return _port(target, place[1], place[2])
    if _UNIT.fullmatch(target):
        return Spelled("unit", target)
    if _CONTAINER.fullmatch(target):
        return Spelled("container", target)
    return Spelled("pattern", target)


def _port(target: str, host: str, digits: str) -> Spelled:
    port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else 0
    if not 0 < port < 65536:
        raise TargetError(f"{procfs.shown(target)} is no port", "give :1 to :65535, as in :8000")
    return Spelled("port", host, port)


def is_here(host: str) -> bool:
    """Whether a host names, for all one can tell from its spelling, this machine."""
    bare = host.strip("[]").casefold()
    return bare in {"", "*", "localhost", "::", "::1", "0.0.0.0"} or bare.startswith("127.")  # noqa: S104
