"""``waitspy report`` and ``flamegraph``: every format, and recordings that are none."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, ClassVar
from xml.etree import ElementTree as ET

import click.testing
import pytest

from tests.commands.invoking import waitspy
from tests.examples.private_examples import opened
from waitspy.commands import reports
from waitspy.model.judged import WEIGHTS, Profile
from waitspy.render import FLAMEGRAPHS, REPORTS


@pytest.mark.parametrize("format_", REPORTS)
def test_every_report_goes_to_stdout_and_to_a_file(
    recording: Path, tmp_path: Path, format_: str
) -> None:
    shown = waitspy("report", recording, "--format", format_)
    assert (shown.exit_code, shown.stderr) == (0, "")
    written = waitspy("report", recording, "--format", format_, "-o", tmp_path / "out")
    assert (written.exit_code, written.output) == (0, "")
    assert (tmp_path / "out").read_bytes() == shown.stdout_bytes
    assert "\x1b" not in shown.stdout
    assert "owned" in shown.stdout


@pytest.mark.parametrize(
    ("weight", "format_"),
    [(w, f) for w in WEIGHTS for f in FLAMEGRAPHS if (w, f) != ("root", "firefox")],
)
def test_every_flamegraph_goes_to_stdout_and_to_a_file(
    recording: Path, tmp_path: Path, format_: str, weight: str
) -> None:
    args = ("flamegraph", recording, "-f", format_, "--weight", weight)
    shown = waitspy(*args)
    assert (shown.exit_code, shown.stderr) == (0, "")
    written = waitspy(*args, "-o", tmp_path / "out")
    assert (written.exit_code, written.output) == (0, "")
    assert (tmp_path / "out").read_bytes() == shown.stdout_bytes
    if not FLAMEGRAPHS[format_]("wall").binary:
        assert b"\r" not in shown.stdout_bytes
        assert "\x1b" not in shown.stdout_bytes.decode("utf-8")
    if format_ == "svg":
        ET.fromstring(shown.stdout_bytes)


def test_roots_are_not_shown_over_time(recording: Path) -> None:
    shown = waitspy("flamegraph", recording, "-f", "firefox", "--weight", "root")
    assert shown.exit_code == 2
    assert "use another format" in shown.stderr


def test_one_worker_or_none(recording: Path) -> None:
    whole = waitspy("flamegraph", recording, "-f", "collapsed")
    assert (
        waitspy("flamegraph", recording, "-f", "collapsed", "--worker", "7").stdout == whole.stdout
    )
    assert whole.stdout
    other = waitspy("flamegraph", recording, "--worker", "8")
    assert (other.exit_code, other.stdout) == (1, "")
    assert "pid 8 is not in this recording" in other.stderr
    assert "its workers are 7" in other.stderr


GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize(
    ("name", "weight", "title"),
    [("parked", "starved", "Starved time of "), ("healthy", "wall", "Wall time of ")],
)
def test_the_weight_follows_what_was_found_and_is_said(name: str, weight: str, title: str) -> None:
    for format_ in ("svg", "collapsed", "pprof"):
        chosen = waitspy("flamegraph", GOLDEN / name, "-f", format_)
        given = waitspy("flamegraph", GOLDEN / name, "-f", format_, "--weight", weight)
        assert chosen.stdout_bytes == given.stdout_bytes
        assert given.stderr == ""
        assert chosen.stderr.startswith(f"waitspy: drawn by {weight} time, because ")
        assert ("--weight wall" in chosen.stderr) == (weight == "starved")
    picture = waitspy("flamegraph", GOLDEN / name).stdout_bytes
    root = ET.fromstring(picture)
    assert (root.findtext("{http://www.w3.org/2000/svg}title") or "").startswith(title)
    assert f">{title}" in picture.decode().partition('class="heading"')[2]


def test_no_weight_is_said_where_none_is_used() -> None:
    shown = waitspy("flamegraph", GOLDEN / "parked", "-f", "perfetto")
    assert (shown.exit_code, shown.stderr) == (0, "")


def test_library_frames_are_folded_in_the_picture_unless_all_are_wanted() -> None:
    args = ("flamegraph", GOLDEN / "parked", "--weight", "wall")
    folded, whole = waitspy(*args).stdout, waitspy(*args, "--all-frames").stdout
    assert "_bootstrap_inner" not in folded
    assert "⋯ threading" in folded
    assert "_bootstrap_inner" in whole
    assert "⋯" not in whole.partition('class="graph"')[2]
    for format_ in ("collapsed", "speedscope"):
        every = waitspy(*args, "-f", format_)
        assert "_bootstrap_inner" in every.stdout
        assert waitspy(*args, "-f", format_, "--all-frames").stdout == every.stdout


# --- redacted ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", [*REPORTS, *FLAMEGRAPHS])
def test_redact_hides_what_the_recording_tells(recording: Path, format_: str) -> None:
    command = ("report",) if format_ in REPORTS else ("flamegraph", "--weight", "wall")
    plain, hidden = (
        waitspy(*command, recording, "-f", format_, *options) for options in ((), ("--redact",))
    )
    assert (hidden.exit_code, hidden.stderr) == (0, "")
    assert hidden.stdout_bytes != plain.stdout_bytes
    text = opened(hidden.stdout_bytes)
    for secret in ("owned", "web-1", "/app/"):
        assert secret not in text
    assert "owned" in opened(plain.stdout_bytes) or "/app/" in opened(plain.stdout_bytes)


@pytest.mark.parametrize("viewer", [(), ("--speedscope",)])
def test_the_pages_that_are_viewed_are_redacted_too(
    recording: Path, tmp_path: Path, viewer: tuple[str, ...]
) -> None:
    page = tmp_path / "page.html"
    done = waitspy("view", recording, "--redact", "--no-open", *viewer, "-o", page)
    assert (done.exit_code, done.stderr) == (0, "")
    text = opened(page.read_bytes())
    assert "web-1" not in text
    assert "/app/client.py" not in text
    assert "redacted" in text


class Binary:
    """A flamegraph format of bytes that are no text."""

    name: ClassVar[str] = "svg"
    extension: ClassVar[str] = "bin"
    binary: ClassVar[bool] = True
    weighed: ClassVar[bool] = True
    data: ClassVar[bytes] = bytes(range(256))

    def __init__(self, weight: str) -> None:
        self.weight = weight

    def render(self, profile: Profile, stream: IO[Any]) -> None:
        stream.write(self.data)


def test_binary_formats_stay_bytes_and_do_not_go_to_a_terminal(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "FLAMEGRAPHS", {"svg": Binary})
    args = ("flamegraph", recording)
    assert waitspy(*args).stdout_bytes == Binary.data
    assert waitspy(*args, "-o", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out").read_bytes() == Binary.data
    monkeypatch.setattr(click.testing._NamedTextIOWrapper, "isatty", lambda _: True)
    refused = waitspy(*args)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "-o" in refused.stderr
    assert waitspy(*args, "-o", tmp_path / "out").exit_code == 0


# --- recordings that are none -----------------------------------------------------------------------


def no_folder(path: Path) -> None:
    del path


def a_file(path: Path) -> None:
    path.write_text("{}")


def an_empty_folder(path: Path) -> None:
    path.mkdir()


def with_meta(text: bytes) -> Any:
    def make(path: Path) -> None:
        path.mkdir()
        (path / "meta.json").write_bytes(text)

    return make


NOT_RECORDINGS = {
    "missing": (no_folder, "does not exist"),
    "a file": (a_file, "is not a folder"),
    "an empty folder": (an_empty_folder, "no meta.json"),
    "an empty meta.json": (with_meta(b""), "empty or not JSON"),
    "a cut meta.json": (with_meta(b'{"schema": "waitspy.rec'), "empty or not JSON"),
    "bytes": (with_meta(bytes(range(256))), "empty or not JSON"),
    "nested too deeply": (with_meta(b"[" * 100_000), "empty or not JSON"),
    "another JSON": (with_meta(b'{"schema": 5}'), "not a recording"),
    "a list": (with_meta(b"[]"), "not a recording"),
    "a newer schema": (with_meta(b'{"schema": "waitspy.recording/99"}'), "waitspy.recording/99"),
    "nothing but a schema": (with_meta(b'{"schema": "waitspy.recording/2"}'), "damaged"),
}


@pytest.mark.parametrize("command", ["report", "flamegraph"])
@pytest.mark.parametrize("what", NOT_RECORDINGS)
def test_what_is_no_recording_is_said_with_a_hint(tmp_path: Path, command: str, what: str) -> None:
    make, why = NOT_RECORDINGS[what]
    make(tmp_path / "rec")
    result = waitspy(command, tmp_path / "rec")
    assert (result.exit_code, result.stdout) == (1, "")
    said, hint = result.stderr.splitlines()
    assert said.startswith("waitspy: ")
    assert str(tmp_path / "rec") in said
    assert why in said
    assert hint.startswith("  try: ")
