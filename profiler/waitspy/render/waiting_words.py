"""What waits, in words: who is owed an answer, where tasks and threads wait, what the workers did.

As in ``words``, text that came from a target is passed through the function ``code`` of the format.
"""

from __future__ import annotations

from collections.abc import Sequence

from waitspy.model.judged import Place, Report, WorkerTime
from waitspy.render.reports.report_format import nobody_waits
from waitspy.render.words import (
    Code,
    duration,
    join,
    numbers,
    owed_words,
    place,
    plural,
    share,
    unaccepted_words,
    unread_message_words,
    unread_words,
    unsent_words,
)

TITLE = "what waits"

_FEW_PORTS = 3
_FEW_LINES = 6
_LISTED = 20  # places that are told one by one where there is room

HINT = "nobody was seen to wait for long: if somebody does, record longer, or under load"


def lines(report: Report, code: Code) -> list[str]:
    """All that is to be said; [] when nothing is known."""
    found = [*_outside(report, code), *_owed(report), *_unseen(report, code)]
    places = report.waiting.places or ()
    found += [_place(one, code) for one in places[:_LISTED]]
    if len(places) > _LISTED:
        found.append(f"and {plural(len(places) - _LISTED, 'place')} more")
    found += [_left_out(report)] if _left_out(report) else []
    found += [words for one in report.waiting.workers if (words := _worker(one))]
    return [*found, HINT] if nobody_waits(report) else found


def few_lines(report: Report, code: Code) -> list[str]:
    """The same in six lines at most: what may be idle is only counted, but where there is room."""
    owed = [*_outside(report, code), *_owed(report), *_unseen(report, code)]
    if len(owed) > _FEW_PORTS:
        owed[_FEW_PORTS - 1 :] = [f"and {len(owed) - _FEW_PORTS + 1} ports more"]
    workers = _workers(report.waiting.workers)
    room = _FEW_LINES - len(owed) - len(_rest(report)) - len(workers)
    shown = _telling(report)[: max(0, room)]
    return [*owed, *(_place(one, code) for one in shown), *_rest(report, shown), *workers]


def _outside(report: Report, code: Code) -> list[str]:
    """Whose connections nobody accepted for long, and whose datagrams or messages nobody read, a
    line for each socket.
    """
    outside = [unaccepted_words(one, code) for one in report.waiting.unaccepted]
    outside += [unread_words(one, code) for one in report.waiting.unread]
    return outside + [unread_message_words(one, code) for one in report.waiting.messages]


def _owed(report: Report) -> list[str]:
    """Who waits for an answer at the end of the recording, or did before, a line for each port."""
    return [
        owed_words(owed, report.recording)
        for owed in report.waiting.requests
        if owed.count is None or owed.count or owed.most
    ]


def _unseen(report: Report, code: Code) -> list[str]:
    """Where nobody can know who waits, a line for each socket."""
    return [
        f"{code(name)}: what is owed to clients of a unix socket is not known"
        for name in report.waiting.unseen
    ]


# --- places ------------------------------------------------------------------------------------


def _telling(report: Report) -> list[Place]:
    """The places at which no idle task or thread usually waits, and after these where tasks do in
    the program's own code: that may be a queue of connections, say.
    """
    places = report.waiting.places or ()
    telling = [one for one in places if one.wait != "idle"]
    return telling + [
        one for one in places if one.wait == "idle" and one.own and one.what == "task"
    ]


def _place(one: Place, code: Code) -> str:
    """As in "12 tasks at read_quote, /srv/app/routes.py:27 await Event.wait (asyncio/locks.py:213),
    the oldest for at least 4.1 s".
    """
    verb = "wait" if one.what == "thread" else "await"
    verb = f"{verb}{'s' if one.count == 1 else ''}{' in' if one.what == 'thread' else ''}"
    where = code(one.function)
    if one.file is not None:
        where = f"{where}, {code(place(one.file, one.line))}"
    idle = "; idle ones do so, too" if one.wait == "idle" else ""
    peer = "" if one.unsent is None else f"; {unsent_words(one.unsent, code)}"
    return f"{_count(one)} at {where} {verb} {code(one.awaits)}, {_age(one)}{idle}{peer}"


def _count(one: Place) -> str:
    return plural(one.count, one.what)


def _age(one: Place) -> str:
    which = "" if one.count == 1 else "the oldest "
    if one.longest_s is None:
        return "for how long is not known"
    if one.sure:
        return f"{which}for at least {duration(one.longest_s)}"
    return f"{which}there at every look for {duration(one.longest_s)}"


def _rest(report: Report, shown: Sequence[Place] = ()) -> list[str]:
    """What the places that are told leave out, in one line."""
    idle = [one for one in report.waiting.places or () if one.wait == "idle" and one not in shown]
    counts = [
        plural(sum(one.count for one in idle if one.what == what), what)
        for what in ("task", "thread")
        if any(one.what == what for one in idle)
    ]
    more = [f"{join(counts)} where idle ones wait: for input, a queue or a timer"] if counts else []
    left_out = _left_out(report)
    return ["; ".join((*more, left_out))] if left_out else more


def _left_out(report: Report) -> str:
    tasks = report.waiting.tasks
    if report.waiting.places is not None and tasks is None:
        return "where tasks wait is not known"
    if tasks is None or tasks.looked >= tasks.pending:
        return ""
    return f"{tasks.looked} of {plural(tasks.pending, 'task')} were looked at"


# --- workers -----------------------------------------------------------------------------------


def _worker(one: WorkerTime) -> str:
    """As in "pid 4711: 3 % of one core; its threads waited for the GIL for 1.2 % of the time"."""
    cpu = [] if one.cpu_share is None else [f"{share(one.cpu_share)} of one core"]
    if one.gil_share is not None:
        cpu.append(f"its threads waited for the GIL for {share(one.gil_share)} of the time")
    return f"pid {one.pid}: {'; '.join(cpu)}" if cpu else ""


def _workers(workers: Sequence[WorkerTime]) -> list[str]:
    """All of them in one line: the one that used the most."""
    cpu = [one.cpu_share for one in workers if one.cpu_share is not None]
    gil = [one.gil_share for one in workers if one.gil_share is not None]
    if len(workers) == 1:
        return [words for words in map(_worker, workers) if words]
    found = [f"CPU: up to {share(max(cpu))} of one core each"] if cpu else []
    found += [f"GIL: waited for up to {share(max(gil))} of the time"] if gil else []
    whose = f"pids {numbers([one.pid for one in workers])}"
    return [f"{whose}: {'; '.join(found)}"] if found else []
