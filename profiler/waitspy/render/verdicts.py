"""The report in one sentence: its first line, and the title of its page."""

from __future__ import annotations

from collections.abc import Sequence

from waitspy.model.judged import Finding, Link, OwedRequests, Report
from waitspy.model.kinds import HELD_LOCK
from waitspy.model.oracle_names import ASYNCIO, DATAGRAMS, EPOLL, LIBUV, PENDING, concerns
from waitspy.model.recorded import WorkerRecord
from waitspy.render import chain_words, escape
from waitspy.render.reports.report_format import (
    Severity,
    counted,
    hardly_looked,
    is_judged,
    is_long,
    known_oracles,
    no_loop_seen,
    nothing_to_watch,
    owed_long,
    refused,
    severity,
)
from waitspy.render.words import (
    LATENT_MEANING,
    Code,
    duration,
    join,
    kind_count,
    plural,
    short_words,
    unaccepted_words,
    unlooked_words,
    unread_message_words,
    unread_words,
    worst_words,
)

_NAME_LIMIT = 60  # characters: the sentence is to stay short

_PORTS = 3  # told one by one
_MOST_KINDS = 3  # of victims, told one by one
_OF_QUEUE = "kept a queue full in {who}"  # instead of what is said of a lock
_OF_DATAGRAMS = "kept {who} from reading datagrams"  # instead of what is said of connections
_MAINLY = 0.5  # of a finding's time: what one blamed line answers for


def name(text: str) -> str:
    """A text of the target as the sentence has it, before it is marked up."""
    return escape.shorten(escape.terminal(text) or "(empty)", _NAME_LIMIT)


def sentence(report: Report, code: Code) -> str:
    """What the report says first, for example "fetch (quotes.py:41) blocked 2 of 4 workers, up to
    61 % of the time; 12 I/O events and 3 timers waited 1.9 s on average; longest stall 7.6 s".

    That is the finding of the worst verdict whose victims waited the longest; others are counted.
    Workers are the attached Python workers and whatever a finding names beside them. A worker's
    share of the time is the union of its episodes over the length of the recording; "up to" is
    said of several workers and gives that of the worst-off one. The longest stall is the longest
    episode: within it, something due was waiting at every instant. Without findings the sentence
    claims only what could be watched, says what could not, and who waits all the same.
    """
    level = severity(report)
    if level in ("starving", "late"):
        return _finding_sentence(report, level, code)
    workers = counted(report)
    if not workers:
        return "nothing was watched: no worker was attached, so starvation is not ruled out"
    if level == "unknown":
        where = "the only worker" if len(workers) == 1 else f"any of {len(workers)} workers"
        why = f"pending work could not be seen on {where}"
        if hardly_looked(report):
            why = "waitspy itself did not run for most of the time"
        elif no_loop_seen(report):
            why = f"no event loop could be watched in {where}"
        elif nothing_to_watch(report):
            why = f"no event loop, pool or listening socket was found in {where}"
        sentence = f"starvation could not be judged: {why}"
        if clauses := _waits(report, code):
            sentence = f"{sentence}, and {join(clauses)}"
    else:
        length = duration(report.recording.duration_s)
        head = "no starvation seen"
        if clauses := _waits(report, code):
            head = f"{head} in what was watched, but {join(clauses)}"
        head = f"{head}: {plural(len(workers), 'worker')}, {length}"
        blind = _blind_clauses(workers, known_oracles(report))
        sentence = "; ".join((f"{head}, {_loops_clause(report)}", *_watched(report), *blind))
    latent = len(report.findings)
    more = [f"{latent} latent: {LATENT_MEANING}"] if latent else []
    return "; ".join((sentence, *more, *_gap_clauses(report)))


def _waits(report: Report, code: Code) -> list[str]:
    """Who waits although nothing is to blame for it, and of whom that is not known."""
    outside = [unaccepted_words(one, code) for one in report.waiting.unaccepted[:_PORTS]]
    outside += [unread_words(one, code) for one in report.waiting.unread[:_PORTS]]
    outside += [unread_message_words(one, code) for one in report.waiting.messages[:_PORTS]]
    owed = owed_long(report)
    seen = [*outside, _owed_clause(owed)] if owed else outside
    names = [code(name) for name in report.waiting.unseen]
    if not names:
        return seen
    where = join(names) if len(names) <= _PORTS else f"{len(names)} unix sockets"
    return [*seen, f"whether requests on {where} are owed an answer is not known"]


def _owed_clause(owed: Sequence[OwedRequests]) -> str:
    """As in "12 requests on port 8000 are owed an answer, the oldest for 4.1 s", or "a request on
    port 8000 was owed an answer for at least 4.1 s".
    """
    now = [one for one in owed if is_long(one.oldest_s)]
    owed = now or owed
    count = sum(one.count or 0 for one in owed)
    ports = [str(one.port) for one in owed]
    where = f"port {ports[0]}" if len(ports) == 1 else f"ports {join(ports)}"
    if len(ports) > _PORTS:
        where = f"{len(ports)} ports"
    if not now:
        longest = duration(max(one.longest_s or 0.0 for one in owed))
        return f"a request on {where} was owed an answer for at least {longest}"
    verb = "is" if count == 1 else "are"
    oldest = duration(max(one.oldest_s or 0.0 for one in owed))
    which = f"for {oldest}" if count == 1 else f"the oldest for {oldest}"
    return f"{plural(count, 'request')} on {where} {verb} owed an answer, {which}"


