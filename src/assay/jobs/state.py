"""State: how far a job is, as it lies in the store and as whoever watches is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

Status = Literal["queued", "running", "done", "failed", "cancelled"]
Moment = Annotated[float, Meta(ge=0, le=2**37)]
"""Seconds of the epoch, up to the year 6325: what a calendar can show."""
OVER = ("done", "failed", "cancelled")
NOT_YET = (
    "not verdicts: estimates on the seeds that are stored so far; they may still come out otherwise"
)


@dataclass(frozen=True)
class Interval:
    """An estimate so far, with its interval; null where it could not be computed."""

    outcome: str
    """How the claim would come out if it ended here."""
    estimate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class EarlyClaim(Interval):
    """A claim on the seeds so far, with every control."""

    claim: str = ""
    reason: str = ""
    controls: Mapping[str, Interval] = field(default_factory=dict)
    """By arm; the claim must fail for each of them."""


@dataclass(frozen=True)
class Early:
    """What is there before the end."""

    seeds: int
    """How many seeds every arm has by now."""
    claims: tuple[EarlyClaim, ...]
    note: str = NOT_YET


@dataclass(frozen=True, kw_only=True)
class State:
    """How far a job is."""

    status: Status
    order: int
    """When it was put into the queue, in nanoseconds of the epoch."""
    owner: str
    """Whose turn it takes."""
    started: Moment | None = None
    """When it was begun last, in seconds of the epoch."""
    ended: Moment | None = None
    starts: int = 0
    """How often it was begun: more than once where it was interrupted."""
    done: int = 0
    """Runs that are stored."""
    total: int = 0
    cached: int | None = None
    """Runs that were stored before it began; null before that is known."""
    seconds_left: tuple[float, float] | None = None
    """From how many seconds to how many it still takes, where that can be told."""
    early: Early | None = None
    workers: str = ""
    """What is known of those who train elsewhere, in a few words; "" where nobody does."""
    error: str = ""
    """Why it failed, in a line."""
    cpu_seconds: float = 0.0
    """CPU-seconds that it took so far, with all its processes."""
