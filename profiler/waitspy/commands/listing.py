"""What ``workers`` and ``doctor`` say, as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from waitspy.model.processes import Worker
from waitspy.render import escape
from waitspy.target.machine import Check
from waitspy.target.tree import FOREIGN, KERNEL_THREAD, NO_RUNTIME, ZOMBIE

_FILE_COLUMNS = 1000  # no line is cut or folded in a file
_COLUMNS = ("pid", "parent", "role", "runtime", "threads", "framework", "attachable")
_NARROW = {"pid", "role", "runtime", "attachable"}  # what a narrow terminal has room for
_COMMAND_LIMIT = 300
_COMMAND_LEAST = 24  # what is shorter tells nothing
_FOREIGN = {NO_RUNTIME: "other program", ZOMBIE: "zombie", KERNEL_THREAD: "kernel thread"}
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "unknown": "dim"}


def write_workers(workers: Sequence[Worker], stream: TextIO) -> None:
    """One line for each process, then why some cannot be attached and what would help.

    The lines are as wide as they need in a file; on a terminal commands are cut in the middle, and
    stand below the table where it is too narrow.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    console = _console(stream)
    rows = [list(_cells(worker)) for worker in workers]
    widths = [max(len(name), *(row[n].cell_len for row in rows)) for n, name in enumerate(_COLUMNS)]
    kept = [n for n, _ in enumerate(_COLUMNS)]
    if sum(widths) + 2 * len(widths) > console.width:
        kept = [n for n in kept if _COLUMNS[n] in _NARROW]
    for n in kept:
        right = _COLUMNS[n] in {"pid", "parent", "threads"}
        table.add_column(_COLUMNS[n], justify="right" if right else "left", no_wrap=True)
    room = min(_COMMAND_LIMIT, console.width - sum(widths[n] + 2 for n in kept))
    beside = room >= _COMMAND_LEAST
    if beside:
        table.add_column("command", no_wrap=True)
    refused: dict[tuple[str, str | None], list[str]] = {}
    below = []
    for worker, row in zip(workers, rows, strict=True):
        command = escape.terminal(worker.command)
        cells = [row[n] for n in kept]
        if beside:
            cells.append(Text(escape.shorten(command, room)))
        else:
            below.append(escape.shorten(f"{worker.pid}: {command}", console.width))
        table.add_row(*cells)
        if worker.why_not is not None and worker.why_not not in FOREIGN:
            refused.setdefault((worker.why_not, worker.remedy), []).append(str(worker.pid))
    with console.capture() as drawn:
        console.print(table)
        for line in below:
            console.print(Text(line, no_wrap=True))
        for (why, remedy), pids in refused.items():
            console.print(Text(escape.terminal(f"{', '.join(pids)} cannot be attached: {why}")))
            if remedy:
                console.print(Text(escape.terminal(f"  try: {remedy}")))
    stream.writelines(f"{line.rstrip()}\n" for line in drawn.get().splitlines())


def _cells(worker: Worker) -> Iterator[Text]:
    attachable = "yes"
    if worker.why_not is not None:
        attachable = _FOREIGN.get(worker.why_not, "no")
    for value in (
        worker.pid, worker.ppid, worker.role, worker.runtime or "-",
        "-" if worker.threads is None else worker.threads, worker.framework or "-", attachable,
    ):  # fmt: skip
        yield Text(escape.terminal(str(value)))


def write_checks(checks: Sequence[Check], stream: TextIO) -> None:
    """One line for each check, and below it what to change where it is not well, said once."""
    console = _console(stream)
    told: set[str] = set()
    for check in checks:
        line = Text(f"{check.status:8}", _STYLES[check.status])
        line.append(f"{check.name}: ", "bold").append(escape.terminal(check.found))
        console.print(line)
        if check.remedy and check.status != "ok" and check.remedy not in told:
            told.add(check.remedy)  # several checks can need the same thing
            for part in check.remedy.split("\n"):
                console.print(Text(f"        {escape.terminal(part)}"))


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else _FILE_COLUMNS
    return Console(file=stream, highlight=False, width=width, soft_wrap=width is not None)
