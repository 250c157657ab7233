"""Finds the processes that a part of a command line means, and shows command lines in messages."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from waitspy.errors import TargetError
from waitspy.kernel import procfs
from waitspy.target import roles, runtimes, servers
from waitspy.target.kinship import at_or_below, lineage, topmost
from waitspy.target.messages import lines
from waitspy.target.spelling import HOW

_COMPARED = 500  # characters of command lines: that takes the square of their number
_REAPERS = frozenset({"systemd", "init"})
"""Names of processes that adopt or start unrelated services: being their child says nothing."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A process by what it runs."""

    pid: int
    ppid: int
    name: str
    argv: tuple[str, ...]

    @property
    def line(self) -> str:
        """The arguments in one line."""
        return " ".join(self.argv)


def by_pattern(target: str) -> tuple[int, ...]:
    """The topmost Python or Node.js processes whose command line matches; if none does, the topmost
    matching ones of any kind (a shell, make) that have such a one below them.

    Case is ignored. The pattern matches as a plain part of the command line, and also as a
    regular expression if it is one. waitspy, what started it and its py-spy never match.
    """
    table = _commands()
    parents = {pid: command.ppid for pid, command in table.items()}
    own = _own(table)
    candidates = {pid: command for pid, command in table.items() if pid not in own}
    matches = _matcher(target)
    matching = {pid for pid, command in candidates.items() if matches(command.line)}
    if not matching:
        raise TargetError(
            f"no command line matches {procfs.shown(target)!r}",
            _near_misses(target, candidates.values()),
        )
    tops = topmost(matching, parents)
    python = {pid for pid in matching if runtimes.is_known(pid, unsure=False)}
    roots = topmost(python, parents) or tuple(
        pid for pid in tops if any(runtimes.is_known(below) for below in at_or_below(pid, parents))
    )
    if not roots:
        more = f" and {len(tops) - 1} more" if len(tops) > 1 else ""
        raise TargetError(
            f"{procfs.shown(target)!r} matches nothing that runs Python or Node.js, "
            f"only {_shown(table[tops[0]])}{more}",
            servers.hint(HOW),
        )
    if len(roots) > 1 and not _one_service([table[pid] for pid in roots], table):
        raise TargetError(
            f"{procfs.shown(target)!r} matches {len(roots)} servers",
            lines("give the PID of the one that you mean", (_shown(table[pid]) for pid in roots)),
        )
    return roots


def _commands() -> dict[int, CommandLine]:
    """Every process with a command line."""
    found = {}
    for pid, stat in procfs.stats().items():
        try:
            argv = procfs.read_cmdline(pid)
        except (ProcessLookupError, PermissionError):
            continue
        found[pid] = CommandLine(pid, stat.ppid, stat.name, argv)
    return found


def _matcher(pattern: str) -> Callable[[str], bool]:
    plain = pattern.casefold()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the user's pattern: it may be no expression
            expression = re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError):
        return lambda line: bool(line) and plain in line.casefold()
    return lambda line: (
        bool(line) and (plain in line.casefold() or expression.search(line) is not None)
    )


def _own(table: Mapping[int, CommandLine]) -> set[int]:
    """This process, what started it, every other waitspy, and the py-spy of all of them."""
    own = os.getpid()
    parents = {pid: command.ppid for pid, command in table.items()}
    tools = {pid for pid, command in table.items() if _is_waitspy(command.argv)} | {own}
    spies = {
        pid for pid, command in table.items() if command.name == "py-spy" and command.ppid in tools
    }
    return tools | spies | lineage(own, parents)


def _is_waitspy(argv: tuple[str, ...]) -> bool:
    return roles.started(argv) == "waitspy"


def _one_service(roots: list[CommandLine], table: Mapping[int, CommandLine]) -> bool:
    """Whether several roots belong together: they have one parent, and where that is only what
    starts every service of the machine, command lines that differ in numbers alone.
    """
    if len({command.ppid for command in roots}) > 1:
        return False
    parent = table.get(roots[0].ppid)
    if parent is None or parent.pid == 1 or parent.name in _REAPERS:
        return len({re.sub(r"\d+", "0", command.line) for command in roots}) == 1
    return True


def _shown(command: CommandLine) -> str:
    return f"pid {command.pid} ({procfs.shown(command.line or command.name)})"


def _near_misses(pattern: str, commands: Iterable[CommandLine]) -> str:
    """The Python and Node.js processes whose command lines are most like the pattern."""
    wanted = pattern[:_COMPARED].casefold()

    def likeness(command: CommandLine) -> float:
        words = re.split(r"[^\w.]+", command.line[:_COMPARED].casefold())
        return max(difflib.SequenceMatcher(None, wanted, word).ratio() for word in words)

    python = [c for c in commands if c.argv and runtimes.is_known(c.pid)]
    if not python:
        return f"no Python or Node.js process can be seen here; {HOW}"
    nearest = sorted(python, key=lambda command: (-likeness(command), command.pid))
    return lines("one of the Python and Node.js processes here", map(_shown, nearest))
