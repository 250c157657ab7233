"""A loop has 5,000 tasks that wait.

Each of its stalls is told, at its time and on its line.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.load.crowds import check_crowd

pytestmark = [pytest.mark.alone, pytest.mark.slow]


def test_each_stall_among_five_thousand_tasks_is_told(tmp_path: Path) -> None:
    check_crowd("tasks", 5000, tmp_path / "rec")
