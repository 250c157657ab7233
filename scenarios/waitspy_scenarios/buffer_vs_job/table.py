"""What a run measured, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from waitspy_scenarios.buffer_vs_job.settings import Settings
from waitspy_scenarios.serving.latencies import percentile

SCHEMA = "buffer-vs-job/1"
PERCENTILES = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class Export:
    """One row in one export request, as its caller saw it; ``tries`` counts earlier attempts."""

    row: str
    tries: int
    elapsed_s: float
    timed_out: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """All measured rows of one via.

    Latencies are those of first attempts that succeeded, in milliseconds; ``late_ms`` are the
    times after which the other first attempts found that they had timed out. ``duplicates``
    counts inserts beyond a row's first, ``lost`` the rows given up.
    """

    via: str
    events: int
    latencies_ms: tuple[float, ...]
    late_ms: tuple[float, ...]
    retries_ms: tuple[float, ...]
    retry_timeouts: int
    duplicates: int
    lost: int

    @property
    def timeouts(self) -> int:
        """How many first attempts timed out."""
        return len(self.late_ms)

    def statistics(self) -> dict[str, float]:
        """min, p50, p90, p99 and max in milliseconds; empty when nothing succeeded."""
        if not self.latencies_ms:
            return {}
        ordered = sorted(self.latencies_ms)
        middle = {f"p{share}": percentile(ordered, share) for share in PERCENTILES}
        return {"min": ordered[0], **middle, "max": ordered[-1]}


def summarise(
    via: str, events: int, exports: Iterable[Export], inserts: Mapping[str, int]
) -> Summary:
    """One via's summary from its measured exports and the endpoint's inserts per row."""
    seen = list(exports)
    first = [export for export in seen if export.tries == 0]
    again = [export for export in seen if export.tries > 0]
    rows = {export.row for export in seen}
    served = {export.row for export in seen if not export.timed_out}
    return Summary(
        via=via,
        events=events,
        latencies_ms=_milliseconds(export for export in first if not export.timed_out),
        late_ms=_milliseconds(export for export in first if export.timed_out),
        retries_ms=_milliseconds(export for export in again if not export.timed_out),
        retry_timeouts=sum(export.timed_out for export in again),
        duplicates=sum(max(0, inserts.get(row, 0) - 1) for row in rows),
        lost=len(rows - served),
    )


def format_table(title: str, summaries: Sequence[Summary]) -> str:
    """The table as aligned plain text, with a title line and what to know about the retries."""
    head = ("via", "min", "p50", "p90", "p99", "max", "timeouts", "duplicates")
    rows = [head, *(_cells(summary) for summary in summaries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [title, ""]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    lines += [
        "",
        "milliseconds from the start of an export request until its caller has the answer",
    ]
    lines += [note for summary in summaries if (note := _retry_note(summary))]
    return "\n".join(lines)


def to_json(settings: Settings, summaries: Sequence[Summary]) -> dict[str, Any]:
    """The same with every latency, for machines; what is not known is left out."""
    described = asdict(settings)
    described["park"] = str(settings.park)
    return {
        "schema": SCHEMA,
        "settings": described,
        "vias": {
            summary.via: {
                "events": summary.events,
                **{f"{name}_ms": value for name, value in summary.statistics().items()},
                "timeouts": summary.timeouts,
                "duplicates": summary.duplicates,
                "lost": summary.lost,
                "latencies_ms": list(summary.latencies_ms),
                "timed_out_after_ms": list(summary.late_ms),
                "retries": {
                    "latencies_ms": list(summary.retries_ms),
                    "timeouts": summary.retry_timeouts,
                },
            }
            for summary in summaries
        },
    }


def _cells(summary: Summary) -> tuple[str, ...]:
    numbers = summary.statistics()
    names = ("min", *(f"p{share}" for share in PERCENTILES), "max")
    shown = (f"{numbers[name]:.0f}" if name in numbers else "-" for name in names)
    timeouts = f"{summary.timeouts}/{summary.events}"
    return (summary.via, *shown, timeouts, str(summary.duplicates))


def _retry_note(summary: Summary) -> str | None:
    if not summary.retries_ms and not summary.retry_timeouts:
        return None
    parts = [f"{summary.via}: {len(summary.retries_ms) + summary.retry_timeouts} retries as jobs"]
    if summary.retries_ms:
        parts.append(f"{min(summary.retries_ms):.0f} to {max(summary.retries_ms):.0f} ms")
    if summary.retry_timeouts:
        parts.append(f"{summary.retry_timeouts} timed out again")
    if summary.lost:
        parts.append(f"{summary.lost} rows given up")
    return ", ".join(parts)


def _milliseconds(exports: Iterable[Export]) -> tuple[float, ...]:
    return tuple(round(export.elapsed_s * 1000, 3) for export in exports)
