"""Annotated: a judged statement of a study with the unit of its number, the number of the unchanged
model and, where it is an extreme over the levels of a sweep, the level at which it is reached."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from assay.ask import by_label
from assay.ask.levels import located
from assay.ask.model_study import ModelStudy
from assay.ask.notes import Asking
from assay.ask.tables import Read
from assay.ask.wording import Condition, condition
from assay.core.bands import AT
from assay.core.claims import Claim, Estimate
from assay.core.columns import LOCATING, Column
from assay.core.heavy import xr
from assay.core.results import Estimated, Judged
from assay.core.rounding import are_unmoved

Arms = Mapping[str, "xr.Dataset"]
EXTREMES = ("max", "min", AT)
"""What is taken over levels and is the number of one of them."""


class Extreme(NamedTuple):
    """Where the mean over units is largest or smallest."""

    text: str
    how: str
    of_means: bool
    over: tuple[str, ...]
    levels: str
    """Such as "block 28, head 3"."""
    mean: float

    @property
    def end(self) -> str:
        """Which end of the curve it is: "highest" or "lowest"."""
        return "lowest" if self.how == "min" or "=argmin(" in self.text else "highest"


def annotated(
    questions: ModelStudy, askings: Mapping[str, Asking], guess: str, s: Any, arms: Arms
) -> Judged | Estimated:
    """A judged claim or an estimate with the unit of its measures, if its author gives none, the
    level at which its extreme is, the numbers of the unchanged model, and a price in rows;
    `askings` by their texts. `guess` says what `main` does where it is no model but a guess at a
    probe's labels."""
    statement = s.claim if isinstance(s, Judged) else s.statement
    reads = questions.text.study.read
    unit = "" if s.unit not in ("", "1") else _unit(reads, statement, arms)
    asking = None if getattr(s, "curve", None) else askings.get(s.text)
    its_extremes, at = [*extremes(asking, statement, arms)], ""
    if len(its_extremes) == 1 and its_extremes[0].of_means:
        extreme = its_extremes[0]
        at = located(extreme.levels)
        if any({*asking.over} == {*extreme.over} for asking in askings.values()):
            # that level has its own interval in the curve
            at += f" (the interval is of whichever is {extreme.end})"
    elif len(its_extremes) == 1 and s.n:
        at = f"at each {next(iter(s.n))}'s own {' and '.join(its_extremes[0].over)}"
    sides = s.sides or _unchanged(statement, arms)
    if guess:
        sides = {f"{guess} ({k})" if k.startswith("main.") else k: x for k, x in sides.items()}
    if isinstance(s, Judged):
        s = by_label.priced(questions, askings.get(s.text), s, arms)
        s = msgspec.structs.replace(s, no_tests=dict(_alike(s, arms)))
    return msgspec.structs.replace(s, measured_in=unit, at=at, sides=sides)


def _alike(judged: Judged, arms: Arms) -> Iterator[tuple[str, str]]:
    """The controls that make the same change on both sides of a comparison, such as a/token and
    b/token where the same token was chosen for both, and why they are no test."""
    names = {c.name for c in condition(judged.claim.condition).columns}
    for control in judged.controls:
        for twin in judged.claim.twins.get(control, ()):
            ours, theirs = arms[control], arms[twin]
            if not all(n in ours and n in theirs for n in names):
                continue  # two reads are compared, not one read in two arms
            same_levels = all(ours[n].shape == theirs[n].shape for n in names)
            if same_levels and are_unmoved((ours[n].values, theirs[n].values) for n in names):
                is_token = control.endswith("/token")
                same = "use the same token" if is_token else "make the same change"
                number = f"{judged.controls[control].estimate:g}"
                yield control, f"both sides {same} here, so it is {number} whatever the model does"


