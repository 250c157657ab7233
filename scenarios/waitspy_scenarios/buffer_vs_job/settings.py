"""What one run is: the options, their presets, and the arrival times they imply."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

Via = Literal["buffer", "job"]
PoolKind = Literal["process", "thread"]

TASKS_PER_WORKER = 10
RETRY_LIMIT = 5

LOW_GAP_S = 1.0
HIGH_GAP_S = 0.02

# Each value is what the option of that name would say. Times have the proportions of FULL's, so
# that a run shows the same, in under a minute.
DEFAULTS: Mapping[str, Any] = {
    "park": "block",
    "rate": "low",
    "workers": 2,
    "delay": 0.4,
    "timeout": 2.4,
    "retry": 0.24,
    "seed": 1,
    "pool": "process",
    "via": "both",
    "rows": 1,
}
FULL: Mapping[str, Any] = {
    "rate": "12.5",
    "delay": 5.0,
    "timeout": 30.0,
    "retry": 3.0,
    "events": 80,
}
SMALL: Mapping[str, Any] = {
    "rate": "0.8",
    "delay": 0.3,
    "timeout": 1.5,
    "retry": 0.2,
    "events": 24,
}


@dataclass(frozen=True, slots=True)
class Park:
    """How an idle worker waits: in its inbox, there for at most ``cap_s``, or in its loop."""

    mode: Literal["block", "cap", "off"]
    cap_s: float | None = None

    def __str__(self) -> str:
        return self.mode if self.cap_s is None else f"cap:{self.cap_s:g}"


def parse_park(text: str) -> Park:
    """``block``, ``off`` or ``cap:SECONDS``; ValueError otherwise."""
    if text == "block":
        return Park("block")
    if text == "off":
        return Park("off")
    name, _, seconds = text.partition(":")
    if name == "cap" and seconds:
        return Park("cap", _positive(seconds))
    raise ValueError(f"{text!r} is not block, off or cap:SECONDS")


@dataclass(frozen=True, slots=True)
class Rate:
    """How events arrive: the mean gap between them, and whether every gap is the mean."""

    name: str
    gap_s: float
    fixed: bool = False

    @property
    def events(self) -> int:
        """How many events are measured unless it is said."""
        return 3000 if self.name == "high" else 40

    def __str__(self) -> str:
        arrivals = "every" if self.fixed else "Poisson, mean gap"
        return f"{self.name} ({arrivals} {self.gap_s:g} s)"


def parse_rate(text: str) -> Rate:
    """``low``, ``high``, a mean gap in seconds, or ``every:SECONDS``; ValueError otherwise."""
    if text == "low":
        return Rate(text, LOW_GAP_S)
    if text == "high":
        return Rate(text, HIGH_GAP_S)
    name, _, seconds = text.partition(":")
    if name == "every" and seconds:
        return Rate(text, _positive(seconds), fixed=True)
    try:
        return Rate(text, _positive(text))
    except ValueError:
        raise ValueError(f"{text!r} is not low, high, SECONDS or every:SECONDS") from None


@dataclass(frozen=True, slots=True)
class Settings:
    """One run. ``delay_s`` is how long the endpoint takes, ``timeout_s`` how long a plugin waits
    for it, ``retry_s`` the delay of the first retry (each further one doubles it), ``rows`` how
    many rows the buffer collects before it flushes.
    """

    park: Park
    rate: Rate
    workers: int
    delay_s: float
    timeout_s: float
    retry_s: float
    events: int
    seed: int
    pool: PoolKind
    vias: tuple[Via, ...]
    rows: int

    @property
    def title(self) -> str:
        """One line that names the run."""
        return (
            f"buffer vs job: park={self.park} rate={self.rate} events={self.events} "
            f"pool={self.pool} workers={self.workers} delay={self.delay_s:g} s "
            f"timeout={self.timeout_s:g} s seed={self.seed}"
        )

    @property
    def expected_s(self) -> float:
        """About how long the run takes: its arrivals, and what settles after the last one."""
        arrivals_s = self.events * self.rate.gap_s
        slots = self.workers * TASKS_PER_WORKER
        jobs_s = self.events * self.delay_s / slots if "job" in self.vias else 0.0
        return max(arrivals_s, jobs_s) + self.timeout_s + 2 * self.delay_s


def resolve(given: Mapping[str, Any]) -> Settings:
    """Settings from options by name; what is missing or None comes from the preset or a default.

    ``full`` and ``small`` choose the preset. Raises ValueError for values that make no sense.
    """
    if given.get("full") and given.get("small"):
        raise ValueError("--full and --small exclude each other")
    preset = FULL if given.get("full") else SMALL if given.get("small") else {}
    chosen = {name: value for name, value in given.items() if value is not None}
    if "rate" in chosen and "events" not in chosen:
        # The number of events belongs to the rate, so a preset's goes with the preset's rate.
        preset = {name: value for name, value in preset.items() if name != "events"}
    values = {**DEFAULTS, **preset, **chosen}
    rate = parse_rate(values["rate"])
    settings = Settings(
        park=parse_park(values["park"]),
        rate=rate,
        workers=values["workers"],
        delay_s=values["delay"],
        timeout_s=values["timeout"],
        retry_s=values["retry"],
        events=values.get("events", rate.events),
        seed=values["seed"],
        pool=values["pool"],
        vias=("buffer", "job") if values["via"] == "both" else (values["via"],),
        rows=values["rows"],
    )
    _check(settings)
    return settings


def arrivals(rate: Rate, seed: int) -> Iterator[float]:
    """Seconds from the start at which events arrive, without end; the same for the same seed."""
    if rate.fixed:
        yield from (number * rate.gap_s for number in count(1))
    source = random.Random(seed)
    at_s = 0.0
    while True:
        at_s += source.expovariate(1 / rate.gap_s)
        yield at_s


def retry_delay_s(retry_s: float, tries: int) -> float | None:
    """How long a job waits after ``tries`` earlier retries; None when it is given up."""
    return retry_s * 2**tries if tries < RETRY_LIMIT else None


def _positive(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{text!r} is not a positive number of seconds")
    return value


def _check(settings: Settings) -> None:
    if min(settings.workers, settings.events, settings.rows) < 1:
        raise ValueError("--workers, --events and --rows must be at least 1")
    times_s = (settings.delay_s, settings.timeout_s, settings.retry_s)
    if not all(math.isfinite(value) for value in times_s) or min(times_s) < 0:
        raise ValueError("--delay, --timeout and --retry must be seconds, not negative")
    if settings.timeout_s <= settings.delay_s:
        raise ValueError("--timeout must be longer than --delay, or every export times out")
