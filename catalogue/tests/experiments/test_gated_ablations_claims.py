"""Every claim of gated-ablations can hold, can fail, and can be made unspecific by each of its
controls; its measures are what they say.

The numbers of the first part are planted, not trained: each arm gets an L0, an FVU and a γ per
penalty, and a soft FVU and share of latents, from which the sums follow by arithmetic (with v1 = (1
− FVU)/(2 − γ): dot = v1 · variance, norm = γ · dot, error = variance − 2 dot + norm). Seeds have
unequal luck, which a repaired dictionary shares with the one it was made from.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

import functools
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from named_claims import claim_of

from assay.core import Claim, Runs, judge
from assay.core.errors import SpecError
from assay.core.measures import measures
from assay.lab.judge.result import with_derived
from assay.lab.plan.preset import override
from assay_catalogue.experiments.gated_ablations import BIAS, GATED, RELU, experiment
from assay_catalogue.experiments.gated_ablations.method import UNITS

ROWS = 20_000


def along(penalties, *points):
    return dict(zip(penalties, points, strict=True))


# arm → penalty → (L0, FVU, γ): what the pilot saw, to three digits
LEVELS = {
    "main": along(
        GATED,
        (9.70, 0.048, 0.999),
        (6.66, 0.083, 0.999),
        (4.66, 0.114, 0.999),
        (2.80, 0.156, 0.997),
        (1.56, 0.203, 0.996),
    ),
    "wide": along(
        RELU,
        (10.67, 0.113, 0.902),
        (5.10, 0.169, 0.890),
        (2.73, 0.215, 0.867),
        (1.50, 0.281, 0.800),
    ),
    "relu": along(RELU[:3], (9.07, 0.118, 0.901), (4.22, 0.177, 0.893), (2.39, 0.222, 0.872)),
    "rescaled": along(
        RELU, (10.67, 0.071, 1.001), (5.1, 0.125, 1.003), (2.73, 0.167, 1.005), (1.50, 0.206, 1.007)
    ),
    "refit": along(
        RELU,
        (10.67, 0.063, 1.003),
        (5.10, 0.117, 1.008),
        (2.73, 0.164, 1.013),
        (1.50, 0.204, 1.017),
    ),
    "relu-rescaled": along(
        RELU[:3], (9.07, 0.079, 1.0), (4.22, 0.137, 1.003), (2.39, 0.175, 1.006)
    ),
    "again": {0.65: (4.67, 0.1135, 0.997)},
    "no-aux": {0.65: (0.011, 0.932, 0.961)},
    "unfrozen": {0.5: (5.14, 0.1132, 0.998)},
    "untied": {0.65: (4.85, 0.1105, 1.004)},
    "no-rmag": {0.65: (5.48, 0.1023, 1.016)},
    "no-heaviside": {1.2: (5.21, 0.148, 0.997)},
    "sigmoid": {0.4: (0.19, 1.90, 4.36)},
    "sigmoid-relu": {0.65: (0.055, 0.978, 1.71)},
    "short": {0.8: (6.50, 0.120, 0.997)},
    "lagging": {0.8: (5.32, 0.118, 0.999)},
    "oracle": {0.65: (2.56, 0.0025, 1.0025)},
    "orthonormal-relu": {0.3: (0.551, 0.0107, 0.929), 0.5: (0.498, 0.0276, 0.888)},
    "orthonormal-gated": {0.4: (0.521, 0.0013, 1.0)},
    "orthonormal-rescaled": {0.3: (0.551, 0.0008, 0.999), 0.5: (0.498, 0.0029, 0.998)},
    "half": along(
        GATED,
        (11.92, 0.048, 0.999),
        (8.89, 0.071, 0.999),
        (6.87, 0.092, 0.998),
        (4.78, 0.122, 0.997),
        (2.83, 0.166, 0.995),
    ),
    "wide-half": along(
        RELU, (15.5, 0.101, 0.882), (9.16, 0.148, 0.857), (5.53, 0.197, 0.825), (2.81, 0.276, 0.740)
    ),
    "wide-half-rescaled": along(
        RELU, (15.5, 0.052, 0.999), (9.16, 0.087, 1.0), (5.53, 0.126, 1.002), (2.81, 0.178, 1.004)
    ),
    "no-aux-half": {0.65: (0.071, 0.752, 0.954)},
    "unfrozen-half": {0.5: (8.49, 0.0787, 0.998)},
    "untied-half": {0.65: (6.85, 0.0918, 0.999)},
    "no-heaviside-half": {1.2: (6.64, 0.132, 0.994)},
    "sigmoid-relu-half": {0.65: (0.086, 0.951, 1.55)},
}
for of, ends in {
    "narrow": ("main", "half"),
    "narrow-wide": ("wide", "wide-half"),
    "narrow-rescaled": ("rescaled", "wide-half-rescaled"),
}.items():
    for arm, like in zip(
        (of, f"{of}-half"), ends, strict=True
    ):  # at half the width Gated leads by more, in this world
        LEVELS[arm] = {
            p: (l0, fvu * (0.8 if of == "narrow" else 1.0), gamma)
            for p, (l0, fvu, gamma) in LEVELS[like].items()
        }
SHRUNK = {"shrunk": "main", "rescaled-shrunk": "rescaled", "no-heaviside-shrunk": "no-heaviside"}
SOFT = {"sigmoid": (0.045, 0.3), "sigmoid-relu": (0.003, 0.95), "sigmoid-relu-half": (0.005, 0.93)}
"""FVU with the gate as trained, and the share of latents that are on then; elsewhere the same as
with a hard gate."""


@dataclass(frozen=True)
class World:
    """Planted truth: levels per arm and penalty, and what smooth gates are as trained."""

    levels: dict = field(default_factory=lambda: LEVELS)
    soft: dict = field(default_factory=lambda: SOFT)

    def but(self, soft=None, **changes) -> "World":
        """The same world with the FVU, γ or L0 of some arms replaced: by one number, by one per
        penalty, or by a function of it."""
        levels = {arm: dict(points) for arm, points in self.levels.items()}
        for name, changed in changes.items():
            for arm, new in changed.items():
                for penalty in levels[arm]:
                    point = list(levels[arm][penalty])
                    at = ("l0", "fvu", "gamma").index(name)
                    value = (
                        new(point[at])
                        if callable(new)
                        else new.get(penalty, point[at])
                        if isinstance(new, dict)
                        else new
                    )
                    point[at] = value
                    levels[arm][penalty] = tuple(point)
        return replace(self, levels=levels, soft={**self.soft, **(soft or {})})

    def arms(self) -> dict:
        """The measures that runs of the default preset would have."""
        trained = [name for name, arm in experiment.arms.items() if arm.train is not None]
        levels = self.levels | {name: shrunk(self.levels[of]) for name, of in SHRUNK.items()}
        return with_derived(
            experiment,
            {
                name: planted(name, tuple(levels[name].items()), self.soft.get(name))
                for name in trained
            },
        )


def shrunk(points):
    """The same levels where all features are multiplied by `BIAS`: with x̂ → k x̂ the product x·x̂
    grows k-fold and ‖x̂‖² k²-fold."""
    dots = {p: (1 - fvu) / (2 - gamma) for p, (_, fvu, gamma) in points.items()}
    return {
        p: (l0, 1 - (2 - BIAS * gamma) * BIAS * dots[p], BIAS * gamma)
        for p, (l0, _, gamma) in points.items()
    }


@functools.cache  # most arms are the same in most worlds
def planted(arm: str, points: tuple, soft: tuple | None):
    """The measures of one arm of the default preset with these levels."""
    root = arm
    while experiment.arms[root].after:
        root = experiment.arms[root].after
    luck = np.random.default_rng(100 + list(experiment.arms).index(root)).normal(0, 0.003, (3, 10))
    runs = Runs(experiment.specs_of(arm, experiment.default))
    seed = runs.seeds - runs.seeds.min()
    levels = dict(points)
    l0, fvu, gamma = np.array([levels[s.penalty] for s in runs.specs]).T
    hard = np.exp(np.random.default_rng(0).normal(0, 0.02, 10))[seed]  # of the world, for every arm
    own = np.random.default_rng(200 + list(experiment.arms).index(root)).normal(
        0, 0.0005, len(runs)
    )  # of a single run
    fvu = fvu * hard * np.exp(luck[0][seed])
    gamma = gamma + 0.3 * luck[1][seed] + own
    l0 = l0 * np.exp(luck[2][seed])
    variance = np.full(len(runs), 5.0 * ROWS)
    dot = (1 - fvu) / (2 - gamma) * variance
    sums = {
        "tokens": np.full(len(runs), ROWS),
        "active": l0 * ROWS,
        "variance": variance,
        "dot": dot,
        "norm": gamma * dot,
    }
    sums |= {"error": variance - 2 * dot + gamma * dot, "dot_raw": dot, "norm_raw": gamma * dot}
    soft_fvu, share = soft or (None, None)
    sums["soft_error"] = sums["error"] if soft_fvu is None else soft_fvu * hard * variance
    sums["soft_active"] = (
        sums["active"] if share is None else share * hard * runs.shared.width * ROWS
    )
    named = {name: ("run document", sums[name][:, None], unit) for name, unit in UNITS.items()}
    return measures(
        runs, coords={"document": ["test"]}, mcc=("run", 0.8 + 0 * l0, "cosine"), **named
    )


WORLD = World()


def on_the_curve_of(other, *arms):
    """FVU of these arms moved onto another arm's sweep, by straight lines in log–log."""
    points = sorted(LEVELS[other].values())
    x, y = np.log([p[0] for p in points]), np.log([p[1] for p in points])
    return {
        a: {k: float(np.exp(np.interp(np.log(p[0]), x, y))) for k, p in LEVELS[a].items()}
        for a in arms
    }


