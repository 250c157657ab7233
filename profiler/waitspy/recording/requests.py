"""The stream ``requests``: how many connections were owed an answer, or let in late, by port."""

from __future__ import annotations

from waitspy.model.ranges import Count, Ns
from waitspy.model.requests import RequestsEvent
from waitspy.recording.rows import Row, reader


class RequestRow(Row, frozen=True):
    """What the server owed on that port; None: not known, and of the time: nothing was owed.

    The rest is what was not let in yet, or only late, and until when the row before held; see
    ``RequestsEvent``.
    """

    port: Count
    owed: Count | None
    late: Count | None
    since_ns: Ns | None
    outside: Count | None = None
    outside_since_ns: Ns | None = None
    outside_mean_ns: Ns | None = None
    let_in: Count | None = None
    let_in_mean_ns: Ns | None = None
    before_until_ns: Ns | None = None


READER = reader(RequestRow)


def event(row: RequestRow) -> RequestsEvent:
    """The event that a row tells of."""
    owed = row.at_ns, row.port, row.owed, row.late, row.since_ns
    outside = row.outside, row.outside_since_ns, row.outside_mean_ns
    return RequestsEvent(*owed, *outside, row.let_in or 0, row.let_in_mean_ns, row.before_until_ns)
