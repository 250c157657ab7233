"""A large recording, built without a target: busy loops that are blocked now and then, and pools.

Everything changes at ticks of 10 ms, as sampled at 100 Hz. Each worker's loop polls, serves, and is
blocked for 0.4 s about every eight seconds, its stacks among some thousand; its other threads are a
pool's, whose queue fills now and then. All workers accept from one socket. The stacks are written
as our own sampler does it, or as py-spy does.

``python -m tests.benchmarks.large_recording`` measures the pure half and the page on it, and, where
Chromium is installed, how long the page takes there.
"""

from __future__ import annotations

import io
import json
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from selenium import webdriver

from tests.examples import build
from waitspy.judge import analysis
from waitspy.model.epolls import UnreadSocket
from waitspy.model.loops import LateTimer, LoopInfo, LoopWork
from waitspy.model.pools import PoolInfo, PoolWaits
from waitspy.model.stacks import Frame, Stack
from waitspy.recording import epolls, listeners, loading, loops, pools, stacks
from waitspy.recording.folder import Writer
from waitspy.recording.rows import Row, RowType
from waitspy.recording.threads import ThreadRow
from waitspy.render import REPORTS

TICK_MS = 10
_EPFD, _LOOP, _POOL, _LISTENER, _PORT = 5, 0x7F00_0000_1000, 0x7F00_0000_2000, 4242, 8000
_FUTEX, _SLEEP, _EPOLL = (
    build._NUMBERS[name] for name in ("futex", "clock_nanosleep", "epoll_wait")
)
_CALLS = {"poll": (_EPOLL, _EPFD), "sleep": (_SLEEP, 0), "futex": (_FUTEX, build.HEAP_WORD)}
_BLOCK_TICKS = 40
_SEGMENT_TICKS = {"delta": 200_000, "py-spy": 2_000}
"""How long each sampler goes on with one file; our own until it has some megabytes."""

_HANDLERS = 4_000
"""Different stacks that a loop shows while it serves; all workers run the same program."""


@dataclass(frozen=True, slots=True)
class Step:
    """A thread does one thing from one tick to another."""

    start: int
    end: int
    stack: Stack
    what: str


def write(folder: Path, workers: int, threads: int, seconds: float, sampler: str) -> int:
    """Writes that recording; gives how many samples it stands for."""
    ticks = round(seconds * 1000 / TICK_MS)
    handlers = _handlers(random.Random(0))
    meta = {
        "clock": {"monotonic_ns": build.START_NS, "wall": "2026-01-02T03:04:05+00:00"},
        "host": {"name": "bench", "kernel": "6.1", "arch": build.ARCH, "cpus": workers},
        "target": f":{_PORT}", "rate_hz": 100.0, "tick_s": 0.01, "min_stall_s": 0.1,
    }  # fmt: skip
    writer = Writer(str(folder), meta)
    rows, segments = [], []
    for n in range(workers):
        pid = 4_000 + n
        chance = random.Random(n)
        own = {pid: list(_loop_steps(ticks, chance, handlers))}
        for k in range(1, threads):
            own[pid + k * 100_000] = list(_pool_steps(ticks, chance))
        for k, start in enumerate(range(0, ticks, _SEGMENT_TICKS[sampler])):
            end = min(ticks, start + _SEGMENT_TICKS[sampler])
            changes = _changes(own, start, end)
            if sampler == "delta":
                name = f"{pid}-{k}{stacks.SUFFIX}"
                _own_stacks(writer, name, pid, start, changes)
            else:
                name = f"{pid}-{k}.trace.json"
                writer.save_file(f"stacks/{name}", _trace(pid, end - start, changes))
            segments.append(
                {"pid": pid, "n": k, "file": name, "zero_ns": _ns(start), "rate_hz": 100,
                 "end_ns": _ns(end), "samples": (end - start) * threads, "errors": 0}
            )  # fmt: skip
        _streams(writer, pid, own, tells=n == 0)
        rows.append(_worker_row(pid, threads))
    writer.meta |= {"workers": rows, "segments": segments, "losses": [], "end_ns": _ns(ticks)}
    writer.close()
    return workers * threads * ticks


