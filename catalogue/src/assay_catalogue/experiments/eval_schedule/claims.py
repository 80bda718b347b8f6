"""What eval-schedule claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

import math

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Gate, Value, by_level, figure
from assay.core.claims import same_method
from assay.core.heavy import xr
from assay_catalogue.analysis.evaluations import coverage, due
from assay_catalogue.worlds.modular import replays as schedules
from assay_catalogue.worlds.modular.replays import STARTS, YEAR, rows_due

POLICY = "Anthropic, Responsible Scaling Policy 1.0, 2023, evaluation protocol"
EXISTS = 0.5
"""Accuracy on unseen pairs from which an ability counts as there."""
ON_ITS_WAY = 0.05
"""Accuracy from which an ability that does not exist yet is on its way; memorising networks have
.01."""


def evaluated(arm: xr.Dataset, power: float | None = None) -> xr.DataArray:
    """[start step]: the checkpoints that an arm's schedule evaluates: every ratio^power of compute.

    Power 0 is every checkpoint from the start on, an infinite one the finished model alone.
    """
    power, steps = float(arm.power[0]) if power is None else power, tuple(arm.step.values.tolist())
    if math.isinf(power):
        mask = np.broadcast_to(np.arange(len(steps)) == len(steps) - 1, (STARTS, len(steps)))
    else:
        mask = schedules.replays(
            steps, max(1 + 1e-9, arm.attrs["ratio"] ** power), arm.attrs["months"]
        )
    return arm.step.copy(data=np.arange(len(steps))).expand_dims(start=STARTS).copy(data=mask)


def first(mask: xr.DataArray) -> xr.DataArray:
    """The first step at which something is true; NaN where it never is. Every step costs the same
    compute."""
    return mask.step.where(mask).min("step")


def exists(arm: xr.Dataset, what: str) -> xr.DataArray:
    """[run]: the step from which an ability is there, by the dense evaluations that no schedule
    sees."""
    return first(arm[f"{what}_truth"] >= EXISTS)


def find_step(arm: xr.Dataset, what: str) -> xr.DataArray:
    """[run start]: the step of the first evaluation that sees an ability; NaN where none does."""
    return first(evaluated(arm) & (arm[f"{what}_seen"] >= EXISTS))


def at_once(what: str) -> Value:
    """[run]: the share of starting points from which it is found at the first evaluation due after
    it exists."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        onset = exists(arm, what)
        due_step = first(evaluated(arm, 1.0) & (arm.step >= onset))
        return (find_step(arm, what) == due_step).astype(float).mean("start").where(onset.notnull())

    return value


