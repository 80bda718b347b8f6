"""Streetlight: are features good for concepts that were named before looking, and for more than a
tuned regression is?

Group: dictionaries
Paper: Kantamneni et al. 2025, Are Sparse Autoencoders Useful? (arXiv 2502.16681); Smith et al.
2025, Negative Results for SAEs
Claim: the dictionary's probes add nothing worth having to a tuned quiver: over all regimes the mean
gain in AUROC is at most 0.01
Baselines: regression, principal components, attention pooling, n-grams, the model asked in words;
frozen decoder; random dictionary or weights
Cost: 220 s on 2 cores, 390 CPU-seconds, 3.3 GB a process; full a guess of 60 GPU-hours, never run
"""

from __future__ import annotations

from collections.abc import Sequence

from assay.core import Arm, Arms, Derive, Experiment, changed, grid, variant
from assay.core.heavy import xr
from assay.data import concepts
from assay.experiments.streetlight.claims import CLAIMS
from assay.experiments.streetlight.figures import figures
from assay.experiments.streetlight.method import (
    Streetlight,
    cost,
    inputs,
    measure,
    reuse_dictionaries,
    train,
)
from assay.experiments.streetlight.probes import (
    BASELINES,
    EQUAL,
    MEANINGLESS,
    PERMUTED,
    REGIMES,
    SAE,
    SCARCE,
    STANDARD,
)


def select_measures(arms: Arms, names: Sequence[str], **levels: Sequence[str]) -> xr.Dataset:
    """What a derived arm takes over of `main`: these measures at these levels, so that it answers
    for nothing that it does not change."""
    data = arms["main"]
    return data[[*names, *(["diverged"] if "diverged" in data else [])]].sel(
        {name: list(values) for name, values in levels.items()}
    )


PROBED = ("validation", "auroc")


def in_place_of(
    method: str, other: str, rivals: Sequence[str], regimes: Sequence[str] = STANDARD
) -> Derive:
    """The arm `main` with another method's numbers where those of one method stand, and those it is
    compared with."""

    def derive(arms: Arms) -> xr.Dataset:
        data = select_measures(
            arms,
            PROBED,
            probe=(method, *rivals),
            regime=[r for r in regimes if r in arms["main"].regime],
        )
        replacement = select_measures(arms, PROBED, regime=data.regime.values).sel(
            probe=other, drop=True
        )
        return data.assign({n: data[n].where(data.probe != method, replacement[n]) for n in PROBED})

    return derive


def looks(measure: str, *rivals: str) -> Derive:
    """The arm `main` with another share of found rules, and those that it is compared with."""

    def derive(arms: Arms) -> xr.Dataset:
        data = select_measures(arms, (*PROBED, measure, *rivals), probe=("sae-1",), regime=STANDARD)
        return data.assign(found=data[measure].rename("found")).drop_vars(measure)

    return derive


def quivers(arms: Arms) -> xr.Dataset:
    """What both quivers of the arm `main` choose from."""
    return select_measures(
        arms,
        PROBED,
        probe=(*BASELINES, *SAE),
        regime=[r for r in REGIMES if r in arms["main"].regime],
    )


def oracle(arms: Arms) -> xr.Dataset:
    """The arm `main` where the quiver with a dictionary is chosen by test AUROC, and the one
    without as always: how dictionaries win."""
    data = quivers(arms)
    slot = data.probe == "sae-64"  # which no claim reads by itself
    return data.assign(
        auroc=data.auroc.where(~slot, data.auroc.max("probe")),
        validation=data.validation.where(~slot, 2.0),
    )


def both_oracles(arms: Arms) -> xr.Dataset:
    """The arm `main` where both quivers are chosen by test AUROC."""
    data = quivers(arms)
    return data.assign(validation=data.auroc.rename("validation"))


def permuted(arms: Arms) -> xr.Dataset:
    """The arm `main` where answers meant nothing while probes were trained and tuned."""
    data = select_measures(
        arms, (*PROBED, "asked"), probe=("logistic", *MEANINGLESS), regime=(PERMUTED,)
    )
    return data.assign_coords(regime=list(STANDARD))


