"""The conversation with one Node's inspector, in a thread of its own: what comes are profiles.

Each thread of JavaScript is a session: the main thread's is the connection itself, worker threads'
go through it (the domain NodeWorker), those that start later, too. Every second each session
is told to stop and to start again, and answers with what its thread did meanwhile; one that is held
up in native code answers when that is over, with all of it.

Which OS thread a session is, the inspector does not say. Who is spoken to has to run in order to
answer: of the threads that have a loop of Node's, the one that has run each time is it. So a thread
is sampled only once it is known: samples make all of them run.

A Node that ends waits until its inspector's connections have ended. It says so to those who have
asked for that in time, and listens no more, and is let go.

Everything that comes is hostile: its size is bounded and its types are checked.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from waitspy.errors import SamplerError
from waitspy.kernel import procfs
from waitspy.model.recorded import HeldUp
from waitspy.samplers import inspector_port
from waitspy.samplers.inspector_port import Inspector
from waitspy.samplers.v8_profile import CpuProfile

MAIN = ""
"""The session of the main thread."""

_EVERY_S = 1.0
_TRIES_EVERY_S = 0.2
_ANSWERS_WITHIN_S = 1.0
_CLOSES_WITHIN_S = 3.0
_STEP_S = 0.05
_LARGEST_MESSAGE = 32 << 20
_MOST_SESSIONS = 256
_PROBES = 6
_HALVES = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_CLOSE = """((close, later) => { later(() => later(close)); close(); })
(require('inspector').close, require('timers').setImmediate)"""
"""Node takes SIGUSR1 twice: at once, by breaking into what it computes, and when its loop turns. To
one that has computed all along the second time is still to come, and it would open its inspector
again: it closes that after the loop's next turn, which the first ``setImmediate`` may precede."""
_KEEP = "(globalThis.console?.profile ?? profile)('waitspy')"
"""Begins a profile of that thread that lasts until the end. To begin the first one of a thread, V8
walks through its whole heap, which takes a millisecond or two for each MB; but none to begin
another one beside it, each second. ``profile`` of the inspector's own console is for programs that
have taken ``console.profile`` away: from Node 22 on, V8 goes on to show it on top of a thread that
waits in ``Atomics.wait``, and no line then."""


class _Params(msgspec.Struct, rename="camel"):
    session_id: str = ""
    message: str = ""


class _Answer(msgspec.Struct):
    profile: CpuProfile | None = None


class _Message(msgspec.Struct):
    id: int | None = None
    method: str = ""
    params: _Params = msgspec.field(default_factory=_Params)
    result: _Answer = msgspec.field(default_factory=_Answer)


@dataclass(frozen=True, slots=True)
class Profiled:
    """What one thread of JavaScript did; ``session`` is what the inspector calls it."""

    session: str
    tid: int
    profile: CpuProfile


@dataclass(slots=True)
class _Session:
    tid: int | None = None
    possible: set[int] | None = None
    started: bool = False
    waits_for: set[int] = field(default_factory=set)
    probed: int = 0
    begins: tuple[int, int] = (0, 0)
    held_since_ns: int | None = None


