"""The recording folder while it is written: whole files only, and room left for the last one."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from waitspy.errors import RecordingError
from waitspy.model.stacks import Frame
from waitspy.recording import loading
from waitspy.recording.dumps import DumpRow
from waitspy.recording.folder import SCHEMA, Writer, save_sources
from waitspy.recording.threads import ThreadRow

META = {
    "clock": {"monotonic_ns": 5_000_000_000, "wall": "2026-01-02T03:04:05+00:00"},
    "host": {"name": "web-1", "kernel": "6.1", "arch": "x86_64", "cpus": 2},
    "target": ":8000",
    "rate_hz": 100.0,
    "tick_s": 0.01,
    "min_stall_s": 0.1,
}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "rec"


def lines(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_new_recording_is_valid_at_once(folder: Path) -> None:
    Writer(str(folder), META)
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    assert meta["schema"] == SCHEMA
    assert "end" not in meta
    recording = loading.load(str(folder))
    assert recording.info.target == ":8000"
    assert [loss.what for loss in recording.losses] == ["everything after 0 s"]


def test_a_stream_has_a_start_its_rows_and_an_end(folder: Path) -> None:
    writer = Writer(str(folder), META)
    writer.start_stream("threads", 7, ThreadRow)
    writer.append("threads", 7, [ThreadRow(1, 7, "S"), ThreadRow(2, 7, "R", ran_ns=5)])
    writer.end_stream("threads", 7, "exited")
    assert lines(folder / "oracles/threads/7.jsonl") == [
        {
            "type": "start",
            "oracle": "threads",
            "pid": 7,
            "columns": list(ThreadRow.__struct_fields__),
        },
        [1, 7, "S", None, None, None, None],
        [2, 7, "R", None, None, 5, None],
        {"type": "end", "why": "exited"},
    ]


def test_a_stream_that_was_ended_is_not_ended_again(folder: Path) -> None:
    writer = Writer(str(folder), META)
    writer.start_stream("threads", 7, ThreadRow)
    writer.end_stream("threads", 7, "exited")
    writer.end_stream("threads", 7, "again")
    writer.end_stream("epoll", 8, "never opened")
    writer.close()
    assert lines(folder / "oracles/threads/7.jsonl")[-1] == {"type": "end", "why": "exited"}
    assert len(lines(folder / "oracles/threads/7.jsonl")) == 2


def test_a_pid_that_comes_back_continues_its_stream(folder: Path) -> None:
    writer = Writer(str(folder), META)
    for n in range(2):
        writer.start_stream("threads", 7, ThreadRow)
        writer.append("threads", 7, [ThreadRow(n, 7, "S")])
        writer.end_stream("threads", 7, "exited")
    rows = [row for row in lines(folder / "oracles/threads/7.jsonl") if isinstance(row, list)]
    assert [row[:3] for row in rows] == [[0, 7, "S"], [1, 7, "S"]]


def test_rows_are_on_disk_after_a_flush(folder: Path) -> None:
    writer = Writer(str(folder), META)
    writer.start_stream("threads", 7, ThreadRow)
    writer.append("threads", 7, [ThreadRow(1, 7, "S")])
    writer.flush()
    assert lines(folder / "oracles/threads/7.jsonl")[-1] == [1, 7, "S", None, None, None, None]
    writer.close()


def test_hostile_text_is_written_as_one_line_of_utf_8(folder: Path) -> None:
    hostile = "two\nlines\u2028and \ud800 \x1b[31m"
    writer = Writer(str(folder), META)
    writer.start_stream("threads", 7, ThreadRow)
    writer.append("threads", 7, [ThreadRow(1, 7, hostile), ThreadRow(2, 7, "S")])
    writer.append_dump(7, DumpRow(1, {7: (Frame(hostile, hostile, 1),)}))
    writer.meta["target"] = hostile
    writer.close()
    told = hostile.replace("\ud800", "?")
    rows = (folder / "oracles/threads/7.jsonl").read_bytes().decode("utf-8").split("\n")
    assert [json.loads(row)[:3] for row in rows[1:3]] == [[1, 7, told], [2, 7, "S"]]
    (dump, nothing) = (folder / "stacks/7.dumps.jsonl").read_bytes().decode("utf-8").split("\n")
    assert json.loads(dump) == [1, {"7": [[told, told, 1, None]]}, None, None]
    assert nothing == ""
    assert (folder / "meta.json").read_bytes().isascii()


def test_closing_ends_everything_and_gives_the_reserve_back(folder: Path) -> None:
    writer = Writer(str(folder), META)
    assert (folder / "reserve").stat().st_size > 100_000
    writer.start_stream("threads", 7, ThreadRow)
    writer.start_stream("epoll", 7, ThreadRow)
    writer.close()
    assert not (folder / "reserve").exists()
    assert json.loads((folder / "meta.json").read_text("utf-8"))["end"] is True
    for oracle in ("threads", "epoll"):
        end = lines(folder / f"oracles/{oracle}/7.jsonl")[-1]
        assert end == {"type": "end", "why": "the capture ended"}
    assert not list(folder.rglob("*.partial"))


def test_meta_is_rewritten_only_when_it_changed(folder: Path) -> None:
    writer = Writer(str(folder), META)
    before = (folder / "meta.json").stat().st_ino
    writer.save_meta()
    assert (folder / "meta.json").stat().st_ino == before
    writer.meta["workers"] = []
    writer.save_meta()
    assert (folder / "meta.json").stat().st_ino != before


def test_an_existing_folder_is_never_written_to(folder: Path) -> None:
    (folder / "stacks").mkdir(parents=True)
    (folder / "stacks" / "mine").write_text("precious", "utf-8")
    with pytest.raises(RecordingError, match="exists already") as caught:
        Writer(str(folder), META)
    assert "-o" in caught.value.hint
    assert sorted(p.name for p in folder.rglob("*")) == ["mine", "stacks"]


def test_a_folder_that_holds_something_else_is_never_written_to(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("precious", "utf-8")
    with pytest.raises(RecordingError, match="exists already"):
        Writer(str(folder), META)
    assert [p.name for p in folder.rglob("*")] == ["notes.txt"]


def test_a_place_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(RecordingError, match="cannot create") as caught:
        Writer(str(tmp_path / "file" / "rec"), META)
    assert "-o" in caught.value.hint


FULL_DISK = """
import json, resource, sys
from waitspy.recording.folder import Writer
from waitspy.recording.threads import ThreadRow
meta = json.loads(sys.argv[2])
meta["workers"] = [dict(pid=7, ppid=1, role="worker", command="x", start_ticks=1, attached_ns=0,
                        oracles={"threads": "ok"})]
