"""Reads a recording by every command and in every format, each in a child that may take little."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree as ET

import jsonschema
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

from tests.live.running import WAITSPY
from tests.live.session import environment, said_well
from tests.render.profiles.test_pprof import schema as pprof
from waitspy.cli import main
from waitspy.render import FLAMEGRAPHS, REPORTS
from waitspy.render.reports.json_report import schema

MOST_S = 60
MOST_BYTES = 500_000_000
LONGEST_MESSAGE = 2000
FORBIDDEN_IN_LINES = ("\x1b", "\x07", "\0", "\r", "\x0c", "\x9b", "\u2028")
FORBIDDEN = (*FORBIDDEN_IN_LINES, "\u202e", "\u200b", "\ufeff")
"""What no text for people may have in it: it moves the cursor, breaks lines or hides something."""

Ways = Callable[[Path | str], Iterator[tuple[str, ...]]]
"""The commands to read a recording by."""

_PAGES: tuple[tuple[str, ...], ...] = ((), ("--speedscope",))
_HELD = Path("/proc/self/statm")


@dataclass(frozen=True)
class Read:
    """What a command said of a recording."""

    args: tuple[str, ...]
    code: int
    out: bytes
    err: str

    @property
    def format(self) -> str:
        return self.args[self.args.index("-f") + 1] if "-f" in self.args else "text"

    @property
    def text(self) -> str:
        return self.out.decode("utf-8")


def commands(recording: Path | str) -> Iterator[tuple[str, ...]]:
    """Every way to read it that prints what it makes; ``view`` writes a file."""
    name = str(recording)
    for report in REPORTS:
        yield "report", name, "-f", report
    for flamegraph in FLAMEGRAPHS:
        yield "flamegraph", name, "-f", flamegraph
    yield "report", name, "--redact", "-f", "json"


def read(*args: str) -> Read:
    """Runs waitspy in a child of this process, which may take 500 MB more than it has now."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            _run(args, out, err)
        _, status = os.waitpid(pid, 0)
        out.seek(0)
        err.seek(0)
        said = err.read().decode("utf-8", "replace")
        code = os.waitstatus_to_exitcode(status)
        assert code != -signal.SIGALRM, f"{args} takes more than {MOST_S} s"
        assert code >= 0, f"{args} ended by signal {-code}: {said}"
        assert "Traceback" not in said, f"{args}: {said}"
        return Read(args, code, out.read(), said)


