"""Tries every fault, one after the other, and writes docs/reliability.md: ``python -m tests.faults``."""

from __future__ import annotations

import os
import platform
import sys
from collections import defaultdict

import pytest

from tests.faults.catalogue import FOLDER, PAGE, page


class Outcomes:
    """Collects what became of the tests of each file."""

    def __init__(self) -> None:
        self.of_tests: dict[str, set[str]] = defaultdict(set)
        self.reasons: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        path = report.nodeid.partition("::")[0]
        file = "/".join(path.split("/")[-2:])
        if report.failed or report.when == "call" or report.skipped:
            self.of_tests[file].add(report.outcome)
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[file] = str(report.longrepr[-1]).removeprefix("Skipped: ")

    def of_files(self) -> dict[str, str]:
        """``held`` only where every test of a file passed: nothing passes by skipping."""
        told = {}
        for file, outcomes in self.of_tests.items():
            if "failed" in outcomes:
                told[file] = "did not hold"
            elif "skipped" in outcomes:
                told[file] = f"not run: {self.reasons.get(file, 'skipped')}"
            else:
                told[file] = "held"
        return told


def main() -> int:
    outcomes = Outcomes()
    code = pytest.main(["-q", "--durations=15", str(FOLDER), *sys.argv[1:]], plugins=[outcomes])
    if sys.argv[1:]:
        return int(code)  # a part of them says nothing about the rest
    where = (
        f"Linux {platform.release()}, CPython {platform.python_version()}, {os.cpu_count()} cores"
    )
    PAGE.write_text(page(outcomes.of_files(), where), "utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
