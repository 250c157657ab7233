"""Whose frame is blamed: what a thread shows above the base stack of its event loop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import (
    BASE,
    DISPATCH,
    HANDLER,
    MAIN,
    PARKED,
    POLL,
    THREAD,
    activities,
    activity,
    frame,
    stack,
)
from waitspy.judge import blame
from waitspy.judge.blame import above, base_stack, blamed, in_loop, shows_loop
from waitspy.model.activities import Activity
from waitspy.model.code_origin import CodePath, Homes, Origin, Program
from waitspy.model.stacks import Frame, Stack, StackTable
from waitspy.model.waits import Wait, WaitKind

POLLS = Wait(WaitKind.LOOP_POLL, None, "epoll_wait")
SLEEPS = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")

# A loop in C shows no frame of its own: the callback's frames follow those of run_forever's caller.
C_BASE = stack("<module>@/app/main.py:30 > Server.serve@/app/main.py:12")
UVLOOP_BASE = MAIN + stack("run@site/uvloop/__init__.py:92 > Runner.run@lib/asyncio/runners.py:118")
TRIO_BASE = MAIN + stack(
    "run@site/trio/_core/_run.py:2405 > unrolled_run@site/trio/_core/_run.py:2589"
)
TRIO_POLL = TRIO_BASE + stack("EpollIOManager.get_events@site/trio/_core/_io_epoll.py:208")
HUB = stack("Hub.run@site/gevent/hub.py:647")
GREENLET = stack("handle@site/gevent/pywsgi.py:578 > app@/app/web.py:6")
GEVENT_THREAD = stack("_WorkerGreenlet.run@site/gevent/threadpool.py:199")
CELERY = stack("create_loop@site/kombu/asynchronous/hub.py:301")


# --- base -----------------------------------------------------------------------------------------


def test_the_base_is_what_was_shown_longest_while_polling() -> None:
    odd = POLL[:-1]
    seen = [
        activity(0, 10, odd, POLLS), activity(10, 500, HANDLER, SLEEPS),
        activity(500, 515, POLL, POLLS), activity(515, 520, odd, POLLS),
    ]  # fmt: skip
    assert base_stack(activities(*seen)) in (odd, POLL)
    assert base_stack(activities(*seen, activity(520, 900, POLL, POLLS))) == POLL


def test_after_a_poll_the_thread_may_have_to_wait_for_the_gil() -> None:
    wants_gil = Wait(WaitKind.GIL, None, "futex")
    seen = [
        activity(0, 100, POLL, POLLS),
        activity(100, 300, POLL, wants_gil),
        activity(300, 310, HANDLER, POLLS),
    ]
    assert base_stack(activities(*seen)) == POLL


def test_without_a_poll_there_is_no_base() -> None:
    assert base_stack(activities(activity(0, 900, HANDLER, SLEEPS))) is None
    assert base_stack(activities()) is None


def test_a_long_poll_shows_the_base_even_if_c_functions_show_it_for_longer() -> None:
    seen = [activity(0, 300, C_BASE, POLLS), activity(300, 900, C_BASE, SLEEPS)]
    assert base_stack(activities(*seen)) == C_BASE
    assert base_stack(activities(activity(0, 100, C_BASE, POLLS), *seen[1:])) is None


def test_the_call_that_runs_a_loop_written_in_c_is_the_base_however_short_its_polls() -> None:
    uvicorn = stack("<module>@/app/main.py:9 > Runner.run@lib/asyncio/runners.py:118")
    for base, call in ((uvicorn, "time.sleep"), (C_BASE, "loop.run_until_complete")):
        blocked = activity(40, 900, base, Wait(WaitKind.SLEEP, call, "clock_nanosleep"))
        assert base_stack(activities(activity(0, 40, base, POLLS), blocked)) == base
    other = Wait(WaitKind.SLEEP, "loop.run_in_executor", "clock_nanosleep")
    blocked = activity(40, 900, C_BASE, other)
    assert base_stack(activities(activity(0, 40, C_BASE, POLLS), blocked)) is None


def test_the_runner_s_own_poll_is_the_base_although_samples_came_late() -> None:
    """As on a machine without CPU to spare: each stack is seen until after the next call began."""
    takes = PARKED[:-1] + stack("Condition.__exit__@lib/threading.py:303")
    late = [
        activity(0, 900, PARKED, SLEEPS),
        activity(900, 980, PARKED, POLLS),
        activity(980, 1000, POLL, POLLS),
        activity(1000, 1040, POLL, SLEEPS),
        activity(1040, 1041, takes, SLEEPS),
        activity(1041, 1049, takes, POLLS),
    ]
    assert base_stack(activities(*late)) == POLL
    calls_c = BASE + stack("Handle._run@lib/asyncio/events.py:84")
    beside = [activity(0, 40, calls_c, POLLS), activity(40, 140, calls_c, SLEEPS)]
    assert base_stack(activities(*beside)) is None  # one frame above too, but no poll


def test_a_stack_seen_in_hardly_any_of_the_polls_is_not_the_base() -> None:
    late = [
        activity(0, 150, C_BASE, POLLS),
        activity(150, 900, C_BASE, SLEEPS),
        activity(900, 910, HANDLER, POLLS),
    ]
    assert base_stack(activities(*late)) is None


# --- running or parked ----------------------------------------------------------------------------


def test_a_callback_is_inside_the_running_loop() -> None:
    assert in_loop(HANDLER, POLL)
    assert in_loop(HANDLER, None)
    assert in_loop(POLL, POLL)


def test_what_a_thread_does_outside_its_loop_parks_it() -> None:
    loop_in_thread = THREAD + stack(
        "Worker.run@/app/worker.py:14 > BaseEventLoop.run_until_complete@lib/asyncio/base_events.py:674"
        " > BaseEventLoop._run_once@lib/asyncio/base_events.py:1948"
        " > EpollSelector.select@lib/selectors.py:468"
    )
    assert not in_loop(PARKED, loop_in_thread)
    assert not in_loop(PARKED, None)


def test_a_loop_in_c_runs_below_its_whole_base_with_the_same_lines() -> None:
    assert in_loop(C_BASE + stack("handle@/app/views.py:3"), C_BASE)
    assert in_loop(C_BASE, C_BASE)
    # The same function, but at the line that waits for the next job.
    waits = stack("<module>@/app/main.py:30 > Server.serve@/app/main.py:9 > get@lib/queue.py:171")
    assert not in_loop(waits, C_BASE)
    assert not in_loop(C_BASE[:1], C_BASE)


def test_a_loop_that_was_never_seen_idle_counts_as_running_only_if_that_is_known() -> None:
    assert not in_loop(C_BASE, None)
    assert in_loop(C_BASE, None, never_idle=True)


def test_greenlets_have_stacks_of_their_own() -> None:
    assert in_loop(stack("handle@/app/views.py:3"), HUB)
    assert in_loop(stack("handle@/app/views.py:3"), stack("hub@site/eventlet/hubs/hub.py:301"))
    assert not in_loop(stack("handle@/app/views.py:3"), CELERY)


def test_trio_and_uvloops_run_are_running_loops() -> None:
    callback = stack("fetch@/app/client.py:41")
    assert in_loop(TRIO_BASE + callback, TRIO_POLL)
    assert in_loop(UVLOOP_BASE + callback, UVLOOP_BASE)
    assert not in_loop(PARKED, TRIO_POLL)


def test_a_greenlet_runs_in_a_loop_that_was_never_seen_to_poll() -> None:
    assert in_loop(GREENLET, None)
    assert not in_loop(stack("app@/app/web.py:6 > get@site/gevent/queue.py:1"), None)
    assert not in_loop(GEVENT_THREAD, None)
    assert not in_loop((), None)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (POLL, True),
        (HANDLER, True),
        (TRIO_POLL, True),
        (stack("EpollIOManager.get_events@site/trio/_core/_io_epoll.py:208"), True),
        (UVLOOP_BASE, True),
        (PARKED, False),
        (C_BASE, False),
        (HUB, True),
        (GREENLET, True),
        (GEVENT_THREAD, False),
        (stack("GreenThread.main@site/eventlet/greenthread.py:272"), True),
        ((), False),
        (stack("_run_once@/app/scheduler.py:3"), False),
        (stack("unrolled_run@/app/scheduler.py:3"), False),
        (stack("run@/app/runners.py:3"), False),
    ],
)
def test_shows_loop(shown: Stack, expected: bool) -> None:
    assert shows_loop(shown) is expected


# --- above ----------------------------------------------------------------------------------------


def test_above_is_what_the_callback_added() -> None:
    assert above(HANDLER, POLL) == HANDLER[len(BASE) :]
    assert above(HANDLER, None) == HANDLER[len(BASE) :]


def test_above_a_c_base_is_what_follows_the_common_frames() -> None:
    callback = stack("handle@/app/views.py:3 > fetch@/app/client.py:41")
    assert above(C_BASE + callback, C_BASE) == callback
    assert above(C_BASE, C_BASE) == ()


def test_above_the_base_of_a_parked_loop_starts_where_the_lines_part() -> None:
    waits = stack("<module>@/app/main.py:30 > Server.serve@/app/main.py:9 > get@lib/queue.py:171")
    assert above(waits, C_BASE) == waits[1:]
    assert above(PARKED, None) == PARKED


def test_nested_loops_leave_only_what_the_innermost_runs() -> None:
    # nest_asyncio: a callback runs the loop again.
    nested = HANDLER + stack(
        "run_until_complete@site/nest_asyncio.py:98 > _run_once@site/nest_asyncio.py:133"
        " > Handle._run@lib/asyncio/events.py:88 > inner@/app/inner.py:5"
    )
    assert blamed(above(nested, POLL)) == frame("inner@/app/inner.py:5")


# --- blamed ---------------------------------------------------------------------------------------


def test_the_deepest_frame_of_the_program_is_blamed() -> None:
    assert blamed(above(HANDLER, POLL)) == frame("fetch@/app/client.py:41")
    library = HANDLER + stack("get@site/requests/api.py:73 > SocketIO.readinto@lib/socket.py:707")
    assert blamed(above(library, POLL)) == frame("fetch@/app/client.py:41")


def test_a_comprehension_is_blamed_as_the_function_around_it() -> None:
    inner = stack("total@/app/sums.py:9 > <genexpr>@/app/sums.py:9")
    assert blamed(inner) == inner[0]
    assert blamed(stack("f@/app/a.py:1 > f.<locals>.<listcomp>@/app/a.py:2")) == frame(
        "f@/app/a.py:1"
    )
    nested = stack("f@/app/a.py:1 > f.<locals>.<listcomp>@/app/a.py:1 > <genexpr>@/app/a.py:1")
    assert blamed(nested) == nested[0]


def test_a_generator_that_another_file_runs_is_blamed_itself() -> None:
    given_away = stack("consume@/app/other.py:3 > rows.<locals>.<genexpr>@/app/sums.py:9")
    assert blamed(given_away) == given_away[1]


def test_a_program_frame_below_a_package_is_still_the_deepest() -> None:
    hook = stack("handle@/app/views.py:3 > send@site/requests/adapters.py:6 > hook@/app/hooks.py:8")
    assert blamed(DISPATCH + hook) == frame("hook@/app/hooks.py:8")


def test_an_installed_program_is_blamed_in_its_outermost_package() -> None:
    frames = stack(
        "app@site/starlette/routing.py:70 > view@site/shop/views.py:5 > save@site/shop/orders.py:9"
        " > post@site/requests/api.py:115 > readinto@lib/socket.py:707"
    )
    assert blamed(frames) == frame("save@site/shop/orders.py:9")


def test_a_framework_alone_is_blamed_in_its_deepest_frame() -> None:
    frames = stack(
        "run@site/uvicorn/server.py:65 > shutdown@site/uvicorn/server.py:270 > wait@lib/queue.py:1"
    )
    assert blamed(frames) == frame("shutdown@site/uvicorn/server.py:270")


def test_a_library_function_as_callback_is_blamed_itself() -> None:
    callback = DISPATCH + stack("getaddrinfo@lib/socket.py:963 > encode@lib/encodings/idna.py:1")
    assert blamed(above(callback, POLL)) == frame("getaddrinfo@lib/socket.py:963")


def test_a_librarys_function_is_not_taken_for_the_machinery_around_it() -> None:
    joins = DISPATCH + stack("Thread.join@lib/threading.py:1119")
    assert blamed(above(joins, POLL)) == frame("Thread.join@lib/threading.py:1119")
    runs = DISPATCH + stack("run@lib/subprocess.py:550")
    assert blamed(above(runs, POLL)) == frame("run@lib/subprocess.py:550")


def test_a_c_callback_leaves_nobody_to_blame() -> None:
    assert blamed(above(DISPATCH, POLL)) is None
    assert blamed(()) is None
    assert blamed(above(C_BASE, C_BASE)) is None


@pytest.mark.parametrize("base", [POLL, None], ids=["base", "no base"])
def test_who_called_asyncio_run_is_never_blamed_for_a_callback(base: Stack | None) -> None:
    for one in (DISPATCH, POLL, BASE, HANDLER):
        culprit = blamed(above(one, base))
        assert culprit is None or culprit not in MAIN


@pytest.mark.parametrize("base", [UVLOOP_BASE, None], ids=["base", "no base"])
def test_who_called_uvloop_run_is_never_blamed_for_a_callback(base: Stack | None) -> None:
    assert blamed(above(UVLOOP_BASE, base)) not in MAIN
    callback = UVLOOP_BASE + stack("fetch@/app/client.py:41")
    assert blamed(above(callback, base)) == frame("fetch@/app/client.py:41")


def test_a_parked_threads_own_function_is_blamed() -> None:
    assert blamed(above(PARKED, None)) == frame("Worker.next_message@/app/worker.py:16")


def test_a_parked_thread_that_waits_in_the_librarys_code_only_blames_the_wait() -> None:
    waits = THREAD + stack(
        "Thread.run@lib/threading.py:1010 > Queue.get@lib/queue.py:171"
        " > Condition.wait@lib/threading.py:355"
    )
    assert blamed(above(waits, None)) == frame("Queue.get@lib/queue.py:171")


# --- packed programs, and code without a file ------------------------------------------------------

FROZEN = Homes([Program((CodePath("", "mixed", ("slow",)),), "dist/shop")])
FROZEN_LOOP = stack(
    "<module>@shop.py:30 > run@asyncio/runners.py:190 > Runner.run@asyncio/runners.py:118"
    " > BaseEventLoop.run_forever@asyncio/base_events.py:641"
)
FROZEN_POLL = FROZEN_LOOP + stack(
    "BaseEventLoop._run_once@asyncio/base_events.py:1948 > EpollSelector.select@selectors.py:468"
)
FROZEN_CALLBACK = FROZEN_LOOP + stack(
    "BaseEventLoop._run_once@asyncio/base_events.py:1987 > Handle._run@asyncio/events.py:88"
)


def of(homes: Homes, shown: Stack) -> Stack:
    """The stack as a recording of such a program has it."""
    table = StackTable(homes)
    return table[table.number(shown)]


def names(shown: Stack) -> list[str]:
    return [one.function for one in shown]


def test_a_frozen_programs_loop_and_library_are_known_without_their_folders() -> None:
    base = of(FROZEN, FROZEN_POLL)
    waits = stack(
        "order@shop.py:9 > fetch@slow/api.py:3 > get@queue.py:171 > wait@threading.py:359"
    )
    callback = of(FROZEN, FROZEN_CALLBACK + waits)
    assert in_loop(callback, base)
    assert shows_loop(base)
    above_base = above(callback, base)
    assert names(above_base) == ["Handle._run", "order", "fetch", "get", "wait"]
    culprit = blamed(above_base)
    assert culprit is not None
    assert culprit.function == "order"
    callback = of(FROZEN, FROZEN_CALLBACK + waits[1:])
    culprit = blamed(above(callback, base))
    assert culprit is not None
    assert culprit.function == "fetch"


def test_a_frozen_programs_thread_machinery_is_not_blamed() -> None:
    thread = of(
        FROZEN,
        stack(
            "Thread._bootstrap@threading.py:1030 > Thread._bootstrap_inner@threading.py:1073"
            " > Thread.run@threading.py:1010 > _worker@concurrent/futures/thread.py:92"
            " > _WorkItem.run@concurrent/futures/thread.py:58"
        ),
    )
    assert blamed(thread) is None


SCRIPT = Homes([Program((CodePath("/app", "program"),), "/app/main.py")])


@pytest.mark.parametrize(
    ("shown", "function"),
    [
        ("view@/app/views.py:3 > __init__@<attrs generated init app.A>:2", "view"),
        ("view@/app/views.py:3 > __init__@<string>:2", "view"),
        ("view@/app/views.py:3 > g@<made>:2 > convert@/app/a.py:7", "convert"),
        ("load@site/pydantic/main.py:3 > f@<made>:2", "load"),
        ("route@site/starlette/routing.py:3 > f@<made>:2 > g@<frozen os>:9", "route"),
        ("f@<made>:2 > sleep@lib/queue.py:9", "f"),
        ("import_@<frozen importlib._bootstrap>:2 > sleep@lib/queue.py:9", "sleep"),
        ("import_@<frozen importlib._bootstrap>:2", "import_"),
        ("view@/app/views.py:3 > f@<__array_function__ internals>:2", "view"),
        ("f@<attrs generated init app.A>:2", "f"),
    ],
)
def test_code_without_a_file_is_blamed_after_all_that_has_one(shown: str, function: str) -> None:
    callback = of(SCRIPT, DISPATCH + stack(shown))
    culprit = blamed(above(callback, POLL))
    assert culprit is not None
    assert culprit.function == function


def test_the_program_itself_may_be_a_string() -> None:
    command = Homes([Program(argv0="-c")])
    shown = stack("f@<string>:2 > handle@lib/http/server.py:400 > do_GET@<string>:9")
    culprit = blamed(above(of(command, DISPATCH + shown), POLL))
    assert culprit is not None
    assert culprit.function == "do_GET"


# --- properties -----------------------------------------------------------------------------------

frames_ = st.sampled_from(
    [*HANDLER, *PARKED, *C_BASE, *TRIO_POLL, *UVLOOP_BASE, *HUB, Frame("x", "")]
)
stacks_ = st.lists(frames_, max_size=12).map(tuple)


@given(stacks_, st.none() | stacks_)
def test_blame_is_a_frame_above_and_a_program_frame_if_there_is_one(
    shown: Stack, base: Stack | None
) -> None:
    rest = above(shown, base)
    assert shown[len(shown) - len(rest) :] == rest
    culprit = blamed(rest)
    assert culprit is None or culprit in rest
    own = [f for f in rest if f.origin is Origin.USER]
    if own:
        assert culprit == own[-1]


@given(stacks_)
def test_nothing_is_above_a_stack_that_is_the_base_itself(shown: Stack) -> None:
    assert above(shown, shown) == ()


def test_a_select_loop_of_the_program_s_own_runs_below_its_handlers() -> None:
    base = stack("main@/app/s.py:9 > serve@/app/s.py:20 > select@lib/selectors.py:468")
    assert in_loop(stack("main@/app/s.py:9 > serve@/app/s.py:25 > answer@/app/s.py:3"), base)
    assert not in_loop(stack("main@/app/s.py:10 > rest@/app/s.py:30"), base)
    assert not in_loop(stack("main@/app/s.py:9"), base)


@pytest.mark.parametrize(
    ("shown", "library"),
    [
        ("unrolled_run@site/trio/_core/_run.py:2900", "trio"),
        ("EpollIOManager.get_events@site/trio/_core/_io_epoll.py:208", "trio"),
        ("run@site/trio/_core/_run.py:2400", None),
        ("unrolled_run@/app/loops.py:9", None),
        ("run@site/gevent/hub.py:647", "gevent"),
        ("run@site/eventlet/hubs/hub.py:350", "eventlet"),
        ("mainLoop@site/twisted/internet/base.py:1300", "twisted"),
        ("run@site/curio/kernel.py:640", "curio"),
        ("_run_once@lib/asyncio/base_events.py:1948", None),
    ],
)
def test_loops_of_which_only_the_io_is_seen(shown: str, library: str | None) -> None:
    found = stack(f"main@/app/main.py:3 > {shown} > handle@/app/views.py:3")
    assert blame.foreign_loop(found) == library


def test_a_callback_that_runs_a_loop_is_guilty_with_its_own_frames() -> None:
    inner = stack(
        "run_until_complete@lib/asyncio/base_events.py:674"
        " > _run_once@lib/asyncio/base_events.py:1948"
    )
    polls = Activity(0, 1, HANDLER + inner + POLL[-1:], Wait(WaitKind.LOOP_POLL))
    guilty = blame.guilty_frames(polls, POLL)
    assert guilty == HANDLER[len(DISPATCH) - 1 :] + inner[:1]
    assert blame.holds_up(polls.stack, polls.wait)
    for alone in (POLL, POLL[-1:], ()):
        polls = Activity(0, 1, alone, Wait(WaitKind.LOOP_POLL))
        assert blame.guilty_frames(polls, POLL) == ()
        assert not blame.holds_up(polls.stack, polls.wait)


def test_without_a_runner_what_lies_above_the_base_is_guilty() -> None:
    base = stack("main@/app/main.py:3 > serve@/app/main.py:9")
    sleeps = Activity(0, 1, base + HANDLER[-1:], Wait(WaitKind.SLEEP))
    assert blame.guilty_frames(sleeps, base) == HANDLER[-1:]
    assert blame.guilty_frames(sleeps, None) == base + HANDLER[-1:]


def test_the_base_is_what_was_shown_mostly_in_polls_all_parts_together() -> None:
    often = [activity(20 * n, 20 * n + 10, POLL, POLLS) for n in range(5)]
    assert base_stack(activities(*[*often, activity(200, 245, HANDLER, POLLS)])) == POLL
    # Half of the time is enough; of a long poll any part of it.
    half = [activity(0, 50, HANDLER, POLLS), activity(50, 100, HANDLER, SLEEPS)]
    assert base_stack(activities(*half)) == HANDLER
    less = [*half, activity(100, 101, HANDLER, SLEEPS)]
    assert base_stack(activities(*less)) is None
    parts = [activity(20 * n, 20 * n + 10, HANDLER, SLEEPS) for n in range(5)]
    assert base_stack(activities(*[*parts, activity(200, 245, HANDLER, POLLS)])) is None
    for length, base in ((199, None), (200, HANDLER)):
        long = [activity(0, length, HANDLER, POLLS), activity(300, 900, HANDLER, SLEEPS)]
        assert base_stack(activities(*[*long, activity(900, 910, HANDLER, POLLS)])) == base


def test_a_select_loop_of_the_programs_own_is_below_its_handlers() -> None:
    base = stack("serve@/app/s.py:20 > select@lib/selectors.py:468")
    assert in_loop(stack("serve@/app/s.py:40 > work@/app/s.py:50"), base)
    assert in_loop(stack("serve@/app/s.py:40"), base)
    assert not in_loop((), base)
    assert not in_loop(stack("other@/app/s.py:40 > work@/app/s.py:50"), base)
    assert not in_loop(stack("serve@/app/t.py:40 > work@/app/s.py:50"), base)
    bare = base[-1:]
    assert in_loop(bare + HANDLER[-1:], bare)
    assert not in_loop(HANDLER[-1:], bare)


# --- loops of other libraries -----------------------------------------------------------------------

REACTOR = stack(
    "<module>@/app/main.py:30 > run@site/twisted/internet/base.py:696"
    " > mainLoop@site/twisted/internet/base.py:710"
)
DO_POLL = REACTOR + stack("EPollReactor.doPoll@site/twisted/internet/epollreactor.py:218")
RECEIVED = REACTOR + stack(
    "EPollReactor.doPoll@site/twisted/internet/epollreactor.py:229"
    " > callWithLogger@site/twisted/python/log.py:96 > Echo.dataReceived@/app/echo.py:7"
)
TIMER = REACTOR[:-1] + stack(
    "mainLoop@site/twisted/internet/base.py:708"
    " > runUntilCurrent@site/twisted/internet/base.py:994 > poll_upstream@/app/echo.py:20"
)
HUB_POLLS = stack(
    "<module>@/app/main.py:3 > asynloop@site/kombu/asynchronous/loops.py:97"
    " > create_loop@site/kombu/asynchronous/hub.py:306 > poll@site/kombu/utils/eventio.py:90"
)
HUB_CALLS = stack(
    "<module>@/app/main.py:3 > asynloop@site/kombu/asynchronous/loops.py:97"
    " > create_loop@site/kombu/asynchronous/hub.py:373 > on_message@/app/tasks.py:8"
)


@pytest.mark.parametrize("base", [DO_POLL, None], ids=["base", "no base"])
@pytest.mark.parametrize("shown", [RECEIVED, TIMER], ids=["received", "timer"])
def test_a_reactor_runs_its_callbacks_at_other_lines_than_its_poll(
    base: Stack | None, shown: Stack
) -> None:
    assert in_loop(shown, base)
    assert blamed(above(shown, base)) == shown[-1]
    assert blame.in_callback(shown)
    assert not blame.in_callback(DO_POLL)


def test_who_does_not_run_the_reactor_has_left_it() -> None:
    waits = stack("<module>@/app/main.py:40 > drain@/app/main.py:9 > get@lib/queue.py:171")
    assert not in_loop(waits, DO_POLL)
    assert blamed(above(waits, DO_POLL)) == waits[1]


def test_a_frameworks_loop_is_known_by_its_functions_not_their_lines() -> None:
    assert in_loop(HUB_CALLS, HUB_POLLS)
    assert above(HUB_CALLS, HUB_POLLS) == HUB_CALLS[-1:]
    assert not in_loop(HUB_CALLS[:2] + HUB_CALLS[-1:], HUB_POLLS)
    elsewhere = (frame("<module>@/app/main.py:8"), *HUB_CALLS[1:])
    assert not in_loop(elsewhere, HUB_POLLS)
    for left in (elsewhere, HUB_CALLS[:2] + HUB_CALLS[-1:]):
        assert blamed(above(left, HUB_POLLS)) == HUB_CALLS[-1]


def test_the_function_that_polls_is_no_part_of_a_callback_that_it_calls_itself() -> None:
    base = stack("<module>@/app/m.py:3 > loop@lib/asyncore.py:207 > poll2@lib/asyncore.py:185")
    shown = stack(
        "<module>@/app/m.py:3 > loop@lib/asyncore.py:207 > poll2@lib/asyncore.py:192"
        " > handle_read@/app/m.py:9"
    )
    assert in_loop(shown, base)
    assert above(shown, base) == shown[-1:]


def test_a_thread_s_own_frames_run_no_loop() -> None:
    base = THREAD + stack("Thread.run@lib/threading.py:1010")
    assert in_loop(base + HANDLER[-1:], base)
    assert not in_loop(THREAD + stack("Worker.run@/app/worker.py:13"), base)
    assert in_loop(HANDLER[-1:], ())
