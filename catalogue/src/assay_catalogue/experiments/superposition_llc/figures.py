"""The figures of superposition-llc."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay.core.heavy import xr
from assay_catalogue.experiments.superposition_llc.claims import STATES
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


def shapes(arms: Arms) -> Figure:
    """The columns of one trained model for each state that trainings end at, the six of lowest
    loss."""
    states = {
        name: polygons.called(arms[name].sides, arms[name].positive) for name in ("wide", "main")
    }
    examples = {end: (arms[name], i) for name, ends in states.items() for i, end in enumerate(ends)}
    rows = []
    for end in [name for name in polygons.table(arms["main"].attrs["columns"]) if name in examples][
        :6
    ]:
        W, b = (examples[end][0][k].values[examples[end][1]] for k in "Wb")
        rows += [
            (f"state {end}", kind, float(x), float(y))
            for kind, (x, y) in zip(polygons.roles(W, b), W, strict=True)
        ]
    return figure(
        "Trained columns are corners of a polygon, or dead",
        "points",
        {"state": "facet", "column": "color", "x": "x", "y": "y"},
        sorted(rows, key=lambda row: row[1]),
        x_title="weight to the first hidden unit",
        y_title="weight to the second",
    )


def estimates(arms: Arms) -> Figure:
    """Mean estimates at the smooth minima that trainings reach, and of chains that are held too
    tightly there."""
    levels = polygons.table(arms["main"].attrs["columns"])
    rows = []
    for state in STATES:
        llcs = {}
        for label, name in (
            ("ends of wide starts", "ends"),
            ("ends after passages", "passing"),
            ("held too tightly", "pulled"),
        ):
            end = arms[name].sel(moment="end")
            llcs[label] = end.llc[[s == state for s in polygons.called(end.sides, end.positive)]]
        rows += [
            (f"{state}: {levels[state]:.3f}", label, x.values)
            for label, x in llcs.items()
            if x.size
        ]
    return figure(
        "Among smooth minima a lower loss costs complexity from 5 to 5+, not from 5+ to 6",
        "bars",
        {"state": "x", "chains": "color", "mean": "mean"},
        rows,
        x_title="state: its loss (squared input)",
        y_title="mean estimate of the LLC",
        rules=((7.0, "7"), (8.5, "8.5")),
        note="Dashed: half the rank of the Hessian, 7 at 5 and 8.5 at 5+ and 6.",
    )


def passing_figure(arms: Arms) -> Figure:
    """The share of trainings in a state of five sides or more, along training: finite samples,
    noise without them, neither."""
    rows = [
        (label, int(t), (arms[name].sides.values[:, i] >= 5).astype(float))
        for label, name in (
            ("1,000 inputs, batches of 20", "sampled"),
            ("1,000 inputs, batches of 100", "calm"),
            ("50,000 inputs, batches of 20", "plenty"),
            ("expected loss", "still"),
        )
        for i, t in enumerate(arms[name].time.values)
    ]
    return figure(
        "A finite sample carries trainings from squares to pentagons, noise without it does not",
        "line",
        {"training": "color", "step": "x", "share": "mean"},
        rows,
        x_log=True,
        x_title="step of training",
        y_title="share of trainings with five sides or more",
    )
