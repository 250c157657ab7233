"""Runnable servers with known truth: each scenario is an ordinary program and states its answer.

A scenario is a package that runs with ``python -m``, needs nothing beyond what its docstring names,
and defines ``TRUTH``: per variant, the options that run it and what a profiler must say about it.
Each one knows ``--healthy``, which runs it without the harm. A new scenario is one new package and
one line in ``SCENARIOS``; what starts servers and keeps them busy is in
``waitspy_scenarios.serving``. This module imports no scenario, so that listing them needs none of
their dependencies.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast


@dataclass(frozen=True, slots=True)
class Expected:
    """What a profiler must say of one variant of a scenario.

    ``options`` run the variant, short enough for a test. ``kind`` is the kind of the one finding
    with that ``verdict``, None when there must be no finding at all. ``function`` and ``file``
    (relative to the ``scenarios`` package, or to the installed packages) are its blame (no ``file``
    where that lies in a folder of the scenario's own), ``source`` the blamed line, ``wait`` the
    kind of its wait; None when they are not told. ``victims`` are the kinds that may wait; at least
    one of them must appear, and one victim's name must contain ``victim``. The finding names at
    least that many ``processes``. ``share`` bounds the part of
    the load's time (the option ``--seconds``) that its episodes cover in a process, on average
    over the processes that have any; ``longest_s`` bounds its longest episode. ``also`` are kinds
    that may accompany it. With ``required`` False the finding may be missing, but if there is one
    it must be this one. ``root`` is the function at the end of its chain. ``hidden`` is what must
    be said of a worker that cannot be seen whole.
    """

    options: tuple[str, ...]
    kind: str | None = None
    function: str | None = None
    file: str | None = None
    victims: frozenset[str] = frozenset()
    longest_s: float | None = None
    required: bool = True
    verdict: Literal["starving", "late"] = "starving"
    source: str | None = None
    wait: str | None = None
    victim: str | None = None
    processes: int = 1
    share: tuple[float, float] | None = None
    also: frozenset[str] = frozenset()
    hidden: str | None = None
    root: str | None = None

    @property
    def path(self) -> Path | None:
        """Where ``file`` is; None when there is no such file."""
        folders = [Path(__file__).parent, *map(Path, sys.path)]
        found = (folder / str(self.file) for folder in folders)
        return next((path for path in found if path.is_file()), None)

    @property
    def load_s(self) -> float | None:
        """How long the load lasts, where the options say it."""
        if "--seconds" not in self.options:
            return None
        return float(self.options[self.options.index("--seconds") + 1])


@dataclass(frozen=True, slots=True)
class Scenario:
    """One entry of the registry: its name, one line about it, and the module that runs it.

    ``takes_s`` is about how long that takes without options: 20 s of load (``--seconds``), and what
    it needs to start and end. ``inspect`` says that its server is a Node.js, whose inspector has
    to be opened to see stacks.
    """

    name: str
    summary: str
    module: str
    takes_s: int = 23
    inspect: bool = False

    @property
    def truth(self) -> Mapping[str, Expected]:
        """The scenario's ``TRUTH``, by name of the variant; imports its module."""
        return cast("Mapping[str, Expected]", importlib.import_module(self.module).TRUTH)

    def command(self, *options: str) -> list[str]:
        """The command that runs it with this interpreter."""
        return [sys.executable, "-m", self.module, *options]


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "buffer-vs-job",
            "idle workers park outside their loop and freeze the flushes left behind",
            "waitspy_scenarios.buffer_vs_job",
            takes_s=37,
        ),
        Scenario(
            "fastapi-sync-call",
            "a synchronous call inside an async endpoint stops every request of its worker",
            "waitspy_scenarios.fastapi_sync_call",
        ),
        Scenario(
            "fastapi-full-threads",
            "endpoints that wait in a thread leave none of AnyIO's 40 for the next request",
            "waitspy_scenarios.fastapi_full_threads",
        ),
        Scenario(
            "gunicorn-recycled-workers",
            "the sync call again, on uvloop, in workers that are replaced while one looks",
            "waitspy_scenarios.gunicorn_recycled_workers",
        ),
        Scenario(
            "gunicorn-slow-upstream",
            "all sync or gthread workers wait for a slow service, and clients queue",
            "waitspy_scenarios.gunicorn_slow_upstream",
        ),
        Scenario(
            "process-pool-pipeline",
            "crawlers with loops of their own block on a full queue to the next process",
            "waitspy_scenarios.process_pool_pipeline",
        ),
        Scenario(
            "gil-hog",
            "a thread that computes keeps the GIL, and the loop beside it waits",
            "waitspy_scenarios.gil_hog",
        ),
        Scenario(
            "cache-lock",
            "a thread holds the lock of a cache over a slow call, and the loop wants it",
            "waitspy_scenarios.cache_lock",
        ),
        Scenario(
            "held-sessions",
            "sessions that are open over a slow call have all connections of the pool",
            "waitspy_scenarios.held_sessions",
        ),
        Scenario(
            "forked-log-lock",
            "workers are forked while a thread holds a log handler's lock, and want it for ever",
            "waitspy_scenarios.forked_log_lock",
        ),
        Scenario(
            "dns-behind-executor",
            "blocking work fills the default executor, and name lookups queue behind it",
            "waitspy_scenarios.dns_behind_executor",
        ),
        Scenario(
            "django-row-lock",
            "Django's one shared thread waits for a locked row, and all requests wait for it",
            "waitspy_scenarios.django_row_lock",
        ),
        Scenario(
            "aiohttp-redis",
            "aiohttp handlers read from a Redis that pauses, with the synchronous client",
            "waitspy_scenarios.aiohttp_redis",
        ),
        Scenario(
            "celery-leftovers",
            "Celery tasks leave asyncio work behind, which stands still until the next task",
            "waitspy_scenarios.celery_leftovers",
        ),
        Scenario(
            "tornado-upstream",
            "a Tornado handler asks another service with urllib",
            "waitspy_scenarios.tornado_upstream",
        ),
        Scenario(
            "trio-subprocess",
            "a trio application on hypercorn runs a converter with subprocess.run",
            "waitspy_scenarios.trio_subprocess",
        ),
        Scenario(
            "gevent-file-lock",
            "a gevent worker of gunicorn waits for a file lock, which gevent cannot patch",
            "waitspy_scenarios.gevent_file_lock",
        ),
        Scenario(
            "piscina-buffer",
            "buffer-vs-job on Node.js: piscina's idle workers are parked, and answers lie unread",
            "waitspy_scenarios.piscina_buffer",
            takes_s=28,
            inspect=True,
        ),
        Scenario(
            "node-sync-fs",
            "a file is read with readFileSync from a share that is slow, on Node's main thread",
            "waitspy_scenarios.node_sync_fs",
            inspect=True,
        ),
        Scenario(
            "node-regex",
            "a regular expression takes very long on some texts, on Node's main thread",
            "waitspy_scenarios.node_regex",
            inspect=True,
        ),
    )
}
