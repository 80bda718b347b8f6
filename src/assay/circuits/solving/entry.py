"""An entry of the catalogue made of a problem: its arms, what is measured of each, its claims and
its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from assay.circuits.solving import figures, scored, statements
from assay.circuits.solving.scored import ANOTHER, HALF_RIGHT, MOVED, OURS, RIVAL, explanations
from assay.circuits.solving.solver import Monthly, Solver
from assay.core.bench import Bench
from assay.core.claims import Claim, Estimate, Exact
from assay.core.experiment import Arm, Arms, Derive, Experiment
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.runs import Runs
from assay.core.sizes import Sizes
from assay.core.spec import grid, reserved, variant

SEEDS = 6
"""Models of a problem that are judged."""
MEASURED = 3
"""Counts what measuring has meant so far."""
OF_EXPLANATIONS = ("quality", "reached", "errors", "written")
"""Measures of explanations: all that an arm has in which another one stands, since claims about the
models are not about those."""
NOTES = {
    RIVAL: "main's models, with the plausible rival in the place of our explanation",
    HALF_RIGHT: (
        "main's models, with an explanation that is right about a part of the mechanism alone"
    ),
    ANOTHER: (
        "main's models, each with our explanation of another model, trained alike for it alone"
    ),
    MOVED: "main's models, with our explanation, its variables at other heads and MLPs",
    "shuffled": (
        "main's models; ours, with other parts in its roles and what it says said of other inputs"
    ),
    "empty": "main's models, with nothing said of them: 0 by construction, the floor",
    "whole": (
        "main's models, with the model itself as its explanation: at most one half by "
        "construction, since nothing is shorter"
    ),
}
LEARNED = {
    # What ours says of failures stands in it too, and was found in the same model.
    MOVED: ("model", "failures"),
    "shuffled": ("model",),
    "empty": ("model",),
}
"""What was learned where our explanation is not in its place: of the parts "model", "explanation",
which is whole, and "failures", what it says of them."""


def in_place(kind: str) -> Derive:
    """A derived arm: main's models, where another explanation stands in the place of ours."""

    def derive(arms: Arms) -> xr.Dataset:
        main = arms["main"]
        measures = _select(main, *OF_EXPLANATIONS, "wrong")
        for name in OF_EXPLANATIONS:
            # Claims read OURS; so a control is judged by their own code, with no word of it.
            measures[name].loc[{"explanation": OURS}] = main[name].sel(explanation=kind)
        return measures

    return derive


def _select(main: xr.Dataset, *names: str) -> xr.Dataset:
    """A copy of these measures alone, and of which runs diverged."""
    # Deep: what is put in the place of ours must not reach the main arm.
    return main[[*names, *(name for name in ("diverged",) if name in main)]].copy(deep=True)


def _gradient(arms: Arms) -> xr.Dataset:
    """A derived arm: main's models, and inputs that a gradient points to in the place of those that
    are said to fail."""
    measures = _select(arms["main"], "errors", "wrong")
    measures["errors"].loc[{"inputs": "failing"}] = arms["main"].errors.sel(inputs="gradient")
    return measures


def arms(monthly: Monthly) -> dict[str, Arm[Solver]]:
    """Give the arms: models, the same half as long and without anything to learn, and every other
    explanation in the place of ours."""
    which = explanations(monthly)
    # Explanations are dear, so each arm has those alone that claims ask of it.
    some = which, (OURS, HALF_RIGHT), ()
    whole, short, none = (scored.measuring(monthly, names) for names in some)
    ours_only = scored.measuring(monthly, (OURS,))
    main_arms: dict[str, Arm[Solver]] = {
        "main": Arm(
            monthly.train,
            specs=reserved("answers"),
            measure=whole,
            keep=True,
            note="decoders that are trained on the problem",
        ),
        "half": Arm(
            monthly.train,
            specs=variant(times={"steps": 0.5}),
            measure=short,
            note="half as long, with its own decay of the rate",
        ),
        "shuffled-answers": Arm(
            monthly.train,
            specs=variant(times={"steps": 0.5}, answers="shuffled"),
            measure=none,
            note=(
                "half as long, each input with another one's answers: what is there to learn "
                "without the problem"
            ),
            learned=(),
        ),
        "untrained": Arm(
            monthly.train,
            specs=variant(steps=0),
            measure=none,
            note="the same models before training",
            learned=(),
        ),
        "unlearned": Arm(
            _keep_models,
            after="untrained",
            measure=ours_only,
            note="our rule for an explanation, on models that were never trained",
            learned=(),
        ),
    }
    control_arms: dict[str, Arm[Solver]] = {
        kind: Arm(derive=in_place(kind), note=NOTES[kind], learned=LEARNED.get(kind))
        for kind in which
        if kind != OURS
    }
    return (
        main_arms
        | control_arms
        | {
            "gradient": Arm(
                derive=_gradient,
                note=(
                    "main's models; inputs that a gradient points to, in place of those that are "
                    "said to fail"
                ),
            ),
        }
    )


def _keep_models(runs: Runs[Solver], bench: Bench, before: Trained) -> Trained:
    """Keep models as they are."""
    return before


def entry(
    monthly: Monthly,
    *,
    smoke: Solver,
    default: Solver,
    full: Solver,
    seed: int,
    claims: Iterable[Claim | Exact | Estimate],
    scope: str,
    page: str,
    frozen: Mapping[str, str] | None = None,
    sizes: Mapping[str, Callable[[Sizes], Any]] | None = None,
) -> Experiment[Solver]:
    """Make the entry of a problem; judged are six seeds from this one on.

    What is `frozen`, and `sizes`, are those of an Experiment.
    """
    seeds = range(seed, seed + SEEDS)
    return Experiment(
        page=page.strip(),
        arms=arms(monthly),
        measure=scored.measuring(monthly, explanations(monthly)),
        claims=(*claims, *statements.findings(explanations(monthly))),
        figures=figures.draw_figures,
        scope=scope,
        seeds_per_group=3,
        smoke=grid(smoke, seed=range(1000, 1002)),
        default=grid(default, seed=seeds),
        full=grid(full, seed=seeds),
        measured=MEASURED,
        frozen=frozen or {},
        sizes=sizes or {},
    )
