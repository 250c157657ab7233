"""A small recording as the capture writes it, and one in which every text is hostile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.examples.build import HANDLER, POLL, START_NS, Trace, at
from waitspy.model.epolls import UnreadSocket
from waitspy.model.recorded import Recording
from waitspy.model.stacks import Frame
from waitspy.recording import loading
from waitspy.recording.dumps import DumpRow
from waitspy.recording.epolls import EpollClosed, EpollOpened, EpollReady, EpollRow, EpollUnread
from waitspy.recording.folder import Writer, save_sources
from waitspy.recording.threads import ThreadRow

END_NS = at(1_000)
META: dict[str, Any] = {
    "clock": {"monotonic_ns": START_NS, "wall": "2026-01-02T03:04:05+00:00"},
    "host": {"name": "web-1", "kernel": "6.1", "arch": "x86_64", "cpus": 2},
    "target": ":8000",
    "rate_hz": 100.0,
    "tick_s": 0.01,
    "min_stall_s": 0.1,
    "waitspy": "0.1.0",
}
WORKER: dict[str, Any] = {
    "pid": 7,
    "ppid": 1,
    "role": "worker",
    "command": "python main.py",
    "start_ticks": 5_000,
    "python": "3.12.1",
    "framework": "uvicorn",
    "threads": 2,
    "attached_ns": START_NS,
    "oracles": {"threads": "ok", "epoll": "ok", "asyncio": "no symbols"},
    "runtime_span": [4096, 8192],
}
THREADS = [
    ThreadRow(at(0), 7, "S", 232, 5, 100, 0),
    ThreadRow(at(200), 7, "S", 230, 0, 200, 5),
    ThreadRow(at(0), 8, "S", 202, 4100, 100, 0),
    ThreadRow(at(800), 7, "S", 232, 5, 300, 5),
    ThreadRow(at(900), 8, "X"),
]
SOCKET = UnreadSocket(66, "tcp", 120, "127.0.0.1:8000", "127.0.0.1:50000", inbound=True)
EPOLL = [
    EpollOpened(at(0), 5, 1),
    EpollReady(at(300), 5, is_ready=True),
    EpollUnread(at(400), 5, (SOCKET,)),
    EpollReady(at(800), 5, is_ready=False),
    EpollClosed(at(950), 5),
]
DUMP = DumpRow(at(310), {7: HANDLER, 8: (Frame("f", "x.py"),)}, 8)
SOURCES = {"/app/client.py": {41: "    time.sleep(backoff_s)"}}


def trace() -> str:
    """One second of two threads; the second one's name ends like the file does."""
    rows = Trace(7).show(1_000, 1, "thread (7): MainThread", POLL)
    rows.show(1_100, 2, "thread (8): pool[1]", HANDLER[-1:])
    return rows.show(200_000, 1, "thread (7): MainThread", HANDLER).end(999_000)


def write(path: Path, worker: dict[str, Any] | None = None, **more: Any) -> Path:
    """A whole recording of one worker, as the capture writes it."""
    writer = Writer(str(path), META)
    writer.start_stream("threads", 7, ThreadRow)
    writer.append("threads", 7, THREADS)
    writer.start_stream("epoll", 7, EpollRow)
    writer.append("epoll", 7, EPOLL)
    writer.append_dump(7, DUMP)
    writer.save_file("stacks/7-0.trace.json", trace())
    writer.meta["workers"] = [WORKER | (worker or {})]
    writer.meta["segments"] = [
        {"pid": 7, "n": 0, "file": "7-0.trace.json", "zero_ns": START_NS, "rate_hz": 100,
         "end_ns": at(1_000), "samples": 180, "errors": 0}
    ]  # fmt: skip
    writer.meta["losses"] = []
    writer.meta["end_ns"] = END_NS
    writer.meta["cost"] = {"cpu_s": 0.3, "cpu_share": 0.03, "peak_rss_mb": 34.2}
    writer.meta.update(more)
    writer.close()
    save_sources(str(path), SOURCES)
    return path


STREAMS = (
    "oracles/threads/7.jsonl", "oracles/epoll/7.jsonl", "stacks/7-0.trace.json",
    "stacks/7.dumps.jsonl", "sources.json",
)  # fmt: skip


HOSTILE = "\ud800<script>\x1b[31m\u202e\n\"'],},{\\ud8\udfff" + "x" * 200


def load(path: Path) -> Recording:
    return loading.load(str(path))


def change(path: Path, **more: Any) -> None:
    meta = json.loads((path / "meta.json").read_text("utf-8"))
    meta.update(more)
    (path / "meta.json").write_text(json.dumps(meta), "utf-8")


def drop(path: Path, *keys: str) -> None:
    meta = json.loads((path / "meta.json").read_text("utf-8"))
    for key in keys:
        del meta[key]
    (path / "meta.json").write_text(json.dumps(meta), "utf-8")


def whats(recording: Recording) -> set[str]:
    return {loss.what for loss in recording.losses}


def hostile(path: Path) -> Path:
    """A recording in which every text that comes from a target is hostile."""
    write(
        path,
        {"command": HOSTILE, "exit": HOSTILE, "oracles": {"epoll": HOSTILE, "threads": "ok"}},
        target=HOSTILE,
        losses=[{"what": HOSTILE, "why": HOSTILE, "remedy": HOSTILE, "pid": 7}],
        host={"name": HOSTILE, "arch": "x86_64"},
    )
    own = Trace(7)
    stack = tuple(type(f)(f.function, f.file, f.line) for f in HANDLER)
    odd = (*stack, type(stack[0])(HOSTILE, HOSTILE, 3))
    own.show(1_000, 1, f"thread (7): {HOSTILE}", POLL)
    (path / "stacks/7-0.trace.json").write_text(
        own.show(200_000, 1, f"thread (7): {HOSTILE}", odd).end(999_000), "utf-8"
    )
    row = [at(310), {"7": [[HOSTILE, HOSTILE, 3]]}, 8]
    (path / "stacks/7.dumps.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    stream = path / "oracles/epoll/7.jsonl"
    unread = ["unread", at(400), 5, [[66, "tcp", 120, HOSTILE, HOSTILE, True]]]
    lines = stream.read_bytes().splitlines()
    lines[3] = json.dumps(unread).encode()
    stream.write_bytes(b"\n".join(lines) + b"\n")
    save_sources(str(path), {HOSTILE: {3: HOSTILE}})
    return path