SHUT = WORLD.but(l0={"main": 0.3})
BRIGHT = WORLD.but(gamma={"wide": 0.995})
UNMENDED = WORLD.but(
    fvu=on_the_curve_of("wide", "rescaled", "refit", "relu-rescaled", "narrow-rescaled")
)
MENDED = ("rescaled", "refit", "relu-rescaled", "narrow-rescaled", "wide-half-rescaled")
WORSE = WORLD.but(fvu={arm: lambda v: v + 0.02 for arm in MENDED})
"""Repairs mend less than in the pilot, where Gated's lead over them is as large as the margin."""
DEAREST = WORLD.but(fvu={"no-heaviside": 0.25, "no-heaviside-half": 0.22, "short": 0.25})
"""A Heaviside and a planted effect that are worth much more than in the pilot, so that another part
can be dear as well."""
SHRUNKEN = along(GATED, 0.999, 0.98, 0.95, 0.92, 0.9)
# claim → ([a world where it holds,] the world without the effect, {control: a world in which it
# passes too})
CASES = {
    "Gated is unbiased": (
        WORLD.but(gamma={"main": 0.95, "half": 0.95}),
        {"lightest": BRIGHT, "wide": BRIGHT},
    ),
    "ReLU + L1 shrinks more": (
        WORLD.but(gamma={"wide": 0.88, "wide-half": 0.88}),
        {
            "rescaled": WORLD.but(
                gamma={"rescaled": dict(zip(RELU, SHRUNKEN.values(), strict=False))}
            ),
            "main": WORLD.but(gamma={"main": SHRUNKEN}),
        },
    ),
    "On orthonormal features ReLU's γ is": (
        WORLD.but(gamma={"orthonormal-relu": 0.95}),
        {
            "relu": WORLD.but(gamma={"relu": {p: 2 / (2 + p / 2) for p in RELU}}),
            "orthonormal-gated": WORLD.but(gamma={"orthonormal-gated": 2 / 2.2}),
        },
    ),
    "Gated leads plain ReLU": (
        UNMENDED,
        UNMENDED.but(fvu=on_the_curve_of("wide", "main") | on_the_curve_of("wide-half", "half")),
        {"rescaled": WORLD, "relu": WORLD.but(fvu={"relu": lambda v: v - 0.06})},
    ),
    "Gated leads repaired ReLU": (
        WORSE,
        WORLD.but(
            fvu=on_the_curve_of("rescaled", "main") | on_the_curve_of("wide-half-rescaled", "half")
        ),
        {
            "refit": WORSE.but(fvu={"refit": lambda v: v - 0.04}),
            "relu-rescaled": WORSE.but(fvu={"relu-rescaled": lambda v: v - 0.05}),
        },
    ),
    "At half the width": (
        WORLD.but(
            fvu=on_the_curve_of("narrow-rescaled", "narrow")
            | on_the_curve_of("narrow-rescaled-half", "narrow-half")
        ),
        {
            "relu-rescaled": WORLD.but(fvu={"relu-rescaled": lambda v: v - 0.03}),
            "narrow-wide": WORLD.but(fvu={"narrow-wide": lambda v: v / 2}),
        },
    ),
    "Without the auxiliary loss the gate": (
        WORLD.but(l0={"no-aux": 4.7, "no-aux-half": 5.0}),
        {"wide": WORLD.but(l0={"wide": 0.3}), "main": SHUT},
    ),
    "Rescale & shift repairs": (
        WORLD.but(gamma={"rescaled": 0.95, "wide-half-rescaled": 0.95}),
        {"lightest": BRIGHT, "wide": BRIGHT},
    ),
    "An encoder of its own": (
        WORLD.but(fvu={"untied": lambda v: v + 0.03, "untied-half": lambda v: v + 0.03}),
        {name: WORLD.but(fvu=on_the_curve_of("main", name)) for name in ("short", "no-heaviside")},
    ),
    "Without the Heaviside the code": (
        WORLD.but(gamma={"no-heaviside": 0.95, "no-heaviside-half": 0.95}),
        {"lightest": BRIGHT, "wide": BRIGHT},
    ),
    "The Heaviside earns": (
        WORLD.but(
            fvu=on_the_curve_of("main", "no-heaviside")
            | on_the_curve_of("half", "no-heaviside-half")
        ),
        {
            name: DEAREST.but(fvu={name: lambda v: v + 0.04})
            for name in ("unfrozen", "no-rmag", "untied", "again")
        },
    ),
    "A sigmoid gate evades the L1 of its input: read hard": (
        WORLD.but(l0={"sigmoid-relu": 5.0, "sigmoid-relu-half": 6.0}),
        {"wide": WORLD.but(l0={"wide": 0.3}), "main": SHUT},
    ),
    "A sigmoid gate evades the L1 of its input: as trained": (
        WORLD.but(soft={"sigmoid-relu": (0.003, 0.2), "sigmoid-relu-half": (0.003, 0.2)}),
        {
            "sigmoid": WORLD.but(soft={"sigmoid": (0.045, 0.9)}),
            "main": WORLD.but(soft={"main": (0.05, 0.9)}),
        },
    ),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]


