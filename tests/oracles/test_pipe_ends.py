"""Who cannot go on until the worker reads a pipe."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

import pytest

from waitspy.oracles.pipe_ends import PipeEnds, stuck

WORKER = 1


class Ends:
    """Readers by pipe; those that an epoll watches."""

    worker = WORKER

    def __init__(self, readers: Mapping[int, set[int]], watched: Collection[int] = ()) -> None:
        self._readers, self._watched = readers, watched

    def readers(self, pipe: int) -> set[int]:
        return self._readers.get(pipe, set())

    def is_watched(self, pipe: int) -> bool:
        return pipe in self._watched


def found(
    readers: Mapping[int, set[int]],
    writing: Mapping[int, set[int]],
    collecting: Mapping[int, set[int]] | None = None,
    watched: Collection[int] = (),
) -> dict[int, int | None]:
    return stuck(cast("PipeEnds", Ends(readers, watched)), writing, collecting or {})


@pytest.mark.parametrize(
    ("readers", "told"),
    [
        ({WORKER}, {20: 7}),
        ({WORKER, 20}, {20: 7}),  # a fork that has its own reading end
        ({WORKER, 30}, {}),
        ({30}, {}),
        ({20}, {}),
        (set(), {}),
    ],
)
def test_only_the_worker_may_be_able_to_read(
    readers: set[int], told: dict[int, int | None]
) -> None:
    assert found({7: readers}, {20: {7}}) == told


def test_what_an_epoll_watches_will_be_read() -> None:
    assert found({7: {WORKER}}, {20: {7}}, watched={7}) == {}


def test_those_that_wait_for_a_stuck_one_are_stuck() -> None:
    assert found({7: {WORKER}}, {22: {7}}, {21: {22}, 20: {21}}) == {22: 7, 21: None, 20: None}


@pytest.mark.parametrize("wanted", [{22, 23}, {23}, set()])
def test_who_waits_for_others_as_well_is_not(wanted: set[int]) -> None:
    assert found({7: {WORKER}}, {22: {7}}, {21: wanted}) == {22: 7}


def test_who_writes_to_a_stuck_one_is_stuck() -> None:
    readers = {7: {WORKER}, 8: {22}, 9: {22, 30}}
    assert found(readers, {22: {7}, 21: {8}, 20: {9}}) == {22: 7, 21: None}
