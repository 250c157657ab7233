"""How waitspy says things, so that every format for people says the same.

The phrases are ASCII. Text that came from a target is passed through the function ``code`` that
the format gives: it must escape, and may mark the text as code. The only sentence that contains no
such text, and is safe as it is, is ``verdict_sentence``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from waitspy.model.clock import NS
from waitspy.model.judged import Blame, Finding, OwedRequests, Report, Victim
from waitspy.model.oracle_names import ASYNCIO, EPOLL, PENDING, WATCHED
from waitspy.model.recorded import Cost, RecordingInfo, WorkerRecord
from waitspy.model.waits import Wait, WaitKind
from waitspy.render import sharing
from waitspy.render.reports.report_format import (
    Severity,
    counted,
    known_oracles,
    not_watched,
    nothing_to_watch,
    owed_long,
    refused,
    severity,
    worst_share,
)

Code = Callable[[str], str]

LATENT_MEANING = "a blocking call while nothing was due"

_VICTIMS = {
    "task": ("task", "tasks"),
    "timer": ("timer", "timers"),
    "callback": ("callback", "callbacks"),
    "io": ("I/O event", "I/O events"),
    "work-item": ("queued work item", "queued work items"),
    "connection": ("connection", "connections"),
}
_VICTIM_CLASSES = {kind: many for kind, (_, many) in _VICTIMS.items()} | {"io": "I/O"}


WAITING_TITLE = "what waits"
_PORTS = 3  # told one by one in a sentence

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


def wait_words(wait: Wait, code: Code) -> str:
    """As in "waits in time.sleep (clock_nanosleep)", or what is known of it."""
    verb = _WAITS[wait.kind]
    if wait.call is not None:
        if wait.kind is WaitKind.ON_CPU or wait.kind is WaitKind.GIL:
            verb = f"{verb} in {code(wait.call)}"
        else:
            verb = f"waits in {code(wait.call)}"
    return verb if wait.syscall is None else f"{verb} ({code(wait.syscall)})"


def blame_words(blame: Blame, code: Code, *, with_share: bool) -> str:
    """As in "fetch_quote, /srv/app/quotes.py:41", with its share where several are blamed."""
    where = "" if blame.file is None else f", {code(place(blame.file, blame.line))}"
    part = f" ({share(blame.share)} of the time)" if with_share else ""
    return f"{code(blame.function)}{where}{part}"


def no_blame_words(finding: Finding) -> str:
    """Why a finding without blame has none."""
    if finding.stack:
        return "not known: no frame of the application was on the stack"
    return "not known: no stack was seen"


def starved_words(finding: Finding) -> str:
    """As in "15.2 s, 76 % of the recording, 4 times, longest 7.6 s"; if latent, the last two."""
    times = {1: "once", 2: "twice"}.get(finding.occurrences, f"{finding.occurrences} times")
    longest = f", longest {duration(finding.longest_s)}"
    if finding.verdict == "latent":
        return f"{times}{longest}"
    once = finding.occurrences == 1  # then it is the longest, too
    many = len({episode.pid for episode in finding.episodes})
    # the seconds of several processes are added up, which may make more than the recording
    total = f" over {many} processes" if many > 1 else ""
    part = f"{share(finding.share / max(1, many))} of the recording{' each' if many > 1 else ''}"
    return f"{duration(finding.starved_s)}{total}, {part}, {times}{'' if once else longest}"


def victim_count(victim: Victim) -> str:
    """As in "12 I/O events"."""
    return plural(victim.count, *_VICTIMS[victim.kind])


def victim_words(victim: Victim, code: Code) -> str:
    """As in "31 timers: tick (/srv/app/beat.py:17), waited 93 s together, 3 s on average"."""
    text = victim_count(victim)
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


# --- what waits --------------------------------------------------------------------------------


def owed_words(owed: OwedRequests, recording: RecordingInfo) -> str:
    """As in "port 8000: 12 requests are owed an answer at the end, the oldest for 4.1 s; at one
    time 14 were for 100 ms or more".
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
    return f"port {owed.port}: {head}"