def lag(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: compute at which the locked ability is found over that at which it exists, a geometric
    mean over starting points.

    Where it is not found at all it counts as found at twice the compute of the whole training.
    """
    late = find_step(arm, "unlocked").fillna(2 * float(arm.step[-1])) / exists(arm, "unlocked")
    # a DataArray: its mean has skipna
    return np.exp(np.log(late).mean("start", skipna=False))  # type: ignore[call-overload]


def warned(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: the share of starting points from which an evaluation sees the open ability on its
    way."""
    on_its_way = (arm.open_seen > ON_ITS_WAY) & (arm.open_seen < EXISTS)
    return (
        (evaluated(arm) & on_its_way)
        .any("step")
        .astype(float)
        .mean("start")
        .where(exists(arm, "open").notnull())
    )


def caught(
    arm: xr.Dataset, arms: Arms, power: float | None = None, what: str = "open"
) -> xr.DataArray:
    """[run]: the share of starting points from which any evaluation sees an ability."""
    return (
        first(evaluated(arm, power) & (arm[f"{what}_seen"] >= EXISTS))
        .notnull()
        .astype(float)
        .mean("start")
        .where(exists(arm, what).notnull())
    )


def reached(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: accuracy of the finished model, locked, after fine-tuning."""
    return arm.unlocked_seen.isel(step=-1)


def emerged(arm: xr.Dataset) -> bool:
    """Whether both abilities come to exist in every run, and neither is there at the first
    checkpoint."""
    truths = (arm.open_truth, arm.unlocked_truth)
    return all(bool(((x >= EXISTS).any("step") & (x.isel(step=0) < EXISTS)).all()) for x in truths)


EMERGED = Gate("emerged", emerged)
SHARE = {
    "unit": "share of starting points",
    "bounds": (0, 1),
    "gates": (EMERGED,),
    "published": "new",
}
SAME_MODEL = dict.fromkeys(
    ("closer", "wider", "dense", "end-only"),
    same_method("the same finished models, on another schedule"),
)
SAME_RISE = {
    "closer": same_method("the same trainings, seen twice as often"),
    "wider": same_method("the same trainings, seen more rarely"),
    "end-only": same_method("the same trainings, seen once"),
    **dict.fromkeys(
        ("no-tuning", "too-few"),
        same_method("the same schedule; open abilities need no fine-tuning"),
    ),
}
CLAIMS = (
    Claim(
        "Fine-tuning brings out what is there: the finished model, locked and then "
        "fine-tuned, adds at least 0.5 of the unseen pairs",
        value=reached,
        low=0.5,
        unit="share of unseen pairs",
        bounds=(0, 1),
        must_fail=("too-few", "memorising", "no-tuning"),
        near={"too-few": "the lock is so thin that a few examples of anything undo it"},
        also=SAME_MODEL,
        credits=("addition", "tuning"),
        gates=(EMERGED,),
        threshold_from="plan: the accuracy from which an ability counts as there",
        published="new",
        source=POLICY,
    ),
    Claim(
        "An ability comes without warning: from at most 0.5 of the starting points does an "
        "evaluation every 4× see it on its way",
        value=warned,
        high=0.5,
        violations=("dense",),
        near={"dense": "nothing of it could be seen at any checkpoint"},
        also=SAME_RISE,
        credits="addition",
        threshold_from="pilot: seeds 0–11, .12 to .25; every checkpoint .88 to .92",
        source="own; on its way is from 0.05 to 0.5 of the unseen pairs",
        **SHARE,
    ),
    Claim(
        "An ability that passes is missed: every 4×, one that random labels erase after a quarter "
        "of training is found from at most 0.75 of the starting points",
        of="fleeting",
        value=caught,
        high=0.75,
        must_fail=("fleeting-closer", "fleeting-dense", "main"),
        near={"fleeting-closer": "it is gone too soon for any schedule"},
        violations=("fleeting-closer", "fleeting-dense"),
        credits="addition",
        threshold_from="pilot: seeds 0–11, .38 to .50; every 2× 1",
        source=POLICY,
        **SHARE,
    ),
    Exact(
        "Four histories worked out by hand: the rows at which an evaluation is due",
        value=lambda arms: [d.row for events, _ in schedules.BY_HAND for d in due(events)[1:]],
        expected=[row for _, rows in schedules.BY_HAND for row in rows],
        tolerance=0.0,
        unit="row",
        source="definition",
    ),
    Exact(
        "Months by which time had run out at 4.4 months in the last of them, and compute over "
        "the anchor at 1 and 4.7 months",
        value=lambda arms: [
            getattr(d, name)
            for d, name in zip(
                due(schedules.BY_HAND[3][0])[1:], ("growth", "overdue", "growth"), strict=True
            )
        ],
        expected=[9.0, 0.4, 200 / 28],
        tolerance=1e-9,
        unit="×, months, ×",
        source="arithmetic: 9, 4.4 − 1 − 3, 200/28",
    ),
    Exact(
        "Coverage of random histories: share by which growth or time between evaluations "
        "exceeds the limit and one event's spacing",
        value=lambda arms: schedules.uncovered(
            arms["main"].seed.values, arms["main"].attrs["ratio"], arms["main"].attrs["months"]
        ),
        tolerance=1e-9,
        source="the event before a due one was not due",
    ),
    Exact(
        "Growth between evaluations in a year, compute doubling every month: as due, every 3 "
        "months alone, at the end alone; and, compute "
        "growing fourfold: as due, every 3 months alone",
        value=lambda arms: [
            coverage(YEAR[name], rows)[0]
            for name, rows in (
                ("doubling", rows_due(YEAR["doubling"])),
                ("doubling", rows_due(YEAR["doubling"], math.inf)),
                ("doubling", [12]),
                ("fourfold", rows_due(YEAR["fourfold"])),
                ("fourfold", rows_due(YEAR["fourfold"], math.inf)),
            )
        ],
        expected=[4.0, 8.0, 4096.0, 4.0, 64.0],
        tolerance=1e-9,
        unit="×",
        source="arithmetic",
    ),
    Exact(
        "Months between evaluations in a year of flat compute: as due, by 4× alone",
        value=lambda arms: [
            coverage(YEAR["flat"], rows_due(YEAR["flat"], months=limit))[1]
            for limit in (3.0, math.inf)
        ],
        expected=[3.0, 12.0],
        tolerance=1e-9,
        unit="months",
        source="arithmetic",
    ),
    Exact(
        "An ability that stays is found r^((d − 1)/2d) times later in geometric mean, at r = "
        "2, 4, 8 with d checkpoints to r",
        value=lambda arms: [schedules.planted_lag(r) for r in (2.0, 4.0, 8.0)],
        expected=[2 ** (3 / 8), 4 ** (7 / 16), 8 ** (11 / 24)],
        tolerance=0.02,
        unit="×",
        source=(
            "arithmetic, starting points spread evenly; steps are whole numbers, which leaves up "
            "to 1 %"
        ),
    ),
    *(
        Estimate(
            f"Every 4×: share of starting points from which {label} is found at the first "
            "evaluation due after it exists",
            value=lambda arms, what=what: at_once(what)(arms["main"], {}),
            unit="share of starting points",
            natural=(0, 1),
            published="new",
            source=POLICY,
        )
        for what, label in {
            "open": "the open ability",
            "unlocked": "the locked one, fine-tuned,",
        }.items()
    ),
    *(
        Estimate(
            f"{label}: compute when the locked ability is found over compute when it exists",
            value=lambda arms, name=name: lag(arms[name], {}),
            unit="×",
            published="new",
            source=POLICY,
        )
        for name, label in {
            "main": "Every 4×",
            "closer": "Every 2×",
            "wider": "Every 8×",
            "end-only": "The finished model alone",
        }.items()
    ),
    *(
        Estimate(
            f"{label}: share of starting points from which the ability that passes is found",
            value=lambda arms, how=how: caught(arms["fleeting"], {}, *how),
            unit="share of starting points",
            natural=(0, 1),
            published="new",
            source=POLICY,
        )
        for label, how in {
            "Every 8×": (1.5,),
            "Every 4×, with a lock and fine-tuning": (1.0, "unlocked"),
        }.items()
    ),
)


def figures(arms: Arms) -> list[Figure]:
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
    return [
        figure(
            "An ability appears all at once; a lock hides it, fine-tuning shows it",
            "line",
            {"model": "color", "step": "x", "mean": "mean"},
            rows,
            x_log=True,
            x_title="training compute, in steps",
            y_title="accuracy on unseen pairs",
            rules=((EXISTS, "exists"),),
        )
    ]
