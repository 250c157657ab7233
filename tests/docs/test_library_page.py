"""The programs of ``docs/library.md`` run, one after the other, and the page names what there is."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

import waitspy
from tests.docs.test_docs import DOCS, ROOT, coded, rows, sections
from waitspy.library import JudgedRecording
from waitspy.recording.folder import SCHEMA
from waitspy.render import REPORTS
from waitspy.render.reports.json_report import schema

PAGE = DOCS / "library.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_programs_of_the_page_run_and_say_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "tests" / "golden" / "parked", tmp_path / "rec")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    said = []
    for block in _BLOCK.findall(PAGE.read_text()):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block, PAGE.name, "exec"), names)
        said.append(out.getvalue())
    first, most, check, error = said
    assert first.startswith("Worker.next_message (parked.py:55) kept the only worker ")
    assert "starving: parked-loop for 2.5 s, blame Worker.next_message (" in first
    assert "Worker.next_message" in most
    assert check == "['parked-loop']\n"
    assert error.startswith("not-a-recording does not exist; ")


def test_the_page_names_what_a_recording_has_and_no_more() -> None:
    told = {coded(row[0])[0].partition("(")[0] for row in rows(sections(PAGE)["What there is"])}
    public = {name for name in dir(JudgedRecording) if not name.startswith("_")}
    assert told == public
    text = PAGE.read_text()
    assert all(f"waitspy.{name}" in text for name in waitspy.__all__ if name[0] != "_")
    assert all(f"`{name}`" in text for name in REPORTS)


def test_the_page_about_upgrading_names_the_schemas_that_there_are() -> None:
    told = {
        row[0].split(",")[0]: coded(row[1])
        for row in rows(sections(DOCS / "upgrading.md")["What carries a version of its own"])
    }
    assert told["a recording"] == [SCHEMA]
    assert told["the JSON report"] == [schema()["properties"]["schema"]["const"]]
