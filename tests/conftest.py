"""What all tests share: which Pythons are covered, and that nothing is skipped in CI."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest

# As in waitspy.__main__: numpy's threads must not take the signals of a test.
_MASK = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
import numpy as np  # noqa: E402, F401

signal.pthread_sigmask(signal.SIG_SETMASK, _MASK)

from tests import pythons  # noqa: E402

# A shell that starts this in the background leaves signals ignored, and so would every child that
# a test sends one to.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        default = signal.default_int_handler if _number is signal.SIGINT else signal.SIG_DFL
        signal.signal(_number, default)


def pytest_report_header() -> str:
    return "CPythons covered: " + (", ".join(pythons.found()) or "none")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI everything that a test needs is there: a skip hides a failure."""
    del call
    report = yield
    if report.skipped and os.environ.get("CI") and "may_skip" not in item.keywords:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
