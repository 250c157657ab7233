"""The command line without a target: its arguments, its outputs, its exit codes."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, ClassVar
from xml.etree import ElementTree as ET

import click
import click.testing
import pytest
from click.testing import CliRunner, Result

from tests.examples import report_examples
from tests.examples.build import HANDLER, POLL, START_NS, Trace, at
from waitspy import cli
from waitspy.commands import arguments, listing, output
from waitspy.model.judged import WEIGHTS, Profile
from waitspy.model.kinds import KINDS
from waitspy.model.processes import Worker
from waitspy.recording import loading
from waitspy.recording.folder import Writer, create_first, save_sources
from waitspy.render import FLAMEGRAPHS, REPORTS
from waitspy.target.machine import Check
from waitspy.target.tree import NOT_PYTHON


def waitspy(*args: object) -> Result:
    return CliRunner().invoke(cli.main, [str(arg) for arg in args])


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A second of two threads of one worker, whose command and file names are hostile."""
    path = tmp_path / "rec"
    writer = Writer(
        str(path),
        {
            "clock": {"monotonic_ns": START_NS, "wall": "2026-01-02T03:04:05+00:00"},
            "host": {"name": "web-1\x1b[31m", "kernel": "6.1", "arch": "x86_64", "cpus": 2},
            "target": ":8000\u202e",
            "rate_hz": 100.0,
            "tick_s": 0.01,
            "min_stall_s": 0.1,
        },
    )
    rows = (
        Trace(7)
        .show(1_000, 1, "thread (7): Main", POLL)
        .show(200_000, 1, "thread (7): Main", HANDLER)
    )
    writer.save_file("stacks/7-0.trace.json", rows.end(999_000))
    writer.meta["workers"] = [
        {
            "pid": 7, "ppid": 1, "role": "worker", "command": "python \x1b]0;<b>owned\x07\n…",
            "start_ticks": 5_000, "python": "3.12.1", "framework": "uvicorn", "threads": 2,
            "attached_ns": START_NS, "oracles": {},
        }
    ]  # fmt: skip
    writer.meta["segments"] = [
        {"pid": 7, "n": 0, "file": "7-0.trace.json", "zero_ns": START_NS, "rate_hz": 100}
    ]
    writer.meta["end_ns"] = at(1_000)
    writer.close()
    save_sources(str(path), {"/app/client.py": {41: "    time.sleep(backoff_s)"}})
    return path


# --- usage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ("record",),
        ("record", "--"),
        ("record", "1", "--", "true"),
        ("record", "1", "2"),
        ("record", "1", "-d", "0"),
        ("record", "1", "-d", "-1"),
        ("record", "1", "-d", "nan"),
        ("record", "1", "-d", "inf"),
        ("record", "1", "-d", "soon"),
        ("record", "1", "-r", "0"),
        ("record", "1", "-r", "nan"),
        ("record", "1", "-r", "1e9"),
        ("record", "1", "--min-stall", "0"),
        ("record", "1", "--min-stall", "0.049"),
        ("record", "1", "--min-stall", "nan"),
        ("record", "1", "--fail-on", "slow"),
        ("record", "1", "--fail-on", "any:soon"),
        ("record", "1", "--fail-on", "any:nan"),
        ("record", "1", "--fail-on", "any:inf"),
        ("record", "1", "--fail-on", "any:-1"),
        ("record", "1", "--budget", "0"),
        ("record", "1", "--budget", "10:0"),
        ("record", "1", "--budget", "-1"),
        ("record", "1", "--budget", "nan"),
        ("record", "1", "--frobnicate"),
        ("report",),
        ("report", "rec", "--format", "gif"),
        ("flamegraph", "rec", "-f", "gif"),
        ("flamegraph", "rec", "--weight", "heavy"),
        ("flamegraph", "rec", "--worker", "main"),
        ("workers",),
        ("scenario", "run", "no-such-story"),
        ("frobnicate",),
    ],
)
def test_usage_errors_exit_2_and_say_how(args: tuple[str, ...]) -> None:
    result = waitspy(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage:" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_usage_of_record_shows_both_ways() -> None:
    assert "(TARGET | -- COMMAND...)" in waitspy("record", "--help").stdout
    assert "(TARGET | -- COMMAND...)" in waitspy("record").stderr


def test_an_unknown_kind_is_told_the_known_ones() -> None:
    said = " ".join(waitspy("record", "1", "--fail-on", "slow").stderr.split())
    assert "'slow' is no kind" in said
    assert all(kind in said for kind in KINDS)


@pytest.mark.parametrize("command", [None, *sorted(cli.main.commands)])
def test_help_is_plain_text_everywhere(command: str | None) -> None:
    result = waitspy(*((command, "--help") if command else ("--help",)))
    assert result.exit_code == 0
    assert result.stdout.isascii()


def test_fail_on_takes_kinds_with_and_without_seconds() -> None:
    context, option = click.Context(click.Command("record")), click.Option(["--fail-on"])
    got = arguments.fail_on(context, option, ["any", "blocked-loop:1.5", "gil-bound:"])
    assert got == [("any", 0.0), ("blocked-loop", 1.5), ("gil-bound", 0.0)]


@pytest.mark.parametrize(
    ("limits", "met"),
    [
        ([], False),
        ([("any", 0.0)], True),
        ([("any", 1e6)], False),
        ([("parked-loop", 0.0)], False),
        ([("blocked-loop", 0.0)], True),
        ([("parked-loop", 0.0), ("blocked-loop", 0.1)], True),
        ([("blocked-loop", 1e6)], False),
    ],
)
def test_fail_on_compares_the_starved_time_of_a_kind(
    limits: list[tuple[str, float]], met: bool
) -> None:
    report = replace(report_examples.healthy(), findings=(report_examples.blocked_loop(),))
    assert cli._exceeds(report, limits) is met


def test_fail_on_leaves_latent_findings_alone() -> None:
    assert not cli._exceeds(report_examples.latent_only(), [("any", 0.0)])


def test_the_name_of_a_recording_is_safe_and_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "../../etc/\x1b[31m; rm -rf ~\n"
    made = [create_first(arguments.folder_names(name)) for _ in range(3)]
    assert sorted(os.listdir(tmp_path)) == sorted(set(made))
    assert len(made) == 3
    for folder in made:
        assert folder.startswith("waitspy-")
        assert set(folder) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert next(arguments.folder_names("\u202e")).startswith("waitspy-target-")
    assert len(next(arguments.folder_names("x" * 300))) < 80


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


# --- outputs ---------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("format_", FLAMEGRAPHS)
@pytest.mark.parametrize("weight", WEIGHTS)
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
        result = runner.invoke(cli.main, [args[0], str(recording), *args[1:]])
        assert result.exit_code == 0, result.stderr
        assert result.stdout_bytes.decode("utf-8")
    text = runner.invoke(cli.main, ["report", str(recording)])
    assert text.exit_code == 0
    assert text.stdout_bytes.isascii()


def test_an_interrupt_exits_130(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: str) -> None:
        del path
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "load", interrupted)
    result = waitspy("report", recording)
    assert (result.exit_code, result.output) == (130, "waitspy: interrupted\n")


