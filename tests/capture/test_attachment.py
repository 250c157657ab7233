"""One attached worker: what happens when an oracle fails in the middle."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from tests.golden import record
from waitspy.capture.attachment import Attachment
from waitspy.capture.budget import Budget, Recently, Room
from waitspy.judge import analysis
from waitspy.model.clock import NS
from waitspy.model.processes import Role, Worker
from waitspy.model.stacks import Frame, Stack
from waitspy.oracles import NEVER_NS, Watched
from waitspy.oracles.reading import reader_of
from waitspy.recording import loading
from waitspy.recording.dumps import DumpRow
from waitspy.recording.folder import Writer
from waitspy.recording.rows import Row, RowType
from waitspy.remote import native_ids
from waitspy.remote.reader import Reader
from waitspy.samplers import SamplerStatus, Sampling, SegmentRow, WhoRan


def room() -> Room:
    return Room(Budget(), Recently())


class _Idle:
    """A sampler that samples nothing."""

    immediate: ClassVar[bool] = False
    done = True

    def __init__(self) -> None:
        self.segments: list[SegmentRow] = []
        self.dumped_ns: list[int] = []

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        return SamplerStatus()

    def dump(self, now_ns: int) -> bool:
        self.dumped_ns.append(now_ns)
        return True

    def pause(self, now_ns: int) -> None: ...

    def stop(self, now_ns: int) -> None: ...
    def kill(self) -> None: ...

    def cpu_ns(self) -> int:
        return 0

    def sampling(self) -> Sampling:
        return Sampling()

    def cost_s(self, threads: int) -> float:
        return 0.001

    def look(self, seen: WhoRan, now_ns: int, *, at_once: bool = False) -> bool:
        return False

    def rss_bytes(self) -> int:
        return 0


class _Counting:
    """An oracle that tells each tick, and fails at the one it is told to."""

    name: ClassVar[str] = "counting"
    rows: ClassVar[RowType] = Row

    def __init__(self, name: str, fails_at: int) -> None:
        self.name = name  # type: ignore[misc]
        self.fails_at = fails_at
        self.detached = 0

    def attach(self, watched: Watched) -> str:
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[Row]:
        yield Row(now_ns)
        if now_ns == self.fails_at:
            raise KeyError("odd")

    def detach(self, watched: Watched) -> None:
        self.detached += 1


class _Threads(_Counting):
    """An oracle that sees one thread."""

    def __init__(self) -> None:
        super().__init__("threads", -1)

    def tick(self, watched: Watched, now_ns: int) -> Iterator[Row]:
        watched.tids = {4711}
        yield Row(now_ns)


def test_an_oracle_that_fails_ends_alone_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rec"
    writer = Writer(str(path), {"clock": {}})
    pid = os.getpid()
    good, bad = _Counting("good", -1), _Counting("bad", 2)
    worker = Worker(pid, 1, "worker", "python", 5, python="3.12.0")
    one = Attachment(worker, _Idle(), (bad, good), writer, room(), 0)
    for now_ns in (1, 2, 3):
        one.tick(now_ns)
    one.detach(4, "exited")
    writer.close()
    assert bad.detached == good.detached == 1
    assert one.row["oracles"]["good"] == "ok"
    assert "KeyError" in one.row["oracles"]["bad"]
    assert one.row["known_ns"] == 2
    (loss,) = one.losses
    assert loss.what == "oracle bad, and what it would have shown"
    assert loss.pid == pid
    told = (path / "oracles" / "bad" / f"{pid}.jsonl").read_text().splitlines()
    # Rows of the look that failed are not kept: what they would have said together is not known.
    assert [json.loads(line) for line in told[1:-1]] == [[1]]
    assert json.loads(told[-1])["type"] == "end"
    kept = (path / "oracles" / "good" / f"{pid}.jsonl").read_text().splitlines()
    assert len(kept) == 1 + 3 + 1


class _Dumping(_Idle):
    """A sampler that gives one dump, with the ids of another pid namespace."""

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        stack = (Frame("main", "/app/a.py", 1),)
        return SamplerStatus(dumps=[DumpRow(now_ns, {1: stack, 9: stack}, 1, now_ns + 5)])


def test_dumps_of_another_pid_namespace_name_threads_by_their_ids_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_ids, "differ", lambda *_: True)
    monkeypatch.setattr(native_ids, "here", lambda *_: {1: 4711})
    writer = Writer(str(tmp_path / "rec"), {"clock": {}})
    pid = os.getpid()
    worker = Worker(pid, 1, "worker", "python", 5, python="3.12.0")
    one = Attachment(worker, _Dumping(), (_Threads(),), writer, room(), 0)
    one.tick(1)
    one.step(2)
    writer.close()
    assert one.row["native_ids"] == [[1, 1, 4711]]
    (line,) = (tmp_path / "rec" / "stacks" / f"{pid}.dumps.jsonl").read_text().splitlines()
    assert json.loads(line) == [2, {"4711": [["main", "/app/a.py", 1, None]]}, 4711, 7]


def test_the_main_thread_of_a_fork_may_go_by_the_pid_of_what_it_is_a_fork_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = os.getpid()
    monkeypatch.setattr(native_ids, "inherited", lambda *_: {1: pid})
    monkeypatch.setattr(native_ids, "differ", lambda *_: False)
    writer = Writer(str(tmp_path / "rec"), {"clock": {}})
    worker = Worker(pid, 1, "worker", "python", 5, python="3.12.0")
    one = Attachment(worker, _Dumping(), (_Threads(),), writer, room(), 0)
    one.tick(1)
    one.step(2)
    writer.close()
    assert one.row["native_ids"] == [[0, 1, pid]]
    (line,) = (tmp_path / "rec" / "stacks" / f"{pid}.dumps.jsonl").read_text().splitlines()
    assert json.loads(line) == [2, {str(pid): [["main", "/app/a.py", 1, None]]}, pid, 7]


def test_a_master_is_known_once_it_has_workers_and_stays_one(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "rec"), {"clock": {}})
    worker = Worker(os.getpid(), 1, "worker", "python", 5, python="3.12.0")
    one = Attachment(worker, _Idle(), (), writer, room(), 0)
    roles: tuple[Role, ...] = ("worker", "master", "worker")
    for role in roles:
        one.play(replace(worker, role=role))
    writer.close()
    assert one.row["role"] == "master"


class _Broken(_Counting):
    """An oracle that fails while it starts."""

    def attach(self, watched: Watched) -> str:
        raise KeyError("odd")

    def detach(self, watched: Watched) -> None:
        super().detach(watched)
        raise ValueError("half started")


def test_an_oracle_that_fails_to_start_ends_alone_and_says_so(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "rec"), {"clock": {}})
    pid = os.getpid()
    good, bad = _Counting("good", -1), _Broken("bad", -1)
    worker = Worker(pid, 1, "worker", "python", 5, python="3.12.0")
    one = Attachment(worker, _Idle(), (bad, good), writer, room(), 0)
    for now_ns in (NS, 2 * NS):
        one.tick(now_ns)
    one.detach(3 * NS, "exited")
    writer.close()
    assert one.row["oracles"] == {"bad": "it failed (KeyError: 'odd')", "good": "ok"}
    assert "known_ns" not in one.row  # it never told anything that now would be missing
    (loss,) = one.losses
    assert loss.what == "oracle bad, and what it would have shown"
    assert loss.pid == pid
    assert (bad.detached, good.detached) == (1, 1)
    assert not (tmp_path / "rec" / "oracles" / "bad").exists()
    kept = (tmp_path / "rec" / "oracles" / "good" / f"{pid}.jsonl").read_text().splitlines()
    assert len(kept) == 1 + 2 + 1


def test_a_full_disk_leaves_no_oracle_attached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = Writer(str(tmp_path / "rec"), {"clock": {}})
    monkeypatch.setattr(writer, "start_stream", full)
    oracle = _Counting("good", -1)
    worker = Worker(os.getpid(), 1, "worker", "python", 5, python="3.12.0")
    with pytest.raises(OSError, match="No space"):
        Attachment(worker, _Idle(), (oracle,), writer, room(), 0)
    writer.close()
    assert oracle.detached == 1


def test_nothing_is_claimed_of_a_worker_once_an_oracle_has_failed(tmp_path: Path) -> None:
    folder = tmp_path / "parked"
    folder.mkdir()
    for source in record.folder("parked").rglob("*"):
        goal = folder / source.relative_to(record.folder("parked"))
        if source.is_dir():
            goal.mkdir()
        else:
            goal.write_bytes(source.read_bytes())
    (finding,) = analysis.analyse(loading.load(str(folder))).report.findings
    assert finding.occurrences > 1
    meta = json.loads((folder / "meta.json").read_text())
    known_ns = int((finding.episodes[0].end_s + 0.001) * 1e9)
    for row in meta["workers"]:
        row["known_ns"] = known_ns
    (folder / "meta.json").write_text(json.dumps(meta))
    (finding,) = analysis.analyse(loading.load(str(folder))).report.findings
    assert finding.occurrences == 1
    assert finding.episodes[0].end_s <= known_ns / 1e9


class _Stalling:
    """An oracle that sees a thread blocked on a futex, and a stall begin, whenever it looks."""

    name: ClassVar[str] = "stalling"
    rows: ClassVar[RowType] = Row

    def __init__(self, futex: int) -> None:
        self.futex = futex

    def attach(self, watched: Watched) -> str:
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[Row]:
        watched.blocked[watched.worker.pid] = (202, self.futex)
        watched.onset = True
        return iter(())

    def detach(self, watched: Watched) -> None: ...


@pytest.mark.parametrize(
    ("futex", "dumped_ms"),
    [(150, [1000, 1400, 1800]), (250, [1000, 1800])],
    ids=["the GIL", "something else"],
)
def test_every_stall_shows_who_keeps_the_gil(
    futex: int, dumped_ms: list[int], tmp_path: Path
) -> None:
    writer = Writer(str(tmp_path / "rec"), {"clock": {}})
    worker = Worker(os.getpid(), 1, "worker", "python", 5, python="3.12.0")
    sampler = _Idle()
    one = Attachment(worker, sampler, (_Stalling(futex),), writer, room(), 0)
    one._span = (100, 200)
    for now_ms in (1000, 1400, 1800):
        one.tick(now_ms * 10**6)
    writer.close()
    assert [now_ns // 10**6 for now_ns in sampler.dumped_ns] == dumped_ms


class _Showing(Reader):
    """Of every thread the same stack."""

    def __init__(self) -> None: ...

    def stacks(self, tids: Iterable[int], cpu_ns: int) -> dict[int, Stack]:
        return dict.fromkeys(tids, (Frame("main", "/app/a.py", 1),))


class _Sampling(_Idle):
    """One that samples when it is asked, and has used all that it may."""

    immediate: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bool] = []
        self.rates: list[float] = []
        self.cpu = 0

    def sampling(self) -> Sampling:
        return Sampling(self.cpu, self.cpu / NS * 100)

    def look(self, seen: WhoRan, now_ns: int, *, at_once: bool = False) -> bool:
        self.asked.append(seen.has_room)
        return False

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        self.rates.append(rate_hz)
        return SamplerStatus()


def test_without_room_a_wait_has_its_stack_and_the_rate_is_slower_at_once(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "rec"), {"clock": {}})
    pid = os.getpid()
    sampler = _Sampling()
    one = Attachment(
        Worker(pid, 1, "worker", "python", 5, python="3.12.0"),
        sampler,
        (_Stalling(250),),
        writer,
        room(),
        0,
    )
    one._watched.reader = _Showing()
    one._watched.stood = lambda _: True
    one.adjust(100, 0.1)
    one.tick(NS)
    one.step(NS)
    sampler.cpu = NS // 5  # 20 samples of 10 ms each
    one.tick(NS + NS // 10)
    one.step(NS + NS // 10)
    writer.close()
    assert sampler.asked == [True, False]
    assert sampler.rates[1] < sampler.rates[0] / 4
    (line,) = (tmp_path / "rec" / "stacks" / f"{pid}.dumps.jsonl").read_text().splitlines()
    assert json.loads(line)[1] == {str(pid): [["main", "/app/a.py", 1, None]]}


class _Late(_Counting):
    """An oracle that cannot start at once: the interpreter is not there yet."""

    def __init__(self, name: str, refuses: int) -> None:
        super().__init__(name, -1)
        self.refuses = refuses

    def attach(self, watched: Watched) -> str:
        self.refuses -= 1
        return "ok" if self.refuses < 0 else "its modules cannot be found"


def test_an_oracle_that_cannot_start_is_tried_again_while_the_worker_is_young(
    tmp_path: Path,
) -> None:
    writer = Writer(str(tmp_path / "rec"), {"clock": {}})
    pid = os.getpid()
    worker = Worker(pid, 1, "worker", "python", 5, python="3.12.0")
    soon, never = _Late("soon", 2), _Late("never", 10**9)
    one = Attachment(worker, _Idle(), (soon, never), writer, room(), 0)
    assert one.row["oracles"] == dict.fromkeys(("soon", "never"), "its modules cannot be found")
    for now_s in range(1, 60):
        one.tick(now_s * 10**9)
    one.detach(60 * 10**9, "exited")
    writer.close()
    assert one.row["oracles"] == {"soon": "ok", "never": "its modules cannot be found"}
    told = (tmp_path / "rec" / "oracles" / "soon" / f"{pid}.jsonl").read_text().splitlines()
    assert json.loads(told[1]) == [2 * 10**9]
    assert 10**9 - never.refuses < 20


class _Reading(_Counting):
    """An oracle that needs the process's memory."""

    def attach(self, watched: Watched) -> str:
        reader = reader_of(watched)
        return reader if isinstance(reader, str) else "ok"


