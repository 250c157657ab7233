"""Who holds what others wait for, from the recording to the report; and what only looks like it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.running import (
    TARGETS,
    WAITSPY,
    read_report,
    record,
    said,
    starved_by_itself,
    target,
    wait_until,
)
from tests.live.session import session
from tests.pythons import newest_always

pytestmark = pytest.mark.ptrace

ENDS = newest_always()
HELD_UP = TARGETS / "held_up.py"


def recorded(python: str, story: str, folder: Path, seconds: float = 4) -> dict[str, Any]:
    with target([python, HELD_UP, story]) as program:
        return record(program.pid, folder, seconds=seconds)


def lines(chain: list[dict[str, Any]]) -> list[str]:
    return [link["function"].rpartition(".")[2] for link in chain]


def test_a_loop_that_wants_a_lock_has_its_chain(tmp_path: Path) -> None:
    report = recorded(sys.executable, "lock_and_loop", tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "blocked-loop", said(report)
    assert finding["blame"]["function"] == "look_up"
    waiter, root = finding["chain"]
    assert lines(finding["chain"]) == ["look_up", "slow_upstream"]
    assert (waiter["waits_for"]["kind"], root["how"]) == ("lock", "with")
    assert waiter["waits_for"]["taken"]["source"] == "with lock:"
    assert root["source"] == "time.sleep(HELD_S)  # root"
    text = subprocess.check_output([*WAITSPY, "report", tmp_path / "rec"], text=True)
    assert "what it waits for is held up in slow_upstream (held_up.py" in text


def test_threads_that_want_a_lock_blame_who_holds_it(tmp_path: Path) -> None:
    report = recorded(sys.executable, "lock_and_threads", tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "held-lock", said(report)
    assert finding["blame"]["function"] == "slow_upstream"
    assert finding["blame"]["share"] > 0.8
    assert {v["kind"] for v in finding["victims"]} == {"thread"}
    assert lines(finding["chain"]) == ["look_up", "slow_upstream"]
    assert 0.4 < finding["longest_s"] < 0.8


@pytest.mark.parametrize(
    ("story", "line"), [("ring", "first_then_other"), ("ring_of_mutexes", "__enter__")]
)
def test_a_ring_of_locks_is_a_deadlock(story: str, line: str, tmp_path: Path) -> None:
    report = recorded(sys.executable, story, tmp_path / "rec", seconds=2)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "deadlock", said(report)
    assert lines(finding["chain"]) == [line] * 2
    assert [link["waits_for"]["kind"] for link in finding["chain"]] == ["lock", "lock"]
    assert finding["share"] > 0.7


def test_tasks_that_want_a_lock_blame_the_task_that_holds_it(tmp_path: Path) -> None:
    report = recorded(sys.executable, "lock_of_tasks", tmp_path / "rec", seconds=6)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "held-lock", said(report)
    assert finding["blame"]["function"] == "slow_reply"
    assert {(v["kind"], v["name"]) for v in finding["victims"]} == {("task", "wants")}
    assert [link["who"]["task"] for link in finding["chain"]] == ["wants", "slow_reply"]


@pytest.mark.parametrize("python", ENDS)
def test_tasks_that_nobody_is_left_to_wake_are_deadlocks(python: str, tmp_path: Path) -> None:
    report = recorded(python, "nobody_left", tmp_path / "rec", seconds=3)
    found = {finding["blame"]["function"]: finding for finding in starved_by_itself(report)}
    assert {finding["kind"] for finding in found.values()} == {"deadlock"}, said(report)
    waits = {
        name: [link["waits_for"]["kind"] for link in finding["chain"]]
        for name, finding in found.items()
    }
    assert waits == {
        "takes_both": ["lock", "lock"], "asks_upstream": ["lost-result"], "puts": ["lost-queue"],
    }  # fmt: skip
    assert "who took from it has ended at" in found["puts"]["detail"]


def test_requests_that_wait_for_a_slow_consumer_blame_it(tmp_path: Path) -> None:
    report = recorded(sys.executable, "slow_consumer", tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "held-lock", said(report)
    assert lines(finding["chain"]) == ["puts", "consumes_in_thread", "converts"]
    assert finding["chain"][0]["who"]["count"] == 2
    assert finding["chain"][0]["waits_for"] == {"kind": "full-queue"}
    hows = [link.get("how") for link in finding["chain"]]
    assert hows == [None, "reach", "work-item"], "it was never seen to wait for an item"
    assert finding["blame"]["function"] == "consumes_in_thread"


@pytest.mark.parametrize("python", ENDS)
def test_a_lock_that_a_task_keeps_over_an_await_blames_what_it_awaits(
    python: str, tmp_path: Path
) -> None:
    report = recorded(python, "await_and_threads", tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "held-lock", said(report)
    assert finding["blame"]["function"] == "slow_reply"
    assert [link["who"].get("task") for link in finding["chain"]] == [None, "slow_reply"]
    assert finding["chain"][0]["waits_for"]["taken"]["source"] == "with lock:"
    assert "hold no lock of threads over an await" in finding["remedy"]


@pytest.mark.parametrize("python", ENDS)
@pytest.mark.parametrize(
    ("story", "waits"),
    [
        ("await_and_loop", {"lock", "loop"}),
        ("own_result", {"future"}),
        ("across", {"lock", "future"}),
    ],
)
def test_a_ring_of_threads_and_tasks_is_a_deadlock(
    story: str, waits: set[str], python: str, tmp_path: Path
) -> None:
    report = recorded(python, story, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "deadlock", said(report)
    assert {link["waits_for"]["kind"] for link in finding["chain"]} == waits


@pytest.mark.parametrize("python", ENDS)
def test_a_peer_that_does_not_read_is_the_root(python: str, tmp_path: Path) -> None:
    report = recorded(python, "peer_stalls", tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "held-lock", said(report)
    assert finding["blame"]["function"] == "sends"
    unsent = finding["chain"][-1]["unsent"]
    assert unsent["peer"].startswith("127.0.0.1:")
    assert (unsent["connections"], unsent["reads"]) == (1, False)
    assert unsent["bytes"] > 10_000
    (place,) = (one for one in report["waiting"]["places"] if "unsent" in one)
    assert (place["function"], place["unsent"]) == ("sends", unsent)
    text = subprocess.check_output([*WAITSPY, "report", tmp_path / "rec"], text=True)
    assert f"its peer {unsent['peer']} does not read" in text


@pytest.mark.parametrize("python", ENDS)
@pytest.mark.parametrize(
    "story", ["forked_lock", pytest.param("forked_rlock", marks=pytest.mark.slow)]
)
def test_a_lock_that_was_held_at_the_fork_is_a_deadlock(
    story: str, python: str, tmp_path: Path
) -> None:
    report = recorded(python, story, tmp_path / "rec", seconds=2)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "deadlock", said(report)
    assert finding["blame"]["function"] == "look_up"
    assert [link["waits_for"]["kind"] for link in finding["chain"]] == ["abandoned-lock"]
    assert "fork before threads" in finding["remedy"]
    assert finding["share"] > 0.7


@pytest.mark.parametrize(
    "story",
    [
        "leaders", "batch", pytest.param("forked_patient", marks=pytest.mark.slow), "parked", "brief_in_tasks", "handed_in_tasks",
        "peer_reads", "somebody_left",
    ],
)  # fmt: skip
def test_who_waits_on_purpose_is_no_finding(story: str, tmp_path: Path) -> None:
    report = recorded(sys.executable, story, tmp_path / "rec", seconds=3)
    assert starved_by_itself(report) == [], said(report)
    assert [f for f in report["findings"] if f["verdict"] == "late"] == []


@pytest.mark.parametrize("python", ENDS)
def test_a_collection_of_garbage_is_told_as_one(python: str, tmp_path: Path) -> None:
    report = recorded(python, "collects", tmp_path / "rec")
    # one that began before the first look may have been seen for too short
    seen_s = report["recording"]["monotonic_start_s"] + 0.5
    kinds = {
        f["kind"]
        for f in starved_by_itself(report)
        if any(episode["start_s"] >= seen_s for episode in f["episodes"])
    }
    assert kinds == {"gc-pause"}, said(report)
    pause = next(f for f in report["findings"] if f["kind"] == "gc-pause")
    assert pause["occurrences"] >= 2
    assert "gc.freeze" in pause["remedy"]


LOCKS = TARGETS / "process_locks.py"


@pytest.mark.parametrize("python", ENDS)
def test_a_lock_between_processes_blames_the_one_that_holds_it(python: str, tmp_path: Path) -> None:
    with target([python, LOCKS, "held"]) as program:
        report = record(program.pid, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "held-lock", said(report)
    assert (finding["blame"]["function"], finding["wait"]["call"]) == ("taking", "time.sleep")
    waiter, root = finding["chain"]
    assert waiter["waits_for"]["taken"]["source"] == "with lock:"
    assert (root["how"], root["source"]) == ("with", "time.sleep(hold_s)")
    assert waiter["who"]["pid"] != root["who"]["pid"]


@pytest.mark.parametrize("python", ENDS)
def test_a_lock_on_a_file_blames_the_process_that_has_it(python: str, tmp_path: Path) -> None:
    with target([python, LOCKS, "file"]) as program:
        report = record(program.pid, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "held-lock", said(report)
    assert (finding["blame"]["function"], finding["wait"]["call"]) == ("taking_file", "time.sleep")
    waiter, root = finding["chain"]
    assert waiter["waits_for"]["kind"] == "file-lock"
    assert (root["how"], root["source"]) == ("owner", "time.sleep(hold_s)")
    assert waiter["who"]["pid"] != root["who"]["pid"]


def test_who_waits_to_lead_when_the_leader_has_ended_is_no_finding(tmp_path: Path) -> None:
    with target([sys.executable, LOCKS, "standby"]) as program:
        report = record(program.pid, tmp_path / "rec", seconds=2)
    assert [f for f in report["findings"] if f["kind"] != "no-cpu"] == [], said(report)


def test_locks_that_processes_take_in_another_order_are_a_deadlock(tmp_path: Path) -> None:
    with target([sys.executable, LOCKS, "ring"]) as program:
        report = record(program.pid, tmp_path / "rec", seconds=2)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "deadlock", said(report)
    assert finding["blame"]["function"] == "crossing"
    assert len({link["who"]["pid"] for link in finding["chain"]}) == 2


def test_a_lock_that_processes_hand_over_quickly_is_no_finding(tmp_path: Path) -> None:
    with target([sys.executable, LOCKS, "quick"]) as program:
        report = record(program.pid, tmp_path / "rec", seconds=2)
    assert [f for f in report["findings"] if f["kind"] != "no-cpu"] == [], said(report)


@pytest.mark.parametrize("python", ENDS)
def test_a_lock_whose_holder_was_killed_is_a_deadlock(python: str, tmp_path: Path) -> None:
    rec = tmp_path / "rec"

    def are_seen(pids: list[int]) -> bool:
        """Whether it is on disk that these wait for what another process has."""
        rows = [rec / "oracles" / "wait_for" / f"{pid}.jsonl" for pid in pids]
        return all(file.is_file() and "holding" in file.read_text() for file in rows)

    with target([python, LOCKS, "two wait"]) as program:
        argv = ("record", "-d", 6, "-o", rec)
        with session(tmp_path, *argv, program.pid) as recorder:
            wait_until(lambda: are_seen(program.ready["waiting"]), "nobody was seen to wait")
            os.kill(program.ready["holder"], signal.SIGKILL)
            recorder.wait()
        report = read_report(rec)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "deadlock", said(report)
    assert finding["blame"]["function"] == "wanting"
    assert len({one["pid"] for one in finding["episodes"]}) == 2
    assert [link["waits_for"]["kind"] for link in finding["chain"]] == ["orphaned-lock"]
    assert f"by process {program.ready['holder']}, which has ended" in finding["detail"]
    assert "terminate()" in finding["remedy"]


ANSWERING = TARGETS / "answering.py"


@pytest.mark.parametrize("python", newest_always())
def test_who_has_to_answer_is_the_root_where_a_lock_is_held_over_that(
    python: str, tmp_path: Path
) -> None:
    with target([python, ANSWERING]) as program:
        report = record(program.pid, tmp_path / "rec", seconds=4)
    found = [one for one in starved_by_itself(report) if one["kind"] == "held-lock"]
    roots = {tuple(link["source"] for link in one["chain"]) for one in found}
    assert roots == {
        ("with lock:", "pipe.recv()", "time.sleep(ANSWER_S)  # by pipe"),
        ("with lock:", "connection.recv(1)", "time.sleep(ANSWER_S)  # by thread"),
        ("with lock:", "connection.recv(1)", "time.sleep(ANSWER_S)  # by loop"),
        ("async with lock:", "await reader.read(1)", "time.sleep(ANSWER_S)  # by thread"),
    }, said(report)
    for one in found:
        wants, waits, root = one["chain"]
        kind = "reply" if wants["source"] == "with lock:" else "message"
        assert (wants["waits_for"]["kind"], waits["waits_for"]["kind"]) == ("lock", kind)
        assert wants["who"]["pid"] == waits["who"]["pid"] == program.pid != root["who"]["pid"]
