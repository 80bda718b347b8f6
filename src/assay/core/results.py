"""Results of statements, as they are kept, printed and read again: the verdict on a claim with
those of its controls, exact statements, estimates, and a whole result.

All are `Written`: judging makes them, a file or a record gives them back, and everything that shows
them reads the same attributes. Fields that an earlier version's file lacks have their defaults."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from assay.core import digits
from assay.core.digits import is_known, told_apart
from assay.core.display import Printed, Shown
from assay.core.nouns import all_of, plural
from assay.core.reasons import IDLE, IMPRACTICAL, NO_TEST, STRADDLES, explain_reason, remedy
from assay.core.schema import Number, Numbers, Range, Reach, Written

if TYPE_CHECKING:
    import pandas as pd

Outcome = Literal["holds", "fails", "unspecific", "undecided"]
Kind = Literal["exact", "confirming", "risky", "finding"]
JOINT = ", "
"""Is between dimensions whose levels are combined, and between these levels."""
LARGEST = 10
"""How many points of a scan over names are listed: those with the most extreme numbers."""
DIFFERENT, EQUAL = 3, 1e-4
"""So many different numbers at least show that a control mirrors a claim; the share of their spread
by which the sums of both may differ."""
ZERO = 1e-6
"""The share of the largest number by which single precision may keep a sum from 0."""
EDITION = 2
"""The edition of the rule; entries without one were judged by the first."""


class Published(Written, frozen=True, kw_only=False, eq=True):
    """A number from the literature to print next to ours.

    Example:
        >>> from assay import Published
        >>> Published(0.31, "a paper, 2024", same=True, at="Table 3").set_up
        'same set-up'
    """

    number: float
    source: str
    same: bool = False
    """True when model, site, data and definition are the same; otherwise it is shown for
    orientation only."""
    note: str = ""
    at: str = "not checked"
    """Where in the source it is, such as "Table 3" or "Figure 9"; "not checked" where we could not
    open the source."""

    set_up: str = ""
    """How far it can be compared, in words: what `same` says."""

    def __post_init__(self) -> None:
        words = "same set-up" if self.same else "other set-up: not comparable, for orientation"
        msgspec.structs.force_setattr(self, "set_up", words)


Literature = Published | Literal["new"] | None
"""The number that a paper prints for this very quantity; "new" where no paper that we know prints
one, however old the claim; None where we have not looked."""


class Price(Written, frozen=True, kw_only=False, eq=True):
    """Roughly what it would take to decide an undecided claim."""

    text: str
    factor: str | None = None
    """The factor that needs more units; None when more units do not help."""
    more: int | None = None
    """Roughly how many more units of that factor."""


class Contrast(Written, frozen=True, kw_only=False, eq=True):
    """How far the method lies from a control, with its interval: on the claim's scale, of ratios
    the logarithm.

    Example:
        >>> from assay.core.results import Contrast
        >>> Contrast(0.2, 0.1, 0.3, shared=8).to_json()["shared"]
        8
    """

    estimate: Number
    low: Number
    high: Number
    shared: int
    """Units that both have; 0 where they were compared as independent."""


class UnitRow(Written, frozen=True, kw_only=True, eq=True):
    """A unit of a study that asks a model, by its row among the prompts."""

    row: int
    """Counted from 1; of a unit with several rows the first."""
    label: str
    """The text of the prompt, or the level of the column that is the unit."""


class Verdict(Written, Shown, frozen=True, kw_only=True, eq=True):
    """What the numbers of one arm say about a claim; estimate and limits in the claim's unit,
    whatever the scale of judging."""

    UNWRITTEN: ClassVar[tuple[str, ...]] = ("lacks", "levels")
    OPTIONAL: ClassVar[tuple[str, ...]] = ("contrast", "level_of", "narrower", "never", "rows")

    text: str = ""
    """The claim's, as are `kind`, `units`, `unit`, `source`, `published`, the ranges and `near`."""
    arm: str = ""
    kind: Kind = "confirming"
    outcome: Outcome
    reason: str = ""
    """Why it is undecided or unspecific; empty when it holds or fails, unless it fails by
    arithmetic."""
    price: Price | None = None
    estimate: Number = math.nan
    low: Number = math.nan
    """Lower limit of the interval that decided: the hull of t and t corrected for skew, or an exact
    one, where they are NaN. Not given to readers (null) where the claim is tied: all its units are
    equal, so that it has no interval."""
    high: Number = math.nan
    boot_low: Number = math.nan
    boot_high: Number = math.nan
    t_low: Number = math.nan
    t_high: Number = math.nan
    skew_low: Number = math.nan
    skew_high: Number = math.nan
    p: Number = math.nan
    """Two-sided p-value against the nearest threshold, by Student's t or the exact interval; never
    0, NaN without a width."""
    n: Mapping[str, int] = {}
    """Units per factor."""
    dropped: int = 0
    """Units left out because a run of theirs diverged."""
    units: tuple[str, ...] = ()
    unit: str = ""
    scope: str = ""
    method: str = ""
    source: str = ""
    published: Published | str | None = None
    threshold: Any = ""
    range: Range = (-math.inf, math.inf)
    fail_range: Range = (-math.inf, math.inf)
    threshold_from: str = ""
    near: Mapping[str, str] = {}
    bounds: Numbers | None = None
    natural: Range | None = None
    detectable: Reach = ()
    """The range of true values at which 80% of such experiments would find the claim to hold, with
    controls and planted effects as required; (NaN, NaN) for no value."""
    detectable_alone: Reach = ()
    """That range by the method's interval alone, whatever controls and planted effects give."""
    controls_chance: Number = math.nan
    """The share of such experiments in which controls and planted effects come out as required."""
    warning: str = ""
    """What makes the interval doubtful, such as an outlying unit; empty where nothing does."""
    gates: Mapping[str, bool] = {}
    points: Numbers = ()
    """The statistic of every level of the first factor by itself: the spread behind the
    interval."""
    levels: tuple[Any, ...] = ()
    """The level of each of these points."""
    rows: tuple[UnitRow, ...] = ()
    """The prompt of each point; the points are then in the order of the rows."""
    contrast: Contrast | None = None
    """For a control: how far the method lies from it."""
    level_of: str = ""
    """The dimension, such as layer, of which the estimate is a level; "" of any other number."""
    never: float | None = None
    """The number that stands for no level, of a first or last level at which something is so."""
    lacks: bool = False
    """Whether a part that the claim credits was not learned in this arm."""
    narrower: Range = ()
    """The interval by which a control fails, at 80%, where its usual one reaches into the range to
    hold; () of others, and in files of older versions."""

    @property
    def shown(self) -> tuple[float, ...]:
        """Give the interval to show: of a control the one by which it fails."""
        return self.narrower or self.interval

    @property
    def interval(self) -> tuple[float, float]:
        """Give the interval that decided."""
        return self.low, self.high

    @property
    def warnings(self) -> tuple[str, ...]:
        """Give what makes its interval doubtful, each warning by itself, the shortest first."""
        return tuple(sorted(filter(None, self.warning.split("; ")), key=len))

    @property
    def reason_in_words(self) -> str:
        """Say in words why it is undecided or unspecific; "" otherwise."""
        return explain_reason(self.reason)

    def __repr__(self) -> str:
        words = self.outcome + (f" ({self.reason_in_words})" if self.reason else "")
        n = " × ".join(f"{count} {unit}{'s' * (count != 1)}" for unit, count in self.n.items())
        return (
            f"<Verdict on {self.arm}: {words}, {self.estimate:.4g} [{self.low:.4g}, "
            f"{self.high:.4g}], n = {n}>"
        )


