"""``waitspy view``: where the page is put, and when a browser is asked to open it."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.examples import recording_examples
from waitspy import cli

SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return recording_examples.write(tmp_path / "rec")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was opened in the user's browser, of which there is none at first."""
    found: list[str] = []

    def note(url: str) -> bool:
        found.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", note)
    for name in SCREENS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return found


def view(*args: object) -> Result:
    return CliRunner().invoke(cli.main, ["view", *map(str, args)])


@pytest.mark.parametrize(
    ("option", "name"), [((), "report.html"), (("--speedscope",), "speedscope.html")]
)
def test_the_page_is_put_into_the_recording_and_named(
    recording: Path, opened: list[str], option: tuple[str, ...], name: str
) -> None:
    result = view(recording, *option)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{recording / name}\n"
    assert "<!doctype html>" in (recording / name).read_text("utf-8")
    assert opened == []


def test_a_page_in_a_recording_leaves_it_as_it_was(recording: Path, opened: list[str]) -> None:
    before = CliRunner().invoke(cli.main, ["report", str(recording), "--format", "json"]).stdout
    assert view(recording).exit_code == 0
    after = CliRunner().invoke(cli.main, ["report", str(recording), "--format", "json"]).stdout
    assert before == after


@pytest.mark.parametrize("screen", SCREENS)
def test_where_there_is_a_screen_a_browser_opens_it(
    recording: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch, screen: str
) -> None:
    monkeypatch.setenv(screen, ":0")
    assert view(recording, "-o", recording / "a b.html").exit_code == 0
    assert opened == [f"file://{recording}/a%20b.html"]


def test_no_open_opens_nothing(
    recording: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    result = view(recording, "--no-open")
    assert result.stdout == f"{recording / 'report.html'}\n"
    assert opened == []


def test_a_recording_that_cannot_be_written_gets_a_page_elsewhere(
    recording: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = view(recording)
    assert result.exit_code == 0, result.output
    path = Path(result.stdout.strip())
    assert path.parent == tmp_path
    assert path.suffix == ".html"
    assert "<!doctype html>" in path.read_text("utf-8")
    assert not (recording / "report.html").exists()


def test_an_output_that_cannot_be_written(recording: Path, opened: list[str]) -> None:
    result = view(recording, "-o", recording / "no" / "folder.html")
    assert result.exit_code == 1
    assert "-o" in result.stderr


def test_in_a_recording_of_somebody_else_no_link_is_followed(
    recording: Path, tmp_path: Path, opened: list[str]
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (recording / "report.html").symlink_to(precious)
    assert view(recording).exit_code == 0
    assert precious.read_text() == "precious"
    assert not (recording / "report.html").is_symlink()
    assert "<!doctype html>" in (recording / "report.html").read_text("utf-8")


def test_a_file_that_was_asked_for_may_be_a_link(
    recording: Path, tmp_path: Path, opened: list[str]
) -> None:
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    assert view(recording, "-o", tmp_path / "link.html").exit_code == 0
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").exists()


def test_no_file_in_the_way_can_be_foreseen(
    recording: Path, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else may write the folder, and knows our pid; what fails leaves nothing behind."""
    names = iter(["a" * 16, "b" * 16])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(names))
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (recording / f".waitspy-{'a' * 16}.partial").symlink_to(precious)
    assert view(recording).exit_code != 0
    assert precious.read_text() == "precious"
    assert view(recording).exit_code == 0
    assert sorted(p.name for p in recording.iterdir() if "partial" in p.name) == [
        f".waitspy-{'a' * 16}.partial"
    ]