def waiting(report: Report) -> list[str]:
    """Who waits for an answer at the end of the recording, or did before, a line for each port."""
    return [
        owed_words(owed, report.recording)
        for owed in report.waiting.requests
        if owed.count is None or owed.count or owed.most
    ]


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
    """As in "recorded :8000 on web-1 from 2026-01-02T03:04:05+00:00 for 10 s at 100 Hz"."""
    redacted = f"; {sharing.REDACTED}" if recording.redacted else ""
    return (
        f"recorded {code(recording.target)} on {code(recording.host)} from "
        f"{code(recording.started_at)} for {duration(recording.duration_s)} "
        f"at {recording.rate_hz:g} Hz{redacted}"
    )


def worker_notes(report: Report, code: Code) -> list[str]:
    """What stands below the table: how processes ended, and their commands, each told once."""
    notes = [
        f"{record.worker.pid} ended: {code(record.exit)}"
        for record in report.workers
        if record.exit is not None
    ]
    commands: dict[str, list[int]] = {}
    for record in report.workers:
        commands.setdefault(record.worker.command, []).append(record.worker.pid)
    for command, pids in commands.items():
        whose = "all" if len(commands) == 1 and len(pids) > 1 else numbers(pids)
        notes.append(f"command of {whose}: {code(command)}")
    return notes


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
    for worker in (record.worker for record in refused(report)):
        if worker.pid not in told:
            why = f"pid {worker.pid} was not attached: {code(worker.why_not or '')}"
            entries.append((why, code(worker.remedy or "")))
    for loss in report.losses:
        whose = "" if loss.pid is None else f"pid {loss.pid}, "
        entries.append((f"{whose}{code(loss.what)}: {code(loss.why)}", code(loss.remedy)))
    return entries


def verdict_sentence(report: Report) -> str:
    """The report in one sentence, for example
    "2 of 4 workers starved I/O and timers for up to 61 % of the time; longest stall 7.6 s".

    Counted are the attached Python workers and whatever a finding names beside them. A worker's
    share of the time is the union of its episodes over the length of the recording; "up to" is
    said of several workers and gives that of the worst-off one. The longest stall is the longest
    episode: within it, something due was waiting at every instant. Without findings the sentence
    claims only what could be watched, says what could not, and who waits all the same.
    """
    level = severity(report)
    if level in ("starving", "late"):
        return _finding_sentence(report, level)
    workers = counted(report)
    if not workers:
        return "nothing was watched: no Python worker was attached, so starvation is not ruled out"
    if level == "unknown":
        where = "the only worker" if len(workers) == 1 else f"any of {len(workers)} workers"
        why = f"pending work could not be seen on {where}"
        if nothing_to_watch(report):
            why = f"no event loop, thread pool or listening socket was found in {where}"
        sentence = f"starvation could not be judged: {why}"
        if owed := owed_long(report):
            sentence = f"{sentence}, and {_owed_clause(owed)}"
    else:
        length = duration(report.recording.duration_s)
        head = "no starvation seen"
        if owed := owed_long(report):
            head = f"{head} in what was watched, but {_owed_clause(owed)}"
        head = f"{head}: {plural(len(workers), 'worker')}, {length}"
        blind = _blind_clauses(workers, known_oracles(report))
        sentence = "; ".join((f"{head}, {_loops_clause(report)}", *_watched(report), *blind))
    latent = len(report.findings)
    more = [f"{latent} latent: {LATENT_MEANING}"] if latent else []
    return "; ".join((sentence, *more, *_gap_clauses(report)))


def _owed_clause(owed: Sequence[OwedRequests]) -> str:
    """As in "12 requests on port 8000 are owed an answer, the oldest for 4.1 s"."""
    count = sum(one.count or 0 for one in owed)
    ports = [str(one.port) for one in owed]
    where = f"port {ports[0]}" if len(ports) == 1 else f"ports {join(ports)}"
    if len(ports) > _PORTS:
        where = f"{len(ports)} ports"
    verb = "is" if count == 1 else "are"
    oldest = duration(max(one.oldest_s or 0.0 for one in owed))
    which = f"for {oldest}" if count == 1 else f"the oldest for {oldest}"
    return f"{plural(count, 'request')} on {where} {verb} owed an answer, {which}"


