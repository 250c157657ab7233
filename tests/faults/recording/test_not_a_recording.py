"""What is given as a recording is an empty folder, a file, a pipe, or not there.

One clear error, which says what it is and what to give instead; nothing is written there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.reading import few, refused
from tests.faults.recording.changing import files


def test_an_empty_folder(tmp_path: Path) -> None:
    refused(tmp_path, str(tmp_path), "is not a recording: it has no meta.json")
    assert os.listdir(tmp_path) == []


def test_nothing_is_there(tmp_path: Path) -> None:
    refused(tmp_path / "none", "does not exist", "the folder that 'waitspy record' printed")
    assert os.listdir(tmp_path) == []


def test_a_file(rec: Path) -> None:
    for file in files(rec):
        refused(file, str(file), "is not a folder", by=few)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/proc/self/mem"])
def test_what_the_kernel_makes_up(path: str) -> None:
    refused(path, path, "is not a folder", by=few)


def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "is not a folder")


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    refused(tmp_path / "loop", "loop cannot be read", "Too many levels of symbolic links")


def test_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text('{"name": "a package of something else"}')
    refused(tmp_path, "is not a recording", "names no schema")


def test_only_the_parts_of_one(rec: Path) -> None:
    (rec / "meta.json").unlink()
    refused(rec, "is not a recording: it has no meta.json")


def test_a_name_as_an_attacker_gives_it(tmp_path: Path) -> None:
    name = "\x1b]0;owned\x07\u202e\n" + "x" * 100
    refused(tmp_path / name, "\\x1b]0;owned\\x07\\u202e\\n", "does not exist")
