"""Utility: are a dictionary's features useful for what matters, beyond what well-tuned baselines
can do?

Group: dictionaries
Paper: Kantamneni et al. 2025, Are Sparse Autoencoders Useful? (arXiv 2502.16681); Smith et al.
2025, Negative Results for SAEs
Claim: features tell a wrong docstring: on other libraries their best probe's AUROC lies at least
0.03 above that of the best tuned baseline
Baselines: regression, difference of means, sparse coordinates, words, a fine-tuned block, asking;
frozen decoder; random directions or weights; shuffled labels
Cost: 737 s on 2 cores, 921 CPU-seconds, 2.4 GB a process
"""

from __future__ import annotations

from collections.abc import Mapping

from assay.core import Arm, Arms, Derive, Elsewhere, Experiment, grid, variant, varied
from assay.core.heavy import xr
from assay.core.measures import only
from assay_catalogue.dictionaries import on_text
from assay_catalogue.experiments.utility.claims import CLAIMS, figures
from assay_catalogue.experiments.utility.method import (
    Utility,
    inputs,
    measure,
    reuse_dictionaries,
    train,
)
from assay_catalogue.experiments.utility.probes import CHANCE, COORDINATES, SAE


def in_place(pairs: Mapping[str, str], beside: tuple[str, ...]) -> Derive:
    """The arm `main` with other methods' numbers where those of these methods stand, and the
    methods that they are compared with."""

    def derive(arms: Arms) -> xr.Dataset:
        data = only(arms["main"], "auroc")
        auroc = data.auroc
        for method, other in pairs.items():
            replacement = data.auroc.sel(probe=other, drop=True)
            auroc = auroc.where(auroc.probe != method, replacement)
        return data.assign(auroc=auroc).sel(probe=[*pairs, *beside])

    return derive


ARMS = {
    "main": Arm(train, note="a TopK dictionary of the model for each seed, and all baselines"),
    "untrained": Arm(
        train,
        specs=variant(times={"steps": 0.5}, weights="random", layer=3),
        note="half as long, of a model with random weights, before its fourth block: deeper only "
        "mixes more",
        learned=("encoder", "decoder", "answers"),
    ),
    "frozen": Arm(
        train,
        specs=variant(frozen="decoder"),
        note="its decoder stays as it was drawn, with the data's covariance",
        learned=("model", "encoder", "answers"),
    ),
    "planted": varied(
        reuse_dictionaries,
        "main's dictionaries, asked whether one of their own features is on",
        after="main",
        labels="planted",
    ),
    "shuffled": varied(
        reuse_dictionaries,
        "main's dictionaries and baselines, tuned on labels that are shuffled",
        after="main",
        labels="shuffled",
        learned=("model", "encoder", "decoder"),
    ),
    "random": Arm(
        derive=in_place(
            dict(zip(SAE, CHANCE, strict=True)), ("baseline", "coordinates-all", "asked")
        ),
        note="random directions, each on as often as a feature, in the place of the dictionary",
        learned=("model", "answers"),
    ),
    "coordinates": Arm(
        derive=in_place(
            {
                **dict(zip(SAE, COORDINATES, strict=True)),
                "fine-tuned": "coordinates-16",
                "words": "coordinates-best",
            },
            ("baseline", "coordinates-all", "asked"),
        ),
        note="as many of the stream's coordinates in the place of features; sixteen of them in "
        "that of the fine-tuned block, and as many as validation prefers in that of words",
        learned=("model", "answers"),
    ),
}
SMALL = Utility(
    layer=2, lot="pilot", windows=12, judged=8, width=64, k=8, steps=20, sizes=(8, 8, 8, 8)
)
PAGE = """
**The question.** Features that can be read are one thing, features that are of use another: do they do something that matters, and better
than what a careful person would try first? Three tasks have a consequence and a right answer: an insecure call, a docstring of another
function, and the language of a comment or the licence of a text. Every probe learns from 48 passages, is tuned on 24, and is then put to
packages and wordings that it never saw.

**How it is judged.** Concepts and dictionaries are units. A passage is a real function of an installed package; insecure calls, comments and
sentences of licences are planted in it, beside safe twins, other languages and other licences. All that reads the model reads the stream of
the last sixteen tokens before one block, and validation chooses whether the last of them or their mean. The best tuned baseline is what
validation prefers of a regression, sixteen coordinates, difference of means, words and a block fine-tuned at low rank.

**Read this before you quote it.** The dictionaries are weak: 1,024 features, 64,000 tokens of source code, one layer of a small model. What is
planted comes from short lists of ours, so that words go far; the models are too small to answer questions about code.
"""  # noqa: E501
JUDGED = range(63_010, 63_016)
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    inputs=inputs,
    cost=on_text.harvest_cost,
    seeds_per_group=1,
    scope="TopK dictionaries of {model_in_words} before block {layer}, trained on "
    "{text_in_words}; passages of installed Python packages",
    smoke=grid(SMALL, seed=range(1)),
    default=grid(Utility(), seed=JUDGED),
    elsewhere={
        "gemma": Elsewhere(grid(Utility(subject="gemma3-270m"), seed=range(63_020, 63_026)))
    },
)
