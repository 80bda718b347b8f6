"""The figures of superposition-llc."""

from __future__ import annotations

from assay.core import Figure, figure
from assay.core.heavy import xr
from assay_catalogue.worlds.bottleneck import polygons


def falling(main: xr.Dataset) -> Figure:
    ends, levels = polygons.called(main.sides, main.positive), polygons.table(main.attrs["columns"])
    none = "0" + "+" * main.attrs["columns"]
    rows = [
        (f"ends at {end}", which, float(t), float(loss))
        for end in sorted(set(ends), key=levels.__getitem__, reverse=True)
        for run, which in zip(
            [i for i, e in enumerate(ends) if e == end],
            ("first seed", "second", "third"),
            strict=False,
        )
        for t, loss in zip(main.time.values, main.loss.values[run], strict=True)
        if t >= 10
    ]
    state_names = sorted({*ends, none}, key=levels.__getitem__)
    return figure(
        "The loss stands near no weights at all, falls, and stops at the level of a polygon",
        "line",
        {"end": "facet", "seed": "color", "step": "x", "loss": "y"},
        rows,
        x_log=True,
        y_log=True,
        x_title="step of gradient descent, from 10 on",
        y_title="expected loss (squared input)",
        rules=tuple((levels[n], "no weights" if n == none else n) for n in state_names),
        note="Dashed: exact levels of the states that occur; + marks a dead column with a positive "
        "bias.",
    )
