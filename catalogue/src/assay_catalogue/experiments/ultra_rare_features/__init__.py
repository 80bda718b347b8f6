"""Ultra-rare features: are they on their way to dying, and what moves them when they fire?

Group: dictionaries
Paper: Bricken et al. 2023, Towards Monosemanticity, the ultralow density cluster; nostalgebraist
2023, comment on a replication of it
Claim: latents that are rare and left alone grow rarer, by at least 0.9 decades for each decade of
training
Baselines: uncommon, ordinary and useful latents; no-l1; about-mean; dead-weight; pair, a planted
conspiracy
Cost: 320 s on 2 cores, 570 CPU-seconds, 1.9 GB a process
"""

from __future__ import annotations

import math

from assay.core import Arm, Arms, Derive, Elsewhere, Experiment, grid, varied
from assay.core.heavy import xr
from assay.core.sizes import Sizes
from assay_catalogue.dictionaries import on_text
from assay_catalogue.experiments.ultra_rare_features.claims import CLAIMS, figures
from assay_catalogue.experiments.ultra_rare_features.method import (
    TOGETHER,
    UltraRare,
    measure,
    train,
)


def with_other_kinds(source: str = "main", **places: str) -> Derive:
    """A derived arm: another arm's measures with other kinds of latents in the places of these."""

    def derive(arms: Arms) -> xr.Dataset:
        dataset = arms[source].copy(deep=True)
        for name, values in arms[source].data_vars.items():
            for place, kind in places.items() if "kind" in values.dims else ():
                dataset[name].loc[{"kind": place}] = values.sel(kind=kind)
        return dataset.drop_vars("rare_share")  # the dictionary is the same, and so is its share

    return derive


def at_half(arms: Arms) -> xr.Dataset:
    """A derived arm: what a training of half the length would have had. The rate is constant, so
    that is main's half-way point."""
    dataset = arms["main"][["cosine"]].copy(deep=True)
    dataset.cosine.loc[{"moment": "end"}] = dataset.cosine.sel(moment="half")
    return dataset