class Other(Written, frozen=True, kw_only=True):
    """An arm that satisfies a claim as well."""

    UNWRITTEN: ClassVar[tuple[str, ...]] = ("n",)
    OPTIONAL: ClassVar[tuple[str, ...]] = ("lacks",)

    reason: str | None = None
    """Why it may; None where the author did not say so beforehand."""
    lacks: bool | None = None
    """Whether a credited part was not learned there; None by the rule's first edition, which went
    by names."""
    estimate: Number = math.nan
    low: Number = math.nan
    high: Number = math.nan
    n: Mapping[str, int] = {}


_NOTED = re.compile(r"the interval (?:is|would be) \[([^,\]]+), ([^\]]+)\]")
"""The interval in a note on a verdict, such as the one that allows for groups of units."""


def _between(low: float, high: float) -> str:
    """A number about half way between two, with as few digits as keep it between them."""
    written = (f"{(low + high) / 2:.{digits}g}" for digits in range(1, 17))
    return next((text for text in written if low < float(text) < high), f"{(low + high) / 2:.17g}")


def _ahead_of(judged: Judged, control: str) -> str:
    """Say that the claim's arm is clearly ahead of a control that is not beaten because its own
    interval spans the threshold, and by how much; "" elsewhere."""
    v, (low, high) = judged.controls[control], judged.range
    by, off = v.contrast, judged.estimate - v.estimate
    if by is None or v.reason != STRADDLES or math.isinf(low) == math.isinf(high):
        return ""
    if low < v.estimate < high:
        return ""  # it may well satisfy the claim
    is_difference = math.isclose(by.estimate, off, rel_tol=1e-6)  # and no logarithm of a ratio
    if not is_difference or not (by.low > 0 if math.isinf(high) else by.high < 0):
        return ""
    estimate, interval = digits.estimate(by.estimate, by.low, by.high)
    return f", although {judged.arm} differs clearly from it, by {estimate} {interval}"


