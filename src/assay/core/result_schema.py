"""Told: the plain values in which a verdict and a whole result are written, key by key; whoever
reads JSON gets these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict


class ToldPrice(TypedDict):
    """What it would take to decide an undecided claim, in words; and of which factor how many more,
    where that would help."""

    text: str
    factor: str | None
    more: int | None


class ToldPublished(TypedDict):
    """A number from the literature, and how far it can be compared."""

    number: float
    source: str
    at: str
    same: bool
    set_up: str
    note: str


class ToldNumbers(TypedDict):
    """An estimate with its interval, in the claim's unit; null where there is none."""

    estimate: float
    low: float
    high: float


class _Lacking(TypedDict, total=False):
    """Absent in verdicts of the rule's first edition."""

    lacks: bool
    """Whether a credited part was not learned there."""


class ToldOther(ToldNumbers, _Lacking):
    """An arm that satisfies the claim as well, and why it may; null where nobody said so
    beforehand."""

    reason: str | None


class ToldContrast(ToldNumbers):
    """How far the method lies from a control."""

    shared: int


class _Contrasted(TypedDict, total=False):
    """Of controls, and absent in verdicts of the rule's first edition."""

    contrast: ToldContrast


class ToldArm(ToldNumbers, _Contrasted):
    """What the numbers of one arm say about a claim."""

    text: str
    arm: str
    kind: Literal["exact", "confirming", "risky", "finding"]
    outcome: Literal["holds", "fails", "unspecific", "undecided"]
    reason: str
    price: ToldPrice | None
    boot_low: float
    boot_high: float
    t_low: float
    t_high: float
    skew_low: float
    skew_high: float
    p: float
    n: Mapping[str, int]
    dropped: int
    units: list[str]
    unit: str
    scope: str
    method: str
    source: str
    published: ToldPublished | str | None
    threshold: Any
    range: list[float]
    fail_range: list[float]
    threshold_from: str
    near: Mapping[str, str]
    bounds: list[float] | None
    natural: list[float] | None
    detectable: list[float] | None
    detectable_alone: list[float] | None
    controls_chance: float
    warning: str
    gates: Mapping[str, bool]
    points: list[float]


class _Edited(TypedDict, total=False):
    """Absent in verdicts of the rule's first edition, or where no violation is planted."""

    edition: int
    violations: Mapping[str, ToldArm]


class ToldVerdict(ToldArm, _Edited):
    """A claim's verdict: the method's numbers, and those of its controls, planted effects and every
    other arm that was asked."""

    controls: Mapping[str, ToldArm]
    planted: Mapping[str, ToldArm]
    also: Mapping[str, ToldOther]
    asked: list[str]
    notes: list[str]


class ToldExact(TypedDict):
    """An exact statement, and what came out."""

    text: str
    kind: Literal["exact"]
    outcome: str
    value: Any
    expected: Any
    tolerance: float
    deviation: float
    unit: str
    source: str


class ToldCrossing(TypedDict):
    """At which level of a swept field a curve has a value; a limit beyond the sweep is null."""

    value: float
    estimate: float
    low: float
    high: float
    points: list[float]
    words: str


class ToldCurve(TypedDict):
    """A number at each level of a swept field: `low` and `high` cover each alone, `band_low` and
    `band_high` all of them together."""

    over: str
    axis: Literal["plain", "log"]
    levels: list[Any]
    estimate: list[float]
    low: list[float]
    high: list[float]
    band_low: list[float]
    band_high: list[float]
    wider: float
    crossing: ToldCrossing | None


class ToldFinding(ToldNumbers):
    """An estimate: a number with its interval, or a curve, in whose place the numbers are null; no
    verdict."""

    text: str
    kind: Literal["finding"]
    t_low: float
    t_high: float
    n: Mapping[str, int]
    dropped: int
    units: list[str]
    unit: str
    natural: list[float] | None
    scope: str
    method: str
    source: str
    published: ToldPublished | str | None
    points: list[float]
    curve: ToldCurve | None
    notes: list[str]


class ToldReason(TypedDict):
    """A statement that was not judged, and why."""

    text: str
    reason: str


class ToldLook(TypedDict):
    """A look that was declared: after how many seeds, at which level, and what it settled."""

    units: int
    seeds: str
    share: float
    spent: float
    level: float
    taken: str | None
    settled: list[str]


class ToldSignature(TypedDict):
    """A signature of the author's own, by its hash."""

    time: str
    sha256: str


class ToldHead(TypedDict):
    """A line of a store's ledger by its hash, which stands for all lines before it, and how many
    these are with it.
    """

    lines: int
    hash: str


class ToldOtherRegistration(TypedDict):
    """What else was frozen of some of the same arms on some of the same seeds; without claims where
    its file is gone.
    """

    experiment: str
    time: str
    hash: str
    claims: list[str]


class ToldRegistration(TypedDict):
    """What was frozen before any result existed, which looks were taken, and whether all of it was
    followed."""

    hash: str
    file: str
    time: str
    commit: str
    alpha: float
    seeds: str
    looks: list[ToldLook]
    taken: int
    open: list[str]
    changed: list[str]
    missing: list[str]
    others: list[ToldOtherRegistration]
    signatures: list[ToldSignature]
    followed: bool


class ToldResult(TypedDict):
    """What an experiment's stored runs say."""

    schema: int
    experiment: str
    preset: str
    arm: str
    seconds: float
    cpu_seconds: float
    claims_key: str
    verdicts: list[ToldVerdict]
    exact: list[ToldExact]
    findings: list[ToldFinding]
    skipped: list[ToldReason]
    failed: list[ToldReason]
    inference: Literal["confirmatory", "exploratory"]
    registration: ToldRegistration | None
    ledger: ToldHead | None
    changed: list[str]
    notes: list[str]
    provenance: Mapping[str, Any]
