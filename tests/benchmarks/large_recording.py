"""A large recording, built without a target: busy loops that are blocked now and then, and pools.

``python -m tests.benchmarks.large_recording`` measures the pure half and the page on it, and, where
Chromium is installed, how long the page takes there.
"""

from __future__ import annotations

import io
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from selenium import webdriver

from tests.examples import build
from waitspy.judge import analysis
from waitspy.model.epolls import EpollEvent, UnreadSocket
from waitspy.model.recorded import Recording, WorkerRecord
from waitspy.model.stacks import Frame, Stack
from waitspy.model.threads import Interval, KernelState, SampledThread, Segment
from waitspy.render import REPORTS

_EPFD = 5
_FUTEX, _SLEEP, _EPOLL = (
    build._NUMBERS[name] for name in ("futex", "clock_nanosleep", "epoll_wait")
)
_BLOCK_MS = 400.0


def large(workers: int = 64, threads: int = 10, seconds: float = 60.0) -> Recording:
    """That many workers and threads; every loop changes what it does every few milliseconds."""
    records = [_worker(4000 + n, threads, seconds, random.Random(n)) for n in range(workers)]
    return build.recording(*records, end_ms=seconds * 1000)


def _worker(pid: int, threads: int, seconds: float, chance: random.Random) -> WorkerRecord:
    steps = list(_steps(seconds * 1000, chance))
    loop = SampledThread(
        pid, "MainThread", tuple(Interval(a, b, stack) for a, b, stack, _ in steps)
    )
    states = {pid: tuple(_states(steps))}
    sampled = [loop]
    for n in range(1, threads):
        rows = list(_pool_steps(seconds * 1000, chance))
        name = f"ThreadPoolExecutor-0_{n}"
        shown = tuple(Interval(a, b, stack) for a, b, stack, _ in rows)
        sampled.append(SampledThread(pid + n * 100_000, name, shown))
        states[pid + n * 100_000] = tuple(_states(rows))
    segment = Segment(build.at(0), build.at(seconds * 1000), build.PERIOD_NS, tuple(sampled))
    return WorkerRecord(
        build.process(pid),
        build.at(0),
        rate_hz=100.0,
        samples=int(seconds * 100),
        missed_samples=0,
        oracles={"threads": "ok", "epoll": "ok"},
        runtime_span=build.RUNTIME_SPAN,
        segments=(segment,),
        states=states,
        epolls=tuple(_epolls(steps, pid)),
    )


_Step = tuple[int, int, Stack, str]


def _steps(end_ms: float, chance: random.Random) -> Iterator[_Step]:
    """A loop that polls, serves, and is blocked for 0.4 s about every eight seconds."""
    at = 0.0
    while at < end_ms:
        kind = chance.random()
        if kind < 0.003:
            length, stack, what = _BLOCK_MS, build.HANDLER, "sleep"
        elif kind < 0.5:
            length, stack, what = chance.uniform(5, 30), build.POLL, "poll"
        else:
            length, stack, what = chance.uniform(3, 20), _handler(chance), "run"
        yield build.at(at), build.at(min(end_ms, at + length)), stack, what
        at += length


def _pool_steps(end_ms: float, chance: random.Random) -> Iterator[_Step]:
    idle = (*build.THREAD, Frame("_worker", f"{build.LIB}/concurrent/futures/thread.py", 81))
    work = (*build.THREAD, Frame("_worker", f"{build.LIB}/concurrent/futures/thread.py", 83))
    at, busy = 0.0, False
    while at < end_ms:
        length = chance.uniform(10, 60) if busy else chance.uniform(50, 600)
        tail = (Frame(f"job_{chance.randrange(20)}", "/app/jobs.py", chance.randrange(200)),)
        stack, what = ((*work, *tail), "run") if busy else (idle, "futex")
        yield build.at(at), build.at(min(end_ms, at + length)), stack, what
        at, busy = at + length, not busy


def _handler(chance: random.Random) -> Stack:
    """One of some thousand stacks below the loop's."""
    frames = [
        Frame(f"view_{chance.randrange(8)}", "/app/views.py", chance.randrange(60)),
        Frame(f"service_{chance.randrange(12)}", "/app/services.py", chance.randrange(40)),
        Frame("Session.execute", f"{build.SITE}/sqlalchemy/orm/session.py", 2351),
    ]
    return (*build.DISPATCH, *frames)


def _states(steps: list[_Step]) -> Iterator[KernelState]:
    ran = 0
    for start_ns, end_ns, _, what in steps:
        syscall = {"poll": _EPOLL, "sleep": _SLEEP, "futex": _FUTEX}.get(what)
        arg0 = {"poll": _EPFD, "futex": build.HEAP_WORD}.get(what, 0)
        state = "R" if syscall is None else "S"
        yield KernelState(start_ns, state, syscall, arg0 if syscall else None, ran, 0)
        ran += end_ns - start_ns if syscall is None else build.WOKE_NS


def _epolls(steps: list[_Step], pid: int) -> Iterator[EpollEvent]:
    yield EpollEvent(build.at(0), _EPFD, share=pid)
    for start_ns, end_ns, _, what in steps:
        if what == "poll":
            continue
        yield EpollEvent(start_ns + 1_000_000, _EPFD, ready=True)
        if what == "sleep":
            sockets: tuple[UnreadSocket, ...] = ()
            for n in range(4):
                sockets += (build.sock(pid * 10 + n),)
                yield EpollEvent(start_ns + (20 + n * 90) * 1_000_000, _EPFD, unread=sockets)
        yield EpollEvent(end_ns, _EPFD, ready=False)


def main() -> None:
    """Prints seconds, memory and size for a recording of 64 workers, 10 threads each, 60 s."""
    began = time.perf_counter()

    def done(what: str) -> None:
        nonlocal began
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{what}: {time.perf_counter() - began:.1f} s, peak {peak_mb:.0f} MB")
        began = time.perf_counter()

    recording = large()
    done("built")
    judged = analysis.analyse(recording)
    count = sum(len(thread.activities) for thread in judged.threads)
    done(f"analysed: {count} activities, {len(judged.report.findings)} findings")
    page = io.StringIO()
    REPORTS["html"]().render(judged, page)
    size_mb = len(page.getvalue().encode()) / 1e6
    done(f"page of {size_mb:.1f} MB")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium and driver:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "page.html"
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
