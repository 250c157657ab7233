"""The kernel denies prctl(2) and kcmp(2), which waitspy can do without.

A stall is found as ever, nothing is lost, and who is well is not accused.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.ourselves.handicapped import denied
from tests.faults.ourselves.servers import (
    HEALTHY,
    STALLING,
    is_cleared,
    is_told_to_sleep,
    loop,
    recorded,
)  # fmt: skip


@pytest.mark.parametrize("call", ["prctl", "kcmp"])
def test_a_stall_is_found(tmp_path: Path, call: str) -> None:
    with loop(*STALLING) as pid:
        report, _ = recorded(tmp_path, pid, waitspy=denied(call))
    is_told_to_sleep(report)
    assert report.losses == ()


@pytest.mark.parametrize("call", ["prctl", "kcmp"])
def test_who_is_well_is_not_accused(tmp_path: Path, call: str) -> None:
    with loop(*HEALTHY) as pid:
        report, out = recorded(tmp_path, pid, waitspy=denied(call))
    is_cleared(report, out)
