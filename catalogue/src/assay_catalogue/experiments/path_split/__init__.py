"""Direct and indirect paths: how far do features act on the logits straight, and can one dictionary
keep the two paths apart?

Group: dictionaries
Paper: none; nostalgebraist, remarks on Bricken et al. 2023, Towards Monosemanticity, ask for it; no
number of these claims is published
Claim: at 1.10 times the FVU, a dictionary trained as a direct and an indirect half parts the paths
at least 1.5 times as well as sorting does
Baselines: one block of the same size and penalty, sorted; random halves; turned metrics; frozen
halves; models with random weights
Cost: 750 s on 2 cores, 810 CPU-seconds, 3.3 GB a process
"""

from __future__ import annotations

import numpy as np

from assay.core import Arm, Arms, Derive, Elsewhere, Experiment, SpecMap, grid, varied
from assay.core.heavy import xr
from assay.core.measures import only
from assay.core.spec import variant
from assay.train.rng import permutation
from assay_catalogue.dictionaries import on_text
from assay_catalogue.experiments.path_split.claims import (
    CLAIMS,
    GEMMA,
    SMOLLM2,
    OnDisk,
    by_block,
    figures,
    paths_of,
    shares_of,
)
from assay_catalogue.experiments.path_split.method import (
    TOGETHER,
    PathsOnDisk,
    PathSplit,
    measure,
    measure_blocks,
    train,
)
from assay_catalogue.experiments.path_split.values import KIND, PATHS

SWEEP = ("error", "variance", "active", *PATHS)


def parted(source: str, how: str) -> Derive:
    """An arm's measures, its features parted another way than by the block they were trained in."""

    def derive(arms: Arms) -> xr.Dataset:
        data = arms[source]
        dataset = only(data, *SWEEP).sel(halves=[how])
        return dataset.assign_coords(halves=["trained"])

    return derive


def altered(how: str) -> Derive:
    """What taking altered firings out does, where taking them out as they are stands."""

    def derive(arms: Arms) -> xr.Dataset:
        data = arms["main"]
        names = [name for name in data if str(name).startswith("taken_")]
        other_names = [
            name
            for name in data
            if str(name).startswith("hundredth_") or name in (*PATHS, "diverged")
        ]
        return data.assign({name: data[f"{how}_{name}"].rename() for name in names})[
            [*names, *other_names]
        ]

    return derive


def of_kind(arm: str, kind: str) -> Derive:
    """A model's measures, of other parts."""

    def derive(arms: Arms) -> xr.Dataset:
        data, index = arms[arm], KIND.index(kind)
        return data.isel(kind=[index] * len(KIND))

    return derive


def shuffled(arm: str) -> Derive:
    """A model's measures with the inner blocks' numbers shuffled."""

    def derive(arms: Arms) -> xr.Dataset:
        data = arms[arm]
        n = data.sizes["block"] - 1
        order = [*permutation(np.array([0]), "path-split.shuffled", 0, n)[0].tolist(), n]
        return data.isel(block=order).assign_coords(block=data.block.values)

    return derive


def quiet(arm: str) -> Derive:
    """A model's measures as if later blocks answered a tenth as strongly: a model in which inner
    blocks act directly."""

    def derive(arms: Arms) -> xr.Dataset:
        data, part = arms[arm], 0.1
        cross = (data.total - data.direct - data.indirect) / 2
        return data.assign(
            indirect=part**2 * data.indirect,
            total=data.direct + part**2 * data.indirect + 2 * part * cross,
        )

    return derive


def other_parts(model: OnDisk) -> dict[str, Arm]:
    """A model on disk, other parts of its updates and other orders of its blocks in their place."""
    arm, prefix = model.arm, model.prefix
    return {
        f"{prefix}random": Arm(
            derive=of_kind(arm, "random"),
            note="parts of the same lengths along random directions",
            learned=("model", "order"),
        ),
        f"{prefix}turned": Arm(
            derive=of_kind(arm, "turned"),
            note="parts turned half-way towards what the final norm reads",
        ),
        f"{prefix}slightly": Arm(
            derive=of_kind(arm, "slightly"), note="parts turned two fifths of the way towards it"
        ),
        f"{prefix}shuffled": Arm(
            derive=shuffled(arm), note="blocks in another order", learned=("model", "updates")
        ),
        f"{prefix}quiet": Arm(
            derive=quiet(arm), note="as if later blocks answered a tenth as strongly"
        ),
    }


def language_model(subject: str) -> SpecMap[PathSplit]:
    """One run of a model on disk."""
    return lambda main: (
        main[0].replace(
            subject=subject,
            alpha=0.0,
            tested=min(24, main[0].tested or 24),
            context=min(48, main[0].context),
            taken_out=0,
        ),
    )


