"""The scorer of tests/accuracy, on built values: what is right, false, missed, and how far off."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.accuracy import scoring, table, truths
from tests.accuracy.scoring import Judged, Score
from tests.accuracy.truths import Stall, Starved, Truth
from waitspy.model.clock import NS
from waitspy.model.judged import Blame, Episode, Finding, Link, Spot
from waitspy.model.kinds import KINDS, Verdict
from waitspy.model.waits import Wait, WaitKind

PID, TID = 10, 11
RIGHT = Blame("Worker.nap", "/app/work.py", 7, 1.0)


def stall(start_s: float, end_s: float | None, **more: Any) -> Stall:
    known = {"pid": PID, "tid": TID, "kind": "blocked-loop", "function": "nap", "lines": (7,)}
    end_ns = None if end_s is None else int(end_s * NS)
    return Stall(**{**known, "start_ns": int(start_s * NS), "end_ns": end_ns, **more})


def starved(start_s: float, end_s: float, **more: Any) -> Starved:
    cause = more.pop("stall", stall(start_s, end_s))
    known = {"pid": PID, "tid": TID, "cut": False, **more}
    return Starved(start_ns=int(start_s * NS), end_ns=int(end_s * NS), stall=cause, **known)


def finding(
    *spans: tuple[float, float],
    kind: str = "blocked-loop",
    verdict: Verdict = "starving",
    blame: Blame | None = RIGHT,
    tid: int = TID,
) -> Finding:
    return Finding(
        kind=KINDS[kind],
        verdict=verdict,
        wait=Wait(WaitKind.SLEEP),
        blames=() if blame is None else (blame,),
        stack=(),
        pids=(PID,),
        threads=(tid,),
        episodes=tuple(Episode(PID, tid, a, b, ("epoll",)) for a, b in spans),
        occurrences=len(spans),
        starved_s=sum(b - a for a, b in spans),
        longest_s=max(b - a for a, b in spans),
        victim_s=0.0,
        share=0.0,
        victims=(),
        remedy="",
    )


def judge(findings: list[Finding], truth: list[Starved]) -> Judged:
    return scoring.judge(findings, truth, 0)


# --- judging ---------------------------------------------------------------------------------


def test_what_was_found_is_measured() -> None:
    judged = judge([finding((1.02, 1.49))], [starved(1.0, 1.5)])
    score = judged.scores["blocked-loop"]
    assert (score.expected, score.found, score.right, score.false) == (1, 1, 1, 0)
    assert (score.blamable, score.blamed) == (1, 1)
    assert score.starved_ns == NS // 2
    assert score.starved_error_ns == pytest.approx(0.03 * NS, abs=10)
    assert sorted(score.bounds_ns) == pytest.approx([0.01 * NS, 0.02 * NS], abs=10)
    assert judged.wrong == ()


def test_a_stall_that_nobody_tells_is_missed() -> None:
    judged = judge([], [starved(1.0, 1.5)])
    assert (judged.scores["blocked-loop"].expected, judged.scores["blocked-loop"].found) == (1, 0)
    assert judged.wrong[0].startswith("missed")


def test_the_wrong_kind_is_a_false_alarm_and_a_miss() -> None:
    scores = judge([finding((1.0, 1.5), kind="busy-loop")], [starved(1.0, 1.5)]).scores
    assert (scores["busy-loop"].right, scores["busy-loop"].false) == (0, 1)
    assert (scores["blocked-loop"].expected, scores["blocked-loop"].found) == (1, 0)


def test_a_finding_where_nothing_waited_is_a_false_alarm() -> None:
    assert judge([finding((1.0, 1.5))], []).scores["blocked-loop"].false == 1
    assert judge([finding((3.0, 3.5))], [starved(1.0, 1.5)]).scores["blocked-loop"].false == 1


def test_another_thread_s_loop_is_another_place() -> None:
    score = judge([finding((1.0, 1.5), tid=99)], [starved(1.0, 1.5)]).scores["blocked-loop"]
    assert (score.found, score.false) == (0, 1)


def test_a_pool_has_no_thread_of_its_own() -> None:
    truth = starved(1.0, 1.5, tid=0, stall=stall(1.0, 1.5, tid=0, kind="exhausted-pool"))
    found = finding((1.0, 1.5), kind="exhausted-pool", tid=99)
    assert judge([found], [truth]).scores["exhausted-pool"].found == 1


def test_what_is_latent_is_no_alarm() -> None:
    assert judge([finding((1.0, 1.5), verdict="latent")], []).scores == {}


def test_one_episode_does_not_find_two_stalls() -> None:
    truth = [starved(1.0, 1.5), starved(1.8, 2.5)]
    score = judge([finding((1.0, 2.5))], truth).scores["blocked-loop"]
    assert (score.expected, score.found, score.right) == (2, 1, 1)


def test_pieces_of_one_stall_are_added_up() -> None:
    score = judge([finding((1.0, 1.4), (1.5, 2.0))], [starved(1.0, 2.0)]).scores["blocked-loop"]
    assert (score.found, score.right, score.false) == (1, 2, 0)
    assert score.starved_error_ns == pytest.approx(0.1 * NS, abs=10)


def test_what_two_findings_tell_of_one_time_counts_once() -> None:
    twice = [finding((1.0, 2.0)), finding((1.0, 1.9))]
    assert judge(twice, [starved(1.0, 2.0)]).scores["blocked-loop"].starved_error_ns < 10


def test_a_short_stall_may_be_found_or_not() -> None:
    truth = [starved(1.0, 1.13)]
    for findings in ([], [finding((1.0, 1.12))]):
        judged = judge(findings, truth)
        assert all(s.expected == s.right == s.false == 0 for s in judged.scores.values())


def test_no_cpu_is_confirmed_by_what_waited_without_a_stall() -> None:
    late = [starved(1.0, 1.3, stall=None)]
    no_cpu = finding((1.0, 1.3), kind="no-cpu", blame=None)
    assert judge([no_cpu], late).scores["no-cpu"].false == 0
    assert judge([no_cpu], []).scores["no-cpu"].false == 1
    assert judge([finding((1.0, 1.3))], late).scores["blocked-loop"].false == 1


@pytest.mark.parametrize(
    ("blame", "right"),
    [
        (Blame("nap", "/app/work.py", 7, 1.0), 1),
        (Blame("nap", "/app/work.py", 8, 1.0), 0),
        (Blame("nap_all", "/app/work.py", 7, 1.0), 0),
        (None, 0),
    ],
)
def test_blame_needs_the_function_and_the_line(blame: Blame | None, right: int) -> None:
    score = judge([finding((1.0, 1.5), blame=blame)], [starved(1.0, 1.5)]).scores["blocked-loop"]
    assert (score.blamable, score.blamed) == (1, right)


def test_where_nobody_is_to_blame_blame_does_not_count() -> None:
    truth = starved(1.0, 1.5, stall=stall(1.0, 1.5, kind="no-cpu", function=None, lines=()))
    score = judge([finding((1.0, 1.5), kind="no-cpu", blame=None)], [truth]).scores["no-cpu"]
    assert (score.found, score.blamable) == (1, 0)


def test_without_the_cpu_nobody_is_to_blame_whatever_it_was_about_to_do() -> None:
    cause = stall(1.0, 1.5, kind="busy-loop", cpu_ns=NS // 20)
    no_cpu = finding((1.0, 1.5), kind="no-cpu", blame=None)
    score = judge([no_cpu], [starved(1.0, 1.5, stall=cause)]).scores["no-cpu"]
    assert (score.found, score.blamable) == (1, 0)


@pytest.mark.parametrize(
    ("kind", "functions", "rooted"),
    [
        ("held-lock", ["want", "Worker.nap"], 1),
        ("held-lock", ["nap", "want"], 0),
        ("held-lock", [], 0),
        ("deadlock", ["nap", "rest", "nap"], 1),
        ("deadlock", ["want", "nap"], 0),
    ],
)
def test_a_chain_has_to_end_at_the_root_and_a_ring_to_lie_in_it(
    kind: str, functions: list[str], rooted: int
) -> None:
    links = (
        Link(PID, TID, "", Spot(name, "/app/work.py", 7), Wait(WaitKind.SLEEP))
        for name in functions
    )
    found = replace(finding((1.0, 1.5), kind=kind), chain=tuple(links))
    truth = starved(1.0, 1.5, stall=stall(1.0, 1.5, kind=kind, root="nap|rest"))
    judged = judge([found], [truth])
    assert (judged.scores[kind].rootable, judged.scores[kind].rooted) == (1, rooted)
    assert len(judged.wrong) == 1 - rooted


def test_what_tasks_wait_for_must_be_found_from_a_second_on() -> None:
    of_tasks = stall(1.0, 1.9, kind="held-lock", of_tasks=True)
    assert not starved(1.0, 1.9, stall=of_tasks).sure
    assert starved(1.0, 2.0, stall=of_tasks).sure
    assert not starved(1.0, 2.4, stall=of_tasks, cut=True).sure
    assert starved(1.0, 2.5, stall=of_tasks, cut=True).sure


# --- what the targets log --------------------------------------------------------------------


def rows(*some: dict[str, Any]) -> Truth:
    return truths.parse(json.dumps({"pid": PID, **row}) for row in some)


def begun(at_s: float, number: int = 0, **more: Any) -> dict[str, Any]:
    known = {"stall": number, "kind": "blocked-loop", "function": "nap", "lines": [7], "tid": TID}
    return {**known, "at_ns": int(at_s * NS), **more}


def ended(at_s: float, cpu_s: float = 0.0, delay_s: float = 0.0) -> dict[str, Any]:
    spent = {"cpu_ns": int(cpu_s * NS), "delay_ns": int(delay_s * NS)}
    return {"ended": 0, "at_ns": int(at_s * NS), **spent}


def waited(due_s: float, served_s: float | None, **more: Any) -> dict[str, Any]:
    served_ns = None if served_s is None else int(served_s * NS)
    return {"wait": "io", "due_ns": int(due_s * NS), "served_ns": served_ns, "tid": TID, **more}


def spans(found: tuple[Starved, ...]) -> list[tuple[float, float]]:
    return [(s.start_ns / NS, s.end_ns / NS) for s in found]


def test_starvation_is_the_union_of_the_long_waits() -> None:
    truth = rows(
        begun(1), waited(1.01, 1.6), waited(1.02, 1.61), waited(1.55, 1.62), ended(1.6),
        waited(2.0, 2.3, tid=99),
    )  # fmt: skip
    found = truths.starved(truth, 0, 5 * NS)
    assert spans(found) == [(1.01, 1.61), (2.0, 2.3)]
    assert found[0].stall == truth.stalls[0]
    assert found[1].stall is None


def test_a_stall_behind_which_nothing_waited_starves_nothing() -> None:
    assert truths.starved(rows(begun(1), ended(2)), 0, 5 * NS) == ()


def test_starvation_is_cut_to_the_recording() -> None:
    truth = rows(begun(1), waited(1.0, 2.0), ended(2.0), begun(4, 1), waited(4.0, None))
    before, after = truths.starved(truth, round(1.8 * NS), 5 * NS)
    assert (before.start_ns, before.end_ns, before.cut) == (round(1.8 * NS), 2 * NS, True)
    assert not before.sure
    assert (after.start_ns, after.end_ns, after.cut, after.sure) == (4 * NS, 5 * NS, True, True)


@pytest.mark.parametrize(
    ("kind", "cpu_s", "delay_s", "kinds"),
    [
        ("busy-loop", 0.9, 0.1, ("busy-loop",)),
        ("busy-loop", 0.05, 0.95, ("no-cpu",)),
        ("blocked-loop", 0.1, 0.0, ("blocked-loop",)),
        ("blocked-loop", 0.5, 0.0, ("busy-loop", "blocked-loop")),
        ("blocked-loop", 0.9, 0.0, ("busy-loop",)),
        ("blocked-loop", 0.05, 0.45, ("no-cpu", "blocked-loop")),
        ("blocked-loop", 0.05, 0.85, ("no-cpu",)),
        ("parked-loop", 0.0, 0.0, ("parked-loop",)),
        ("overloaded-loop", 0.7, 0.3, ("overloaded-loop",)),
        ("overloaded-loop", 0.5, 0.5, ("no-cpu", "overloaded-loop")),
        ("overloaded-loop", 0.2, 0.8, ("no-cpu",)),
    ],
)
def test_what_the_thread_did_is_measured(
    kind: str, cpu_s: float, delay_s: float, kinds: tuple[str, ...]
) -> None:
    truth = rows(begun(1, kind=kind), waited(1, 2), ended(2, cpu_s, delay_s))
    (found,) = truths.starved(truth, 0, 5 * NS)
    assert found.kinds == kinds


# --- tables ----------------------------------------------------------------------------------


def test_a_table_has_a_row_for_each_kind_and_one_for_all() -> None:
    scores = {
        "no-cpu": Score(expected=1, found=1, right=1),
        "blocked-loop": Score(4, 3, 3, 1, 3, 3, 2 * NS, NS // 50, [NS // 100, NS // 50], 2, 1),
    }
    head, _, blocked, no_cpu, everything = table.by_kind(scores).splitlines()
    assert head.count("|") == everything.count("|")
    assert blocked.split("|")[1:-1] == [
        " `blocked-loop` ", " 4 ", " 0.750 (1 false) ", " 0.750 ", " 1.000 ", " 0.500 ", " 1.0% ",
        " 15 ms, 20 ms ",
    ]  # fmt: skip
    assert no_cpu.startswith("| `no-cpu` | 1 | 1.000")
    assert everything.startswith("| **all** | 5 | 0.800")


def scored(good: int, false: int, of: int = 1_000, error_s: float = 1) -> Score:
    """So many right, found and blamed of ``of``, and an error of so many seconds of 100."""
    error_ns = round(error_s * NS)
    return Score(of, good, good, false, of, good, 100 * NS, error_ns)


def test_goals_are_checked() -> None:
    good = {"blocked-loop": scored(992, 4, error_s=2), "no-cpu": scored(0, 0, 0, error_s=4)}
    assert table.missed_goals(good, good) == []
    held = {"deadlock": scored(990, 4, error_s=50)}
    assert list(table.parted(good | held)) == [held, good]
    assert table.missed_goals(held, goals=table.HELD_GOALS) == []
    bad = {"blocked-loop": scored(980, 9, error_s=3), "no-cpu": scored(0, 0, 0, error_s=5)}
    missed = ["precision", "recall", "blame", "starved seconds", "seconds without CPU"]
    found = table.missed_goals(bad)
    assert len(found) == len(missed)
    assert all(one.startswith(start) for one, start in zip(found, missed, strict=True))
    busy = table.missed_goals(good, bad)
    assert busy == [*(f"{one}, all cores busy" for one in found),
                    "5 false alarms more while all cores are busy"]  # fmt: skip