def _what_then(judged: Judged, words: str) -> str:
    """Say that units that decide a claim will probably show that it is false, where its estimate
    does not satisfy it; "" elsewhere."""
    low, high = judged.range
    is_open = judged.reason == STRADDLES and words.startswith("to decide it")
    if not is_open or low <= judged.estimate <= high:
        return ""
    return "; it will then probably fail, because the estimate is outside the range"


class Judged(Verdict, Printed, frozen=True, kw_only=True, eq=False):
    """A claim's verdict, with the verdicts of its controls, those of its planted effects, and every
    other arm that was asked."""

    UNWRITTEN: ClassVar[tuple[str, ...]] = ("claim", "lacks", "levels")
    OPTIONAL: ClassVar[tuple[str, ...]] = (
        *("at", "condition", "contrast", "edition", "idle", "level_of", "measured_in", "narrower"),
        *("no_tests", "over", "replaced", "rows", "never", "sides", "together", "unless"),
        "violations",
    )

    controls: Mapping[str, Verdict] = {}
    planted: Mapping[str, Verdict] = {}
    violations: Mapping[str, Verdict] = {}
    """The arms with a planted violation, which must be found."""
    also: Mapping[str, Other] = {}
    """The other arms that satisfy the claim too: excused ones, and those that no claim named."""
    asked: tuple[str, ...] = ()
    """All other arms on which the claim could be computed."""
    notes: tuple[str, ...] = ()
    """What was done to the numbers before judging, such as rows averaged."""
    at: str = ""
    """Of an extreme over levels where it is: "at layer 0"; "" of any other number."""
    measured_in: str = ""
    """The unit of its measures, where the author gives none; "" where that is not known."""
    edition: int = 1
    """The edition of the rule by which it was judged."""
    condition: str = ""
    """What it takes to hold, as a study writes it: "main.right > 3"; "" where it is code, and of a
    table, whose claim is its condition."""
    sides: Mapping[str, Number] = {}
    """The numbers of one measure in the arms that it compares, by their columns."""
    together: int = 1
    """For how many claims of a study its interval holds at once."""
    unless: str = ""
    """Of a verdict on a table, with what the outcome would be another: a dependence that its units
    may have, "the 20 prompts are about 4 sets of 5 similar ones", or, where its author named
    no control, "prompted is a control"."""
    over: str = ""
    """Of a table whose units depend on each other so that it is undecided: the groups that its
    interval allows for, "2 values of right"; "" where nothing names them."""
    replaced: str = ""
    """Of a table the arm, of several that the claim compares, whose place controls take."""
    idle: tuple[str, ...] = ()
    """The controls that change nothing: in every unit all their numbers are those of the arm
    main, in which the model is unchanged."""
    no_tests: Mapping[str, str] = {}
    """Why a control is no test, where its numbers do not show that."""
    claim: Any = None
    """The `Claim` itself; None where it was read from a file."""

    def __repr__(self) -> str:
        why = self.reason_in_words or (self.too if self.outcome == "holds" else "")
        words = self.outcome + (f" ({why})" if why else "")
        words += f", unless {self.unless}" if self.unless else ""
        return (
            f"<Judged {self.text!r}: {words}, {self.estimate:.4g} [{self.low:.4g}, "
            f"{self.high:.4g}]{' ' * bool(self.at)}{self.at}>"
        )

    @property
    def too(self) -> str:
        """Say how many other arms satisfy the claim: "1 arm too"; "" for none."""
        n = len(self.also)
        return f"{n} arm{'s' * (n > 1)} too" if n else ""

    @property
    def no_interval(self) -> str:
        """Say why it has no interval if it is tied; "" otherwise."""
        unit = (self.units or ("unit",))[0]
        return f"no interval: every {unit} has the same number" * self.tied

    @property
    def remedy(self) -> tuple[str, str]:
        """What decides the claim, in words, and the command that does it, without `assay`; "" where
        there is none."""
        if self.price is None or not self.price.text:
            return "", ""
        have, text = self.n.get(self.price.factor or "", 0), self.price.text
        arm, colon, advice = text.partition(": ")
        named = f" {arm} " in self.reason and len(self.unbeaten) < 2
        text = advice if colon and named else text  # it is named already
        if "make the claim unspecific" in text and " farther from the " in self._instead:
            text = f"{text}. {self._instead[0].upper()}{self._instead[1:]}"
        words, command = remedy(text, (self.price.more or 0) / have if have else 0.0, self._instead)
        impractical = words.startswith(IMPRACTICAL)
        if self.price.more is None or not (ahead := self._ahead(math.inf if impractical else 0.0)):
            return f"{words}{_what_then(self, words)}", command
        units = " or ".join(plural(unit, 2) for unit in self.n)
        theirs, own = told_apart(self.controls[ahead].estimate, self.estimate)
        better = f"the control {ahead}, at {theirs}, does better than {self.arm}, at {own}"
        by = self.controls[ahead].contrast
        clear = by is not None and by.low * by.high > 0
        then = "" if clear else "if these estimates are the true values, "
        return f"{then}more {units} can only make it fail or become unspecific: {better}", ""

    def _ahead(self, most: float) -> str:
        """Name the control whose estimate is nearest to the range, at `most` so far from it, where
        the claim's own is farther; "" where none is."""
        low, high = self.range
        if self.reason != STRADDLES:
            return ""
        estimates = {n: v.estimate for n, v in self.controls.items() if not self.no_test(n)}
        off = {n: max(low - x, x - high, 0.0) for n, x in estimates.items() if math.isfinite(x)}
        nearest = min(off, key=lambda name: off[name], default="")
        own = max(low - self.estimate, self.estimate - high, 0.0)
        return nearest if nearest and off[nearest] <= most and off[nearest] < own else ""

    @property
    def unbeaten(self) -> tuple[str, ...]:
        """Name the controls that are undecided."""
        return tuple(name for name, v in self.controls.items() if v.outcome == "undecided")

    @property
    def reason_in_words(self) -> str:
        """Say in words why it is undecided or unspecific, with all controls that are not beaten; ""
        otherwise."""
        words = explain_reason(self.reason, self.unbeaten)
        is_one = self.reason.endswith(" not beaten") and len(self.unbeaten) == 1
        return f"{words}{_ahead_of(self, self.unbeaten[0])}" if is_one else words

    def no_test(self, arm: str) -> str:
        """Say why a control is no test, or "": it changes nothing, or in every unit, it and the
        claim add up to the same number, as where the two answers of each prompt are swapped, so it
        is outside the range because the claim's own number is inside. `no_tests` has other
        reasons."""
        v = self.controls.get(arm)
        if v is None or v.outcome == "holds":
            return ""  # what satisfies the claim counts against it
        if arm in self.idle or arm in self.no_tests:
            return self.no_tests.get(arm, f"this control {IDLE}")
        if not is_mirrored(self.points, v.points):
            return ""
        total = self.estimate + v.estimate
        less = f"{total:.3g} minus" if abs(total) > EQUAL * abs(self.estimate) else "minus"
        same = "this is the same measurement, so it is no test"
        return f"its number is {less} the claim's own in every unit: {same}"

    @property
    def _instead(self) -> str:
        """What decides the claim where more units would be impractical: another claim, on units at
        which nobody has looked, whose threshold may lie between the method and a control."""
        less = "units that vary less"
        how = "freeze" if self.condition else "test"  # of a table or a call nothing is frozen
        new = f"{how} a new claim on fresh {' and '.join(plural(unit, 2) for unit in self.n)}"
        name = self.reason.removeprefix("control ").removesuffix(" not beaten")
        control = self.controls.get(name)
        if control is None:
            return f"to claim less, {new}, or choose {less}"
        if control.reason != STRADDLES:  # the method has to lie beyond the control itself
            return f"no other threshold would help; choose {less}"
        tests = [v for name, v in self.controls.items() if not self.no_test(name)]
        noted = [pair for note in self.notes for pair in _NOTED.findall(note)]
        low = min(self.low, *(float(end) for end, _ in noted), math.inf)
        high = max(self.high, *(float(end) for _, end in noted), -math.inf)
        lowest, highest = min(v.shown[0] for v in tests), max(v.shown[1] for v in tests)
        below = high < lowest
        if not below and not highest < low:
            return f"no threshold lies between the interval and the control's; choose {less}"
        estimate = (min if below else max)(v.estimate for v in tests)
        which = "strongest control" if tests[1:] else "control"
        far = f"a threshold farther from the {which} ({estimate:.2g})"
        if math.isinf(self.range[0]) or math.isinf(self.range[1]):
            edge = _between(high, lowest) if below else _between(highest, low)
            far += f", such as {'<' if below else '>'} {edge}"
        return f"to claim more, {new}, with {far}"

    @property
    def verdict(self) -> Verdict:
        """The verdict on the claim's own arm, by itself."""
        return Verdict(**{name: getattr(self, name) for name in Verdict.__struct_fields__})

    def role(self, arm: str) -> Literal["also", "true", "unnamed"]:
        """Give the role of an arm that satisfies the claim, by the rule it was judged by: excused
        by the author, not named, which changes nothing, or what makes the claim unspecific."""
        other = self.also[arm]
        if other.lacks and self.outcome == "unspecific":
            return "unnamed"
        if other.reason:
            return "also"
        return "unnamed" if other.lacks is None else "true"

    def arms(self) -> Iterator[tuple[str, str, Verdict | Other]]:
        """Go through all arms that were tested in addition to the method: role, name and numbers;
        the strongest other explanations first.

        The role is near, control, planted or violation, or what `role` gives. A violation that
        takes the place of the controls of a claim of no effect is given as a violation only.
        """
        controls = [arm for arm in self.controls if arm not in self.violations]
        near = [arm for arm in controls if arm in self.near]
        for arm in dict.fromkeys((*near, *controls)):
            yield "near" if arm in near else "control", arm, self.controls[arm]
        for arm, verdict in self.planted.items():
            yield "planted", arm, verdict
        for arm, verdict in self.violations.items():
            yield "violation", arm, verdict
        for arm, other in self.also.items():
            yield self.role(arm), arm, other

    def by_arm(self) -> Iterator[dict[str, Any]]:
        """Give for each arm (method, planted, control, also) its role, outcome, estimate, interval,
        units and reason, by name."""
        roles: dict[str, Mapping[str, Verdict | Other]] = {
            "method": {self.arm: self},
            "planted": self.planted,
            "control": self.controls,
            "also": self.also,
        }
        for role, arm, v in ((r, a, v) for r, arms in roles.items() for a, v in arms.items()):
            yield {
                "claim": self.text,
                "arm": arm,
                "role": role,
                "outcome": v.outcome if isinstance(v, Verdict) else "holds",
                "reason": NO_TEST
                if role == "control" and self.no_test(arm)
                else getattr(v, "reason_in_words", ""),
                "estimate": v.estimate,
                "low": v.low,
                "high": v.high,
                "unit": unit_of(self),
                **({"at": self.at} if self.at and role == "method" else {}),
                **{f"n_{unit}": n for unit, n in v.n.items()},
            }

    def to_pandas(self) -> pd.DataFrame:
        """Give a row for each arm, as `by_arm` gives it."""
        import pandas as pd

        return pd.DataFrame(self.by_arm())

    @property
    def tied(self) -> bool:
        """Tell whether it has no interval, because all its units are equal; where it fails, no
        width is the finding."""
        ends = all(map(is_known, self.interval)) and math.isclose(*self.interval, rel_tol=1e-12)
        return ends and self.outcome in ("undecided", "unspecific")

    @property
    def without_ties(self) -> Judged:
        """The verdict as it is given to readers: without the ends of an interval if it is tied."""
        ends = (name for name in self.__struct_fields__ if name.endswith(("low", "high")))
        return msgspec.structs.replace(self, **dict.fromkeys(ends, math.nan)) if self.tied else self

    def to_json(self) -> Any:
        """The verdict as plain values; `controls` and `planted` hold the same keys per arm. NaN and
        infinity become None."""
        entry = Written.to_json(self)
        return ({"edition": self.edition} if "edition" in entry else {}) | entry


