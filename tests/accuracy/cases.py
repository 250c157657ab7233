"""The cases: which target is run how, and whether somebody is harmed by what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """One target and how it is run.

    ``asyncio`` says that it runs on the loop that is asked for, so that it can run on uvloop too;
    ``client`` is how many connections ask, with what pause (seconds), and options of client.py.
    ``services`` are those that it needs, as services.py calls them. ``alone`` says that it needs the CPU, so that nothing else should run beside it; ``quick`` that
    it belongs to the few that always run. ``inspect`` opens the inspector of a Node.js.
    """

    name: str
    script: str
    arguments: tuple[str, ...]
    harmful: bool
    needs: tuple[str, ...] = ()
    asyncio: bool = True
    seconds: float = 4.0
    client: tuple[object, ...] = (2, 0.005)
    alone: bool = False
    quick: bool = False
    services: tuple[str, ...] = ()
    inspect: bool = False

    @property
    def on_node(self) -> bool:
        """Whether its target runs on Node.js."""
        return self.script.endswith(".js")


_BLOCKING = (
    "sleep", "lock", "rlock", "condition", "event", "queue-get", "simple-queue-get",
    "future-result", "futures-wait", "thread-join", "ask-other-loop", "subprocess-run", "recv",
    "connect", "accept", "select-call", "poll-call", "requests-get", "urllib-open", "sqlite-busy",
    "file-fsync", "file-lock", "full-stdout", "polling", "deep-stack",
)  # fmt: skip

_VICTIMS = ("io", "timers", "callbacks", "io,timers")


_TOGETHER = 5


def _blocking() -> list[Case]:
    """Every call on the loop; then, some together, in threads beside it, and while nothing is due."""
    cases = []
    for n, call in enumerate(_BLOCKING):
        needs = ("requests",) if call == "requests-get" else ()
        arguments = (call, "on-loop", _VICTIMS[n % len(_VICTIMS)])
        cases.append(Case(call, "blocking.py", arguments, harmful=True, needs=needs))
    for n in range(0, len(_BLOCKING), _TOGETHER):
        calls = [call for call in _BLOCKING[n : n + _TOGETHER] if call != "requests-get"]
        for where in ("in-threads", "unseen"):
            # a thread that wants what another one holds is a finding of its own
            harmless = [c for c in calls if where == "unseen" or c not in {"lock", "rlock"}]
            arguments = (",".join(harmless), where, "io,timers,callbacks")
            name = f"{calls[0]} to {calls[-1]}, {where}"
            cases.append(Case(name, "blocking.py", arguments, harmful=False))
    return cases


def _computing() -> list[Case]:
    works = ("cpu-loop", "many-calls", "big-json", "regex", "sorting")
    on_loop = [Case(w, "computing.py", (w, "on-loop"), harmful=True, alone=True) for w in works]
    # What keeps the thread running must not hide whom it keeps waiting.
    one_kind = [
        Case(
            f"{work}, {victims} only",
            "computing.py",
            (work, "on-loop", victims),
            harmful=True,
            alone=True,
            quick=(work, victims) == ("cpu-loop", "timers"),
        )
        for work, victims in (
            ("cpu-loop", "timers"),
            ("cpu-loop", "callbacks"),
            ("cpu-loop", "tasks"),
            ("big-json", "timers"),
        )
    ]
    return [
        *on_loop,
        *one_kind,
        Case("sorting, unseen", "computing.py", ("sorting", "unseen"), harmful=False, alone=True),
    ]


def _parked() -> list[Case]:
    cases = []
    for how in ("queue", "condition", "pipe", "join", "sleep", "stop"):
        for state in ("harmful", "idle"):
            arguments = (how, state)
            cases.append(Case(f"parked on {how}, {state}", "parked.py", arguments, state != "idle"))
    for victims in ("io", "timers", "callbacks", "tasks"):
        alone = ("queue", "harmful", victims)
        cases.append(Case(f"parked, {victims} only", "parked.py", alone, harmful=True))
    for place in ("thread", "child"):
        arguments = (f"{place}-queue", "harmful")
        cases.append(Case(f"parked in a {place}", "parked.py", arguments, harmful=True))
    return cases


_REQUESTS = (4, 0.02)
_LONG_S = 7.0
"""For what only seldom looks see: that waits for long."""


def _held_locks() -> list[Case]:
    cases = []
    held = (
        ("rlock", "sleep"), ("condition", "socket"), ("lock", "join"), ("rlock", "future"),
        ("lock", "program"), ("rlock-by-hand", "sleep"), ("logging", "socket"),
        ("lock", "computing"),
    )  # fmt: skip
    for what, call in held:
        name = f"held-lock {what} of threads, {call}"
        arguments = ("held", what, call)
        alone = call == "computing"
        cases.append(Case(name, "locks_of_threads.py", arguments, True, (), False, alone=alone))
    for story, lock, harmful in (
        ("two", "lock", True), ("two", "condition", True), ("requests", "semaphore", True),
        ("handed", "rlock", False), ("batch", "semaphore", False), ("leaders", "lock", False),
        ("unwanted", "lock", False), ("parties", "lock", False), ("signals", "condition", False),
        ("brief", "lock", False),
    ):  # fmt: skip
        name = f"held-lock {lock} of threads, {story}"
        cases.append(
            Case(
                name,
                "locks_of_threads.py",
                (story, lock),
                harmful,
                asyncio=False,
                client=_REQUESTS,
            )
        )
    for story, lock, call, harmful in (
        ("held", "lock", "stream", True), ("held", "condition", "program", True),
        ("held", "anyio-lock", "thread", True), ("held", "lock", "task", True),
        ("requests", "semaphore", "sleep", True), ("requests", "anyio-limiter", "stream", True),
        ("handed", "lock", "sleep", False), ("leaders", "lock", "sleep", False),
        ("batch", "anyio-limiter", "sleep", False), ("rotating", "semaphore", "sleep", False),
        ("unwanted", "lock", "sleep", False), ("signals", "condition", "sleep", False),
        ("ends", "lock", "sleep", False), ("held", "lock", "gather", True),
        ("patient", "lock", "sleep", False),
    ):  # fmt: skip
        name = f"held-lock {lock} of tasks, {story}{f' {call}' * harmful}"
        needs = ("anyio",) if lock.startswith("anyio") else ()
        cases.append(
            Case(name, "locks_of_tasks.py", (story, lock, call), harmful, needs, True, _LONG_S,
                 _REQUESTS)
        )  # fmt: skip
    return cases


def _rings() -> list[Case]:
    harmful = ("two", "three", "places", "again", "join", "future", "forked")
    harmless = ("ordered", "signals", "reentrant", "patient", "released")
    cases = [
        Case(f"held-deadlock {story}", "rings.py", (story,), story in harmful, asyncio=False)
        for story in (*harmful, *harmless)
    ]
    place_free = Case("held-lock no ring", "rings.py", ("place-free",), True, asyncio=False)
    return [*cases, place_free]


def _chains() -> list[Case]:
    """Chains over several hops, through queues, C code and asgiref, and such that end at nobody."""
    cases = []
    for story, kind, harmful in (
        ("consumer", "lock", True), ("mutex", "lock", True), ("asgiref", "lock", True),
        ("mutexes", "deadlock", True), ("alone", "deadlock", True), ("filling", "lock", False),
        ("handed", "lock", False), ("serves", "deadlock", False), ("taken", "lock", True),
        ("passed", "lock", False),
    ):  # fmt: skip
        needs = ("asgiref",) if story in {"asgiref", "alone", "serves"} else ()
        name = f"held-{kind} chain of threads, {story}"
        cases.append(Case(name, "chains_of_threads.py", (story,), harmful, needs, asyncio=False))
    for story in ("pipe", "service", "manager", "turns", "quick"):
        harmful = story not in {"turns", "quick"}
        name = f"held-lock over an answer, {story}"
        cases.append(Case(name, "answers_of_processes.py", (story,), harmful, asyncio=False))
    for story, kind, harmful in (
        ("hops", "lock", True), ("two", "deadlock", True), ("three", "deadlock", True),
        ("replaced", "deadlock", True), ("ended", "deadlock", True), ("ordered", "lock", False),
        ("kept", "deadlock", False), ("filling", "deadlock", False), ("parked", "deadlock", False),
        ("consumers", "lock", True), ("receivers", "lock", True), ("behind", "lock", True),
        ("died", "lock", True), ("pipeline", "lock", False), ("own", "lock", False),
    ):  # fmt: skip
        name = f"held-{kind} chain of tasks, {story}"
        needs = ("anyio",) if story == "receivers" else ()
        cases.append(
            Case(name, "chains_of_tasks.py", (story,), harmful, needs, True, _LONG_S, _REQUESTS)
        )
    return cases


def _collections() -> list[Case]:
    harmful = ("asked", "by-itself", "thread", "computes")
    return [
        Case(f"held-gc {story}", "collecting.py", (story,), story in harmful, alone=True)
        for story in (*harmful, "young", "frozen")
    ]


def _pools() -> list[Case]:
    harmful = ("events", "futures", "clients", "waitress", "twisted")
    cases = []
    for story in (*harmful, "roomy", "waitress-roomy", "idle", "batch", "nobody"):
        needs = (story.partition("-")[0],) if story[0] in "wt" else ()
        name = f"held-pool {story}"
        cases.append(Case(name, "thread_groups.py", (story,), story in harmful, needs, False))
    for story in ("processes", "processes-roomy", "processes-batch"):
        name = f"held-pool {story}"
        cases.append(Case(name, "pools.py", (story,), story == "processes", asyncio=False))
    return cases


_LIBRARIES = {
    "sqlalchemy": ("sqlalchemy",),
    "session": ("sqlalchemy",),
    "sqlalchemy-postgres": ("sqlalchemy", "psycopg", "POSTGRES_PORT"),
    "sqlalchemy-aiosqlite": ("sqlalchemy", "aiosqlite"),
    "sqlalchemy-asyncpg": ("sqlalchemy", "asyncpg", "POSTGRES_PORT"),
    "session-psycopg": ("sqlalchemy", "psycopg", "POSTGRES_PORT"),
    "asyncpg": ("asyncpg", "POSTGRES_PORT"),
    "psycopg": ("psycopg", "psycopg_pool", "POSTGRES_PORT"),
    "redis": ("redis", "REDIS_PORT"),
    "httpx": ("httpx", "UPSTREAM_PORT"),
    "requests": ("requests", "UPSTREAM_PORT"),
    "aiohttp": ("aiohttp", "UPSTREAM_PORT"),
    "pymongo": ("pymongo", "MONGO_PORT"),
    "aiomysql": ("aiomysql", "MYSQL_PORT"),
}
"""What each of them needs: modules, and services."""

_OF_THREADS = {
    "held": "sqlalchemy session sqlalchemy-postgres psycopg redis requests httpx",
    "variable": "session requests",
    "asked": "sqlalchemy-postgres psycopg redis requests httpx pymongo",
    "nested": "sqlalchemy psycopg",
    "rotating": "sqlalchemy sqlalchemy-postgres psycopg redis requests httpx pymongo",
    "batch": "sqlalchemy psycopg httpx",
    "roomy": "session redis",
}
_OF_TASKS = {
    "held": "sqlalchemy-aiosqlite sqlalchemy-asyncpg session-psycopg asyncpg psycopg redis httpx"
    " aiohttp aiomysql",
    "asked": "sqlalchemy-asyncpg asyncpg psycopg redis httpx aiohttp aiomysql pymongo",
    "rotating": "sqlalchemy-asyncpg asyncpg psycopg redis httpx aiohttp aiomysql pymongo",
    "batch": "sqlalchemy-aiosqlite asyncpg aiohttp aiomysql",
    "roomy": "session-psycopg asyncpg",
}
_HARMFUL = ("held", "variable", "asked", "nested")


def _connections() -> list[Case]:
    return [
        Case(
            f"held-connections {library} of {who}, {story}",
            f"connections_of_{who}.py",
            (library, story),
            story in _HARMFUL,
            tuple(need for need in _LIBRARIES[library] if need.islower()),
            asyncio=who == "tasks",
            seconds=_LONG_S if who == "tasks" else 4.0,
            client=_REQUESTS,
            services=tuple(need for need in _LIBRARIES[library] if need.isupper()),
        )
        for who, stories in (("threads", _OF_THREADS), ("tasks", _OF_TASKS))
        for story, libraries in stories.items()
        for library in libraries.split()
    ]


_NODE_S = 5.0
_PLAIN, _INSPECTED = (False,), (True,)
_BOTH = (*_PLAIN, *_INSPECTED)


def _node() -> list[Case]:
    """What starves loops of Node.js, told by the kernel alone, and by the inspector's stacks, too."""
    cases: list[Case] = []

    def add(
        name: str,
        script: str,
        arguments: str,
        harmful: bool,
        inspect: tuple[bool, ...] = _BOTH,
        **more: Any,
    ) -> None:
        cases.extend(
            Case(
                f"node-{name}{', inspected' * inspected}",
                f"node_{script}.js",
                tuple(arguments.split()),
                harmful,
                seconds=_NODE_S,
                inspect=inspected,
                **more,
            )
            for inspected in inspect
        )

    for call, where, inspect in (
        ("read-pipe", "on-loop io", _BOTH), ("read-pipe", "on-loop timers", _BOTH),
        ("read-file", "on-loop io,timers", _INSPECTED), ("exec-sync", "on-loop io", _BOTH),
        ("spawn-sync", "on-loop timers", _BOTH), ("atomics-wait", "on-loop io", _BOTH),
        ("json-parse", "on-loop io", _BOTH), ("regex", "on-loop timers", _BOTH),
        ("pbkdf2", "on-loop io", _BOTH), ("microtasks", "on-loop io", _INSPECTED),
        ("gc", "on-loop io", _INSPECTED), ("read-pipe", "unseen", _BOTH),
        ("json-parse", "unseen", _BOTH),
    ):  # fmt: skip
        harmful = where != "unseen"
        name = f"{call}, {where.split()[-1].replace(',', ' and ')}"
        alone = call in {"json-parse", "regex", "pbkdf2", "microtasks", "gc"}
        add(name, "blocking", f"{call} {where}", harmful, inspect, alone=alone)
    add("accept", "blocking", "exec-sync on-loop io", True, client=(4, 0.01, "anew"))
    for story, harmful in (
        ("parked", True), ("parked timers", True), ("idle", False), ("busy", True),
        ("computing", False), ("healthy", False),
    ):  # fmt: skip
        alone = story in {"busy", "computing", "healthy"}
        add(f"thread {story}", "threads", story, harmful, alone=alone)
    for story, harmful, more in (
        ("idle", False, {"client": (2, 0.5)}),
        ("upstream", False, {"services": ("UPSTREAM_PORT",)}),
        ("short", False, {"client": (4, 0), "alone": True}),
        ("crowded", True, {"client": (30, 0), "alone": True}),
        ("slow-reader", False, {}),
        ("stopped", True, {"alone": True}),
    ):  # fmt: skip
        add(f"server {story}", "servers", story, harmful, **more)
    add("server large", "servers", "large", False, _INSPECTED, alone=True)
    for story, harmful in (("cluster", True), ("cluster-healthy", False)):
        add(f"server {story}", "servers", story, harmful, _PLAIN, client=(4, 0.005))
    for story, harmful in (
        ("full", True), ("roomy", False), ("idle", False), ("lookups", True), ("lookup", False),
    ):  # fmt: skip
        add(f"pool {story}", "pool", story, harmful, _PLAIN)
    return cases


