"""Findings: episodes with the same kind and blame, their victims, and what to do about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from waitspy.judge import blame, gil, remedies
from waitspy.judge import victims as victims_of
from waitspy.judge.classify import source_line
from waitspy.judge.episode import Starvation
from waitspy.judge.wait_for import Chains
from waitspy.model.clock import NS
from waitspy.model.judged import Blame, Episode, Finding, Lending, Link, Spot
from waitspy.model.kinds import (
    BLOCKED_LOOP,
    EXHAUSTED_CONNECTIONS,
    GC_PAUSE,
    GIL_BOUND,
    HELD_LOCK,
    Kind,
    Verdict,
)
from waitspy.model.oracle_names import DATAGRAMS
from waitspy.model.recorded import SourceLines
from waitspy.model.stacks import Frame, Stack
from waitspy.model.waits import Wait, WaitKind

_Key = tuple[Kind, Verdict, str | None, Frame | None]
_LEAST_SHARE = 0.02
_NAMED = 0.1  # of the time, for which functions are known that are blamed for all of it
_OF_WAITERS = frozenset({HELD_LOCK, EXHAUSTED_CONNECTIONS})
_CHAINS_OF = 100  # episodes of a finding, the longest ones, whose chains are followed


@dataclass(frozen=True, slots=True)
class _Blamed:
    """One episode with the time that each blamed frame, stack and wait had in it."""

    episode: Starvation
    frames: Counter[Frame | None]
    stacks: Counter[Stack]
    waits: Counter[Wait]


def judge(
    starvations: Iterable[Starvation],
    sources: SourceLines,
    duration_s: float,
    chains: Chains | None = None,
) -> tuple[Finding, ...]:
    """The findings, those with the most victim-seconds first."""
    groups: dict[_Key, list[_Blamed]] = {}
    for starvation in starvations:
        blamed = _weigh(starvation)
        top = _most_blamed_function(blamed.frames)
        key = (starvation.kind, starvation.verdict, starvation.detail, top)
        groups.setdefault(key, []).append(blamed)
    _join_unblamed(groups)
    found = [_finding(group, sources, duration_s, chains) for group in groups.values()]
    return tuple(
        sorted(found, key=lambda f: (-f.victim_s, -f.starved_s, -f.longest_s, f.kind.name, f.pids))
    )


def _most_blamed_function(frames: Counter[Frame | None]) -> Frame | None:
    """The frame with the most time; of JavaScript the function, as its line may be known or not."""
    functions: Counter[Frame | None] = Counter()
    for frame, length in frames.items():
        functions[None if frame is None else frame.from_the_beginning()] += length
    return functions.most_common(1)[0][0] if functions else None


def _join_unblamed(groups: dict[_Key, list[_Blamed]]) -> None:
    """Who keeps the GIL, or collects garbage with it, is seen in some episodes only; the others of
    that loop go with them.
    """
    for key in [key for key in groups if key[0] in {GIL_BOUND, GC_PAUSE} and key[-1] is None]:
        loops = {(one.episode.pid, one.episode.tid) for one in groups[key]}
        for other, group in groups.items():
            seen = {(one.episode.pid, one.episode.tid) for one in group}
            if other[:-1] == key[:-1] and other != key and seen >= loops:
                group.extend(groups.pop(key))
                break


def _weigh(starvation: Starvation) -> _Blamed:
    frames: Counter[Frame | None] = Counter()
    between: Counter[Frame | None] = Counter()
    stacks: Counter[Stack] = Counter()
    waits: Counter[Wait] = Counter()
    # what is served all along may be late because of what its threads compute
    computes = (
        starvation.kind.on_cpu or starvation.verdict == "late" or gil.SEEN in starvation.evidence
    )
    for activity in starvation.guilty:
        length = activity.end_ns - activity.start_ns
        if not blame.holds_up(activity.stack, activity.wait):
            continue
        if activity.stack:  # else the kernel alone tells of it
            frame = blame.blamed(blame.guilty_frames(activity, starvation.base))
            ran = activity.wait.kind is WaitKind.ON_CPU and not computes
            weights = between if ran else frames
            weights[blame.stand_in(frame, starvation.stand_in)] += length
            stacks[activity.stack] += length
        if activity.wait.kind is not WaitKind.ON_CPU or computes:
            waits[activity.wait] += length
    _add_between(frames, between)
    if starvation.node and frames.total() - frames[None] >= frames.total() * _NAMED:
        # within one turn: V8 shows no function while it collects garbage, or runs native code
        frames.pop(None, None)
        for stack in [one for one in stacks if blame.blamed(one) is None]:
            del stacks[stack]
    return _Blamed(starvation, frames, stacks, waits)


def _add_between(frames: Counter[Frame | None], between: Counter[Frame | None]) -> None:
    """Adds the moments for which somebody who waits was woken: of JavaScript they have no lines of
    their own, and go with the one in which it waits, if that is one only.
    """
    lined = [frame for frame in frames if frame is not None and not frame.at_beginning]
    for frame, length in between.items():
        own = [one for one in lined if one.from_the_beginning() == frame]
        frames[own[0] if len(own) == 1 else frame] += length


def _finding(
    group: Sequence[_Blamed], sources: SourceLines, duration_s: float, chains: Chains | None
) -> Finding:
    first = group[0].episode
    kind, latent = first.kind, first.latent
    frames: Counter[Frame | None] = Counter()
    stacks: Counter[Stack] = Counter()
    waits: Counter[Wait] = Counter()
    for one in group:
        frames.update(one.frames)
        stacks.update(one.stacks)
        waits.update(one.waits)
    stack = stacks.most_common(1)[0][0] if stacks else ()
    wait = waits.most_common(1)[0][0] if waits else Wait(WaitKind.UNKNOWN)
    longest = max((one.episode for one in group), key=lambda one: one.end_ns - one.start_ns)
    unnamed = blame.NATIVE_CODE if first.node else blame.C_CALLBACK
    has_them = longest.lending if kind is not BLOCKED_LOOP else None  # the loop wants one
    blames = _blames(frames, sources, has_them, unnamed)
    lengths_s = [(one.episode.end_ns - one.episode.start_ns) / NS for one in group]
    victims = () if latent else victims_of.of([one.episode for one in group])
    starved_s = 0.0 if latent else sum(lengths_s)
    above = blame.above(stack, first.base)
    chain = () if chains is None else _chain([one.episode for one in group], chains)
    case = remedies.Case(
        kind=kind,
        wait=wait,
        line=blames[0].source if blames else None,
        packages=frozenset(name for f in above if (name := f.home.package) is not None),
        library=_library(first, stack),
        pool=first.pool,
        datagrams=DATAGRAMS in first.evidence and gil.SEEN not in first.evidence,
        frames=tuple(f"{frame.home.short}:{frame.function}" for frame in above),
        waits_for=frozenset(_waits_for(chain)),
        over_await=any(
            link.task is None and following.task is not None and following.how in {"with", "owner"}
            for link, following in _pairs(chain)
        ),
    )
    return Finding(
        kind=kind,
        verdict=first.verdict,
        wait=wait,
        blames=blames,
        stack=stack,
        pids=tuple(sorted({pid for one in group for pid, *_ in one.episode.threads})),
        threads=tuple(sorted({tid for one in group for _, tid, _ in one.episode.threads})),
        episodes=tuple(sorted((_episode(one.episode) for one in group), key=_order)),
        occurrences=len(group),
        starved_s=starved_s,
        longest_s=max(lengths_s),
        victim_s=sum(victim.waited_s for victim in victims),
        share=starved_s / duration_s if duration_s > 0 else 0.0,
        victims=victims,
        remedy=remedies.find(case),
        detail=first.detail,
        chain=chain,
        lending=longest.lending,
    )


def _pairs(chain: Sequence[Link]) -> Iterator[tuple[Link, Link]]:
    """Each with the one that comes next: after the last one of a ring, the first."""
    return pairwise((*chain, *chain[:1]))


def _waits_for(chain: Sequence[Link]) -> Iterator[str]:
    """What those in a chain wait for: also what one thread alone can do, that of a loop or another
    one.
    """
    for link, following in _pairs(chain):
        yield from (following.how,) if following.how in {"loop", "queued"} else ()
        yield from () if link.waits_for is None else (link.waits_for,)


def _chain(group: Sequence[Starvation], chains: Chains) -> tuple[Link, ...]:
    """The chain that most of the time went to, as it was in the longest of these episodes."""
    lengths: Counter[tuple[object, ...]] = Counter()
    first: dict[tuple[object, ...], tuple[Link, ...]] = {}
    by_length = sorted(group, key=lambda one: one.start_ns - one.end_ns)
    for one in by_length[:_CHAINS_OF]:
        if one.of_tasks or one.links:
            return one.links
        waiters = [one.thread] if one.kind in _OF_WAITERS else list(one.held_by) or [one.thread]
        for key in waiters:
            chain = chains.of(key, one.start_ns, one.end_ns)
            if chain is None or (len(chain.links) < 2 and not chain.ring):
                continue
            same = tuple((link.at, link.how, link.taken, link.wait) for link in chain.links)
            lengths[same] += one.end_ns - one.start_ns
            first.setdefault(same, chain.links)
    return first[lengths.most_common(1)[0][0]] if lengths else ()


def _library(episode: Starvation, stack: Stack) -> str | None:
    """Whose loop starved; None where asyncio's is seen."""
    if episode.node:
        return remedies.NODE if stack else remedies.NODE_UNSEEN
    shown = (episode.base or (), stack)
    foreign = next(filter(None, map(blame.foreign_loop, shown)), None)
    if foreign is None and not episode.asyncio and not any(map(blame.shows_asyncio, shown)):
        return remedies.OTHER
    return foreign


