"""The rule: numbers of a method and its controls in, a verdict out.

NumPy and SciPy only. This very file travels in every result, so that anyone can judge again.
Read it in order: what a claim's number is made of (`Sample`), its interval (`interval`), the lead
over a control (`less`), what becomes of a control (`_tested`), the verdict (`judge`), and what
would decide an open one (`price`).

A claim says that a number lies in a range, for units of one kind or of two crossed kinds, such as
seeds and documents. Its interval is Student's t with the jackknife's variance, joined with the same
corrected for skew; where half of the units tie it is exact between declared bounds, or there is
none. A claim whose interval lies in the range may hold; outside it fails. One that may hold is
*unspecific* if it is also true of a control, and *undecided* unless every control is beaten.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import linalg, optimize, special

FEWEST = 6
"""Units of each kind that a verdict needs: five of five alike still has p = 1/32."""
LEVEL = 0.95
POWER = 0.8
DRAWS = 20
"""Independent draws of a noise family that are tried; as many again if one satisfies the claim."""
MOST = 1_000_000
"""More units than anyone measures."""
NOWHERE = (math.nan, math.nan)

Statistic = Callable[[np.ndarray], np.ndarray]
"""Means of the terms, [draw, term] → [draw]."""
Outcome = Literal["holds", "fails", "unspecific", "undecided"]
OfControl = Literal["beaten", "satisfies", "open"]

SIGNS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
FUNCTIONS: dict[str, np.ufunc] = {
    "abs": np.abs,
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "min": np.minimum,
    "max": np.maximum,
}


def evaluate(node: ast.expr, means: np.ndarray) -> np.ndarray:
    """Compute a formula of means, [draw, term] → [draw]: x0 is the mean of the first term."""
    match node:
        case ast.Constant(value=int() | float() as x):
            return np.full(len(means), float(x))
        case ast.Name(id=name) if re.fullmatch(r"x\d+", name):
            return means[:, int(name[1:])]
        case ast.BinOp(left=a, op=op, right=b) if type(op) in SIGNS:
            return SIGNS[type(op)](evaluate(a, means), evaluate(b, means))
        case ast.UnaryOp(op=op, operand=a) if type(op) in SIGNS:
            return SIGNS[type(op)](evaluate(a, means))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name](*(evaluate(a, means) for a in args))
    raise ValueError(f"{ast.unparse(node)} is not part of a formula")


@lru_cache(maxsize=512)
def compiled(formula: str) -> tuple[Statistic, tuple[str, ...]]:
    """A formula as a function of means, and the formulas that it divides by."""
    tree = ast.parse(formula, mode="eval").body
    nodes = (n for n in ast.walk(tree) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div))
    divisors = [n.right for n in nodes if any(isinstance(x, ast.Name) for x in ast.walk(n.right))]
    return lambda means: evaluate(tree, means), tuple(ast.unparse(d) for d in divisors)


@dataclass(frozen=True)
class Sample:
    """What a claim's number is computed from, for a method or for what stands in for it.

    A cell is one measurement of one unit, or of one unit of each of two kinds. A paired comparison
    has both arms in one cell; arms with units of their own have cells of their own.

    Attributes:
        cells: [cell, term]; NaN where a term has no number.
        units: the label of each cell's unit, kind by kind.
        formula: the number from the means x0, x1 … of the terms.
        bounds: the least and greatest number that one unit can have.
        exact: whether limits are exact whenever bounds are given, and not only where units tie.
        ends: between which numbers the statistic itself lies, such as -1 and 1 of a correlation.
    """

    cells: np.ndarray
    units: Mapping[str, np.ndarray]
    formula: str = "x0"
    bounds: tuple[float, float] | None = None
    exact: bool = False
    ends: tuple[float, float] | None = None


def less(method: Sample, control: Sample) -> Sample:
    """The method less the control: paired on the units of both, independent on others."""
    both = joined((method, control), " - ")
    bounds = None
    if method.bounds and control.bounds:
        (low, high), (least, most) = method.bounds, control.bounds
        bounds = (low - most, high - least)
    return replace(both, bounds=bounds, exact=method.exact and control.exact)


def joined(samples: Sequence[Sample], sign: str) -> Sample:
    """A formula of several samples' numbers, with a sign between them: paired on the units that
    they share, independent on others."""
    there = linalg.block_diag(*(np.ones(x.cells.shape) for x in samples))
    cells = np.where(there, linalg.block_diag(*(x.cells for x in samples)), np.nan)
    units = {u: np.concatenate([x.units[u] for x in samples]) for u in samples[0].units}
    at = np.cumsum([0, *(x.cells.shape[1] for x in samples)]).tolist()
    moved = [_moved(x.formula, k) for x, k in zip(samples, at, strict=False)]
    return Sample(cells, units, sign.join(f"({formula})" for formula in moved))


def _moved(formula: str, k: int) -> str:
    """A formula of the terms that stand k places on."""
    return re.sub(r"\bx(\d+)\b", lambda term: f"x{int(term[1]) + k}", formula)


def mean_of(samples: Sequence[Sample]) -> Sample:
    """The mean of several samples' numbers, of which each counts equally.

    Source: Cochran 1968 (strata of a covariate).
    """
    first, every = samples[0], [x.bounds for x in samples if x.bounds]
    if len(samples) == 1:
        return first
    bounds = np.mean(every, axis=0).tolist() if len(every) == len(samples) else None
    all_of = joined(samples, " + ")
    formula = f"({all_of.formula}) / {len(samples)}"
    return replace(all_of, formula=formula, bounds=bounds and tuple(bounds), ends=first.ends)


@dataclass(frozen=True)
class Interval:
    """An estimate, and what its limits at any level are made of.

    Attributes:
        n: units of each kind.
        third: the third cumulant of the estimate.
        parts: the variance that each kind of unit causes by itself.
        points: what each unit of a single kind adds; their mean is the estimate.
        bounds: of units whose limits are exact.
        span: between which numbers the estimate lies, whatever the units.
        ties: half of the units or more have one number, and nothing bounds the others.
        defined: the number exists whichever unit is left out, and no divisor may be 0.
    """

    estimate: float
    n: Mapping[str, int]
    variance: float = math.nan
    third: float = 0.0
    df: float = 0.0
    parts: tuple[float, ...] = ()
    points: np.ndarray = field(default_factory=lambda: np.empty(0))
    bounds: tuple[float, float] | None = None
    ends: tuple[float, float] | None = None
    span: tuple[float, float] = (-math.inf, math.inf)
    ties: bool = False
    defined: bool = True

    def limits(self, level: float = LEVEL) -> tuple[float, float]:
        """Both limits at a level; NaN where there are none."""
        if self.bounds:
            return exact_limits(self.points, self.bounds, level)
        if not self.df >= 1 or not self.defined:
            return NOWHERE
        t, error = float(special.stdtrit(self.df, (1 + level) / 2)), math.sqrt(self.variance)
        if self.ends:
            return _between(self.estimate, t * error, self.ends)
        third, x = self.third if min(self.n.values()) >= FEWEST else 0.0, self.estimate
        up, down = (bent(q, third, self.variance) for q in (t, -t))
        low, high = max(x - error * max(t, up), self.span[0]), x - error * min(-t, down)
        return min(low, x), max(min(high, self.span[1]), x)


def interval(sample: Sample, folds: str = "") -> Interval:
    """The interval of a sample's number over its units.

    Formula: V = V_a for one kind of units, max(V_a + V_b - V_ab, V_a, V_b) for two; V_s by leaving
    out one unit of kind s at a time; df = V² / Σ V_s²/df_s; folds of a cross-validation
    V (1 + k/(k - 1)).
    Source: Tukey 1958 (jackknife); Cameron, Gelbach and Miller 2011 (crossed units); Satterthwaite
    1946 (df); Nadeau and Bengio 2003 (folds).
    """
    if 0 < (known := np.isfinite(sample.cells).any(1)).sum() < len(known):
        units = {u: x[known] for u, x in sample.units.items()}
        sample = replace(sample, cells=sample.cells[known], units=units)
    codes = [np.unique(labels, return_inverse=True)[1] for labels in sample.units.values()]
    n = {u: int(c.max(initial=-1)) + 1 for u, c in zip(sample.units, codes, strict=True)}
    ways = [_leave_out(sample, code) for code in codes]
    estimate = ways[0].estimate
    if min(n.values()) < 2 or not math.isfinite(estimate):
        return Interval(estimate, n, defined=math.isfinite(estimate))
    by = [1 + k / (k - 1) if name == folds else 1.0 for name, k in n.items()]
    parts = [way.variance * times for way, times in zip(ways, by, strict=True)]
    third = sum(way.third * times**1.5 for way, times in zip(ways, by, strict=True))
    variance = parts[0]
    if len(codes) == 2:
        cells = np.unique(np.stack(codes), axis=1, return_inverse=True)[1].ravel()
        ways.append(_leave_out(sample, cells))
        variance = max(sum(parts) - ways[2].variance, *parts)
    spread = sum(p**2 / way.df for p, way in zip(parts, ways, strict=False) if way.df > 0)
    df = variance**2 / spread if spread > 0 else min(way.df for way in ways)
    first, single = ways[0], len(n) == 1
    tied = variance == 0 or (single and first.alike and not sample.ends)  # an F1 has two points
    simple = variance == 0 or (single and first.strata == 1)
    bounds = sample.bounds if simple and (tied or sample.exact) else None
    points = first.points
    if bounds and not single:  # as many cells of one number as share no unit
        points = np.full(min(n.values()), estimate)
    of_number = sample.bounds if sample.cells.shape[1] == 1 or not sample.exact else None
    return Interval(
        *(estimate, n, variance, third, df, tuple(parts), points, bounds, sample.ends),
        span=of_number or (-math.inf, math.inf),
        ties=tied and not bounds,
        defined=all(way.defined for way in ways) and _divides(sample),
    )


@dataclass(frozen=True)
class _Left:
    """What leaving out each unit of one kind shows of an estimate.

    Attributes:
        strata: how many sets of units are in the same terms, such as two of independent arms.
        alike: half of the units of one of them or more add one number, to twelve digits.
    """

    estimate: float
    variance: float
    third: float
    df: float
    points: np.ndarray
    strata: int
    alike: bool
    defined: bool


@np.errstate(all="ignore")
def _leave_out(sample: Sample, codes: np.ndarray) -> _Left:
    """The delete-one jackknife over the units that `codes` numbers. Two arms with units of their
    own are two strata, which makes this Welch's interval."""
    x, n = sample.cells, int(codes.max(initial=-1)) + 1
    known = np.isfinite(x)
    zero = np.nan_to_num(x[known.argmax(0), np.arange(x.shape[1])])  # the first number of each
    sums, counts = np.zeros((2, n, x.shape[1]))
    np.add.at(sums, codes, np.where(known, x - zero, 0.0))  # equal numbers differ by exactly 0
    np.add.at(counts, codes, known)
    statistic, _ = compiled(sample.formula)
    estimate = float(statistic((zero + sums.sum(0) / counts.sum(0))[None])[0])
    left = statistic(zero + (sums.sum(0) - sums) / (counts.sum(0) - counts))
    _, of = np.unique(counts > 0, axis=0, return_inverse=True)
    strata = [np.flatnonzero(of.ravel() == k) for k in range(of.max(initial=-1) + 1)]
    if any(len(s) < 2 for s in strata):
        strata = [np.arange(n)]
    weights, points = counts.sum(1), np.empty(n)
    variance = third = spread = 0.0
    alike = False
    for s in strata:
        off, share = left[s] - left[s][0], (len(s) - 1) / len(s)
        off = off.mean() - off  # of equal numbers exactly 0
        part = share * float(np.sum(off**2))
        variance, third = variance + part, third + share**1.5 * float(np.sum(off**3))
        worth = (weights[s] ** 2).sum() ** 2 / (weights[s] ** 4).sum()  # units of equal size
        spread += part**2 / max(worth - 1, 1e-9)
        points[s] = estimate + (len(s) - 1) * off
        digits = np.round(points[s] / (np.abs(points[s]).max() or 1.0), 12)
        alike |= bool(2 * np.unique(digits, return_counts=True)[1].max() >= len(s))
    df = variance**2 / spread if spread > 0 else min(map(len, strata)) - 1.0
    defined = bool(np.isfinite(left).all())
    return _Left(estimate, variance, third, df, points, len(strata), alike, defined)