def on_model(main: tuple[UltraRare, ...]) -> tuple[UltraRare, ...]:
    """The preset's seeds, and half as many more, on a language model's activations, for two
    fifteenths of its steps."""
    s, seeds = main[0], sorted({spec.seed for spec in main})
    steps = max(48, s.steps * 2 // 15)
    base = s.replace(
        subject="smollm2",
        d=576,
        useful=0,
        centred=True,
        rows=min(s.rows, 50_000),
        steps=steps,
        lr=min(s.lr, 1e-3),
        silent=steps // 20,
        ramp=steps // 16,
    )
    return grid(
        base, penalty=(7.2,), seed=(*seeds, *range(seeds[-1] + 1, seeds[-1] + 1 + len(seeds) // 2))
    )


UNCOMMON = {"rare": "uncommon", "uncommon": "ordinary"}
ORDINARY = {"rare": "ordinary", "ordinary": "ordinary-2", "uncommon": "ordinary-2"}
ARMS = {
    "main": Arm(
        TOGETHER,
        note="planted inputs about 0, λ = {main.penalty}{near}; its rare latents are those judged",
    ),
    "no-l1": varied(TOGETHER, "no penalty: reconstruction alone", penalty=0.0),
    "about-mean": varied(
        train,
        "the same inputs about a mean of length {about-mean.mean}, which is not subtracted",
        centred=False,
    ),
    "real": Arm(train, specs=on_model, note="SmolLM2's activations, centred and scaled, λ = 7.2"),
    "uncommon": Arm(
        derive=with_other_kinds(**UNCOMMON),
        note="main's uncommon latents, between {main.rare:.} and {main.ordinary:.}, taken for the "
        "rare, ordinary ones for them",
    ),
    "ordinary": Arm(
        derive=with_other_kinds(**ORDINARY),
        note="main's ordinary latents taken for the rare, half against half",
    ),
    "useful": Arm(
        derive=with_other_kinds(rare="useful"),
        note="main's planted latents, each of which encodes a rare truth, taken for the rare",
    ),
    "dead-weight": Arm(
        derive=with_other_kinds(rare="dead-weight"),
        note="32 random latents added to main's dictionaries, of density 3e-4",
        learned=(),
    ),
    "pair": Arm(
        derive=with_other_kinds(rare="pair"),
        note="a conspiracy by construction: each useful latent split into two halves",
    ),
    "real-uncommon": Arm(
        derive=with_other_kinds("real", **UNCOMMON),
        note="uncommon latents of the dictionaries of SmolLM2",
    ),
    "real-ordinary": Arm(
        derive=with_other_kinds("real", **ORDINARY),
        note="ordinary latents of the dictionaries of SmolLM2",
    ),
    "half": Arm(
        derive=at_half,
        note="main at half its length (the rate is constant, so that is the half-way point)",
    ),
}
DEFAULT = UltraRare(penalty=0.4, centred=True, steps=6_000, lr=2e-3, windows=400, test_windows=200)
SMALL = UltraRare(
    penalty=0.4,
    centred=True,
    width=64,
    d=8,
    truth=16,
    useful=2,
    steps=120,
    batch=64,
    rows=8192,
    rare=0.2,
    ordinary=0.4,
    windows=8,
    test_windows=8,
)
PAGE = """
**The hypothesis.** Sparse autoencoders trained with an L1 penalty have a second, ultra-rare cluster
of latents. Are these dying and not yet dead, so that the density we see is an artefact of when we
look? Then latents that are never resampled should get rarer without an end; when one fires, the
penalty should rule its encoder's gradient and nothing hold it up; and its encoder and decoder rows
should be unrelated. Or do they conspire, saving together what none saves alone?

**How it is judged.** At a quarter of training the latents below 1e-3 are chosen among a random half
that is never resampled; what is told of their densities comes after. Planted inputs are 64 sparse
features in 32 dimensions, about 0, where the density of a latent has a formula and nothing is
guessed from counts. The same is followed on dictionaries of SmolLM2's activations, where latents
are chosen on one text and counted on another. Encoder and decoder start independently. A statistic
is the median over the latents of a dictionary; a unit is a seed, on planted inputs with a world of
its own. Every claim is held against latents that are not ultra-rare: the uncommon (.001 to .01),
the ordinary, and planted ones that are as rare and of use. Two kinds are compared within one
dictionary.

**Read this before you quote it.** 256 latents on planted inputs and on a model, and 800 steps
there: the youngest of trainings. "Rare at a quarter of training" matters: nothing is said of
latents that are rare before that, when rare truths are still unlearned. Slopes on the model end at
half a firing in 25,400 rows, so falls are at least as steep as told. All its dictionaries are
counted on one test text, which is not resampled. """


def near(sizes: Sizes) -> str:
    """Say that L0 is near the planted inputs' own, at the fields for which the penalty was chosen
    so; nothing at others."""
    if any(
        sizes("main", name) != (getattr(DEFAULT, name),)
        for name in ("penalty", "width", "d", "truth", "rarest", "commonest", "steps")
    ):
        return ""
    mean = (DEFAULT.commonest - DEFAULT.rarest) / math.log(
        DEFAULT.commonest / DEFAULT.rarest
    )  # densities are log-uniform
    return f", where L0 is near the truth's {DEFAULT.truth * mean:.1f}"


SCOPE = "{inputs_in_words}, {width} latents"
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    inputs=on_text.inputs,
    cost=on_text.harvest_cost,
    seeds_per_group=6,
    version=2,  # twice the rate for half the steps; 256 latents on the model too
    measured=3,  # from a quarter on; the median density's own slope
    sizes={"near": near},
    scope=SCOPE,
    smoke=grid(SMALL, seed=range(2)),
    default=grid(DEFAULT, seed=range(63480, 63492)),
    elsewhere={"long": Elsewhere(grid(DEFAULT, seed=range(48_000, 48_048)), SCOPE)},
)
