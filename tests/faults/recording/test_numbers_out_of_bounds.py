"""Numbers of a recording are out of all bounds: negative, enormous, no numbers, or infinite.

A number that decides about the whole is one clear error; a row or a stack with such a number is
told as lost, or as it is. Nothing takes longer or more memory because a number is large.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.faults.reading import few, lost, read, refused, reported
from tests.faults.recording.changing import change_meta, change_rows, meta_file, stacks_file, stream

_HUGE = 9_223_372_036_854_775_807


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("min_stall_s", "1e300"),
        ("min_stall_s", "-1"),
        ("min_stall_s", "NaN"),
        ("rate_hz", "Infinity"),
        ("rate_hz", "0"),
        ("tick_s", "-Infinity"),
        ("end_ns", "1" + "0" * 400),
        ("end_ns", "1e999"),
    ],
)
def test_what_decides_about_all_is_refused(rec: Path, key: str, value: str) -> None:
    text = meta_file(rec).read_text("utf-8")
    changed, count = re.subn(rf'"{key}": [\d.]+', f'"{key}": {value}', text)
    assert count >= 1
    meta_file(rec).write_text(changed, "utf-8")
    refused(rec, str(meta_file(rec)), "is damaged", key if len(value) < 100 else "", by=few)


def test_a_queue_of_more_items_than_there_can_be(rec: Path) -> None:
    """What waits is counted, and not gone through one by one."""

    def lengthen(row: list[Any]) -> None:
        if row[0] == "queue" and row[3]:
            row[3] = _HUGE - row[4]

    change_rows(stream(rec, "pools"), lengthen)
    report = reported(rec)
    (pool,) = [f for f in report["findings"] if f["kind"] == "exhausted-pool"]
    assert sum(victim["count"] for victim in pool["victims"]) > 1 << 60


def test_more_overdue_timers_than_there_can_be(rec: Path) -> None:
    def lengthen(row: list[Any]) -> None:
        if row[0] == "work":
            row[3][0] = row[3][2] = _HUGE

    change_rows(stream(rec, "asyncio"), lengthen)
    found = [f for f in reported(rec, few)["findings"] if f["kind"] == "blocked-loop"]
    assert sum(victim["count"] for f in found for victim in f["victims"]) >= _HUGE


@pytest.mark.parametrize("number", [-5, 2**64, 10**300, 1e300])
def test_times_that_never_were_cost_their_rows(rec: Path, number: float) -> None:
    """What the stream of threads says is gone; what others say is there."""

    def move(row: list[Any]) -> None:
        row[0] = number

    count = change_rows(stream(rec, "threads"), move)
    told = {(what, why) for what, why in lost(reported(rec, few)) if "kernel states" in what}
    assert told == {(f"{count} of the kernel states", "they cannot be read")}


@pytest.mark.parametrize("sampler", ["py-spy"])
@pytest.mark.parametrize("line", ["-7", "99999999999999999999", '"x"'])
def test_lines_that_no_file_has(rec: Path, line: str) -> None:
    """Stacks are there without them, or the sampler's file is told as unreadable."""
    text = stacks_file(rec).read_text("utf-8")
    changed, count = re.subn(r'"line":\s*\d+', f'"line":{line}', text)
    assert count > 50
    stacks_file(rec).write_text(changed, "utf-8")
    report = reported(rec, few)
    shown = read("report", str(rec)).text + read("flamegraph", str(rec), "-f", "collapsed").text
    assert "take" in shown or "work" in shown or lost(report)
    assert "99999999999999999999" not in shown
    assert ":-7" not in shown


def test_costs_and_counts_that_are_infinite(rec: Path) -> None:
    def enlarge(meta: dict[str, Any]) -> None:
        meta["cost"]["cpu_s"] = float("inf")

    change_meta(rec, enlarge)
    refused(rec, "is damaged", "cpu_s is inf")