def is_mirrored(points: Sequence[float], others: Sequence[float]) -> bool:
    """Whether the numbers of two arms add up to the same in every unit, up to single precision; of
    fewer different numbers, none of them a count, to 0."""
    if len(points) != len(others):
        return False
    sums = [x + y for x, y in zip(points, others, strict=True)]
    largest = max(map(abs, points), default=0.0)
    if all(x % 1 and abs(y) <= ZERO * largest for x, y in zip(points, sums, strict=True)):
        return bool(largest)
    if len({*points}) < DIFFERENT:
        return False
    apart = max(points) - min(points)  # infinite where a denominator is 0 in a unit
    return max(sums) - min(sums) <= EQUAL * apart < math.inf


def unit_of(s: Judged | Estimated) -> str:
    """The unit of a number: its author's, else that of its measures; "" where there is none."""
    return s.unit if s.unit not in ("", "1") else s.measured_in


class Verified(Written, frozen=True, kw_only=True):
    """An Exact statement with what came out: outcome exact or violated, largest absolute
    deviation."""

    UNWRITTEN: ClassVar[tuple[str, ...]] = ("exact",)

    text: str
    kind: Literal["exact"] = "exact"
    outcome: str = "exact"
    value: Any = None
    expected: Any = None
    tolerance: Number = 0.0
    deviation: Number = math.nan
    unit: str = ""
    source: str = ""
    exact: Any = None
    """The statement itself; None where it was read from a file."""

    def __repr__(self) -> str:
        return f"<Verified {self.text!r}: {self.outcome}, off by {self.deviation:.3g}>"