# --- lists -----------------------------------------------------------------------------------------


def test_scenarios_are_listed() -> None:
    result = waitspy("scenario", "list")
    assert result.exit_code == 0
    assert "buffer-vs-job" in result.stdout


class Paper:
    """A stream of text that is no terminal."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def test_workers_are_one_line_each_and_refusals_are_explained_once() -> None:
    hostile = "python " + "x" * 200 + "\x1b[31m\nsecond line"
    refused = {"why_not": "no right to trace it", "remedy": "add the right"}
    found = [
        Worker(1, 0, "master", hostile, 1, python="3.12.1", framework="gunicorn", threads=1),
        Worker(2, 1, "worker", "python app", 1, python="3.12.1", threads=4, **refused),
        Worker(3, 1, "worker", "python app", 1, python="3.12.1", threads=4, **refused),
        Worker(4, 1, "helper", "sleep 1", 1, why_not=NOT_PYTHON, remedy="nothing"),
    ]
    paper = Paper()
    listing.write_workers(found, paper)  # type: ignore[arg-type]
    lines = paper.text.splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["pid", "1", "2", "3", "4"]
    assert lines[1].endswith("\\x1b[31m\\nsecond line")
    assert " no " in lines[2]
    assert "not Python" in lines[4]
    assert lines[5:] == ["2, 3 cannot be attached: no right to trace it", "  try: add the right"]


def test_checks_say_what_to_change_only_where_it_is_not_well() -> None:
    paper = Paper()
    checks = (
        Check("ptrace", "ok", "allowed", "never shown"),
        Check("py-spy", "fail", "missing\x1b[31m", "install it"),
    )
    listing.write_checks(checks, paper)  # type: ignore[arg-type]
    assert paper.text.splitlines() == [
        "ok      ptrace: allowed",
        "fail    py-spy: missing\\x1b[31m",
        "        install it",
    ]


class Binary:
    """A flamegraph format of bytes that are no text."""

    name: ClassVar[str] = "svg"
    extension: ClassVar[str] = "bin"
    binary: ClassVar[bool] = True
    data: ClassVar[bytes] = bytes(range(256))

    def __init__(self, weight: str) -> None:
        self.weight = weight

    def render(self, profile: Profile, stream: IO[Any]) -> None:
        stream.write(self.data)


def test_binary_formats_stay_bytes_and_do_not_go_to_a_terminal(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "FLAMEGRAPHS", {"svg": Binary})
    args = ("flamegraph", recording)
    assert waitspy(*args).stdout_bytes == Binary.data
    assert waitspy(*args, "-o", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out").read_bytes() == Binary.data
    monkeypatch.setattr(click.testing._NamedTextIOWrapper, "isatty", lambda _: True)
    refused = waitspy(*args)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "-o" in refused.stderr
    assert waitspy(*args, "-o", tmp_path / "out").exit_code == 0