def test_what_reads_its_memory_stays_while_another_oracle_is_tried_again(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "rec"), {"clock": {}})
    worker = Worker(os.getpid(), 1, "worker", "python", 5, python="3.12.0")
    oracles = (_Late("late", 9), _Reading("reads", -1))
    one = Attachment(worker, _Idle(), oracles, writer, room(), 0)
    reader = one._watched.reader
    assert isinstance(reader, Reader)
    one.tick(NS)
    assert one._watched.reader is reader
    one.detach(2 * NS, "exited")
    writer.close()


class _Scripted:
    """An oracle that says at each tick what it is told to, and notes what was due before it looked."""

    name: ClassVar[str] = "scripted"
    rows: ClassVar[RowType] = Row

    def __init__(self, *ticks: tuple[bool, int | None]) -> None:
        self._ticks = iter(ticks)
        self._began = False
        self.was_due: list[bool] = []

    def attach(self, watched: Watched) -> str:
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[Row]:
        assert not watched.due
        self.was_due.append(watched.was_due)
        watched.due, futex = next(self._ticks)
        watched.onset = watched.due and not self._began
        self._began = watched.due
        watched.blocked = {} if futex is None else {watched.worker.pid: (202, futex)}
        return iter(())

    def detach(self, watched: Watched) -> None: ...


