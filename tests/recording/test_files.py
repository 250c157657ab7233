"""Which files of a recording are read at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from waitspy.recording import files
from waitspy.recording.files import read_bytes, read_text


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff" * 100_000)
    assert read_bytes(str(tmp_path), "a") == b"\xff" * 100_000
    (tmp_path / "a").write_bytes(b"")
    assert read_bytes(str(tmp_path), "a") == b""
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_text(str(tmp_path), "a")
    assert read_text(str(tmp_path), "a", errors="replace") == "\ufffd"


def test_what_no_recording_has_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "hole").write_text("[")
    os.truncate(tmp_path / "hole", 1 << 20)
    for name in ("fifo", "folder", "link", "hole"):
        with pytest.raises(OSError):  # noqa: PT011  (each has another number)
            read_bytes(str(tmp_path), name)
    with pytest.raises(OSError, match="not a regular file"):
        read_bytes("/dev", "zero")
    with pytest.raises(FileNotFoundError):
        read_bytes(str(tmp_path), "nowhere")


def test_a_folder_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "rec" / "stacks").mkdir(parents=True)
    (tmp_path / "rec" / "stacks" / "a").write_bytes(b"x")
    (tmp_path / "rec" / "oracles").symlink_to("stacks")
    (tmp_path / "link").symlink_to("rec")
    assert read_bytes(str(tmp_path / "link"), "stacks", "a") == b"x"
    with pytest.raises(OSError, match="Not a directory"):
        read_bytes(str(tmp_path / "rec"), "oracles", "a")


def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "META_BYTES", 10)
    (tmp_path / "a").write_text("x" * 10)
    assert read_text(str(tmp_path), "a")
    (tmp_path / "a").write_text("x" * 11)
    with pytest.raises(OSError, match="more than"):
        read_text(str(tmp_path), "a")
