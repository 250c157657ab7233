"""The event loops of an interpreter: which there are, whose they are, and their ready queues."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from waitspy.remote import uvloop
from waitspy.remote.anchors import Anchors, InterpreterState
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Torn, Unreadable, word_at
from waitspy.remote.runtime import Thread
from waitspy.remote.type_facts import TypeFacts
from waitspy.remote.values import Service

_RUNNING_KEY = "__asyncio_running_event_loop__"
_ATTRIBUTES = frozenset({"_ready", "_scheduled", "_selector", "_closed", "_default_executor"})
_MOST_HELD = 4000
"""Objects in one thread's frames that are looked at."""

_MOST_HOLDERS = 500
"""Objects with attributes, in the frames of one thread, whose attributes are looked at."""

_HELD_CPU_NS = 10_000_000  # one thread takes about a third of a millisecond


@dataclass(frozen=True, slots=True)
class LoopInMemory:
    """A loop as it stands in memory; addresses are None where there is nothing to read.

    ``uv`` is set for uvloop's. ``scheduled`` is the list of timers of asyncio's own.
    """

    address: int
    kind: str
    type_name: str
    ready: int | None = None
    scheduled: int | None = None
    epfd: int | None = None
    closed: bool | None = None
    executor: int | None = None
    uv: uvloop.UvLoop | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A loop that a thread runs."""

    loop: int
    thread: Thread


class EventLoops:
    """Finds and reads the loops of one interpreter.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, interp: InterpreterState, anchors: Anchors, frames: Frames) -> None:
        self.interp = interp
        self.anchors = anchors
        self.frames = frames
        self.objects = interp.objects
        self.memory = interp.objects.memory
        self._held: dict[tuple[int, int | None], dict[int, str]] = {}
        self._turn = -1  # the last of the list is the first thread that there was

    # --- which run ------------------------------------------------------------------------

    def running(self, threads: Iterable[Thread]) -> list[Running]:
        """The loops inside run_forever (or run_until_complete) right now."""
        if self.anchors.layout.thread_running_loop:
            return self._running_fields(list(threads))
        return self._running_entries(threads)

    def _running_fields(self, threads: list[Thread]) -> list[Running]:
        """3.13 and newer: a field of the thread state."""
        lay = self.anchors.layout
        at = [thread.address + lay.thread_running_loop for thread in threads]
        raw, missing = self.memory.gather(at, 8)
        found = []
        for index, thread in enumerate(threads):
            (loop,) = struct.unpack_from("<Q", raw, 8 * index)
            if index not in missing and loop not in {0, self.interp.none}:
                found.append(Running(loop, thread))
        return found

    def _running_entries(self, threads: Iterable[Thread]) -> list[Running]:
        """3.8 to 3.12: an entry of the thread state's dict."""
        found = []
        for thread in threads:
            if not thread.names:
                continue
            try:
                items = self.objects.dict_items(thread.names, 1 << 12)
                value = self.objects.named(items, {_RUNNING_KEY}).get(_RUNNING_KEY, 0)
                if value and self.anchors.layout.pair < (3, 12):
                    value = self._loop_of_holder(value)
            except Unreadable:
                continue  # a thread that ends or changes its dict right now
            if value not in {0, self.interp.none}:
                found.append(Running(value, thread))
        return found

    def _loop_of_holder(self, address: int) -> int:
        """The loop in a PyRunningLoopHolder; 0 when it is the copy that a fork made."""
        lay = self.anchors.layout
        raw = self.memory.read(address + lay.object_size, 12)
        loop, pid = struct.unpack("<QI", raw)
        return loop if pid == self.interp.runtime.inner_pid else 0

    # --- what they are --------------------------------------------------------------------

    def is_loop(self, kind: TypeFacts) -> bool:
        """Whether instances of that type are event loops."""
        return kind.is_a(self.anchors.loop_type)

    def read(self, address: int) -> LoopInMemory:
        """What a loop says of itself."""
        kind = self.objects.type_of(address)
        if not self.is_loop(kind):
            raise Torn("not an event loop")
        if any(self._is_uvloop(base) for base in (kind.address, *kind.mro)):
            return self._read_uvloop(address, kind)
        if not kind.is_a(self.anchors.base_loop_type):
            return LoopInMemory(address, kind.name, kind.name)
        found = self.objects.attributes(address, _ATTRIBUTES)
        ready = found.get("_ready")
        if ready is None or self.objects.type_of(ready).name != "collections.deque":
            return LoopInMemory(address, kind.name, kind.name)
        closed = found.get("_closed")
        return LoopInMemory(
            address=address,
            kind="asyncio",
            type_name=kind.name,
            ready=ready,
            scheduled=found.get("_scheduled"),
            epfd=self._epfd(found.get("_selector")),
            closed=None if closed is None else bool(self.objects.integer(closed)),
            executor=found.get("_default_executor"),
        )

    def _is_uvloop(self, address: int) -> bool:
        return self.objects.type_at(address).name == "uvloop.loop.Loop"

    def _read_uvloop(self, address: int, kind: TypeFacts) -> LoopInMemory:
        try:
            uv = uvloop.read_loop(self.objects, address)
        except Unreadable:
            return LoopInMemory(address, "uvloop", kind.name)
        return LoopInMemory(
            address=address,
            kind="uvloop",
            type_name=kind.name,
            ready=uv.ready,
            epfd=uv.epfd,
            closed=uv.closed,
            executor=uv.executor,
            uv=uv,
        )

    def _epfd(self, selector: int | None) -> int | None:
        """The epoll descriptor of a selectors.EpollSelector; None for another selector."""
        if selector is None or selector == self.interp.none:
            return None
        try:
            poll = self.objects.attributes(selector, {"_selector"}).get("_selector")
            if poll is None or self.objects.type_of(poll).name != "select.epoll":
                return None
            raw = self.memory.read(poll + self.anchors.layout.epoll_fd, 4)
        except Unreadable:
            return None
        (epfd,) = struct.unpack("<i", raw)
        return epfd if epfd >= 0 else None

    # --- the ready queue ------------------------------------------------------------------

    def service(self, ready: int) -> Service:
        """Size and modification counter of a ready queue: one read."""
        lay = self.anchors.layout
        raw = self.memory.read(ready, lay.deque_state + 8)
        if self.objects.type_at(word_at(raw, lay.ob_type)).name != "collections.deque":
            raise Torn("not a deque")
        return Service(word_at(raw, lay.ob_size), word_at(raw, lay.deque_state))

    def first_ready(self, ready: int, limit: int) -> list[int]:
        """The first handles of a ready queue."""
        return self.objects.deque_items(ready, limit)

    # --- whose they are -------------------------------------------------------------------

    def held(self, threads: Sequence[Thread]) -> dict[int, dict[int, str]]:
        """Loops that the Python frames of threads hold: by loop, thread and how.

        ``local``: directly; ``attribute``: as an attribute of an object they hold. Threads whose
        OS id is unknown are left out. Of very many some are asked, the next ones the next time,
        and what the others held when they were asked holds on.
        """
        keys = [(thread.address, thread.tid) for thread in threads]
        known = {key: self._held.get(key, {}) for key in keys}
        began_ns = time.thread_time_ns()
        asked = 0
        while asked < len(threads) and time.thread_time_ns() - began_ns < _HELD_CPU_NS:
            at = (self._turn + asked) % len(threads)
            known[keys[at]] = self._held_by(threads[at])
            asked += 1
        self._turn = (self._turn + asked) % max(1, len(threads))
        self._held = known
        found: dict[int, dict[int, str]] = {}
        for thread in threads:
            for loop, how in known[thread.address, thread.tid].items():
                if thread.tid is not None:
                    found.setdefault(loop, {})[thread.tid] = how
        return found

    def _held_by(self, thread: Thread) -> dict[int, str]:
        try:
            words = self.frames.held(thread.address)[:_MOST_HELD]
            types = self.objects.types_of(words)
        except Unreadable:
            return {}  # it runs: there is no need to ask its frames
        found: dict[int, str] = {}
        holders = []
        for word, kind in zip(words, types, strict=True):
            if kind is None or not kind.heap or kind.is_class:
                continue
            if self.is_loop(kind):
                found[word] = "local"
            else:
                holders.append(word)
        for loop in self._attributes_of(holders[:_MOST_HOLDERS]):
            found.setdefault(loop, "attribute")
        return found

    def _attributes_of(self, holders: list[int]) -> set[int]:
        values: dict[int, None] = {}
        for holder in holders:
            try:
                values.update(dict.fromkeys(self.objects.attribute_values(holder)))
            except Unreadable:
                continue
        addresses = list(values)[:_MOST_HELD]
        types = self.objects.types_of(addresses)
        return {
            address
            for address, kind in zip(addresses, types, strict=True)
            if kind is not None and kind.heap and self.is_loop(kind)
        }


def owner_in_frames(holders: Mapping[int, str]) -> int | None:
    """The one thread that holds a loop, those that do so in a local before the others."""
    for how in ("local", "attribute"):
        tids = [tid for tid, held in holders.items() if held == how]
        if tids:
            return tids[0] if len(tids) == 1 else None
    return None
