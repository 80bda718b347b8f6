"""CSV of a result, of a figure and of a table, for other programs."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assay.core.figures import Figure
from assay.core.judging import LIMITS
from assay.core.plain import cell
from assay.core.results import Estimated, Judged, Other, ResultData, Verdict, Verified
from assay.report import tables

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = (*LIMITS, "p")
HEAD = (
    *("role", "kind", "arm", "outcome", "reason", *NUMBERS),
    *("unit", "n", "threshold", "published", "set_up", "text", "source"),
)
"""The columns of a table of verdicts."""


def names(figures: Sequence[Figure]) -> list[str]:
    """A file name for each figure, from its place and title."""
    return [
        f"figure-{i:02d}-{re.sub('[^a-z0-9]+', '-', f.title.lower()).strip('-')[:50].strip('-')}"
        for i, f in enumerate(figures, 1)
    ]


def _csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([map(cell, row) for row in (head, *rows)])
    return out.getvalue()


def table_csv(frame: pd.DataFrame) -> str:
    """Write a table as CSV, numbers in full, nothing where one is missing."""
    return str(frame.rename(columns=cell).map(cell).to_csv(index=False))


def figure_csv(figure: Figure) -> str:
    """The figure's columns as CSV, numbers in full."""
    return _csv(list(figure.columns), list(zip(*figure.columns.values(), strict=True)))


def verdicts_csv(data: ResultData) -> str:
    """One line for each statement, each control and each other arm that satisfies a claim: role,
    kind, outcome, numbers in full."""
    lines: list[tuple[str, Mapping[str, Any]]] = []
    for claim in (v.without_ties for v in data.verdicts):
        cells = _cells(claim)
        lines.append(("claim", cells))
        lines += [("control", _cells(v)) for v in claim.controls.values()]
        lines += [("planted", _cells(v)) for v in claim.planted.values()]
        about = {k: cells[k] for k in ("kind", "unit", "threshold", "text", "source")}
        for arm, other in claim.also.items():
            reason = other.reason or "not named by the claim"
            own_row = {"arm": arm, "outcome": "holds", "reason": reason}
            lines.append(("also", {**about, **_numbers(other), **own_row}))
    lines += [("exact", _cells(e)) for e in data.exact]
    for finding in data.findings:
        lines += [("finding", _cells(finding)), *_points(finding)]
    return _csv(HEAD, [[role, *(cells.get(k, "") for k in HEAD[1:])] for role, cells in lines])


POINTS = ("claim", "role", "arm", "unit", "level", "text", "number")
"""The columns of a table of the units of claims."""


def points_csv(claims: Iterable[Judged]) -> str:
    """One line for each unit of each claim and of its controls, as they are drawn, with the number
    in full; a prompt has its row as level, and its text. "" where no unit is named."""
    lines: list[Sequence[Any]] = []
    for claim in claims:
        others = [(role, v) for role, _, v in claim.arms() if isinstance(v, Verdict)]
        for role, v in (("claim", claim), *others):
            facts = (claim.text, {"near": "control"}.get(role, role), v.arm, *v.units[:1])
            levels = [(r.row, r.label) for r in v.rows] or [(level, "") for level in v.levels]
            if len(levels) == len(v.points):
                lines += [(*facts, *x, number) for x, number in zip(levels, v.points, strict=True)]
    return _csv(POINTS, lines) if lines else ""


def _numbers(s: Any) -> dict[str, float | None]:
    return {
        k: x if math.isfinite(x) else None
        for k in NUMBERS
        if (x := getattr(s, k, None)) is not None
    }


def _cells(s: Verdict | Verified | Estimated) -> dict[str, Any]:
    """A statement, or an arm, by the heads of its columns."""
    cells = {
        k: getattr(s, k, "") for k in ("kind", "arm", "outcome", "reason", "unit", "threshold")
    }
    cells["kind"] = tables.KIND_WORDS.get(cells["kind"], cells["kind"])
    cells |= {"text": s.text, "source": s.source, **_numbers(s)}
    if not isinstance(s, Verified):
        paper, set_up = tables.literature(s)
        cells |= {"n": tables.units(s.n), "published": paper, "set_up": set_up}
    return cells


def _points(finding: Estimated) -> list[tuple[str, Mapping[str, Any]]]:
    """Lines for the levels of a curve, each with the interval that covers it alone, and for where
    it crosses."""
    if (curve := finding.curve) is None:
        return []
    about = {k: v for k, v in _cells(finding).items() if k in ("kind", "unit", "n", "source")}
    lines: list[tuple[str, Mapping[str, Any]]] = []
    for level, *numbers in zip(curve.levels, curve.estimate, curve.low, curve.high, strict=True):
        point = _numbers(Other(estimate=numbers[0], low=numbers[1], high=numbers[2]))
        text = f"{finding.text}, {curve.over} {level}"
        lines.append(("level", {**about, **point, "text": text}))
    if crossing := curve.crossing:
        words = {"text": finding.text, "reason": crossing.words, "unit": curve.over}
        lines.append(("crossing", {**words, "kind": finding.kind, **_numbers(crossing)}))
    return lines
