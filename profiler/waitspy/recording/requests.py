"""The stream ``requests``: how many connections were owed an answer, by port."""

from __future__ import annotations

from waitspy.model.ranges import Count, Ns
from waitspy.model.requests import RequestsEvent
from waitspy.recording.rows import Row, reader


class RequestRow(Row, frozen=True):
    """What the server owed on that port; None: not known, and of the time: nothing was owed."""

    port: Count
    owed: Count | None
    late: Count | None
    since_ns: Ns | None


READER = reader(RequestRow)


def event(row: RequestRow) -> RequestsEvent:
    """The event that a row tells of."""
    return RequestsEvent(row.at_ns, row.port, row.owed, row.late, row.since_ns)
