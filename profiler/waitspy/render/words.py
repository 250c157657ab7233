"""How waitspy says things, so that every format for people says the same.

The phrases are ASCII. Text that came from a target is passed through the function ``code`` that
the format gives: it must escape, and may mark the text as code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from waitspy.model.clock import NS, to_the_second
from waitspy.model.judged import (
    Blame,
    Finding,
    OwedRequests,
    Report,
    Unaccepted,
    UnreadDatagrams,
    UnreadMessages,
    Victim,
)
from waitspy.model.oracle_names import WATCHED
from waitspy.model.recorded import Cost, RecordingInfo
from waitspy.model.unsent import Unsent
from waitspy.model.waits import Wait, WaitKind
from waitspy.render import sharing
from waitspy.render.reports.report_format import (
    not_watched,
    refused,
    worst_share,
)

Code = Callable[[str], str]

LATENT_MEANING = "a blocking call while nothing was seen to be due"

_VICTIMS = {
    "task": ("task", "tasks"),
    "timer": ("timer", "timers"),
    "callback": ("callback", "callbacks"),
    "io": ("I/O event", "I/O events"),
    "work-item": ("queued work item", "queued work items"),
    "connection": ("connection", "connections"),
    "thread": ("thread", "threads"),
}


_WAITS = {
    WaitKind.SLEEP: "waits in a sleep",
    WaitKind.LOCK: "waits for a lock",
    WaitKind.QUEUE: "waits on a queue",
    WaitKind.FUTURE: "waits for a future's result",
    WaitKind.JOIN: "waits for a thread or process to end",
    WaitKind.SOCKET: "waits on a socket",
    WaitKind.DNS: "waits for name resolution",
    WaitKind.FILE: "waits on a file",
    WaitKind.SUBPROCESS: "waits for a subprocess",
    WaitKind.POOL_IDLE: "waits as an idle pool thread",
    WaitKind.LOOP_POLL: "waits in its loop's own poll",
    WaitKind.GIL: "wants the GIL",
    WaitKind.ON_CPU: "runs on the CPU",
    WaitKind.UNKNOWN: "not known",
}


# --- numbers -----------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """A time in ms or s with its unit, three significant digits: "61.2 ms", "7.6 s", "1234 s"."""
    rounded = float(f"{seconds:.3g}")
    if rounded == 0:
        return "0 s"
    if abs(rounded) >= 1000:
        return f"{seconds:.0f} s"
    if abs(rounded) >= 1:
        return f"{rounded:g} s"
    if abs(rounded) < 1e-6:
        return "under 0.001 ms"
    return f"{float(f'{rounded * 1000:.3g}'):g} ms"


def share(fraction: float) -> str:
    """A fraction in percent: "61 %", below ten with two digits: "3.1 %"."""
    percent = fraction * 100
    if 0 < percent < 0.01:
        return "under 0.01 %"
    return f"{percent:.0f} %" if abs(percent) >= 9.95 else f"{float(f'{percent:.2g}'):g} %"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """As in "1 worker", "2 workers"."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def size(count: int) -> str:
    """So many bytes, three significant digits: "940 bytes", "64.2 kB", "2.62 MB"."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{float(f'{count / factor:.3g}'):g} {unit}"
    return plural(count, "byte")


def join(items: Sequence[str]) -> str:
    """As in "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def numbers(values: Sequence[int], limit: int = 12) -> str:
    """Process or thread ids: "4711, 4712", at most ``limit`` of them and how many more."""
    shown = ", ".join(str(value) for value in values[:limit])
    rest = len(values) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown


# --- parts of a finding ------------------------------------------------------------------------


def kind_words(finding: Finding) -> str:
    """Kind and meaning: "blocked loop: a blocking call holds the running event loop"."""
    meaning = LATENT_MEANING if finding.verdict == "latent" else finding.kind.meaning
    return f"{finding.kind.title}: {meaning}"


def place(file: str | None, line: int | None) -> str:
    """As in "/srv/app.py:41", without what is not known; not escaped."""
    return "" if file is None else file if line is None else f"{file}:{line}"


