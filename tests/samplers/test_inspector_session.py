"""Which thread a session of the inspector is: by who runs to answer; and who may be asked to open one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import msgspec
import pytest

from tests.live.running import wait_until
from waitspy.errors import SamplerError
from waitspy.kernel import nettable, procfs
from waitspy.model import syscalls
from waitspy.samplers import inspector_port
from waitspy.samplers.inspector_session import MAIN, InspectorSession, _Session


class Inspected:
    """A Node with worker threads, by session; each answer makes the session's thread run.

    Those that ``always`` run do so whoever is asked.
    """

    def __init__(self, threads: dict[str, int], always: set[int]) -> None:
        self.threads, self.always = threads, always
        self.runs = dict.fromkeys({*threads.values(), *always}, 0)
        self.answers: list[bytes] = []
        self.started: list[str] = []
        self.asked: list[str] = []
        self.acknowledged = 0
        self.socket = self

    def setsockopt(self, *option: int) -> None:
        assert option == (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.acknowledged += 1

    def send(self, raw: str) -> None:
        message: dict[str, Any] = msgspec.json.decode(raw)
        for tid in self.always:
            self.runs[tid] += 1
        self.asked.append(message["method"])
        if message["method"] != "NodeWorker.sendMessageToWorker":
            self.answers.append(msgspec.json.encode({"id": message["id"], "result": {}}))
            return
        session = message["params"]["sessionId"]
        inner = msgspec.json.decode(message["params"]["message"])
        self.runs[self.threads[session]] += 1
        if inner["method"] == "Profiler.start":
            self.started.append(session)
        told = {
            "sessionId": session,
            "message": msgspec.json.encode({"id": inner["id"], "result": {}}).decode(),
        }
        answer = {"method": "NodeWorker.receivedMessageFromWorker", "params": told}
        self.answers.append(msgspec.json.encode(answer))

    def recv(self, timeout: float) -> bytes:
        del timeout
        if not self.answers:
            raise TimeoutError
        return self.answers.pop(0)


def matched(
    monkeypatch: pytest.MonkeyPatch, threads: dict[str, int], always: set[int]
) -> tuple[dict[str, int | None], list[str]]:
    """Which thread each session is taken for, and which ones are sampled."""
    inspected = Inspected(threads, always)
    every = set(threads.values())
    session = InspectorSession(1, 10_000, lambda: every)
    session._connection = inspected  # type: ignore[assignment]
    monkeypatch.setattr(
        session, "_ran", lambda tids: {tid: str(inspected.runs[tid]).encode() for tid in tids}
    )
    session._meet(MAIN)
    session._sessions[MAIN].tid = 1
    for name in threads:
        attached = {"method": "NodeWorker.attachedToWorker", "params": {"sessionId": name}}
        inspected.answers.append(msgspec.json.encode(attached))
    session._listen(1, until=lambda: not inspected.answers)
    inspected.asked.clear()
    session._match()
    first = inspected.asked[:3]
    begins = ["Profiler.setSamplingInterval", "Runtime.evaluate", "Profiler.start"]
    assert first == begins, "the main thread's, before others"
    known = [tid for tid in (1, *(one.tid for one in session._sessions.values())) if tid]
    assert {held.tid for held in session.held_up} == set(known), "each was held up to begin"
    found = {name: one.tid for name, one in session._sessions.items() if name != MAIN}
    return found, inspected.started


def test_threads_that_stand_still_are_known_by_their_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = {"1": 20, "2": 10, "3": 30}
    assert matched(monkeypatch, threads, set()) == (threads, ["1", "2", "3"])


def test_one_that_runs_all_the_time_is_the_one_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = {"1": 20, "2": 10}
    found, _ = matched(monkeypatch, threads, {20})
    assert found == threads


def test_two_that_run_all_the_time_are_not_guessed_nor_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, started = matched(monkeypatch, {"1": 20, "2": 10}, {10, 20})
    assert (found, started) == ({"1": None, "2": None}, [])


def test_a_thread_is_held_up_from_the_answer_before_its_profile_begins_until_it_has_begun() -> None:
    inspected = Inspected({}, set())
    session = InspectorSession(1, 10_000, set)
    session._connection = inspected  # type: ignore[assignment]
    session._meet(MAIN)
    session._sessions[MAIN].tid = 1
    times: dict[str, int] = {}
    receive = inspected.recv

    def recv(timeout: float) -> bytes:
        raw = receive(timeout)
        times[inspected.asked[msgspec.json.decode(raw)["id"] - 1]] = time.monotonic_ns()
        return raw

    inspected.recv = recv  # type: ignore[method-assign]
    session._match()
    (held,) = session.held_up
    assert times["Profiler.setSamplingInterval"] <= held.start_ns <= times["Runtime.evaluate"]
    assert times["Profiler.start"] <= held.end_ns


def test_each_message_is_acknowledged_at_once_as_the_next_one_may_wait_for_that() -> None:
    inspected = Inspected({"7": 17}, set())
    session = InspectorSession(1, 10_000, set)
    session._connection = inspected  # type: ignore[assignment]
    session._meet("7")
    session._listen(1.0, until=lambda: not session._busy())
    assert inspected.acknowledged == len(inspected.asked) > 0


def test_nobody_is_asked_as_long_as_no_thread_is_known() -> None:
    inspected = Inspected({"1": 20}, set())
    session = InspectorSession(1, 10_000, set)
    session._connection = inspected  # type: ignore[assignment]
    session._sessions["1"] = _Session()
    session._match()
    assert inspected.asked == []


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b'{"method": 7}',
        b'{"id": "x"}',
        b'{"id": 1, "result": {"profile": {}}}',
        b'{"method": "NodeWorker.attachedToWorker", "params": []}',
        b"{",
    ],
)
def test_what_is_no_message_ends_the_conversation(raw: bytes) -> None:
    session = InspectorSession(1, 10_000, set)
    inspected = Inspected({}, set())
    inspected.answers.append(raw)
    session._connection = inspected  # type: ignore[assignment]
    with pytest.raises(msgspec.MsgspecError):
        session._listen(1, until=lambda: False)


@pytest.mark.parametrize("session", ["", "7"])
def test_a_name_with_half_of_a_character_is_a_name(session: str) -> None:
    called = {"functionName": "a<HALF>b", "url": "file:///a", "lineNumber": 1}
    profile = {
        "nodes": [{"id": 1, "callFrame": called}],
        "startTime": 1,
        "endTime": 9,
        "samples": [1],
        "timeDeltas": [1],
    }
    answer = msgspec.json.encode({"id": 5, "result": {"profile": profile}}).decode()
    raw = answer.replace("<HALF>", r"\ud800")
    if session:
        told = {"sessionId": session, "message": raw}
        method = {"method": "NodeWorker.receivedMessageFromWorker", "params": told}
        raw = msgspec.json.encode(method).decode()
    one = InspectorSession(1, 10_000, set)
    one._sessions[session] = _Session(tid=9, waits_for={5})
    inspected = Inspected({}, set())
    inspected.answers.append(raw.encode())
    one._connection = inspected  # type: ignore[assignment]
    one._listen(1, until=lambda: not inspected.answers)
    (taken,) = one.profiles
    assert taken.tid == 9
    assert taken.profile.nodes[0].call_frame.function_name == "a\ufffdb"


def test_a_server_that_begins_to_listen_meanwhile_is_no_inspector() -> None:
    """Whether it is told where its inspector will be, or may choose a port."""
    before = procfs.sockets(os.getpid())
    with socket.create_server(("127.0.0.1", 0)) as server:
        others = server.getsockname()[1]

        def close_the_first_one() -> None:
            server.accept()[0].close()

        closes = threading.Thread(target=close_the_first_one)
        closes.start()
        assert inspector_port._new(os.getpid(), before, 0) is None
        closes.join()
        assert inspector_port._new(os.getpid(), before, 9) is None
        row = inspector_port._new(os.getpid(), before, others)
        assert row is not None
        assert row.local_port == others


@pytest.mark.parametrize("name", [b"a\x1b[31m\n.js", b"a\\qb\\", b"\xff\xfe.js", "ä.js".encode()])
def test_an_inspector_is_known_whatever_its_program_is_called(name: bytes) -> None:
    """Node puts the name into its JSON as it is, but for quotation marks."""
    listed = b'[ {\n "id": "3a101271-b3d4-482e", "title": "%b", "type": "node", "url": "%b"\n} ]'
    body = listed % (name, name)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                head = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                connection.sendall(head + body)

        answers = threading.Thread(target=answer)
        answers.start()
        (row,) = nettable.listening(os.getpid(), [server.getsockname()[1]])
        assert inspector_port._target_id(row) == "3a101271-b3d4-482e"
        answers.join()


def test_who_would_be_ended_by_the_signal_is_not_asked() -> None:
    argv = [sys.executable, "-c", "import sys; print('ready', flush=True); sys.stdin.read()"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "NODE_OPTIONS": ""}
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(SamplerError, match="SIGUSR1"):
            inspector_port.open_inspector(process.pid)
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


STANDS = """
import os, signal, threading
signal.signal(signal.SIGUSR1, lambda *_: print("asked", flush=True))
if {beside}:
    lock = threading.Lock()
    lock.acquire()
    threading.Thread(target=lock.acquire, daemon=True).start()
