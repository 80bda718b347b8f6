"""Gated SAEs on planted truth: what each part of the method is worth, one ablation at a time.

Group: dictionaries
Paper: Rajamanoharan et al. 2024, Improving Dictionary Learning with Gated Sparse Autoencoders,
sections 3.2, 5 and Figure 9
Claim: at L0 3, 5 and 8 Gated's FVU lies at least 0.01 below that of a ReLU dictionary 1.5 times
wider with rescale & shift
Baselines: wide and relu; rescaled, refit and relu-rescaled, repairs of them; again, no effect;
short and lagging, less training; shrunk, a planted bias; oracle
Cost: 780 s on 2 cores, 860 CPU-seconds, 1.1 GB a process
"""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.core import Arm, Arms, Experiment, SpecMap, changed, grid, variant
from assay.core.heavy import xr
from assay.core.sizes import Sizes
from assay_catalogue.experiments.gated_ablations.claims import CLAIMS, figures
from assay_catalogue.experiments.gated_ablations.method import (
    GatedAblations,
    measure,
    measure_closely,
    oracle,
    repair,
    shrink,
    train,
)


def at_penalties(
    *penalties: float, seeds: int | None = 6, wider: float = 1.0, length: float = 1.0, **fields: Any
) -> SpecMap[GatedAblations]:
    """The preset's first seeds with these penalties and fields; each `length` has a whole schedule
    of its own."""
    return variant(
        seeds=seeds, times={"steps": length, "width": wider}, over={"penalty": penalties}, **fields
    )


def trained(note: str, *penalties: float, **fields: Any) -> Arm:
    """An arm that is trained at these penalties with these fields."""
    return Arm(train, specs=at_penalties(*penalties, **fields), note=note)


def half_as_long(note: str, *penalties: float, seeds: int | None = 3, **fields: Any) -> Arm:
    """An arm that is trained so for half the steps."""
    return trained(note, *penalties, seeds=seeds, length=0.5, **fields)


def repaired(kind: str, source: str, note: str, after: str = "") -> Arm:
    """Another arm's dictionaries mended in one way, perhaps after they were mended in another."""
    specs = changed(repair=kind, of=source)
    return Arm(repair, after=after or source, specs=specs, note=note)


def shrunk(source: str, note: str) -> Arm:
    """Another arm's dictionaries with a bias of known size: measured again, not trained."""
    return Arm(shrink, after=source, specs=changed(shrink=BIAS, of=source), note=note)


def lightest(arms: Arms) -> xr.Dataset:
    """The arm `wide` at its smallest penalty only."""
    wide = arms["wide"]
    return wide.isel(run=wide.penalty.values == wide.penalty.values.min())


