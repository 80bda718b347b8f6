"""Streetlight: are features good for concepts that were named before looking, and for more than a
tuned regression is?

Group: dictionaries
Paper: Kantamneni et al. 2025, Are Sparse Autoencoders Useful? (arXiv 2502.16681); Smith et al.
2025, Negative Results for SAEs
Claim: the dictionary's probes add nothing worth having to a tuned quiver: over three regimes the
mean gain in AUROC is at most 0.015
Baselines: regression, principal components, means, neighbours, words; frozen decoder; random
dictionary or weights
Cost: 209 s on 2 cores, 330 CPU-seconds, 1.8 GB a process; full a guess of 60 GPU-hours, never run
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from assay.core import Arm, Arms, Derive, Experiment, grid, instead, rng, variant, varied
from assay.core.heavy import xr
from assay.core.measures import only
from assay.dictionaries.training import on_text
from assay.experiments.streetlight.claims import CLAIMS
from assay.experiments.streetlight.figures import figures
from assay.experiments.streetlight.method import Streetlight, measure, reuse_dictionaries, train
from assay.experiments.streetlight.probes import EQUAL

PLAIN = ("plain",)


def in_place(
    pairs: Mapping[str, str], beside: Sequence[str], of: tuple[int, int] = (1, 1)
) -> Derive:
    """The arm `main` with other methods' numbers where those of these methods stand, in so many of
    so many concepts, and the methods that they are compared with."""

    def derive(arms: Arms) -> xr.Dataset:
        data, auroc = only(arms["main"], "auroc"), arms["main"].auroc
        concept = xr.DataArray(np.arange(auroc.sizes["task"]) % of[1] < of[0], dims="task")
        for method, other in pairs.items():
            replacement = data.auroc.sel(probe=other, drop=True)
            auroc = auroc.where((auroc.probe != method) | ~concept, replacement)
        return data.assign(auroc=auroc).sel(probe=[*pairs, *beside])

    return derive


def by_test(tables: float) -> Derive:
    """The arm `main` where winners of the quiver with the dictionary are picked by the test, in
    this share of the tables, drawn by lot."""

    def derive(arms: Arms) -> xr.Dataset:
        data = only(arms["main"], "quiver")
        quiver, winners = data.quiver, data.quiver.sel(chosen="with, by test", drop=True)
        lot = rng.generator(0, "streetlight.leak").random(winners.shape) < tables
        picked = (quiver.chosen == "with") & xr.DataArray(lot, dims=winners.dims)
        return data.assign(quiver=quiver.where(~picked, winners).transpose(*quiver.dims))

    return derive


ARMS = {
    "main": Arm(train, note="a TopK dictionary of SmolLM2 for each seed, asked a lot of concepts"),
    "untrained": Arm(
        train,
        specs=variant(times={"steps": 0.5}, weights="random", layer=3, regimes=PLAIN),
        note="half as long, of a model with random weights, before its fourth block: deeper only "
        "mixes more",
        learned=("encoder", "decoder", "answers", "rules", "looked"),
    ),
    "half": varied(
        train, "half as many steps, with their own decay", seeds=6, times={"steps": 0.5}
    ),
    "frozen": Arm(
        train,
        specs=variant(frozen="decoder", regimes=PLAIN),
        note="its decoder stays as it was drawn, with the data's covariance",
        learned=("model", "encoder", "answers", "rules", "looked"),
    ),
    "planted": varied(
        reuse_dictionaries,
        "main's dictionaries, asked whether one of their own features is on",
        after="main",
        asks="planted",
    ),
    "random-again": Arm(
        derive=in_place(
            {"sae-1": "random-again-1", "sae-16": "random-again-16"}, ("random-1", "surface")
        ),
        note="a second random dictionary in the place of the trained one",
        learned=("model", "answers"),
    ),
    "rebuilt": Arm(
        derive=in_place({"sae-1": "recon"}, ("random-1", "logistic")),
        note="a regression on the reconstruction in the place of the best feature",
    ),
    "sixteen": Arm(
        derive=in_place({"recon": "sae-16"}, (EQUAL,), of=(6, 7)),
        note="sixteen features in the place of the reconstruction, in six of seven concepts",
    ),
    "oracle": Arm(
        derive=by_test(1.0),
        note="the quiver with the dictionary chosen by the test, the one without by validation",
    ),
    "leaky": Arm(
        derive=by_test(4 / 7),
        note="the same in four of seven tables, by lot; in the others validation chooses",
    ),
    "shuffled-look": Arm(
        derive=instead("main", found="found_shuffled"),
        note="rules of shuffled tokens in the place of found ones",
        learned=("model", "encoder", "decoder", "answers", "looked"),
    ),
    "random-look": Arm(
        derive=instead("main", found="found_random"),
        note="rules found for a random dictionary's features",
        # What is probed is the trained dictionary; what is looked at is not.
        learned=("model", "encoder", "decoder", "answers", "rules"),
    ),
}
SMALL = Streetlight(
    layer=2,
    windows=12,
    judged=8,
    looked=4,
    width=64,
    k=8,
    steps=20,
    sizes=(8, 4, 4),
    concepts=6,
    files=1,
    lots=2,
)
PAGE = """
**The question.** Finding *some* feature that can be read, when any would do, says little. Choosing in advance, and then finding a feature
for each, would say more; and being better than words and a tuned regression would say that features are useful. Here concepts are drawn by
lot from a frame that anybody can enumerate, before any model is read; every one of them counts, and losers are in every table.

**How it is judged.** A concept says yes or no to a token: does it lie in this place of Python's grammar, is this the next token, or a token of
this kind? Half of the passages have the property; every seed draws others, and test passages come from other files. A probe is tuned on
validation passages only. The quiver is what a careful person does: choose the method with the best validation AUROC, once without the
dictionary and once with it.

**Read this before you quote it.** The dictionaries are weak: 1,024 features, 64,000 tokens of source code, one layer of a 4-bit model of
135 M parameters. The papers use models and dictionaries a hundred times as large, and thousands of texts. What grammar and the next token
say is no sample of what matters in practice.
"""  # noqa: E501
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    inputs=on_text.inputs,
    cost=on_text.harvest_cost,
    seeds_per_group=1,
    scope="TopK dictionaries of {model_in_words} before block {layer}, trained on "
    "{text_in_words}; concepts drawn by lot from what grammar and the next token say: a method "
    "check, the published claims are not judged",
    smoke=grid(SMALL, seed=range(1)),
    default=grid(Streetlight(), seed=range(14_130, 14_137)),
    full=grid(
        Streetlight(
            width=16_384,
            windows=100_000,
            steps=50_000,
            batch=4096,
            lr=3e-4,
            sizes=(512, 128, 512),
            judged=4000,
        ),
        seed=range(14_130, 14_137),
    ),
)
