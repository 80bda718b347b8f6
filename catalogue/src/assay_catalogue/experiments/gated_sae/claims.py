"""What gated-sae claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from assay.core import Arms, Claim, Estimate, Figure, Published, Value, by
from assay.core.claims import rival, same_method
from assay.core.heavy import xr
from assay.core.stats import Means, Statistic, largest, lead_at_own, ratio, sides, smallest
from assay_catalogue.dictionaries import frontier
from assay_catalogue.dictionaries.frontier import (
    CORNERS,
    EARLIER,
    FRONTIER,
    FVU,
    GAMMA,
    L0,
    norm_ratio,
    sums,
)
from assay_catalogue.features import card

PAPER = "Rajamanoharan et al. 2024, Improving Dictionary Learning with Gated SAEs"
GAO = "Gao et al. 2024, Scaling and Evaluating Sparse Autoencoders, section 2.3"
DISCUSSION = "R. Shah, comment in the discussion of that paper"
PILOT = "pilot: seeds 0–5, same model and site, longer training, an earlier cut of the corpus"
PENALTY = 0.2
"""Gated's λ wherever it is compared with another method."""


def over(other: str) -> Value:
    """Terms: this method and another at every corner, and the frontier of `main`, at which both are
    read."""

    def value(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
        points = [dict(by(x, "corner")[list(FRONTIER)].data_vars) for x in (arm, arms[other])]
        # texts
        return sides(a=points[0], other=points[1], ruler=sums(arms["main"], *FRONTIER))  # type: ignore[arg-type]

    return value


def leads(m: Means) -> np.ndarray:
    """[draw, corner]: how far this method's FVU lies below the other's, each told from the frontier
    at its own L0."""

    def below(side: str, corner: int) -> np.ndarray:
        means = {
            name: x[:, corner : corner + 1] if name.startswith(f"{side}.") else x
            for name, x in m.items()
        }
        return lead_at_own(L0, FVU, a=side, b="ruler")(means)

    return np.stack([below("a", i) - below("other", i) for i in range(m["a.error"].shape[1])], 1)


smallest_lead = smallest(leads)
"""The smallest of these leads: what holds for it holds at every width and length."""


def bias_terms(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of γ, its earlier form and the norm ratio along the arm's sweep."""
    return sums(arm, "norm", "dot", "variance")


def bias(m: Means) -> np.ndarray:
    """|γ − 1| along the sweep."""
    return abs(GAMMA(m) - 1)


def on(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of L0 at the penalty where Gated is compared."""
    return {name: x.sel(penalty=PENALTY) for name, x in sums(arm, "active", "tokens").items()}


def on_frontier(name: str) -> Callable[[Arms], dict[str, xr.DataArray]]:
    """Terms: one arm's points, and Gated's frontier."""
    return lambda arms: sides(a=sums(arms[name], *FRONTIER), b=sums(arms["main"], *FRONTIER))


def behind(m: Means) -> np.ndarray:
    """How far Gated's frontier lies below an arm's points, at the arm's own L0."""
    return -lead_at_own(L0, FVU)(m)


def corner(i: int) -> Statistic:
    """A statistic: the lead at one corner."""
    return lambda m: leads(m)[:, i]


def spliced(arm: xr.Dataset) -> dict[str, xr.DataArray]:
    """[passage]: nats that splicing adds, and that ablating the site adds, by the mean and by
    zero."""
    ce = by(arm, "penalty").isel(seed=0, penalty=0)
    return {name: ce[f"ce_{name}"] - ce.ce_clean for name in ("spliced", "mean", "zero")}


CROSSED = ("seed", "document")
NO_L1 = rival("no penalty touches its magnitudes either")
MENDED = rival("its magnitudes were fitted again after training")
L1 = same_method("it is ReLU + L1 as well")
claim = partial(Claim, units=CROSSED, published="new")
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        text="Gated is unbiased: at every penalty its relative reconstruction bias γ lies within "
        "0.02 of 1",
        value=bias_terms,
        statistic=largest(bias),
        high=0.02,
        unit="largest |γ − 1|",
        distance=True,
        must_fail=("no-aux", "relu"),
        near={
            "no-aux": (
                "a path of its own for magnitudes would suffice, with whatever features are left on"
            )
        },
        violations=("shrunk",),
        also={
            "broad": same_method("it is Gated, wider"),
            "topk": NO_L1,
            "topk-half": NO_L1,
            "broad-topk": NO_L1,
            "showcase": NO_L1,
            "wide-rescaled": MENDED,
            "wide-half-rescaled": MENDED,
            "broad-wide-rescaled": MENDED,
        },
        half={"main": "half"},
        threshold_from="theory: 1; that 0.02 counts as unbiased is a convention",
        published=Published(
            0.0,
            PAPER,
            at="section 4",
            note="derived: printed is γ ≈ 1, of which this is the distance",
        ),
        source=f"{PAPER}, section 4",
    ),
    claim(
        text="ReLU + L1 shrinks: its γ is at most 0.97",
        of="relu",
        value=bias_terms,
        statistic=largest(GAMMA),
        high=0.97,
        empty=1.0,
        unit="γ",
        must_fail=("wide-rescaled", "main"),
        near={
            "wide-rescaled": (
                "the choice of features, which it shares with a ReLU dictionary, would make "
                "reconstructions short"
            )
        },
        also={"wide": L1, "wide-half": L1, "broad-wide": L1},
        threshold_from=f"{PILOT}: .924 [.919, .928] at this penalty",
        source=f"{PAPER}, section 4",
    ),
    claim(
        text="Without the auxiliary loss the gate shuts: L0 is at most 0.5 where the full loss "
        "keeps about a dozen features on",
        of="no-aux",
        value=on,
        statistic=L0,
        high=0.5,
        empty=12.0,  # as the full loss keeps
        unit="features",
        must_fail=("half", "main"),
        near={"half": "the penalty would shut a gate that is still moving, auxiliary loss or not"},
        threshold_from="plan: L0 below 0.5, for a comment that expects none of the features active",
        source=DISCUSSION,
    ),
    claim(
        text="At equal cost and L0, Gated's FVU lies at least 0.005 below that of 1.5 × ReLU, at "
        "both widths and lengths",
        of="gated-along",
        value=over("wide-along"),
        statistic=smallest_lead,
        low=0.005,
        unit="FVU, smallest lead",
        near={
            "rescaled-along": "mending ReLU's magnitudes afterwards gives the same lead",
            "topk-along": "leaving L1 out gives the same lead, without a gate",
        },
        threshold_from=f"{PILOT}: .002 [−.001, .004] at 512 features, none at 1,536",
        source=f"{PAPER}, section 4.1",
    ),
    claim(
        text="The gate selects better: the same against 1.5 × ReLU with rescale & shift, by at "
        "least 0.005",
        of="gated-along",
        value=over("rescaled-along"),
        statistic=smallest_lead,
        low=0.005,
        unit="FVU, smallest lead",
        must_fail=("topk-along", "wide-along"),
        near={"topk-along": "leaving L1 out gives the same lead, without a gate"},
        threshold_from=f"{PILOT}: −.011 [−.013, −.009] at 512 features, none at 1,536",
        source=f"{PAPER}, section 5, Figure 9",
    ),
    *(
        Estimate(
            text=f"Gated's lead over 1.5 × ReLU{mend}, {CORNERS[i]}",
            value=lambda arms, other=other: over(other)(arms["gated-along"], arms),
            statistic=corner(i),
            units=CROSSED,
            unit="FVU",
        )
        for other, mend in (("wide-along", ""), ("rescaled-along", " with rescale & shift"))
        for i in range(3)
    ),
    Estimate(
        text="Gated's lead over ReLU of equal width, in full: one width, so a finding",
        value=on_frontier("relu"),
        statistic=behind,
        units=CROSSED,
        unit="FVU",
    ),
    Estimate(
        text="Width alone: the lead of 1.5 × ReLU over ReLU of equal width, in full",
        value=lambda arms: sides(
            a=sums(arms["wide"], *FRONTIER),
            other=sums(arms["relu"], *FRONTIER),
            ruler=sums(arms["main"], *FRONTIER),
        ),
        statistic=corner(0),
        units=CROSSED,
        unit="FVU",
    ),
    Estimate(
        text="L0 without the auxiliary loss, as a share of the full loss's at the same penalty",
        value=lambda arms: sides(a=on(arms["no-aux"], arms), b=on(arms["main"], arms)),
        units=CROSSED,
        unit="share",
        statistic=lambda m: m["a.active"] / m["a.tokens"] * m["b.tokens"] / m["b.active"],
    ),
    Estimate(
        text="Gated's length of reconstructions over that of activations, nearly √(1 − FVU); Shah "
        "expected less than 1",
        value=lambda arms: bias_terms(arms["main"], arms),
        statistic=largest(norm_ratio),
        units=CROSSED,
        unit="largest norm ratio",
        source=DISCUSSION,
    ),
    Estimate(
        text="Gated's earlier form of γ, nearly 1 − FVU",
        value=lambda arms: bias_terms(arms["main"], arms),
        statistic=largest(EARLIER),
        units=CROSSED,
        unit="largest earlier form",
        source=DISCUSSION,
    ),
    Estimate(
        text="FVU of the showcase, one wide TopK dictionary",
        units=("document",),
        unit="FVU",
        source=GAO,
        value=lambda arms: {
            k: v.mean(("seed", "penalty"))
            for k, v in sums(arms["showcase"], "error", "variance").items()
        },
        statistic=FVU,
    ),
    Estimate(
        text="Cross-entropy that the showcase loses, as a share of what mean ablation loses",
        value=lambda arms: spliced(arms["showcase"]),
        statistic=ratio("spliced", "mean"),
        units=("passage",),
        unit="share",
    ),
    Estimate(
        text="Mean ablation alone, with no dictionary at all, 'recovers' this share of what zero "
        "ablation loses",
        value=lambda arms: spliced(arms["showcase"]),
        statistic=lambda m: 1 - m["mean"] / m["zero"],
        units=("passage",),
        unit="share",
    ),
)


def figures(arms: Arms) -> list[Figure]:
    lines = [
        ("Gated 1 ×", "main", FVU),
        ("ReLU 1 ×", "relu", FVU),
        ("TopK 1 ×", "topk", FVU),
        ("ReLU 1.5 ×", "wide", FVU),
        ("ReLU 1.5 × + rescale & shift", "wide-rescaled", FVU),
    ]
    return [
        frontier.over_l0(
            arms,
            "Frontier: what each method leaves unexplained",
            lines,
            "joined",
            x_title="L0 (features per token)",
            y_title="FVU",
            note="Mean and 95% t interval over seeds; the claims resample seeds and documents. "
            "At another method's L0 Gated is read off its line.",
        )
    ]


def feature_cards(arms: Arms) -> list[Any]:
    if "showcase" not in arms:
        return []
    s = arms["showcase"].attrs
    return card.cards(
        arms["showcase"], seed=0, source=f"{s['subject']}/{s['layer']}-resid_pre-topk{s['width']}"
    )
