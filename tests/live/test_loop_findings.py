"""Findings against loops that log their own harm: kind, blame, bounds and seconds."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.live.harms import check, harms
from tests.live.running import TARGETS, Target, client, record, said, starving, target

pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

_SERVER = TARGETS / "loop_server.py"


def _serve(mode: str, *more: object) -> list[str]:
    return [sys.executable, str(_SERVER), mode, *(str(m) for m in more)]


def _recorded(
    argv: list[str], folder: Path, *options: object, seconds: float = 3.0
) -> tuple[dict[str, Any], Target]:
    with target(argv) as server, client(server.ready["port"]):
        report = record(server.pid, folder, *options, seconds=seconds)
        server.read_log()
    return report, server


def test_a_sleep_in_a_callback_starves_the_loop(tmp_path: Path) -> None:
    report, server = _recorded(_serve("sleep", 0.35, 0.4), tmp_path / "rec", seconds=4)
    (finding,) = starving(report)
    assert finding["kind"] == "blocked-loop"
    assert finding["blame"]["function"].endswith("sleep")
    assert finding["blame"]["source"] == "time.sleep(HARM_S)"
    assert finding["wait"]["kind"] == "sleep"
    assert finding["wait"]["call"] == "time.sleep"
    assert finding["victims"][0]["kind"] == "io"
    check(report, harms(server.logged, report), finding)


slow = partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("mode", "wait", "call"),
    [
        ("nap_often", "sleep", "time.sleep"),
        slow("take_lock", "lock", "lock.acquire"),
        ("get_from_queue", "queue", "queue.Queue.get"),
        ("run_command", "subprocess", "subprocess.run"),
        slow("receive", "socket", "ours.recv"),
        slow("select_myself", "socket", "selectors.select"),
        slow("join_thread", "join", "Thread.join"),
    ],
)
def test_each_kind_of_wait_is_named(mode: str, wait: str, call: str, tmp_path: Path) -> None:
    report, server = _recorded(_serve(mode, 0.4, 0.3), tmp_path / "rec")
    (finding,) = starving(report)
    assert finding["kind"] == "blocked-loop"
    assert finding["blame"]["function"] == mode
    assert (finding["wait"]["kind"], finding["wait"]["call"]) == (wait, call)
    check(report, harms(server.logged, report), finding)


@pytest.mark.parametrize("mode", ["compute", "match_badly"])
def test_a_callback_on_the_cpu_is_a_busy_loop(mode: str, tmp_path: Path) -> None:
    report, server = _recorded(_serve(mode, 0.5, 0.5), tmp_path / "rec")
    kinds = {f["kind"]: f for f in starving(report)}
    assert set(kinds) == {"busy-loop"}, said(report)
    assert kinds["busy-loop"]["blame"]["function"] == mode
    check(report, harms(server.logged, report), kinds["busy-loop"])


def test_uvloop_is_seen_like_asyncio(tmp_path: Path) -> None:
    report, server = _recorded(_serve("sleep", 0.35, 0.4, "uvloop"), tmp_path / "rec")
    (finding,) = starving(report)
    assert (finding["kind"], finding["blame"]["function"]) == ("blocked-loop", "sleep")
    check(report, harms(server.logged, report), finding)


def test_the_holder_of_the_gil_is_blamed(tmp_path: Path) -> None:
    report, _ = _recorded(_serve("wait_for_the_gil", 0.6, 0.6), tmp_path / "rec", seconds=4)
    findings = [f for f in starving(report) if f["kind"] == "gil-bound"]
    assert findings, said(report)
    assert findings[0]["blame"]["function"] == "keep_the_gil", said(report)
    assert {f["kind"] for f in starving(report)} == {"gil-bound"}, said(report)


@pytest.mark.parametrize("sampler", ["auto", pytest.param("py-spy", marks=pytest.mark.slow)])
def test_a_worker_with_many_threads_is_blamed_right_however_slowly_it_is_sampled(
    tmp_path: Path, sampler: str
) -> None:
    argv = _serve("sleep", 0.5, 0.5, "threads")
    report, server = _recorded(argv, tmp_path / "rec", "--sampler", sampler, seconds=4)
    (worker,) = report["workers"]
    assert (worker["rate_hz"] < 50) == (sampler == "py-spy")
    if sampler == "py-spy":
        assert list((tmp_path / "rec" / "stacks").glob("*.dumps.jsonl"))
    (finding,) = starving(report)
    assert finding["blame"]["function"] == "sleep", said(report)
    check(report, harms(server.logged, report), finding)
    # Sampling stays in the neighbourhood of its budget, a tenth of a core; observing adds to it.
    assert report["cost"]["cpu_share"] < 0.3


def test_a_worker_that_waits_in_its_inbox_parks_its_loop(tmp_path: Path) -> None:
    with target([sys.executable, TARGETS / "parked_worker.py", "1.2", "0.4"]) as worker:
        report = record(worker.pid, tmp_path / "rec", seconds=5)
        worker.read_log()
    (finding,) = starving(report)
    assert finding["kind"] == "parked-loop"
    assert finding["blame"]["function"].endswith("next_job")
    assert finding["blame"]["source"] == "return self.inbox.get()"
    assert finding["wait"]["kind"] == "queue"
    check(report, harms(worker.logged, report), finding)


@pytest.mark.parametrize("mode", ["healthy", "fork"])
def test_a_loop_that_serves_is_silent(mode: str, tmp_path: Path) -> None:
    report, _ = _recorded(_serve(mode, 0, 0.2), tmp_path / "rec")
    assert report["findings"] == []


def test_a_child_that_inherited_the_loop_of_a_blocked_parent_is_not_blamed(tmp_path: Path) -> None:
    """The epoll is ready in both; only the parent has ever run the loop."""
    with target(_serve("fork", 0, 0.2)) as server, client(server.ready["port"]):
        report = record(server.pid, tmp_path / "rec")
    assert len(report["workers"]) == 2
    assert report["findings"] == []


def test_a_loop_with_always_something_to_do_is_silent(tmp_path: Path) -> None:
    """Every answer takes some CPU and a client waits for each: busy, but fair."""
    argv = _serve("saturated", 0, 0.2)
    with target(argv) as server, client(server.ready["port"], connections=6, gap_s=0.0):
        report = record(server.pid, tmp_path / "rec", seconds=4)
    assert starving(report) == [], said(report)


def test_a_blocking_call_that_starves_nothing_is_latent(tmp_path: Path) -> None:
    with target(_serve("sleep", 0.3, 0.3)) as server:
        report = record(server.pid, tmp_path / "rec")
    (finding,) = report["findings"]
    assert (finding["kind"], finding["verdict"]) == ("blocked-loop", "latent")
    assert finding["blame"]["function"] == "sleep"
    assert finding["starved_s"] == 0
