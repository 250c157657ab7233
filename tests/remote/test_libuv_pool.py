"""libuv's pool in made-up memory: its threads, what waits in its queues, and what is none."""

from __future__ import annotations

import os
import struct
from dataclasses import replace

import pytest

from tests.remote.memories import MadeUp, Small, SmallNoise
from waitspy.kernel import procfs
from waitspy.model.pools import PoolKind
from waitspy.remote.libuv_pool import NodePool
from waitspy.remote.values import GroupFacts
from waitspy.target.node import PoolPlaces

DATA, WORK, PTHREADS, LOOP, FS, DNS = 0x5_0000, 0x9_0000, 0xA_0000, 0xB_0000, 0xC_0010, 0xC_0020
PLACES = PoolPlaces(
    queue=DATA,
    slow_queue=DATA + 16,
    message=DATA + 32,
    slow=DATA + 48,
    threads=DATA + 56,
    many=DATA + 64,
    signal=DATA + 72,
    work=((FS, "a call of fs"), (DNS, "dns.lookup")),
)
POOL = GroupFacts(0, DATA, DATA, (), None, PoolKind.LIBUV, (), any_order=True)
LOOKUPS = replace(POOL, queue=DATA + 16, kept_in=DATA + 16, role=PoolKind.LOOKUPS, limit=2)
MESSAGE = -1
"""What stands in the queue for slow work."""


def pool(memory: MadeUp) -> NodePool:
    made = NodePool.__new__(NodePool)
    made._pid, made._places, made._memory, made._facts = os.getpid(), PLACES, memory, ()
    return made


def item(n: int) -> int:
    return WORK + 256 * n


def holding(
    queue: list[int],
    slow: list[int] | None = None,
    *,
    slow_running: int = 0,
    many: int = 4,
    calls: int = FS,
) -> Small:
    """Work by number in the two queues; ``MESSAGE`` stands for the second one in the first."""
    words: dict[int, int] = {PLACES.slow: slow_running, PLACES.many: many}
    for head, numbers in ((PLACES.queue, queue), (PLACES.slow_queue, slow or [])):
        ring = [head, *(PLACES.message if n == MESSAGE else item(n) + 24 for n in numbers)]
        for n, at in enumerate(ring):
            words[at] = ring[(n + 1) % len(ring)]
            words[at + 8] = ring[n - 1]
        for n in numbers:
            if n != MESSAGE:
                words[item(n)], words[item(n) + 16] = calls, LOOP
    parts = {DATA: bytearray(256), WORK: bytearray(4096)}
    for at, word in words.items():
        base = DATA if at < WORK else WORK
        struct.pack_into("<Q", parts[base], at - base, word)
    return Small({base: bytes(raw) for base, raw in parts.items()})


def test_what_waits_in_its_queue() -> None:
    assert pool(holding([])).queued(POOL) == ()
    assert pool(holding([0, 1, 2])).queued(POOL) == (item(0), item(1), item(2))


def test_slow_work_waits_for_a_thread_unless_half_of_them_do_such_work() -> None:
    assert pool(holding([MESSAGE, 0], [1, 2])).queued(POOL) == (item(1), item(2), item(0))
    assert pool(holding([0], [1], slow_running=2)).queued(POOL) == (item(0),)
    assert pool(holding([MESSAGE, 0], [1], slow_running=2)).queued(POOL) == (item(0),)
    assert pool(holding([MESSAGE], [1], slow_running=2, many=5)).queued(POOL) == (item(1),)


def test_lookups_wait_for_each_other_once_half_of_the_threads_do_such_work() -> None:
    full = holding([MESSAGE, 0], [1, 2], slow_running=2)
    assert pool(full).queued(LOOKUPS) == (item(1), item(2))
    assert pool(holding([MESSAGE, 0], [1, 2], slow_running=1)).queued(LOOKUPS) == ()
    assert pool(holding([0], slow_running=2)).queued(LOOKUPS) == ()


def test_a_queue_that_contradicts_itself_is_one_that_is_served() -> None:
    memory = holding([0, 1])
    for at in (item(0) + 32, item(1) + 16, DATA + 8):  # a way back, a loop, the last one
        torn = Small(memory.parts)
        base = DATA if at < WORK else WORK
        raw = bytearray(torn.parts[base])
        raw[at - base : at - base + 8] = bytes(8)
        torn.parts[base] = bytes(raw)
        assert pool(torn).queued(POOL) == ()
    assert pool(Small({DATA: bytes(256)})).queued(replace(LOOKUPS, limit=0)) == ()


def test_a_ring_that_does_not_end_is_given_up() -> None:
    memory = holding([0, 1])
    raw = bytearray(memory.parts[WORK])
    struct.pack_into("<Q", raw, item(1) + 24 - WORK, item(0) + 24)
    memory.parts[WORK] = bytes(raw)
    assert pool(memory).queued(POOL) == ()


def test_what_the_first_items_are() -> None:
    made = pool(holding([0, 1], calls=DNS))
    assert [one.name for one in made.first((item(0), item(1)))] == ["dns.lookup", "dns.lookup"]
    assert pool(holding([0], calls=0x666)).first((item(0),)) == ()
    assert made.first((0x6_6660,)) == ()


def with_threads(tids: list[int], place: int) -> NodePool:
    memory = holding([], many=len(tids))
    raw = bytearray(memory.parts[DATA])
    struct.pack_into("<Q", raw, PLACES.threads - DATA, PTHREADS)
    memory.parts[DATA] = bytes(raw)
    own = bytearray(1024 * (len(tids) + 1))
    for n, tid in enumerate(tids):
        struct.pack_into("<Q", own, 8 * n, PTHREADS + 1024 * (n + 1))
        struct.pack_into("<I", own, 1024 * (n + 1) + place, tid)
    memory.parts[PTHREADS] = bytes(own)
    return pool(memory)


def test_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = {2: 1002, 3: 1003, 4: 1004}
    monkeypatch.setattr(procfs, "inner_tids", lambda _: inner)
    found, lookups = with_threads([3, 4], 720).groups()
    assert (found.tids, found.role, found.queue) == ((1003, 1004), PoolKind.LIBUV, DATA)
    assert (found.limit, lookups.limit) == (None, 1)
    assert (lookups.tids, lookups.role, lookups.queue) == (found.tids, PoolKind.LOOKUPS, DATA + 16)
    assert PLACES.signal + 40 in found.signals
    assert with_threads([3, 9], 720).groups() == (), "one that is no thread of this process"
    assert with_threads([3, 3], 720).groups() == (), "one of them twice"
    assert pool(holding([], many=0)).groups() == (), "none yet"
    assert pool(holding([], many=1 << 20)).groups() == ()


@pytest.mark.parametrize("seed", range(30))
def test_noise_is_no_pool(seed: int) -> None:
    made = pool(SmallNoise(seed))
    assert made.groups() == ()
    made.first(made.queued(POOL))
    made.first(made.queued(LOOKUPS))