def _divides(sample: Sample) -> bool:
    """Whether the 98% interval of everything that is divided by lies on one side of 0."""
    plain = replace(sample, bounds=None, ends=None)
    each = [interval(replace(plain, formula=x)).limits(0.98) for x in compiled(sample.formula)[1]]
    return not any(low <= 0 <= high for low, high in each)


def bent(q: float, third: float, variance: float) -> float:
    """A quantile of Student's t bent by the skew of the estimate, at most to twice as far.

    Formula: (3/c)(∛(1 + c(q - c/6)) - 1) with c = third / variance^1.5. Source: Hall 1992.
    """
    c = third / variance**1.5 if variance > 0 else 0.0
    if abs(c) < 1e-6 or not math.isfinite(c):
        return q
    moved = 3 / c * (float(np.cbrt(max(1 + c * (q - c / 6), 0.0))) - 1)
    return max(-2 * abs(q), min(2 * abs(q), moved))


def _between(x: float, half: float, ends: tuple[float, float]) -> tuple[float, float]:
    """Limits of a number between two ends, on the scale of the logit, or of Fisher's z."""
    least, most = ends
    if not least < x < most:
        return NOWHERE
    at, slope = math.log((x - least) / (most - x)), (most - least) / ((x - least) * (most - x))
    low, high = (float(special.expit(at + sign * half * slope)) for sign in (-1, 1))
    return least + (most - least) * low, least + (most - least) * high