ARMS = {
    "main": Arm(train, note="a TopK dictionary of SmolLM2 for each seed, asked the frozen list"),
    "untrained": Arm(
        train,
        specs=variant(
            seeds=6,
            times={"steps": 0.5, "windows": 0.5},
            weights="random",
            layer=3,
            regimes=STANDARD,
        ),
        note=(
            "half as long, on half as much text, of a model with random weights, before its "
            "fourth block: deeper only mixes more"
        ),
        learned=("encoder", "decoder", "answers", "rules", "looked"),
    ),
    "half": Arm(
        train,
        specs=variant(seeds=6, times={"steps": 0.5}, regimes=STANDARD),
        note="half as many steps, with their own decay",
    ),
    "frozen": Arm(
        train,
        specs=changed(frozen="decoder", regimes=STANDARD),
        note="its decoder stays as it was drawn, with the data's covariance",
        learned=("model", "encoder", "answers", "rules", "looked"),
    ),
    "planted": Arm(
        reuse_dictionaries,
        after="main",
        specs=changed(asks="planted", regimes=REGIMES),
        note="main's dictionaries, asked whether one of their own features is on",
    ),
    "permuted": Arm(
        derive=permuted,
        note="answers permuted for training and tuning, the mean of two draws",
        learned=("model", "encoder", "decoder"),
    ),
    "random-again": Arm(
        derive=in_place_of("sae-1", "random-again-1", ("random-1",)),
        note="a second random dictionary in the place of the trained one",
        learned=("model", "answers"),
    ),
    "one-feature": Arm(
        derive=in_place_of("recon", "sae-1", (EQUAL,)),
        note="the best single feature in the place of the reconstruction",
    ),
    "tuned": Arm(
        derive=in_place_of("untuned", "logistic", SAE, SCARCE),
        note="the tuned regression in the place of the untuned one",
    ),
    "oracle": Arm(
        derive=oracle,
        note="the quiver with the dictionary chosen by the test, the one without by validation",
    ),
    "both-oracles": Arm(derive=both_oracles, note="both quivers chosen by the test"),
    "shuffled-look": Arm(
        derive=looks("found_shuffled", "found_random"),
        note="rules of shuffled tokens in the place of found ones",
        learned=("model", "encoder", "decoder", "answers", "looked"),
    ),
    "random-look": Arm(
        derive=looks("found_random"),
        note="rules found for a random dictionary's features",
        # What is probed is the trained dictionary; what is looked at is not.
        learned=("model", "encoder", "decoder", "answers", "rules"),
    ),
}
SMALL = Streetlight(
    layer=2,
    windows=12,
    looked=4,
    width=64,
    k=8,
    steps=20,
    sizes=(8, 4, 4, 2),
    worded=(0, 2, 2, 0),
    lots=4,
)
PAGE = f"""
**The question.** Finding *some* feature that can be read, when any would do, says little. Choosing in advance from things that matter, and
then finding a feature for each, would say more; and being better than a tuned regression would say that features are useful. Here twenty-four
concepts are fixed before anything is looked at (list {concepts.fingerprint()[:12]}), every one of them is in every table, and losers are listed.

**How it is judged.** Half of the texts of each concept have the property; both halves have the same lengths in characters and tokens, and
test texts use other words. *Shifted* texts come from other templates. A probe is tuned on validation texts only: penalty, number of
components, and whether it reads the last token or the mean. The quiver is what a careful person does: choose the method with the best
validation AUROC, once without the dictionary and once with it.

**Read this before you quote it.** The dictionaries are weak: 1,024 features, 64,000 tokens of source code, one layer of a 4-bit model of
135 M parameters. The papers use models and dictionaries a hundred times as large, real data sets and thousands of texts. Concepts
made from templates are no sample of what matters. A concept whose words alone give it away is marked as one of surface, and a second
analysis leaves it out.
"""  # noqa: E501
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    inputs=inputs,
    cost=cost,
    seeds_per_group=1,
    scope="TopK dictionaries of {model_in_words} before block {layer}, trained on "
    "{text_in_words}; 24 concepts of short texts made from templates: a method check, "
    "the published claims are not judged",
    smoke=grid(SMALL, seed=range(1)),
    default=grid(Streetlight(), seed=range(14_030, 14_038)),
    full=grid(
        Streetlight(
            width=16_384,
            windows=100_000,
            steps=50_000,
            batch=4096,
            lr=3e-4,
            sizes=(512, 128, 512, 512),
            worded=(0, 128, 512, 0),
        ),
        seed=range(14_030, 14_038),
    ),
)