class Crossing(Written, frozen=True, kw_only=True):
    """Where a curve has a certain value; limits are infinite, in files null, where they lie beyond
    the sweep, and `words` says so."""

    value: Number
    estimate: Number
    """The level of the field; NaN where the curve does not cross, or crosses more than once."""
    low: Number
    high: Number
    points: Numbers
    """All levels of the field at which the curve has this value, in ascending order."""
    words: str


class Curve(Written, frozen=True, kw_only=True):
    """A statistic over the levels of a field: numbers in ascending order, and names in that of
    their file. What is several has a number for each level."""

    UNWRITTEN: ClassVar[tuple[str, ...]] = ("points",)

    over: str
    axis: Literal["plain", "log"]
    """log: the levels step by factors, so that the logarithm of the field is interpolated."""
    levels: tuple[Any, ...]
    estimate: Numbers
    low: Numbers
    """With `high` the interval of each level alone; NaN where its draws are undefined."""
    high: Numbers
    band_low: Numbers
    """With `band_high` an interval at each level; together they cover the whole curve."""
    band_high: Numbers
    wider: Number
    """How many times as wide as the interval at each level alone the band is."""
    crossing: Crossing | None = None
    points: tuple[Any, ...] = ()
    """The estimate at each level as an `Interval`; none where it was read from a file."""

    @property
    def dims(self) -> tuple[str, ...]:
        """The dimensions whose levels it goes over, mostly one."""
        return tuple(self.over.split(JOINT))

    def at(self, k: int) -> tuple[Any, ...]:
        """Give the level of each dimension at point k; of several dimensions numbers as numbers."""
        level = self.levels[k]
        names = level.split(JOINT) if len(self.dims) > 1 else ()
        return tuple(map(_numeric, names)) if len(names) == len(self.dims) else (level,)

    @property
    def noun(self) -> str:
        """What a point is called: a level, or a cell of a grid of several dimensions."""
        return "cell" if len(self.dims) > 1 else "level"

    @property
    def all_levels(self) -> str:
        """All of its points: both levels, all 12 cells."""
        return f"{all_of(len(self.levels))} {self.noun}s"

    @property
    def in_order(self) -> list[int]:
        """Its points by their levels: numbers by size, and after them names in the order in which
        they are given."""
        points = [self.at(k) for k in range(len(self.levels))]
        first = {x: i for i, x in reversed([*enumerate(itertools.chain(*points))])}

        def places(k: int) -> list[tuple[bool, float]]:
            is_name = [not isinstance(x, int | float) for x in points[k]]
            return [(n, first[x] if n else x) for n, x in zip(is_name, points[k], strict=True)]

        return sorted(range(len(points)), key=places)

    @property
    def is_plain(self) -> bool:
        """Whether it is a line over numbers."""
        return all(isinstance(level, int | float) for level in self.levels)

    def in_words(self, k: int) -> str:
        """Name a level by its dimensions: "block 10, head 8"; "task02" says its own."""
        named = ((d, _written(x)) for d, x in zip(self.dims, self.at(k), strict=False))
        return ", ".join(
            x if re.match(rf"(?i){re.escape(d)}(?![a-z])", x) else f"{d} {x}" for d, x in named
        )

    @property
    def extremes(self) -> str:
        """Which points are listed where there are too many, by the signs of their numbers."""
        if not any(x < 0 for x in self.estimate):
            return "highest"
        return "farthest from 0" if any(x > 0 for x in self.estimate) else "lowest"

    def listed(self) -> list[int]:
        """Give the points to list of one over names: all in their order, or of more than ten those
        that are `extremes`, the first one first."""
        finite = [k for k, x in enumerate(self.estimate) if math.isfinite(x)]
        if len(self.levels) <= LARGEST:
            return [k for k in self.in_order if k in finite]
        return sorted(finite, key=lambda k: -abs(self.estimate[k]))[:LARGEST]

    @property
    def log(self) -> bool:
        """Whether the levels step by factors."""
        return self.axis == "log"

    @property
    def band(self) -> tuple[tuple[float, float], ...]:
        """The ends of the band, level by level."""
        return tuple(zip(self.band_low, self.band_high, strict=True))