def exact_limits(
    points: np.ndarray, bounds: tuple[float, float], level: float
) -> tuple[float, float]:
    """The exact interval of a mean of units between two bounds: each limit is a quantile of their
    mean with one more unit at that bound, under weights from the flat Dirichlet distribution.

    Source: Gaffke 2005; of units on their bounds alone it is Clopper and Pearson's of 1934.
    """
    x = points[np.isfinite(points)]
    tail, mean = (1 - level) / 2, float(x.mean())
    low = dirichlet_quantile(np.append(x, bounds[0]), tail)
    high = dirichlet_quantile(np.append(x, bounds[1]), 1 - tail)
    return min(low, mean), max(high, mean)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)
_ANGLES = (_NODES + 1) * math.pi / 4
"""Where Imhof's integral over t = tan(angle) is evaluated."""


def dirichlet_quantile(x: np.ndarray, q: float) -> float:
    """The number below which Σ w x lies with chance q, for w from the flat Dirichlet distribution.

    Formula: Σ w x < c where Σ E (x - c) < 0 for standard exponential E, whose law is
    P = 1/2 - 1/π ∫ sin(Σ arctan(t d)) / (t Π √(1 + t² d²)) dt with d = x - c. Source: Imhof 1961.
    """
    values, times = np.unique(np.round(x, 14), return_counts=True)
    if len(values) == 1:
        return float(values[0])
    low, high = float(values[0]), float(values[-1])
    if len(values) == 2:
        return low + (high - low) * float(special.betaincinv(times[1], times[0], q))
    t, jacobian = np.tan(_ANGLES), 1 / np.cos(_ANGLES) ** 2

    def chance(c: float) -> float:
        d = np.outer(t, (values - c) / (high - low))
        size = np.exp(-0.5 * (np.log1p(d**2) @ times))
        area = np.sin(np.arctan(d) @ times) / t * size * jacobian
        return 0.5 - float(area @ _WEIGHTS) / 4 - q

    edge = 1e-9 * (high - low)
    if chance(high - edge) < 0:
        return high
    if chance(low + edge) > 0:
        return low
    return float(optimize.brentq(chance, low + edge, high - edge, xtol=1e-12))


