"""Node's inspector: is it open, may it be opened, and is what answers there the target itself?

An inspector that is closed is opened by SIGUSR1, which Node takes as that wish. The signal ends a
process that does not catch it, so it is sent only to one that does. It also breaks off the system
call that its thread is in: a ``readSync`` would throw EINTR. So it goes to a thread that waits for
nothing but another thread, or for its own loop's events; these wait on.

Whoever listens on the port must be the target: its own descriptors say so, in its own network
namespace.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import msgspec

from waitspy.errors import SamplerError
from waitspy.kernel import calls, nettable, procfs
from waitspy.model import syscalls

_USUAL_PORT = 9229
_OPTION = re.compile(r"--inspect(?:-brk|-wait|-port)?(?:=(?:.*:)?(\d{1,5}))?\Z")
_BLOCKED = re.compile(rb"^SigBlk:\s*([0-9a-f]+)$", re.MULTILINE)
_WAIT_ON = frozenset({"futex"}) | syscalls.EPOLL_WAITS
_OF_THREAD = os.O_EXCL  # PIDFD_THREAD; Linux 6.9
_CAUGHT = re.compile(rb"^SigCgt:\s*([0-9a-f]+)$", re.MULTILINE)
_PLAIN = bytes(c if 32 <= c < 127 and c != ord("\\") else ord(" ") for c in range(256))
"""To read what an inspector lists: the program's name is in it as it is, which may be no JSON."""
_ID = re.compile(r"[0-9a-fA-F-]{8,64}\Z")
_STARTS_WITHIN_S, _OPENS_WITHIN_S, _LOOKS_EVERY_S = 1.0, 3.0, 0.02
_ANSWERS_WITHIN_S = 3.0
_MOST_BYTES = 1 << 20
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_NO_ANSWER = (OSError, ValueError, msgspec.MsgspecError, http.client.HTTPException)
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Inspector:
    """An inspector that is the target's, by the socket at which it listens (``inode``); ``opened``
    says that we have opened it.
    """

    address: str
    port: int
    inode: int
    target_id: str
    opened: bool


class _Listed(msgspec.Struct):
    id: str
    type: str


def open_inspector(pid: int, is_over: Callable[[], bool] = lambda: True) -> Inspector:
    """The inspector of that process, opened if it was not; this thread is in its network then.

    A main thread that is held up in native code opens it when that is over: it is waited for until
    it ``is_over``, and for some seconds at least.

    Raises:
        SamplerError: there is none, it may not be opened, or somebody else has its port.
        OSError: the process is gone, or may not be looked into.
    """
    _enter_network(pid)
    with _one_at_a_time:  # several may want one port
        port = _port(pid)
        row = next(iter(_listens(pid, port)), None)
        opened, before = row is None, set[int]()
        if row is None:
            if port and nettable.listening(pid, [port]):
                raise SamplerError(
                    f"port {port}, on which Node.js opens its inspector, is another process's",
                    "end that one, or start the server with another --inspect-port",
                )
            before = _ask(pid)
            row = next(
                (new for _ in _until(_OPENS_WITHIN_S) if (new := _new(pid, before, port))), None
            )
    while row is None:
        if is_over():
            raise SamplerError(
                "it was asked for an inspector (SIGUSR1), and has opened none yet",
                "its main thread is held up, and opens it when that is over, to stay open; or the "
                "program takes the signal for something else",
            )
        time.sleep(_LOOKS_EVERY_S)
        row = _new(pid, before, port)
    try:
        target_id = _target_id(row)
        return Inspector(_address(row), row.local_port, row.inode, target_id, opened)
    except _NO_ANSWER as error:
        raise SamplerError(
            f"what listens on port {row.local_port} does not answer as Node's inspector does "
            f"({type(error).__name__})",
            "try again; if its main thread is held up, wait until that is over",
        ) from None


def is_open(pid: int, inspector: Inspector) -> bool:
    """Whether the process still listens there."""
    return any(row.inode == inspector.inode for row in _listens(pid, inspector.port))


def connect(pid: int, inspector: Inspector) -> socket.socket:
    """A connection to it, of which that process is seen to have the other end.

    Raises:
        OSError: it does not listen any more, or somebody else has accepted.
    """
    ours = socket.create_connection((inspector.address, inspector.port), _ANSWERS_WITHIN_S)
    port = ours.getsockname()[1]
    with ExitStack() as unless_proven:
        unless_proven.callback(ours.close)
        if any(_accepted(pid, inspector.port, port) for _ in _until(_ANSWERS_WITHIN_S)):
            unless_proven.pop_all()
            return ours
    raise ConnectionError("another process has accepted the connection")


def _accepted(pid: int, port: int, by_port: int) -> bool:
    """Whether it holds the end on ``port`` of a connection from ``by_port``."""
    held = procfs.sockets(pid)
    rows = nettable.read_tcp(pid, ports=[port])
    return any(row.remote_port == by_port and row.inode in held for row in rows)


