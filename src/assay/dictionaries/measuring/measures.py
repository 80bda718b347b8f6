"""The one table of measures: what each is called, its unit, formula and range, which way is better,
and how sums become it.

A measure is a function of sums over tokens, its terms, so the same value serves sums of one batch,
sums of a whole test set and the means that a bootstrap draws. All code that computes, prints or
documents measures reads `TABLE`: a new one is one value here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from assay.core.arrays import Array, float64, ratio_or_nan
from assay.core.errors import ClaimError
from assay.core.intervals import Means
from assay.dictionaries.measuring.rarity import density_classes

SUMS: Mapping[str, str] = {
    "tokens": "tokens",
    "active": "features",
    "error": "squared activation",
    "variance": "squared activation",
    "dot": "squared activation",
    "norm": "squared activation",
    "dot_raw": "squared activation",
    "norm_raw": "squared activation",
    "square_raw": "squared activation",
}
"""What is summed over the tokens of a document, with units; `document_sums` says of what."""

Ablation = Literal["zero", "mean", "resample"]
ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)
"""What a site's activations are replaced by, to tell what they are worth."""
FIRINGS = ("firings", "tokens")
"""The terms of a measure that counts features instead of tokens: in how many rows each feature is
on, and how many rows there are."""
TWINNED = (*FIRINGS, "twinned")
"""Those of a measure that also asks which features have a twin (`redundancy.twinned`)."""


@dataclass(frozen=True)
class Measure:
    """One measure of a dictionary."""

    name: str
    """What code and JSON call it."""
    label: str
    """What tables and figures call it."""
    unit: str
    """What it is counted in; "1" for a pure number."""
    formula: str
    better: Literal["lower", "lower at equal FVU", "higher", "nearer 1", "neither"]
    terms: tuple[str, ...]
    """The sums it is made of; where one was not measured, neither is this."""
    of: Callable[..., Array]
    """The measure of its terms in their order, each a sum or a mean over the same tokens."""
    low: float = 0.0
    high: float = math.inf
    undefined: str = "nothing to divide by"
    """Why it is NaN where it is."""

    @property
    def range(self) -> str:
        """Its smallest and largest value in words."""
        return " to ".join(
            f"{end:g}".replace("inf", "∞").replace("-", "−") for end in (self.low, self.high)
        )

    def statistic(self, m: Means) -> np.ndarray:
        """Compute the measure of these sums or means by name: it is what a claim's `statistic` may
        be.

        Raises: ClaimError where one of its terms is not among them.
        """
        if missing := [term for term in self.terms if term not in m]:
            raise ClaimError(
                f"{self.name} needs {', '.join(missing)}, got {', '.join(m) or 'nothing'}"
            )
        return self.of(*(m[term] for term in self.terms))  # type: ignore[no-any-return]


def gamma(norm: Array, dot: Array, square: Array) -> Array:
    """Divide E‖x̂‖² by E[x̂·x], but where that is not above 0 up to rounding: reconstructions then
    do not point along x at all."""
    return ratio_or_nan(norm, dot * (dot > 1e-6 * (norm * square) ** 0.5) * (square > 0))


def root(a: Array, b: Array) -> Array:
    """Take the root of a ratio of squares."""
    return ratio_or_nan(a, b) ** 0.5


def recovered(ablated: Array, spliced: Array, clean: Array = 0.0) -> Array:
    """Compute the share of an ablation's loss that is won back; of an ablation that does no harm
    nothing can be."""
    return ratio_or_nan(ablated - spliced, ablated - clean)


def _shares(name: str) -> Callable[[Array, float], Array]:
    return lambda firings, tokens: density_classes(firings, tokens)[name]


def _twin_share(firings: Array, tokens: float, twinned: Array) -> Array:
    on = float64(firings > 0)
    return ratio_or_nan((on * twinned).sum(-1), on.sum(-1))


AGAINST = (
    "reconstructions do not point along activations: the mean of their product is not shown to be "
    "above 0"
)
"""Why γ is undefined."""
HARMLESS = "ablation is not shown to cost anything here"
"""Why there is no share of an ablation's loss."""