@dataclass(frozen=True)
class Control:
    """What stands in for the method, in one arm or in several.

    Attributes:
        noise: its arms are independent draws of one distribution, judged by how many satisfy the
            claim; otherwise each is a rival that has to be beaten.
    """

    name: str
    arms: tuple[str, ...]
    noise: bool = False


@dataclass(frozen=True)
class Hypothesis:
    """The range in which a number has to lie, and the arms for and against it.

    Attributes:
        of: the arm that is judged.
        controls: of these the claim should be false.
        found: arms with an effect of known size, of which the claim should be true.
        missed: arms that show that a claim of no effect could be found to be false.
        empty: the number that means no effect.
        folds: the kind of unit that is a fold of a cross-validation.
    """

    low: float = -math.inf
    high: float = math.inf
    of: str = "main"
    controls: tuple[Control, ...] = ()
    found: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    empty: float = 0.0
    level: float = LEVEL
    fewest: int = FEWEST
    folds: str = ""

    @property
    def is_null(self) -> bool:
        """Whether the claim is true where there is no effect at all."""
        return self.low < self.empty < self.high

    def outcome(self, low: float, high: float) -> Outcome:
        """What an interval with these limits says."""
        if self.low <= low and high <= self.high:
            return "holds"
        return "fails" if high < self.low or low > self.high else "undecided"

    def depth(self, x: float) -> float:
        """How far inside the range a number lies; negative outside it, least where it is NaN."""
        return min(x - self.low, self.high - x) if math.isfinite(x) else -math.inf