class Estimated(Written, Shown, Printed, frozen=True, kw_only=True):
    """An Estimate with its number and intervals in the statement's unit, or with its curve; no
    verdict."""

    UNWRITTEN: ClassVar[tuple[str, ...]] = ("statement",)
    OPTIONAL: ClassVar[tuple[str, ...]] = ("at", "level_of", "measured_in", "never", "sides")

    text: str
    kind: Literal["finding"] = "finding"
    estimate: Number = math.nan
    """NaN for a curve, as are the limits."""
    low: Number = math.nan
    high: Number = math.nan
    t_low: Number = math.nan
    t_high: Number = math.nan
    n: Mapping[str, int] = {}
    dropped: int = 0
    """Units left out because a run of theirs diverged."""
    units: tuple[str, ...] = ()
    unit: str = ""
    natural: Range | None = None
    scope: str = ""
    method: str = ""
    source: str = ""
    published: Published | str | None = None
    points: Numbers = ()
    """The statistic of every level of the first factor by itself; empty for a curve."""
    curve: Curve | None = None
    level_of: str = ""
    at: str = ""
    measured_in: str = ""
    never: float | None = None
    sides: Mapping[str, Number] = {}
    """These as of a judged claim."""
    notes: tuple[str, ...] = ()
    """What was done to the numbers before, such as rows averaged."""
    statement: Any = None
    """The `Estimate` itself; None where it was read from a file."""

    def __repr__(self) -> str:
        words = f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]"
        if self.curve is not None:
            words = f"{len(self.curve.levels)} levels of {self.curve.over}"
        return f"<Estimated {self.text!r}: {words}>"

    def by_level(self) -> Iterator[dict[str, Any]]:
        """Give the estimate with its interval, units and their number; of a curve for each level,
        with the interval that covers all levels together."""
        row: dict[str, Any] = {"claim": self.text, "role": "estimate", "unit": unit_of(self)}
        row |= {"at": self.at} if self.at else {}
        row |= {f"n_{unit}": n for unit, n in self.n.items()}
        if (c := self.curve) is None:
            yield {**row, "estimate": self.estimate, "low": self.low, "high": self.high}
            return
        for k in range(len(c.levels)):
            levels = dict(zip(c.dims, c.at(k), strict=True))
            limits = {"estimate": c.estimate[k], "low": c.band_low[k], "high": c.band_high[k]}
            yield {**row, **levels, **limits}

    def to_pandas(self) -> pd.DataFrame:
        """Give a row, or one for each level of a curve, as `by_level` gives it."""
        import pandas as pd

        return pd.DataFrame(self.by_level())

    def limits(self, k: int) -> tuple[float, float]:
        """Give the band at point k of its curve, cut off where such numbers end."""
        assert self.curve is not None
        least, greatest = self.natural or (-math.inf, math.inf)
        low, high = self.curve.band[k]
        return max(low, least), min(high, greatest)

    @property
    def is_one_sided(self) -> bool:
        """Whether such numbers end at 0, so that an interval which excludes 0 shows nothing."""
        return 0.0 in (self.natural or ())

    @property
    def clear_of_zero(self) -> str:
        """Say in how many places of a scan over names the band excludes 0; "" if this is moot."""
        if (c := self.curve) is None or c.is_plain or self.is_one_sided:
            return ""
        finite_limits = [(low, high) for low, high in c.band if math.isfinite(low + high)]
        noun, count = c.noun, len(finite_limits)
        clear = sum(low > 0 or high < 0 for low, high in finite_limits)
        if clear:
            return f"The simultaneous intervals of {clear} of {count} {noun}s exclude 0."
        return f"No {noun}'s simultaneous interval excludes 0." if finite_limits else ""

    @property
    def condition(self) -> str:
        """What is computed, as its author wrote it; "" where it is code."""
        return getattr(self.statement, "condition", "")

    @property
    def measured(self) -> str:
        """What an axis of its numbers is called: their unit, or what is computed."""
        return unit_of(self) or self.condition or "estimate"


