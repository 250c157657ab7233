"""Thread pools and listening sockets that starve, and those that are merely full."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, WAITSPY, record, said, starved_by_itself, starving, target
from tests.live.web import load, uvicorn
from tests.pythons import ends, newest_always

pytestmark = pytest.mark.ptrace

PYTHONS = ends()
ENDS = [pytest.param(path, id=version) for version, path in PYTHONS.items()]
POOLS = TARGETS / "pools.py"


@pytest.mark.parametrize("python", ENDS)
def test_quick_work_behind_blocking_calls_in_the_default_executor(
    python: str, tmp_path: Path
) -> None:
    with target([python, POOLS, "default-executor"]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "exhausted-pool", said(report)
    assert finding["blame"]["function"] == "slow"
    assert finding["wait"]["call"] == "time.sleep"
    assert len(finding["threads"]) == 3
    assert finding["share"] > 0.8
    assert {v["name"] for v in finding["victims"]} >= {"quick", "slow"}
    assert finding["detail"] == "the default executor: all 3 threads"


@pytest.mark.parametrize("python", ENDS)
def test_a_pool_that_waits_for_itself_is_a_deadlock(python: str, tmp_path: Path) -> None:
    with target([python, POOLS, "deadlock"]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=2)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "deadlock", said(report)
    assert finding["detail"].startswith("deadlock of thread pool"), finding["detail"]
    assert finding["blame"]["function"].endswith("outer")
    assert [(v["name"], v["count"]) for v in finding["victims"]] == [("quick", 2)]


@pytest.mark.parametrize("case", ["batch", "batch-in-a-loop", "short-batch-in-the-default", "idle"])
def test_a_batch_of_work_is_no_finding(case: str, tmp_path: Path) -> None:
    with target([sys.executable, POOLS, case]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=3)
    assert [f for f in report["findings"] if f["kind"] != "no-cpu"] == [], said(report)


GROUPS = TARGETS / "thread_groups.py"


@pytest.mark.parametrize("python", newest_always())
@pytest.mark.parametrize(
    ("story", "victim"), [("awaited", "quick"), ("awaited-simple", "quick"), ("events", "Job")]
)
def test_work_behind_blocking_calls_in_a_queue_of_threads(
    story: str, victim: str, python: str, tmp_path: Path
) -> None:
    with target([python, GROUPS, story]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "exhausted-pool", said(report)
    assert finding["blame"]["function"] == "slow"
    assert finding["detail"].startswith("the queue of "), finding["detail"]
    assert finding["share"] > 0.8
    assert victim in {v["name"] for v in finding["victims"]}


def test_work_behind_blocking_calls_in_a_queue_by_priority(tmp_path: Path) -> None:
    with target([sys.executable, GROUPS, "awaited-priority"]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "exhausted-pool", said(report)
    assert finding["blame"]["function"] == "slow"


@pytest.mark.parametrize("story", ["batch", "nobody", "idle", "brisk"])
def test_a_queue_that_nobody_waits_behind_is_no_finding(story: str, tmp_path: Path) -> None:
    with target([sys.executable, GROUPS, story]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=3)
    assert [f for f in report["findings"] if f["kind"] != "no-cpu"] == [], said(report)
    text = subprocess.check_output([*WAITSPY, "report", tmp_path / "rec"], text=True)
    assert re.search("watched [12] pools? in", text), text


def test_a_queue_whose_thread_hangs_is_told_though_nobody_waits(tmp_path: Path) -> None:
    with target([sys.executable, GROUPS, "hangs"]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=3)
    (finding,) = report["findings"]
    assert (finding["kind"], finding["verdict"]) == ("exhausted-pool", "late"), said(report)
    assert finding["wait"]["call"] == "Event.wait"


PROCESSES = TARGETS / "process_pool.py"


@pytest.mark.parametrize("python", newest_always())
def test_quick_work_behind_blocking_calls_in_a_pool_of_processes(
    python: str, tmp_path: Path
) -> None:
    with target([python, PROCESSES, "starved"]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "exhausted-pool", said(report)
    assert finding["blame"]["function"] == "slow"
    assert finding["detail"] == "a pool of processes: all 2 processes"
    assert len(finding["pids"]) == 2
    assert pool.pid not in finding["pids"]
    assert "quick" in {v["name"] for v in finding["victims"]}


def test_a_pool_of_processes_with_one_to_spare_is_no_finding(tmp_path: Path) -> None:
    with target([sys.executable, PROCESSES, "served"]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=3)
    assert [f for f in report["findings"] if f["kind"] != "no-cpu"] == [], said(report)


MULTIPROCESSING = TARGETS / "multiprocessing_pool.py"


@pytest.mark.parametrize("python", newest_always())
@pytest.mark.parametrize("kind", [pytest.param("processes", marks=pytest.mark.slow), "threads"])
def test_quick_work_behind_blocking_calls_in_a_pool_of_multiprocessing(
    kind: str, python: str, tmp_path: Path
) -> None:
    with target([python, MULTIPROCESSING, "starved", kind]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "exhausted-pool", said(report)
    assert finding["blame"]["function"] == "slow"
    assert finding["detail"].endswith(f": all 2 {kind}"), finding["detail"]
    assert (pool.pid in finding["pids"]) == (kind == "threads")
    assert "quick" in {v["name"] for v in finding["victims"]}


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("served", "processes"),
        pytest.param("batch", "processes", marks=pytest.mark.slow),
        ("batch", "threads"),
        pytest.param("idle", "threads", marks=pytest.mark.slow),
    ],
)
def test_a_pool_of_multiprocessing_that_starves_nobody_is_no_finding(
    case: str, kind: str, tmp_path: Path
) -> None:
    with target([sys.executable, MULTIPROCESSING, case, kind]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=2)
    assert [f for f in report["findings"] if f["kind"] != "no-cpu"] == [], said(report)
    text = subprocess.check_output([*WAITSPY, "report", tmp_path / "rec"], text=True)
    assert re.search("watched 1 pool", text) or case == "served", text


def test_a_pool_of_threads_that_waits_for_itself_is_a_deadlock(tmp_path: Path) -> None:
    with target([sys.executable, MULTIPROCESSING, "nested", "threads"]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=2)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "deadlock", said(report)
    assert finding["detail"].startswith("deadlock of a thread pool"), finding["detail"]


@pytest.mark.parametrize("python", newest_always())
@pytest.mark.parametrize("kind", ["processes", pytest.param("threads", marks=pytest.mark.slow)])
def test_a_loop_that_waits_for_a_pool_leads_to_the_worker_that_has_its_work(
    kind: str, python: str, tmp_path: Path
) -> None:
    with target([python, MULTIPROCESSING, "blocked", kind]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=2)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "blocked-loop", said(report)
    assert finding["wait"]["call"] == "multiprocessing.Pool.apply"
    first, root = finding["chain"]
    assert first["function"].rpartition(".")[2] == "call"  # up to 3.10, no more is known
    assert first["waits_for"]["kind"] == "future"
    assert (root["function"], root["wait"]["call"], root["how"]) == (
        "slow", "time.sleep", "work-item",
    )  # fmt: skip
    assert (root["who"]["pid"] == pool.pid) == (kind == "threads")


@pytest.mark.parametrize("python", newest_always())
@pytest.mark.parametrize("story", ["lost", pytest.param("orphaned", marks=pytest.mark.slow)])
def test_who_waits_for_work_that_a_killed_process_had_waits_for_ever(
    story: str, python: str, tmp_path: Path
) -> None:
    with target([python, MULTIPROCESSING, story, "processes"]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "deadlock", said(report)
    assert finding["blame"]["function"] == "awaited"
    assert finding["detail"] == "work that no process of its pool has or will take"
    assert "BrokenProcessPool" in finding["remedy"]


def test_who_waits_for_work_that_a_process_has_waits_for_that(tmp_path: Path) -> None:
    with target([sys.executable, MULTIPROCESSING, "awaited", "processes"]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=2)
    assert [f for f in report["findings"] if f["kind"] != "no-cpu"] == [], said(report)


def test_more_work_than_a_pool_can_do_is_late(tmp_path: Path) -> None:
    with target([sys.executable, POOLS, "trickle"]) as pool:
        report = record(pool.pid, tmp_path / "rec", seconds=3)
    (finding,) = report["findings"]
    assert (finding["kind"], finding["verdict"]) == ("overloaded-pool", "late"), said(report)
    assert all(episode["served"] > 0 for episode in finding["episodes"])


def test_sixty_calls_of_a_synchronous_endpoint_exhaust_forty_threads(tmp_path: Path) -> None:
    with uvicorn() as (pid, port), load(port, "/in-a-thread", 60):
        report = record(pid, tmp_path / "rec", seconds=5)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "exhausted-pool", said(report)
    assert finding["blame"]["function"] == "in_a_thread"
    assert len(finding["threads"]) == 40
    assert finding["detail"] == "AnyIO's worker threads: all 40 threads"
    assert max(e["pending_max"] for e in finding["episodes"]) == pytest.approx(20, abs=2)
    assert {v["kind"] for v in finding["victims"]} == {"task"}


@pytest.mark.alone
def test_twenty_calls_do_not(tmp_path: Path) -> None:
    with uvicorn() as (pid, port), load(port, "/in-a-thread", 20):
        report = record(pid, tmp_path / "rec", seconds=3)
    assert starving(report) == [], said(report)


def test_connections_wait_while_every_worker_is_blocked(tmp_path: Path) -> None:
    server = [sys.executable, TARGETS / "sync_server.py", 2, 0.5]
    with target(server) as master, load(master.ready["port"], "/", 20):
        report = record(master.pid, tmp_path / "rec", seconds=4)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "accept-backlog", said(report)
    assert finding["blame"]["function"] == "answer"
    assert len(finding["pids"]) == 2
    assert master.pid not in finding["pids"]
    assert max(e["pending_max"] for e in finding["episodes"]) == pytest.approx(18, abs=1)
    assert {v["kind"] for v in finding["victims"]} == {"connection"}
    assert finding["share"] > 0.8


@pytest.mark.alone
def test_a_quick_server_keeps_nobody_waiting(tmp_path: Path) -> None:
    server = [sys.executable, TARGETS / "sync_server.py", 2, 0.01]
    with target(server) as master, load(master.ready["port"], "/", 20):
        report = record(master.pid, tmp_path / "rec", seconds=3)
    assert starving(report) == [], said(report)


ACCEPTED = TARGETS / "accepted_into_pool.py"


def test_clients_wait_in_an_executor_whose_threads_look_for_something_in_short_waits(
    tmp_path: Path,
) -> None:
    with target([sys.executable, ACCEPTED, 0.6]) as server, load(server.ready["port"], "/", 4):
        report = record(server.pid, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert (finding["kind"], finding["verdict"]) == ("exhausted-pool", "starving"), said(report)
    assert finding["blame"]["function"] == "look_for_it"
    assert {(v["kind"], v["name"]) for v in finding["victims"]} == {("work-item", "serve")}
    assert finding["share"] > 0.7


@pytest.mark.alone
def test_an_executor_that_serves_its_clients_at_once_is_none(tmp_path: Path) -> None:
    with target([sys.executable, ACCEPTED, 0]) as server, load(server.ready["port"], "/", 4):
        report = record(server.pid, tmp_path / "rec", seconds=3)
    assert starving(report) == [], said(report)