def _run(args: tuple[str, ...], out: IO[bytes], err: IO[bytes]) -> None:
    code = 70
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(MOST_S)
        for number, stream in ((1, out), (2, err)):
            os.dup2(stream.fileno(), number)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding="utf-8") for n in (1, 2))
        held = int(_HELD.read_text("ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MOST_BYTES, resource.RLIM_INFINITY))
        try:
            main(args, prog_name="waitspy")
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:  # noqa: BLE001  (what is looked for)
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


_STARTER = """
import json, os, sys
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
told = [os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime]
os.write(int(sys.argv[1]), json.dumps(told).encode())
"""


def by_itself(*args: str) -> Read:
    """As ``read``, but as a user would start it; its memory is measured from its start.

    By a small process in between: the kernel counts for a child what its parent has.
    """
    told, tell = os.pipe()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(told, "rb") as end:
        argv = [sys.executable, "-ISc", _STARTER, str(tell), *WAITSPY, *args]
        process = subprocess.Popen(argv, stdout=out, stderr=err, env=environment(), pass_fds=[tell])
        os.close(tell)
        code, peak_bytes, cpu_s = json.loads(end.read())
        assert process.wait() == 0
        assert peak_bytes < MOST_BYTES, f"{peak_bytes / 1e6:.0f} MB"
        assert cpu_s < MOST_S
        out.seek(0)
        err.seek(0)
        return Read(args, code, out.read(), err.read().decode("utf-8"))


def few(recording: Path | str) -> Iterator[tuple[str, ...]]:
    """A report and a flamegraph: where there are many variants of one fault."""
    yield "report", str(recording), "-f", "json"
    yield "flamegraph", str(recording), "-f", "svg"


def refused(recording: Path | str, *parts: str, by: Ways = commands) -> None:
    """Every command ends with one clear error, in which these words are, and writes nothing."""
    folder = Path(recording)
    before = sorted(os.listdir(folder)) if folder.is_dir() else None
    told = [read(*args) for args in by(recording)]
    if by is commands:
        told.append(by_itself("report", str(recording)))
        told += [read("view", str(recording), "--no-open", *more) for more in _PAGES]
    for one in told:
        assert (one.code, one.out) == (1, b""), one
        said_well(one.err, *parts)
        _is_shown_well(one.err)
        assert len(one.err) < LONGEST_MESSAGE, one
    assert len({one.err for one in told}) == 1, told
    assert before is None or sorted(os.listdir(folder)) == before


def reported(recording: Path | str, by: Ways = commands) -> dict[str, Any]:
    """Every command gives what its format's readers accept; the JSON report."""
    told = {}
    for args in by(recording):
        one = read(*args)
        assert one.code == 0, one
        assert all(line.startswith("waitspy: drawn by ") for line in one.err.splitlines()), one
        is_well_formed(one)
        told[args[0], *args[2:]] = one
    if by is commands:
        one = by_itself("report", str(recording))
        assert (one.code, one.err, one.out) == (0, "", told["report", "-f", "text"].out), one
    for more in _PAGES if by is commands else ():
        one = read("view", str(recording), "--no-open", *more)
        assert (one.code, one.err) == (0, ""), one
        page = Path(one.text.strip())
        assert page.parent == Path(recording)
        _is_a_page(page.read_text("utf-8"))
        page.unlink()
    report = json.loads(told["report", "-f", "json"].out)
    assert isinstance(report, dict)
    return report


def lost(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What of it was lost, and why."""
    return [(loss["what"], loss["why"]) for loss in report["losses"]]


# --- what each format must be --------------------------------------------------------------------


def is_well_formed(one: Read) -> None:
    """Its format's own reader takes it, and nothing of what it shows is more than text."""
    match one.format:
        case "html":
            _is_a_page(one.text)
        case "svg":
            _is_a_picture(one.text)
        case "json":
            jsonschema.validate(_strict_json(one.out), schema())
        case "speedscope":
            profile = _strict_json(one.out)
            assert profile["$schema"].startswith("https://www.speedscope.app/")
        case "firefox":
            assert "threads" in _strict_json(gzip.decompress(one.out))
        case "pprof":
            assert pprof().FromString(gzip.decompress(one.out)).string_table[0] == ""
        case "perfetto":
            raw = one.out
            assert Trace.FromString(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).packet
        case "collapsed":  # data: a line each, for programs
            _is_shown_well(one.text, FORBIDDEN_IN_LINES)
        case _:
            _is_shown_well(one.text)


def _is_shown_well(text: str, forbidden_ones: Sequence[str] = FORBIDDEN) -> None:
    for forbidden in forbidden_ones:
        assert forbidden not in text, repr(forbidden)


def _strict_json(raw: bytes) -> Any:
    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(raw.decode("utf-8"), parse_constant=refuse)


class _Page(HTMLParser):
    """What a browser would run or load of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def _is_a_page(text: str) -> None:
    """Scripts and styles are those of the page alone, and nothing is loaded from anywhere."""
    page = _Page()
    page.feed(text)
    page.close()
    for tag, attributes in page.tags:
        assert tag not in {"iframe", "object", "embed", "img", "base", "link", "form"}, attributes
        assert not [name for name in attributes if name.startswith("on")], attributes
        assert "src" not in attributes
        address = attributes.get("href") or "#"
        assert address.startswith(("#", "https://")), address
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert len(scripts) <= 4, scripts
    for character in ("\x1b", "\0", "\u202e"):
        assert character not in text.partition("<script")[0], repr(character)


def _is_a_picture(text: str) -> None:
    """Well-formed, one script of its own, and no event handlers but none."""
    root = ET.fromstring(text)
    scripts = [element for element in root.iter() if element.tag.endswith("script")]
    assert len(scripts) == 1
    for element in root.iter():
        assert not [name for name in element.attrib if name.startswith("on")], element.attrib
        assert not element.tag.endswith(("foreignObject", "image", "iframe"))
