"""Every oracle's name, once, and what it watches, in words."""

from __future__ import annotations

from collections.abc import Mapping

from waitspy.model.processes import RuntimeName, Worker

THREADS = "threads"
EPOLL = "epoll"
ASYNCIO = "asyncio"
POOLS = "pools"
BACKLOG = "backlog"
DATAGRAMS = "datagrams"
MESSAGES = "messages"
REQUESTS = "requests"
PLACES = "places"
WAIT_FOR = "wait_for"
CHILDREN = "children"
LIBUV = "libuv"

PENDING: Mapping[str, str] = {
    EPOLL: "I/O",
    ASYNCIO: "asyncio work",
    LIBUV: "timers of Node.js",
    POOLS: "pools",
    BACKLOG: "accept queues",
}
"""Oracles of pending work; without any of them nothing can be said of a worker."""

WATCHED: Mapping[str, str] = {
    **PENDING,
    THREADS: "thread states",
    DATAGRAMS: "unread datagrams",
    MESSAGES: "unread messages",
    REQUESTS: "what is owed to clients",
    PLACES: "where tasks wait",
    WAIT_FOR: "who holds what threads wait for",
    CHILDREN: "what waits for processes that wait for it",
}
"""All oracles."""

_OF: Mapping[str, RuntimeName] = {
    ASYNCIO: "Python",
    PLACES: "Python",
    WAIT_FOR: "Python",
    CHILDREN: "Python",
    DATAGRAMS: "Python",
    MESSAGES: "Python",
    LIBUV: "Node.js",
}
"""The oracles that know one runtime's objects; the others ask the kernel alone."""


def concerns(name: str, worker: Worker) -> bool:
    """Whether that oracle can have anything to say of such a process."""
    runtime = worker.runtime
    return runtime is None or _OF.get(name, runtime.name) == runtime.name
