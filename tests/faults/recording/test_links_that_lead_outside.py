"""Files and folders of a recording are links that lead out of it, to what only root may read.

None is followed, neither to read nor to write: what lies there is in no report, and stays as it
is. What a link stands for is told as lost.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.faults.reading import commands, few, lost, read, refused, reported
from tests.faults.recording.changing import files, meta_file, only_one_segment, stacks_file
from tests.live.session import run

SECRET = "a-secret-of-root"


@pytest.fixture
def outside(recorded: Path, tmp_path: Path) -> Path:
    """The same recording elsewhere; all names in it are secret."""
    place = tmp_path / "outside"
    shutil.copytree(recorded, place)
    for file in files(place):
        file.write_text(file.read_text("utf-8").replace("work", SECRET), "utf-8")
    return place


def test_files_are_not_read(rec: Path, outside: Path) -> None:
    meta, *others = files(rec)
    for file in others:
        file.unlink()
        file.symlink_to(outside / file.relative_to(rec))
    losses = lost(reported(rec))
    assert len(losses) == len(others)
    assert all("it is a link" in why for _, why in losses), losses
    assert not [args for args in commands(rec) if SECRET.encode() in read(*args).out]
    meta.unlink()
    meta.symlink_to(outside / "meta.json")
    refused(rec, str(meta), "it is a link")


@pytest.mark.parametrize("name", ["stacks", "oracles", "oracles/pools"])
def test_folders_are_not_entered(rec: Path, outside: Path, name: str) -> None:
    shutil.rmtree(rec / name)
    (rec / name).symlink_to(outside / name)
    losses = lost(reported(rec, few))
    assert losses
    assert all("Not a directory" in why for _, why in losses), losses
    assert not [args for args in commands(rec) if SECRET.encode() in read(*args).out]


@pytest.mark.parametrize("name", ["report.html", "speedscope.html"])
def test_a_page_is_not_written_through_a_link(rec: Path, tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text(SECRET)
    (rec / name).symlink_to(precious)
    more = ["--speedscope"] if name == "speedscope.html" else []
    code, out, err = run(tmp_path, "view", "rec", "--no-open", *more)
    assert (code, out, err) == (0, f"rec/{name}\n", "")
    assert precious.read_text() == SECRET
    assert not (rec / name).is_symlink()
    assert "</html>" in (rec / name).read_text("utf-8")


def test_a_recording_that_is_itself_a_link_is_read(rec: Path, tmp_path: Path) -> None:
    """Its user has named it; it is their link."""
    (tmp_path / "latest").symlink_to(rec)
    assert lost(reported(tmp_path / "latest", few)) == []


def test_names_in_it_do_not_climb_out(rec: Path, outside: Path) -> None:
    only_one_segment(rec)
    text = meta_file(rec).read_text("utf-8")
    name_now = stacks_file(rec).name
    up = os.path.relpath(outside / "stacks" / name_now, rec / "stacks")
    stacks_file(rec).unlink()
    for name in (up, str(outside / "stacks" / name_now), "..", "/dev/zero", "a\0b", ""):
        changed = text.replace(f'"{name_now}"', '"' + name.replace("\0", "\\u0000") + '"')
        assert changed != text
        meta_file(rec).write_text(changed, "utf-8")
        one = read("flamegraph", str(rec), "-f", "collapsed", "--weight", "wall")
        assert one.code == 0, (name, one)
        # what the kernel said of the loop's thread is known, but no stack
        assert all(line.startswith(b"[") for line in one.out.splitlines()), (name, one)