@pytest.mark.parametrize(
    ("start", "moved"),
    [
        ("Gated is unbiased", {"gamma": {"half": 0.96}}),
        ("ReLU + L1 shrinks more", {"gamma": {"wide-half": along(RELU, 0.99, 0.9, 0.85, 0.72)}}),
        (
            "Gated leads plain ReLU",
            {"fvu": {"wide-half": lambda v: v + 0.1}},
        ),
        (
            "Gated leads repaired ReLU",
            {"fvu": {"wide-half-rescaled": lambda v: v + 0.1}},
        ),
        ("At half the width", {"fvu": {"narrow-rescaled-half": lambda v: v + 0.1}}),
        ("Without the auxiliary loss the gate", {"l0": {"no-aux": 0.4, "no-aux-half": 0.1}}),
        ("Rescale & shift repairs", {"gamma": {"wide-half-rescaled": 0.96}}),
        ("An encoder of its own", {"fvu": {"untied-half": lambda v: v + 0.03}}),
        ("Without the Heaviside the code", {"gamma": {"no-heaviside-half": 0.96}}),
        ("The Heaviside earns", {"fvu": {"no-heaviside-half": lambda v: v + 0.08}}),
        (
            "A sigmoid gate evades the L1 of its input: read hard",
            {"l0": {"sigmoid-relu": 0.4, "sigmoid-relu-half": 0.1}},
        ),
        (
            "A sigmoid gate evades the L1 of its input: as trained",
            {"soft": {"sigmoid-relu": (0.003, 0.7), "sigmoid-relu-half": (0.003, 0.95)}},
        ),
    ],
)
def test_numbers_that_still_move_decide_nothing(start, moved):
    """Half the training gives another value; moved by that change the outcome would not stand."""
    world = CASES[start][0] if len(CASES[start]) == 3 else WORLD
    verdict = judge(claim_of(experiment, start), world.but(**moved).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


def test_every_claim_has_a_convergence_gate_but_the_one_that_is_held_to_the_optimum():
    assert [claim.of for claim in CLAIMS if claim.of not in claim.half] == ["orthonormal-relu"]


@pytest.mark.parametrize("text", ["width=64", "d=16", "density=0.04", "features=64"])
def test_a_field_that_changes_what_is_on_is_refused_since_a_claim_names_that(text):
    with pytest.raises(SpecError, match="the full loss has L0 5"):
        override(experiment, "default", [text])
