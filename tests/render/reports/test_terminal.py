from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from tests.examples import report_examples
from tests.examples.report_examples import EXAMPLES, LONG, START_S, worker
from waitspy.model.judged import Analysis, Blame, Episode, Finding, Report
from waitspy.model.recorded import Cost, Loss
from waitspy.model.stacks import Frame
from waitspy.model.waits import Wait, WaitKind
from waitspy.render import verdicts, words
from waitspy.render.reports.report_format import (
    ReportRenderer,
    blamed_index,
    not_watched,
    severity,
    short_stack,
    worst_share,
)
from waitspy.render.reports.terminal import TerminalRenderer

SGR = re.compile(r"\x1b\[[0-9;]*m")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7])m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(report: Report, *, width: int = 80, color: bool | None = False) -> str:
    stream = io.StringIO()
    renderer: ReportRenderer = TerminalRenderer(width=width, color=color)
    renderer.render(Analysis(report), stream)
    return stream.getvalue()


def flat(report: Report) -> str:
    """On one line, as if the terminal had no end."""
    return " ".join(shown(report, width=100_000).split())


def plain(text: str) -> str:
    return text


# --- the page ----------------------------------------------------------------------------------


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", EXAMPLES)
def test_lines_keep_to_the_width(name: str, width: int, color: bool) -> None:
    text = SGR.sub("", shown(EXAMPLES[name](), width=width, color=color))
    assert max(cell_len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize("name", EXAMPLES)
def test_colours_change_no_word(name: str) -> None:
    report = EXAMPLES[name]()
    coloured = shown(report, color=True)
    assert COLOUR.search(coloured)
    stripped = [line.rstrip() for line in SGR.sub("", coloured).splitlines()]
    assert stripped == shown(report).splitlines()


@pytest.mark.parametrize("name", EXAMPLES)
def test_folding_loses_nothing(name: str) -> None:
    report = EXAMPLES[name]()
    if name in {"hostile", "long_names"}:
        report = replace(report, workers=())  # whose table cells fold side by side
    folded = "".join(shown(report).split())
    assert folded == "".join(shown(report, width=100_000).split())


def test_a_file_gets_no_escape_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert "\x1b" not in shown(report_examples.starving(), color=None)


def test_a_terminal_gets_colours_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    TerminalRenderer(width=80).render(Analysis(report_examples.starving()), stream)
    assert COLOUR.search(stream.getvalue())
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    TerminalRenderer(width=80).render(Analysis(report_examples.starving()), stream)
    assert not COLOUR.search(stream.getvalue())
    assert "time.sleep" in stream.getvalue()


def test_a_poor_encoding_is_no_obstacle() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    TerminalRenderer(width=80, color=False).render(Analysis(report_examples.deep_stack()), stream)
    stream.flush()
    assert b"client.py" in raw.getvalue()
    assert rb"\u516c\u5f0f" in raw.getvalue()


def test_hostile_text_stays_text() -> None:
    text = SGR.sub("", shown(report_examples.hostile(), color=True))
    assert not re.search(r"[^\n\x20-\x7e…]", text)
    solid = "".join(text.split())
    assert "[bold]loud[/bold]" in solid
    assert ":boom:" in solid
    assert r"\x1b[31mred\x1b[0m" in solid
    assert r"\u202eevil\u200b" in solid


def test_hostile_text_brings_no_style_of_its_own() -> None:
    codes = set(SGR.findall(shown(report_examples.hostile(), color=True)))
    assert codes <= set(SGR.findall(shown(report_examples.hostile("x"), color=True)))


def test_units_stay_with_their_numbers() -> None:
    for width in range(40, 120):
        text = shown(report_examples.mixed(), width=width)
        assert not re.search(r"\d\n +(?:s|ms|%|Hz|MB)\b", text), width


def test_long_names_are_shortened_and_paths_are_not() -> None:
    assert "…" in shown(report_examples.long_names())
    assert len(shown(report_examples.long_names())) < 10 * len(LONG)
    path = "/srv/" + "very-long-folder/" * 14 + "app.py"
    blame = Blame("f", path, 9, 1.0)
    finding = replace(report_examples.blocked_loop(), blames=(blame,), stack=(Frame("f", path, 9),))
    text = shown(replace(report_examples.starving(), findings=(finding,)))
    assert f"f,{path}:9" in "".join(text.split())


# --- what it says ------------------------------------------------------------------------------


def test_starving_says_all_of_a_finding() -> None:
    text = flat(report_examples.starving())
    for part in (
        "1. STARVING blocked loop: a blocking call holds the running event loop",
        "starved 6.15 s over 2 processes, up to 40 % of the recording, 3 times, longest 2.35 s",
        "wait waits in time.sleep (clock_nanosleep)",
        "blame QuoteClient.fetch, /srv/quotes/app/client.py:41 time.sleep(backoff)",
        (
            "victims 12 I/O events: tcp 10.0.0.7:8000 from 10.0.0.9:51334, waited 51.6 s together, "
            "4.3 s on average 31 timers: Heartbeat.tick (/srv/quotes/app/heartbeat.py:17), waited "
            "37.7 s together, 1.22 s on average 1 task: Task-7 (/srv/quotes/app/stream.py:80), "
            "waited 3 s remedy"
        ),
        "remedy await asyncio.sleep(...) instead",
        (
            "evidence asyncio, epoll; up to 34 items waiting, 0 served meanwhile; "
            "from 1.2 s to 8.4 s of the recording"
        ),
        "where pids 4711, 4712, main threads",
        "stack ... 3 frames BaseEventLoop.run_until_complete",
        "> QuoteClient.fetch, /srv/quotes/app/client.py:41",
        "2. STARVING parked loop: work is due on a loop that its thread does not run",
        "where pid 4713, thread 4730",
        "4714 worker 3.12.1 uvicorn 12 99.6 Hz 996 4",
        "4714 ended: killed by SIGKILL",
        "command of all: /srv/quotes/.venv/bin/python -m uvicorn app.main:app --workers 4",
        "pid 4714, I/O (oracle epoll): pidfd_getfd: Operation not permitted",
        (
            "pid 4714, the last 2.1 s of stacks: the process was killed "
            "to do: look for the reason in the kernel log"
        ),
        "waitspy used 312 ms CPU, 3.1 % of one core; 45 MB",
    ):
        assert part in text
    assert text.index("1. STARVING") < text.index("2. STARVING") < text.index("processes pid")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_verdict_is_the_first_line(name: str) -> None:
    report = EXAMPLES[name]()
    assert shown(report, width=500).splitlines()[0] == verdicts.sentence(report, verdicts.name)


def test_what_several_processes_share_starved_once() -> None:
    """As a listener: its episodes are not one for each process that could have accepted."""
    finding = report_examples.blocked_loop()
    shared = replace(finding, episodes=tuple(replace(e, pid=4312) for e in finding.episodes))
    assert len(shared.pids) == 2
    said = words.starved_words(shared, report_examples.recording_info())
    assert said == "6.15 s, 61 % of the recording, 3 times, longest 2.35 s"


def test_without_findings_the_unseen_follows_the_verdict() -> None:
    text = flat(report_examples.half_blind())
    assert text.index("not seen") < text.index("processes pid")
    assert "- pids 4713, 4714, I/O (oracle epoll): pidfd_getfd: Operation not permitted" in text
    assert "not seen" not in flat(report_examples.healthy())


def test_several_blames_have_shares() -> None:
    text = flat(report_examples.several_blames())
    assert "/srv/quotes/app/client.py:41 (62 % of the time) time.sleep(backoff) query," in text
    assert "posix.fsync (8 % of the time)" in text
    assert "of the time)" not in flat(report_examples.starving())


def test_unknown_is_said() -> None:
    text = flat(report_examples.unknown_blame())
    assert "wait not known blame not known: no stack was seen" in text
    text = flat(report_examples.nothing_attached())
    assert "4700 master none ? ? ? ? ?" in text
    assert "what waitspy itself used was not measured" in text


def test_latent_findings_are_compact() -> None:
    text = flat(report_examples.latent_only())
    assert (
        "LATENT a blocking call while nothing was seen to be due - QuoteClient.fetch, "
        "/srv/quotes/app/client.py:41 waits in time.sleep (clock_nanosleep), twice, "
        "longest 310 ms, pid 4711, main thread to do: await asyncio.sleep(...)"
    ) in text
    assert "STARVING" not in text


def test_source_comes_from_the_report_where_the_blame_has_none() -> None:
    finding = report_examples.blocked_loop()
    bare = replace(finding, blames=(replace(finding.blames[0], source=None),))
    report = replace(report_examples.starving(), findings=(bare,))
    assert "client.py:41 time.sleep(backoff) victims" in flat(report)
    assert "client.py:41 victims" in flat(replace(report, sources={}))


def test_many_victims_are_summed_up() -> None:
    finding = report_examples.blocked_loop()
    victims = finding.victims[1:2] * 7
    report = replace(report_examples.starving(), findings=(replace(finding, victims=victims),))
    assert flat(report).count("31 timers") == 5
    assert "and 62 more, waited 75.4 s together" in flat(report)


def test_empty_names_are_said_to_be_empty() -> None:
    assert "wait waits in (empty) ((empty)) blame (empty)," in flat(report_examples.hostile(""))


# --- the stack ---------------------------------------------------------------------------------


def with_stack(size: int, blamed: int | None) -> Finding:
    stack = tuple(Frame(f"f{n}", "/a.py", n) for n in range(size))
    blames = () if blamed is None else (Blame(f"f{blamed}", "/a.py", blamed, 1.0),)
    return replace(report_examples.blocked_loop(), stack=stack, blames=blames)


@pytest.mark.parametrize(
    ("size", "blamed", "expected"),
    [
        (7, 6, "f0 f1 f2 f3 f4 f5 >f6"),
        (8, 7, "2 f2 f3 f4 f5 f6 >f7"),
        (20, 17, "14 f14 f15 f16 >f17 f18 f19"),
        (20, 5, "5 >f5 10 f16 f17 f18 f19"),
        (20, 0, ">f0 15 f16 f17 f18 f19"),
        (20, None, "14 f14 f15 f16 f17 f18 f19"),
        (0, None, ""),
    ],
)
def test_short_stack(size: int, blamed: int | None, expected: str) -> None:
    parts = short_stack(with_stack(size, blamed))
    texts = [
        str(part) if isinstance(part, int) else f"{'>' if part[1] else ''}{part[0].function}"
        for part in parts
    ]
    assert " ".join(texts) == expected
    total = sum(part if isinstance(part, int) else 1 for part in parts)
    assert total == size


def test_recursion_marks_the_innermost_frame_only() -> None:
    frame = Frame("again", "/a.py", 3)
    finding = replace(
        report_examples.blocked_loop(),
        stack=(frame,) * 4,
        blames=(Blame("again", "/a.py", 3, 1.0),),
    )
    assert blamed_index(finding) == 3
    report = replace(report_examples.starving(), findings=(finding,))
    assert flat(report).count("> again, /a.py:3") == 1


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0 s"),
        (0.0000004, "under 0.001 ms"),
        (0.000412, "0.412 ms"),
        (0.0612345, "61.2 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (7.6, "7.6 s"),
        (15.25, "15.2 s"),
        (123.4, "123 s"),
        (1234.4, "1234 s"),
        (86400.0, "86400 s"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert words.duration(seconds) == expected


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0.0, "0 %"),
        (0.00001, "under 0.01 %"),
        (0.0312, "3.1 %"),
        (0.0999, "10 %"),
        (0.614, "61 %"),
        (1.0, "100 %"),
        (1.13, "113 %"),
    ],
)
def test_share(fraction: float, expected: str) -> None:
    assert words.share(fraction) == expected


