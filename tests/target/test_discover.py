"""waitspy.target.discover: targets that need no server, and the pure rules of matching."""

from __future__ import annotations

import os
import socket
import threading
import uuid

import pytest

from waitspy.errors import TargetError, WaitspyError
from waitspy.target import command_lines, discover, kinship, servers, spelling
from waitspy.target.command_lines import CommandLine


def refused(target: str) -> WaitspyError:
    with pytest.raises(TargetError) as caught:
        discover.find(target)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert max(map(len, caught.value.hint.split("\n"))) < 160
    return caught.value


@pytest.mark.parametrize(
    ("pattern", "line", "matches"),
    [
        ("gunicorn", "/usr/bin/python3 /bin/Gunicorn app:app", True),
        ("app.main:app", "uvicorn app.main:app", True),
        (r"uvicorn .*--port 80\d\d$", "python uvicorn app --port 8001", True),
        (r"^uvicorn", "python uvicorn", False),
        ("c++(", "run c++( now", True),
        ("c++(", "run c now", False),
        ("[[x", "a [[x b", True),
        ("*", "a b", False),
        ("", "", False),
        (".*", "", False),
        ("STRASSE", "straße", True),
    ],
)
def test_patterns_match_as_text_and_as_expression(pattern: str, line: str, matches: bool) -> None:
    assert command_lines._matcher(pattern)(line) is matches


def test_only_the_topmost_are_kept() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 20: 1, 21: 20}
    assert kinship.topmost({10, 12, 21}, parents) == (10, 21)
    assert kinship.topmost({12, 11}, parents) == (11,)
    assert kinship.topmost(set(), parents) == ()


def command(pid: int, ppid: int, line: str, name: str = "python3") -> CommandLine:
    return CommandLine(pid, ppid, name, tuple(line.split()))


def test_several_roots_are_one_service_if_one_parent_started_them() -> None:
    table = {5: command(5, 1, "supervisord"), 1: command(1, 0, "init", "systemd")}
    roots = [command(10, 5, "python web.py"), command(11, 5, "python job.py")]
    assert command_lines._one_service(roots, table)
    assert not command_lines._one_service([roots[0], command(12, 1, "python job.py")], table)


def test_services_of_init_belong_together_only_as_instances_of_one_another() -> None:
    table = {1: command(1, 0, "init", "init"), 7: command(7, 1, "systemd --user", "systemd")}
    for parent in (1, 7):
        instances = [command(10, parent, "serve -p 8001"), command(11, parent, "serve -p 8002")]
        assert command_lines._one_service(instances, table)
        assert not command_lines._one_service([*instances, command(12, parent, "other")], table)


def test_waitspy_its_spies_and_what_started_it_never_match() -> None:
    own, up = os.getpid(), os.getppid()
    table = {
        own: command(own, up, "python -m pytest"),
        up: command(up, 1, "bash -c waitspy"),
        500: command(500, own, "py-spy record --pid 9", "py-spy"),
        501: command(501, own, "python app.py"),
        600: command(600, 1, "python /bin/waitspy record app.py"),
        601: command(601, 600, "py-spy record --pid 9", "py-spy"),
        602: command(602, 600, "python app.py"),
        700: command(700, 1, "python -m waitspy record app.py"),
        701: command(701, 1, "python profiler.py"),
        702: command(702, 1, "py-spy top --pid 9", "py-spy"),
        703: command(703, 1, "python -m profiler"),
        704: command(704, 1, "python -m waitspy_scenarios.gil_hog"),
        705: command(705, 1, "python -Im waitspy doctor app.py"),
    }
    assert table.keys() - command_lines._own(table) == {501, 602, 701, 702, 703, 704}


@pytest.mark.parametrize(
    "target", ["", "  ", ":", ":0", ":65536", ":99999", ":http", ":-1", ":8 0"]
)
def test_no_target_and_no_port(target: str) -> None:
    refused(target)


def test_its_own_pid_is_refused() -> None:
    assert "waitspy itself" in str(refused(str(os.getpid())))


@pytest.mark.parametrize("target", ["0", "4194305", "999999999", "9" * 5000])
def test_no_such_pid(target: str) -> None:
    error = refused(target)
    assert "no process" in str(error)
    assert len(str(error)) < 120


def test_a_thread_is_not_a_process() -> None:
    go, ready = threading.Event(), threading.Event()
    tids: list[int] = []

    def wait() -> None:
        tids.append(threading.get_native_id())
        ready.set()
        go.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        ready.wait()
        error = refused(str(tids[0]))
        assert f"thread of process {os.getpid()}" in str(error)
        assert str(os.getpid()) in error.hint
    finally:
        go.set()
        thread.join()


def test_a_bare_number_is_a_pid_if_there_is_one_else_a_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers, "by_port", lambda port: (port + 1,))
    monkeypatch.setattr(servers, "listened_on", lambda port: port in {1, 8000})
    monkeypatch.setattr(discover, "_by_pid", _only_pid_one)
    assert discover._roots(spelling.read("1")) == ((1,), "pid 1; the port is :1")
    assert discover._roots(spelling.read("8000")) == ((8001,), "port 8000: no process has that pid")
    with pytest.raises(TargetError):
        discover._roots(spelling.read("8001"))
    assert discover._roots(spelling.read("localhost:8000")) == ((8001,), None)
    assert discover._roots(spelling.read("http://web/x")) == ((81,), "port 80 of this machine")


def _only_pid_one(target: str, pid: int) -> int:
    if pid != 1:
        raise TargetError(f"no process has the pid {target}", "")
    return pid


def test_a_port_that_nobody_listens_on() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # taken, so that nobody else can listen; not listening
        port = bound.getsockname()[1]
        assert f"nobody listens on TCP port {port}" in str(refused(f":{port}"))


def test_a_pattern_that_nothing_matches() -> None:
    pattern = f"none-{uuid.uuid4().hex}"
    assert pattern in str(refused(pattern))


def test_hostile_patterns_are_shown_safely() -> None:
    message = str(refused("\x1b[31m\u202e<b>" + "y" * 500))
    assert message.isprintable()
    assert len(message) < 200