def _blames(
    frames: Counter[Frame | None], sources: SourceLines, lending: Lending | None, unnamed: str
) -> tuple[Blame, ...]:
    to = () if lending is None else lending.to
    sure, hints = (
        {_place(one.at) for one in to if one.at is not None and (one.how == "reach") is hint}
        for hint in (False, True)
    )
    whole = sum(frames.values())
    found: list[Blame] = []
    for frame, length in frames.most_common():
        share = length / whole
        if found and share < _LEAST_SHARE:
            break  # the edges of episodes: within the error of sampling
        if frame is None:
            found.append(Blame(unnamed, None, None, share))
            continue
        line = source_line(frame, sources)
        source = None if line is None else line.strip()
        one = Blame(frame.function, frame.file or None, frame.line, share, source)
        hint = _place(one) in hints - sure
        found.append(replace(one, hint=hint, begins=frame.at_beginning))
    return tuple(found)


def _place(one: Spot | Blame) -> tuple[str, str | None, int | None]:
    return one.function, one.file, one.line


def _episode(starvation: Starvation) -> Episode:
    return Episode(
        pid=starvation.pid,
        tid=starvation.tid,
        start_s=starvation.start_ns / NS,
        end_s=starvation.end_ns / NS,
        evidence=starvation.evidence,
        pending_max=None if starvation.latent else starvation.waiting,
        served=starvation.served,
    )


def _order(episode: Episode) -> tuple[float, int]:
    return episode.start_s, episode.pid
