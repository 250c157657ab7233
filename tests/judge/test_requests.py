"""What is owed to clients at the end of a recording, by port."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from tests.examples.build import at, recording, worker
from waitspy.judge import analysis, requests
from waitspy.model.judged import OwedRequests
from waitspy.model.listeners import ListenerEvent
from waitspy.model.recorded import WorkerRecord
from waitspy.model.requests import RequestsEvent


def row(ms: float, owed: int, late: int, since_ms: float | None, port: int = 80) -> RequestsEvent:
    since_ns = None if since_ms is None else at(since_ms)
    return RequestsEvent(at(ms), port, owed, late, since_ns)


def unknown(ms: float, port: int = 80) -> RequestsEvent:
    return RequestsEvent(at(ms), port)


def teller(*rows: RequestsEvent, pid: int = 100, gone_ms: float | None = None) -> WorkerRecord:
    return worker(pid, requests=rows, gone_ns=None if gone_ms is None else at(gone_ms))


def owed(*workers: WorkerRecord) -> tuple[OwedRequests, ...]:
    return requests.owed(workers, at(10_000), same_stall=True)


def test_the_last_row_holds_until_the_end_and_the_oldest_grows_older() -> None:
    rows = (row(0, 0, 0, None), row(1_000, 9, 7, 500), row(2_000, 3, 2, 1_500))
    assert owed(teller(*rows)) == (OwedRequests(80, 3, 8.5, 7, 8.5),)


def test_nothing_owed_is_a_zero_without_an_age() -> None:
    assert owed(teller(row(0, 2, 1, 0), row(1_000, 0, 0, None))) == (
        OwedRequests(80, 0, None, 1, 0.0),
    )


def test_ports_are_told_apart_and_in_order() -> None:
    rows = (row(0, 1, 0, 0, port=81), row(0, 2, 0, 5_000), row(9_000, 4, 0, 9_000, port=81))
    assert owed(teller(*rows)) == (
        OwedRequests(80, 2, 5.0, 0, 5.0),
        OwedRequests(81, 4, 1.0, 0, 1.0),
    )


def test_what_could_not_be_seen_at_the_end_is_not_known() -> None:
    assert owed(teller(row(0, 3, 2, 0), unknown(5_000))) == (
        OwedRequests(80, most=2, longest_s=0.0),
    )
    assert owed(teller(unknown(5_000))) == (OwedRequests(80),)
    assert owed(teller(unknown(0), row(5_000, 1, 0, 5_000))) == (OwedRequests(80, 1, 5.0, 0, 5.0),)


def test_a_process_that_has_ended_tells_nothing_of_the_end() -> None:
    gone = teller(row(0, 3, 2, 0), gone_ms=4_000)
    assert owed(gone) == (OwedRequests(80, most=2, longest_s=0.0),)
    after = teller(row(4_010, 1, 1, 3_000), pid=101)
    assert owed(gone, after) == (OwedRequests(80, 1, 7.0, 2, 7.0),)


def test_the_same_port_in_two_network_namespaces_is_added_up() -> None:
    one, other = teller(row(0, 3, 1, 2_000)), teller(row(0, 2, 2, 1_000), pid=101)
    assert owed(one, other) == (OwedRequests(80, 5, 9.0, 2, 9.0),)
    blind = teller(unknown(0), pid=102)
    assert owed(one, blind) == (OwedRequests(80, most=1, longest_s=0.0),)


@pytest.mark.parametrize(
    ("until_ms", "longest_s"),
    [(None, 0.5), (2_900, 2.4), (900, 0.5)],  # the last is of another row
)
def test_what_was_answered_had_waited_until_it_was_seen_last(
    until_ms: float | None, longest_s: float
) -> None:
    answered = row(3_000, 0, 0, None)
    if until_ms is not None:
        answered = structs.replace(answered, before_until_ns=at(until_ms))
    (one,) = owed(teller(row(1_000, 4, 2, 500), answered, row(4_000, 1, 0, 3_990)))
    assert (one.count, one.oldest_s) == (1, 6.01)
    (one,) = owed(teller(row(1_000, 4, 2, 500), answered))
    assert (one.count, one.oldest_s, one.longest_s) == (0, None, longest_s)
    other = row(2_000, 1, 0, 1_900, port=81)  # comes in between
    (one, _) = owed(teller(row(1_000, 4, 2, 500), other, answered))
    assert one.longest_s == longest_s


def listens(*names: str, closed: int | None = None) -> tuple[ListenerEvent, ...]:
    found = [ListenerEvent(at(0), n, name=name, fd=9) for n, name in enumerate(names)]
    return (*found, *([] if closed is None else [ListenerEvent(at(9_000), closed, closed=True)]))


def test_what_is_owed_at_unix_sockets_of_workers_cannot_be_seen() -> None:
    inner = "/tmp/pymp-x1/listener-abc"  # of multiprocessing
    one = worker(listeners=listens("/run/a.sock", "127.0.0.1:80", "@b", "", inner))
    same = worker(101, listeners=listens("/run/a.sock"))
    assert requests.unseen([one, same], at(10_000)) == ("/run/a.sock", "@b")
    shut = worker(listeners=listens("/run/a.sock", "/run/b.sock", closed=0))
    assert requests.unseen([shut], at(10_000)) == ("/run/b.sock",)
    gone = worker(listeners=listens("/run/a.sock"), gone_ns=at(9_000))
    assert requests.unseen([gone], at(10_000)) == ()
    master = replace(one, worker=replace(one.worker, role="master"))
    assert requests.unseen([master], at(10_000)) == ()


def test_without_the_oracle_there_is_no_port() -> None:
    assert owed(worker()) == ()


def test_the_report_tells_it_and_how_many_were_late_only_as_recorded() -> None:
    recorded = recording(teller(row(0, 3, 2, 1_000)))
    assert analysis.analyse(recorded).report.waiting.requests == (OwedRequests(80, 3, 9.0, 2, 9.0),)
    (other,) = analysis.analyse(recorded, 0.5).report.waiting.requests
    assert other == OwedRequests(80, 3, 9.0, None, 9.0)


def test_a_look_at_the_end_of_a_span_shows_what_was_answered_by_then() -> None:
    """All that is looked at in one tick has its time, also what tells that the span has ended."""
    record = teller(row(0, 3, 0, 0), row(500, 0, 0, None))
    assert requests.is_owed(record, (at(100), at(500)), 500_000_000)
    assert not requests.is_owed(record, (at(100), at(500)), 500_000_001)
    assert not requests.is_owed(record, (at(100), at(501)), 1)
