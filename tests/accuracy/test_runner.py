"""The runner of tests/accuracy: when it runs a case again."""

from __future__ import annotations

import pytest

from tests.accuracy import runner
from tests.accuracy.cases import CASES
from tests.accuracy.runner import Outcome, Setting
from tests.remote.interpreters import HERE

CASE = next(case for case in CASES if not (case.needs or case.services))


@pytest.mark.parametrize(
    ("unlooked", "load", "runs", "skipped"),
    [
        ([0.01], False, 1, None),
        ([0.3, 0.01], False, 2, None),
        ([0.3, 0.3, 0.06], False, 3, "no CPU for waitspy in 6% of the time"),
        ([0.3], True, 1, None),
    ],
)
def test_where_waitspy_had_no_cpu_a_case_is_run_again(
    monkeypatch: pytest.MonkeyPatch,
    unlooked: list[float],
    load: bool,
    runs: int,
    skipped: str | None,
) -> None:
    setting = Setting(HERE, load=load)
    left = [(Outcome(CASE, setting, {}), share) for share in unlooked]
    monkeypatch.setattr(runner, "_run", lambda *_: left.pop(0))
    assert runner.run(CASE, setting).skipped == skipped
    assert len(unlooked) - len(left) == runs