def _ns(tick: int) -> int:
    return build.at(tick * TICK_MS)


def _worker_row(pid: int, threads: int) -> dict[str, object]:
    oracles = dict.fromkeys(("threads", "epoll", "asyncio", "pools", "backlog"), "ok")
    return {
        "pid": pid, "ppid": 1, "role": "worker", "command": "uvicorn app:app", "start_ticks": 5,
        "python": "3.12.1", "framework": "uvicorn", "threads": threads, "oracles": oracles,
        "attached_ns": build.START_NS, "runtime_span": list(build.RUNTIME_SPAN),
    }  # fmt: skip


# --- what the threads do -------------------------------------------------------------------------


def _handlers(chance: random.Random) -> list[Stack]:
    def one() -> Stack:
        return (
            *build.DISPATCH,
            Frame(f"view_{chance.randrange(8)}", "/app/views.py", chance.randrange(60)),
            Frame(f"service_{chance.randrange(12)}", "/app/services.py", chance.randrange(40)),
            Frame("Session.execute", f"{build.SITE}/sqlalchemy/orm/session.py", 2351),
        )

    return [one() for _ in range(_HANDLERS)]


def _loop_steps(ticks: int, chance: random.Random, handlers: list[Stack]) -> Iterator[Step]:
    at = 0
    while at < ticks:
        kind = chance.random()
        if kind < 0.003:
            length, stack, what = _BLOCK_TICKS, build.HANDLER, "sleep"
        elif kind < 0.5:
            length, stack, what = chance.choice((1, 1, 2, 3)), build.POLL, "poll"
        else:
            length, stack, what = chance.choice((1, 1, 2)), chance.choice(handlers), "run"
        yield Step(at, min(ticks, at + length), stack, what)
        at += length


def _pool_steps(ticks: int, chance: random.Random) -> Iterator[Step]:
    idle = (*build.THREAD, Frame("_worker", f"{build.LIB}/concurrent/futures/thread.py", 81))
    work = (*build.THREAD, Frame("_worker", f"{build.LIB}/concurrent/futures/thread.py", 83))
    at, busy = 0, False
    while at < ticks:
        length = chance.randint(1, 6) if busy else chance.randint(5, 60)
        tail = (Frame(f"job_{chance.randrange(20)}", "/app/jobs.py", chance.randrange(200)),)
        stack, what = ((*work, *tail), "run") if busy else (idle, "futex")
        yield Step(at, min(ticks, at + length), stack, what)
        at, busy = at + length, not busy


# --- what is written of them ---------------------------------------------------------------------


_Changes = list[tuple[int, int, Stack]]
"""When, in ticks of a segment, which thread shows which stack, in order of time."""


def _changes(own: dict[int, list[Step]], start: int, end: int) -> _Changes:
    """The changes within a segment, which begins with what every thread shows then."""
    return sorted(
        (max(0, step.start - start), tid, step.stack)
        for tid, steps in own.items()
        for step in steps
        if step.start < end and step.end > start
    )


def _own_stacks(writer: Writer, name: str, pid: int, start: int, changes: _Changes) -> None:
    """What our own sampler writes of a segment: the GIL goes to the loop while it serves."""
    writer.start_stacks(name, pid, stacks.StacksRow)
    numbers = stacks.Numbers()
    rows: list[Row] = []
    named: set[int] = set()
    for at, tid, stack in changes:
        at_ns = _ns(start + at)
        if tid not in named:
            named.add(tid)
            rows.append(stacks.ThreadNamed(at_ns, tid, f"thread-{tid}"))
        number, new = numbers.number(stack, at_ns)
        rows += [*new, stacks.ThreadShows(at_ns, tid, number)]
        if tid == pid:
            holder = None if stack in (build.POLL, build.HANDLER) else pid
            rows.append(stacks.GilHeld(at_ns, 0, holder, collects=False))
    writer.append_stacks(name, rows)
    writer.end_stacks(name, "the segment ended")


