"""Compares what a report says with what the target logged. Pure: values in, a score out.

Strict on purpose: a finding of the wrong kind is a false alarm, and what it covers counts as
missed. What neither helps nor harms: starvation shorter than 150 ms (three times that at the edges
of the recording), and ``no-cpu`` where things did wait although nobody held them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.accuracy.truths import Starved, union
from waitspy.model.clock import NS
from waitspy.model.code_origin import base_name
from waitspy.model.judged import Blame, Episode, Finding
from waitspy.model.kinds import DEADLOCK

ALARMS = frozenset({"starving", "late"})
_LEAST_OVERLAP = 0.5


@dataclass(slots=True)
class Score:
    """Counts that can be added up; errors are nanoseconds, without sign.

    ``expected`` and ``found`` are starvation that must be found and that was; ``right`` and
    ``false`` are episodes of findings. ``rootable`` and ``rooted`` are chains of waits.
    """

    expected: int = 0
    found: int = 0
    right: int = 0
    false: int = 0
    blamable: int = 0
    blamed: int = 0
    starved_ns: int = 0
    starved_error_ns: int = 0
    bounds_ns: list[int] = field(default_factory=list)
    rootable: int = 0
    rooted: int = 0

    def add(self, other: Score) -> None:
        """Adds the other one to this one."""
        self.expected += other.expected
        self.found += other.found
        self.right += other.right
        self.false += other.false
        self.blamable += other.blamable
        self.blamed += other.blamed
        self.rootable += other.rootable
        self.rooted += other.rooted
        self.starved_ns += other.starved_ns
        self.starved_error_ns += other.starved_error_ns
        self.bounds_ns += other.bounds_ns


Scores = dict[str, Score]
"""By kind of finding."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The scores of one run by kind, and in words what was wrong."""

    scores: Scores
    wrong: tuple[str, ...]


def judge(findings: Iterable[Finding], starved: Sequence[Starved], start_ns: int) -> Judged:
    """Scores a report against the starvation that the target logged since ``start_ns``."""
    scores: Scores = {}
    wrong: list[str] = []
    matched: dict[Starved, list[tuple[Episode, Finding]]] = {}
    for finding in findings:
        if finding.verdict not in ALARMS:
            continue
        for episode in finding.episodes:
            score = scores.setdefault(finding.kind.name, Score())
            match = _match(episode, starved)
            if match is not None and finding.kind.name in match.kinds:
                score.right += match.sure
                matched.setdefault(match, []).append((episode, finding))
            elif match is None or match.kinds or finding.kind.name != "no-cpu":
                score.false += 1
                wrong.append(_false(finding, episode, match, start_ns))
    for one in starved:
        if not one.sure:
            continue
        score = scores.setdefault(one.kinds[0], Score())
        score.expected += 1
        if one in matched:
            score.found += 1
            wrong += _measure(one, matched[one], score, start_ns)
        else:
            wrong.append(f"missed: {_span(one.start_ns, one.end_ns, start_ns)} {_cause(one)}")
    return Judged(scores, tuple(wrong))


def _match(episode: Episode, starved: Sequence[Starved]) -> Starved | None:
    """The starvation that the episode overlaps most, and by half of the shorter one of both."""
    best, most = None, 0
    start_ns, end_ns = round(episode.start_s * NS), round(episode.end_s * NS)
    for one in starved:
        if one.pid not in (0, episode.pid) or one.tid not in (0, episode.tid):
            continue
        common = min(end_ns, one.end_ns) - max(start_ns, one.start_ns)
        least = min(end_ns - start_ns, one.end_ns - one.start_ns) * _LEAST_OVERLAP
        if common > most and common >= least:
            best, most = one, common
    return best


def _measure(
    one: Starved, found: Sequence[tuple[Episode, Finding]], score: Score, start_ns: int
) -> list[str]:
    """Adds how well that starvation was told; gives what was not."""
    wrong = []
    episode, finding = max(found, key=lambda f: f[0].length_s)
    stall, blame = one.stall, finding.blame
    if stall is not None and stall.function is not None and finding.kind.name != "no-cpu":
        score.blamable += 1
        if _is_right(blame, stall.function, stall.lines):
            score.blamed += 1
        else:
            said = "nobody" if blame is None else f"{blame.function}:{blame.line}"
            span = _span(one.start_ns, one.end_ns, start_ns)
            wrong.append(f"blamed {said}: {span} {_cause(one)}")
    if stall is not None and stall.root is not None:
        score.rootable += 1
        if _is_rooted(finding, stall.root):
            score.rooted += 1
        else:
            said = " > ".join(
                "?" if link.at is None else link.at.function for link in finding.chain
            )
            span = _span(one.start_ns, one.end_ns, start_ns)
            wrong.append(f"chain {said or 'unknown'}, not to {stall.root}: {span} {_cause(one)}")
    if not one.cut:
        told = union((round(e.start_s * NS), round(e.end_s * NS)) for e, _ in found)
        told_ns = sum(end_ns - start_ns for start_ns, end_ns in told)
        score.starved_ns += one.end_ns - one.start_ns
        score.starved_error_ns += abs(told_ns - (one.end_ns - one.start_ns))
        score.bounds_ns.append(abs(round(episode.start_s * NS) - one.start_ns))
        score.bounds_ns.append(abs(round(episode.end_s * NS) - one.end_ns))
    return wrong


def _is_right(blame: Blame | None, function: str, lines: Sequence[int]) -> bool:
    if blame is None:
        return False
    return base_name(blame.function) in function.split("|") and (not lines or blame.line in lines)


def _is_rooted(finding: Finding, root: str) -> bool:
    """Whether its chain ends there; a ring has to lie in these functions."""
    links = finding.chain if finding.kind is DEADLOCK else finding.chain[-1:]
    names = {None if link.at is None else base_name(link.at.function) for link in links}
    return bool(names) and names <= set(root.split("|"))


def _false(finding: Finding, episode: Episode, match: Starved | None, start_ns: int) -> str:
    span = _span(round(episode.start_s * NS), round(episode.end_s * NS), start_ns)
    blame = finding.blame.function if finding.blame else "nobody"
    truth = "nothing waited" if match is None else _cause(match)
    return f"false alarm: {finding.kind.name} by {blame} in thread {episode.tid}, {span}: {truth}"


def _cause(one: Starved) -> str:
    if one.stall is None:
        return "(by the machine)"
    return f"({one.kinds[0]} by {one.stall.function} in thread {one.tid})"


def _span(start_ns: int, end_ns: int, origin_ns: int) -> str:
    return f"{(start_ns - origin_ns) / NS:.3f}-{(end_ns - origin_ns) / NS:.3f} s"