def _finding_sentence(report: Report, level: Severity, code: Code) -> str:
    first = next(finding for finding in report.findings if finding.verdict == level)
    worst = worst_words(first, report.recording)
    when = "" if worst is None else f", {worst} of the time"
    word = "stall" if level == "starving" else "stretch"
    clauses = [f"{_deed(report, first, code)}{when}", *_waited(first)]
    root = chain_words.root_words(first.chain, code)
    if root is not None and not _is_blamed(first, first.chain[-1]):
        clauses.append(root)
    clauses += [f"longest {word} {duration(first.longest_s)}", *_others(report, first)]
    return "; ".join(clauses)


def _is_blamed(finding: Finding, root: Link) -> bool:
    """Whether the root of its chain is where the blame lies already."""
    at, blame = root.at, finding.blame
    if at is None or blame is None:
        return False
    return (at.function, at.file, at.line) == (blame.function, blame.file, blame.line)


def _deed(report: Report, finding: Finding, code: Code) -> str:
    """As in "fetch (quotes.py:41) blocked 2 of 4 workers"."""
    who = _who(report, finding)
    blame = finding.blame
    if blame is None:
        return f"{finding.kind.title} in {who}, nobody to blame was seen"
    where = short_words(blame.function, blame.file, blame.line, code)
    more = "" if blame.share >= _MAINLY else " and other lines"
    waits_for = finding.chain[0].waits_for if finding.chain else None
    of_queue = finding.kind is HELD_LOCK and waits_for == "full-queue"
    of_datagrams = any(DATAGRAMS in episode.evidence for episode in finding.episodes)
    deed = finding.kind.deed
    if of_queue or of_datagrams:
        deed = _OF_QUEUE if of_queue else _OF_DATAGRAMS
    return f"{where}{more} {deed.format(who=who)}"


def _who(report: Report, finding: Finding) -> str:
    """As in "2 of 4 workers", "all 3 workers", "both workers" or "the only worker"."""
    pids = set(finding.pids)
    records = {record.worker.pid: record for record in report.workers}
    total = {record.worker.pid for record in counted(report)} | pids
    plain = all(pid in records and records[pid].worker.role == "worker" for pid in total)
    noun, many = ("worker", "workers") if plain else ("process", "processes")
    if len(total) == 1:
        return f"the only {noun}"
    if pids != total:
        return f"{len(pids)} of {len(total)} {many}"
    return f"both {many}" if len(total) == 2 else f"all {len(total)} {many}"


def _waited(finding: Finding) -> list[str]:
    """As in "12 I/O events and 3 timers waited 1.9 s on average"."""
    counts: dict[str, int] = {}
    for victim in sorted(finding.victims, key=lambda victim: -victim.waited_s):
        counts[victim.kind] = counts.get(victim.kind, 0) + victim.count
    total = sum(counts.values())
    if not total:
        return []
    whom = join([kind_count(kind, count) for kind, count in counts.items()])
    if len(counts) > _MOST_KINDS:
        whom = plural(total, "item")
    average = " on average" if total > 1 else ""
    return [f"{whom} waited {duration(finding.victim_s / total)}{average}"]


def _others(report: Report, first: Finding) -> list[str]:
    told = [
        f"{many} {'more ' * (verdict == first.verdict)}{verdict}"
        for verdict in ("starving", "late", "latent")
        if (many := sum(f.verdict == verdict and f is not first for f in report.findings))
    ]
    return [f"also {join(told)}"] if told else []


def _watched(report: Report) -> list[str]:
    """What there was that could have starved: an all-clear is worth as much as was looked at."""
    seen = report.watched
    if seen is None or seen.nothing:
        return []
    kinds = (
        (seen.loops, "loop"),
        (seen.pools, "pool"),
        (seen.listeners, "listener"),
        (seen.datagrams, "datagram socket"),
    )
    found = join([plural(many, what) for many, what in kinds if many])
    looks = report.recording.looks
    return [f"watched {found}" + (f" in {looks:,} looks" if looks else "")]


def _loops_clause(report: Report) -> str:
    within = f"within {duration(report.recording.min_stall_s)}"
    names = [name for name in (ASYNCIO, LIBUV, EPOLL) if name in known_oracles(report)]
    # The epoll oracle alone sees unread I/O, not overdue timers or ready callbacks.
    records = counted(report)
    asked = all(
        any(name != EPOLL and concerns(name, record.worker) for name in names) for record in records
    )
    done = f"was served {within}" if asked else f"collected its I/O {within}"
    seen = [
        [is_judged(record, name) for name in names if concerns(name, record.worker)]
        for record in records
    ]
    if not any(map(any, seen)):
        return "but no loop could be watched"
    if report.watched is not None and not report.watched.loops:
        return "but no event loop was seen to run"
    if all(all(oracles) for oracles in seen):
        return f"every loop {done}"
    return f"every loop that could be watched {done}"


def _blind_clauses(workers: Sequence[WorkerRecord], oracles: Sequence[str]) -> list[str]:
    blind: dict[tuple[int, ...], list[str]] = {}
    for name in oracles:
        what = PENDING[name]
        pids = tuple(
            r.worker.pid for r in workers if concerns(name, r.worker) and not is_judged(r, name)
        )
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
    unlooked = unlooked_words(report.recording)
    clauses = [unlooked] if unlooked else []
    if missing:
        clauses.append(f"{plural(len(missing), 'process', 'processes')} could not be attached")
    if losses:
        clauses.append(f"{plural(len(losses), 'loss', 'losses')} of data")
    return clauses