@dataclass(frozen=True)
class Tested:
    """What became of a control.

    Attributes:
        outcome: beaten; satisfies, as the claim is true of it; or open.
        arm: the strongest of its arms, which the numbers are about.
        lead: how far the method is ahead of that arm, and the limits of that.
        satisfied: how many of its arms have an estimate in the range, of `draws`.
    """

    outcome: OfControl
    arm: str
    estimate: float
    low: float
    high: float
    lead: tuple[float, float, float]
    satisfied: int
    draws: int


@dataclass(frozen=True)
class Verdict:
    """What came of a claim.

    Attributes:
        reason: why it is not decided by its interval alone, a code: few-units, undefined, gate,
            ties, straddles, planted, control, blind, or the code of a doubt; empty otherwise.
        about: what the reason names, such as a control.
        n: units of each kind.
        strongest: the control that comes nearest to satisfying the claim.
        price: the kind of unit and how many would decide it; more than `MOST` never would.
        detectable: the nearest true number that four in five such experiments would find.
        thresholds: where a control stands in the way, between which thresholds it would hold.
    """

    outcome: Outcome
    reason: str
    about: str
    estimate: float
    low: float
    high: float
    n: Mapping[str, int]
    controls: Mapping[str, Tested] = field(default_factory=dict)
    strongest: str = ""
    price: tuple[str, int] | None = None
    detectable: float = math.nan
    thresholds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Arm:
    """What one arm's numbers say by themselves."""

    outcome: Outcome
    reason: str
    about: str
    interval: Interval
    estimate: float
    low: float
    high: float


def judge_arm(h: Hypothesis, sample: Sample, unmet: Sequence[str] | None = None) -> Arm:
    """Judge one arm: the first reason that applies. `unmet` names the preconditions of the method
    that are not met, and is None for other arms.

    Ties leave only the method undecided, and not where all its units are exactly 0: it did nothing.
    """
    i = interval(sample, h.folds)
    low, high = i.limits(h.level)
    outcome, few = h.outcome(low, high), min(h.fewest, FEWEST) if unmet is None else h.fewest
    did_nothing = outcome == "fails" and i.estimate == 0 == i.variance
    reasons = {
        "few-units": min(i.n.values()) < few,
        "undefined": not i.defined,
        "gate": bool(unmet),
        "ties": i.ties and unmet is not None and not did_nothing,
        "straddles": outcome == "undecided",
    }
    reason = next((code for code, applies in reasons.items() if applies), "")
    about = unmet[0] if reason == "gate" and unmet else ""
    return Arm("undecided" if reason else outcome, reason, about, i, i.estimate, low, high)


_Rival = tuple[Tested, Interval, Interval]
"""What became of an arm of a control, its interval, and that of how far the method is ahead."""


