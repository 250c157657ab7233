"""Node's loops in made-up memory: found by what makes sense, and nothing believed that does not."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping

import pytest

from tests.remote.memories import Small, SmallNoise
from waitspy.remote.libuv import NodeLoop, NodeLoops
from waitspy.remote.memory import Memory, Torn, Unreadable
from waitspy.target.node import MappedNode

DATA, TIMERS, RUN_TIMERS, HANDLES = 0x5_0000, 0x9_0000, 0x7_1234, 0xA_0020
LOOP = NodeLoop(DATA + 256, 14, 1)
ASYNC, CHECK, TCP = 1, 2, 12


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def uv_loop(
    *, epfd: int = 14, top: int = 0, count: int = 0, age_ms: int = 50, handles: int = HANDLES
) -> bytes:
    raw = bytearray(1024)
    struct.pack_into("<Q", raw, 16, handles)
    struct.pack_into("<i", raw, 64, epfd)
    struct.pack_into("<QI", raw, 520, top, count)
    struct.pack_into("<Qii", raw, 544, now_ms() - age_ms, -1, -1)
    return bytes(raw)


def timer(
    late_ms: int,
    *,
    left: int = 0,
    calls: int = RUN_TIMERS,
    flags: int = 12,
    loop: int = LOOP.address,
) -> bytes:
    raw = bytearray(136)
    struct.pack_into("<Q", raw, 8, loop)
    struct.pack_into("<IxxxxQQQQQ", raw, 88, flags, calls, left, 0, 0, now_ms() - late_ms)
    return bytes(raw)


def handle(kind: int, next_at: int, *, loop: int = LOOP.address) -> bytes:
    """As it lies in memory from its beginning on; its place in the ring is 32 bytes further."""
    return struct.pack("<QQIIQQQ", 0, loop, kind, 0, 0, next_at, 0)


def loops(memory: Memory) -> NodeLoops:
    made = NodeLoops.__new__(NodeLoops)
    made._pid, made._memory = 1, memory
    made._node = MappedNode("/usr/bin/node", "20.20.2", ((DATA, 4096),), RUN_TIMERS)
    made._ahead_ms, made._born_ms = 0, now_ms() - 60_000
    return made


def with_loop(loop: bytes, more: Mapping[int, bytes] | None = None) -> NodeLoops:
    data = bytes(256) + loop
    ring = {HANDLES - 32: handle(CHECK, LOOP.address + 16)}
    return loops(Small({DATA: data + bytes(4096 - len(data)), **ring, **(more or {})}))


def test_the_main_loop_is_found_by_its_epoll_descriptor() -> None:
    found = with_loop(uv_loop())
    assert found.find([14, 20], [1]) == (LOOP,)
    assert found.find([20], [1]) == ()
    assert found.is_there(LOOP)


@pytest.mark.parametrize(
    ("ring", "runs"),
    [
        ({0: handle(ASYNC, HANDLES + 1024), 1024: handle(CHECK, LOOP.address + 16)}, True),
        ({0: handle(ASYNC, HANDLES + 1024), 1024: handle(TCP, LOOP.address + 16)}, False),
        ({0: handle(ASYNC, HANDLES)}, False),
        ({0: handle(CHECK, LOOP.address + 16, loop=0x666)}, False),
        ({0: handle(ASYNC, 0x6_6666)}, False),
    ],
    ids=["a worker's", "the inspector's", "a ring without its loop", "of another loop", "torn"],
)
def test_whether_javascript_runs_on_a_loop(ring: dict[int, bytes], runs: bool) -> None:
    made = with_loop(uv_loop(), {HANDLES - 32 + at: raw for at, raw in ring.items()})
    (found,) = made.find([14], [1])
    assert found.runs_javascript == runs


@pytest.mark.parametrize(
    "strange",
    [
        {"age_ms": 100_000},
        {"age_ms": -10_000},
        {"top": TIMERS},
        {"count": 3},
        {"epfd": 15},
    ],
    ids=["before it was born", "in the future", "a heap of none", "a heap without a top", "other"],
)
def test_what_makes_no_sense_is_no_loop(strange: dict[str, int]) -> None:
    made = with_loop(uv_loop(**strange))  # made only now: what was in the future would not stay so
    assert made.find([14], [1]) == ()
    assert not made.is_there(LOOP)
    with pytest.raises(Torn):
        made.overdue_ns(LOOP)


def test_a_descriptor_that_two_claim_is_nobodys() -> None:
    made = loops(Small({DATA: uv_loop() + uv_loop() + bytes(2048)}))
    assert made.find([14], [1]) == ()


def heap(*timers: bytes) -> NodeLoops:
    """The first timer is the top of the heap; what it has on its left is the second one."""
    parts = {TIMERS + 1024 * n: raw for n, raw in enumerate(timers)}
    return with_loop(uv_loop(top=TIMERS + 104, count=len(timers)), parts)


def test_the_time_since_which_a_timer_is_due() -> None:
    before_ms = now_ms()
    late_ns = heap(timer(700)).overdue_ns(LOOP)
    assert late_ns is not None
    assert before_ms - 700 <= late_ns // 1_000_000 <= now_ms() - 700
    assert heap(timer(-700)).overdue_ns(LOOP) is None
    assert with_loop(uv_loop()).overdue_ns(LOOP) is None


def test_timers_that_are_nobodys_work_do_not_count() -> None:
    of_v8 = timer(900, calls=0x666)
    assert heap(of_v8).overdue_ns(LOOP) is None
    assert heap(timer(900, flags=4)).overdue_ns(LOOP) is None, "it keeps nothing alive"
    before_ms = now_ms()
    behind = heap(timer(900, calls=0x666, left=TIMERS + 1024 + 104), timer(300)).overdue_ns(LOOP)
    assert behind is not None
    assert behind // 1_000_000 >= before_ms - 300, "the first one that counts, not the one above"


def test_a_timer_that_is_none_and_a_ring_of_them_end() -> None:
    with pytest.raises(Torn):
        heap(timer(900, loop=0x666)).overdue_ns(LOOP)
    with pytest.raises(Unreadable):
        with_loop(uv_loop(top=0x6_6666, count=1)).overdue_ns(LOOP)
    ring = heap(timer(900, left=TIMERS + 104))
    assert ring.overdue_ns(LOOP) is not None


@pytest.mark.parametrize("seed", range(30))
def test_noise_is_no_loop(seed: int) -> None:
    made = loops(SmallNoise(seed))
    for loop in made.find(range(256), [1]):
        try:
            made.overdue_ns(loop)
        except Unreadable:
            continue