def _trace(pid: int, end: int, changes: _Changes) -> str:
    """What py-spy writes of a segment: an event for each frame that changed."""
    shown: dict[int, tuple[Frame, ...]] = {}
    events: list[str] = []
    names: dict[Frame, str] = {}

    def put(frame: Frame, phase: str, tid: int, at: int) -> None:
        head = names.get(frame)
        if head is None:
            place = {"filename": frame.file, "line": frame.line or 0}
            head = names[frame] = json.dumps(
                {"args": place, "cat": "py-spy"}, separators=(",", ":")
            )
            head = names[frame] = f'{head[:-1]},"name":{json.dumps(frame.function)}'
        us = at * TICK_MS * 1000
        events.append(
            f'{head},"ph":"{phase}","pid":{pid},"tid":{tid + 140_000_000_000},"ts":{us}}}'
        )

    for at, tid, stack in changes:
        before = shown.get(tid)
        if before is None:
            before = (Frame(f"thread ({tid}): thread-{tid}", "", 0),)
            put(before[0], "B", tid, at)
        frames = (before[0], *stack)
        same = 1
        while same < min(len(before), len(frames)) and before[same] == frames[same]:
            same += 1
        for frame in reversed(before[same:]):
            put(frame, "E", tid, at)
        for frame in frames[same:]:
            put(frame, "B", tid, at)
        shown[tid] = frames
    for tid, frames in shown.items():
        for frame in reversed(frames):
            put(frame, "E", tid, end)
    return f"[{','.join(events)}]"


def _streams(writer: Writer, pid: int, own: dict[int, list[Step]], *, tells: bool) -> None:
    loop = own[pid]
    states = [row for tid, steps in own.items() for row in _states(tid, steps)]
    streams: dict[str, tuple[RowType, Sequence[Row]]] = {
        "threads": (ThreadRow, sorted(states, key=lambda row: row.at_ns)),
        "epoll": (epolls.EpollRow, list(_epolls(loop, pid))),
        "asyncio": (loops.LoopRow, list(_loops(loop, pid))),
        "pools": (pools.PoolRow, list(_pools(own, pid))),
        "backlog": (listeners.ListenerRow, list(_listeners(loop, tells=tells))),
    }
    for name, (kind, rows) in streams.items():
        writer.start_stream(name, pid, kind)
        writer.append(name, pid, rows)
        writer.end_stream(name, pid, "the capture ended")


def _states(tid: int, steps: list[Step]) -> Iterator[ThreadRow]:
    """A thread that runs has a row at every tick."""
    ran = 0
    for step in steps:
        call = _CALLS.get(step.what)
        if call is not None:
            yield ThreadRow(_ns(step.start), tid, "S", *call, ran, 0)
            ran += build.WOKE_NS
            continue
        for tick in range(step.start, step.end):
            yield ThreadRow(_ns(tick), tid, "R", None, None, ran, 0)
            ran += TICK_MS * 1_000_000


def _epolls(steps: list[Step], pid: int) -> Iterator[epolls.EpollRow]:
    yield epolls.EpollOpened(_ns(0), _EPFD, pid)
    for step in steps:
        if step.what == "poll":
            continue
        yield epolls.EpollReady(_ns(step.start), _EPFD, is_ready=True)
        if step.what == "sleep":
            sockets: tuple[UnreadSocket, ...] = ()
            for n in range(4):
                sockets += (build.sock(pid * 10 + n),)
                yield epolls.EpollUnread(_ns(step.start + 6 + n * 10), _EPFD, sockets)
        yield epolls.EpollReady(_ns(step.end), _EPFD, is_ready=False)


def _loops(steps: list[Step], pid: int) -> Iterator[loops.LoopRow]:
    facts = LoopInfo("asyncio", _EPFD, pid, "running", closed=False)
    yield loops.LoopFound(_ns(0), _LOOP, facts)
    changes = 0
    for step in steps:
        if step.what != "sleep":
            for tick in range(step.start, step.end):
                changes += 6
                yield loops.LoopServed(_ns(tick), _LOOP, 0, changes)
            continue
        late = LateTimer(_ns(step.start + 2), "heartbeat", "/app/main.py:12", guards=False)
        yield loops.LoopWaiting(_ns(step.start + 6), _LOOP, LoopWork(0, (), 1, (late,)))