writer = Writer(sys.argv[1], meta)
writer.start_stream("threads", 7, ThreadRow)
# No file may grow beyond this: writing then fails as on a full disk (setrlimit(2), EFBIG).
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    for n in range(10_000):
        writer.append("threads", 7, [ThreadRow(n * 10**7, 7, "S", 202, 1, n, 0)])
        writer.flush()
except OSError as error:
    writer.meta["losses"] = [dict(what="the rest", why=error.strerror, remedy="free some space")]
    writer.close()
    print("full")
"""


def test_what_was_written_before_the_disk_was_full_is_kept(folder: Path) -> None:
    argv = [sys.executable, "-c", FULL_DISK, str(folder), json.dumps(META)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "full\n", done.stderr
    recording = loading.load(str(folder))
    assert len(recording.workers[0].states[7]) > 100
    told = {loss.what: loss.why for loss in recording.losses}
    assert "the rest" in told
    assert told["end of oracle threads"] == "the file is cut short"


KILLED = """
import json, os, signal, sys
from waitspy.recording.folder import Writer
from waitspy.recording.threads import ThreadRow
meta = json.loads(sys.argv[2])
meta["workers"] = [dict(pid=7, ppid=1, role="worker", command="x", start_ticks=1, attached_ns=0,
                        oracles={"threads": "ok"})]