def short_words(function: str, file: str | None, line: int | None, code: Code) -> str:
    """As in "fetch (quotes.py:41)", without what is not known."""
    name = None if file is None else file.rpartition("/")[2]
    return f"{code(function)} ({code(place(name, line))})" if name else code(function)


def wait_words(wait: Wait, code: Code) -> str:
    """As in "waits in time.sleep (clock_nanosleep)", or what is known of it."""
    verb = _WAITS[wait.kind]
    if wait.call is not None:
        if wait.kind is WaitKind.ON_CPU or wait.kind is WaitKind.GIL:
            verb = f"{verb} in {code(wait.call)}"
        else:
            verb = f"waits in {code(wait.call)}"
    return verb if wait.syscall is None else f"{verb} ({code(wait.syscall)})"


def unsent_words(unsent: Unsent, code: Code) -> str:
    """As in "its peer 127.0.0.1:5000 does not read, 2.62 MB are unsent"."""
    amount = f"{size(unsent.size)} {'is' if unsent.size == 1 else 'are'} unsent"
    does = "does not read" if unsent.refused else "has not got all"
    if unsent.connections == 1:
        return f"its peer {code(unsent.peer)} {does}, {amount}"
    return f"of {unsent.connections} peers {code(unsent.peer)} {does}, {amount} to all together"


def blame_words(blame: Blame, code: Code, *, with_share: bool) -> str:
    """As in "fetch_quote, /srv/app/quotes.py:41", with its share where several are blamed."""
    where = "" if blame.file is None else f", {code(place(blame.file, blame.line))}"
    where += ", where it begins" if blame.begins else ""
    part = f" ({share(blame.share)} of the time)" if with_share else ""
    hint = ", as it seems" if blame.hint else ""
    return f"{code(blame.function)}{where}{part}{hint}"


def no_blame_words(finding: Finding) -> str:
    """Why a finding without blame has none."""
    if finding.stack:
        return "not known: no frame of the application was on the stack"
    return "not known: no stack was seen"


def worst_words(finding: Finding, recording: RecordingInfo) -> str | None:
    """As in "up to 53 %", the share of the worst-off process; None when that is not known."""
    worst = worst_share([finding], recording)
    several = len({episode.pid for episode in finding.episodes}) > 1
    return None if worst is None else f"{'up to ' * several}{share(worst)}"


def starved_words(finding: Finding, recording: RecordingInfo) -> str:
    """As in "15.2 s, 76 % of the recording, 4 times, longest 7.6 s"; if latent, the last two.

    The seconds of several processes are added up; the share is that of the worst-off one, as the
    report's first sentence tells it.
    """
    times = {1: "once", 2: "twice"}.get(finding.occurrences, f"{finding.occurrences} times")
    longest = f", longest {duration(finding.longest_s)}"
    if finding.verdict == "latent":
        return f"{times}{longest}"
    once = finding.occurrences == 1  # then it is the longest, too
    many = len({episode.pid for episode in finding.episodes})
    total = f" over {many} processes" if many > 1 else ""
    worst = worst_words(finding, recording)
    part = "" if worst is None else f", {worst} of the recording"
    return f"{duration(finding.starved_s)}{total}{part}, {times}{'' if once else longest}"


def kind_count(kind: str, count: int) -> str:
    """As in "12 I/O events"; the kind is that of a victim."""
    return plural(count, *_VICTIMS[kind])


def victim_words(victim: Victim, code: Code) -> str:
    """As in "31 timers: tick (/srv/app/beat.py:17), waited 93 s together, 3 s on average"."""
    text = kind_count(victim.kind, victim.count)
    text += f": {code(victim.name)}" if victim.name else ", not named"
    if victim.where:
        text += f" ({code(victim.where)})"
    text += f", waited {duration(victim.waited_s)}"
    if victim.count > 1:
        text += f" together, {duration(victim.waited_s / victim.count)} on average"
    return text