L0 = Measure(
    "l0",
    "L0",
    "features",
    "features that are on, mean over tokens",
    "lower at equal FVU",
    ("active", "tokens"),
    ratio_or_nan,
)
FVU = Measure(
    "fvu", "FVU", "1", "Σ‖x − x̂‖² / Σ‖x − x̄‖²", "lower", ("error", "variance"), ratio_or_nan
)
EXPLAINED = Measure(
    "explained_variance",
    "explained variance",
    "1",
    "1 − FVU",
    "higher",
    FVU.terms,
    lambda *m: 1 - FVU.of(*m),
    -math.inf,
    1,
)
SQUARED_ERROR = Measure(
    "mse",
    "squared error",
    "squared activation",
    "mean of ‖x − x̂‖²",
    "lower",
    ("error", "tokens"),
    ratio_or_nan,
)
GAMMA = Measure(
    "gamma",
    "γ centred",
    "1",
    "E‖x̂ − x̄‖² / E[(x̂ − x̄)·(x − x̄)]",
    "nearer 1",
    ("norm", "dot", "variance"),
    gamma,
    undefined=AGAINST,
)
GAMMA_RAW = Measure(
    "gamma_raw",
    "γ raw",
    "1",
    "E‖x̂‖² / E[x̂·x]",
    "nearer 1",
    ("norm_raw", "dot_raw", "square_raw"),
    gamma,
    undefined=AGAINST,
)
NORM_RATIO = Measure(
    "norm_ratio",
    "norm ratio",
    "1",
    "√(E‖x̂ − x̄‖² / E‖x − x̄‖²)",
    "neither",
    ("norm", "variance"),
    root,
)
NORM_RATIO_RAW = Measure(
    "norm_ratio_raw",
    "norm ratio, raw",
    "1",
    "√(E‖x̂‖² / E‖x‖²)",
    "neither",
    ("norm_raw", "square_raw"),
    root,
)
FVU_OF = replace(FVU, name="fvu_of", label="FVU of one model", terms=("error_of", "variance_of"))
"""Of a crosscoder of two models."""
TABLE: tuple[Measure, ...] = (
    L0,
    FVU,
    EXPLAINED,
    SQUARED_ERROR,
    GAMMA,
    GAMMA_RAW,
    NORM_RATIO,
    NORM_RATIO_RAW,
    Measure(
        "ce_clean",
        "loss, clean",
        "nats",
        "mean −log p of the next token",
        "neither",
        ("ce_clean", "predictions"),
        ratio_or_nan,
    ),
    Measure(
        "ce_spliced",
        "loss, spliced",
        "nats",
        "mean −log p of the next token, with x̂ in place of x",
        "lower",
        ("ce_spliced", "predictions"),
        ratio_or_nan,
    ),
    Measure(
        "ce_increase",
        "loss added",
        "nats",
        "spliced − clean",
        "lower",
        ("ce_spliced", "ce_clean", "predictions"),
        lambda spliced, clean, predictions: ratio_or_nan(spliced - clean, predictions),
        -math.inf,
    ),
    Measure(
        "kl_spliced",
        "KL, spliced",
        "nats",
        "mean KL(clean ‖ spliced)",
        "lower",
        ("kl_spliced", "predictions"),
        ratio_or_nan,
    ),
    *(
        Measure(
            f"ce_{a}",
            f"loss, {a} ablated",
            "nats",
            f"mean −log p of the next token, under {a} ablation",
            "neither",
            (f"a_ce_{a}", "a_predictions"),
            ratio_or_nan,
        )
        for a in ABLATIONS
    ),
    *(
        Measure(
            f"loss_recovered_{a}",
            f"loss recovered ({a})",
            "1",
            "(ablated − spliced) / (ablated − clean)",
            "higher",
            (f"a_ce_{a}", "a_ce_spliced", "a_ce_clean"),
            recovered,
            -math.inf,
            undefined=HARMLESS,
        )
        for a in ABLATIONS
    ),
    *(
        Measure(
            f"kl_recovered_{a}",
            f"KL recovered ({a})",
            "1",
            "1 − KL spliced / KL ablated",
            "higher",
            (f"a_kl_{a}", "a_kl_spliced"),
            recovered,
            -math.inf,
            1,
            HARMLESS,
        )
        for a in ABLATIONS
    ),
    Measure(
        "dead",
        "dead features",
        "share of features",
        "on for no token",
        "lower",
        FIRINGS,
        _shares("dead"),
        high=1,
    ),
    *(
        Measure(
            name,
            f"{name.replace('_', '-')} features",
            "share of features",
            f"on for {often} of the tokens",
            "neither",
            FIRINGS,
            _shares(name),
            high=1,
        )
        for name, often in (
            ("ultra_rare", "less than 1e-5"),
            ("rare", "1e-5 to less than 1e-3"),
            ("ordinary", "1e-3 to 0.1"),
            ("dense", "more than 0.1"),
        )
    ),
    Measure(
        "twins",
        "features with a twin",
        "share of features",
        "of the features that are ever on, the share whose decoder row has a cosine above 0.9 with "
        "that of another such feature",
        "lower",
        TWINNED,
        _twin_share,
        high=1,
        undefined="no feature is on",
    ),
)
"""Every measure that an evaluation gives, in the order in which it prints them."""
