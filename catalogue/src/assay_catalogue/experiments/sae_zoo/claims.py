"""What sae-zoo claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from assay.core import Arms, Claim, Estimate, Figure, Value, by
from assay.core.claims import rival, same_method
from assay.core.heavy import xr
from assay.core.stats import Means, difference, lead_at_own, sides, smallest
from assay_catalogue.dictionaries import frontier
from assay_catalogue.dictionaries.frontier import CORNERS, FRONTIER, FVU, L0, sums

GAO = "Gao et al. 2024, Scaling and Evaluating Sparse Autoencoders"
JUMP = "Rajamanoharan et al. 2024, Jumping Ahead: JumpReLU Sparse Autoencoders"
BATCH = "Bussmann et al. 2024, BatchTopK Sparse Autoencoders"
NESTED = "Bussmann et al. 2025, Learning Multi-Level Features with Matryoshka Sparse Autoencoders"
UNTRAINED = "Heap et al. 2025, Sparse Autoencoders Can Interpret Randomly Initialized Transformers"
SANITY = (
    "Korznikov et al. 2026, Sanity Checks for Sparse Autoencoders: Do SAEs Beat Random Baselines?"
)
PILOT = (
    "pilot: seeds 0–3, same model and site, 800 steps of 256 activations, an earlier cut of the "
    "corpus"
)
CURVE = ("topk-12", "topk", "topk-21")
"""The arms that make TopK's frontier at the preset's width and length."""


def point(arm: xr.Dataset) -> dict[str, xr.DataArray]:
    """Terms of FVU and L0 of one arm, [seed, document]."""
    return {name: x.isel(penalty=0, drop=True) for name, x in sums(arm, *FRONTIER).items()}


def stacked(points: Sequence[Mapping[str, xr.DataArray]]) -> dict[str, xr.DataArray]:
    """Join the terms of several arms along k, as a frontier."""
    return {name: xr.concat([p[name] for p in points], "k") for name in points[0]}


def everywhere(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms: this method at every corner, and TopK's frontier there, straight from 12 to 21
    features a token."""
    corners = [
        dict(by(x, "corner")[list(FRONTIER)].data_vars)
        for x in (arm, arms["topk-12-along"], arms["topk-21-along"])
    ]
    # names of a Dataset are texts
    return sides(a=corners[0], b=stacked(corners[1:]))  # type: ignore[arg-type]


LEAD = lead_at_own(L0, FVU)


def leads(m: Means) -> np.ndarray:
    """[draw, corner]: how far this method's FVU lies below TopK's frontier, at its own L0."""
    n = m["a.error"].shape[1]
    return np.stack(
        [
            LEAD(
                {
                    name: x[:, i : i + 1] if name.startswith("a.") else x[:, :, i]
                    for name, x in m.items()
                }
            )
            for i in range(n)
        ],
        1,
    )


smallest_lead = smallest(leads)
"""The smallest of these leads: what holds for it holds at every width and length."""


def over_topk(name: str) -> Callable[[Arms], dict[str, xr.DataArray]]:
    """Terms: one arm, and TopK's frontier at the preset's width and length."""
    return lambda arms: sides(a=point(arms[name]), b=stacked([point(arms[c]) for c in CURVE]))


def both(name: str, other: str) -> Callable[[Arms], dict[str, xr.DataArray]]:
    """Terms: two arms, and that frontier, from which both are told."""
    return lambda arms: {**over_topk(name)(arms), **sides(other=point(arms[other]))}


def lead_over(m: Means) -> np.ndarray:
    """How far the first arm lies below the other, each measured from TopK's frontier at its own
    L0."""
    return LEAD(m) - lead_at_own(L0, FVU, a="other")(m)


def below(other: str) -> Value:
    """Terms: another arm, and this one."""
    return lambda arm, arms: sides(a=point(arms[other]), b=point(arm))


excess = difference(FVU)
CROSSED = ("seed", "document")
WHOLE = "all of it was learned, from the same activations"
TOPK = (
    *("topk", "topk-12", "topk-21", "topk-half", "topk-12-half", "topk-21-half"),
    *("topk-broad", "topk-12-broad", "topk-21-broad"),
)
OTHERS = ("main", "matryoshka", "relu", "jumprelu", "half", "broad")
LEARNED = dict.fromkeys(TOPK, same_method(WHOLE)) | dict.fromkeys(OTHERS, rival(WHOLE))
DICTIONARY = ("encoder", "decoder")


def without(*names: str) -> dict[str, str]:
    """The arms that are learned in full, without these."""
    return {name: why for name, why in LEARNED.items() if name not in names}


