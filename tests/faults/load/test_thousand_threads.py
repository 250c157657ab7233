"""A loop stalls in a process of 1,000 threads.

Each stall is told, on its line; of the samplings that would take too long, the report says that they
were left out.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.load.crowds import check_crowd

pytestmark = pytest.mark.alone


def test_each_stall_among_a_thousand_threads_is_told_on_its_line(tmp_path: Path) -> None:
    check_crowd("threads", 1000, tmp_path / "rec")
