"""Planted worlds for the monthly problems: what is measured of models in which a claim holds,
fails, or is made vacuous."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from planted_arms import planted_arms

from assay.core.claims import Claim
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.circuits.solving.scored import (
    ANOTHER,
    CONTROLS,
    EVERY_OTHER,
    HALF_RIGHT,
    MOVED,
    OURS,
    PARTS,
    RIVAL,
)

GOOD = {
    OURS: 0.8,
    RIVAL: 0.3,
    HALF_RIGHT: 0.35,
    ANOTHER: 0.2,
    MOVED: 0.15,
    "shuffled": 0.1,
    "empty": 0.0,
    "whole": 0.48,
}
WRONG = {"main": 0.002, "untrained": 0.9, "unlearned": 0.9}
"""How far from 1 the probability of the right answer is, and how far a cross-entropy lies above the
least."""


@dataclass(frozen=True)
class World:
    """What models and their explanations are like; what is not named is as usual."""

    experiment: Any
    good: dict = field(default_factory=dict)
    """Quality, and each of E1 to E4, by explanation."""
    wrong: dict = field(default_factory=dict)
    """What lacks, by arm."""
    unlearned: float = 0.05
    """Quality of what our rule finds in models that were never trained."""

    def arms(self) -> dict:
        """The measures of all arms: trained ones are planted, others derived of them as the
        experiment does."""
        return planted_arms(self.experiment, self.measures)

    def measures(self, arm: str, stream: int):
        """The measures of one trained arm."""
        runs, rng = (
            Runs(self.experiment.specs_of(arm, self.experiment.default)),
            np.random.default_rng(stream),
        )
        n = len(runs)

        def near(x, *shape: int) -> np.ndarray:
            return np.asarray(x) * (1 + rng.normal(0, 0.01, (n, *shape)))

        lacks = (WRONG | self.wrong)[arm]
        right = 1 - near(lacks, 12)
        named = {
            "right": ("run position", right, "share"),
            "chance": ("run position", right, "probability"),
            "known": ("run", 1 - near(lacks), "share"),
            "wrong": ("run", near(lacks), "share of inputs"),
            "nats": ("run", 1 + near(lacks), "nats"),
            "least": ("run", np.ones(n), "nats"),
        }
        coords: dict = {"position": tuple(range(12))}
        kinds = (
            OURS,
            *(kind for kind in (RIVAL, HALF_RIGHT, *CONTROLS) if kind in self.experiment.arms),
        )
        which = {"main": kinds, "unlearned": (OURS,)}.get(arm, ())
        if which:
            levels = (
                np.array([(GOOD | self.good)[kind] for kind in which])
                if arm != "unlearned"
                else np.array([self.unlearned])
            )
            missing = [
                [spec.seed % 2 == 1 and kind in EVERY_OTHER for kind in which]
                for spec in runs.specs
            ]
            scored = np.where(missing, np.nan, 1.0)
            coords |= {"explanation": which, "part": PARTS}
            named |= {
                "quality": ("run explanation", scored * near(levels, len(which)), "share"),
                "reached": (
                    "run explanation part",
                    scored[..., None] * near(levels[:, None], len(which), len(PARTS)),
                    "share",
                ),
                "failing": ("run", near(0.2), "share of inputs"),
                "written": ("run", near(50.0), "names and numbers"),
            }
        return measures(runs, coords=coords, **named)


def cases(experiment: Any) -> dict:
    """The two claims on the explanation of models, with the worlds in which it fails, and its
    controls pass."""

    def plant(**what: Any) -> World:
        return World(experiment, **what)

    passing = {kind: plant(good={kind: 0.8}) for kind in (RIVAL, HALF_RIGHT, *CONTROLS)}
    unlearned = {"unlearned": plant(unlearned=0.8)}
    controls = {c.text: c.must_fail for c in experiment.claims if isinstance(c, Claim)}
    of_kind = {
        "In at least half .* is faithful": lambda: (
            plant(good={OURS: 0.2}),
            passing | unlearned,
        ),
        "In at least half .* beats": lambda: (
            plant(good={OURS: 0.3}),
            {k: passing[k] for k in (RIVAL, ANOTHER, MOVED, "shuffled", "empty")},
        ),
    }
    found = {
        text: case()
        for text in controls
        for start, case in of_kind.items()
        if re.match(start, text)
    }
    return {
        text: (without, {arm: world for arm, world in worlds.items() if arm in controls[text]})
        for text, (without, worlds) in found.items()
    }
