"""Queues of this very process, as they are read from outside."""

from __future__ import annotations

import collections
import os
import queue
import sys
from collections.abc import Callable
from typing import Any

import pytest

from waitspy.remote.queues import QueueMark, Queues
from waitspy.remote.reader import Reader

pytestmark = pytest.mark.ptrace


@pytest.fixture(scope="module")
def queues() -> Queues:
    return Queues(Reader(os.getpid())._objects)


def mark(queues: Queues, of: Any) -> QueueMark:
    kept_in = queues.kept_in(id(of))
    assert kept_in is not None
    (found,) = queues.marks([kept_in])
    assert found is not None
    return found


MARKED = [queue.Queue, queue.SimpleQueue] if sys.version_info >= (3, 13) else [queue.Queue]


def test_a_simple_queue_up_to_3_12_has_no_mark(queues: Queues) -> None:
    of: queue.SimpleQueue[int] = queue.SimpleQueue()
    of.put(7)
    assert queues.kept_in(id(of)) == id(of)
    assert queues.items(id(of)) == [id(7)]
    assert (queues.marks([id(of)]) == [None]) == (sys.version_info < (3, 13))


@pytest.mark.parametrize("make", MARKED)
def test_an_item_that_is_put_in_again_was_taken(queues: Queues, make: Callable[[], Any]) -> None:
    of = make()
    of.put(None)
    before = mark(queues, of)
    assert mark(queues, of) == before
    assert before.size == 1
    of.get()
    of.put(None)
    after = mark(queues, of)
    assert after != before
    assert after.taken_since(before, seen=0) == 1
    of.put(None)
    assert mark(queues, of).taken_since(after, seen=0) == 0


def test_what_a_queue_has_taken_is_counted(queues: Queues) -> None:
    of: queue.Queue[int] = queue.Queue()
    before = mark(queues, of)
    for n in range(100):
        of.put(n)
    for _ in range(93):
        of.get()
    after = mark(queues, of)
    assert (after.size, after.taken_since(before, seen=0)) == (7, 93)
    kept_in = queues.kept_in(id(of))
    assert kept_in is not None
    assert queues.items(kept_in) == [id(n) for n in range(93, 100)]


def test_what_is_no_queue_of_a_known_kind_is_not_read(queues: Queues) -> None:
    assert queues.kept_in(id(queue.LifoQueue())) is None
    assert queues.kept_in(id([])) is None
    assert queues.items(id({})) is None
    assert queues.marks([id([]), 8]) == [None, None]


def test_a_stack_or_a_queue_by_priority_keeps_its_items_in_a_list(queues: Queues) -> None:
    last: queue.LifoQueue[int] = queue.LifoQueue()
    first: queue.PriorityQueue[int] = queue.PriorityQueue()
    for of in (last, first):
        for number in (9_003, 9_001, 9_002):
            of.put(number)
        kept_in = queues.kept_in_list(id(of))
        assert queues.kept_in(id(of)) is None
        assert kept_in == id(of.queue)
        assert queues.is_list(kept_in)
        assert queues.items(kept_in) == [id(number) for number in of.queue]
        assert queues.marks([kept_in]) == [None]
    assert queues.kept_in_list(id(queue.Queue())) is None


@pytest.mark.parametrize("make", [collections.deque, collections.OrderedDict])
def test_how_many_have_come_and_left_is_known_at_the_most(
    queues: Queues, make: Callable[[], Any]
) -> None:
    line = make()

    def come(*names: int) -> None:
        for name in names:
            line.append(name) if isinstance(line, collections.deque) else line.update({name: None})

    def leave(name: int) -> None:
        line.remove(name) if isinstance(line, collections.deque) else line.pop(name)

    def now() -> QueueMark:
        (found,) = queues.marks([id(line)])
        assert found is not None
        return found

    come(1, 2, 3, 4)
    before = now()
    assert before.size == 4
    assert now().moved_since(before) == (0, 0)
    come(5)
    assert now().moved_since(before) == (1, 0)
    leave(1)
    come(1)
    moved = now().moved_since(before)
    assert moved is not None
    assert 2 <= moved[0] <= 4
    assert 1 <= moved[1] <= 3
    assert before.moved_since(now()) is None, "it is another one"