def test_lists_and_plurals() -> None:
    assert [words.join(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert words.plural(1, "worker") == "1 worker"
    assert words.plural(0, "process", "processes") == "0 processes"
    assert words.numbers(range(1, 4)) == "1, 2, 3"
    assert words.numbers(range(1, 21), 3) == "1, 2, 3 and 17 more"


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        (
            Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep"),
            "waits in time.sleep (clock_nanosleep)",
        ),
        (Wait(WaitKind.LOCK, None, "futex"), "waits for a lock (futex)"),
        (Wait(WaitKind.DNS), "waits for name resolution"),
        (Wait(WaitKind.ON_CPU, "json.dumps"), "runs on the CPU in json.dumps"),
        (Wait(WaitKind.GIL, None, "futex"), "wants the GIL (futex)"),
        (Wait(WaitKind.UNKNOWN), "not known"),
    ],
)
def test_wait_words(wait: Wait, expected: str) -> None:
    assert words.wait_words(wait, plain) == expected


def test_every_wait_has_words() -> None:
    assert all(words.wait_words(Wait(kind), plain) for kind in WaitKind)


def test_cost_words_leave_out_what_is_not_known() -> None:
    assert words.cost_words(Cost(0.31, 0.031, 45.0)) == (
        "waitspy used 310 ms CPU, 3.1 % of one core; 45 MB"
    )
    assert words.cost_words(Cost(peak_rss_mb=45.0)) == "waitspy used 45 MB"