class InspectorSession(threading.Thread):
    """Opens the inspector of a process and samples it until ``stop`` is called.

    ``profiles`` fills with what came, ``failed`` says why it could not be sampled, or no longer;
    ``left_open`` is what remains of it, ``unmatched`` are sessions whose thread was never known.
    ``held_up`` is when threads began their first profile, which takes V8 its time.
    ``candidates`` names the threads that run JavaScript, as far as they are known.
    """

    def __init__(self, pid: int, interval_us: int, candidates: Callable[[], set[int]]) -> None:
        super().__init__(name=f"inspector of {pid}", daemon=True)
        self.pid = pid
        self.profiles: deque[Profiled] = deque()
        self.failed: SamplerError | None = None
        self.left_open: str | None = None
        self.unmatched: set[str] = set()
        self.held_up: deque[HeldUp] = deque()
        self._interval_us = interval_us
        self._candidates = candidates
        self._sessions: dict[str, _Session] = {}
        self._ids = 0
        self._waited_for = False
        self._ended = threading.Event()
        self._connection: ClientConnection | None = None

    def stop(self) -> None:
        """Asks for the last profiles, and for the end."""
        self._ended.set()

    def run(self) -> None:
        """The whole conversation."""
        try:
            inspector = inspector_port.open_inspector(self.pid, self._ended.is_set)
        except SamplerError as error:
            self.failed = error
            return
        except Exception as error:  # noqa: BLE001  (a thread that fails must tell why)
            self.failed = _lost(error)
            return
        try:
            with _connected(self.pid, inspector) as connection:
                self._connection = connection
                self._converse(inspector)
                if inspector.opened and not self._waited_for:
                    self._close()
        except Exception as error:  # noqa: BLE001  (what a target sends may break anything)
            self.failed = _lost(error)
        if inspector.opened and not self._waited_for:
            self._tell_what_is_left(inspector)

    def _tell_what_is_left(self, inspector: Inspector) -> None:
        deadline_s = time.monotonic() + _CLOSES_WITHIN_S
        with suppress(OSError):  # the process has ended, and nothing is left
            while inspector_port.is_open(self.pid, inspector):
                if time.monotonic() > deadline_s:
                    self.left_open = f"{inspector.address}:{inspector.port}"
                    return
                time.sleep(_STEP_S)

    # --- the conversation

    def _converse(self, inspector: Inspector) -> None:
        self._meet(MAIN)
        self._sessions[MAIN].tid = self.pid
        self._send("NodeRuntime.notifyWhenWaitingForDisconnect", {"enabled": True})
        self._send("NodeWorker.enable", {"waitForDebuggerOnStart": False})
        self._listen(_ANSWERS_WITHIN_S, until=lambda: not self._busy())
        while not self._is_over():
            self._waited_for |= not inspector_port.is_open(self.pid, inspector)
            turns_s = time.monotonic() + _EVERY_S
            while not self._is_over() and time.monotonic() < turns_s:
                self._match()
                self._listen(_TRIES_EVERY_S, until=self._is_over)
            for name in list(self._sessions):
                self._turn_over(name, again=not self._is_over())
        self._listen(_ANSWERS_WITHIN_S, until=lambda: not self._busy())
        self.unmatched |= {name for name, one in self._sessions.items() if one.tid is None}

    def _is_over(self) -> bool:
        return self._ended.is_set() or self._waited_for

    def _busy(self) -> bool:
        return any(one.waits_for for one in self._sessions.values())

    def _meet(self, name: str) -> None:
        """Makes a thread ready to be sampled."""
        if len(self._sessions) >= _MOST_SESSIONS:
            return
        self._sessions[name] = _Session()
        self._send("Profiler.enable", None, name)

    def _turn_over(self, name: str, *, again: bool) -> None:
        """Asks for what was sampled; not while an answer to that is still to come."""
        session = self._sessions[name]
        if session.waits_for or not session.started:
            return
        self._send("Profiler.stop", None, name)
        self._send("Profiler.start" if again else "Profiler.disable", None, name)

    def _send(self, method: str, params: dict[str, Any] | None = None, name: str = MAIN) -> int:
        """Sends that to a thread; the number under which it is answered."""
        assert self._connection is not None
        self._ids += 1
        if name in self._sessions:
            self._sessions[name].waits_for.add(self._ids)
        message: dict[str, Any] = {"id": self._ids, "method": method, "params": params or {}}
        if name != MAIN:
            inner = {"sessionId": name, "message": msgspec.json.encode(message).decode()}
            message = {"id": 0, "method": "NodeWorker.sendMessageToWorker", "params": inner}
        self._connection.send(msgspec.json.encode(message).decode())
        return self._ids

    def _evaluate(self, expression: str, name: str = MAIN) -> None:
        told = {"expression": expression, "includeCommandLineAPI": True, "silent": True}
        self._send("Runtime.evaluate", told, name)

    def _listen(self, within_s: float, until: Callable[[], bool]) -> None:
        """Takes what comes, for so long, or until that is so."""
        assert self._connection is not None
        deadline_s = time.monotonic() + within_s
        while not until() and time.monotonic() < deadline_s:
            try:
                raw = self._connection.recv(timeout=_STEP_S)
            except TimeoutError:
                continue
            self._acknowledge()
            self._take(_decoded(raw))

    def _acknowledge(self) -> None:
        """Has the kernel acknowledge at once: a worker thread is answered for in two parts, the
        second of which waits for that, which took 40 ms each time.
        """
        assert self._connection is not None
        self._connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _take(self, message: _Message) -> None:
        params = message.params
        match message.method:
            case "NodeRuntime.waitingForDisconnect":
                self._waited_for = True
            case "NodeWorker.attachedToWorker":
                self._meet(params.session_id)
            case "NodeWorker.detachedFromWorker":
                gone = self._sessions.pop(params.session_id, None)
                if gone is not None and gone.tid is None:
                    self.unmatched.add(params.session_id)
            case "NodeWorker.receivedMessageFromWorker":
                self._answered(params.session_id, _decoded(params.message))
            case "":
                self._answered(MAIN, message)

    def _answered(self, name: str, message: _Message) -> None:
        session = self._sessions.get(name)
        if session is None or message.id not in session.waits_for:
            return
        session.waits_for.remove(message.id)
        before, begun = session.begins
        if message.id == before:
            session.held_since_ns = time.monotonic_ns()
        elif message.id == begun and session.held_since_ns and session.tid is not None:
            self.held_up.append(HeldUp(session.tid, session.held_since_ns, time.monotonic_ns()))
        if message.result.profile is not None and session.tid is not None:
            self.profiles.append(Profiled(name, session.tid, message.result.profile))

    # --- which thread is which

    def _match(self) -> None:
        """Speaks to those whose thread is not known yet, one after the other; starts who is known.

        One that has not answered is held up: it is left until it has.
        """
        self._start_known()
        unknown = {name: one for name, one in self._sessions.items() if one.tid is None}
        threads = self._candidates() if unknown else set()
        for name, session in unknown.items():
            for _ in range(_PROBES):
                if session.tid is None and not session.waits_for and not self._is_over():
                    self._probe(name, session, threads)
            self._start_known()
        self._eliminate(threads)
        self._start_known()

    def _start_known(self) -> None:
        """Starts to sample those whose thread is known, one after the other: it takes CPU time."""
        for name, session in list(self._sessions.items()):
            if session.tid is not None and not session.started and not self._is_over():
                self._start(name, session)

    def _start(self, name: str, session: _Session) -> None:
        session.started = True
        interval = {"interval": self._interval_us}
        before = self._send("Profiler.setSamplingInterval", interval, name)
        self._evaluate(_KEEP, name)
        session.begins = before, self._send("Profiler.start", None, name)
        self._listen(_ANSWERS_WITHIN_S, until=lambda: not session.waits_for)

    def _probe(self, name: str, session: _Session, threads: set[int]) -> None:
        others = threads - {one.tid for one in self._sessions.values()}
        if not others:
            return
        before = self._ran(others)
        self._send("Profiler.enable", None, name)
        self._listen(_TRIES_EVERY_S, until=lambda: not session.waits_for)
        if session.waits_for:
            return
        after = self._ran(others)
        ran = {tid for tid in others if before.get(tid) != after.get(tid) is not None}
        session.possible = ran if session.possible is None else session.possible & ran
        session.probed += 1
        if not session.possible:  # it was none of those that are known
            session.possible, session.probed = None, 0
        elif len(session.possible) == 1 and session.probed > 1:
            (session.tid,) = session.possible

    def _eliminate(self, threads: set[int]) -> None:
        """The last one without a thread is the last thread without one, if that has run for it."""
        left = [one for one in self._sessions.values() if one.tid is None]
        rest = threads - {one.tid for one in self._sessions.values()}
        if len(left) == 1 and left[0].possible is not None and len(rest & left[0].possible) == 1:
            (left[0].tid,) = rest & left[0].possible

    def _ran(self, tids: set[int]) -> dict[int, bytes]:
        """What changes whenever they run."""
        found = {}
        for tid in tids:
            with suppress(OSError):
                found[tid] = procfs.switch_counts(procfs.read(self.pid, f"task/{tid}/status"))
        return found

    # --- the end

    def _close(self) -> None:
        """Closes the inspector that was opened; its connections end with it."""
        self._send("NodeWorker.disable")
        self._listen(_ANSWERS_WITHIN_S, until=lambda: not self._sessions[MAIN].waits_for)
        # its main thread stands until its good-bye is sent, which waits for this to be acknowledged
        self._acknowledge()
        self._evaluate(_CLOSE)
        with suppress(WebSocketException, OSError, TimeoutError, msgspec.MsgspecError):
            self._listen(_CLOSES_WITHIN_S, until=lambda: False)


def _connected(pid: int, inspector: Inspector) -> ClientConnection:
    return connect(
        f"ws://localhost/{inspector.target_id}",
        sock=inspector_port.connect(pid, inspector),
        compression=None,
        proxy=None,
        max_size=_LARGEST_MESSAGE,
        open_timeout=_CLOSES_WITHIN_S,
        close_timeout=_ANSWERS_WITHIN_S,
        ping_interval=None,
    )


def _decoded(raw: str | bytes) -> _Message:
    """What a message says. A name in JavaScript may have half of a character, which no JSON may."""
    data = raw.encode() if isinstance(raw, str) else raw
    try:
        return msgspec.json.decode(data, type=_Message)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.json.decode(_HALVES.sub(rb"\\ufffd", data), type=_Message)


def _lost(error: Exception) -> SamplerError:
    why = f"the conversation with its inspector failed ({type(error).__name__}: {error})"
    return SamplerError(why[:300], "record again; its stacks until then are kept")
