"""The page's data: every sum survives packing, whatever is joined; equal input gives equal bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import build, page_examples, profile_examples
from tests.examples.page_examples import Unpacked, merged_sums, unpack
from waitspy.model.activities import Activity, ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import Analysis, PendingSeries, Profile
from waitspy.model.stacks import Stack
from waitspy.model.waits import Wait, WaitKind
from waitspy.render.reports import page_data
from waitspy.render.reports.markdown import MarkdownRenderer

US = 1000
SLEEPS = Wait(WaitKind.SLEEP)


def packed(analysis: Analysis, **more: int) -> Unpacked:
    return unpack(page_data.pack(analysis, **more))


def assert_same_sums(
    got: dict[Stack, tuple[float, float, float]], wanted: dict[Stack, tuple[float, float, float]]
) -> None:
    assert got.keys() == wanted.keys()
    for stack, sums in wanted.items():
        assert got[stack] == pytest.approx(sums, abs=1e-3), stack


def test_every_sum_survives() -> None:
    analysis = page_examples.server()
    assert_same_sums(packed(analysis).sums(), merged_sums(analysis))


def test_every_sum_survives_that_short_activities_are_joined() -> None:
    analysis = page_examples.server()
    count = sum(len(thread.activities) for thread in analysis.threads)
    unpacked = packed(analysis, most_activities=count // 2)
    assert 0 < len(unpacked.rows()) <= count // 2
    assert unpacked.header["grain_ns"] > 0
    assert_same_sums(unpacked.sums(), merged_sums(analysis))


def test_a_limit_that_cannot_be_met_ends_the_joining() -> None:
    analysis = page_examples.server()
    assert_same_sums(packed(analysis, most_activities=1).sums(), merged_sums(analysis))


def test_nothing_is_joined_without_need() -> None:
    assert packed(page_examples.server()).header["grain_ns"] == 0


def test_equal_analyses_give_equal_bytes() -> None:
    assert page_data.pack(page_examples.server()) == page_data.pack(page_examples.server())


def test_threads_are_known_by_what_they_do() -> None:
    unpacked = packed(page_examples.server())
    roles = {(unpacked.text(name), role) for _, _, name, role in unpacked.header["threads"]}
    assert roles == {
        ("MainThread", "loop"),
        ("ThreadPoolExecutor-0_0", "pool"),
        ("ThreadPoolExecutor-0_1", "pool"),
        ("inbox", "loop"),
        ("metrics", "other"),
    }


def test_a_recording_of_days_has_a_coarser_unit() -> None:
    days = 3 * 86_400 * NS
    end_ns = build.START_NS + days
    activity = Activity(build.START_NS, end_ns, build.MAIN, SLEEPS, days, days * 9)
    analysis = Analysis(
        replace(
            page_examples.server().report,
            recording=replace(build.info(), end_ns=end_ns),
            findings=(),
        ),
        (ThreadActivity(1, 1, "main", build.activities(activity)),),
    )
    unpacked = packed(analysis)
    assert unpacked.header["unit_ns"] > US
    ((_, starved_s, victim_s),) = unpacked.sums().values()
    assert starved_s == pytest.approx(days / NS, rel=1e-6)
    assert victim_s == pytest.approx(9 * days / NS, rel=1e-6)


def test_what_lasts_longer_than_a_damaged_recording_is_cut() -> None:
    days = 3 * 86_400 * NS
    activity = Activity(build.START_NS, build.START_NS + days, build.MAIN, SLEEPS, days, days)
    info = replace(build.info(), end_ns=build.START_NS)
    report = replace(page_examples.server().report, recording=info, findings=())
    analysis = Analysis(report, (ThreadActivity(1, 1, "main", build.activities(activity)),))
    unpacked = packed(analysis)
    ((_, starved_s, _),) = unpacked.sums().values()
    assert starved_s == pytest.approx((2**31 - 1) * unpacked.header["unit_ns"] / NS)


def test_findings_point_to_their_episodes_in_the_timeline() -> None:
    analysis = page_examples.server()
    unpacked = packed(analysis)
    first = unpacked.header["findings"][0]
    assert unpacked.text(first["blame"][0]) == "retry"
    origin_s = analysis.report.recording.monotonic_start_ns / NS
    wanted = [
        [e.pid, e.tid, (e.start_s - origin_s) * 1e6, (e.end_s - origin_s) * 1e6]
        for e in analysis.report.findings[0].episodes
    ]
    for got, want in zip(first["episodes"], wanted, strict=True):
        assert got == pytest.approx(want, abs=20)


def test_it_carries_what_its_buttons_copy() -> None:
    judged = page_examples.server()
    told = page_examples.unpack(page_data.pack(judged)).header["markdown"]
    renderer, whole = MarkdownRenderer(), io.StringIO()
    renderer.render(judged, whole)
    assert told["report"] == whole.getvalue()
    assert told["findings"] == [renderer.finding(judged.report, n) for n in (0, 1)]


def test_pending_work_keeps_its_steps() -> None:
    analysis = page_examples.server()
    unpacked = packed(analysis)
    series = sorted(analysis.pending, key=lambda s: (s.pid, s.tid or 0))
    assert [row[:2] for row in unpacked.header["pending"]] == [[s.pid, s.tid] for s in series]
    counts = [count for s in series for _, count in s.points]
    assert list(unpacked.columns["pending_count"]) == counts
    assert list(unpacked.columns["pending_rows"]) == [len(s.points) for s in series]


def test_thinned_series_keep_peaks_and_ends() -> None:
    points = tuple((n * 10, n % 7) for n in range(1000))
    series = PendingSeries(1, 1, "loop", "ready", points)
    thin = page_data.thinned(series, 200).points
    assert len(thin) <= 2 * 50
    assert max(count for _, count in thin) == 6
    assert thin[-1] == points[-1]
    assert thin == tuple(sorted(thin))
    assert set(thin) <= set(points)


def test_hostile_texts_become_one_line_of_plain_characters() -> None:
    unpacked = packed(page_examples.hostile())
    for text in unpacked.header["strings"]:
        assert len(text) <= 10_000
        assert not any(c in text for c in "\n\r\x00\x1b\u202e\u2028\ud800")


@pytest.mark.parametrize("make", [profile_examples.empty, profile_examples.idle])
def test_nothing_recorded_packs(make: Callable[[], Profile]) -> None:
    analysis = Analysis(page_examples.server().report, make().threads)
    assert_same_sums(packed(analysis).sums(), merged_sums(analysis))


STACKS = (build.MAIN, build.POLL, build.PARKED)
WAITS = (Wait(WaitKind.ON_CPU), Wait(WaitKind.LOCK), Wait(WaitKind.LOOP_POLL))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),  # a gap before it, mostly none
            st.integers(1, 40),
            st.sampled_from(STACKS),
            st.sampled_from(WAITS),
            st.booleans(),
        ),
        max_size=60,
    ),
    st.integers(1, 100),
)
def test_joining_keeps_order_bounds_and_sums(
    steps: list[tuple[int, int, Stack, Wait, bool]], grain_us: int
) -> None:
    activities, at = [], 0
    for gap, length, stack, wait, harmful in steps:
        start = at + (gap == 2)
        harm = length * US if harmful else 0
        activities.append(Activity(start * US, (start + length) * US, stack, wait, harm, 2 * harm))
        at = start + length
    joined = page_data.joined(activities, grain_us * US)
    assert len(joined) <= len(activities)
    for one, other in pairwise(joined):
        assert one.end_ns <= other.start_ns
    report = page_examples.server().report
    before, after = (
        merged_sums(Analysis(report, (ThreadActivity(1, 1, "t", build.activities(*each)),)))
        for each in (activities, joined)
    )
    assert_same_sums(after, before)
    covered = {ns for a in activities for ns in range(a.start_ns // US, a.end_ns // US)}
    assert covered == {ns for a in joined for ns in range(a.start_ns // US, a.end_ns // US)}
