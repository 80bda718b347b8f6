"""Audit: what an experiment's claims leave open, by its arms and measures alone: unnamed averages,
idle controls, idle arms in `also`.

A claim's value is code, so that nobody can read off what it averages. It is tried instead: a
dimension that the sentence does not name and over which the value averages is one whose levels may
change places, in every measure at once, and nothing changes; though the value changes when one
level does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Literal

import numpy as np

from assay.core.claims import Claim
from assay.core.experiment import Experiment
from assay.core.expression import parse
from assay.core.heavy import xr
from assay.core.judging import standing
from assay.core.reading import Others, plural, tabulate

Arms = Mapping[str, "xr.Dataset"]
IDLE = ("untrained", "random", "frozen", "shuffled", "permuted")
"""Words in the names or values of fields by which an arm learns nothing, a part, or nothing of the
data."""
TRIED = 3
"""Levels of a dimension that are changed, one at a time, to see whether a value reads them."""


@dataclass(frozen=True)
class Doubt:
    """What a claim leaves open."""

    about: Literal["average", "control", "also"]
    what: str
    """In a sentence that goes on from the claim's number."""


def doubts(claim: Claim, experiment: Experiment, arms: Arms) -> Iterator[Doubt]:
    """Tell what a claim leaves open. Raises: AssayError where it cannot be computed on these
    measures."""
    for dim, measures in averaged(claim, arms).items():
        yield Doubt(
            "average",
            (
                f"treats all levels of {dim} alike, which its sentence does not name (of "
                f"{', '.join(measures)})"
            ),
        )
    for name in claim.must_fail:
        if why := _idle_control(claim, name, arms):
            yield Doubt("control", f"control {name} {why}")
    silent = (n for n in (*claim.also, *claim.must_hold) if experiment.arms[n].learned is None)
    idle = {name: why for name in silent if (why := unlearned(experiment, name))}
    if idle:
        yield Doubt(
            "also",
            f"may hold for {', '.join(f'{name} ({why})' for name, why in idle.items())} as well; "
            "what was learned there is unsaid",
        )


def averaged(claim: Claim, arms: Arms) -> dict[str, tuple[str, ...]]:
    """The dimensions over which a claim's value treats all levels alike though no word of its
    sentence names them, with the measures.

    It sees means, sums, counts, maxima and medians over all levels. It sees no mean over some
    levels, none with unequal weights that are not measures themselves, and nothing that was
    averaged before it was stored."""
    named_dims = (
        {dim for c in parse(claim.condition.partition(" at equal ")[0]).columns for dim in c.named}
        if claim.condition
        else set()
    )
    dims = {str(d) for data in arms.values() for x in data.data_vars.values() for d in x.dims} - {
        "run",
        *claim.units,
        *named_dims,
    }
    arm_reader = Others(arms, claim.of, claim.where)
    before, reads_by_dim = _value(claim, arm_reader), {}
    arms = {name: arms[name] for name in sorted(arm_reader.read)}
    for dim in sorted(dims):
        if re.search(
            rf"(?i)\b({re.escape(dim)}|{re.escape(plural(dim, 2))})\b", claim.text.replace("_", " ")
        ):
            continue
        if any(
            _differs(claim, before, _with(arms, partial(_reordered, dim=dim, draw=draw), dim))
            for draw in (1, 2)
        ):
            continue
        several = sorted(
            {
                str(n)
                for data in arms.values()
                for n, x in data.data_vars.items()
                if x.sizes.get(dim, 1) > 1
            }
        )
        if read := tuple(name for name in several if _reads(claim, before, arms, dim, name)):
            reads_by_dim[dim] = read
    return reads_by_dim


def unlearned(experiment: Experiment, arm: str) -> str:
    """Why nothing, or less than in main, is learned in an arm: "derived", or the field of its runs
    that says so; else empty."""
    if experiment.arms[arm].derive is not None:
        return "derived"
    specs, main = (
        experiment.specs_of(arm, experiment.default),
        experiment.specs_of("main", experiment.default),
    )
    if not specs or not main:
        return ""
    arm_values = {f.name: {getattr(s, f.name) for s in specs} for f in fields(specs[0])}
    usual = {f.name: {getattr(s, f.name) for s in main} for f in fields(main[0])}
    for name, values in arm_values.items():
        if values == usual.get(name):
            continue
        (value,) = values if len(values) == 1 else (None,)
        if name.endswith("steps") and isinstance(value, int) and value <= 1:
            return f"{name} = {value}"
        if any(w in f"{name} {value}" for w in IDLE) and value not in (None, False, "", 0):
            return f"{name} = {value}"
    return ""


