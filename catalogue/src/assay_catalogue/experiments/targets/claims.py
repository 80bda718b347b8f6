"""What targets claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from assay.core import Arms, Claim, Estimate, Figure, Gate, Value, by, figure
from assay.core.heavy import xr
from assay.core.stats import Means, mean, ratio

SEED = (
    "nostalgebraist, remarks on Towards Monosemanticity: activations are an implementation detail"
)
TABLE = "plan: set before any pilot"
PILOT = "pilot: seeds 0 and 1 under the first design"


def unread(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms: variance that W_out does not read, what it would not read of isotropic activations,
    and all of it."""
    return {name: by(arm)[name] for name in ("null", "isotropic", "total")}


def spends(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of what a dictionary writes: variance that W_out does not read, the share that an
    isotropic subspace would hold of it, and all of it."""
    data, share = by(arm), 1 - arm.attrs["d"] / arm.attrs["m"]
    return {"null": data.unread, "isotropic": share * data.written, "total": data.written}


def below_isotropic(m: Means) -> np.ndarray:
    """By how much the unread share lies below that of isotropic directions of the same rank, 1 −
    d/m."""
    return (m["isotropic"] - m["null"]) / m["total"]


def squeeze_seed(
    terms: Callable[[xr.Dataset, Arms], dict[str, xr.DataArray]],
) -> Callable[[xr.Dataset, Arms], dict[str, xr.DataArray]]:
    """Take terms of the only run of an arm, a model on disk. Raises: ValueError for an arm of
    several runs."""
    return lambda arm, arms: {
        name: x.squeeze("seed", drop=True) for name, x in terms(arm, arms).items()
    }


def each_block(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """The terms of `unread`, every block of a model on disk scaled to the same variance: the last
    ones have hundreds of times more."""
    terms = squeeze_seed(unread)(arm, arms)
    return {name: x / terms["total"].mean("document") for name, x in terms.items()}


def all_blocks(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """The terms of `each_block`, their mean over the blocks of this model."""
    return {name: x.mean("block") for name, x in each_block(arm, arms).items()}


def within_files(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Term: Gini coefficient of what neurons are worth within each document."""
    return {"gini": by(arm).gini}


def explained(space: str, a: str, b: str) -> Value:
    """Terms: squared errors of two cells in one space, and its variance."""

    def terms(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
        data = by(arm)
        errors = data[f"error_{space}"]
        return {
            "a": errors.sel(cell=a, drop=True),
            "b": errors.sel(cell=b, drop=True),
            "variance": data[f"variance_{space}"],
        }

    return terms


def lead(m: Means) -> np.ndarray:
    """By how much the FVU of b lies below that of a."""
    return (m["a"] - m["b"]) / m["variance"]


def pairs(kind: str) -> Value:
    """Term: how many pairs of feature and token have a relative error in each bin."""
    return lambda arm, arms: {"count": by(arm)[kind]}


def median_error(m: Means) -> np.ndarray:
    """The median relative error."""
    from assay_catalogue.dictionaries.cell_measures import binned_median

    return binned_median(m["count"])


def likeness(other: str) -> Value:
    """Terms: agreement of `act` with another cell and with its own replicate, each with what chance
    gives."""

    def terms(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
        data, sides = by(arm), (("cross", other), ("within", "again"))
        return {
            f"{name}_{kind}": data[name].sel(other=o, drop=True)
            for name in ("found", "chance")
            for kind, o in sides
        }

    return terms


def similarity(m: Means) -> np.ndarray:
    """Agreement above chance across targets, as a share of that between two starts of one
    target."""
    return ((m["found_cross"] - m["chance_cross"]) / (1 - m["chance_cross"])) / (
        (m["found_within"] - m["chance_within"]) / (1 - m["chance_within"])
    )


def inequality(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: Gini coefficient of what neurons are worth."""

    from assay_catalogue.dictionaries.concentration import gini

    worth = by(arm).importance
    return xr.DataArray([gini(w) for w in worth.values], dims="seed", coords={"seed": worth.seed})


def equal_l0(arm: xr.Dataset) -> bool:
    """Whether all dictionaries have the same L0 to 2 %."""
    l0 = (arm.active.sum("document") / arm.tokens.sum("document")).sel(
        cell=[c for c in ("act", "act-update", "logit") if c in arm.cell]
    )
    return bool(l0.max() <= 1.02 * l0.min())


CROSSED, L0 = ("seed", "document"), (Gate("equal L0", equal_l0),)
HALF = {"main": "half"}
ISO = "what rank and architecture give without training"
READ = ("activations", "readout")
FEATURES = (*READ, "features")
"""What is credited of a model, and of its features, which are principal directions of SmolLM2's."""
claim = partial(Claim, published="new", credits=FEATURES, threshold_from=TABLE)
"""A claim with what most of them share."""


@dataclass(frozen=True)
class OnDisk:
    """How claims about a model on disk name it: in words, its arm, what stands before the names of
    its other arms, its blocks, and the unread share of isotropic activations."""

    name: str
    arm: str
    prefix: str
    blocks: int
    isotropic: float


SMOLLM2 = OnDisk("SmolLM2", "smollm2", "smollm2-", 30, 0.625)
GEMMA = OnDisk("Gemma", "main", "", 18, 0.6875)


def unread_in(model: OnDisk) -> Claim:
    """Activations of a model on disk turn towards what is read."""
    untrained, isotropic = f"{model.prefix}untrained", f"{model.prefix}isotropic"
    several = model.blocks >= 20  # fewer levels are no units
    return claim(
        text=f"In {model.name} too: on average over its {model.blocks} MLPs the unread share lies "
        "at least 0.10 below that of isotropic activations",
        of=model.arm,
        value=each_block if several else all_blocks,
        statistic=below_isotropic,
        units=("block", "document") if several else ("document",),
        fixed=() if several else (f"{model.blocks} blocks",),
        low=0.10,
        unit="share of variance",
        near={
            untrained: ISO,
            isotropic: "what any subspace of W_out's rank would read",
        },
        credits=READ,
        threshold_from="plan: the margin of the claim before it, fixed before any block but the "
        "last was measured",
        source=f"{SEED}; footnote on the null space of W_out",
    )


def linear_norms(
    arm: str,
    prefix: str,
    value: Callable[[Any], Any],
    units: tuple[str, ...],
    phrase: str,
    random: str,
    fixed: tuple[str, ...] = (),
    too_long: str = "tenfold",
) -> tuple[Claim, ...]:
    """Both linear versions of the final norm are good enough for parts of an arm's update."""
    return tuple(
        claim(
            text=f"{what} is off by at most 0.10: median relative error {phrase}",
            of=arm,
            value=value(pairs(kind)),
            statistic=median_error,
            units=units,
            high=0.10,
            unit="relative error",
            must_fail=tuple(f"{prefix}{c}" for c in controls),
            near={f"{prefix}{c}": why for c, why in near.items()},
            violations=(f"{prefix}{violation}",),
            fixed=fixed,
            source=f"{SEED}; footnote on layer norm",
        )
        for what, kind, controls, near, violation in (
            (
                "Holding the final norm's divisor fixed",
                "frozen",
                (random, "turned"),
                {
                    random: (
                        "high dimension: random directions are nearly at right angles to the stream"
                    ),
                    "turned": "shortness alone",
                },
                "turned",
            ),
            (
                "The final norm's Jacobian",
                "jacobian",
                ("tenfold",),
                {"tenfold": "that it is right for parts of any length"},
                too_long,
            ),
        )
    )


def linear_norms_of(model: OnDisk) -> tuple[Claim, ...]:
    """Claim the same of the last update of a model on disk."""
    return linear_norms(
        model.arm,
        model.prefix,
        squeeze_seed,
        ("document",),
        f"over the 24 principal directions of {model.name}'s last update",
        "random",
        ("24 principal directions",),
    )


def equal_neurons(model: OnDisk) -> Claim:
    """Neurons of a model's last MLP are worth the same."""
    return claim(
        text=f"The neurons of {model.name}'s last MLP are worth nearly the same to the logits "
        "within a file: Gini coefficient at most 0.3",
        of=model.arm,
        value=squeeze_seed(within_files),
        statistic=mean,
        units=("document",),
        high=0.3,
        unit="Gini coefficient",
        near={f"{model.prefix}untrained": "that they are so before any training"},
        credits=READ,
        source=f"{SEED}; footnote on L2",
    )


def unread_share(model: OnDisk) -> Estimate:
    """What a model's MLPs write and nothing reads."""
    several = model.blocks >= 20
    return Estimate(
        text=f"Unread share of the variance, on average over {model.name}'s MLPs (isotropic: "
        f"{model.isotropic})",
        value=lambda arms: (each_block if several else all_blocks)(arms[model.arm], arms),
        statistic=ratio("null", "total"),
        units=("block", "document") if several else ("document",),
        unit="share",
    )


CLAIMS = (
    claim(
        text="Training turns a model's activations towards what is read: their unread share lies "
        "at least 0.10 below that of isotropic ones",
        value=unread,
        statistic=below_isotropic,
        units=CROSSED,
        low=0.10,
        unit="share of variance",
        near={"untrained": ISO, "isotropic": "what any subspace of W_out's rank would read"},
        must_hold=("readable-acts",),
        credits=READ,
        threshold_from=f"{PILOT}: .55 is unread where isotropic activations have .75",
        source=f"{SEED}; footnote on the null space of W_out",
    ),
    unread_in(SMOLLM2),
    claim(
        text="A dictionary of activations spends at least 0.10 less of what it writes on what "
        "nothing reads than isotropic rows would",
        value=spends,
        statistic=below_isotropic,
        units=CROSSED,
        low=0.10,
        unit="share of squared features",
        near={"isotropic-rows": "rows of the same lengths and use in any directions"},
        must_hold=("readable-rows",),
        threshold_from=f"{PILOT}: .55 is spent there where isotropic rows spend .75",
        source=SEED,
    ),
    claim(
        text="Reading the activations, training on the update lowers the update's FVU by at least "
        "0.003 at equal L0",
        value=explained("update", "act", "act-update"),
        statistic=lead,
        units=CROSSED,
        low=0.003,
        unit="FVU",
        near={"same-target": "another start of the same dictionary"},
        gates=L0,
        half=HALF,
        threshold_from=f"{PILOT}, with 512 features: .011 [.009, .013], half as long .006, control "
        ".000 [−.002, .001]; and seeds 7–10 with 256",
        source=SEED,
    ),
    claim(
        text="Training on activations costs little in logits: its FVU there is at most 1.2 times "
        "that of training on logits",
        value=explained("logit", "act", "logit"),
        statistic=ratio("a", "b"),
        units=CROSSED,
        high=1.2,
        unit="ratio of FVU",
        near={"whole-stream": "a dictionary of what is mostly not the MLP's doing"},
        empty=1.0,
        violations=("whole-stream",),
        gates=L0,
        half=HALF,
        source=f"{SEED}; footnote on L2",
    ),
    claim(
        text="Features are similar in practice: above chance, those of activations and of logits "
        "agree at least 0.8 times as well as two starts of one target",
        value=likeness("logit"),
        statistic=similarity,
        units=("seed",),
        low=0.8,
        unit="share of agreement",
        must_fail=("stream-rows", "random-rows"),
        near={"stream-rows": "any dictionary of the same tokens"},
        half=HALF,
        source=f"{SEED}; footnote on L2",
    ),
    *linear_norms(
        "main",
        "",
        lambda terms: terms,
        CROSSED,
        "of a feature's effect on the logits",
        "random-parts",
        too_long="longer",
    ),
    *linear_norms_of(SMOLLM2),
    claim(
        text="Training makes neurons worth nearly the same to the logits: Gini coefficient at most "
        "0.3",
        value=inequality,
        statistic=mean,
        units=("seed",),
        high=0.3,
        unit="Gini coefficient",
        must_fail=("untrained", "uneven"),
        credits=READ,
        violations=("uneven",),
        near={"untrained": "that they are so before any training"},
        source=f"{SEED}; footnote on L2",
    ),
    equal_neurons(SMOLLM2),
    Estimate(
        text="Unread share of the variance of the one-block models' activations (isotropic: "
        "{unread})",
        value=lambda arms: unread(arms["main"], arms),
        statistic=ratio("null", "total"),
        units=CROSSED,
        unit="share",
    ),
    unread_share(SMOLLM2),
    Estimate(
        text="Features of activations and of the update, both read from activations: share of the "
        "agreement between two starts",
        value=lambda arms: likeness("act-update")(arms["main"], arms),
        statistic=similarity,
        units=("seed",),
        unit="share of agreement",
    ),
    Estimate(
        text="Unread share of the activations' mean square, the mean included",
        value=lambda arms: {"null": by(arms["main"]).raw_null, "total": by(arms["main"]).raw_total},
        statistic=ratio("null", "total"),
        units=CROSSED,
        unit="share",
    ),
)


def figures(arms: Arms) -> list[Figure]:
    if "main" not in arms:
        return []
    data, rows = by(arms["main"]), []
    for space, label in SPOKEN.items():
        share = data[f"error_{space}"].sum("document", skipna=False) / data[
            f"variance_{space}"
        ].sum("document")
        known = [
            cell for cell in data.cell.values.tolist() if not share.sel(cell=cell).isnull().all()
        ]
        rows += [(ARROWS[cell], label, share.sel(cell=cell).values) for cell in known]
    unexplained = figure(
        "What each dictionary leaves unexplained, in three spaces",
        "bars",
        {"cell": "x", "space": "facet", "mean": "mean"},
        rows,
        x_title="reads → reconstructs",
        y_title="FVU",
        note="Mean and 95% t interval over seeds.",
    )
    return [unexplained, unread_by_block(arms, SMOLLM2)]


def unread_by_block(arms: Arms, model: OnDisk) -> Figure:
    """Unread share of each block's activations, trained, untrained and beside random subspaces."""
    rows = []
    for label, arm in (
        (model.name, model.arm),
        ("untrained", f"{model.prefix}untrained"),
        ("random subspaces", f"{model.prefix}isotropic"),
    ):
        for i in range(arms[arm].sizes["block"] if arm in arms else 0):
            block = by(arms[arm]).isel(seed=0, block=i)
            rows.append((i, (block.null / block.total).values, label))
    return figure(
        f"What the MLPs of {model.name} write and nothing reads",
        "line",
        {"block": "x", "share": "mean", "model": "color"},
        rows,
        x_title="block",
        y_title="unread share of the activations' variance",
        note="Mean and 95% t interval over documents.",
    )


SPOKEN = {"act": "activations", "update": "update", "logit": "logits"}
ARROWS = {
    "act": "h → h",
    "again": "h → h again",
    "act-update": "h → o",
    "update": "o → o",
    "post": "x → x",
    "logit": "z → z",
    "act-logit": "h → z",
}