def _pools(own: dict[int, list[Step]], pid: int) -> Iterator[pools.PoolRow]:
    """The queue grows while the loop is busy; once in a while nothing is taken for 0.3 s."""
    tids = tuple(tid for tid in own if tid != pid)
    info = PoolInfo("executor", "jobs", None, len(tids), tids)
    yield pools.PoolFound(_ns(0), _POOL, info)
    for n, step in enumerate(step for step in own[tids[0]] if step.what == "run"):
        stuck = n % 40 == 39
        yield pools.PoolQueue(_ns(step.start), _POOL, 1, n)
        if stuck:
            waits = PoolWaits((("job_1", "/app/jobs.py:7"),), ())
            yield pools.PoolStuck(_ns(step.start), _POOL, waits)
        yield pools.PoolQueue(_ns(step.end + 30 * stuck), _POOL, 0, n + 1)


def _listeners(steps: list[Step], *, tells: bool) -> Iterator[listeners.ListenerRow]:
    yield listeners.ListenerFound(_ns(0), _LISTENER, f"127.0.0.1:{_PORT}", 7)
    yield listeners.ListenerAccepted(_ns(0), _LISTENER, 3)
    if not tells:
        return
    for step in steps[::20]:
        yield listeners.ListenerWaiting(_ns(step.start), _LISTENER, 2)
        yield listeners.ListenerWaiting(_ns(step.end), _LISTENER, 0)


# --- measured ------------------------------------------------------------------------------------


def main() -> None:
    """Prints seconds, memory and size for a recording of 64 workers, 10 threads each, 60 s."""
    began = time.perf_counter()

    def done(what: str) -> None:
        nonlocal began
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{what}: {time.perf_counter() - began:.1f} s, peak {peak_mb:.0f} MB", flush=True)
        began = time.perf_counter()

    with tempfile.TemporaryDirectory() as name:
        samples = write(Path(name) / "rec", 64, 10, 60.0, "delta")
        size_mb = sum(f.stat().st_size for f in Path(name).rglob("*") if f.is_file()) / 1e6
        done(f"written: {samples / 1e6:.2f} million samples, {size_mb:.0f} MB")
        recording = loading.load(str(Path(name) / "rec"))
        done("loaded")
        judged = analysis.analyse(recording)
        count = sum(len(thread.activities) for thread in judged.threads)
        done(f"analysed: {count} activities, {len(judged.report.findings)} findings")
        page = io.StringIO()
        REPORTS["html"]().render(judged, page)
        size_mb = len(page.getvalue().encode()) / 1e6
        done(f"page of {size_mb:.1f} MB")
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if chromium and driver:
            file = Path(name) / "page.html"
            file.write_text(page.getvalue(), "utf-8")
            _measure_in_browser(chromium, driver, file)


def _measure_in_browser(chromium: str, driver: str, file: Path) -> None:
    """Milliseconds from the address to the drawn page, and from a click to the second frame."""
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        browser.get(file.as_uri())
        ready = browser.execute_async_script(_WHEN_READY)
        print(f"in Chromium, drawn after {ready:.0f} ms")
        for what, selector in _CLICKS.items():
            took = browser.execute_async_script(_CLICK, selector)
            print(f"  {what}: {took:.0f} ms")
    finally:
        browser.quit()


_CLICKS = {
    "timeline, zoom in": "#timeline [aria-label='Zoom in']",
    "timeline, next episode": "#timeline [aria-label='Next episode']",
    "flamegraph, selection ended": "#flamegraph .chip button",
    "flamegraph, by wall time": "#flamegraph [data-value=wall]",
    "flamegraph, libraries unfolded": "#flamegraph .tools > button",
    "flamegraph, zoom": "#flamegraph .flame g:nth-of-type(9)",
}
_WHEN_READY = """
const frames = () => requestAnimationFrame(() => requestAnimationFrame(
  () => arguments[0](performance.now())));
const wait = () => document.documentElement.dataset.ready ? frames() : setTimeout(wait, 5);
wait();
"""
_CLICK = """
const [selector, done] = arguments;
const began = performance.now();
document.querySelector(selector).dispatchEvent(new MouseEvent("click", {bubbles: true}));
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
"""


if __name__ == "__main__":
    main()
