"""What is hidden of an analysis, what stays, and how single texts, paths and lines are rewritten."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from io import BytesIO, TextIOWrapper
from typing import Any

import pytest

from tests.examples import page_examples, private_examples, report_examples
from tests.examples.private_examples import COMMAND, OWN, SECRETS, SITE, opened, private
from waitspy.judge import analysis
from waitspy.judge.private_text import Privacy
from waitspy.judge.redaction import redacted
from waitspy.model.code_origin import Home, Origin
from waitspy.model.judged import Analysis, Blame, Finding, Lending, LentTo, Link, Spot, Victim
from waitspy.model.stacks import Frame, placed
from waitspy.model.waits import Wait, WaitKind
from waitspy.render import FLAMEGRAPHS, REPORTS

FORMATS = (*REPORTS, *FLAMEGRAPHS)
UNTITLED = {"collapsed", "pprof", "perfetto"}
"""Formats that have no place for words of their own."""


def written(judged: Analysis, format_: str) -> str:
    stream = TextIOWrapper(BytesIO(), "utf-8", newline="")
    if format_ in REPORTS:
        REPORTS[format_]().render(judged, stream)
    else:
        graph = FLAMEGRAPHS[format_]("wall")
        profile = analysis.profile(judged, lines=True)
        graph.render(profile, stream.buffer if graph.binary else stream)
    stream.flush()
    assert isinstance(stream.buffer, BytesIO)
    return opened(stream.buffer.getvalue())


# --- formats ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
def test_no_format_tells_a_secret(format_: str) -> None:
    plain = written(private(), format_)
    assert [secret for secret in SECRETS if secret in plain], "it would tell none anyway"
    text = written(redacted(private()), format_)
    assert [secret for secret in SECRETS if secret in text] == []
    assert "retry" in text


def test_each_secret_is_told_somewhere_when_it_is_not_hidden() -> None:
    texts = "\n".join(written(private(), format_) for format_ in FORMATS)
    assert [secret for secret in SECRETS if secret not in texts] == []


@pytest.mark.parametrize("format_", [name for name in FORMATS if name not in UNTITLED])
def test_a_redacted_file_says_so(format_: str) -> None:
    assert "redacted" in written(redacted(private()), format_).lower()
    assert "redacted:" not in written(private(), format_)


@pytest.mark.parametrize("name", report_examples.EXAMPLES)
def test_every_report_can_be_redacted(name: str) -> None:
    judged = Analysis(report_examples.EXAMPLES[name]())
    for format_ in REPORTS:
        assert written(redacted(judged), format_)


# --- values -----------------------------------------------------------------------------------------


def test_numbers_stay_and_so_does_the_place_in_the_program() -> None:
    before, after = private(), redacted(private())
    old, new = before.report.findings[0], after.report.findings[0]
    assert (new.starved_s, new.victim_s, new.pids) == (old.starved_s, old.victim_s, old.pids)
    assert [frame.file for frame in new.stack] == [
        "site-packages/uvicorn/main.py",
        "lib/python3.12/asyncio/base_events.py",
        "project/shop/cart.py",
        "project/lib/http.py",
    ]
    assert [blame.file for blame in new.blames] == ["project/lib/http.py"]
    assert [blame.source for blame in new.blames] == ['    time.sleep(wait("..."))']
    assert after.report.sources == {"project/lib/http.py": {7: '    time.sleep(wait("..."))'}}
    assert [victim.name for victim in new.victims] == [
        "unread data from address-1:5432",
        "unread data from [address-2]:5432",
        "connections to accept on (hidden)",
        "mail (hidden)",
    ]
    assert new.victims[3].where == "project/shop/mail.py:9"


def told(value: object, at: str = "") -> Iterator[tuple[str, object]]:
    """Every number and text in a value, each with the way to it."""
    if isinstance(value, Mapping):
        value = tuple(value.items())
    if isinstance(value, Frame):
        yield from ((f"{at}.function", value.function), (f"{at}.line", value.line))
    elif is_dataclass(value):
        for field in fields(value):
            yield from told(getattr(value, field.name), f"{at}.{field.name}")
    elif isinstance(value, tuple):
        yield f"{at} length", len(value)
        for n, one in enumerate(value):
            yield from told(one, f"{at}[{n}]")
    else:
        yield at, value


def test_nothing_but_texts_is_changed_and_nothing_lost() -> None:
    left_out = {"recording", "sources", "states", "runtime_span", *private_examples.RAW_ROWS}
    before, after = private().report, redacted(private()).report
    told_after = dict(told(after))
    for at, old in told(before):
        way = set(re.findall(r"\w+", at))
        if way & left_out:
            continue
        new = told_after[at]
        if isinstance(old, str) or at.endswith(".source"):  # a blame's is looked up
            assert isinstance(new, str), at
        else:
            assert new == old, at


def test_what_a_chain_a_pool_and_a_listener_are_called_is_hidden() -> None:
    report = redacted(private()).report
    (finding, _) = report.findings
    first, second, third = finding.chain
    assert first.at is not None
    assert (first.at.file, first.at.source) == ("project/shop/pay.py", '    with pay("..."):')
    assert second.taken == first.at == third.at
    assert (first.thread, second.task, third.program) == (
        "for (hidden)",
        "mail (hidden)",
        "(hidden)",
    )
    assert finding.lending is not None
    assert finding.lending.pool == "QueuePool of address-3:5432"
    assert [one.at for one in finding.lending.to] == [first.at, None]
    assert [one.listener for one in report.waiting.unaccepted] == ["(hidden)"]
    assert [one.socket for one in report.waiting.unread] == ["(hidden)"]
    (told,) = report.waiting.messages
    assert told.peer.endswith(":6379")
    assert report.waiting.places is not None
    assert told.reader == replace(report.waiting.places[0], unsent=None)
    assert {link.wait.call for link in finding.chain} == {"conn.of((hidden)@address-3)"}
    assert {one.wait.call for one in finding.lending.to} == {"conn.of((hidden)@address-3)"}


def test_where_tasks_wait_stays_without_what_is_private() -> None:
    (place,) = redacted(private()).report.waiting.places or ()
    assert (place.function, place.awaits) == ("mail (hidden)", "the lock of (hidden)")
    assert (place.file, place.source) == ("project/shop/mail.py", '    await lock["..."]')
    (pending,) = redacted(private()).pending
    assert re.fullmatch(r"connections to address-\d:8000", pending.name)


def changed(**more: Any) -> Finding:
    """The first finding, redacted after that was changed in it."""
    judged = private()
    first, *others = judged.report.findings
    report = replace(judged.report, findings=(replace(first, **more), *others))
    return redacted(replace(judged, report=report)).report.findings[0]


def test_the_files_of_all_that_is_told_are_the_programs() -> None:
    spot, wait = Spot("f", "/srv/payer/y.py", 1), Wait(WaitKind.SLEEP, "of aloysia")
    new = changed(
        wait=wait,
        chain=(Link(1, 1, "", spot, wait, taken=replace(spot, file="/srv/taker/z.py")),),
        lending=Lending(
            "P", 1, 1, 1, (LentTo("task", Spot("f", "/opt/l/z.py", 1), 1, "with", wait),)
        ),
        victims=(Victim("timer", "f", "/opt/mailer/x.py:9", 1, 1.0),),
    )
    assert new.wait.call == "of (hidden)"
    assert new.lending is not None
    (link,) = new.chain
    (lent,) = new.lending.to
    assert link.at is not None
    assert link.taken is not None
    assert lent.at is not None
    shown = [link.at.file, link.taken.file, lent.at.file, new.victims[0].where]
    assert all(one is not None and one.startswith("project") for one in shown), shown


def test_where_a_file_is_said_to_be_is_hidden_as_well() -> None:
    package = placed(Frame("f", "/odd/x.py", 1), Home(Origin.PACKAGE, "odd", "for aloysia/x.py"))
    own = placed(Frame("g", f"{SITE}/own.py", 2), Home(Origin.USER, None, f"{SITE}/own.py"))
    new = changed(stack=(package, own)).stack
    assert [frame.home.short for frame in new] == ["for (hidden)/x.py", "site-packages/own.py"]


def test_what_has_no_file_or_source_gets_none() -> None:
    nowhere = Spot("len", None, None)
    new = changed(
        chain=(Link(1, 1, "", nowhere, Wait(WaitKind.UNKNOWN)),),
        lending=None,
        blames=(
            Blame("len", None, None, 0.5),
            Blame("retry", f"{OWN}/lib/http.py", 7, 0.5, source="get('sesame')"),
        ),
    )
    assert (new.chain[0].at, new.lending) == (nowhere, None)
    assert [blame.source for blame in new.blames] == [None, 'get("...")']


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ("3.12.1", "3.12.1"),
        ("3.14.0rc1+", "3.14.0rc1+"),
        ("3.12 of aloysia", "(hidden)"),
        (None,) * 2,
    ],
)
def test_what_is_told_of_a_process(version: str | None, shown: str | None) -> None:
    judged = private()
    (record,) = judged.report.workers
    record = replace(record, worker=replace(record.worker, python=version, node=version))
    report = replace(judged.report, workers=(record,))
    worker = redacted(replace(judged, report=report)).report.workers[0].worker
    assert (worker.python, worker.node) == (shown, shown)
    assert (worker.framework, worker.why_not) == ("shop of (hidden)", "it runs as (hidden)")
    assert worker.remedy == "sudo -u (hidden) waitspy"


def test_a_plain_target_stays() -> None:
    judged = Analysis(report_examples.starving())
    info = redacted(judged).report.recording
    assert (info.target, info.host, info.redacted) == (":8000", "(hidden)", True)
    assert redacted(private()).report.recording.target == "(hidden)"


@pytest.mark.parametrize(
    ("target", "shown"), [(":8000", "on :8000"), ("shop-77", "on :8000"), ("on :8000", "(hidden)")]
)
def test_a_target_that_is_no_port_is_hidden_wherever_it_is_told(target: str, shown: str) -> None:
    judged = private()
    finding = replace(judged.report.findings[0], detail="on :8000")
    recording = replace(judged.report.recording, target=target)
    report = replace(judged.report, recording=recording, findings=(finding,))
    assert redacted(replace(judged, report=report)).report.findings[0].detail == shown


def test_what_a_process_was_judged_by_goes() -> None:
    for record in redacted(private()).report.workers:
        assert not any(private_examples.raw_rows(record))
        assert record.worker.command == "(hidden)"


def test_the_merged_stacks_weigh_the_same() -> None:
    before = page_examples.server()
    after = redacted(before)
    assert page_examples.merged_sums(after).keys() == {one.stack for one in after.profile.merged}
    for weight in ("wall_s", "starved_s", "victim_s"):
        sums = [sum(getattr(s, weight) for s in one.profile.merged) for one in (before, after)]
        assert sums[0] == pytest.approx(sums[1])
    times = [
        [(a.start_ns, a.end_ns, a.wait.kind) for a in thread.activities]
        for thread in before.threads
    ]
    assert times == [
        [(a.start_ns, a.end_ns, a.wait.kind) for a in thread.activities] for thread in after.threads
    ]


def test_redacting_twice_changes_nothing_more() -> None:
    once = redacted(page_examples.server())
    assert redacted(once) == once


# --- texts ------------------------------------------------------------------------------------------


def privacy(*files: str, commands: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> Privacy:
    return Privacy(files, commands, names)


@pytest.mark.parametrize(
    ("files", "short"),
    [
        (["/srv/app/main.py"], ["project/main.py"]),
        (["/main.py"], ["project/main.py"]),
        (["/srv/app/a/x.py", "/srv/app/b/y.py"], ["project/a/x.py", "project/b/y.py"]),
        (["/home/bob/x/a.py", "/home/bob/x/b.py", "/home/bob/y/c.py"],
         ["project/a.py", "project/b.py", "project-2/c.py"]),
        (["/usr/local/bin/gunicorn", "/usr/src/app/m.py"], ["bin/gunicorn", "project/m.py"]),
        (["/opt/site-packages/fastapi/routing.py"], ["site-packages/fastapi/routing.py"]),
        (["/opt/dist-packages/x.py", "/usr/lib64/python3.12/ssl.py", "/z/python312.zip/a.py"],
         ["dist-packages/x.py", "lib64/python3.12/ssl.py", "python312.zip/a.py"]),
        (["/main.py", "/usr/bin/x", "/jobs/a/x.py"], ["project/main.py", "bin/x", "project-2/x.py"]),
        (["/home/bob/x/a/b/a.py", "/home/bob/x/c/b.py"], ["project/a/b/a.py", "project/c/b.py"]),
        (["<string>", "<frozen posixpath>", "app/x.py", "../bob/x.py", "~bob/x.py", ""],
         ["<string>", "<frozen posixpath>", "app/x.py", "x.py", "x.py", ""]),
        (["<template /home/bob/x.html>"], ["<template (hidden)>"]),
    ],
)  # fmt: skip
def test_paths(files: list[str], short: list[str]) -> None:
    own = privacy(*files)
    assert [own.path(file) for file in files] == short


def test_a_path_that_is_not_the_programs_is_hidden() -> None:
    own = privacy("/srv/app/main.py")
    assert own.path("/etc/vault/x.conf") == "(hidden)"
    assert own.path("/srv/application/x.py") == "(hidden)/x.py"
    assert privacy("/main.py").path("/jobs/x.py") == "project/jobs/x.py", "the root is its folder"


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("/srv/app/lib/x.py:7", "project/lib/x.py:7"),
        ("/srv/app/lib/x.py", "project/lib/x.py"),
        ("/etc/vault/x.py:7", "(hidden)/x.py:7"),
        ("/etc/vault/bob", "(hidden)"),
        ("/etc/vault/bob:x", "(hidden)"),
        ("/etc/b:o/x.py:7", "(hidden)/x.py:7"),
    ],
)
def test_a_place_is_a_path_and_a_line(where: str, shown: str) -> None:
    assert privacy("/srv/app/main.py").place(where) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("127.0.0.1:8000", "127.0.0.1:8000"),
        ("10.0.0.7:80", "address-1:80"),
        ("/run/a b", "(hidden)"),
        ("@a b", "(hidden)"),
    ],
)
def test_listeners(name: str, shown: str) -> None:
    assert privacy().listener(name) == shown


def test_the_project_of_most_files_comes_first() -> None:
    own = privacy("/a/lone/x.py", "/srv/app/a.py", "/srv/app/b/b.py")
    assert own.path("/srv/app/a.py") == "project/a.py"
    assert own.path("/a/lone/x.py") == "project-2/x.py"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Task-7", "Task-7"),
        ("await asyncio.sleep(...) instead, or asyncio.to_thread(...)",) * 2,
        ("kernel.yama.ptrace_scope=0 in /proc/sys/kernel/yama/ptrace_scope",) * 2,
        ("ready I/O on epoll descriptor 5", "ready I/O on epoll descriptor 5"),
        ("Heartbeat.tick client.py:41 12:34:56",) * 2,
        ("spurious timeout of read (a reply is already there)",) * 2,
        ("from 127.0.0.1:80, [::1]:80 and 0.0.0.0:80",) * 2,
        ("10.0.0.7:1 and 10.0.0.9:2 and 10.0.0.7:3", "address-1:1 and address-2:2 and address-1:3"),
        ("[::ffff:10.0.0.7]:80 fe80::1%eth0", "[address-1]:80 address-2"),
        ("db-1.acme.io:5432 cache.internal", "address-1:5432 address-2"),
        ("GET https://bob:pw@acme.example/?token=1 now", "GET (hidden) now"),
        ("it runs as user 1000, waitspy as user 0", "it runs as user (hidden), waitspy as user (hidden)"),
        ("DSN='a b' LEVEL=3 x", "DSN=(hidden) LEVEL=(hidden) x"),
        ('password: abc api-key = "d e"', "password: (hidden) api-key = (hidden)"),
        ("cannot open /etc/app/secret.conf: denied", "cannot open (hidden): denied"),
        ("see /usr/lib/python3.12/ssl.py.", "see lib/python3.12/ssl.py."),
        ("cannot read /proc/7/stat.", "cannot read /proc/7/stat."),
        ("cannot read /etc/app/secret.", "cannot read (hidden)."),
        ("fe80::1: refused by 2001:db8::", "address-1: refused by address-2"),
        ("2001:db8::9%eth0 ::", "address-1 ::"),
        ("~bob/x ~/y a/b", "(hidden) (hidden) a/b"),
        ("connections to accept on /run/two\nlines s.sock", "connections to accept on (hidden)"),
    ],
)  # fmt: skip
def test_texts(text: str, shown: str) -> None:
    assert privacy().text(text) == shown


@pytest.mark.parametrize(
    "part", ["a-", "a.", "a@", "a:", "'", '"', "/", "~a", "A=", "1.", "(hidden)/x "]
)
def test_long_texts_take_no_long_time(part: str) -> None:
    own = privacy("/srv/app/main.py")
    text = part * 50_000  # minutes, if each place of it were tried anew to its end
    assert own.text(text)
    assert own.source(text) is None or own.source(text)


def test_what_is_known_to_be_private_is_found_in_texts() -> None:
    own = privacy(
        "/srv/my app/main.py",
        commands=("/home/bob/x/python -m shop --key abc-123-xyz",),
        names=("web-1",),
    )
    assert own.text("for bob on web-1, not bobsled: abc-123-xyz") == (
        "for (hidden) on (hidden), not bobsled: (hidden)"
    )
    assert own.text("in /srv/my app/main.py") == "in project/main.py"


@pytest.mark.parametrize(
    ("command", "text", "shown"),
    [
        ("x --key=abc-12=3", "with abc-12=3 and --key=abc-12=3", "with (hidden) and (hidden)"),
        ("x --port abcdef1", "to abcdef1", "to (hidden)"),
        ("x -w abcd1", "to abcd1", "to abcd1"),
        ("x -w abcde1", "to abcde1", "to (hidden)"),
        ("x --workers gunicorn.app", "workers of gunicorn.app", "workers of gunicorn.app"),
    ],
)
def test_what_of_a_command_is_private(command: str, text: str, shown: str) -> None:
    assert privacy(commands=(command,)).text(text) == shown


def test_names_that_are_half_of_all_words_stay() -> None:
    assert privacy(names=("localhost", "db")).text("a db on localhost") == "a db on localhost"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("    time.sleep(1)  # for bob", "    time.sleep(1)"),
        ("get('a', \"b'c\")", 'get("...", "...")'),
        (r"get('a\'b', x)", 'get("...", x)'),
        ("get(f'{d['key']} s', x)", 'get(f"...", x)'),
        ("get('#')  # don't", 'get("...")'),
        ('x = """secret', None),
        ('secret""", "x")', None),
        ("x = '''secret", None),
        ('secret """ + name + """ secret', None),
        ("secret ''' + name + ''' secret", None),
        ("get({'a': '{b}'}['c'], x)", 'get({"...": "..."}["..."], x)'),
        ("get(1)  # for 'bob'", "get(1)"),
        ("end of a text', x)", None),
        ("print('a' \"open", None),
    ],
)
def test_source_lines(line: str, shown: str | None) -> None:
    assert privacy().source(line) == shown


def test_the_command_of_the_example_is_of_the_kind_that_is_hidden() -> None:
    assert SITE.startswith(OWN)
    assert privacy(commands=(COMMAND,)).text(f"({COMMAND})") == "((hidden))"