def _enter_network(pid: int) -> None:
    if procfs.namespace(pid, "net") == procfs.namespace(os.getpid(), "net"):
        return
    namespace = os.open(f"{procfs.PROC}/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        calls.enter_network(namespace)
    finally:
        os.close(namespace)


def _port(pid: int) -> int:
    """Where it would open an inspector, as it was told when it was started; 0 is any free port."""
    environment = procfs.text(procfs.read(pid, "environ")).split("\0")
    given = [one.partition("=")[2] for one in environment if one.startswith("NODE_OPTIONS=")]
    options = [option for options in given for option in options.split()]
    options += procfs.read_cmdline(pid)[1:]  # which come after those, and count before them
    found = [int(match[1]) for one in options if (match := _OPTION.match(one)) and match[1]]
    return found[-1] if found else _USUAL_PORT


def _listens(pid: int, port: int) -> list[nettable.TcpRow]:
    """The sockets at which the process itself listens on that port; of port 0 none is known."""
    held = procfs.sockets(pid)
    rows = nettable.listening(pid, [port]) if port else ()
    return [row for row in rows if row.inode in held]


def _ask(pid: int) -> set[int]:
    """Asks it to open its inspector; the inodes of the sockets that listened before."""
    if not any(_catches_it(pid) for _ in _until(_STARTS_WITHIN_S)):
        raise SamplerError(
            "it does not catch SIGUSR1, by which an inspector is opened, so that would end it",
            "its Node.js was built without an inspector, or told --disable-sigusr1: start it "
            "with --inspect",
        )
    before = {row.inode for row in nettable.listening(pid)}
    if not any(_asked(pid) for _ in _until(_OPENS_WITHIN_S)):
        raise SamplerError(
            "the signal by which an inspector is opened would break off a call of its main thread",
            "record again, or start the server with --inspect",
        )
    return before


def _new(pid: int, before: set[int], port: int) -> nettable.TcpRow | None:
    """The socket of its own at which it listens since then, on that port; if it may be any, one on
    loopback that answers as an inspector does, as the program itself may listen on others.
    """
    held = procfs.sockets(pid) - before
    ports = [port] if port else None
    rows = (row for row in nettable.listening(pid, ports) if row.inode in held)
    if port:
        return next(rows, None)
    return next((row for row in rows if row.local in _LOOPBACK and _answers(row)), None)


def _answers(row: nettable.TcpRow) -> bool:
    try:
        _target_id(row)
    except _NO_ANSWER:
        return False
    return True


def _asked(pid: int) -> bool:
    """Sends the signal to a thread that it does no harm; whether there was one."""
    for tid in sorted(procfs.threads(pid), key=lambda tid: tid == pid):  # the main one if need be
        with suppress(OSError):
            if not _takes_it(pid, tid):
                continue
            thread = os.pidfd_open(pid if tid == pid else tid, 0 if tid == pid else _OF_THREAD)
            try:
                if _takes_it(pid, tid):  # still the one that it was
                    signal.pidfd_send_signal(thread, signal.SIGUSR1)
                    return True
            finally:
                os.close(thread)
    return False


def _takes_it(pid: int, tid: int) -> bool:
    """Whether the signal would reach that thread, and not break off what it is in."""
    blocked = _BLOCKED.search(procfs.read(pid, f"task/{tid}/status"))
    if blocked is None or int(blocked[1], 16) >> (signal.SIGUSR1 - 1) & 1:
        return False
    call = procfs.read(pid, f"task/{tid}/syscall").split()[0]
    if not call.isdigit():
        return tid == pid and call == b"running"
    return syscalls.name(int(call), os.uname().machine) in _WAIT_ON


def _catches_it(pid: int) -> bool:
    """Whether the signal would not end it; one that is only starting cannot catch it yet."""
    caught = _CAUGHT.search(procfs.read(pid, "status"))
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGUSR1 - 1) & 1)


def _until(within_s: float) -> Iterator[None]:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        yield
        time.sleep(_LOOKS_EVERY_S)


def _address(row: nettable.TcpRow) -> str:
    """Where what listens there may be connected to."""
    return row.local if row.local not in {"0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104


def _target_id(row: nettable.TcpRow) -> str:
    """The id of the process among what its inspector offers.

    Raises:
        OSError, ValueError, msgspec.MsgspecError, http.client.HTTPException: it is no inspector.
    """
    connection = http.client.HTTPConnection(
        _address(row), row.local_port, timeout=_ANSWERS_WITHIN_S
    )
    try:
        connection.request("GET", "/json/list", headers={"Host": "localhost"})
        raw = connection.getresponse().read(_MOST_BYTES)
    finally:
        with suppress(OSError):
            connection.close()
    listed = msgspec.json.decode(raw.translate(_PLAIN), type=list[_Listed])
    found = next((one.id for one in listed if one.type == "node"), "")
    if not _ID.match(found):
        raise ValueError("no Node.js there")
    return found