CASES: tuple[Case, ...] = (
    *_blocking(),
    Case("resolve", "resolving.py", ("resolve", "on-loop", "timers"), harmful=True, quick=True),
    Case("resolve, in-threads", "resolving.py", ("resolve", "in-threads", "timers"), harmful=False),
    *_computing(),
    Case("gil kept", "holding_the_gil.py", ("keeps",), harmful=True, alone=True),
    # A thread that hands callbacks in would itself wait for the GIL, or be stopped.
    Case("gil kept, timers only", "holding_the_gil.py", ("keeps", "timers"), True, alone=True),
    Case("sleep, tasks only", "blocking.py", ("sleep", "on-loop", "tasks"), True),
    Case("polling, timers only", "blocking.py", ("polling", "on-loop", "timers"), True, quick=True),
    Case("polling, callbacks only", "blocking.py", ("polling", "on-loop", "callbacks"), True),
    Case("gil let go", "holding_the_gil.py", ("lets-go",), harmful=False, alone=True),
    *_parked(),
    Case("healthy", "loops.py", ("healthy",), harmful=False),
    Case("two loops", "loops.py", ("two",), harmful=True, quick=True),
    Case("busy main thread", "loops.py", ("busy-main",), harmful=False, alone=True),
    Case("busy main thread, harmed", "loops.py", ("busy-main-and-harm",), harmful=True, alone=True),
    Case("nested loops", "loops.py", ("nested",), harmful=True, asyncio=False, quick=True),
    Case("loop run again inside", "loops.py", ("reentrant",), False, ("nest_asyncio",), False),
    Case("loop left behind", "loops.py", ("left-behind",), harmful=False),
    Case("fork", "loops.py", ("fork",), harmful=False),
    Case("fork, harmed", "loops.py", ("fork-and-harm",), harmful=True),
    Case("c callback", "loops.py", ("c-callback",), harmful=True, quick=True),
    Case("thousands of tasks", "loops.py", ("many-tasks",), harmful=True),
    Case(
        "5,000 tasks, timers only", "loops.py", ("many-tasks", "5000", "timers"), True, quick=True
    ),
    Case("2,000 tasks, callbacks only", "loops.py", ("many-tasks", "2000", "callbacks"), True),
    Case("just below the threshold", "loops.py", ("near",), harmful=False),
    Case("tasks that wait for ever", "loops.py", ("awaiting",), harmful=False),
    Case(
        "many short callbacks", "much_to_do.py", ("fair",), harmful=False, client=(6, 0), alone=True
    ),
    Case(
        "too many clients", "much_to_do.py", ("crowded",), harmful=True, client=(60, 0), alone=True
    ),
    Case("bursts of callbacks", "much_to_do.py", ("bursts",), harmful=True, alone=True),
    Case("bursts of timers", "much_to_do.py", ("bursts", "timers"), True, alone=True),
    Case("bursts of tasks", "much_to_do.py", ("bursts", "tasks"), True, alone=True),
    Case("stopped", "without_cpu.py", ("stopped",), harmful=True, alone=True, quick=True),
    Case("stopped, io only", "without_cpu.py", ("stopped", "io"), True, alone=True),
    Case("stopped, timers only", "without_cpu.py", ("stopped", "timers"), True, alone=True),
    Case("busy machine, low priority", "without_cpu.py", ("crowded",), harmful=True, alone=True),
    Case("busy machine", "without_cpu.py", ("fair",), harmful=False, alone=True),
    Case("default executor", "pools.py", ("exhausted",), harmful=True),
    Case("default executor, roomy", "pools.py", ("roomy",), harmful=False),
    Case("to_thread", "pools.py", ("to-thread",), harmful=True, needs=("asyncio.threads",)),
    Case("anyio limiter", "pools.py", ("limiter",), harmful=True, needs=("anyio",)),
    Case("anyio limiter, roomy", "pools.py", ("roomy-limiter",), False, ("anyio",)),
    Case("pool deadlock", "pools.py", ("deadlock",), harmful=True, asyncio=False),
    Case("honest batch", "pools.py", ("batch",), harmful=False, asyncio=False),
    Case("honest batch of long jobs", "pools.py", ("long-batch",), harmful=False, asyncio=False),
    Case("crowded executor", "pools.py", ("crowded",), harmful=True),
    Case("parked pool", "pools.py", ("parked",), harmful=False),
    Case("lock that threads want", "holding.py", ("threads",), True, asyncio=False),
    Case("semaphore that threads want", "holding.py", ("semaphore",), True, asyncio=False),
    Case("lock of idle threads", "holding.py", ("leaders",), harmful=False, asyncio=False),
    Case("lock that is handed on", "holding.py", ("handed",), harmful=False, asyncio=False),
    Case("lock that tasks want", "holding.py", ("tasks",), harmful=True),
    Case("batch behind a semaphore", "holding.py", ("batch",), harmful=False),
    Case("waits for the end", "holding.py", ("stopping",), harmful=False),
    Case("sync workers", "sync_workers.py", ("both",), True, (), False, client=(8, 0.01, "anew")),
    Case(
        "sync workers, one free",
        "sync_workers.py",
        ("one",),
        False,
        (),
        False,
        client=(4, 0.01, "anew"),
    ),
    # Many connections: trio takes what is due from the kernel, once for each time that it asks for
    # it, before it serves it. Whose reader was about to run when a stall began is not seen outside.
    Case(
        "trio",
        "trio_server.py",
        ("harmed",),
        True,
        ("trio",),
        asyncio=False,
        client=(8, 0.03),
        quick=True,
    ),
    Case("trio, healthy", "trio_server.py", ("healthy",), False, ("trio",), asyncio=False),
    *_held_locks(),
    *_rings(),
    *_chains(),
    *_collections(),
    *_pools(),
    *_connections(),
    *_node(),
)
