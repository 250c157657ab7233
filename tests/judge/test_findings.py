"""Findings: episodes grouped by kind and blame, with shares, victims and order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.examples.build import BASE, DISPATCH, HANDLER, PARKED, POLL, sock, stack
from tests.examples.finding_examples import (
    ON_CPU,
    POLLS,
    QUERY,
    QUEUE,
    SLEEP,
    SOCKET,
    START_S,
    Part,
    judge,
    only,
    starvation,
)
from waitspy.judge.blame import C_CALLBACK
from waitspy.judge.episode import Starvation
from waitspy.model.judged import Blame, Episode
from waitspy.model.stacks import Stack
from waitspy.model.waits import Wait, WaitKind

# --- one finding ------------------------------------------------------------------------------------


def test_a_finding_says_all_of_its_episode() -> None:
    finding = only(
        starvation(
            1_000, 1_500, (1_000, 1_500, HANDLER, SLEEP), looks=[(1_100, [sock(1), sock(2)])]
        )
    )
    assert (finding.kind.name, finding.verdict, finding.wait) == ("blocked-loop", "starving", SLEEP)
    source = "time.sleep(backoff_s)"
    assert finding.blames == (Blame("fetch", "/app/client.py", 41, 1.0, source),)
    assert finding.stack == HANDLER
    assert (finding.pids, finding.threads) == ((100,), (100,))
    assert finding.episodes == (
        Episode(100, 100, START_S + 1.0, START_S + 1.5, ("epoll", "threads"), 2, None),
    )
    assert (finding.occurrences, finding.starved_s, finding.longest_s) == (1, 0.5, 0.5)
    assert finding.share == pytest.approx(0.05)
    assert finding.victim_s == pytest.approx(1.0)
    assert finding.remedy == "use await asyncio.sleep(…) instead"


def test_a_latent_finding_starves_nobody() -> None:
    finding = only(starvation(1_000, 1_500, (1_000, 1_500, HANDLER, SLEEP), latent=True))
    assert (finding.kind.name, finding.verdict) == ("blocked-loop", "latent")
    assert (finding.starved_s, finding.victim_s, finding.share) == (0.0, 0.0, 0.0)
    assert (finding.victims, finding.longest_s) == ((), 0.5)
    assert finding.episodes[0].pending_max is None
    assert finding.blames[0].share == 1.0


def test_without_a_guilty_stack_nobody_is_blamed() -> None:
    finding = only(starvation(1_000, 1_500, kind="no-cpu"))
    assert (finding.blames, finding.blame, finding.stack) == ((), None, ())
    assert finding.wait == Wait(WaitKind.UNKNOWN)
    assert finding.starved_s == 0.5
    assert "CPU" in finding.remedy


def test_a_c_function_as_callback_is_named_as_what_it_is() -> None:
    finding = only(starvation(0, 500, (0, 500, DISPATCH, SLEEP)))
    assert finding.blames == (Blame(C_CALLBACK, None, None, 1.0, None),)
    assert finding.stack == DISPATCH


def test_the_loops_own_poll_is_never_blamed() -> None:
    finding = only(starvation(0, 500, (0, 400, POLL, POLLS), (400, 500, HANDLER, SLEEP)))
    assert [b.function for b in finding.blames] == ["fetch"]
    assert finding.blames[0].share == 1.0
    assert finding.stack == HANDLER


def test_the_wait_is_what_was_waited_for_longest_and_not_the_cpu() -> None:
    parts: list[Part] = [
        (0, 300, HANDLER, ON_CPU), (300, 400, HANDLER, SLEEP), (400, 420, HANDLER, SOCKET),
    ]  # fmt: skip
    assert only(starvation(0, 500, *parts)).wait == SLEEP
    assert only(starvation(0, 500, *parts, kind="busy-loop")).wait == ON_CPU
    assert only(starvation(0, 500, (0, 500, HANDLER, ON_CPU))).wait == Wait(WaitKind.UNKNOWN)


def test_blame_without_a_readable_source_has_none() -> None:
    finding = only(starvation(0, 500, (0, 500, QUERY, SOCKET)))
    assert finding.blames == (Blame("query", "/app/db.py", 7, 1.0, None),)


def test_a_recording_without_length_has_no_share() -> None:
    assert only(starvation(0, 500, (0, 500, HANDLER, SLEEP)), duration_s=0.0).share == 0.0


def test_the_guilty_thread_is_told_and_the_loops_in_the_episode() -> None:
    finding = only(
        starvation(0, 500, (0, 500, PARKED, ON_CPU), kind="gil-bound", guilty_tid=177, base=None)
    )
    assert finding.threads == (177,)
    assert finding.episodes[0].tid == 100
    assert finding.wait.kind is WaitKind.ON_CPU


@pytest.mark.parametrize(
    ("base", "word"),
    [
        (stack("Hub.run@site/gevent/hub.py:647"), "gevent"),
        (stack("unrolled_run@site/trio/_core/_run.py:2589"), "trio"),
        (BASE, "asyncio"),
    ],
)
def test_the_remedy_fits_the_loops_library(base: Stack, word: str) -> None:
    finding = only(starvation(0, 500, (0, 500, base + stack("f@/app/x.py:1"), SLEEP), base=base))
    assert word in finding.remedy


# --- shares -----------------------------------------------------------------------------------------


def test_several_stacks_share_the_blame_by_time() -> None:
    finding = only(
        starvation(
            0,
            1_000,
            (0, 650, HANDLER, SLEEP),
            (650, 900, QUERY, SOCKET),
            (900, 1_000, DISPATCH, SLEEP),
        )
    )
    assert [(b.function, b.share) for b in finding.blames] == [
        ("fetch", 0.65), ("query", 0.25), (C_CALLBACK, 0.1),
    ]  # fmt: skip
    assert finding.stack == HANDLER
    assert finding.wait == SLEEP


def test_shares_add_up_to_one_even_where_stacks_are_missing() -> None:
    # Half of the episode was not sampled: shares are of what is known.
    finding = only(starvation(0, 1_000, (0, 300, HANDLER, SLEEP), (800, 1_000, QUERY, SOCKET)))
    assert [b.share for b in finding.blames] == [0.6, 0.4]
    assert finding.starved_s == 1.0


def test_a_share_within_the_error_of_sampling_is_left_out() -> None:
    parts: list[Part] = [(0, 2_970, HANDLER, SLEEP), (2_970, 3_000, QUERY, SOCKET)]
    finding = only(starvation(0, 3_000, *parts))
    assert [(b.function, b.share) for b in finding.blames] == [("fetch", 0.99)]


def test_who_has_the_largest_share_is_told_however_small_it_is() -> None:
    parts: list[Part] = [
        (n, n + 10, DISPATCH + stack(f"step_{n}@/app/steps.py:{n + 1}"), SLEEP)
        for n in range(0, 1_000, 10)
    ]
    finding = only(starvation(0, 1_000, *parts))
    assert len(finding.blames) == 1
    assert finding.blames[0].share == pytest.approx(0.01)


# --- groups -----------------------------------------------------------------------------------------


def test_equal_kind_and_blame_of_all_workers_are_one_finding() -> None:
    finding = only(
        starvation(2_000, 2_300, (2_000, 2_300, HANDLER, SLEEP), pid=102),
        starvation(1_000, 1_500, (1_000, 1_500, HANDLER, SLEEP), pid=101),
        starvation(1_000, 1_200, (1_000, 1_200, HANDLER, SLEEP), pid=100),
    )
    assert (finding.pids, finding.threads) == ((100, 101, 102), (100, 101, 102))
    assert finding.occurrences == 3
    assert finding.starved_s == pytest.approx(1.0)
    assert finding.longest_s == pytest.approx(0.5)
    assert [(e.start_s - START_S, e.pid) for e in finding.episodes] == [
        (1, 100),
        (1, 101),
        (2, 102),
    ]


def test_the_same_place_reached_on_different_ways_is_one_finding() -> None:
    other = DISPATCH + stack("other@/app/views.py:50 > fetch@/app/client.py:41")
    finding = only(
        starvation(0, 200, (0, 200, HANDLER, SLEEP)), starvation(500, 900, (500, 900, other, SLEEP))
    )
    assert finding.stack == other  # the longest-lived one
    assert len(finding.blames) == 1


@pytest.mark.parametrize(
    "other",
    [
        starvation(500, 700, (500, 700, QUERY, SLEEP)),
        starvation(500, 700, (500, 700, HANDLER, SLEEP), kind="parked-loop"),
        starvation(500, 700, (500, 700, HANDLER, SLEEP), latent=True),
        starvation(500, 700, (500, 700, DISPATCH + stack("handle@/app/views.py:21 > fetch@/app/client.py:43"), SLEEP)),
        starvation(500, 700),
    ],
    ids=["blame", "kind", "verdict", "line", "no blame"],
)  # fmt: skip
def test_what_differs_is_another_finding(other: Starvation) -> None:
    assert len(judge(starvation(0, 200, (0, 200, HANDLER, SLEEP)), other)) == 2


def test_the_frame_with_the_most_time_of_an_episode_decides_its_group() -> None:
    first = starvation(0, 1_000, (0, 700, HANDLER, SLEEP), (700, 1_000, QUERY, SOCKET))
    second = starvation(2_000, 3_000, (2_000, 2_900, HANDLER, SLEEP), (2_900, 3_000, QUERY, SOCKET))
    finding = only(first, second)
    assert [(b.function, b.share) for b in finding.blames] == [("fetch", 0.8), ("query", 0.2)]


# --- order ------------------------------------------------------------------------------------------


def test_most_victim_seconds_come_first() -> None:
    long = starvation(0, 1_000, (0, 1_000, HANDLER, SLEEP))
    crowded = starvation(
        2_000, 2_400, (2_000, 2_400, QUERY, SOCKET), looks=[(2_100, [sock(n) for n in range(1, 6)])]
    )
    latent = starvation(4_000, 9_000, (4_000, 9_000, PARKED, QUEUE), latent=True)
    found = judge(latent, long, crowded)
    assert [f.blames[0].function for f in found] == ["query", "fetch", "Worker.next_message"]
    assert [f.victim_s for f in found] == [pytest.approx(2.0), pytest.approx(1.0), 0.0]


def test_equal_victim_seconds_are_ordered_by_starved_seconds() -> None:
    two = starvation(0, 500, (0, 500, HANDLER, SLEEP), looks=[(0, [sock(1), sock(2)])])
    one = starvation(2_000, 3_000, (2_000, 3_000, QUERY, SOCKET), looks=[(2_000, [sock(3)])])
    assert [f.starved_s for f in judge(two, one)] == [1.0, 0.5]


def test_the_order_does_not_depend_on_the_order_of_the_episodes() -> None:
    some = [
        starvation(0, 300, (0, 300, HANDLER, SLEEP), pid=pid, kind=kind)
        for pid in (100, 101)
        for kind in ("blocked-loop", "parked-loop", "busy-loop")
    ]
    assert judge(*some) == judge(*reversed(some))


def test_nothing_starved_is_no_finding() -> None:
    assert judge() == ()


# --- victims ----------------------------------------------------------------------------------------


def victims(*found: Starvation) -> list[tuple[str, str, int, float]]:
    return [(v.kind, v.name, v.count, round(v.waited_s, 6)) for v in only(*found).victims]


def test_each_look_holds_until_the_next_one() -> None:
    looks = [(1_100, [sock(1)]), (1_300, [sock(1), sock(2)]), (1_500, [sock(2)])]
    # 1: 1000 (from the start) to 1500; 2: 1300 to 2000.
    held: Part = (1_000, 2_000, HANDLER, SLEEP)
    assert victims(starvation(1_000, 2_000, held, looks=looks)) == [
        ("io", "requests on port 8000", 2, 1.2)
    ]


def test_without_a_look_the_epoll_itself_waits() -> None:
    assert victims(starvation(1_000, 1_500, (1_000, 1_500, HANDLER, SLEEP))) == [
        ("io", "ready I/O on epoll descriptor 5", 1, 0.5)
    ]


def test_an_empty_look_says_nothing() -> None:
    found = starvation(1_000, 1_500, (1_000, 1_500, HANDLER, SLEEP), looks=[(1_200, [])])
    assert victims(found) == [("io", "ready I/O on epoll descriptor 5", 1, 0.5)]


def test_victims_are_named_by_what_they_are() -> None:
    sockets = [
        sock(1, 3, kind="listener", local="0.0.0.0:8000", peer="0.0.0.0:0"),
        sock(2), sock(3, 0, kind="eof"),
        sock(4, inbound=False, peer="10.0.0.9:5432"),
        sock(5, 0, kind="eof", inbound=False, peer="10.0.0.9:6379"),
    ]  # fmt: skip
    found = starvation(0, 500, (0, 500, HANDLER, SLEEP), looks=[(100, sockets)])
    assert victims(found) == [
        ("connection", "connections to accept on 0.0.0.0:8000", 3, 1.5),
        ("io", "closed connections on port 8000", 1, 0.5),
        ("io", "end of the connection to 10.0.0.9:6379", 1, 0.5),
        ("io", "requests on port 8000", 1, 0.5),
        ("io", "unread data from 10.0.0.9:5432", 1, 0.5),
    ]


def test_connections_of_different_clients_are_one_kind_of_victim() -> None:
    sockets = [sock(n, peer=f"10.0.0.{n}:5{n}000") for n in range(1, 5)]
    found = starvation(0, 500, (0, 500, HANDLER, SLEEP), looks=[(100, sockets)])
    assert victims(found) == [("io", "requests on port 8000", 4, 2.0)]


def test_victims_of_several_episodes_add_up() -> None:
    some = [
        starvation(n, n + 500, (n, n + 500, HANDLER, SLEEP), looks=[(n + 100, [sock(n + 1)])])
        for n in (0, 2_000, 4_000)
    ]
    assert victims(*some) == [("io", "requests on port 8000", 3, 1.5)]


def test_the_accept_queue_that_workers_share_is_counted_once() -> None:
    listener = sock(1, 4, kind="listener")
    some = [
        starvation(0, 500, (0, 500, HANDLER, SLEEP), pid=pid, looks=[(100, [listener])])
        for pid in (100, 101, 102)
    ]
    finding = only(*some)
    assert [v.count for v in finding.victims] == [4]
    assert finding.victim_s == pytest.approx(2.0)


def test_of_a_shared_accept_queue_the_most_that_anyone_saw_counts() -> None:
    # 4 connections all the time, 6 of them between 200 and 400 ms: (4 * 0.3 + 6 * 0.2) s.
    held: list[Part] = [(0, 500, HANDLER, SLEEP)]
    some = [
        starvation(0, 500, *held, looks=[(0, [sock(1, 4, kind="listener")])]),
        starvation(200, 400, *held, pid=101, looks=[(200, [sock(1, 6, kind="listener")])]),
    ]
    for order in (some, some[::-1]):
        assert victims(*order) == [
            ("connection", "connections to accept on 127.0.0.1:8000", 6, 2.4)
        ]


def test_one_socket_that_waits_twice_is_two_victims() -> None:
    some = [
        starvation(n, n + 500, (n, n + 500, HANDLER, SLEEP), looks=[(n, [sock(1)])])
        for n in (0, 2_000)
    ]
    assert victims(*some) == [("io", "requests on port 8000", 2, 1.0)]


def test_victim_seconds_are_the_sum_over_the_victims() -> None:
    sockets = [sock(1), sock(2, 2, kind="listener")]
    finding = only(starvation(0, 500, (0, 500, HANDLER, SLEEP), looks=[(100, sockets)]))
    assert finding.victim_s == pytest.approx(sum(v.waited_s for v in finding.victims))
    assert finding.victim_s == pytest.approx(1.5)


@pytest.mark.parametrize("kind", ["gil-bound", "gc-pause"])
def test_a_stall_whose_gil_holder_was_not_seen_goes_with_those_where_it_was(kind: str) -> None:
    seen = starvation(0, 500, (0, 500, PARKED, ON_CPU), kind=kind, base=None)
    unseen = replace(starvation(900, 1_200, kind=kind, base=None), held_by={})
    finding = only(seen, unseen)
    assert finding.occurrences == 2
    assert [b.share for b in finding.blames] == [1.0]
    other = replace(unseen, tid=101)
    assert len(judge(seen, other)) == 2