def _rival(h: Hypothesis, method: Arm, ours: Sample, theirs: Sample, name: str) -> _Rival:
    """An arm against the method. It is beaten if its 80% interval lies outside the range, and the
    method is ahead of it."""
    arm, lead = judge_arm(h, theirs), interval(less(ours, theirs), h.folds)
    low, high = lead.limits(h.level)
    outcome: OfControl = "open"
    if arm.outcome == "holds":
        outcome = "satisfies"
    elif arm.reason in ("", "straddles"):
        outside = h.outcome(*arm.interval.limits(_loose(h))) == "fails"
        ahead = low > 0 if arm.estimate < h.low else high < 0
        if outside and (ahead or method.outcome != "holds"):
            outcome = "beaten"
    limits = arm.estimate, arm.low, arm.high, (lead.estimate, low, high)
    tested = Tested(outcome, name, *limits, int(h.depth(arm.estimate) >= 0), 1)
    return tested, arm.interval, lead


def _loose(h: Hypothesis) -> float:
    """The level of a control's own interval: 80% where that of the claim is 95%."""
    return 1 - 4 * (1 - h.level)


def by_count(satisfied: int, draws: int) -> OfControl:
    """What becomes of a noise family: none of 20, or at most one of 40, has to satisfy the claim.

    A thing that is itself such a draw holds by luck in at most 2.5% of cases, whatever share of
    the draws satisfies the claim: p((1 - p)^20 + 20 p (1 - p)^39).
    """
    if satisfied == 0 or (satisfied == 1 and draws >= 2 * DRAWS):
        return "beaten"
    return "satisfies" if 2 * satisfied >= draws else "open"


def _tested(h: Hypothesis, control: Control, rivals: Sequence[_Rival]) -> Tested:
    """What became of a control, with the numbers of its strongest arm."""
    arms = [tested for tested, _, _ in rivals]
    inside, outcomes = sum(t.satisfied for t in arms), {t.outcome for t in arms}
    known = sum(math.isfinite(t.estimate) for t in arms)
    if control.noise and known >= DRAWS:
        outcome = by_count(inside, known)
    else:
        outcome = next(o for o in ("satisfies", "open", "beaten") if o in outcomes)
    strongest = max(arms, key=lambda t: h.depth(t.estimate))
    return replace(strongest, outcome=outcome, satisfied=inside, draws=len(arms))


def judge(h: Hypothesis, samples: Mapping[str, Sample], unmet: Sequence[str] = ()) -> Verdict:
    """Judge a claim.

    Args:
        samples: by arm, what the claim reads with that arm in the method's place.
        unmet: preconditions that are not met.
    """
    ours = samples[h.of]
    method = judge_arm(h, ours, unmet)
    rivals = {
        c.name: [_rival(h, method, ours, samples[arm], arm) for arm in c.arms] for c in h.controls
    }
    controls = {c.name: _tested(h, c, rivals[c.name]) for c in h.controls}
    outcome, reason, about = _outcome(h, method, controls, samples)
    every = [r for family in rivals.values() for r in family]
    is_open = outcome == "undecided" and reason in ("straddles", "few-units", "control")
    return Verdict(
        *(outcome, reason, about, method.estimate, method.low, method.high, method.interval.n),
        controls=controls,
        strongest=max(controls, key=lambda c: h.depth(controls[c].estimate), default=""),
        price=price(h, method, every) if is_open else None,
        detectable=detectable(h, method.interval),
        thresholds=thresholds(h, method, rivals) if reason == "control" else None,
    )


def _outcome(
    h: Hypothesis, method: Arm, controls: Mapping[str, Tested], samples: Mapping[str, Sample]
) -> tuple[Outcome, str, str]:
    """The outcome with its reason and what that is about: the first that applies."""
    planted = [a for a in h.found if judge_arm(h, samples[a]).outcome != "holds"]
    satisfying = [c for c, t in controls.items() if t.outcome == "satisfies"]
    still_open = [c for c, t in controls.items() if t.outcome == "open"]
    tied = method.reason == "ties" and h.outcome(method.low, method.high) == "holds"
    if planted and method.reason in ("", "straddles"):
        return "undecided", "planted", planted[0]
    if satisfying and (method.outcome == "holds" or tied):
        return "unspecific", "control", satisfying[0]
    if method.outcome == "holds" and h.is_null and not _could_fail(h, controls, samples):
        return "undecided", "blind", ""
    if method.outcome == "holds" and still_open:
        return "undecided", "control", still_open[0]
    return method.outcome, method.reason, method.about


