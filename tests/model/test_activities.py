"""Activities in columns: the rows that went in, and what is asked of all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import HANDLER, PARKED, POLL, Span, activities, apart
from waitspy.model.activities import NO_ACTIVITIES, Activities, Activity, Answers
from waitspy.model.stacks import Stack, StackTable
from waitspy.model.waits import Wait, WaitKind, WaitTable

WAITS = st.sampled_from(
    [Wait(WaitKind.ON_CPU), Wait(WaitKind.SLEEP, "time.sleep"), Wait(WaitKind.LOOP_POLL)]
)
PARTS = st.tuples(
    st.integers(0, 5),
    st.integers(1, 8),
    st.sampled_from([HANDLER, PARKED, POLL, ()]),
    WAITS,
    st.integers(0, 8),
    st.integers(0, 2**40),
)


@st.composite
def rows(draw: st.DrawFn) -> list[Activity]:
    """Activities in time order, without overlap."""
    parts = draw(st.lists(PARTS, max_size=8))
    spans = apart([part[:2] for part in parts])
    return [Activity(*span, *part[2:]) for span, part in zip(spans, parts, strict=True)]


@given(rows(), st.slices(8))
def test_activities_are_the_rows_they_were_made_of(some: list[Activity], cut: slice) -> None:
    made = Activities.of(some, StackTable(), WaitTable())
    assert list(made) == some
    assert [made[n] for n in range(len(made))] == some
    assert made == some
    assert list(made[cut]) == some[cut]
    assert Activities(made.columns, made.stacks, made.waits) == made
    assert made.length_ns.tolist() == [one.end_ns - one.start_ns for one in some]
    assert made == activities(*some)  # whatever the tables' numbers


@given(rows())
def test_kinds_are_the_distinct_pairs_of_a_stack_and_a_wait(some: list[Activity]) -> None:
    made = Activities.of(some, StackTable(), WaitTable())
    stacks, waits, kind = made.kinds()
    pairs = [
        (made.stacks[stack], made.waits[wait])
        for stack, wait in zip(stacks.tolist(), waits.tolist(), strict=True)
    ]
    assert len(pairs) == len(set(pairs))
    assert [pairs[n] for n in kind.tolist()] == [(one.stack, one.wait) for one in some]


@given(rows())
def test_what_holds_of_a_kind_is_asked_once_for_each(some: list[Activity]) -> None:
    asked: list[tuple[Stack, Wait]] = []

    def sleeps(stack: Stack, wait: Wait) -> bool:
        asked.append((stack, wait))
        return wait.kind is WaitKind.SLEEP and bool(stack)

    expected = [one.wait.kind is WaitKind.SLEEP and bool(one.stack) for one in some]
    assert activities(*some).of_kind(sleeps).tolist() == expected
    assert len(asked) == len(set(asked)) == len({(one.stack, one.wait) for one in some})
    known: Answers = {}
    for _ in range(2):
        assert activities(*some).of_kind(sleeps, known).tolist() == expected
    assert len(asked) == 2 * len(set(asked)), "what was asked before is known"


@given(rows(), st.tuples(st.integers(0, 60), st.integers(1, 20)))
def test_those_that_overlap_a_span_share_time_with_it(some: list[Activity], at: Span) -> None:
    start, end = at[0], at[0] + at[1]
    made = activities(*some)
    expected = [one for one in some if one.start_ns < end and start < one.end_ns]
    assert list(made[made.overlapping(start, end)]) == expected


def test_no_activities_are_none_of_any_kind() -> None:
    assert list(NO_ACTIVITIES) == []
    assert NO_ACTIVITIES.of_kind(lambda *_: True).tolist() == []
    assert list(NO_ACTIVITIES[NO_ACTIVITIES.overlapping(0, 9)]) == []
