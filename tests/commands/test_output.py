"""Where data goes: standard output, files, links, devices, and what cannot be written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.commands.invoking import waitspy
from waitspy.cli import main
from waitspy.commands import output


def test_minus_is_stdout(recording: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = waitspy("flamegraph", recording, "-f", "collapsed", "-o", "-")
    assert "client.py" in result.stdout
    assert os.listdir(tmp_path) == ["rec"]


def test_a_file_appears_whole_or_not_at_all(recording: Path, tmp_path: Path) -> None:
    old = tmp_path / "out"
    old.write_text("old")
    assert waitspy("report", tmp_path, "-o", old).exit_code == 1
    assert old.read_text() == "old"
    assert waitspy("report", recording, "-o", old).exit_code == 0
    assert "owned" in old.read_text("utf-8")
    assert sorted(os.listdir(tmp_path)) == ["out", "rec"]


def test_a_renderer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")

    def fail() -> None:
        with output.opened(str(tmp_path / "out")) as stream:
            stream.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "out").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_a_link_is_followed_and_stays_a_link(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/file")
    assert waitspy("report", recording, "-o", tmp_path / "link").exit_code == 0
    assert (tmp_path / "link").is_symlink()
    assert "owned" in (tmp_path / "there" / "file").read_text("utf-8")
    assert os.listdir(tmp_path / "there") == ["file"]


def test_a_device_is_written_and_not_replaced(recording: Path) -> None:
    before = os.stat("/dev/null")
    assert waitspy("report", recording, "-o", "/dev/null").exit_code == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert os.stat("/dev/null").st_ino == before.st_ino
    full = waitspy("report", recording, "-o", "/dev/full")
    assert full.exit_code == 1
    assert "No space left" in full.stderr


@pytest.mark.parametrize("where", ["no/such/folder/out", ".", "rec/meta.json/out"])
@pytest.mark.parametrize("command", ["report", "flamegraph"])
def test_an_output_that_cannot_be_written(
    recording: Path, tmp_path: Path, command: str, where: str
) -> None:
    result = waitspy(command, recording, "-o", tmp_path / where)
    assert (result.exit_code, result.stdout) == (1, "")
    said, hint = result.stderr.splitlines()
    assert said.startswith(f"waitspy: cannot write {tmp_path / where}: ")
    assert "-o" in hint
    assert sorted(os.listdir(tmp_path)) == ["rec"]


def test_data_is_utf8_whatever_the_terminal_takes(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CliRunner(charset="ascii")
    for args in (("report", "--format", "markdown"), ("flamegraph", "-f", "svg")):
        result = runner.invoke(main, [args[0], str(recording), *args[1:]])
        assert result.exit_code == 0, result.stderr
        assert result.stdout_bytes.decode("utf-8")
    text = runner.invoke(main, ["report", str(recording)])
    assert text.exit_code == 0
    assert text.stdout_bytes.isascii()