BIAS = 0.975
"""What features are multiplied by where a bias is planted: with what γ lacks already, γ then lies
between .02 and .04 from 1."""
RELU, GATED = (0.35, 0.5, 0.7, 1.2), (0.45, 0.55, 0.65, 0.8, 1.1)
CLEAN: dict[str, Any] = {"orthonormal": True, "features": 32, "width": 64}
ARMS = {
    "main": Arm(train, measure=measure_closely, keep=True, note="Gated"),
    "wide": trained(
        "ReLU + L1, 1.5 times wider: equal cost", *RELU, seeds=None, method="relu", wider=1.5
    ),
    "relu": trained("ReLU + L1, equal width", 0.35, 0.5, 0.7, method="relu"),
    "rescaled": repaired("rescale", "wide", "1.5 × ReLU, then rescale & shift"),
    "refit": repaired(
        "refit", "wide", "1.5 × ReLU, rescale & shift, decoder refit", after="rescaled"
    ),
    "relu-rescaled": repaired("rescale", "relu", "ReLU of equal width, then rescale & shift"),
    "again": trained(
        "Gated with another start and other inputs of the same worlds: no effect", 0.65, replicate=1
    ),
    "no-aux": Arm(
        train,
        specs=at_penalties(0.65, method="no-aux"),
        measure=measure_closely,
        note="Gated without the auxiliary loss",
    ),
    "unfrozen": trained("the auxiliary loss moves the decoder too", 0.5, method="unfrozen-aux"),
    "untied": trained("magnitudes from an encoder of their own", 0.65, method="untied"),
    "no-rmag": trained("the two paths differ by a bias alone", 0.65, method="no-rmag"),
    "no-heaviside": trained(
        "the gate's own ReLU, made longer, in place of the two paths",
        1.2,
        seeds=None,
        method="no-heaviside",
    ),
    "sigmoid": trained(
        "a sigmoid gate, itself penalised, no auxiliary loss", 0.4, method="sigmoid"
    ),
    "sigmoid-relu": trained(
        "a sigmoid gate, the ReLU of its input penalised", 0.65, method="sigmoid-relu"
    ),
    "short": trained(
        "Gated, trained a quarter as long: a difference that the comparison has to find",
        0.8,
        length=0.25,
    ),
    "lagging": trained(
        "Gated, not quite half as long: a smaller one, of less than twice the margin",
        0.8,
        length=0.45,
    ),
    "shrunk": shrunk(
        "main", "Gated, all features times {shrunk.shrink}: a bias that γ has to show"
    ),
    "rescaled-shrunk": shrunk("rescaled", "the repair of 1.5 × ReLU, made too small as much"),
    "no-heaviside-shrunk": shrunk("no-heaviside", "no Heaviside, and too small as much"),
    "lightest": Arm(derive=lightest, note="1.5 × ReLU at its smallest penalty only"),
    "oracle": Arm(
        oracle,
        specs=at_penalties(0.65, method="oracle"),
        note="true directions, true codes with {oracle.code_noise:%} noise",
    ),
    "orthonormal-relu": trained(
        "ReLU + L1 on orthonormal features", 0.3, 0.5, method="relu", **CLEAN
    ),
    "orthonormal-gated": trained("Gated on orthonormal features", 0.4, **CLEAN),
    "orthonormal-rescaled": repaired(
        "rescale",
        "orthonormal-relu",
        "there, ReLU with rescale & shift: shrinkage is all there is to mend",
    ),
    "narrow": trained(
        "Gated of half the width: half as many features as the truth", *GATED, wider=0.5
    ),
    "narrow-wide": trained(
        "ReLU + L1, 1.5 times wider than that", *RELU, method="relu", wider=0.75
    ),
    "narrow-rescaled": repaired("rescale", "narrow-wide", "the same, then rescale & shift"),
    "half": half_as_long("Gated, half as long", *GATED, seeds=None),
    "wide-half": half_as_long("1.5 × ReLU, half as long", *RELU, method="relu", wider=1.5),
    "wide-half-rescaled": repaired("rescale", "wide-half", "the same, mended"),
    "narrow-half": half_as_long("Gated of half the width, half as long", *GATED, wider=0.5),
    "narrow-wide-half": half_as_long(
        "its 1.5 × ReLU, half as long", *RELU, method="relu", wider=0.75
    ),
    "narrow-rescaled-half": repaired("rescale", "narrow-wide-half", "the same, mended"),
    "no-aux-half": half_as_long("no auxiliary loss, half as long", 0.65, method="no-aux"),
    "unfrozen-half": half_as_long("unfrozen, half as long", 0.5, method="unfrozen-aux"),
    "untied-half": half_as_long("untied, half as long", 0.65, method="untied"),
    "no-heaviside-half": half_as_long(
        "no Heaviside, half as long", 1.2, seeds=None, method="no-heaviside"
    ),
    "sigmoid-relu-half": half_as_long("the other, half as long", 0.65, method="sigmoid-relu"),
}
PAGE = """
**The debate.** A Gated SAE lets the L1 penalty see one bit per feature, on or off, and takes
magnitudes from a path it never sees. Its authors answer three suggestions: that repairing an L1
code afterwards is as good; that the auxiliary loss could go; that a smooth gate, or no gate at all
but a factor, would do as well. Here the truth is planted, so each can be tried alone.

**The world.** 128 random directions in 32 dimensions, drawn by each seed, each on with probability
.02 by an amount ~ Exp(1); and, as the control for what a repair can mend, 32 orthonormal ones,
where shrinkage is the only bias an L1 penalty can cause. Fresh inputs at every step.

**How it is judged.** At equal L0, never at equal λ. A unit is a seed: world, start and inputs.
Gated, the wide ReLU, its repairs, and Gated without the Heaviside have ten, the other arms the
first six of them. FVU, L0 and γ are of 50,000 held-out inputs of that world. Smooth gates are
trained smooth and read hard; what they are when read as trained stands beside.

**One margin.** A difference of FVU at equal L0 counts from 0.01 on, in every claim: what is less is
no change, what is more is a cost or a lead.

**Read this before you quote it.** One law of inputs, one size; the lead over a repaired ReLU is
judged at two widths, each part of Gated at one. All features have one law of magnitudes, so that
r_mag has little to do here. Directions can be right while codes are biased, and the reverse: the
share of true directions found is shown and never judged. """


def chance(sizes: Sizes, arm: str) -> str:
    """The largest |cosine| of a direction with as many random ones as an arm has latents, on
    average."""
    (width,), (d,) = sizes(arm, "width"), sizes(arm, "d")
    x = np.linspace(0, 1, 20_001)
    below = np.cumsum((1 - x**2) ** ((d - 3) / 2))  # the density of |cosine|, up to a factor
    return f"{np.trapezoid(1 - (below / below[-1]) ** width, x):.2f}".removeprefix("0")


experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    seeds_per_group=10,
    sizes={
        "truth": lambda sizes: round(sizes("main", "features")[0] * sizes("main", "density")[0], 1),
        "main-chance": lambda sizes: chance(sizes, "main"),
        "wide-chance": lambda sizes: chance(sizes, "wide"),
    },
    frozen=dict.fromkeys(
        ("d", "features", "density", "width"),
        'the claim on the gate that shuts, "at a penalty where the full loss has L0 5",',
    ),
    scope="{features} independent features of exponential magnitude in {d} dimensions, "
    "each on with probability {density}; no noise",
    smoke=grid(
        GatedAblations(steps=20, batch=32, test_rows=500, repair_rows=1000),
        penalty=GATED,
        seed=range(2),
    ),
    default=grid(GatedAblations(), penalty=GATED, seed=range(64_200, 64_210)),
)
