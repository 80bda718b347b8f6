"""What path-split claims, and its picture: the statements, their thresholds and controls;
`values.py` computes what they compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Gate, figure
from assay.core.claims import same_method
from assay.core.stats import Means, mean, ratio
from assay_catalogue.experiments.path_split.values import (
    PATHS,
    at_spent,
    average,
    both_norms,
    both_used,
    by_removal,
    by_seed,
    effects,
    fvu_of,
    lead,
    lead_at_theirs,
    moved,
    off,
    order,
    pair_with,
    removal_terms,
    separated,
    share,
    single_terms,
    swept,
    told_by_direct,
)

REMARKS = (
    "nostalgebraist, remarks on Towards Monosemanticity: inner MLPs also act through later ones"
)
PLAN = "plan: of the specification, set before any pilot"
SMALL_PILOT = "pilot: seed 0"
BLOCKS_PILOT = "pilot: seed 0, 4 files of 48 tokens"
BURNT = "pilot: the burnt look at seeds 18000–18005 gave"
CROSSED = ("seed", "document")
HALF = {"main": "half"}
SORTED_HALF = {**HALF, "sorted-halves": "sorted-half"}
USED = (Gate("both halves in use", both_used),)
ANY = "paying in any metric parts features"
LOT = "any two halves differ"
UNPAID = {
    "turned": ANY,
    "untrained": "the architecture has two paths before any training",
    "random-halves": LOT,
}
"""Controls in which no half pays for the other's path, or the model has learned nothing."""
UNLEARNED = {
    "frozen-decoder": "it is enough to learn when random directions are used",
    "soft-frozen": "directions near random ones are enough",
    "frozen-encoder": "it is enough to learn what random detectors stand for",
}
"""Controls of which one half of the dictionary is not learned; two blocks pay as in the method."""
NEAR = {**UNPAID, **UNLEARNED, "sorted-halves": "sorting an ordinary dictionary is enough"}
SAME = {"half": same_method("the same models, whose dictionaries trained half as long")}
UPDATES = ("model", "updates")
"""What is credited of a language model: its training, and what its MLPs write."""
DICTIONARY = ("model", "encoder", "decoder")
HALVES = (*DICTIONARY, "halves")
"""What is credited of dictionaries of small models, and that in which they are parted."""


def geometric(m: Means) -> np.ndarray:
    """exp of the mean of the only term, a logarithm."""
    return np.exp(mean(m))


claim = partial(Claim, published="new", source=REMARKS, units=CROSSED)
"""A claim with what most of them share."""


@dataclass(frozen=True)
class OnDisk:
    """How claims about a model on disk name it: in words, its arm, what stands before the names of
    its other arms, and its blocks."""

    name: str
    arm: str
    prefix: str
    blocks: int


SMOLLM2 = OnDisk("SmolLM2", "smollm2", "smollm2-", 30)
GEMMA = OnDisk("Gemma", "main", "", 18)


def paths_of(model: OnDisk) -> tuple[Claim, ...]:
    """By which path the MLPs of a model on disk act."""
    return (
        claim(
            text=f"In {model.name} the later a block the larger the direct share of what its MLP "
            f"does: rank correlation over {model.blocks - 1} inner blocks at least 0.5",
            of=model.arm,
            value=effects(),
            statistic=order,
            units=("document",),
            low=0.5,
            unit="Spearman's ρ",
            natural=(-1, 1),
            must_fail=(
                f"{model.prefix}shuffled",
                f"{model.prefix}random",
                f"{model.prefix}untrained",
            ),
            near={
                f"{model.prefix}random": "whatever is written there",
                f"{model.prefix}untrained": "depth alone, without training",
            },
            credits=(*UPDATES, "order"),
            threshold_from=PLAN,
        ),
        claim(
            text=f"{model.name}'s inner MLPs act mostly through later blocks: on average over the "
            f"{model.blocks - 1} blocks the direct share is at most 0.5",
            of=model.arm,
            value=effects(),
            statistic=average,
            units=("document",),
            high=0.5,
            unit="share of squared effect",
            must_fail=(f"{model.prefix}quiet", f"{model.prefix}untrained"),
            near={f"{model.prefix}untrained": "depth alone, without training"},
            also={f"{model.prefix}shuffled": same_method("the order does not matter for a mean")},
            credits=UPDATES,
            threshold_from="plan: mostly is more than half",
        ),
        claim(
            text=f"Even in {model.name}'s last block but one, a part's direct effect tells at most "
            "half of what it does: R² at most 0.5",
            of=model.arm,
            value=effects(),
            statistic=told_by_direct,
            units=("document",),
            high=0.5,
            unit="R²",
            must_fail=(f"{model.prefix}quiet", f"{model.prefix}untrained"),
            near={f"{model.prefix}untrained": "depth alone, without training"},
            also={f"{model.prefix}shuffled": same_method("any other inner block")},
            credits=UPDATES,
            fixed=(f"{{{model.arm}.directions}} principal directions",),
            threshold_from=(
                f"{BLOCKS_PILOT}: .25; a half was written before it, for the mean over blocks"
            ),
        ),
        claim(
            text="How the final norm is linearised hardly matters to shares: on average over the "
            f"{model.blocks - 1} blocks they move by at most a tenth of themselves",
            of=model.arm,
            value=both_norms,
            statistic=moved,
            units=("document",),
            high=0.10,
            unit="relative change",
            natural=(0, np.inf),
            near={f"{model.prefix}turned": "it would not matter for any parts of this length"},
            also={f"{model.prefix}shuffled": same_method("the order does not matter for a mean")},
            credits=UPDATES,
            violations=(f"{model.prefix}turned", f"{model.prefix}slightly"),
            threshold_from=(
                f"{BLOCKS_PILOT}: .02, turned .3, slightly .17; the tenth is that of targets"
            ),
        ),
    )