def test_a_loss_names_its_process_whatever_the_process_calls_itself() -> None:
    loss = Loss("the whole process (notify pid 4711)", "no right to ptrace", "", 4711)
    report = replace(report_examples.healthy(), losses=(loss,))
    assert words.unseen(report, plain) == [
        ("pid 4711, the whole process (notify pid 4711): no right to ptrace", "")
    ]


def test_a_worker_counts_an_instant_once() -> None:
    finding = report_examples.blocked_loop()
    spans = ((-5.0, 1.0), (0.5, 2.0), (1.2, 1.4), (4.0, 5.0), (9.5, 30.0))
    episodes = tuple(Episode(4711, 4711, START_S + a, START_S + b, ("epoll",)) for a, b in spans)
    other = Episode(4712, 4712, START_S, START_S + 3, ("epoll",))
    finding = replace(finding, episodes=(*episodes, other))
    info = report_examples.recording_info()
    assert worst_share([finding], info) == pytest.approx(0.35)
    assert worst_share([finding, finding], info) == pytest.approx(0.35)
    assert worst_share([], info) is None
    assert worst_share([finding], replace(info, duration_s=0.0)) is None


def test_an_oracle_of_which_nothing_is_told_is_not_ok() -> None:
    told = worker(4710, oracles={"epoll": "ok", "asyncio": "ok"})
    untold = worker(4711, oracles={"epoll": "ok"})
    report = replace(report_examples.healthy(), workers=(told, untold))
    assert not_watched(report) == [(["asyncio"], "it did not run", [4711])]
    silent = replace(report, workers=(worker(4711, oracles={}),))
    assert severity(silent) == "unknown"
    assert "no starvation" not in verdicts.sentence(silent, plain)


def test_what_only_a_python_has_is_not_missed_in_node() -> None:
    told = {"threads": "ok", "epoll": "ok", "backlog": "ok", "requests": "ok"}
    told["libuv"] = told["pools"] = "ok"
    record = worker(4711, oracles=told)
    of_node = replace(record, worker=replace(record.worker, python=None, node="20.20.2"))
    both = replace(report_examples.healthy(), workers=(worker(4712), of_node))
    assert not_watched(both) == []
    assert "could not be watched" not in flat(both)
    assert "every loop was served within 100 ms" in flat(both)
