"""The cases: which target is run how, and whether somebody is harmed by what it does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One target and how it is run.

    ``asyncio`` says that it runs on the loop that is asked for, so that it can run on uvloop too;
    ``client`` is how many connections ask, with what pause (seconds), and options of client.py.
    ``alone`` says that it needs the CPU, so that nothing else should run beside it; ``quick`` that
    it belongs to the few that always run.
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
    for place in ("thread", "child"):
        arguments = (f"{place}-queue", "harmful")
        cases.append(Case(f"parked in a {place}", "parked.py", arguments, harmful=True))
    return cases


CASES: tuple[Case, ...] = (
    *_blocking(),
    Case("resolve", "resolving.py", ("resolve", "on-loop", "timers"), harmful=True, quick=True),
    Case("resolve, in-threads", "resolving.py", ("resolve", "in-threads", "timers"), harmful=False),
    *_computing(),
    Case("gil kept", "holding_the_gil.py", ("keeps",), harmful=True, alone=True),
    Case("gil kept, timers only", "holding_the_gil.py", ("keeps", "timers"), True, alone=True),
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
    Case("thousands of tasks", "loops.py", ("many-tasks",), harmful=True, quick=True),
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
    Case("stopped", "without_cpu.py", ("stopped",), harmful=True, alone=True, quick=True),
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
)
