"""What a finding is told with: parts added up, the order, and what its remedy follows."""

from __future__ import annotations

from dataclasses import replace

from tests.examples.build import DISPATCH, HANDLER, stack
from tests.examples.finding_examples import QUERY, SLEEP, SOCKET, Part, judge, only, starvation
from waitspy.judge import findings
from waitspy.judge.blame import C_CALLBACK
from waitspy.model.pools import PoolKind
from waitspy.model.waits import Wait, WaitKind


def test_the_time_of_a_frame_is_the_sum_of_its_parts() -> None:
    parts: list[Part] = [
        (0, 100, HANDLER, SLEEP), (100, 250, QUERY, SOCKET), (250, 350, HANDLER, SLEEP),
    ]  # fmt: skip
    finding = only(starvation(0, 350, *parts))
    assert [b.function for b in finding.blames] == ["fetch", "query"]
    assert [round(b.share, 3) for b in finding.blames] == [0.571, 0.429]
    assert (finding.stack, finding.wait) == (HANDLER, SLEEP)


def test_a_c_function_is_told_beside_the_frames_that_are_known() -> None:
    finding = only(starvation(0, 500, (0, 300, DISPATCH, SLEEP), (300, 500, HANDLER, SLEEP)))
    assert [b.function for b in finding.blames] == [C_CALLBACK, "fetch"]


def test_what_is_below_the_base_is_not_blamed() -> None:
    base = stack("<module>@/app/main.py:90 > run@/app/main.py:70")
    name = base + stack("getaddrinfo@lib/socket.py:975")
    finding = only(starvation(0, 500, (0, 500, name, SLEEP), base=base))
    assert [b.function for b in finding.blames] == ["getaddrinfo"]


def test_detail_and_count_come_from_the_episode_and_the_remedy_follows_them() -> None:
    one = starvation(0, 500, (0, 500, HANDLER, SLEEP), kind="exhausted-pool")
    detail = "the default executor: all 2 threads"
    default = PoolKind.DEFAULT_EXECUTOR
    finding = only(replace(one, detail=detail, served=3, pool=default))
    assert finding.detail == detail
    assert [e.served for e in finding.episodes] == [3]
    assert "set_default_executor" in finding.remedy
    assert only(one).remedy != finding.remedy


def test_the_remedy_follows_the_line_the_library_and_the_packages_below() -> None:
    reads = Wait(WaitKind.SOCKET, None, "recvfrom")
    (plain,) = judge(starvation(0, 500, (0, 500, HANDLER, reads)))
    assert "asyncio streams" in plain.remedy
    lines = {"/app/client.py": {41: "  requests.get(url)"}}
    (by_line,) = findings.judge([starvation(0, 500, (0, 500, HANDLER, reads))], lines, 10)
    assert "httpx" in by_line.remedy
    driver = HANDLER + stack("wait@site/psycopg/waiting.py:70")
    (by_package,) = judge(starvation(0, 500, (0, 500, driver, reads)))
    assert "psycopg's" in by_package.remedy
    # A package that only runs the loop is not what the callback calls.
    base = stack("run@site/psycopg/server.py:5")
    (below,) = judge(starvation(0, 500, (0, 500, (*base, *HANDLER), reads), base=base))
    assert "asyncio streams" in below.remedy
    hub = stack("Hub.run@site/gevent/hub.py:647")
    (greenlet,) = judge(starvation(0, 500, (0, 500, HANDLER[-2:], reads), base=hub))
    assert "monkey-patch" in greenlet.remedy


def test_findings_of_equal_harm_are_told_the_longest_wait_first() -> None:
    two = [
        starvation(0, 300, (0, 300, QUERY, SOCKET)),
        starvation(400, 700, (400, 700, QUERY, SOCKET)),
    ]
    found = judge(*two, starvation(1_000, 1_600, (1_000, 1_600, HANDLER, SLEEP)))
    assert [f.longest_s for f in found] == [0.6, 0.3]


def test_shares_are_of_the_recordings_length_however_short() -> None:
    assert only(starvation(0, 250, (0, 250, HANDLER, SLEEP)), duration_s=0.5).share == 0.5
    assert only(starvation(0, 250, (0, 250, HANDLER, SLEEP)), duration_s=0.0).share == 0.0


def test_the_least_share_that_is_told() -> None:
    at_least: list[Part] = [(0, 490, HANDLER, SLEEP), (490, 500, QUERY, SLEEP)]
    assert len(only(starvation(0, 500, *at_least)).blames) == 2
    less: list[Part] = [(0, 491, HANDLER, SLEEP), (491, 500, QUERY, SLEEP)]
    assert len(only(starvation(0, 500, *less)).blames) == 1


def test_asyncio_is_advised_only_where_it_is_seen() -> None:
    own = stack("<module>@/app/main.py:90 > serve@/app/main.py:70")
    shown = (*own, *stack("answer@/app/main.py:20"))
    one = starvation(0, 500, (0, 500, shown, SLEEP), base=own)
    assert "asyncio" not in only(one).remedy
    assert "asyncio.sleep" in only(replace(one, asyncio=True)).remedy
    reactor = stack("<module>@/app/main.py:9 > mainLoop@site/twisted/internet/base.py:710")
    twisted = starvation(0, 500, (0, 500, reactor + shown[-1:], SOCKET), base=reactor)
    assert "deferToThread" in only(twisted).remedy


def test_the_remedy_follows_the_frames_that_are_blamed() -> None:
    exports = HANDLER + stack(
        "SimpleSpanProcessor.on_end@site/opentelemetry/sdk/trace/export/__init__.py:119"
        " > post@site/requests/api.py:115"
    )
    assert "BatchSpanProcessor" in only(starvation(0, 500, (0, 500, exports, SOCKET))).remedy
