"""The pure half in one call: a recording in, a report and weighted activities out."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples.build import (
    GIL_WORD,
    HANDLER,
    HEAP_WORD,
    PARKED,
    POLL,
    SOURCES,
    Shown,
    at,
    closed,
    collected,
    dump,
    opened,
    ready,
    recording,
    segment,
    sock,
    stack,
    states,
    unread,
    worker,
)
from tests.examples.loop_examples import HOLDER, POOL, blocked
from waitspy.judge.analysis import analyse, profile
from waitspy.model.judged import Coverage
from waitspy.model.listeners import ListenerEvent
from waitspy.model.loops import LoopEvent, LoopEvents, LoopInfo
from waitspy.model.pools import PoolEvent, PoolInfo
from waitspy.model.recorded import Cost, Loss, Recording, WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.waits import Wait, WaitKind
from waitspy.render.reports.json_report import report_object, schema

END = 10_000
NAP = "clock_nanosleep"


# --- the report -------------------------------------------------------------------------------------


def test_a_blocked_loop_is_found_named_and_weighed() -> None:
    analysis = analyse(recording(blocked()))
    (finding,) = analysis.report.findings
    assert (finding.kind.name, finding.verdict) == ("blocked-loop", "starving")
    assert finding.blame is not None
    assert (finding.blame.function, finding.blame.source) == ("fetch", "time.sleep(backoff_s)")
    assert finding.wait == Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")
    assert (finding.starved_s, finding.occurrences) == (0.5, 1)


def test_a_loop_whose_thread_has_no_stack_is_judged_by_what_the_kernel_says_of_it() -> None:
    """Other threads have stacks, but there was no time for the one that matters."""
    known = blocked()
    alone = replace(
        known,
        segments=tuple(
            replace(s, threads=tuple(t for t in s.threads if t.tid != 100)) for s in known.segments
        ),
    )
    assert alone.segments[0].threads
    assert analyse(recording(alone)).report.findings == ()
    told = LoopEvent(at(0), 77, facts=LoopInfo("asyncio", 5, 100, "running", closed=False))
    proven = replace(alone, loops=LoopEvents.of([told]))
    (finding,) = analyse(recording(proven)).report.findings
    assert (finding.kind.name, finding.verdict) == ("blocked-loop", "starving")
    assert (finding.blame, finding.starved_s) == (None, 0.5)
    assert finding.wait == Wait(WaitKind.SLEEP, None, "clock_nanosleep")


def test_the_same_block_in_all_workers_is_one_finding() -> None:
    some = [blocked(pid, share, 1_000 + 500 * share) for share, pid in enumerate((100, 200, 300))]
    (finding,) = analyse(recording(*some)).report.findings
    assert (finding.pids, finding.occurrences) == ((100, 200, 300), 3)
    assert finding.starved_s == 1.5


def test_a_profile_is_of_all_workers_or_of_one() -> None:
    some = [blocked(pid, share, 1_000 + 500 * share) for share, pid in enumerate((100, 200, 300))]
    judged = analyse(recording(*some))
    whole, one = profile(judged), profile(judged, pid=200)
    assert whole.findings == judged.report.findings
    assert whole.pending == judged.pending
    assert [w.pid for w in whole.workers] == [100, 200, 300]
    assert whole.started_at == judged.report.recording.started_at
    (finding,) = one.findings
    assert {episode.pid for episode in finding.episodes} == {200}
    assert {series.pid for series in one.pending} == {200}
    assert {thread.pid for thread in one.threads} == {200}
    assert [w.pid for w in one.workers] == [200]
    assert profile(judged, pid=400).findings == ()


def test_an_analysis_has_its_profile_and_the_names_of_its_threads() -> None:
    judged = analyse(recording(blocked()))
    assert judged.profile == profile(judged)
    assert judged.profile is not None
    assert judged.profile.title == "100 on web-1, 2026-01-02 03:04:05 UTC"
    assert (judged.profile.start_ns, judged.profile.end_ns) == (at(0), at(END))
    assert {one.name for one in judged.threads} == {f"thread-{one.tid}" for one in judged.threads}


def test_a_profile_can_keep_lines_apart() -> None:
    judged = analyse(recording(blocked()))
    assert {frame.line for one in profile(judged).merged for frame in one.stack} == {None}
    assert 41 in {f.line for one in profile(judged, lines=True).merged for f in one.stack}


def test_a_healthy_recording_has_no_finding() -> None:
    idle = worker(
        shown={100: [(0, END, POLL)], 150: [(0, END, POOL)]},
        kernel={100: states((0, "epoll_wait 5")), 150: states((0, f"futex {HEAP_WORD}"))},
        epolls=[opened(0, 5, 1)],
    )
    analysis = analyse(recording(idle))
    assert analysis.report.findings == ()
    assert {a.wait.kind for t in analysis.threads for a in t.activities} == {
        WaitKind.LOOP_POLL,
        WaitKind.POOL_IDLE,
    }


def test_the_report_counts_what_could_have_starved() -> None:
    info = PoolInfo("executor", None, None, 1, (1,))
    pools = PoolEvent(at(0), 7, info=info), PoolEvent(at(5), 7, info=info)
    heard = (ListenerEvent(at(0), 3, name="127.0.0.1:80", fd=4),)
    one, other = (
        replace(blocked(pid, share=pid), pools=pools, listeners=heard) for pid in (100, 200)
    )
    # Both hold the same listening socket; each has a pool of its own, at the same address.
    assert analyse(recording(one, other)).report.watched == Coverage(2, 2, 1)
    assert analyse(recording(worker())).report.watched == Coverage(0, 0, 0)


def test_an_epoll_that_was_inherited_over_a_fork_is_nobodys_loop() -> None:
    # The child runs, and what arrives for its parent is ready in its inherited epoll as well.
    parent = blocked(100, share=7)
    child = worker(
        200,
        shown={200: [(0, END, HANDLER)]},
        kernel={200: states((0, NAP))},
        epolls=[opened(0, 5, 7), ready(1_100, 5), collected(9_000, 5)],
    )
    (finding,) = analyse(recording(parent, child)).report.findings
    assert finding.pids == (100,)
    # The very same worker alone: it may own that epoll, so the guard was what kept it silent.
    busy = worker(
        200,
        shown={200: [(0, END, HANDLER)]},
        kernel={200: states((0, NAP))},
        epolls=[opened(0, 5, 7), ready(1_100, 5)],
    )
    assert len(analyse(recording(busy)).report.findings) == 1
    assert len(analyse(recording(parent, busy)).report.findings) == 1


def test_the_recordings_own_min_stall_holds_unless_another_is_asked_for() -> None:
    assert analyse(recording(blocked(), min_stall_s=0.1)).report.findings
    silent = analyse(recording(blocked(), min_stall_s=0.601))
    assert silent.report.findings == ()
    asked = analyse(recording(blocked(), min_stall_s=0.601), min_stall_s=0.5)
    assert len(asked.report.findings) == 1
    assert asked.report.recording.min_stall_s == 0.5
    assert silent.report.recording.min_stall_s == 0.601


def test_what_was_lost_and_what_it_cost_is_passed_on() -> None:
    loss = Loss("stacks, segment 0", "cut short", "record again", 100)
    given_ = replace(recording(blocked()), losses=(loss,), cost=Cost(0.3, 0.03, 40.0))
    report = analyse(given_).report
    assert (report.losses, report.cost) == ((loss,), Cost(0.3, 0.03, 40.0))
    assert report.workers == given_.workers


def test_the_report_carries_the_lines_around_what_is_blamed_and_no_others() -> None:
    lines = {n: f"line {n}" for n in range(1, 100)} | {41: "    time.sleep(backoff_s)"}
    given_ = recording(blocked(), sources={"/app/client.py": lines, "/app/other.py": lines})
    sources = analyse(given_).report.sources
    assert sources.keys() == {"/app/client.py"}
    assert sorted(sources["/app/client.py"]) == list(range(37, 46))


def test_an_empty_recording_is_an_empty_report() -> None:
    analysis = analyse(recording())
    assert (analysis.report.findings, analysis.threads) == ((), ())


def test_without_any_oracle_nothing_is_claimed() -> None:
    blind = worker(shown={100: [(0, END, HANDLER)]}, oracles={}, runtime_span=None)
    analysis = analyse(recording(blind))
    assert analysis.report.findings == ()
    assert {a.wait.kind for a in analysis.threads[0].activities} == {WaitKind.UNKNOWN}


# --- properties -------------------------------------------------------------------------------------

whats = st.sampled_from(
    ["run", "queue", "stop", "epoll_wait 5", "epoll_wait 9", NAP,
     f"futex {HEAP_WORD}", f"futex {GIL_WORD}", "recvfrom 8", "read 3"]
)  # fmt: skip
kernels = st.lists(st.tuples(st.integers(1, 700), whats), max_size=12)
stacks = st.sampled_from([POLL, HANDLER, PARKED, POOL, HOLDER, ()])
showings = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 700), stacks), max_size=10)
events = st.lists(
    st.tuples(
        st.integers(1, 400),
        st.sampled_from([5, 9]),
        st.sampled_from(["open", "ready", "collected", "closed", "unread"]),
        st.integers(0, 3),
    ),
    max_size=15,
)


def laid_out(rows: list[tuple[int, int, Stack]]) -> list[Shown]:
    found, now = [], 0
    for gap, length, one in rows:
        found.append((float(now + gap), float(now + gap + length), one))
        now += gap + length
    return found


def timed(rows: list[tuple[int, str]]) -> list[tuple[float, str]]:
    found, now = [], 0
    for gap, what in rows:
        now += gap
        found.append((float(now), what))
    return found


@st.composite
def workers(draw: st.DrawFn, pid: int) -> WorkerRecord:
    """Any worker that the streams of a recording can describe, however odd."""
    tids = draw(st.lists(st.sampled_from([pid, pid + 1, pid + 2]), unique=True, max_size=3))
    epolls, now = [], 0
    for gap, epfd, what, n in draw(events):
        now += gap
        sockets = [sock(k, read=draw(st.sampled_from([None, 0, 5]))) for k in range(n)]
        epolls.append(
            {
                "open": opened(now, epfd, n),
                "ready": ready(now, epfd),
                "collected": collected(now, epfd),
                "closed": closed(now, epfd),
                "unread": unread(now, epfd, *sockets),
            }[what]
        )
    shown = {tid: laid_out(draw(showings)) for tid in tids}
    half = draw(st.integers(0, 3_000))
    later = {tid: [(a + half, b + half, s) for a, b, s in rows] for tid, rows in shown.items()}
    dumps = [
        dump(draw(st.integers(0, 5_000)), {tid: draw(stacks) for tid in tids}, draw(st.sampled_from([None, *tids])))
        for _ in range(draw(st.integers(0, 2)))
    ]  # fmt: skip
    return worker(
        pid,
        kernel={tid: states(*timed(draw(kernels))) for tid in tids},
        epolls=epolls,
        segments=(segment(0, half + 300, shown), segment(half, END, later)),
        dumps=tuple(dumps),
        gone_ns=draw(st.none() | st.integers(0, END).map(at)),
    )


recordings = st.tuples(workers(100), workers(200)).map(lambda pair: recording(*pair))
SLOW = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
VALIDATOR = jsonschema.Draft202012Validator(schema())


@SLOW
@given(recordings)
def test_any_recording_gives_a_report_that_satisfies_the_schema(given_: Recording) -> None:
    report = json.loads(json.dumps(report_object(analyse(given_).report), allow_nan=False))
    VALIDATOR.validate(report)


@SLOW
@given(recordings)
def test_activities_never_overlap_and_weigh_no_more_than_their_length(given_: Recording) -> None:
    for one in analyse(given_).threads:
        assert all(a.end_ns <= b.start_ns for a, b in pairwise(one.activities))
        for a in one.activities:
            assert a.start_ns < a.end_ns
            assert a.starved_ns in {0, a.end_ns - a.start_ns}
            assert a.victim_ns % (a.end_ns - a.start_ns) == 0
            assert bool(a.starved_ns) == bool(a.victim_ns)


@SLOW
@given(recordings)
def test_starved_time_lies_inside_episodes_only(given_: Recording) -> None:
    analysis = analyse(given_)
    spans = [
        (e.pid, round(e.start_s * 1e9), round(e.end_s * 1e9))
        for f in analysis.report.findings
        if f.verdict == "starving"
        for e in f.episodes
    ]
    for one in analysis.threads:
        for a in one.activities:
            if a.starved_ns:
                assert any(
                    pid == one.pid and start - 1_000 <= a.start_ns and a.end_ns <= end + 1_000
                    for pid, start, end in spans
                )


@SLOW
@given(recordings)
def test_findings_are_consistent(given_: Recording) -> None:
    found = analyse(given_).report.findings
    assert [f.victim_s for f in found] == sorted((f.victim_s for f in found), reverse=True)
    for f in found:
        assert f.occurrences == len(f.episodes) > 0
        assert all(e.start_s < e.end_s for e in f.episodes)
        assert f.longest_s >= 0.0999
        assert {e.pid for e in f.episodes} == set(f.pids)
        # What is within the error of sampling is left out, but never so much as it matters.
        assert not f.blames or 0.5 < sum(b.share for b in f.blames) < 1 + 1e-9
        assert [b.share for b in f.blames] == sorted((b.share for b in f.blames), reverse=True)
        assert bool(f.blames) == bool(f.stack) or f.stack == ()
        if f.verdict == "latent":
            assert (f.starved_s, f.victim_s, f.victims) == (0, 0, ())
        else:
            assert f.starved_s > 0
            assert f.victim_s > 0


@SLOW
@given(recordings)
def test_the_same_recording_gives_the_same_analysis(given_: Recording) -> None:
    assert analyse(given_) == analyse(given_)


def test_sources_of_the_examples_are_those_of_their_stacks() -> None:
    """Guards the other tests here: the lines they rely on belong to the frames they show."""
    shown = {(f.file, f.line) for one in (HANDLER, PARKED) for f in one}
    assert {(file, n) for file, lines in SOURCES.items() for n in lines} <= shown


def test_what_cannot_be_seen_of_another_librarys_loop_is_told() -> None:
    trio = stack("run@site/trio/_core/_run.py:2400 > unrolled_run@site/trio/_core/_run.py:2589")
    record = worker(
        shown={1: [(0, END, trio)]},
        kernel={1: states((0, "epoll_wait 5"))},
        epolls=[opened(0, 5, 1)],
        oracles={"threads": "ok", "epoll": "ok", "asyncio": "ok"},
    )
    (told,) = analyse(recording(record)).report.workers
    assert told.oracles["asyncio"].startswith("its loop is trio's")
    plain = replace(record, segments=(segment(0, END, {1: [(0, END, POLL)]}),))
    (told,) = analyse(recording(plain)).report.workers
    assert told.oracles["asyncio"] == "ok"


def test_a_loop_that_does_not_wait_with_epoll_is_told() -> None:
    watched = {"threads": "ok", "epoll": "ok", "asyncio": "ok"}
    for facts, others, blind in (
        (LoopInfo("asyncio", None, 1, "running", closed=False), [], {"epoll", "asyncio"}),
        (LoopInfo("asyncio", None, 1, "running", closed=False), [opened(0, 5, 1)], {"asyncio"}),
        (LoopInfo("asyncio", 5, 1, "running", closed=False), [opened(0, 5, 1)], set()),
        (LoopInfo("asyncio", None, 1, "frames", closed=False), [], set()),
        (LoopInfo("asyncio", None, 1, "running", closed=True), [], set()),
        (LoopInfo("uvloop", None, 1, "running", closed=False), [], set()),
    ):
        told_of = [LoopEvent(at(0), 7, facts=facts)]
        record = worker(shown={1: [(0, END, POLL)]}, epolls=others, loops=told_of, oracles=watched)
        report = analyse(recording(record)).report
        (told,) = report.workers
        assert {name for name, said in told.oracles.items() if said != "ok"} == blind
        assert report.watched is not None
        assert report.watched.unseen_loops == ("epoll" in blind)
    reactor = stack(
        "run@site/twisted/internet/base.py:700"
        " > doSelect@site/twisted/internet/selectreactor.py:103"
    )
    record = worker(shown={1: [(0, END, reactor)]}, oracles=watched)
    (told,) = analyse(recording(record)).report.workers
    assert told.oracles["epoll"] == told.oracles["asyncio"]
    assert told.oracles["epoll"].startswith("its loop is twisted's, and does not wait with epoll")


def test_a_worker_of_which_nothing_was_recorded_is_told_all_the_same() -> None:
    silent = worker(oracles={"asyncio": "ok"})
    (told,) = analyse(recording(replace(silent, segments=(), states={}))).report.workers
    assert told == silent
