"""Glitch tokens: what embeddings tell of tokens that a model never saw, where they were planted,
tied and untied; and what SmolLM2 cannot say.

Group: knowledge
Paper: Land & Bartolo 2024, Fishing for Magikarp: Automatically Detecting Under-trained Tokens in
Large Language Models
Claim: in untied models a token never seen has a shorter input row than 98 of 100 in regular use, by
at least 5 %
Baselines: tokens seen once, 16 and 256 times; a reference drawn by lot; permuted counts; untrained
models; a start as wide as trained rows
Cost: 310 s on 2 cores, 560 CPU-seconds, 1.8 GB a process
"""

from __future__ import annotations

from assay.core import Arm, Arms, Derive, Experiment, grid, instead, variant, varied
from assay.core.heavy import xr
from assay.core.measures import only
from assay_catalogue.dictionaries import on_text
from assay_catalogue.experiments.glitch_tokens.claims import CLAIMS, figures
from assay_catalogue.experiments.glitch_tokens.method import (
    GlitchTokens,
    inputs,
    measure,
    train,
    untrained,
)
from assay_catalogue.experiments.glitch_tokens.on_disk import measure_model

WIDE = 0.08
"""Root mean square of trained entries of the embedding, by the pilot: seeds 0 and 1, 1,000
steps."""


def with_exposure(source: str, n: int) -> Derive:
    """A derived arm: planted tokens seen n times in the place of those never seen."""

    def derive(arms: Arms) -> xr.Dataset:
        data = arms[source]
        variables = {
            name: data[f"{name}_seen"].sel(exposure=n, drop=True).rename(name)
            for name in ("margin", "silence", "alike")
        }
        return only(data).assign(variables)

    return derive


def ordinary(arms: Arms) -> xr.Dataset:
    """A derived arm: ordinary tokens in the place of those never seen."""
    return instead("untied-free", alike="alike_ordinary")(arms)


ARMS = {
    "main": Arm(
        train,
        note="untied, weight decay {main.decay}: 16 tokens never seen to be found, 40 seen 1 to "
        "256 times",
    ),
    "untied-free": varied(train, "untied, without weight decay", decay=0.0),
    "tied": Arm(
        train,
        specs=variant(tied=True, times={"steps": 2}),
        note="tied, weight decay {tied.decay}, twice as long as main",
    ),
    "half": varied(
        train,
        "main, half as long with its own decay; as many planted occurrences",
        times={"steps": 0.5},
    ),
    "tied-half": varied(train, "tied, half as long with its own decay: as long as main", tied=True),
    "wide-start": Arm(
        train,
        specs=variant(decay=0.0, embedded=WIDE),
        note="untied-free with an embedding that starts as wide as trained rows",
    ),
    "again": varied(train, "untied-free, drawn again", decay=0.0, replicate=1),
    "untrained": Arm(untrained, note="main's models as they were drawn", learned=()),
    "on-disk": Arm(
        on_text.no_training,
        measure=measure_model,
        specs=lambda main: (main[0].replace(subject="disk"),),
        note="SmolLM2, tied, or another model by --set model=FOLDER: no truth is planted, findings "
        "only",
    ),
    "lottery": Arm(
        derive=instead("main", margin="margin_lottery"),
        note="random sizes in the place of norms",
        learned=(),
    ),
    "tied-lottery": Arm(
        derive=instead("tied", margin="margin_lottery"),
        note="8 ordinary tokens drawn by lot as the known unused ones",
        learned=(),
    ),
    "permuted": Arm(
        derive=instead("main", grows="grows_permuted"),
        note="numbers of occurrences permuted",
        learned=(),
    ),
    "tied-permuted": Arm(
        derive=instead("tied", grows="grows_permuted"),
        note="numbers of occurrences permuted, tied",
        learned=(),
    ),
    "quiet": Arm(
        derive=instead("main", silence="silence_quiet"),
        note="ordinary tokens that were read and never repeated, as those never seen",
    ),
    "tied-quiet": Arm(derive=instead("tied", silence="silence_quiet"), note="the same, tied"),
    "free-ordinary": Arm(derive=ordinary, note="ordinary tokens in the place of those never seen"),
    **{
        f"{prefix}seen-{n}": Arm(
            derive=with_exposure(arm_name, n),
            note=f"{arm_name}'s tokens seen {n} times in the place of those never seen",
        )
        for prefix, arm_name in (("", "main"), ("tied-", "tied"), ("free-", "untied-free"))
        for n in (1, 16, 256)
    },
}
SMALL = GlitchTokens(
    d=16, heads=2, m=32, layers=1, context=16, vocab=300, files=40, steps=60, batch=64, candidates=2
)
PAGE = """
**The question.** Some tokens of a vocabulary never stood in the training text. Can they be told
from the weights, also in an untied model, and what makes such indicators work? On a published model
nobody knows how many were missed; here tokens are planted, never seen or seen exactly n times.

**How it is judged.** Small decoders are trained with 64 planted tokens beside 512 ordinary ones,
tied and untied, with weight decay and without. An indicator is named beforehand for each kind. It
has to put the median token never seen below the lowest 2 % of tokens in regular use, by a margin,
since AUROC is 1 where separation is perfect. Tokens seen once, 16 or 256 times take the place of
those never seen as near controls.

**Read this before you quote it.** Models of two blocks and width 32, half a million tokens, a
million where tied; planted tokens stand at random places and mean nothing. SmolLM2's numbers are
findings: no truth is known there. """
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    inputs=inputs,
    seeds_per_group=8,
    scope="{models}",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(GlitchTokens(), seed=range(61_200, 61_208)),
)
