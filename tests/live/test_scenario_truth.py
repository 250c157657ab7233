"""Each scenario under waitspy says what its TRUTH says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scenarios import SCENARIOS, Expected
from tests.live.running import ROOT, read_report, said, starving, waitspy

pytestmark = pytest.mark.ptrace

_VARIANTS = ("block", "block-thread", "cap", "off")


def _run(variant: str, expected: Expected, folder: Path) -> dict[str, Any]:
    done = waitspy(
        "scenario", "run", "buffer-vs-job", "--profile", "-o", folder / variant, "--",
        *expected.options,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return read_report(folder / variant)


def test_buffer_versus_job_is_told_as_it_is(tmp_path: Path) -> None:
    """Two variants at a time: they hardly use any CPU."""
    truth = SCENARIOS["buffer-vs-job"].truth
    with ThreadPoolExecutor(2) as pool:
        reports = dict(
            zip(
                _VARIANTS,
                pool.map(lambda name: _run(name, truth[name], tmp_path), _VARIANTS),
                strict=True,
            )
        )
    for name, report in reports.items():
        _check(name, truth[name], report)
    block = starving(reports["block"])[0]
    names = [victim["name"] for victim in block["victims"] if victim["kind"] == "timer"]
    assert any("spurious timeout of Buffer.flush" in name for name in names), block["victims"]


def _check(name: str, expected: Expected, report: dict[str, Any]) -> None:
    found = starving(report)
    if expected.kind is None or (not expected.required and not found):
        assert found == [], (name, said(report))
        return
    (finding,) = found
    assert finding["kind"] == expected.kind, (name, said(report))
    assert finding["blame"]["function"] == expected.function
    assert finding["blame"]["file"] == str(ROOT / "scenarios" / str(expected.file))
    assert {v["kind"] for v in finding["victims"]} & expected.victims, finding["victims"]
    if expected.longest_s is not None:
        assert finding["longest_s"] <= expected.longest_s, (name, said(report))