writer = Writer(sys.argv[1], meta)
writer.start_stream("threads", 7, ThreadRow)
writer.append("threads", 7, [ThreadRow(n * 10**7, 7, "S", 202, 1, n, 0) for n in range(1000)])
writer.flush()
writer.append("threads", 7, [ThreadRow(n * 10**7, 7, "S", 202, 1, n, 0) for n in range(1000, 1010)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_capture_keeps_what_was_flushed(folder: Path) -> None:
    argv = [sys.executable, "-c", KILLED, str(folder), json.dumps(META)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    recording = loading.load(str(folder))
    assert len(recording.workers[0].states[7]) >= 1_000
    # Nobody wrote how long it lasted: that is the last thing known.
    last_s = (recording.workers[0].states[7][-1].at_ns - 5_000_000_000) / 1e9
    assert {loss.what for loss in recording.losses} == {f"everything after {last_s:.3g} s"}


def test_sources_are_added_to_a_finished_recording(folder: Path) -> None:
    Writer(str(folder), META).close()
    save_sources(str(folder), {"/app/x.py": {3: "f('\ud800')"}})
    assert loading.load(str(folder)).sources["/app/x.py"].keys() == {3}
    assert not (folder / "sources.json.partial").exists()


def test_sources_that_cannot_be_saved_are_left_out(tmp_path: Path) -> None:
    save_sources(str(tmp_path / "nowhere"), {"/app/x.py": {3: "f()"}})
    assert list(tmp_path.iterdir()) == []


def test_a_recording_may_be_moved(folder: Path, tmp_path: Path) -> None:
    writer = Writer(str(folder), META)
    writer.start_stream("threads", 7, ThreadRow)
    writer.close()
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode & ~stat.S_IWUSR)
    os.rename(folder, tmp_path / "moved")
    assert loading.load(str(tmp_path / "moved")).info.host == "web-1"


# --- whose it is -----------------------------------------------------------------------------------


def whole(folder: Path) -> Writer:
    writer = Writer(str(folder), META)
    writer.start_stream("threads", 7, ThreadRow)
    writer.append("threads", 7, [ThreadRow(1, 7, "S")])
    writer.append_dump(7, DumpRow(1, {7: (Frame("f", "/app/f.py", 1),)}))
    writer.close()
    save_sources(writer.path, {"/app/f.py": {1: "secret"}})
    return writer


def test_only_its_owner_may_read_it(folder: Path) -> None:
    before = os.umask(0)
    try:
        whole(folder).release()
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    assert len(modes) == 8
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items())


@pytest.mark.ptrace
def test_under_sudo_it_is_in_the_end_the_callers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "54321")
    outside = folder.parent / "outside"
    outside.write_text("")
    writer = whole(folder)
    (folder / "link").symlink_to(outside)
    assert folder.stat().st_uid == 0
    writer.release()
    owners = {(p.lstat().st_uid, p.lstat().st_gid) for p in (folder, *folder.rglob("*"))}
    assert owners == {(12345, 54321)}
    assert outside.stat().st_uid == 0


def test_what_was_opened_is_what_is_written(folder: Path) -> None:
    victim = folder.parent / "victim"
    (victim / "oracles").mkdir(parents=True)
    (victim / "meta.json").write_text("precious")
    writer = Writer(str(folder), META)
    folder.rename(folder.parent / "moved")
    folder.symlink_to(victim)
    writer.start_stream("threads", 7, ThreadRow)
    writer.meta["looks"] = 5
    writer.close()
    save_sources(writer.path, {"/app/f.py": {1: "x"}})
    writer.release()
    assert sorted(path.name for path in victim.rglob("*")) == ["meta.json", "oracles"]
    assert (victim / "meta.json").read_text() == "precious"
    moved = loading.load(str(folder.parent / "moved"))
    assert moved.info.looks == 5
    assert moved.sources == {"/app/f.py": {1: "x"}}


def test_a_link_in_the_place_of_a_file_is_not_followed(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.write_text("precious")
    writer = Writer(str(folder), META)
    for name in ("meta.json.partial", "stacks/7.dumps.jsonl"):
        (folder / name).symlink_to(outside)
    writer.meta["looks"] = 5
    with pytest.raises(OSError, match="symbolic links"):
        writer.save_meta()
    with pytest.raises(OSError, match="symbolic links"):
        writer.append_dump(7, DumpRow(1, {}))
    assert outside.read_text() == "precious"


def test_a_folder_of_somebody_else_is_not_written(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    folder.symlink_to(other)
    with pytest.raises(RecordingError, match="no empty folder of this user"):
        Writer(str(folder), META)
    assert list(other.iterdir()) == []


def test_changed_sources_are_told_when_it_is_loaded_again(folder: Path) -> None:
    writer = whole(folder)
    save_sources(writer.path, {"/app/f.py": {}, "/app/g.py": {}, "/app/h.py": {1: "x"}})
    writer.release()
    losses = [loss for loss in loading.load(str(folder)).losses if "source" in loss.what]
    assert [loss.what for loss in losses] == ["source lines of /app/f.py and 1 more"]
