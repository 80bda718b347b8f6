"""The page of a result: the outcome, the numbers with their controls, and every unit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from assay.errors import line
from assay.verdicts import rule
from assay.verdicts.digits import with_interval
from assay.verdicts.result import Judged, Result

WIDTH, HEIGHT = 320, 18
"""Of the plot of one interval, in pixels; it shrinks with the page."""
MOST_ROWS = 500
"""Units shown; the file has all."""


@dataclass(frozen=True)
class Scale:
    """From numbers to pixels, the same for all rows of a plot."""

    low: float
    high: float

    def __call__(self, x: float) -> float:
        share = (x - self.low) / (self.high - self.low)
        return round(WIDTH * min(1.0, max(0.0, share)), 1)


@dataclass(frozen=True)
class Row:
    """The method or a control, as its row of the table and of the plot.

    Attributes:
        bar: the left end, the estimate and the right end in pixels; None without an interval.
    """

    name: str
    number: str
    bar: tuple[float, float, float] | None
    outcome: str = ""
    draws: str = ""
    lead: str = ""
    why: str = ""


def page(result: Result, file: str = "") -> str:
    """The page of a result as HTML that loads nothing.

    Args:
        file: the name of the .assay file next to it, if there is one.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = FileSystemLoader(Path(__file__).parent / "templates")
    env = Environment(loader=templates, autoescape=True, undefined=StrictUndefined)
    env.finalize = lambda x: line(x) if isinstance(x, str) else x  # nothing that a reader obeys
    claims = [_claim(result, k) for k in range(len(result.claims))]
    return env.get_template("result.html").render(
        result=result, claims=claims, file=file, width=WIDTH, height=HEIGHT
    )


def _claim(result: Result, k: int) -> dict[str, Any]:
    claim = result.claims[k]
    samples = result.samples[k] if result.samples else {}
    scale = _scale(claim)
    table = _units(result.rows, claim, samples) if samples else pd.DataFrame()
    return {
        "claim": claim,
        "rows": list(_rows(claim, scale)),
        "inside": _inside(claim, scale),
        "ticks": [(scale(x), with_interval(x, x, x)) for x in _edges(claim)],
        "units": table.head(MOST_ROWS),
        "of": len(table),
        "is_number": [pd.api.types.is_numeric_dtype(table[c]) for c in table],
    }


def _edges(claim: Judged) -> list[float]:
    return [x for x in (claim.h.low, claim.h.high) if math.isfinite(x)]


def _scale(claim: Judged) -> Scale:
    """From the least to the greatest of all limits, thresholds and the number of no effect."""
    every: list[rule.Verdict | rule.Tested] = [claim.verdict, *claim.verdict.controls.values()]
    ends = [x for v in every for x in (v.estimate, v.low, v.high)] + _edges(claim)
    known = [x for x in [*ends, claim.h.empty] if math.isfinite(x)]
    room = 0.04 * ((max(known) - min(known)) or 1.0)
    return Scale(min(known) - room, max(known) + room)


def _inside(claim: Judged, scale: Scale) -> tuple[float, float]:
    """Where the range lies, in pixels."""
    low = scale(claim.h.low) if math.isfinite(claim.h.low) else 0
    high = scale(claim.h.high) if math.isfinite(claim.h.high) else WIDTH
    return low, high


def _rows(claim: Judged, scale: Scale) -> Iterator[Row]:
    v = claim.verdict
    yield Row(claim.h.of, with_interval(v.estimate, v.low, v.high), _bar(scale, v))
    for name, t in v.controls.items():
        yield Row(
            name,
            with_interval(t.estimate, t.low, t.high),
            _bar(scale, t),
            t.outcome,
            f"{t.satisfied} of {t.draws}" if t.draws > 1 else "",
            with_interval(*t.lead),
            claim.why.get(name, ""),
        )


def _bar(scale: Scale, v: rule.Verdict | rule.Tested) -> tuple[float, float, float] | None:
    numbers = (v.low, v.estimate, v.high)
    if not all(map(math.isfinite, numbers)):
        return None
    left, middle, right = map(scale, numbers)
    return left, middle, right


def _units(rows: pd.DataFrame, claim: Judged, samples: Mapping[str, rule.Sample]) -> pd.DataFrame:
    """A row for each unit: what is known of it, and what it adds to the number of each arm; those
    that speak least for the claim first."""
    h = claim.h
    (unit, *more) = samples[h.of].units
    if more or unit not in rows:
        return pd.DataFrame()
    arms = [h.of, *(t.arm for t in claim.verdict.controls.values())]
    adds = {}
    for arm in dict.fromkeys(arms):
        labels = sorted(set(map(str, samples[arm].units[unit])))
        points = rule.interval(samples[arm], h.folds).points
        if len(points) == len(labels):
            adds[arm] = pd.Series(points, labels)
    own = rows[rows["arm"].astype(str) == h.of] if "arm" in rows else rows
    own = own.assign(**{unit: own[unit].astype(str)}).drop_duplicates(unit).set_index(unit)
    once = [c for c in own if c == "arm" or own[c].nunique(dropna=False) < 2]
    once += [c for c in own if h.of in adds and own[c].equals(adds[h.of])]  # the number itself
    own = own.drop(columns=once)
    table = own.join(pd.DataFrame(adds).add_prefix("→ "), how="right").rename_axis(unit)
    depth = pd.Series({label: h.depth(x) for label, x in adds.get(h.of, pd.Series()).items()})
    return table.loc[depth.sort_values(kind="stable").index].reset_index()
