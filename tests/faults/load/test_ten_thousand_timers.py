"""A loop has 10,000 timers.

Each of its stalls is told, at its time and on its line.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.load.crowds import check_crowd

pytestmark = pytest.mark.alone


def test_each_stall_among_ten_thousand_timers_is_told(tmp_path: Path) -> None:
    check_crowd("timers", 10000, tmp_path / "rec")
