"""An entry of the catalogue made of a problem: its arms, what is measured of each, its claims and
its figures.

The figures of an entry: what each explanation reaches, and how sure models are of the right
answer at each position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from assay.core.bench import Bench
from assay.core.claims import Claim, Estimate, Exact, Published
from assay.core.experiment import Arm, Arms, Derive, Experiment
from assay.core.figures import Figure, figure
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.runs import Runs
from assay.core.spec import grid, reserved, variant
from assay_catalogue.circuits.solving import scored, statements
from assay_catalogue.circuits.solving.scored import (
    ANOTHER,
    HALF_RIGHT,
    MOVED,
    OURS,
    RIVAL,
    explanations,
)
from assay_catalogue.circuits.solving.solver import Monthly, Solver
from assay_catalogue.circuits.solving.statements import GOOD


def draw_figures(arms: Arms) -> list[Figure]:
    """Draw both, with t intervals over models."""
    main = arms["main"]
    rows = [
        (kind, name, values.sel(explanation=kind).values)
        for kind in map(str, main.explanation.values)
        for name, values in (
            ("quality", main.quality),
            ("least of E1 to E4", main.reached.isel(part=slice(4)).min("part")),
        )
    ]
    where = [p for p in main.position.values if not np.isnan(main.right.sel(position=p)).all()]
    right = [(int(p), main.right.sel(position=p).values) for p in where]
    return [
        figure(
            "What each explanation of the same models reaches",
            "bars",
            {"explanation": "x", "what": "color", "mean": "mean"},
            rows,
            y_title="share of 1",
            rules=((GOOD, "quality asked for"),),
        ),
        figure(
            "How often models are right, position by position",
            "points" if len(where) < 3 else "line",
            {"position": "x", "mean": "mean"},
            right,
            x_title="position",
            y_title="share of right answers",
        ),
    ]


CONTROLLED = 6
"""Models of which each control that trains for itself has its own."""
MEASURED = 5
"""Counts what measuring has meant so far."""
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
        "every other one of main's models; ours, with other parts in its roles and what it says "
        "said of other inputs"
    ),
    "empty": (
        "every other one of main's models, with nothing said of them: 0 by construction, the floor"
    ),
    "whole": (
        "every other one of main's models, with the model itself as its explanation: at most one "
        "half by construction, since nothing is shorter"
    ),
}
UNEXPLAINED = (MOVED, "shuffled", "empty")
"""What stands for our explanation there was not learned, though the model was."""


def in_place(kind: str) -> Derive:
    """A derived arm: main's models, where another explanation stands in the place of ours."""

    def derive(arms: Arms) -> xr.Dataset:
        main = arms["main"]
        names = ("quality", "reached")
        # Deep: what is put in the place of ours must not reach the main arm.
        measures = main[[*names, *(x for x in ("diverged",) if x in main)]].copy(deep=True)
        for name in names:
            # Claims read OURS; so a control is judged by their own code, with no word of it.
            measures[name].loc[{"explanation": OURS}] = main[name].sel(explanation=kind)
        return measures

    return derive


def arms(monthly: Monthly) -> dict[str, Arm[Solver]]:
    """Give the arms: models, some without anything to learn, and every other explanation in the
    place of ours."""
    which = explanations(monthly)
    # Explanations are dear, so each arm has those alone that claims ask of it.
    none = scored.measuring(monthly, ())
    trained_arms: dict[str, Arm[Solver]] = {
        "main": Arm(
            monthly.train,
            specs=reserved("answers"),
            keep=True,
            note="decoders that are trained on the problem",
        ),
        "untrained": Arm(
            monthly.train,
            specs=variant(seeds=CONTROLLED, steps=0),
            measure=none,
            note="the same models before training",
            learned=(),
        ),
        "unlearned": Arm(
            _keep_models,
            after="untrained",
            measure=scored.measuring(monthly, (OURS,)),
            note="our rule for an explanation, on models that were never trained",
            learned=(),
        ),
    }
    return trained_arms | {
        kind: Arm(
            derive=in_place(kind),
            note=NOTES[kind],
            learned=("model",) if kind in UNEXPLAINED else None,
        )
        for kind in which
        if kind != OURS
    }


def _keep_models(runs: Runs[Solver], bench: Bench, before: Trained) -> Trained:
    """Keep models as they are."""
    return before


def entry(
    monthly: Monthly,
    *,
    smoke: Solver,
    default: Solver,
    seed: int,
    models: int = 12,
    claims: Iterable[Claim | Exact | Estimate],
    scope: str,
    page: str,
    frozen: Mapping[str, str] | None = None,
    published: Published | None = None,
) -> Experiment[Solver]:
    """Make the entry of a problem; judged are so many models, of the seeds from this one on.

    What is `frozen` is that of an Experiment; `published` is how probable somebody found the right
    answer to be.
    """
    seeds = range(seed, seed + models)
    return Experiment(
        page=page.strip(),
        arms=arms(monthly),
        measure=scored.measuring(monthly, explanations(monthly)),
        claims=(*claims, *statements.findings(explanations(monthly), published or "new")),
        figures=draw_figures,
        scope=scope,
        seeds_per_group=CONTROLLED,
        smoke=grid(smoke, seed=range(1000, 1002)),
        default=grid(default, seed=seeds),
        measured=MEASURED,
        frozen=frozen or {},
    )
