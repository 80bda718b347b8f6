"""Statistics of weighted means: what a claim's `statistic` may be.

A statistic is a function of means {name: [draw, ...]} that gives one number per draw, so that any
function of means has an
interval: `mean`, `ratio("err", "var")`, `lambda m: np.log(m["a"] / m["b"])`. Two arms are
distinguished by sides: `sides(a=..., b=...)` names the terms "a.err", "b.err", which
`difference(ratio("err", "var"))` or `at_matched(...)` then read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np

from assay.core.errors import ClaimError, nearest
from assay.core.heavy import xr
from assay.core.intervals import DRAWS, Interval, Means, Statistic, counts, interval

__all__ = [
    "DRAWS",
    "Compared",
    "Interval",
    "Means",
    "Statistic",
    "at_best",
    "at_matched",
    "correlation",
    "counts",
    "difference",
    "interval",
    "largest",
    "lead_at_own",
    "mean",
    "products",
    "ratio",
    "share_closed",
    "sides",
    "slope",
    "smallest",
]

Quantity = str | Statistic
"""The name of a term, or a statistic that keeps the sweep: [draw, point]."""

_SAME = 1e-9
"""Budgets whose logarithms differ by less are the same (two measures of one set of codes)."""
_SAME_SQUARE = 1e-13
"""A variance below this share of the mean square is what rounding leaves of a constant."""


@dataclass(frozen=True)
class Compared:
    """A statistic that says how it compares two arms, where that is not by the difference of its
    values, or what it divides by.

    Example:
        >>> import numpy as np
        >>> import assay
        >>> least = assay.stats.smallest("score")  # 1 and 1 apart, though never at one point
        >>> a, b = ({"score": np.array([x])} for x in ([1.0, 3.0], [3.0, 2.0]))
        >>> least(a), least(b), least.contrast(a, b)
        (array([1.]), array([2.]), array([-2.]))
    """

    value: Statistic
    contrast: Callable[[Means, Means], np.ndarray] | None = None
    """(means of the method, means of a control) → [draw], the first less the second; None: their
    difference."""
    is_ratio: bool = False
    """Whether arms are compared by the logarithm, where both are positive."""
    divisors: tuple[Statistic, ...] = ()
    """What is divided by: where the units do not tell on which side of 0 it is, there is no
    interval."""

    def __call__(self, m: Means) -> np.ndarray:
        """Give the statistic of these means, [draw]."""
        return self.value(m)


def mean(m: Means) -> np.ndarray:
    """The mean of the only term, [draw], in the term's unit.

    Args:
        m: means by term, {name: [draw]}; one term.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> assay.stats.mean({"fvu": np.array([0.25, 0.5])})
        array([0.25, 0.5 ])
    """
    if len(m) != 1:
        raise ClaimError(
            f"mean needs exactly one term, got {', '.join(m)}; combine them, as in "
            "ratio('err', 'var')"
        )
    return next(iter(m.values()))


def ratio(a: str, b: str) -> Statistic:
    """A statistic: the mean of term `a` over the mean of term `b`, a ratio of sums over units and
    never a mean of ratios.

    Args:
        a: the term above the line.
        b: the term below it.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> fvu = assay.stats.ratio("err", "var")
        >>> fvu({"err": np.array([1.0, 3.0]), "var": np.array([2.0, 4.0])})
        array([0.5 , 0.75])
    """

    def divisor(m: Means) -> np.ndarray:
        return _term(m, b)

    return Compared(lambda m: _term(m, a) / divisor(m), is_ratio=True, divisors=(divisor,))


def smallest(of: Quantity) -> Compared:
    """A statistic: the least of quantity `of` over its points; two arms are compared at each point,
    and the smallest of these differences counts.

    Args:
        of: a term with dims that are no units, or a statistic that keeps them.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> assay.stats.smallest("score")({"score": np.array([[0.75, 0.5], [0.25, 1.0]])})
        array([0.5 , 0.25])
    """
    return _over_points(of, np.min)


def largest(of: Quantity) -> Compared:
    """A statistic: the greatest of quantity `of` over its points; two arms are compared at each
    point, and the largest of these differences counts.

    Args:
        of: a term with dims that are no units, or a statistic that keeps them.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> assay.stats.largest("error")({"error": np.array([[0.75, 0.5], [0.25, 1.0]])})
        array([0.75, 1.  ])
    """
    return _over_points(of, np.max)


def _over_points(of: Quantity, worst: Callable[..., np.ndarray]) -> Compared:
    def points(m: Means) -> np.ndarray:
        x = _term(m, of) if isinstance(of, str) else of(m)
        return np.reshape(x, (len(x), -1))

    def contrast(m: Means, control: Means) -> np.ndarray:
        method, other = points(m), points(control)
        if method.shape[1] == other.shape[1]:
            return worst(method - other, axis=1)
        return worst(method, axis=1) - worst(other, axis=1)  # sweeps without common points

    return Compared(lambda m: worst(points(m), axis=1), contrast)


def sides(**terms: Mapping[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """The terms of several arms in one dict, named "side.term": what the statistics below that
    compare sides expect.

    Args:
        **terms: {name: DataArray} of each side, by its name.
    Example:
        >>> import xarray as xr
        >>> import assay
        >>> new, old = ({"fvu": xr.DataArray(v, dims="seed")} for v in ([0.1, 0.2], [0.3, 0.3]))
        >>> list(assay.stats.sides(a=new, b=old))
        ['a.fvu', 'b.fvu']
    """
    return {
        f"{side}.{name}": x for side, side_terms in terms.items() for name, x in side_terms.items()
    }


def difference(of: Quantity, a: str = "a", b: str = "b") -> Statistic:
    """A statistic: quantity `of` on side a minus the same on side b, such as a difference of two
    FVUs.

    Args:
        of: a term, or a statistic.
        a: name of the first side.
        b: name of the second.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> gap = assay.stats.difference("fvu")
        >>> gap({"a.fvu": np.array([0.75]), "b.fvu": np.array([0.5])})
        array([0.25])
    """
    return lambda m: _on(m, a, of) - _on(m, b, of)


def at_matched(
    x: Quantity,
    y: Quantity,
    a: str = "a",
    b: str = "b",
    *,
    at: Sequence[float] | None = None,
) -> Statistic:
    """A statistic: y of side a minus y of side b at equal budget x, averaged over the overlap of
    both sweeps or over x = `at`.

    Args:
        x: the budget, a term or statistic [draw, point], above 0.
        y: what it buys, likewise.
        a: name of the first side.
        b: name of the second.
        at: budgets to compare at; None: the whole overlap.
    Formula: log y is piecewise linear in log x along the sweep; the overlap is averaged in log x.
    Never extrapolates: a draw without overlap, or with a point of `at` outside one sweep, is NaN.
    A control is compared where all four sweeps overlap.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> b = {"b.l0": np.array([[10.0, 40.0]]), "b.fvu": np.array([[0.4, 0.1]])}  # 0.2 at 20
        >>> a = {"a.l0": np.array([[10.0, 40.0]]), "a.fvu": np.array([[0.2, 0.05]])}
        >>> assay.stats.at_matched("l0", "fvu", at=[20.0])(a | b).round(12)
        array([-0.1])
    """

    steps = np.linspace(0, 1, 65)
    trapezoids = np.full(65, 1 / 64) - (steps % 1 == 0) / 128  # the two ends count half

    def differences(*arms: Means) -> list[np.ndarray]:
        swept = [[_sweep(m, side, x, y) for side in (a, b)] for m in arms]
        if at is None:
            # The overlap of each draw's own sweeps, which move with the units that are drawn.
            every = [log_x for pair in swept for log_x, _ in pair]
            low = reduce(np.maximum, [log_x.min(1) for log_x in every])[:, None]
            high = reduce(np.minimum, [log_x.max(1) for log_x in every])[:, None]
            points = np.where(high >= low - _SAME, low + (high - low) * steps, np.nan)
            weights = trapezoids
        else:
            points = np.broadcast_to(
                np.log(np.asarray(at, dtype=float)), (len(swept[0][0][0]), len(at))
            )
            weights = np.full(len(at), 1 / len(at))
        return [
            (_interpolate(xa, ya, points) - _interpolate(xb, yb, points)) @ weights
            for (xa, ya), (xb, yb) in swept
        ]

    def contrast(m: Means, control: Means) -> np.ndarray:
        ours, theirs = differences(m, control)
        return ours - theirs

    return Compared(lambda m: differences(m)[0], contrast)


def lead_at_own(x: Quantity, y: Quantity, a: str = "a", b: str = "b") -> Statistic:
    """A statistic: by how much y of side a lies below side b's sweep, at a's own budget x; the mean
    over a's points.

    Only b is interpolated, so a needs no sweep. A draw in which a point of a lies outside b's sweep
    is NaN.

    Args:
        x: the budget, a term or statistic [draw, point], above 0.
        y: what it buys, likewise.
        a: name of the first side.
        b: name of the second.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> b = {"b.l0": np.array([[10.0, 40.0]]), "b.fvu": np.array([[0.4, 0.1]])}  # 0.2 at 20
        >>> a = {"a.l0": np.array([[20.0]]), "a.fvu": np.array([[0.15]])}
        >>> assay.stats.lead_at_own("l0", "fvu")(a | b).round(12)
        array([0.05])
    """

    def statistic(m: Means) -> np.ndarray:
        xa, ya = _sweep(m, a, x, y)
        xb, yb = _sweep(m, b, x, y)
        return (_interpolate(xb, yb, xa) - ya).mean(1)

    return statistic


def share_closed(x: Quantity, y: Quantity) -> Statistic:
    """A statistic: the share of the gap in y between the sides `base` and `best` that the side
    `repaired` closes, at best's own budget x.

    Args:
        x: the budget, a term or statistic [draw, point], above 0.
        y: what it buys, likewise.
    Formula: (y_base - y_repaired) / (y_base - y_best), means over best's points. 0: nothing closed,
    1: all, above 1: overtaken. Meaningless where the gap itself is near 0: judge the difference
    there. NaN where base is no worse than best: nothing is to be closed.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> x = np.array([[10.0, 40.0]])
        >>> m = {"base.l0": x, "base.fvu": np.array([[0.6, 0.15]])}  # 0.3 at 20
        >>> m |= {"repaired.l0": x, "repaired.fvu": np.array([[0.4, 0.1]])}  # 0.2 at 20
        >>> m |= {"best.l0": np.array([[20.0]]), "best.fvu": np.array([[0.1]])}
        >>> assay.stats.share_closed("l0", "fvu")(m).round(12)
        array([0.5])
    """

    def statistic(m: Means) -> np.ndarray:
        own_x, own_y = _sweep(m, "best", x, y)
        base_y, repaired_y = (
            _interpolate(*_sweep(m, side, x, y), own_x) for side in ("base", "repaired")
        )
        gap = (base_y - own_y).mean(1)
        return (base_y - repaired_y).mean(1) / np.where(
            gap > _SAME * abs(base_y).mean(1), gap, np.nan
        )

    return statistic


def at_best(
    x: xr.DataArray,
    score: xr.DataArray,
    k: int,
    better: Literal["high", "low"] = "low",
) -> xr.DataArray:
    """What x is at the unit with the best score, for every disjoint group of k seeds: dim `group`
    in place of `seed`.

    For claims about what the optimum looks like: k seeds train, the one with the lowest held-out
    loss speaks for them, the group is the unit. `score` may have fewer dims than x (one score for
    all features of a run) but must have `seed`. The first of equal scores is taken, a unit whose
    score is NaN never, and a group without any score is NaN. Groups follow the order of the seeds;
    an incomplete last group is left out.

    Args:
        x: what is reported, with the dim `seed`.
        score: what selects, with `seed` and no dim that x lacks.
        k: seeds in a group.
        better: which end of the score is best.
    Example:
        >>> import xarray as xr
        >>> import assay
        >>> angle = xr.DataArray([10.0, 20.0, 30.0, 40.0], dims="seed")
        >>> loss = xr.DataArray([0.3, 0.1, 0.2, 0.4], dims="seed")
        >>> assay.stats.at_best(angle, loss, k=2).values
        array([20., 30.])
    """
    if "seed" not in score.dims or k < 1 or score.sizes["seed"] < k:
        raise ClaimError(
            f"at_best needs at least k={k} levels of dim 'seed' in the score, got "
            f"{dict(score.sizes)}"
        )
    extra = [str(d) for d in score.dims if x.sizes.get(d) != score.sizes[d]]
    other = [
        str(d)
        for d in score.dims
        if not extra and d in score.coords and d in x.coords and not score[d].equals(x[d])
    ]
    if extra or other:
        raise ClaimError(
            f"at_best: x and score have other levels of {(extra or other)[0]!r}: "
            f"{dict(x.sizes)}, {dict(score.sizes)}"
        )
    groups = score.sizes["seed"] // k
    axis = score.get_axis_num("seed")
    values = np.moveaxis(score.values.astype(float), axis, 0)[: groups * k]
    values = values.reshape(groups, k, *values.shape[1:]) * (1 if better == "low" else -1)
    values = np.where(np.isnan(values), np.inf, values)
    # From a place within the group to one among all units.
    indices = values.argmin(1) + k * np.arange(groups).reshape(-1, *[1] * (score.ndim - 1))
    other_dims = [d for d in score.dims if d != "seed"]
    where = xr.DataArray(indices, dims=("group", *other_dims), coords={"group": np.arange(groups)})
    scored = xr.DataArray(np.isfinite(values.min(1)), dims=where.dims)
    best = (
        x.isel({"seed": where})
        .drop_vars("seed", errors="ignore")
        .transpose("group", *(d for d in x.dims if d != "seed"))
    )
    return best if bool(scored.all()) else best.where(scored)


def products(x: xr.DataArray, y: xr.DataArray, over: Sequence[str] = ()) -> dict[str, xr.DataArray]:
    """Terms x, y, xx, yy, xy of two measures of the same units: what `correlation` and `slope`
    read.

    Both are taken less their mean over everything, which changes neither and keeps digits. With
    dims `over`, such as other units that x was taken from, each term is averaged over them.

    Args:
        x: a measure of the units.
        y: another of the same.
        over: dims to average.
    Example:
        >>> import xarray as xr
        >>> import assay
        >>> x, y = (xr.DataArray(v, dims="seed") for v in ([1.0, 2.0, 3.0], [5.0, 3.0, 1.0]))
        >>> terms = assay.stats.products(x, y)  # about their means: -1, 0, 1 and 2, 0, -2
        >>> terms["xy"].values
        array([-2., 0., -2.])
    """
    # E[xy] − E[x]E[y] of numbers far from 0 is a small difference of large ones.
    x, y = x - x.mean(), y - y.mean()
    terms = {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
    return {name: term.mean([d for d in over if d in term.dims]) for name, term in terms.items()}


def correlation(m: Means) -> np.ndarray:
    """Pearson's correlation of the terms of `products`, [draw]; of ranks, it is Spearman's.

    Args:
        m: means of the terms of `products`, {name: [draw]}.
    Range: −1 to 1; NaN where a term does not vary but for rounding, as no order is neither
    agreement nor its absence
    Example:
        >>> import numpy as np
        >>> import xarray as xr
        >>> import assay
        >>> x, y = (xr.DataArray(v, dims="seed") for v in ([1.0, 2.0, 3.0], [5.0, 3.0, 1.0]))
        >>> terms = {name: np.array([t.mean()]) for name, t in assay.stats.products(x, y).items()}
        >>> assay.stats.correlation(terms)
        array([-1.])
    """
    square = [_term(m, t + t) for t in "xy"]
    spread = [s - _term(m, t) ** 2 for s, t in zip(square, "xy", strict=True)]
    # A draw may pick one unit over and over: its variance is then rounding, and the ratio noise.
    varies = np.logical_and(*(v > _SAME_SQUARE * s for v, s in zip(spread, square, strict=True)))
    size = np.sqrt(np.where(varies, spread[0] * spread[1], np.nan))
    return (_term(m, "xy") - _term(m, "x") * _term(m, "y")) / size


def slope(m: Means) -> np.ndarray:
    """The least-squares slope of y on x from the terms of `products`, [draw]; units of y per unit
    of x.

    Args:
        m: means of the terms of `products`, {name: [draw]}.
    Example:
        >>> import numpy as np
        >>> import xarray as xr
        >>> import assay
        >>> x, y = (xr.DataArray(v, dims="seed") for v in ([1.0, 2.0, 3.0], [5.0, 3.0, 1.0]))
        >>> terms = {name: np.array([t.mean()]) for name, t in assay.stats.products(x, y).items()}
        >>> assay.stats.slope(terms)
        array([-2.])
    """
    return (_term(m, "xy") - _term(m, "x") * _term(m, "y")) / (_term(m, "xx") - _term(m, "x") ** 2)


def _term(m: Means, name: str) -> np.ndarray:
    if name not in m:
        raise ClaimError(f"the statistic asks for the term {name!r}; {nearest(name, m)}")
    return m[name]


def _on(m: Means, side: str, quantity: Quantity) -> np.ndarray:
    side_terms = {
        name.removeprefix(f"{side}."): x for name, x in m.items() if name.startswith(f"{side}.")
    }
    if not side_terms:
        raise ClaimError(
            f"no term of side {side!r} among {', '.join(m)}; name them with sides({side}={{...}})"
        )
    return _term(side_terms, quantity) if isinstance(quantity, str) else quantity(side_terms)


def _sweep(m: Means, side: str, x: Quantity, y: Quantity) -> tuple[np.ndarray, np.ndarray]:
    log_x, ys = np.log(_on(m, side, x)), _on(m, side, y)
    if log_x.ndim == 1:
        log_x, ys = log_x[:, None], ys[:, None]
    if log_x.ndim != 2 or log_x.shape != ys.shape:
        got = f"{list(log_x.shape)} and {list(ys.shape)}"
        raise ClaimError(
            f"side {side!r} must be one sweep, x and y of shape [draw, point], got {got}"
        )
    return log_x, ys


def _interpolate(x: np.ndarray, y: np.ndarray, points: np.ndarray) -> np.ndarray:
    """y at `points` along each draw's sweep, straight lines of log y between nodes; NaN outside. x,
    y [draw, node]; points [draw, point]."""
    # Not np.interp: x differs from draw to draw. One pass over stretches does all draws at once.
    order = np.argsort(x, axis=1)
    x, y = np.take_along_axis(x, order, 1), np.take_along_axis(np.log(y), order, 1)
    out = np.where(np.abs(points - x[:, :1]) <= _SAME, y[:, :1], np.nan)
    for i in range(x.shape[1] - 1):
        x0, x1, y0, y1 = x[:, i : i + 1], x[:, i + 1 : i + 2], y[:, i : i + 1], y[:, i + 1 : i + 2]
        part = np.clip((points - x0) / np.where(x1 > x0, x1 - x0, 1.0), 0, 1)
        out = np.where((points >= x0 - _SAME) & (points <= x1 + _SAME), y0 + part * (y1 - y0), out)
    return np.exp(out)