finding = partial(Estimate, units=CROSSED, unit="FVU")
"""A finding with what most of them share."""
claim = partial(Claim, units=CROSSED, unit="FVU", credits=DICTIONARY, published="new")
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        text="At equal L0 BatchTopK's FVU lies at least 0.002 below TopK's, at both widths and "
        "lengths",
        of="batch-along",
        value=everywhere,
        statistic=smallest_lead,
        low=0.002,
        unit="FVU, smallest lead",
        near={"topk-along": "a frontier drawn straight between two points lies above TopK itself"},
        threshold_from=f"{PILOT}: .008 [.006, .010]",
        source=BATCH,
    ),
    claim(
        text="Both halves have to be learned: TopK's FVU lies at least 0.10 below that of random "
        "features with a fitted decoder",
        of="topk",
        value=below("random"),
        statistic=excess,
        low=0.10,
        near={
            "frozen-decoder": "it is enough to learn when random directions are used",
            "frozen-encoder": "it is enough to learn what random detectors stand for",
        },
        also=without("topk"),
        threshold_from=f"{PILOT}: .19 [.18, .21]",
        source=SANITY,
    ),
    claim(
        text="Ties between coordinates are learned: with these shuffled, TopK leaves at least 0.20 "
        "more FVU after equal training",
        of="topk-half",
        value=below("shuffled"),
        statistic=excess,
        low=0.20,
        must_fail=("frozen-encoder", "random"),
        near={
            "random": "features that nobody learned gain as much from these ties",
            "frozen-encoder": "so do detectors that nobody learned",
        },
        also=without("topk-half"),
        threshold_from=f"{PILOT}: .34 [.31, .37]",
        source="Assay's own baseline",
    ),
    claim(
        text="The model's training made them: on models with random weights TopK leaves at least "
        "0.20 more FVU after equal training",
        of="topk-half",
        value=below("untrained"),
        statistic=excess,
        low=0.20,
        must_fail=("frozen-encoder", "random", "pca"),
        near={
            "random": (
                "activations of the trained model are easier for features that nobody learned, too"
            ),
            "pca": "they merely lie near a few directions",
        },
        also={
            **without("topk-half"),
            "frozen-decoder": same_method("its encoder was learned from the trained model"),
        },
        credits="model",
        threshold_from=f"{PILOT}: .49 [.46, .52]",
        source=UNTRAINED,
    ),
    *(
        finding(
            text=f"BatchTopK's lead over TopK, {CORNERS[i]}",
            value=lambda arms: everywhere(arms["batch-along"], arms),
            statistic=lambda m, i=i: leads(m)[:, i],
        )
        for i in range(3)
    ),
    finding(
        text="TopK's lead over ReLU + L1, one width and length",
        value=over_topk("relu"),
        statistic=lambda m: -LEAD(m),
        source=f"{GAO}, section 2.3",
    ),
    finding(
        text="JumpReLU's lead over TopK, one width and length",
        value=over_topk("jumprelu"),
        statistic=LEAD,
        source=f"{JUMP}, section 5.1",
    ),
    finding(
        text="BatchTopK's lead over JumpReLU, one width and length",
        value=both("main", "jumprelu"),
        statistic=lead_over,
        source=BATCH,
    ),
    finding(
        text="BatchTopK's lead over Matryoshka, one width and length",
        value=both("main", "matryoshka"),
        statistic=lead_over,
        source=NESTED,
    ),
    *(
        finding(
            text=f"FVU of {label}", value=lambda arms, name=name: point(arms[name]), statistic=FVU
        )
        for name, label in (
            ("topk", "TopK {main.k}"),
            ("frozen-decoder", "TopK {main.k} with a random decoder"),
            ("frozen-encoder", "TopK {main.k} with a random encoder"),
            ("random", "random features with a fitted decoder"),
            ("pca", "{main.k} principal components"),
            ("untrained", "TopK {main.k} on models with random weights"),
        )
    ),
    finding(
        text="BatchTopK's L0 on test text, with the threshold it learned for {main.k}",
        value=lambda arms: point(arms["main"]),
        statistic=L0,
        unit="features",
    ),
)


LABELS = {"main": "BatchTopK", "matryoshka": "Matryoshka", "jumprelu": "JumpReLU", "relu": "ReLU"}


def figures(arms: Arms) -> list[Figure]:
    k = int(arms["main"].attrs["k"])
    series = [("TopK", name, FVU) for name in CURVE]
    series += [(label, name, FVU) for name, label in LABELS.items()]
    return [
        frontier.over_l0(
            arms,
            f"What each architecture leaves unexplained near {k} features a token",
            series,
            "points",
            x_title="L0 (features on per token)",
            y_title="FVU",
            note="Mean and 95% t interval over seeds. Claims read every method against TopK's "
            "frontier at the method's own L0.",
        )
    ]