def shares_of(model: OnDisk) -> tuple[Exact | Estimate, ...]:
    """Direct shares in some blocks of a model on disk."""
    return (
        Exact(
            text="In the last block everything is direct: the largest indirect effect over the "
            "direct one, of any part and document",
            value=lambda arms: float(
                (
                    arms[model.arm].indirect.isel(block=-1) / arms[model.arm].direct.isel(block=-1)
                ).max()
            ),
            tolerance=1e-6,
            source="arithmetic: no block is behind it",
        ),
        *(
            Estimate(
                text=f"Direct share in {where} of {model.name}{suffix}",
                value=lambda arms, name=name, kind=kind, block_index=block_index: {
                    path: x.isel(block=block_index)
                    for path, x in effects(kind)(arms[name], arms).items()
                },
                statistic=share,
                units=("document",),
                unit="share of squared effect",
                natural=(0, 1),
            )
            for block_index, where in (
                (0, "the first block"),
                (model.blocks // 2 - 1, "the middle block"),
                (-1, "the last block but one"),
            )
            for name, kind, suffix in (
                (model.arm, "principal", ""),
                (model.arm, "random", ", along random directions"),
                (f"{model.prefix}untrained", "principal", " with random weights"),
            )
        ),
    )


of_halves = partial(
    claim,
    credits=HALVES,
    empty=1.0,
    gates=USED,
    scale="log",
    unit="ratio of ratios",
)
"""A claim about the two halves of a dictionary."""
CLAIMS = (
    *paths_of(SMOLLM2),
    claim(
        text="Small models: taking features out for real gives the ratio of indirect to direct "
        "effects that derivatives give, within a tenth",
        value=by_seed(by_removal, off("removed", "linear")),
        scale="log",
        low=0.9,
        high=1.1,
        unit="ratio",
        near={"tenfold": "later blocks are linear for parts of any length"},
        also=SAME,
        credits=DICTIONARY,
        empty=1.0,
        violations=("tenfold",),
        threshold_from=f"{BURNT} 1.22, on the edge of the quarter that was allowed; the tenth is "
        "that of the next claim, and of targets",
    ),
    claim(
        text="Small models: the final norm as it is gives the ratio of indirect to direct effects "
        "that its divisor, held, gives, within a tenth",
        value=by_seed(by_removal, off("exact", "removed")),
        scale="log",
        low=0.9,
        high=1.1,
        unit="ratio",
        near={
            "aside": "it would be so for any parts of this length",
            "tenfold": "so it is for parts of any length",
        },
        also=SAME,
        credits=DICTIONARY,
        empty=1.0,
        violations=("aside",),
        threshold_from="pilot: seed 0, on a shorter training: 1.04, tenfold .82; turned aside 4.5; "
        "the tenth is that of targets",
    ),
    of_halves(
        text="Two blocks part the paths: at 1.10 times an ordinary dictionary's FVU the direct "
        "half's ratio of direct to indirect effect is at least twice that of the other",
        value=by_seed(single_terms, separated),
        low=2.0,
        must_fail=tuple(NEAR),
        near=NEAR,
        must_hold=("planted",),
        half=HALF,
        threshold_from=f"{BURNT} 3.5, where 3 was asked and two controls lay on it; twice is the "
        "least that is parted",
    ),
    of_halves(
        text="That is more than sorting gives: at equal FVU at least 1.5 times the ratio of the "
        "halves of one block, sorted by direct share",
        value=by_seed(pair_with("sorted-halves"), lead),
        low=1.5,
        must_fail=tuple(UNPAID),
        near=UNPAID,
        half=SORTED_HALF,
        threshold_from=f"{SMALL_PILOT}: 4.5; half as much again would matter",
    ),
    of_halves(
        text="It is so for real: with firings taken out and the norm as it is, at equal FVU still "
        "at least 1.25 times the ratio of one block, sorted",
        value=by_seed(pair_with("one-block", removal_terms), lead),
        low=1.25,
        near={"turned": ANY},
        half={**HALF, "one-block": "one-half"},
        threshold_from=f"{BURNT} 1.7, where 3 was asked of two blocks alone; a quarter is what "
        "taking out for real moves ratios by anyway",
    ),
    *shares_of(SMOLLM2),
    Estimate(
        text="Direct share of features of small models, by random pulls",
        statistic=share,
        units=CROSSED,
        unit="share of squared effect",
        natural=(0, 1),
        value=lambda arms: {
            path: swept(arms["main"])[path].isel(alpha=0).sum("half") for path in PATHS
        },
    ),
    *(
        Estimate(
            text=f"Direct share of features of small models, {suffix}",
            value=lambda arms, what=what: {
                path: by_removal(arms["main"], arms)[f"{what}.{path}"] for path in PATHS
            },
            statistic=share,
            units=CROSSED,
            unit="share of squared effect",
            natural=(0, 1),
        )
        for what, suffix in (
            ("linear", "a hundredth taken out"),
            ("removed", "taken out, the divisor held"),
            ("exact", "taken out, the norm as it is"),
        )
    ),
    *(
        Estimate(
            text=f"Ratio of ratios at 1.10 times FVU, {suffix}",
            natural=(0, np.inf),
            units=CROSSED,
            statistic=geometric,
            value=lambda arms, name=name, value=value: np.log(
                by_seed(value, separated)(arms[name], arms)
            ),
        )
        for name, value, suffix in (
            ("sorted-halves", single_terms, "one block, sorted"),
            ("turned", single_terms, "metrics turned"),
            ("frozen-decoder", single_terms, "random decoder"),
            ("soft-frozen", single_terms, "decoder kept near random rows"),
            ("frozen-encoder", single_terms, "random encoder"),
            ("untrained", single_terms, "untrained models"),
            ("half", single_terms, "half as many steps"),
            ("main", removal_terms, "taken out for real"),
            ("one-block", removal_terms, "one block, sorted, taken out for real"),
            ("half", removal_terms, "half as many steps, taken out for real"),
        )
    ),
    *(
        Estimate(
            text="Ratio of ratios of two blocks over that with a decoder kept near random rows, "
            f"at the FVU of the latter{suffix}",
            natural=(0, np.inf),
            units=CROSSED,
            statistic=geometric,
            value=lambda arms, name=name, other=other: np.log(
                by_seed(pair_with(other), lead_at_theirs)(arms[name], arms)
            ),
        )
        for name, other, suffix in (
            ("main", "soft-frozen", ""),
            ("half", "soft-half", ", half as many steps"),
        )
    ),
    *(
        Estimate(
            text=f"Direct share of the {half} half at 1.10 times FVU",
            value=lambda arms: swept(arms["main"]),
            statistic=lambda m, i=i: at_spent(fvu_of(m), share(m)[..., i]),
            units=CROSSED,
            unit="share of squared effect",
            natural=(0, 1),
        )
        for i, half in enumerate(("direct", "indirect"))
    ),
    Estimate(
        text="FVU of an ordinary dictionary",
        value=lambda arms: {k: swept(arms["main"])[k].isel(alpha=0) for k in ("error", "variance")},
        statistic=ratio("error", "variance"),
        units=CROSSED,
        unit="FVU",
    ),
)


def figures(arms: Arms) -> list[Figure]:
    """Direct share by block."""
    return [by_block(arms, SMOLLM2)] if "smollm2" in arms else []


def by_block(arms: Arms, model: OnDisk) -> Figure:
    """Direct share of every inner block of a model on disk."""
    rows = []
    for label, name, kind in (
        (model.name, model.arm, "principal"),
        ("random directions", model.arm, "random"),
        ("untrained", f"{model.prefix}untrained", "principal"),
    ):
        if name in arms:
            terms = {path: x.values for path, x in effects(kind)(arms[name], arms).items()}
            rows += [
                (block, values, label) for block, values in enumerate(share(terms))
            ]  # [block, document]
    return figure(
        f"How far the MLPs of {model.name} act directly on the logits",
        "line",
        {"block": "x", "share": "mean", "of": "color"},
        rows,
        x_title="block",
        y_title="direct share of squared effects",
        note="Mean and 95% t interval over documents; in the last block, left out, it is 1.",
    )
