"""What superposition-llc claims, and its picture: the statements, and how each value is computed
from measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Gate, Published, figure
from assay.core.claims import rival, same_method
from assay.core.heavy import scipy, xr
from assay.core.measures import by
from assay.core.stats import correlation, products
from assay_catalogue.experiments.superposition_llc.method import MOMENTS, WITHIN
from assay_catalogue.worlds.bottleneck import polygons

CHEN = (
    "Chen et al. 2023, Dynamical versus Bayesian Phase Transitions in a Toy Model of Superposition"
)
LAU = "Lau et al. 2023, The Local Learning Coefficient"
PRINTED = {"5": 7.71, "5+": 9.91, "6": 9.03}
"""Estimates that Chen et al. print for 5,000 data points."""
STATES = ("5", "5+", "6")
"""Minima at which the loss is smooth: half the rank of its Hessian is the learning coefficient."""
SADDLE = -1e-3
"""Where the lowest curvature is below this, the loss curves down: no minimum."""


def at_a_level(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: 1 where the final loss lies within 1 % of a level of the table, else 0."""
    return (abs(arm.off) <= WITHIN).astype(float)


def passed(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: 1 where training passed to a state of more sides than before, else 0."""
    return arm.passed


def ended(arm: xr.Dataset) -> xr.Dataset:
    """[seed]: measures at the ends of trainings that are smooth minima: five sides or more."""
    end = by(arm).sel(moment="end", drop=True)
    return end.isel(seed=(end.sides >= 5).values)


def at_state(arm: xr.Dataset, name: str) -> xr.DataArray:
    """[seed]: the estimate at the ends that are this state."""
    end = ended(arm)
    return end.llc.where(np.array(polygons.called(end.sides, end.positive)) == name)


def over_half(arm: xr.Dataset) -> xr.DataArray:
    """[seed]: the estimate over half the rank of the Hessian, at those ends."""
    return ended(arm).llc / (ended(arm).curved / 2)


def ranks(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of a rank correlation of loss and estimate over those ends."""
    end = ended(arm)
    ranked = [
        end.llc.copy(data=scipy.stats.rankdata(x))
        for x in (np.round(end["at"].values, 5), end.llc.values)
    ]
    return products(*ranked)


def climb(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: by how much the estimate rises from the state that training left last to its end;
    only of runs that left one."""
    runs = by(arm)
    end, before = (runs.llc.sel(moment=m, drop=True) for m in MOMENTS)
    return (end - before).where(runs.left)


def in_use(arm: xr.Dataset) -> xr.DataArray:
    """[seed]: how many columns more are in use at the end than before: corners, and dead ones with
    a bias above 0."""
    runs = by(arm)
    end, before = ((runs.sides + runs.positive).sel(moment=m, drop=True) for m in MOMENTS)
    return end - before


def kept_in_use(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: 1 where as many columns are in use at the end as in the state that was left, else 0;
    only of runs that left one."""
    return (in_use(arm) == 0).astype(float).where(by(arm).left)


def sound(arm: xr.Dataset) -> bool:
    """Whether the chains hold still, within three standard errors, with at least half of their
    steps accepted, at every moment."""
    still = abs(arm.moved.mean("run")) <= 3 * arm.moved.std("run", ddof=1) / np.sqrt(
        arm.sizes["run"]
    )
    return bool(still.all()) and bool((arm.accepted.mean("run") >= 0.5).all())


def stable_plateaus(name: str) -> Callable[[Arms], xr.DataArray]:
    """[run]: plateaus of a training at which no direction curves down."""
    return lambda arms: (arms[name].lowest >= SADDLE).sum("plateau").astype(float)


def exactly(columns: int, names: Sequence[str] = ()) -> tuple[np.ndarray, ...]:
    """Of exact polygons, by number of columns and name: losses, steepest slopes, and half the
    curved directions."""
    from assay_catalogue.worlds.bottleneck import stages

    return stages.exactly(columns, names)


PILOT = "pilot: seeds 0–63, "
ALL_STOP = same_method(
    "other starts and other lengths of training by the same descent, which stops as well"
)
OTHER_ENDS = dict.fromkeys(
    ("passing", "remained", "exchanged"),
    same_method("ends of other trainings at such minima, of the same trainings in all three"),
)
claim = partial(Claim, credits="training", published="new", source=CHEN)
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        "Training stops at critical points: at least 0.9 of the final losses lie within 1 % "
        "of a level of the table",
        value=at_a_level,
        low=0.9,
        unit="share of seeds",
        bounds=(0, 1),
        must_fail=("random", "linear"),
        half={"main": "main-half"},
        near={"random": "levels are so many that any loss lies near one"},
        also=dict.fromkeys(("wide", "wide-half"), ALL_STOP),
        threshold_from=(
            "plan: before any run; 1 % in place of 3 %, within which half of all random losses lie"
        ),
    ),
    claim(
        "From wide starts, too: at least 0.9 of the final losses lie within 1 % of a level",
        of="wide",
        value=at_a_level,
        low=0.9,
        unit="share of seeds",
        bounds=(0, 1),
        must_fail=("random", "linear"),
        half={"wide": "wide-half"},
        near={"random": "levels are so many that any loss lies near one"},
        also=dict.fromkeys(("main", "main-half"), ALL_STOP),
        threshold_from="plan: before any run",
    ),
    claim(
        "Between trainings lower goes with more complex: rank correlation of loss and "
        "estimate, ends of five sides or more, at most −0.5",
        of="ends",
        value=ranks,
        statistic=correlation,
        high=-0.5,
        gates=(Gate("sound", sound),),
        half={"ends": "ends-fine"},
        near={"dealt": "so few levels, and so many ties, that chance would do"},
        also={"pulled": same_method("a pull lowers all estimates and keeps their order")}
        | OTHER_ENDS,
        credits=("training", "estimates"),
        threshold_from=PILOT + "−.84 [−.91, −.75]",
    ),
    claim(
        "The noise of small batches moves a model from state to state: with 50,000 inputs in "
        "batches of 20, at least 0.1 of the trainings pass from a square to five sides or more",
        of="plenty",
        value=passed,
        low=0.1,
        unit="share of trainings",
        bounds=(0, 1),
        near={"still": "squares with uneven starts roll on by themselves"},
        also={
            "sampled": same_method("the same noise, on a sample that is finite"),
            "calm": rival("a finite sample, with a fifth of the noise"),
        },
        threshold_from="plan: a tenth, before any run that tells noise from the sample",
    ),
    claim(
        "A finite sample does: with 1,000 inputs and a fifth of that noise, at least 0.1 of "
        "the trainings pass",
        of="calm",
        value=passed,
        low=0.1,
        unit="share of trainings",
        bounds=(0, 1),
        must_fail=("plenty", "still"),
        near={"plenty": "it is the noise of batches, and a finite sample makes no difference"},
        also={"sampled": same_method("the same kind of sample, in smaller batches")},
        threshold_from="pilot: seeds 0–31, 9 of 32 within 8,000 steps in batches of 200",
    ),
    claim(
        "Along one training the LLC rises: where it passes from a square to five sides, the "
        "estimate rises by at least 0.5",
        of="passing",
        value=climb,
        low=0.5,
        gates=(Gate("sound", sound),),
        near={"remained": "estimates rise along any such training, whatever state it is in"},
        also={"exchanged": same_method("the same trainings, dealt anew: their mean is the same")},
        credits=("training", "estimates"),
        threshold_from="plan: as from pentagon to hexagon, before any such training was run",
    ),
    claim(
        "What becomes the fifth corner was in use before: in at least 0.9 of these passages "
        "as many columns are in use after as before",
        of="passing",
        value=kept_in_use,
        low=0.9,
        unit="share of passages",
        bounds=(0, 1),
        near={
            "exchanged": (
                "squares and pentagons have about as many columns in use, whichever belongs to "
                "which"
            )
        },
        credits=("training", "passage"),
        empty=1.0,
        threshold_from=PILOT + "17 of 17 within 8,000 steps",
    ),
    Exact(
        "Losses of 4, 4+, 4++, 5, 5+ and 6 among six columns",
        value=lambda arms: exactly(6, ("4", "4+", "4++", *STATES))[0],
        unit="squared input",
        expected=[0.11111, 0.10417, 0.09722, 0.06874, 0.06180, 0.04819],
        tolerance=6e-6,
        source="by quadrature",
    ),
    Exact(
        "Every state of the table, six columns or eight, is a critical point: largest slope",
        value=lambda arms: [float(exactly(c)[1].max()) for c in (6, 8)],
        tolerance=1e-9,
        source="symmetry",
    ),
    Exact(
        "Half the rank of the Hessian at 5, 5+ and 6 of six columns, and at 7 and 8 of eight",
        value=lambda arms: [*exactly(6, STATES)[2], *exactly(8, ("7", "8"))[2]],
        expected=[7.0, 8.5, 8.5, 10.0, 11.5],
        tolerance=0.0,
        source="3 parameters a column that is not dead and off, less one for the rotation, over 2",
    ),
    Exact(
        "Half the number of parameters is the same at 5, 5+ and 6: it tells no state from another",
        value=lambda arms: [3 * 6 / 2] * len(STATES),
        expected=9.0,
        tolerance=0.0,
        source="arithmetic",
    ),
    *[
        Estimate(
            f"Plateaus of one training from a {start} start at which no direction curves down",
            value=stable_plateaus(name),
            unit="plateaus",
            source=CHEN,
        )
        for start, name in (("small", "main"), ("wide", "wide"))
    ],
    *[
        Estimate(
            f"Estimate where wide starts end at state {state}, half the rank of whose Hessian "
            f"is {half:g}, for {{points}} data points",
            value=lambda arms, state=state: at_state(arms["ends"], state),
            source=CHEN,
            published=Published(
                PRINTED[state],
                CHEN,
                note="for 5,000 data points, with their noise; as a public reproduction quotes "
                "the table (ztreisman/arc-llc, RESULTS.md)",
                at="Table K.1",
            ),
        )
        for state, half in zip(STATES, (7.0, 8.5, 8.5), strict=True)
    ],
    *[
        Estimate(
            f"Estimates at these ends over half the rank of the Hessian{how}: mean",
            value=lambda arms, name=name: over_half(arms[name]),
            unit="ratio",
            source=LAU,
        )
        for how, name in (("", "ends"), (", chains held {tight} times as tight", "pulled"))
    ],
    Estimate(
        "Estimates there over what chains on parabolas of their curvatures give, step and "
        "localisation included: mean",
        value=lambda arms: ended(arms["ends"]).llc / ended(arms["ends"]).expected,
        unit="ratio",
        source=LAU,
    ),
)


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