def _unchanged(statement: Claim | Estimate, arms: Arms) -> dict[str, float]:
    """The mean in the unchanged model of what a statement reads of one other arm, by which a
    number without something is judged; nothing of a measure that is swept there as well."""
    columns = condition(statement.condition, compared=isinstance(statement, Claim)).columns
    others = [c for c in columns if c.arm not in (None, "main")]
    if len(others) != 1 or {c.name for c in columns} != {others[0].name}:
        return {}
    if others[0].name not in arms.get("main", ()):
        return {}
    x = arms["main"][others[0].name]
    dims = [*map(str, x.dims)]
    base = replace(others[0], arm="main", over=(), how="mean").within(dims)
    left = base.take(x, dims)
    alone = {*left.dims} <= {"run", "seed", *statement.units}
    return {str(base): float(left.mean())} if alone else {}


def extremes(asking: Asking | None, statement: Any, arms: Arms) -> Iterator[Extreme]:
    """Give the extremes of means that a statement takes, and the levels that it chooses."""
    for text, how, of_means, over, means in _curves(asking, statement, arms) if asking else ():
        if means.isnull().all():  # as an AUROC is of units that have both labels
            continue
        best = means.argmin([*over]) if how == "min" else means.argmax([*over])
        levels = ", ".join(f"{d} {means[d].values[int(best[d])]}" for d in over)
        mean = float(means.isel(best))
        mean = -mean if "=argmin(" in text else mean
        yield Extreme(text, how, of_means, over, levels, mean)


def _curves(
    asking: Asking, statement: Any, arms: Arms
) -> Iterator[tuple[str, str, bool, tuple[str, ...], xr.DataArray]]:
    """Give the mean over units at each level, for every extreme and every choice of a level."""

    def mean_at(c: Column, over: tuple[str, ...]) -> xr.DataArray:
        x = arms[c.arm or asking.main][c.name]
        x = replace(c, over=(), how="mean").take(x, [*map(str, x.dims)])
        return _swept(x.mean([d for d in x.dims if d not in over]), over)

    for whole in (t for t in asking.read.parsed.together if t.how in EXTREMES):
        if whole.of_means:
            terms = statement.value(arms[asking.main], arms)
            assert isinstance(terms, Mapping)
            means = {
                t: _swept(x.mean([d for d in x.dims if d not in whole.over]), whole.over)
                for t, x in terms.items()
            }
            curve = whole.inner(lambda c, means=means: means[c.name])
        else:
            curve = whole.inner(lambda c, d=whole.over: mean_at(c, d))
        yield whole.text, whole.how, whole.of_means, whole.over, curve
    for c in asking.read.columns:
        if c.how in EXTREMES and c.name in arms.get(c.arm or asking.main, ()):
            yield str(c), c.how, False, c.over, mean_at(c, c.over)


def _swept(x: xr.DataArray, over: tuple[str, ...]) -> xr.DataArray:
    """Drop dimensions without levels. An arm without the sweep has the same number at each level of
    the other arm."""
    return x.isel({d: 0 for d in over if d in x.dims and d not in x.coords})


def _unit(reads: tuple[Read, ...], s: Claim | Estimate, arms: Arms) -> str:
    """The unit of a statement's number: that of all measures of which it is a weighted sum; "" for
    yes or no, a dimensionless or unknown one. A gradient has the unit of its read."""
    source = {r.name: r.gradient for r in reads if r.gradient}
    stated = condition(s.condition, compared=isinstance(s, Claim))
    main = getattr(s, "of", next(iter(stated.parsed.arms), "main"))
    measured: list[tuple[Any, str]] = [
        (arms.get(c.arm or main, {}), source.get(c.name, c.name)) for c in stated.parsed.columns
    ]
    units = {arm[name].attrs.get("units", "1") if name in arm else "1" for arm, name in measured}
    located = any(c.how in LOCATING for c in stated.columns)
    if units <= {"1", "bool"} or len(units) > 1 or located or not _scales(stated):
        return ""
    return "logits" if (unit := units.pop()) == "logit" else unit


def _scales(stated: Condition) -> bool:
    """Whether a condition scales with its measures, like a weighted sum."""
    columns, walk = stated.parsed.columns, stated.parsed.walk
    once, thrice = (
        float(walk({c: by * (1.7 + i) for i, c in enumerate(columns)}.__getitem__)) for by in (1, 3)
    )
    return once != 0 and math.isclose(thrice, 3 * once)
