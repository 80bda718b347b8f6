"""Importance of a language model's features: what each is worth in cross-entropy, how often it
fires, and whether features that are rare and right, or often wrong, are more than chance.

Group: dictionaries
Paper: none prints these numbers; Elhage et al. 2022, Toy Models of Superposition, for what
importance means there
Claim: where features fire most strongly, losing their part costs at least 0.04 nat more than a
random part as long
Baselines: directions between random activations, as long; the same parts at other tokens; weak
firings; frozen decoder
Cost: 460 s on 2 cores, 290 CPU-seconds, 2.0 GB a process
"""

from __future__ import annotations

import numpy as np

from assay.core import Arm, Arms, Elsewhere, Experiment, grid, instead, variant, varied
from assay.core.heavy import xr
from assay.core.measures import only
from assay_catalogue.dictionaries import on_text
from assay_catalogue.experiments.lm_importance.claims import CLAIMS, LENGTHS, WEAK, figures
from assay_catalogue.experiments.lm_importance.method import SHORT, TOGETHER, LMImportance, measure

CHANGED = ("firings", "change_random")


def both(arms: Arms) -> xr.Dataset:
    """The arms of both lengths side by side, the shorter first."""
    parts = [
        arms[name]
        .reset_coords(drop=True)
        .assign_coords(
            seed=("run", arms[name].seed.values),
            length=("run", np.full(arms[name].sizes["run"], i)),
        )
        for i, name in enumerate(LENGTHS)
    ]
    return xr.concat(parts, "run", combine_attrs="drop_conflicts")


def permuted(arms: Arms) -> xr.Dataset:
    """The arm `both` with the same parts at other tokens in the place of the parts."""
    others = {name: f"{name}_permuted" for name in ("change", "right", "wrong")}
    return instead("both", *CHANGED, "right_random", "wrong_random", **others)({"both": both(arms)})


def weak(arms: Arms) -> xr.Dataset:
    """The arm `both` with its weakest quarter of firings alone."""
    return only(both(arms), "change", *CHANGED).isel(quarter=[WEAK])


def total(arms: Arms) -> xr.Dataset:
    """The arm `both` with importance over all tokens in the place of importance where a feature is
    active."""
    data, names = both(arms), ("change", "change_permuted")
    changed = {n: (data[n] * data.density).transpose(*data[n].dims) for n in names}
    return only(data.assign(changed), *names, "firings")


ARMS = {
    "main": Arm(
        TOGETHER,
        note="TopK {main.k}; each feature's part is taken out where it fires, one token at a time",
    ),
    "frozen-decoder": Arm(
        TOGETHER,
        specs=variant(seeds=6, frozen="decoder"),
        note="the same with a decoder that stays random: only the encoder learns",
        learned=("encoder",),
    ),
    "half": varied(SHORT, "half as long, with its own decay", times={"steps": 0.5}),
    "both": Arm(derive=both, note="`half` and `main` side by side"),
    "permuted": Arm(
        derive=permuted,
        note="the same parts at tokens of the same window drawn by lot",
        learned=("decoder",),
    ),
    "weak": Arm(
        derive=weak,
        note="the weakest quarter of each feature's firings, in the place of the strongest",
    ),
    "total": Arm(derive=total, note="importance over all tokens: times density"),
}
SMALL = LMImportance(
    layer=28, width=48, k=4, windows=24, per_file=1, steps=30, batch=64, features=6, each=16
)
PAGE = """
**The question.** In toy models a feature's importance is given. In a language model it would be the
average amount by which the feature reduces the cross-entropy; a visualiser of features shows its
effect on the loss token by token, and not this average. One feature, it is said, is rare and very
often right when it fires strongly; another often pushes for something wrong, and perhaps others
balance it out.

**How it is judged.** A feature's part is its activation times its decoder row. It is taken out of
the residual stream at one token where the feature fires, and the loss of the next token is computed
through all later blocks: importance is by how much it rises. Features are drawn log-uniformly in
density, so that rare ones count. Any disturbance costs something. So beside each part the same is
done with a random direction as long, that from one activation to another, and with the same part
at another token of the window. What is judged has to be so after half of the training and after all
of it, or over both.

**Read this before you quote it.** Two models of 135 and 270 M parameters in 4-bit weights; one
layer of each; source code as text; dictionaries of 1,024 features trained for {main.steps} steps.
The models compute in bfloat16 where that is fast: one token's change then has noise of about 0.06
nat, which averages out in means and draws shares of hits towards a half. What a part does to later
tokens than the next is not counted. """
experiment = Experiment(
    page=PAGE.strip(),
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    inputs=on_text.inputs,
    cost=on_text.harvest_cost,
    seeds_per_group=1,
    scope="{model_in_words}, residual stream before block {layer}, {text_in_words}",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(LMImportance(), seed=range(8200, 8208)),
    elsewhere={
        # before the block at the same share of the depth, 15 of 18 as 25 of 30
        "gemma": Elsewhere(
            grid(LMImportance(subject="gemma3-270m", layer=15), seed=range(8300, 8308))
        ),
    },
    measured=2,
)
