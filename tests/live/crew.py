"""Records the crew (targets/crew.py) and compares each worker's story with what was found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.live.harms import blamed, check, harms
from tests.live.running import Target, record, said

STORIES = {"blocked": ("blocked-loop", "sleep"), "parked": ("parked-loop", "next_job")}
"""Kind and blame of each worker that is harmed; the others are well."""

WAITS = {"blocked": ("time.sleep(HARM_S)", "sleep"), "parked": ("return self.inbox.get()", "queue")}
"""The line to blame, and what it waits for."""

_ATTACHED_WITHIN_S = 0.3  # six processes, one after the other, on a busy machine


def check_crew(
    crew: Target, folder: Path, pids: Mapping[str, int], *, lead: int, app: Path
) -> dict[str, Any]:
    """Records the tree of ``crew``, whose leading Python is ``lead``; the report, once checked.

    ``pids`` are the workers', by name; ``app`` is where their files lie, as they see it.
    """
    report = record(crew.pid, folder, seconds=4)
    log = crew.read_log(lead)
    workers = {worker["pid"]: worker for worker in report["workers"]}
    assert pids.items() <= {name: pid for name, pid in pids.items() if pid in workers}.items()
    assert {finding["verdict"] for finding in report["findings"]} == {"starving"}, said(report)
    told = {tuple(finding["pids"]): finding for finding in blamed(report, folder)}
    assert set(told) == {(pids[name],) for name in STORIES}, said(report)
    for name, (kind, function) in STORIES.items():
        finding = told[pids[name],]
        assert finding["kind"] == kind
        assert finding["blame"]["function"].endswith(function), said(report)
        assert re.match(f"{app}/\\w+.py$", finding["blame"]["file"])
        assert (finding["blame"]["source"], finding["wait"]["kind"]) == WAITS[name]
        truth = harms([row for row in log if row["worker"] == name], report)
        check(report, truth, finding, attached_within_s=_ATTACHED_WITHIN_S)
    return report
