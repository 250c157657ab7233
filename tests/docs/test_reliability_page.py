"""docs/reliability.md lists every fault that is tried, in the words of its file."""

from __future__ import annotations

import re

from tests.faults.catalogue import FOLDER, GROUPS, PAGE, faults, page

_LAST_COLUMN = re.compile(r"\| [^|]* \|$", re.MULTILINE)


def test_the_page_is_made_of_the_files() -> None:
    """Whether each held is what ``make faults`` found; the rest is said in one place only."""
    written, made = PAGE.read_text("utf-8"), page({}, "")
    ran = re.compile(r"^Last run.*$", re.MULTILINE)
    assert _LAST_COLUMN.sub("|", ran.sub("", written)) == _LAST_COLUMN.sub("|", ran.sub("", made))


def test_every_fault_is_in_a_group_and_told_once() -> None:
    known = list(faults())
    assert {f"{fault.file}" for fault in known} == {
        str(path.relative_to(FOLDER)) for path in FOLDER.rglob("test_*.py")
    }
    assert {fault.group for fault in known} == set(GROUPS)
    assert len({fault.broken for fault in known}) == len(known)
