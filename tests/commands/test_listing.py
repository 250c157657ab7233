"""What ``workers`` and ``doctor`` say, line by line."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from waitspy.commands import listing
from waitspy.model.processes import Worker
from waitspy.target.machine import Check
from waitspy.target.tree import NO_RUNTIME


class Paper:
    """A stream of text that is no terminal."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def test_workers_are_one_line_each_and_refusals_are_explained_once() -> None:
    hostile = "python " + "x" * 200 + "\x1b[31m\nsecond line"
    refused = {"why_not": "no right to trace it", "remedy": "add the right"}
    found = [
        Worker(1, 0, "master", hostile, 1, python="3.12.1", framework="gunicorn", threads=1),
        Worker(2, 1, "worker", "python app", 1, python="3.12.1", threads=4, **refused),
        Worker(3, 1, "worker", "python app", 1, python="3.12.1", threads=4, **refused),
        Worker(5, 1, "worker", "node app.js", 1, node="20.20.2", framework="node"),
        Worker(4, 1, "helper", "sleep 1", 1, why_not=NO_RUNTIME, remedy="nothing"),
    ]
    paper = Paper()
    listing.write_workers(found, paper)  # type: ignore[arg-type]
    lines = paper.text.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["pid", "1", "2", "3", "5", "4"]
    assert lines[1].endswith("\\x1b[31m\\nsecond line")
    assert " no " in lines[2]
    assert "Python 3.12.1" in lines[1]
    assert "Node.js 20.20.2" in lines[4]
    assert "other program" in lines[5]
    assert lines[6:] == ["2, 3 cannot be attached: no right to trace it", "  try: add the right"]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_commands_are_cut_in_the_middle(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def console(stream: Any) -> Console:
        return Console(file=stream, width=width, highlight=False)

    monkeypatch.setattr(listing, "_console", console)
    command = "/srv/shop/.venv/bin/python3 -m uvicorn " + "--option " * 20 + "shop.main:app"
    paper = Paper()
    one = Worker(4711, 1, "worker", command, 1, python="3.12.1", framework="uvicorn", threads=4)
    listing.write_workers([one], paper)  # type: ignore[arg-type]
    (line,) = (line for line in paper.text.splitlines() if "…" in line)
    assert line.endswith("main:app")
    assert "/srv" in line
    assert all(len(line) <= width for line in paper.text.splitlines())
    assert paper.text.splitlines()[0].split()[0] == "pid"


def test_checks_say_what_to_change_only_where_it_is_not_well() -> None:
    paper = Paper()
    checks = (
        Check("ptrace", "ok", "allowed", "never shown"),
        Check("py-spy", "fail", "missing\x1b[31m", "install it"),
    )
    listing.write_checks(checks, paper)  # type: ignore[arg-type]
    assert paper.text.splitlines() == [
        "ok      ptrace: allowed",
        "fail    py-spy: missing\\x1b[31m",
        "        install it",
    ]
