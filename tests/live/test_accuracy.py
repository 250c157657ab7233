"""The quick cases of tests/accuracy on one Python; ``make accuracy`` runs all of them on all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.accuracy import runner, table
from tests.accuracy.cases import CASES, Case
from tests.accuracy.runner import Setting
from tests.remote.interpreters import HERE

pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

LEFT_OUT = {
    "resolve", "two loops", "5,000 tasks, timers only", "cpu-loop, timers only",
    "polling, timers only",
}  # fmt: skip
"""Of the quick cases: ``make slow`` tries them, as ``make accuracy`` does."""


def quick() -> Iterator[ParameterSet]:
    for case in CASES:
        if case.quick:
            marks = [pytest.mark.slow] if case.name in LEFT_OUT else []
            yield pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", list(quick()))
def test_what_starves_is_found_and_nothing_else(case: Case, tmp_path: Path) -> None:
    outcome = runner.run(case, Setting(HERE), keep=tmp_path)
    assert outcome.skipped is None
    score = table.whole(outcome.scores)
    assert score.false == 0, outcome.wrong
    assert (score.found, score.blamed) == (score.expected, score.blamable), outcome.wrong
    assert (score.expected > 0) == case.harmful, outcome.wrong


def test_every_target_belongs_to_a_case() -> None:
    helpers = {
        "truth.py",
        "loop_under_test.py",
        "together.py",
        "client.py",
        "truth.js",
        "node_victims.js",
    }
    every = (*runner.TARGETS.glob("*.py"), *runner.TARGETS.glob("*.js"))
    scripts = {path.name for path in every} - helpers
    assert scripts == {case.script for case in CASES}


def test_no_two_cases_have_the_same_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