def _ticked(oracle: _Scripted, ticks: int, folder: Path) -> list[int]:
    """When dumps were asked for, in milliseconds, if every tenth there is a tick."""
    writer = Writer(str(folder / "rec"), {"clock": {}})
    sampler = _Idle()
    worker = Worker(os.getpid(), 1, "worker", "python", 5, python="3.12.0")
    one = Attachment(worker, sampler, (oracle,), writer, room(), 0)
    one._span = (100, 200)
    one.rate_hz = 100.0
    for n in range(ticks):
        one.tick((1000 + 10 * n) * 10**6)
    writer.close()
    return [now_ns // 10**6 for now_ns in sampler.dumped_ns]


def test_who_keeps_the_gil_is_asked_when_its_waiter_is_caught_waiting(tmp_path: Path) -> None:
    """It wakes every few milliseconds to ask for it, and may be seen running when a stall begins."""
    oracle = _Scripted((True, None), (True, None), (True, 150), (True, 150), (False, None))
    assert _ticked(oracle, 5, tmp_path) == [1020]
    calm = _Scripted((True, None), (False, None), (False, 150))
    assert _ticked(calm, 3, tmp_path / "calm") == []


def test_the_threads_are_told_what_was_due_at_the_tick_before(tmp_path: Path) -> None:
    oracle = _Scripted((True, None), (False, None), (False, None))
    _ticked(oracle, 3, tmp_path)
    assert oracle.was_due == [False, True, False]


class _Waits(_Scripted):
    """As that; the onset comes at the third tick in which something is due."""

    def tick(self, watched: Watched, now_ns: int) -> Iterator[Row]:
        rows = super().tick(watched, now_ns)
        watched.onset = self.was_due[-2:] == [True, True] and watched.due
        return rows


def test_a_stall_is_timed_from_its_onset_until_nothing_is_due(tmp_path: Path) -> None:
    due = [True, False, True, True, True, True, False, True]
    writer = Writer(str(tmp_path / "rec"), {"clock": {}})
    worker = Worker(os.getpid(), 1, "worker", "python", 5, python="3.12.0")
    oracle = _Waits(*((one, None) for one in due))
    one = Attachment(worker, _Idle(), (oracle,), writer, room(), 0)
    stalling = []
    for n in range(len(due)):
        one.tick((1000 + 10 * n) * 10**6)
        stalling.append(one.stalling)
    writer.close()
    assert stalling == [False, False, False, False, True, True, False, False]


# --- who is asked at a tick --------------------------------------------------------------------


class _Resting(_Counting):
    """An oracle that rests until it is told to, and tells nothing but in ``tells_at``."""

    def __init__(self, name: str, until_ns: int = NEVER_NS, tells_at: tuple[int, ...] = ()) -> None:
        super().__init__(name, -1)
        self.until_ns = until_ns
        self.tells_at = tells_at
        self.asked_at: list[int] = []
        self.idles_ns = 0
        self.comes_at: tuple[int, ...] = ()  # a thread
        self.sees_due: tuple[int, ...] = ()
        self.before: list[int] = []

    def tick(self, watched: Watched, now_ns: int) -> Iterator[Row]:
        self.asked_at.append(now_ns)
        self.before.append(watched.before_ns)
        watched.due |= now_ns in self.sees_due
        watched.rests_until_ns = self.until_ns
        watched.idles_until_ns = self.idles_ns if now_ns < self.idles_ns else 0
        if now_ns in self.comes_at:
            watched.tids = {*watched.tids, now_ns}
        if now_ns in self.tells_at:
            yield Row(now_ns)


class _Worker:
    """An attachment to this process, whose CPU clock says what it is told to."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *oracles: _Resting) -> None:
        self.cpu_ns = 0
        monkeypatch.setattr("time.clock_gettime_ns", lambda _: self.cpu_ns)
        self.writer = Writer(str(tmp_path / "rec"), {"clock": {}})
        worker = Worker(os.getpid(), 1, "worker", "python", 5, python="3.12.0")
        self.one = Attachment(worker, _Idle(), oracles, self.writer, room(), 0)

    def ticks(self, *times: int, ran_at: tuple[int, ...] = ()) -> None:
        for now_ns in times:
            self.cpu_ns += now_ns in ran_at
            self.one.tick(now_ns)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_who_rests_is_asked_when_its_time_has_come_or_the_process_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, later, never = _Resting("first", 0), _Resting("later", 5), _Resting("never")
    _Worker(tmp_path, monkeypatch, first, later, never).ticks(*range(1, 9), ran_at=(7,))
    assert first.asked_at == [1, 2, 3, 4, 5, 6, 7, 8], "it did not say that it rests"
    assert later.asked_at == [1, 5, 6, 7, 8]
    assert never.asked_at == [1, 7]
    assert never.before == [0, 6], "when nobody was asked counts as a tick, too"


def test_io_that_becomes_ready_wakes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, int]
) -> None:
    never = _Resting("never")
    worker = _Worker(tmp_path, monkeypatch, never)
    worker.one._watched.readiness.register(pipe[0])
    worker.ticks(1, 2)
    os.write(pipe[1], b"x")
    worker.ticks(3, 4)
    os.read(pipe[0], 1)
    worker.ticks(5, 6)
    assert never.asked_at == [1, 3, 4]


def test_what_one_has_seen_or_that_something_is_due_wakes_those_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, sees, after = _Resting("before"), _Resting("sees", 4, (4,)), _Resting("after")
    sees.sees_due = (6,)
    _Worker(tmp_path, monkeypatch, before, sees, after).ticks(*range(1, 10))
    assert sees.asked_at == [1, 4, 5, 6, 7, 8, 9]
    assert before.asked_at == [1, 7], "what was due at a tick is looked after at the next one"
    assert after.asked_at == [1, 4, 6, 7]


def test_a_thread_that_was_not_seen_to_block_is_asked_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = _Resting("never")
    worker = _Worker(tmp_path, monkeypatch, never)
    worker.ticks(1, 2)
    assert never.asked_at == [1]
    first = _Resting("first", 0)  # as the threads oracle says while one runs
    worker = _Worker(tmp_path / "other", monkeypatch, first, never)
    worker.one._watched.running.add(os.getpid())
    worker.ticks(3, 4)
    assert never.asked_at == [1, 3, 4]


def test_who_idles_is_not_asked_though_the_process_runs_until_something_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, idles = _Resting("first", 0), _Resting("idles")
    idles.idles_ns = 100
    worker = _Worker(tmp_path, monkeypatch, threads, idles)
    worker.ticks(*range(1, 9), ran_at=tuple(range(1, 9)))
    assert threads.asked_at == list(range(1, 9))
    assert idles.asked_at == [1]
    threads.comes_at = (11,)
    worker.ticks(*range(9, 15), ran_at=tuple(range(9, 15)))
    assert idles.asked_at == [1, 11], "a thread came"
    worker.one._watched.called = True
    worker.ticks(15, 16, ran_at=(15, 16))
    assert idles.asked_at[2:] == [15], "another worker's oracle called"
    threads.sees_due = (18,)
    worker.ticks(*range(17, 22), ran_at=tuple(range(17, 22)))
    assert idles.asked_at[3:] == [18, 19], "something waits, or did at the tick before"
    worker.ticks(99, 100, 101, ran_at=(99, 100, 101))
    assert idles.asked_at[5:] == [100, 101]


def test_who_idled_while_the_process_ran_rests_no_longer_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has not seen may be due by then, though the process does not run any more."""
    idles = _Resting("idles")
    idles.idles_ns = 10
    worker = _Worker(tmp_path, monkeypatch, idles)
    worker.ticks(*range(1, 20), ran_at=(1, 2, 3))
    assert idles.asked_at == [1, 10]