def rest_words(victims: Sequence[Victim]) -> str:
    """Of victims not listed one by one, as in "and 9 more, waited 1.2 s together"."""
    count = sum(victim.count for victim in victims)
    return f"and {count} more, waited {duration(sum(v.waited_s for v in victims))} together"


def where_words(finding: Finding) -> str:
    """As in "pids 4711, 4712; threads 4711, 4730", without threads that are main threads."""
    others = [tid for tid in finding.threads if tid not in finding.pids]
    pids = f"pid{'s' if len(finding.pids) > 1 else ''} {numbers(finding.pids)}"
    if not others:
        return f"{pids}, main thread{'s' if len(finding.pids) > 1 else ''}"
    return f"{pids}, thread{'s' if len(finding.threads) > 1 else ''} {numbers(finding.threads)}"


def evidence_words(finding: Finding, recording: RecordingInfo, code: Code) -> str:
    """As in "asyncio, epoll; up to 34 items waiting, 0 served meanwhile; from 1.2 s to 8.8 s".

    The span goes from the first episode's start to the last one's end, counted from the start of
    the recording.
    """
    episodes = finding.episodes
    if not episodes:
        return "no episode was kept"
    parts = [", ".join(code(name) for name in sorted({n for e in episodes for n in e.evidence}))]
    pending = [e.pending_max for e in episodes if e.pending_max is not None]
    served = [e.served for e in episodes if e.served is not None]
    counts = [f"up to {plural(max(pending), 'item')} waiting"] if pending else []
    if served and len(served) == len(episodes):
        counts.append(f"{sum(served)} served meanwhile")
    origin_s = recording.monotonic_start_ns / NS
    first = max(0.0, min(e.start_s for e in episodes) - origin_s)
    last = max(0.0, max(e.end_s for e in episodes) - origin_s)
    parts += [", ".join(counts), f"from {duration(first)} to {duration(last)} of the recording"]
    return "; ".join(filter(None, parts))


# --- who waits outside --------------------------------------------------------------------------


def unaccepted_words(one: Unaccepted, code: Code) -> str:
    """As in "2 connections to 127.0.0.1:8000 waited to be accepted, one of them for 4.2 s, none was
    taken for 3.1 s".
    """
    which, none = ("", "and was not") if one.most == 1 else ("one of them ", "none was")
    parts = [f"{plural(one.most, 'connection')} to {code(one.listener)} waited to be accepted"]
    if one.waited_s is not None:
        parts.append(f"{which}for {duration(one.waited_s)}")
    if one.longest_s is not None:
        parts.append(f"{none} taken for {duration(one.longest_s)}")
    return ", ".join(parts)


def unread_words(one: UnreadDatagrams, code: Code) -> str:
    """As in "datagrams on UDP 127.0.0.1:53 lay unread for 4.2 s, and 12 found no room", or "12
    datagrams on UDP 127.0.0.1:53 found no room".
    """
    if one.longest_s is None:
        return f"{plural(one.dropped, 'datagram')} on {code(one.socket)} found no room"
    dropped = f", and {one.dropped:,} found no room" if one.dropped else ""
    return f"datagrams on {code(one.socket)} lay unread for {duration(one.longest_s)}{dropped}"


def unread_message_words(one: UnreadMessages, code: Code) -> str:
    """As in "messages from 10.0.0.7:6379 lay unread for 4.2 s, as the thread that reads them waited
    in time.sleep (clock_nanosleep) in handle (consumer.py:4)".
    """
    at = short_words(one.reader.function, one.reader.file, one.reader.line, code)
    why = f"as the thread that reads them waited in {code(one.reader.awaits)} in {at}"
    return f"messages from {code(one.peer)} lay unread for {duration(one.longest_s)}, {why}"


# --- who is owed an answer ---------------------------------------------------------------------


