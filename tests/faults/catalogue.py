"""The faults that are tried, as their files tell them, and the page that lists them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "reliability.md"

GROUPS = ("target", "sampler", "ourselves", "disk", "recording", "names", "rights", "load")
"""The folders, in the order of the page."""

_NOT_RUN = "not run"
_INTRODUCTION = """\
# Reliability

waitspy runs as root beside servers that it must not harm, on machines that are in trouble already. So it is
tried under faults, one file each in [tests/faults](../tests/faults): what is broken, what must hold, and
whether it held at the last run. `make faults` tries them all and writes this page; `make test` tries those
that take a few seconds.

Under every fault of the target, no thread of it is stopped or traced by waitspy, and nothing that waitspy
started is left behind.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One file: ``name`` as on the page, what is broken, and what must hold."""

    group: str
    file: str
    broken: str
    must_hold: str


def faults() -> Iterator[Fault]:
    """All of them, by group and name of the file. Raises ValueError where a docstring is not a
    paragraph of what is broken and one of what must hold."""
    for group in GROUPS:
        for path in sorted((FOLDER / group).glob("test_*.py")):
            text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
            paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
            if len(paragraphs) != 2 or not all(paragraphs):
                raise ValueError(f"{path}: not one paragraph of a fault and one of what holds")
            yield Fault(group, f"{group}/{path.name}", *paragraphs)


def about(group: str) -> str:
    """What the faults of a group have in common, one sentence."""
    text = ast.get_docstring(ast.parse((FOLDER / group / "__init__.py").read_text("utf-8")))
    assert text
    return text


def page(outcomes: Mapping[str, str], where: str) -> str:
    """The page: ``outcomes`` by file, each ``held``, ``did not hold`` or why it was not run;
    ``where`` says on what they were tried."""
    known = list(faults())
    held = sum(outcomes.get(fault.file) == "held" for fault in known)
    parts = [_INTRODUCTION, f"Last run, {where}: {held} of {len(known)} held.\n"]
    for group in GROUPS:
        parts.append(f"## {group.capitalize()}\n\n{about(group)}\n")
        parts.append("| fault | what must hold | held |\n|---|---|---|")
        for fault in known:
            if fault.group == group:
                told = {"held": "yes", "did not hold": "**no**"}
                outcome = outcomes.get(fault.file, _NOT_RUN)
                link = f"[{_cell(fault.broken)}](../tests/faults/{fault.file})"
                parts.append(
                    f"| {link} | {_cell(fault.must_hold)} | {told.get(outcome, outcome)} |"
                )
        parts.append("")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").rstrip(".")