def _could_fail(
    h: Hypothesis, controls: Mapping[str, Tested], samples: Mapping[str, Sample]
) -> bool:
    """Whether an effect would have been found: some control, or a known violation of at most twice
    the threshold, lies outside the range."""
    if any(h.outcome(t.low, t.high) == "fails" for t in controls.values()):
        return True
    for arm in (judge_arm(h, samples[name]) for name in h.missed):
        edge = h.high if arm.estimate > h.high else h.low
        small = abs(arm.estimate - h.empty) <= 2 * abs(edge - h.empty)
        if small and h.outcome(arm.low, arm.high) == "fails":
            return True
    return False


def price(h: Hypothesis, method: Arm, rivals: Sequence[_Rival]) -> tuple[str, int] | None:
    """The kind of unit and the number of them that would decide an open claim in four of five
    experiments, if the estimates were the truth; None where there are as many.

    Formula: n V_a / ((d / (z_level + z_power))² - the variance that these units do not cause)
    """
    n = method.interval.n
    needs = [_needed(method.interval, _to_edge(h, method.estimate), h.level)]
    for tested, of, lead in rivals:
        if tested.outcome == "open":
            needs.append(_needed(of, _to_edge(h, of.estimate), _loose(h)))
            needs.append(_needed(lead, abs(lead.estimate), h.level))
    unit, most = max(needs, key=lambda need: need[1])
    fewest = min(n, key=lambda u: n[u])
    if n[fewest] < h.fewest and most <= n[unit]:
        unit, most = fewest, h.fewest
    return (unit, most) if most > n[unit] else None


def _to_edge(h: Hypothesis, x: float) -> float:
    return min(abs(x - edge) for edge in (h.low, h.high) if math.isfinite(edge))


def _needed(i: Interval, distance: float, level: float) -> tuple[str, int]:
    """The kind of unit that causes most of the variance, and how many make it small enough."""
    if not i.parts or not i.variance > 0:
        return next(iter(i.n)), 0
    k = int(np.argmax(i.parts))
    unit, n = list(i.n.items())[k]
    rest = max(i.variance - i.parts[k], 0.0)
    want = (distance / float(special.ndtri((1 + level) / 2) + special.ndtri(POWER))) ** 2
    if want <= rest or not math.isfinite(want):
        return unit, MOST + 1
    return unit, min(MOST + 1, math.ceil(n * i.parts[k] / (want - rest)) + 2)


def detectable(h: Hypothesis, i: Interval) -> float:
    """The nearest number in the range that four in five such experiments would find to be there.

    Formula: threshold ± (t_level + z_power) √V
    """
    if not i.df >= 1 or not math.isfinite(i.variance) or i.bounds:
        return math.nan
    t = float(special.stdtrit(i.df, (1 + h.level) / 2))
    reach = (t + float(special.ndtri(POWER))) * math.sqrt(i.variance)
    ends = [x + sign * reach for x, sign in ((h.low, 1), (h.high, -1)) if math.isfinite(x)]
    return min(ends, key=lambda x: abs(x - i.estimate), default=math.nan)


def thresholds(
    h: Hypothesis, method: Arm, rivals: Mapping[str, Sequence[_Rival]]
) -> tuple[float, float] | None:
    """The thresholds at which a one-sided claim would hold: from the strongest control's limit to
    the method's. None if there are none, or the claim has two sides."""
    if math.isfinite(h.low) == math.isfinite(h.high):
        return None
    up, counted = math.isfinite(h.low), {c.name for c in h.controls if c.noise}
    edges = list[float]()
    for name, family in rivals.items():
        if name in counted and len(family) >= DRAWS:
            edges += [tested.estimate for tested, _, _ in family]
            continue
        if not all(t.lead[1] > 0 if up else t.lead[2] < 0 for t, _, _ in family):
            return None
        edges += [of.limits(_loose(h))[up] for _, of, _ in family]
    ends = (max(edges), method.low) if up else (method.high, min(edges))
    return ends if ends[0] < ends[1] else None


def at_once(level: float, claims: int) -> float:
    """The level of each of several claims that hold together at `level` (Šidák 1967)."""
    return float(level ** (1 / max(1, claims)))