def _idle_control(claim: Claim, name: str, arms: Arms) -> str:
    """Why a control decides nothing: no number, no spread, or no way to pass even with the numbers
    of the arm under judgement."""
    i, (low, high), _ = standing(_about(claim, name), arms)
    if np.isnan(i.estimate):
        return "has no number"
    if i.variance == 0:
        about, datasets = (
            _about(claim, name),
            [arms[claim.of], *(_noise(arms[name], sign) for sign in (1, -1))],
        )
        before = _value(about, Others(arms, name, claim.where))
        if not any(_differs(about, before, {**arms, name: data}) for data in datasets):
            return (
                f"is {i.estimate:g} in every unit, with any measures that were tried: it cannot "
                "pass"
            )
        if claim.bounds is None:
            return f"is {i.estimate:g} in every unit: its interval has no width"

    def holds(candidate: Claim, candidate_arms: Arms) -> bool:
        interval, *_ = standing(candidate, candidate_arms)
        least, most = (
            (interval.low, interval.high) if claim.bounds else (interval.t_low, interval.t_high)
        )
        return bool(low <= least and most <= high)

    if (
        name in arms
        and holds(claim, arms)
        and not holds(_about(claim, name), {**arms, name: arms[claim.of]})
    ):
        return (
            f"fails even with the numbers of {claim.of}, with which the claim holds: it cannot pass"
        )
    return ""


def _about(claim: Claim, name: str) -> Claim:
    return replace(claim, of=name, must_fail=(claim.of,), near={}, also={}, must_hold=(), half={})


def _value(claim: Claim, arm_reader: Others) -> np.ndarray:
    """What is compared, unit by unit; where a statistic has dimensions of its own to work on, what
    it makes of their means."""
    terms = tabulate(
        lambda: claim.value(arm_reader.take(claim.of), arm_reader),
        claim.units,
        claim.text,
        arm_reader,
    ).terms
    factors = len(claim.units)
    if all(x.ndim == factors for x in terms.values()):
        return np.concatenate([x.ravel() for x in terms.values()])
    complete = ~np.logical_or.reduce(
        [np.isnan(x).any(tuple(range(factors, x.ndim))) for x in terms.values()]
    )
    return np.ravel(claim.statistic({name: x[complete].mean(0)[None] for name, x in terms.items()}))


def _differs(claim: Claim, before: np.ndarray, arms: Arms) -> bool:
    """Whether the value is another one on these arms, or none at all."""
    try:
        after = _value(claim, Others(arms, claim.of, claim.where))
    except Exception:  # code of an experiment's author, given measures that cannot be
        return True
    return after.shape != before.shape or not np.allclose(
        after, before, rtol=1e-9, atol=1e-12, equal_nan=True
    )


def _with(
    arms: Arms, change: Callable[[xr.DataArray], xr.DataArray], dim: str, only: str = ""
) -> dict[str, xr.Dataset]:
    """The arms with every measure changed that has a dimension, or one of them."""
    return {
        name: data.assign(
            {n: change(x) for n, x in data.data_vars.items() if dim in x.dims and only in ("", n)}
        )
        for name, data in arms.items()
    }


def _reordered(x: xr.DataArray, dim: str, draw: int) -> xr.DataArray:
    """The numbers at other levels, the same ones for all measures that have as many."""
    order = (
        np.random.default_rng([draw, x.sizes[dim]]).permutation(x.sizes[dim])
        if draw > 1
        else np.roll(np.arange(x.sizes[dim]), 1)
    )
    return x.copy(data=x.values.take(order, x.get_axis_num(dim)))


def _reads(claim: Claim, before: np.ndarray, arms: Arms, dim: str, name: str) -> bool:
    """Whether a value reads a measure at all: tried at a few levels of a dimension."""
    return any(
        _differs(claim, before, _with(arms, partial(_raised, dim=dim, at=position), dim, name))
        for position in range(TRIED)
    )


def _noise(data: xr.Dataset, sign: int) -> xr.Dataset:
    """Other numbers of the same kind, above or below what they were."""
    rng = np.random.default_rng(0)

    def other(x: xr.DataArray) -> xr.DataArray:
        if x.dtype.kind == "b":
            return x.copy(data=rng.random(x.shape) < 0.5)
        return x.copy(
            data=(
                sign * (x.values * rng.uniform(0.5, 1.5, x.shape) + rng.uniform(0, 3, x.shape))
            ).astype(x.dtype)
        )

    return data.map(other)


def _raised(x: xr.DataArray, dim: str, at: int) -> xr.DataArray:
    """The numbers with those at one level made larger than all others; truth values turned
    round."""
    values = x.values.copy()
    view = np.moveaxis(values, x.get_axis_num(dim), 0)
    place = (0, view.shape[0] // 2, -1)[at]
    view[place] = (
        ~view[place]
        if values.dtype.kind == "b"
        else view[place] * 1.5 + 1 + 2 * np.nanmax(np.abs(values), initial=0.0)
    )
    return x.copy(data=values)