def owed_words(owed: OwedRequests, recording: RecordingInfo) -> str:
    """As in "port 8000: 12 requests are owed an answer at the end, the oldest for 4.1 s; at one
    time 14 were for 100 ms or more, one for at least 5.2 s".
    """
    if owed.count is None:
        head = "what is owed at the end is not known"
    elif owed.oldest_s is None:
        head = "nothing is owed at the end"
    else:
        verb, which = ("is", "") if owed.count == 1 else ("are", "the oldest ")
        head = f"{plural(owed.count, 'request')} {verb} owed an answer at the end"
        head = f"{head}, {which}for {duration(owed.oldest_s)}"
    if owed.most:
        verb = "was" if owed.most == 1 else "were"
        late = f"for {duration(recording.min_stall_s)} or more"
        head = f"{head}; at one time {owed.most} {verb} {late}"
        if owed.longest_s is not None and owed.longest_s > (owed.oldest_s or 0.0):
            head = f"{head}, one for at least {duration(owed.longest_s)}"
    return f"port {owed.port}: {head}"


# --- the whole report --------------------------------------------------------------------------


def cost_words(cost: Cost) -> str:
    """As in "waitspy used 0.31 s CPU, 3.1 % of one core; 45 MB"."""
    cpu = [] if cost.cpu_s is None else [f"{duration(cost.cpu_s)} CPU"]
    if cost.cpu_share is not None:
        cpu.append(f"{share(cost.cpu_share)} of one core")
    memory = [] if cost.peak_rss_mb is None else [f"{cost.peak_rss_mb:.0f} MB"]
    parts = "; ".join(filter(None, (", ".join(cpu), *memory)))
    return f"waitspy used {parts}" if parts else "what waitspy itself used was not measured"


def recording_words(recording: RecordingInfo, code: Code) -> str:
    """As in "recorded :8000 on web-1 at 2026-01-02 03:04:05 UTC for 10 s, 100 Hz"; the time is
    that of the machine. For how long nobody looked is told behind it.
    """
    redacted = f"; {sharing.REDACTED}" if recording.redacted else ""
    unlooked = unlooked_words(recording)
    unseen = f"; {unlooked}" if unlooked else ""
    return (
        f"recorded {code(recording.target)} on {code(recording.host)} at "
        f"{code(to_the_second(recording.started_at))} for {duration(recording.duration_s)}, "
        f"{recording.rate_hz:g} Hz{unseen}{redacted}"
    )


def unlooked_words(recording: RecordingInfo) -> str | None:
    """As in "nobody looked for 1.52 s of it"; None where no stall could hide in that time."""
    if recording.unseen_s < recording.min_stall_s:
        return None
    return f"nobody looked for {duration(recording.unseen_s)} of it"


def unseen(report: Report, code: Code) -> list[tuple[str, str]]:
    """What could not be seen and why, each with its remedy or ""; oracles first, then losses."""
    entries: list[tuple[str, str]] = []
    for names, why, pids in not_watched(report):
        whats = join([WATCHED.get(name) or f"oracle {code(name)}" for name in names])
        known = [name for name in names if name in WATCHED]
        oracles = f" (oracle{'s' if len(known) > 1 else ''} {', '.join(known)})" if known else ""
        entries.append(
            (f"pid{'s' * (len(pids) > 1)} {numbers(pids)}, {whats}{oracles}: {code(why)}", "")
        )
    told = {loss.pid for loss in report.losses}
    alike: dict[tuple[str | None, str, str], list[int | None]] = {}
    for worker in (record.worker for record in refused(report)):
        if worker.pid not in told:
            alike.setdefault((None, worker.why_not or "", worker.remedy or ""), []).append(
                worker.pid
            )
    for loss in report.losses:
        alike.setdefault((loss.what, loss.why, loss.remedy), []).append(loss.pid)
    for (what, why, remedy), who in alike.items():
        told_of = [pid for pid in who if pid is not None]
        whose = f"pid{'s' * (len(told_of) > 1)} {numbers(told_of)}"
        if what is None:
            entry = f"{whose} {'were' if len(told_of) > 1 else 'was'} not attached"
        else:
            entry = f"{whose}, {code(what)}" if told_of else code(what)
        entries.append((f"{entry}: {code(why)}", code(remedy)))
    return entries