def _written(level: Any) -> str:
    return f"{level:.6g}" if isinstance(level, float) else str(level)


def _numeric(name: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(name)
        except ValueError:
            continue
    return name


class Reason(Written, frozen=True, kw_only=True):
    """A statement that was not judged, and why."""

    text: str
    reason: str


class RegisteredLook(Written, frozen=True, kw_only=True):
    """A look that was declared: after how many seeds, at which level, and what it settled."""

    units: int
    seeds: str
    share: float
    spent: float
    level: float
    taken: str | None
    settled: tuple[str, ...]


class Signature(Written, frozen=True, kw_only=True):
    """A signature of the author's own, by its hash."""

    time: str
    sha256: str


class Head(Written, frozen=True, kw_only=True):
    """A line of a store's ledger by its hash, which covers all lines before it, and how many lines
    there are up to it.
    """

    lines: int
    hash: str


class OtherRegistration(Written, frozen=True, kw_only=True):
    """Another freeze with some of the same arms on some of the same seeds; without claims where its
    file is gone.
    """

    experiment: str
    time: str
    hash: str
    claims: tuple[str, ...]


class Registration(Written, frozen=True, kw_only=True):
    """What was frozen before any result existed, which looks were taken, and whether all of it was
    followed."""

    OPTIONAL: ClassVar[tuple[str, ...]] = ("lacking", "seen")

    hash: str
    file: str = ""
    time: str = ""
    commit: str = ""
    alpha: float = 0.05
    seeds: str = ""
    looks: tuple[RegisteredLook, ...] = ()
    taken: int = 0
    open: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    others: tuple[OtherRegistration, ...] = ()
    signatures: tuple[Signature, ...] = ()
    lacking: tuple[str, ...] | None = None
    """The inputs that runs read and that were not frozen, by name; None for results of an older
    version, whose files held no inputs."""
    seen: tuple[str, ...] = ()
    """What was known about its measures when it was frozen."""
    followed: bool = False


Inference = Literal["confirmatory", "frozen without inputs", "exploratory"]
"""The standing of a result. Frozen without inputs is what would be confirmatory, had the freeze
held the models, prompts and texts that its runs read."""


class ResultData(Written, frozen=True, kw_only=True):
    """What an experiment's stored runs say, as files and records have it; of one that was read,
    statements without their code."""

    schema: int = 1
    experiment: str = ""
    preset: str = ""
    arm: str = "main"
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    claims_key: str = ""
    verdicts: tuple[Judged, ...] = ()
    exact: tuple[Verified, ...] = ()
    findings: tuple[Estimated, ...] = ()
    skipped: tuple[Reason, ...] = ()
    failed: tuple[Reason, ...] = ()
    inference: Inference = "exploratory"
    registration: Registration | None = None
    ledger: Head | None = None
    changed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = {}

    @property
    def lacking(self) -> tuple[str, ...]:
        """The inputs that runs read and that were not frozen, by name."""
        noted = self.registration.lacking if self.registration is not None else None
        return tuple(self.provenance.get("inputs", ())) if noted is None else noted

    @property
    def standing(self) -> Inference:
        """Whether it is confirmatory, by what its freeze held: that of a result of an older version
        held no inputs."""
        is_partial = self.inference == "confirmatory" and self.lacking
        return "frozen without inputs" if is_partial else self.inference

    @property
    def statements(self) -> tuple[Judged | Verified | Estimated, ...]:
        """All statements in reading order: claims, then exact ones, then estimates."""
        return (*self.verdicts, *self.exact, *self.findings)


def control_level(level: float) -> float:
    """Give the level of a control's own interval: 80% where the claim's is 95%.

    Args:
        level: of the claim's interval.
    Formula: 1 - 4 (1 - level)
    Example:
        >>> from assay.core.results import control_level
        >>> round(control_level(0.95), 12)
        0.8
    """
    return max(0.0, 1 - 4 * (1 - level))


def narrower_level(v: Verdict) -> str:
    """The level of the interval by which a control fails, "80%", where the printed one reaches
    into the range to hold; "" where that lies outside as well."""
    (low, high), printed = v.range, re.match(r"([\d.]+) ?%", v.method)
    if v.outcome != "fails" or not (v.low < high and low < v.high) or printed is None:
        return ""
    return f"{100 * control_level(float(printed[1]) / 100):.4g}%"


def signed(sign: str, edge: float, outward: float) -> str:
    """Write an edge with its sign: `> 0.5` where it is the number next to one that is short."""
    beyond = math.nextafter(edge, outward)
    short = float(f"{beyond:.6g}")
    if 0 < abs(edge) < 1e-300 or (edge != float(f"{edge:.6g}") and beyond == short):
        return f"{sign} {beyond + 0.0:.6g}"
    return f"{sign}= {edge:.6g}"
