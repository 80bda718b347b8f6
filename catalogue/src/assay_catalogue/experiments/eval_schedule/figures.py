"""The figures of eval-schedule."""

from __future__ import annotations

import math

import numpy as np

from assay.core import Arms, Figure, by_level, figure
from assay.core.heavy import xr
from assay_catalogue.analysis.evaluations import due
from assay_catalogue.experiments.eval_schedule.claims import EXISTS, evaluated, find_step, lag


def figures(arms: Arms) -> list[Figure]:
    return [rises(arms), history(arms["main"]), replayed(arms), lags(arms)]


def rises(arms: Arms) -> Figure:
    """Mean accuracies against compute, with their intervals."""
    main, rows = arms["main"], []
    names = {
        "the checkpoint": "open_truth",
        "locked": "locked_truth",
        "locked, then fine-tuned": "unlocked_truth",
    }
    curves = [(what, main[name]) for what, name in names.items()]
    curves.append(("only memorised, locked, fine-tuned", arms["memorising"].unlocked_truth))
    for what, x in curves:
        rows += [(what, *point) for point in by_level(x, "step")]
    return figure(
        "An ability appears all at once; a lock hides it, fine-tuning shows it",
        "line",
        {"model": "color", "step": "x", "mean": "mean"},
        rows,
        x_log=True,
        x_title="training compute, in steps",
        y_title="accuracy on unseen pairs",
        rules=((EXISTS, "exists"),),
    )


def history(main: xr.Dataset) -> Figure:
    """Each event of the drawn history, by what is due there; the bar at it ends where compute alone
    would make it due."""
    ratio, months = main.attrs["ratio"], main.attrs["months"]
    events = list(zip(main.attrs["drawn_months"], main.attrs["drawn_compute"], strict=True))
    evaluations, rows, last = {d.row: d for d in due(events, ratio, months)}, [], events[0][1]
    for k, (t, c) in enumerate(events):
        reason = (
            (
                "due: "
                f"{' and '.join(evaluations[k].reasons)}"
                f"{', overdue' if evaluations[k].overdue else ''}"
            )
            if k in evaluations
            else "not due"
        )
        rows.append((reason, t, (c, last, ratio * last)))
        last = c if k in evaluations else last
    rows.sort(key=lambda row: "compute" not in row[0])  # the first gets the colour
    return figure(
        f"Compute since the last evaluation reaches {ratio:g}×, or {months:g} months have passed",
        "points",
        {"what": "color", "months": "x", "compute": "mean"},
        rows,
        y_log=True,
        x_title="time in months",
        y_title="effective compute in FLOP",
    )


def replayed(arms: Arms) -> Figure:
    """Accuracy after fine-tuning of the first run, with the checkpoints that schedules from one
    starting point evaluate.

    The first point from which as many of them as can be find the ability at different checkpoints.
    """
    rows, run, names = [], arms["main"].unlocked_seen.isel(run=0), ("closer", "main", "wider")
    finds = np.array(
        [find_step(arms[name], "unlocked").isel(run=0).fillna(0) for name in names]
    )  # [schedule start]
    start = int(np.argmax([len(set(x)) for x in finds.T]))
    for name in names:
        for step, yes in zip(
            run.step.values, evaluated(arms[name]).isel(start=start).values, strict=True
        ):
            rows.append(
                (
                    called(arms, name),
                    "evaluated" if yes else "not due",
                    int(step),
                    float(run.sel(step=step)),
                )
            )
    rows.sort(key=lambda row: (row[0], row[1]))
    return figure(
        f"What three schedules begun at step {int(run.step[start])} see of one training",
        "points",
        {"schedule": "facet", "checkpoint": "color", "step": "x", "accuracy": "y"},
        rows,
        x_log=True,
        x_title="training compute, in steps",
        y_title="accuracy of the locked model, fine-tuned",
        rules=((EXISTS, "exists"),),
    )


def lags(arms: Arms) -> Figure:
    """How late each schedule is, run by run."""
    late = {name: lag(arms[name], {}) for name in ("closer", "main", "wider", "end-only")}
    rows = [
        (called(arms, name), int(seed), float(x))
        for name, values in late.items()
        for seed, x in zip(values.seed.values, values.values, strict=True)
    ]
    return figure(
        "How much compute has grown by the time the locked ability is found",
        "points",
        {"schedule": "x", "seed": None, "lag": "y"},
        rows,
        y_log=True,
        x_title="evaluated",
        y_title="compute when found over compute when it exists",
        rules=((1.0, "at once"),),
    )


def called(arms: Arms, name: str) -> str:
    """What readers know an arm's schedule by."""
    power = float(arms[name].power[0])
    return (
        "at the end alone"
        if math.isinf(power)
        else f"every {arms[name].attrs['ratio'] ** power:.3g}×"
    )
