"""The report in one sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.examples import report_examples
from tests.examples.report_examples import EXAMPLES, ORACLES_OK, worker
from waitspy.model.judged import Blame, Coverage, Report
from waitspy.model.kinds import ACCEPT_BACKLOG
from waitspy.model.recorded import Loss
from waitspy.render import verdicts
from waitspy.render.reports.report_format import severity


def plain(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "starving": "QuoteClient.fetch (client.py:41) blocked 2 of 4 workers, up to 40 % of the time; "
        "12 I/O events, 31 timers and 1 task waited 2.1 s on average; longest stall 2.35 s; "
        "also 1 more starving",
        "mixed": "QuoteClient.fetch (client.py:41) blocked 2 of 4 workers, up to 40 % of the time; "
        "12 I/O events, 31 timers and 1 task waited 2.1 s on average; longest stall 2.35 s; "
        "also 1 more starving, 1 late and 1 latent",
        "late": "resize (images.py:14) overloaded a pool of 1 of 4 workers, 11 % of the time; "
        "40 queued work items waited 235 ms on average; longest stretch 1.1 s",
        "healthy": "no starvation seen: 4 workers, 10 s, every loop was served within 100 ms",
        "half_blind": "no starvation seen: 4 workers, 10 s, every loop that could be watched was "
        "served within 100 ms; I/O could not be watched on 2 of 4 workers",
        "blind": "starvation could not be judged: pending work could not be seen on any of "
        "2 workers",
        "latent_only": "no starvation seen: 4 workers, 10 s, every loop was served within 100 ms; "
        "1 latent: a blocking call while nothing was seen to be due",
        "owed": "no starvation seen in what was watched, but 12 requests on port 8000 are owed an "
        "answer, the oldest for 4.1 s: 4 workers, 10 s, every loop was served within 100 ms",
        "nothing_attached": "nothing was watched: no worker was attached, so starvation is "
        "not ruled out",
        "unknown_blame": "blocked loop in 1 of 4 workers, nobody to blame was seen, 17 % of the "
        "time; longest stall 1.7 s",
    }.items(),
)
def test_verdict_sentence(name: str, expected: str) -> None:
    assert verdicts.sentence(EXAMPLES[name](), plain) == expected


def of_pids(*pids: int) -> Report:
    finding = replace(report_examples.parked_loop(), pids=pids)
    return replace(report_examples.healthy(), findings=(finding,))


def test_verdict_of_a_single_worker() -> None:
    report = replace(of_pids(4713), workers=(worker(4713),))
    assert verdicts.sentence(report, plain) == (
        "Consumer.run_forever (consumer.py:63) kept the only worker away from due work, 76 % of "
        "the time; 2 timers waited 7.6 s on average; longest stall 7.6 s"
    )


def test_verdict_counts_a_starving_process_that_is_no_worker() -> None:
    assert " kept 1 of 5 processes away " in verdicts.sentence(of_pids(4710), plain)
    assert " kept all 4 workers " in verdicts.sentence(of_pids(4711, 4712, 4713, 4714), plain)


def test_one_of_several_lines_is_not_blamed_alone() -> None:
    finding = report_examples.parked_loop()
    lines = (Blame("first", "/srv/a.py", 1, 0.4), Blame("second", "/srv/b.py", 2, 0.3))
    report = replace(of_pids(4713), findings=(replace(finding, blames=lines),))
    assert verdicts.sentence(report, plain).startswith("first (a.py:1) and other lines kept ")


def test_verdict_of_silence_tells_what_is_missing() -> None:
    refused = worker(4715)
    refused = replace(refused, worker=replace(refused.worker, why_not="no right to ptrace"))
    report = replace(
        report_examples.healthy(),
        workers=(*report_examples.workers(), refused),
        losses=(Loss("x", "no right to ptrace", "", 4715), Loss("the end", "disk full", "free it")),
    )
    assert verdicts.sentence(report, plain) == (
        "no starvation seen: 4 workers, 10 s, every loop was served within 100 ms; "
        "1 process could not be attached; 1 loss of data"
    )


def test_verdict_says_what_was_watched() -> None:
    quiet = report_examples.healthy()
    seen = replace(quiet, watched=Coverage(3, 2, 1), recording=replace(quiet.recording, looks=1402))
    said = verdicts.sentence(seen, plain)
    assert said.endswith("; watched 3 loops, 2 pools and 1 listener in 1,402 looks")
    no_loop = verdicts.sentence(replace(quiet, watched=Coverage(0, 1, 0)), plain)
    assert "every loop" not in no_loop
    assert no_loop.endswith("but no event loop was seen to run; watched 1 pool")


def test_sockets_for_datagrams_are_counted_where_no_loop_reads_them() -> None:
    quiet = replace(report_examples.healthy(), watched=Coverage(0, 0, 0, datagrams=2))
    assert verdicts.sentence(quiet, plain).endswith("watched 2 datagram sockets")


def test_who_reads_datagrams_is_kept_from_that() -> None:
    report = report_examples.starving()
    first = report.findings[0]
    episodes = tuple(replace(one, evidence=("datagrams", "threads")) for one in first.episodes)
    unread = replace(first, kind=ACCEPT_BACKLOG, episodes=episodes)
    sentence = verdicts.sentence(replace(report, findings=(unread,)), plain)
    assert " from reading datagrams" in sentence
    others = verdicts.sentence(
        replace(report, findings=(replace(first, kind=ACCEPT_BACKLOG),)), plain
    )
    assert " from accepting" in others


def test_where_nothing_can_starve_there_is_no_all_clear() -> None:
    empty = replace(report_examples.healthy(), watched=Coverage(0, 0, 0))
    assert verdicts.sentence(empty, plain) == (
        "starvation could not be judged: no event loop, pool or listening socket was found "
        "in any of 4 workers"
    )
    assert severity(empty) == "unknown"
    latent = replace(empty, findings=(report_examples.latent_block(),))
    assert severity(latent) == "latent"


def test_verdict_claims_nothing_of_loops_that_nobody_watched() -> None:
    only_pools = dict.fromkeys(ORACLES_OK, "no") | dict.fromkeys(
        ("threads", "pools", "backlog"), "ok"
    )
    report = replace(report_examples.healthy(), workers=(worker(4711, oracles=only_pools),))
    assert verdicts.sentence(report, plain) == (
        "no starvation seen: 1 worker, 10 s, but no loop could be watched; "
        "I/O and asyncio work could not be watched on the only worker"
    )


def test_loops_that_are_there_and_not_seen_are_no_all_clear() -> None:
    unseen = Coverage(0, 0, 1, unseen_loops=2)
    for watched in (unseen, replace(unseen, listeners=0)):
        report = replace(report_examples.healthy(), watched=watched)
        assert severity(report) == "unknown"
        assert verdicts.sentence(report, plain) == (
            "starvation could not be judged: no event loop could be watched in any of 4 workers"
        )
    some = replace(report, watched=replace(unseen, loops=1))
    assert severity(some) == "none"


def test_without_the_states_of_threads_nothing_is_claimed() -> None:
    no_states = ORACLES_OK | {"threads": "the kernel does not tell"}
    report = replace(report_examples.healthy(), workers=(worker(4711, oracles=no_states),))
    assert severity(report) == "unknown"
    beside = replace(report, workers=(*report.workers, worker(4712)))
    assert verdicts.sentence(beside, plain) == (
        "no starvation seen: 2 workers, 10 s, every loop that could be watched was served within "
        "100 ms; I/O, asyncio work, pools and accept queues could not be watched on "
        "1 of 2 workers"
    )


def test_an_all_clear_tells_for_how_long_nobody_looked() -> None:
    quiet = report_examples.healthy()
    gaps = ((0, 1_000_000_000), (2_000_000_000, 2_500_000_000))
    report = replace(quiet, recording=replace(quiet.recording, gaps=gaps))
    assert verdicts.sentence(report, plain).endswith("; nobody looked for 1.5 s of it")
    short = replace(quiet.recording, gaps=((0, 99_000_000),))
    assert "nobody looked" not in verdicts.sentence(replace(quiet, recording=short), plain)


def test_where_nobody_looked_for_most_of_the_time_there_is_no_all_clear() -> None:
    quiet = report_examples.healthy()
    most = replace(quiet.recording, gaps=((0, 5_100_000_000),))
    report = replace(quiet, recording=most)
    assert severity(report) == "unknown"
    assert verdicts.sentence(report, plain) == (
        "starvation could not be judged: waitspy itself did not run for most of the time; "
        "nobody looked for 5.1 s of it"
    )
    half = replace(quiet.recording, gaps=((0, 5_000_000_000),))
    assert severity(replace(quiet, recording=half)) == "none"
    seen = replace(report_examples.starving(), recording=most)
    assert severity(seen) == "starving"


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_name_in_it_went_through_the_format(name: str) -> None:
    said = verdicts.sentence(EXAMPLES[name](), lambda text: f"<{len(text)}>")
    assert said.isascii()
    assert said.isprintable()