def _finding_sentence(report: Report, level: Severity) -> str:
    findings = [finding for finding in report.findings if finding.verdict == level]
    pids = {pid for finding in findings for pid in finding.pids}
    records = {record.worker.pid: record for record in report.workers}
    total = {record.worker.pid for record in counted(report)} | pids
    plain = all(pid in records and records[pid].worker.role == "worker" for pid in total)
    noun = "worker" if plain else "process"
    many = "workers" if plain else "processes"
    who = f"the only {noun}" if len(total) == 1 else f"{len(pids)} of {len(total)} {many}"
    what = _starved_classes(findings)
    if level == "late":
        verb = f"served {what or 'their work'} late"
    else:
        verb = f"starved {what}" if what else "left due work unserved"
    up_to = "up to " if len(pids) > 1 else ""
    worst = worst_share(findings, report.recording)
    when = "" if worst is None else f" for {up_to}{share(worst)} of the time"
    longest = duration(max(finding.longest_s for finding in findings))
    word = "stall" if level == "starving" else "stretch"
    others = {"late": "late", "latent": "latent"} if level == "starving" else {"latent": "latent"}
    counts = [
        f"{sum(f.verdict == verdict for f in report.findings)} {name}"
        for verdict, name in others.items()
        if any(f.verdict == verdict for f in report.findings)
    ]
    more = [f"also {join(counts)}"] if counts else []
    return "; ".join((f"{who} {verb}{when}", f"longest {word} {longest}", *more))


def _starved_classes(findings: Iterable[Finding]) -> str:
    waited: dict[str, float] = {}
    for finding in findings:
        for victim in finding.victims:
            waited[victim.kind] = waited.get(victim.kind, 0.0) + victim.waited_s
    kinds = sorted(waited, key=lambda kind: (-waited[kind], kind))
    names = [_VICTIM_CLASSES[kind] for kind in kinds]
    return join([*names[:2], "more"] if len(names) > 3 else names)


def _watched(report: Report) -> list[str]:
    """What there was that could have starved: an all-clear is worth as much as was looked at."""
    seen = report.watched
    if seen is None or seen.nothing:
        return []
    kinds = ((seen.loops, "loop"), (seen.pools, "thread pool"), (seen.listeners, "listener"))
    found = join([plural(many, what) for many, what in kinds if many])
    looks = report.recording.looks
    return [f"watched {found}" + (f" in {looks:,} looks" if looks else "")]


def _loops_clause(report: Report) -> str:
    if report.watched is not None and not report.watched.loops:
        return "but no event loop was seen to run"
    within = f"within {duration(report.recording.min_stall_s)}"
    names = [name for name in (ASYNCIO, EPOLL) if name in known_oracles(report)]
    # The epoll oracle alone sees unread I/O, not overdue timers or ready callbacks.
    done = f"was served {within}" if ASYNCIO in names else f"collected its I/O {within}"
    seen = [[record.oracles.get(name) == "ok" for name in names] for record in counted(report)]
    if all(all(oracles) for oracles in seen):
        return f"every loop {done}"
    if any(any(oracles) for oracles in seen):
        return f"every loop that could be watched {done}"
    return "but no loop could be watched"


def _blind_clauses(workers: Sequence[WorkerRecord], oracles: Sequence[str]) -> list[str]:
    blind: dict[tuple[int, ...], list[str]] = {}
    for name in oracles:
        what = PENDING[name]
        pids = tuple(r.worker.pid for r in workers if r.oracles.get(name) != "ok")
        if pids:
            blind.setdefault(pids, []).append(what)
    size = len(workers)
    return [
        f"{join(whats)} could not be watched on "
        + ("the only worker" if size == 1 else f"{len(pids)} of {size} workers")
        for pids, whats in blind.items()
    ]


def _gap_clauses(report: Report) -> list[str]:
    missing = {record.worker.pid for record in refused(report)}
    losses = [loss for loss in report.losses if loss.pid not in missing]
    clauses = []
    if missing:
        clauses.append(f"{plural(len(missing), 'process', 'processes')} could not be attached")
    if losses:
        clauses.append(f"{plural(len(losses), 'loss', 'losses')} of data")
    return clauses