ARMS = {
    "main": Arm(
        TOGETHER,
        note="the first half of the features pays for indirect effects, the second for direct ones",
    ),
    "half": Arm(
        TOGETHER,
        specs=variant(seeds=3, times={"steps": 0.5}),
        note="main, half as many steps with their own decay",
    ),
    "one-block": varied(
        TOGETHER, "all features pay for both; what is taken out is parted by sorting", pays="both"
    ),
    "one-half": Arm(
        TOGETHER,
        specs=variant(seeds=3, times={"steps": 0.5}, pays="both"),
        note="one-block, half as many steps",
    ),
    "turned": varied(
        TOGETHER,
        "main, in metrics turned by a random rotation",
        learned=("model", "encoder", "decoder"),
        pays="turned",
    ),
    "frozen-decoder": Arm(
        TOGETHER,
        specs=variant(frozen="decoder", taken_out=0),
        note="main, decoder rows stay random",
        learned=("model", "encoder", "halves"),
    ),
    "soft-frozen": Arm(
        TOGETHER,
        specs=variant(frozen="soft-decoder", taken_out=0),
        note="main, decoder rows stay within cosine .8 of random ones",
        learned=("model", "encoder", "halves"),
    ),
    "soft-half": Arm(
        TOGETHER,
        specs=variant(seeds=3, times={"steps": 0.5}, frozen="soft-decoder", taken_out=0),
        note="soft-frozen, half as many steps",
        learned=("model", "encoder", "halves"),
    ),
    "frozen-encoder": Arm(
        TOGETHER,
        specs=variant(frozen="encoder", taken_out=0),
        note="main, the encoder stays random",
        learned=("model", "decoder", "halves"),
    ),
    "untrained": Arm(
        train,
        specs=variant(model_steps=1, taken_out=0),
        note="main, on models after one step of their training",
        learned=("encoder", "decoder", "halves"),
    ),
    "planted": Arm(
        train,
        specs=variant(subject="planted", taken_out=0),
        note="main, on planted features that act by one path each",
    ),
    "smollm2": Arm(
        on_text.no_training,
        measure=measure_blocks,
        specs=language_model("smollm2"),
        note="all blocks of SmolLM2, without a dictionary",
    ),
    "smollm2-untrained": Arm(
        on_text.no_training,
        measure=measure_blocks,
        specs=language_model("untrained smollm2"),
        note="SmolLM2 with weights drawn as before its training",
        learned=(),
    ),
    "sorted-halves": Arm(
        derive=parted("one-block", "sorted"),
        note="one-block, sorted afterwards by the direct share of decoder rows",
    ),
    "sorted-half": Arm(derive=parted("one-half", "sorted"), note="the same of one-half"),
    "random-halves": Arm(
        derive=parted("main", "random"),
        note="main, parted at random",
        learned=("model", "encoder", "decoder"),
    ),
    "tenfold": Arm(derive=altered("tenfold"), note="ten times each firing taken out"),
    "aside": Arm(
        derive=altered("aside"),
        note="each firing taken out, turned half-way towards what the final norm reads",
    ),
    **other_parts(SMOLLM2),
}
ALPHAS = (0.0, 0.1, 0.3, 2.0)
SMALL = PathSplit(
    model_steps=20,
    model_batch=16,
    d=16,
    m=32,
    width=32,
    k=4,
    windows=60,
    metric_windows=16,
    context=32,
    per_file=1,
    tested=4,
    steps=20,
    batch=128,
    taken_out=2,
    directions=4,
)
PAGE = """
**The question.** What an MLP writes to the stream reaches the logits directly, and through every
later block that reads it. In the last block there is nothing else: a feature of its update is a
direction of logits, by arithmetic. How fast does that break down further inside? And can a
dictionary be trained so that one half of its features acts directly and the other through later
blocks?

**How it is measured.** Effects are squared lengths of differences of centred logits, summed over
the token itself and all later ones of a window. The indirect effect is the total less the direct
one. One pass back from random pulls on all logits measures every block and every direction at once.
A dictionary's half is judged by the ratio of its direct to its indirect effect; two halves by the
ratio of these ratios, which does not change if all indirect effects double. FVU is equal: along a
sweep of prices each dictionary is read where its FVU is 1.10 times what it is without a price.
Ratios are computed for each model by itself and averaged as logarithms.

**Read this before you quote it.** SmolLM2 is one model, 4-bit and instruction-tuned, on source code
in windows of 48 tokens; principal directions of updates stand for features there, and no dictionary
was trained on it. The dictionaries are of the first MLP of two-block models of width 64 that read
820,000 tokens, whose effects are mostly direct. The metrics in which features pay are means over
tokens. """
ON_GEMMA = Experiment(
    arms={
        "main": Arm(on_text.no_training, note="all blocks of Gemma, without a dictionary"),
        "untrained": varied(
            on_text.no_training,
            "Gemma with weights drawn as before its training",
            learned=(),
            subject="untrained gemma3-270m",
        ),
        **other_parts(GEMMA),
    },
    measure=measure_blocks,
    claims=(*paths_of(GEMMA), *shares_of(GEMMA)),
    figures=lambda arms: [by_block(arms, GEMMA)],
    inputs=on_text.text_and_model,
    seeds_per_group=1,
    measured=3,
    scope="{models}",
    smoke=(),
    default=grid(PathsOnDisk(), seed=(19_030,)),
)
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    inputs=on_text.text_and_model,
    cost=on_text.tiny_cost("d"),
    seeds_per_group=1,
    measured=3,
    scope="{models}",
    smoke=grid(SMALL, seed=range(2), alpha=ALPHAS),
    default=grid(PathSplit(taken_out=8), seed=range(64_100, 64_110), alpha=ALPHAS),
    elsewhere={"gemma": Elsewhere(design=ON_GEMMA)},
)
