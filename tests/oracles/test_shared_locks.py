"""When a lock between processes is known to be held by one that has ended, and when it is not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.examples.build import frame, process
from waitspy.kernel import procfs
from waitspy.model.wait_for import Held, Holder, WaitEdge
from waitspy.oracles import Watched
from waitspy.oracles.shared_locks import SharedLocks
from waitspy.remote.process_locks import HeldBetween, SharedPlace, SharedWait

PLACE = SharedPlace("/dev/shm/sem.a (deleted)", 9, 0)
TAKEN = frame("hold@/app/main.py:6")
EDGE = WaitEdge(12, "lock", 0xA0, (), whole=True)


class Story:
    """Threads 12 of process 7 and 13 of process 8 wait for what thread ``pid`` of that one has."""

    def __init__(self, pid: int, *, alone: bool = True) -> None:
        self.locks = SharedLocks()
        self.pid, self.has = pid, [(pid, HeldBetween(pid, PLACE, TAKEN, alone))]
        self.every = {7: waiting(7, 12), 8: waiting(8, 13)}

    def looks(self, pid: int, tid: int, queued: int) -> None:
        waits = {tid: SharedWait(PLACE, queued)}
        self.locks.note(self.every[pid], waits, self.has, self.every)

    def seen(self, *, queued: int = 2) -> None:
        self.looks(7, 12, queued)
        self.looks(8, 13, queued)

    def told(self) -> tuple[Held, tuple[Holder, ...]]:
        one = self.locks.told(EDGE, PLACE, self.has, self.every[7], self.every)
        return one.kind, one.holders


def waiting(pid: int, tid: int) -> Watched:
    watched = Watched(process(pid), f"/proc/{pid}", blocked_since_ns={tid: 1})
    watched.stood = lambda _: True
    return watched


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    monkeypatch.setattr(procfs, "futex_timeout", lambda *_: False)
    with subprocess.Popen(["sleep", "60"]) as holder:
        yield Story(holder.pid)
        holder.kill()


def end(story: Story) -> None:
    subprocess.run(["kill", "-KILL", str(story.pid)], check=True)
    while procfs.stats([story.pid])[story.pid].state != "Z":
        pass
    story.has = []


def test_a_holder_that_has_ended_has_it_for_ever(story: Story) -> None:
    story.seen()
    alive = Holder(story.pid, "with", TAKEN, pid=story.pid)
    assert story.told() == ("lock", (alive,))
    end(story)
    assert story.told() == ("orphaned-lock", (alive,))
    story.looks(7, 12, 2)  # it waits on
    assert story.told()[0] == "orphaned-lock"


def test_one_that_lives_and_was_not_seen_again_has_given_it_up(story: Story) -> None:
    story.seen()
    story.has = []
    assert story.told() == ("lock", ())


def test_who_has_run_since_may_have_had_it(story: Story) -> None:
    story.seen()
    story.every[8].blocked_since_ns[13] = 2
    end(story)
    assert story.told() == ("lock", ())


def test_who_may_have_run_just_now_may_have_had_it(story: Story) -> None:
    story.seen()
    story.every[8].stood = lambda _: False
    end(story)
    assert story.told() == ("lock", ())


def test_one_who_waits_and_is_not_watched_may_have_had_it(story: Story) -> None:
    story.seen(queued=3)
    end(story)
    assert story.told() == ("lock", ())


def test_one_that_was_never_seen_to_hold_it_is_not_guessed(story: Story) -> None:
    had, story.has = story.has, []
    story.seen()
    story.has = had
    end(story)
    assert story.told() == ("lock", ())


def test_of_a_semaphore_others_may_have_a_place(story: Story) -> None:
    ((pid, held),) = story.has
    story.has = [(pid, held._replace(alone=False))]
    story.seen()
    end(story)
    assert story.told() == ("lock", ())


def test_who_waits_with_a_timeout_is_not_there_for_ever(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.seen()
    end(story)
    monkeypatch.setattr(procfs, "futex_timeout", lambda *_: True)
    assert story.told() == ("lock", ())


def test_another_process_with_its_number_is_not_it(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.seen()
    now = procfs.stats([story.pid])[story.pid]
    later = replace(now, start_ticks=now.start_ticks + 1)
    monkeypatch.setattr(procfs, "stats", lambda _: {story.pid: later})
    story.has = []
    assert story.told()[0] == "orphaned-lock"
