"""Where tasks wait, as read from outside of every Python, equals what they say of themselves."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import pythons
from tests.examples.build import process as made_up
from tests.live.running import TARGETS, read_report, record, target, waitspy
from tests.live.test_requests import SERVER, ask
from tests.remote.interpreters import Python, found
from tests.remote.started import Started, started
from waitspy.judge import places
from waitspy.model.clock import NS
from waitspy.model.judged import Place
from waitspy.model.places import PlacesEvent
from waitspy.model.recorded import WorkerRecord
from waitspy.oracles import Watched
from waitspy.oracles.places import PlacesOracle
from waitspy.recording.places import PlacesRow, TasksSame, TasksSeen, event
from waitspy.remote.memory import Torn
from waitspy.remote.reader import Reader
from waitspy.remote.values import TasksLook

pytestmark = pytest.mark.ptrace

TASKS = TARGETS / "waiting_tasks.py"
LOOPS = TARGETS / "remote_loops.py"
PYTHONS = [pytest.param(python, id=str(python)) for python in found()]

AWAITS = {
    "connection": ("Semaphore.acquire (asyncio/locks.py:", "lock", 3),
    "answer": ("Future", "other", 2),
    "event": ("Event.wait (asyncio/locks.py:", "other", 1),
    "queue": ("Queue.get (asyncio/queues.py:", "idle", 1),
    "sleep": ("sleep (asyncio/tasks.py:", "idle", 1),
    "gather": ("gather", "other", 1),
    "stream": ("StreamReader.readline (asyncio/streams.py:", "idle", 1),
    "lock": ("Lock.acquire (asyncio/locks.py:", "lock", 1),
    "main": ("Future", "other", 1),
}


class Looking:
    """The oracle at one process, with a clock of its own: looks far apart, so that none is left out
    for what the one before has cost.
    """

    def __init__(self, pid: int) -> None:
        self.oracle = PlacesOracle()
        self.watched = Watched(made_up(pid), f"/proc/{pid}")
        self.told: list[PlacesRow] = []
        assert self.oracle.attach(self.watched) == "ok"
        assert self.tick(1) == []

    def tick(self, at_s: float, *, ran: bool = True) -> list[PlacesRow]:
        self.watched.begin_tick(ran=ran)
        rows = list(self.oracle.tick(self.watched, round(at_s * NS)))
        self.told += rows
        return rows

    def places(self, end_s: float) -> dict[int | None, Place]:
        """What the judge makes of it, by line; only lines that are told once."""
        worker = WorkerRecord(
            self.watched.worker,
            0,
            oracles={"places": "ok"},
            places=tuple(e for e in map(event, self.told) if isinstance(e, PlacesEvent)),
        )
        listed = places.find([worker], {}, {}, round(end_s * NS))
        assert listed is not None
        assert len({one.line for one in listed}) == len(listed)
        return {one.line: one for one in listed}


def check_awaits(listed: dict[int | None, Place], process: Started) -> None:
    lines: dict[str, int] = process.truth["lines"]
    for name, (awaits, wait, count) in AWAITS.items():
        one = listed[lines[name]]
        assert (one.awaits.startswith(awaits), one.wait, one.count) == (True, wait, count), one
        assert str(one.file).endswith("waiting_tasks.py")
    inner = next(one for one in listed.values() if one.function.endswith("numbers"))
    assert (inner.awaits, inner.count) == ("Future", 1)
    assert len(listed) == len(AWAITS) + 1


@pytest.mark.parametrize("python", PYTHONS)
def test_every_task_is_found_at_its_line_with_what_it_awaits(python: Python) -> None:
    with started(python, TASKS) as process:
        looking = Looking(process.pid)
        (row,) = looking.tick(2)
        assert isinstance(row, TasksSeen)
        assert (row.pending, row.looked) == (process.truth["pending"],) * 2
        assert sum(group.count for group in row.groups) == row.pending
        check_awaits(looking.places(2), process)
        assert {one.longest_s for one in looking.places(2).values()} == {None}  # seen once


@pytest.mark.parametrize("python", PYTHONS)
def test_who_stays_is_told_from_who_has_moved_on(python: Python) -> None:
    with started(python, TASKS) as process:
        looking = Looking(process.pid)
        looking.tick(20)
        looking.tick(40)
        line = process.truth["lines"]["connection"]
        one = looking.places(40)[line]
        assert (one.count, one.longest_s, one.sure) == (3, 20.0, True)  # its loop ran nothing
        assert [type(row) for row in looking.tick(60)] == [TasksSame]
        assert [type(row) for row in looking.tick(80, ran=False)] == [TasksSame]
        assert (looking.places(80)[line].longest_s, looking.places(80)[line].sure) == (60.0, True)
        process.tell("\n")
        process.line()
        looking.tick(100)
        after = looking.places(100)
        assert (after[line].count, after[line].longest_s, after[line].sure) == (2, 80.0, False)
        answer = after[process.truth["lines"]["answer"]]
        assert (answer.count, answer.longest_s) == (3, 80.0)
        main = after[process.truth["lines"]["main"]]
        assert main.count == 1
        assert not main.sure  # it waits at the same line, but for another future


@pytest.mark.parametrize("python", PYTHONS)
def test_of_many_tasks_as_many_are_looked_at_as_the_allowance_lets(python: Python) -> None:
    with started(python, LOOPS, "many", "5000") as process:
        reader = Reader(process.pid)
        (some,) = reader.tasks_looks((), 1)
        assert (some.pending, 0 < some.looked < 1000) == (5000, True)
        known = {task.task for task in some.tasks}
        (again,) = reader.tasks_looks(known, 1)
        assert known & {task.task for task in again.tasks}
        assert {task.task for task in again.tasks} - known
        (every,) = reader.tasks_looks((), 60 * NS)
        assert (every.pending, every.looked, len(every.tasks)) == (5000, 5000, 4999)
        assert {task.task: task for task in some.tasks}.items() <= {
            task.task: task for task in every.tasks
        }.items()


@pytest.mark.parametrize("mode", ["busy", "gentle"])
@pytest.mark.parametrize("python", PYTHONS)
def test_beside_a_busy_loop_only_what_is_whole_is_told(python: Python, mode: str) -> None:
    with started(python, LOOPS, mode) as process:
        reader = Reader(process.pid)
        anchors = 0
        for _ in range(40):
            looks: tuple[TasksLook, ...] = ()
            with contextlib.suppress(Torn):  # the loop may change at every try
                looks = reader.tasks_looks((), 60 * NS)
            for look in looks:
                assert len(look.tasks) <= look.looked <= look.pending
                stacks = {task.place: reader.where(task)[0] for task in look.tasks}
                still = [
                    task for task in look.tasks
                    if [f.function for f in stacks[task.place]][:2] == ["waiter", "inner"]
                ]  # fmt: skip
                assert len(still) <= process.truth["anchors"]
                anchors = max(anchors, len(still))
        assert anchors == process.truth["anchors"]


@pytest.mark.alone
@pytest.mark.parametrize(
    "python", [pytest.param(p, id=str(p), marks=pythons.marks(p.version)) for p in found()]
)
def test_a_report_names_the_line_at_which_clients_are_kept_waiting(
    python: Python, tmp_path: Path
) -> None:
    argv = (python.path, *SERVER[1:])
    with target(argv, env=python.environment) as server, contextlib.ExitStack() as stack:
        for _ in range(3):
            ask(server.ready["port"], b"silent\n", stack)
        ask(server.ready["port"], None, stack)
        report = record(server.pid, tmp_path / "rec", seconds=3.5)
    told: list[dict[str, Any]] = report["waiting"]["places"]
    silent = [place for place in told if "create_future" in place.get("source", "")]
    assert [(one["what"], one["count"], one["awaits"]) for one in silent] == [("task", 3, "Future")]
    assert 1.5 < silent[0]["longest_s"] < 3.5
    assert silent[0]["sure"] is True
    assert report["waiting"]["tasks"]["looked"] == report["waiting"]["tasks"]["pending"]
    text = waitspy("report", tmp_path / "rec").stdout
    section = " ".join(text.partition("\nwhat waits\n")[2].partition("\nprocesses\n")[0].split())
    assert "- 3 tasks at serve," in section
    assert "await Future, the oldest for at least" in section
    assert "; idle ones do so, too" in section
    assert section.count("- ") <= 6


@pytest.mark.alone
def test_a_server_that_nobody_asks_has_nothing_to_say(tmp_path: Path) -> None:
    with target(SERVER) as server, contextlib.ExitStack() as stack:
        ask(server.ready["port"], b"hello\n", stack).recv(100)
        record(server.pid, tmp_path / "rec", seconds=2.5)
    report = read_report(tmp_path / "rec")
    assert {place["wait"] for place in report["waiting"]["places"]} == {"idle"}
    text = waitspy("report", tmp_path / "rec").stdout
    assert "what waits" not in text
    assert "record longer, or under load" in text


@pytest.mark.alone
def test_threads_that_stand_in_one_wait_are_told_with_it(tmp_path: Path) -> None:
    code = (
        "import json, threading\n"
        "def stuck(lock): lock.acquire()\n"
        "lock = threading.Lock(); lock.acquire()\n"
        "for _ in range(3): threading.Thread(target=stuck, args=(lock,), daemon=True).start()\n"
        "print(json.dumps({}), flush=True)\n"
        "threading.Event().wait()\n"
    )
    program = tmp_path / "program.py"
    program.write_text(code)
    with target((sys.executable, program)) as process:
        report = record(process.pid, tmp_path / "rec", seconds=2.5)
    told = {place["function"]: place for place in report["waiting"]["places"]}
    stuck = told["stuck"]
    assert (stuck["what"], stuck["count"], stuck["line"]) == ("thread", 3, 2)
    assert stuck["awaits"] == "lock.acquire (futex)"
    assert stuck["sure"] is True
    assert 1.5 < stuck["longest_s"] <= 2.6
    assert told["<module>"]["count"] == 1
    (worker,) = report["waiting"]["workers"]
    assert worker["cpu_share"] < 0.2