print("ready", flush=True)
os.read(0, 1)
"""


@pytest.mark.parametrize("beside", [False, True])
def test_a_call_that_the_signal_would_break_off_is_left_alone(
    beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes to a thread beside the one that reads, or to nobody."""
    monkeypatch.setattr(inspector_port, "_OPENS_WITHIN_S", 0.3)
    argv = [sys.executable, "-c", STANDS.format(beside=beside)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until(lambda: in_read(process.pid), "it does not read")
        before = procfs.read(process.pid, f"task/{process.pid}/schedstat")
        with pytest.raises(SamplerError, match="opened none" if beside else "would break off"):
            inspector_port.open_inspector(process.pid)
        assert procfs.read(process.pid, f"task/{process.pid}/schedstat") == before
        out, _ = process.communicate(b"x", timeout=20)
        assert (b"asked" in out) == beside


def in_read(pid: int) -> bool:
    call = procfs.read(pid, f"task/{pid}/syscall").split()[0]
    return call.isdigit() and syscalls.name(int(call), os.uname().machine) == "read"


@pytest.mark.parametrize(
    ("options", "port"),
    [
        ("", 9229),
        ("--inspect", 9229),
        ("--inspect=7777", 7777),
        ("--max-old-space-size=99 --inspect-brk=127.0.0.1:7778", 7778),
        ("--inspect-port=0", 0),
        ("--inspector=1", 9229),
        ("--inspect-port=9300 --inspect-port=9302", 9302),
    ],
)
def test_the_port_that_it_was_told(
    options: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "read_cmdline", lambda _: ("node", "a.js"))
    monkeypatch.setattr(procfs, "read", lambda *_: f"A=1\0NODE_OPTIONS={options}\0B=2".encode())
    assert inspector_port._port(1) == port
