"""Where code is, as a worker's row says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.examples.recording_examples import HOSTILE, WORKER, load, write
from waitspy.errors import RecordingError
from waitspy.model.code_origin import CodePath, Origin, Program
from waitspy.recording.code_origin import KEY, programs, row

PROGRAM = Program((CodePath("/app", "mixed", ("client.py",)), CodePath("/lib", "library")), "-c")


def test_a_row_is_read_as_it_was_written() -> None:
    written = json.loads(json.dumps(row(PROGRAM)))
    assert list(programs([{KEY: written}, {}])) == [PROGRAM]
    assert row(Program()) == {"paths": []}  # what is not known is no key
    assert list(programs([{KEY: row(Program())}])) == [Program()]


def test_hostile_names_are_written_as_text() -> None:
    written = json.dumps(row(Program((CodePath(HOSTILE, "program", (HOSTILE,)),), HOSTILE)))
    (read,) = programs([{KEY: json.loads(written)}])
    assert read.argv0 is not None
    assert "\ud800" not in read.argv0


def test_frames_of_a_recording_know_whose_they_are(tmp_path: Path) -> None:
    plain = load(write(tmp_path / "plain"))
    told = load(write(tmp_path / "told", WORKER | {KEY: row(PROGRAM)}))
    client = [
        [f.origin for f in recording.stacks.frames if f.file == "/app/client.py"]
        for recording in (plain, told)
    ]
    assert client == [[Origin.USER], [Origin.PACKAGE]]


@pytest.mark.parametrize(
    "damaged", [[], 3, {"paths": [["/a"]]}, {"paths": [["/a", "else"]]}, {"argv0": 5}]
)
def test_a_damaged_row_is_refused(tmp_path: Path, damaged: object) -> None:
    path = write(tmp_path / "rec", WORKER | {KEY: damaged})
    with pytest.raises(RecordingError, match=r"meta.json is damaged"):
        load(path)
