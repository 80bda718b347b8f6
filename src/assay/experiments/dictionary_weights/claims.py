"""What dictionary-weights claims: the statements, and how each value is computed from measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from assay.core import Arms, Claim, Finding
from assay.core.measures import by
from assay.dictionaries.measuring.frontier import FRONTIER, FVU

SEED = "nostalgebraist, remarks on Towards Monosemanticity: the whole matrix may be dense, also when it is read by neuron"
BRICKEN = "Bricken et al. 2023, Towards Monosemanticity, The feature is not a neuron"
NANDA = "Nanda 2023, Open Source Replication & Commentary on Anthropic's Dictionary Learning Paper"
PLAN = "plan: set before any pilot"


def over(name: str, how: str, part: str) -> Callable[[xr.Dataset, Arms], xr.DataArray]:
    """[seed]: the mean, the geometric mean or the median of a measure over live features or over neurons."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        x = by(arm)[name]
        if how == "geometric mean":
            return np.exp(np.log(x).mean(part))
        return x.mean(part) if how == "mean" else x.median(part)

    return value


def more_than_ten(arms: Arms) -> xr.DataArray:
    """[seed]: the share of live features that need more than ten neurons."""
    k90 = by(arms["main"]).row_k90
    return (k90 > 10).where(k90.notnull()).mean("feature")


def privileged(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: mean excess kurtosis of features' rows, less that of main's dictionary turned as a whole."""
    kurtosis = over("row_kurtosis", "mean", "feature")
    return kurtosis(arm, arms) - kurtosis(arms["rotated"], arms)


def beyond_frozen(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: mean excess kurtosis of features' rows, less that of random rows spread as the activations are."""
    kurtosis = over("row_kurtosis", "mean", "feature")
    return kurtosis(arm, arms) - kurtosis(arms["frozen-decoder"], arms)


def by_neuron(measure: str) -> Callable[[xr.Dataset, Arms], xr.DataArray]:
    """[seed]: the median over neurons of a measure of columns, less the same with each row's entries permuted."""
    return lambda arm, arms: over(measure, "median", "neuron")(arm, arms) - over(f"{measure}_permuted", "median", "neuron")(arm, arms)


def rows_as(named: Sequence[str]) -> dict[str, str]:
    """Reasons of arms whose rows are dense for reasons of their own."""
    why = {
        "rotated": "turned, any row is dense", "rotated-again": "turned, any row is dense", "permuted": "its rows have the same entries",
        "planted": "planted rows are half dense", "frozen-decoder": "its rows are random, so dense",
        "soft-frozen": "its rows are near random ones", "frozen-encoder": "density over neurons is not credited to the encoder",
        "start": "random rows are dense", "wide": "the same with more features",
        "untrained": "the claim is about dictionaries, not about what the model learned",
    }  # fmt: skip
    return {name: why[name] for name in named}


EVERY = ("rotated", "rotated-again", "permuted", "frozen-decoder", "soft-frozen", "frozen-encoder", "start", "wide", "untrained")
HALF = {"main": "half"}
SHOWN = {
    "main": "main", "frozen-decoder": "frozen decoder", "soft-frozen": "soft-frozen decoder", "frozen-encoder": "frozen encoder",
    "untrained": "untrained model", "shuffled": "independent neurons", "random": "random rows",
}  # fmt: skip
"""The arms of which findings are told, and what they are called."""
NO_STRUCTURE = dict.fromkeys(
    ("rotated", "rotated-again", "permuted", "frozen-decoder", "soft-frozen", "start"), "nothing in its columns was learned"
)
CLAIMS = (
    Claim(
        text="Features are dense over neurons: on geometric average one needs at least 11 of them for 90 % of its squared length",
        value=over("row_k90", "geometric mean", "feature"), low=11, scale="log", unit="neurons", half=HALF,
        must_fail=("shuffled", "identity"), near={"shuffled": "dictionaries are dense even where neurons are independent and are the features"},
        must_hold=("random",), also=rows_as((*EVERY, "planted")),
        threshold_from="paper: more than 10 neurons, Nanda 2023, second-hand", published="new", source=f"{SEED}; {NANDA}",
    ),
    Claim(
        text="The neuron basis stands out all the same: rows' excess kurtosis is on average at least 0.5 above that of the same rows turned",
        value=privileged, low=0.5, unit="excess kurtosis", half=HALF,
        must_fail=("rotated-again", "start", "frozen-decoder", "soft-frozen", "untrained"),
        near={"frozen-decoder": "neurons differ in variance, and random rows spread as activations are show it",
              "soft-frozen": "small steps from random rows are enough", "untrained": "the non-linearity gives it without training"},
        must_hold=("planted",), threshold_from=PLAN, published="new", source=f"{SEED}; {NANDA}, kurtosis",
        also={"wide": "the same with more features", "permuted": "its rows have the same entries",
              "shuffled": "neurons are the features there", "identity": "neurons are its features", "frozen-encoder": "its decoder is learned"},
    ),
    Claim(
        text="Learned rows do it: their excess kurtosis is on average at least 1 above that of random rows spread as the activations are",
        value=beyond_frozen, low=1.0, unit="excess kurtosis", half=HALF, must_fail=("soft-frozen", "untrained", "start"),
        near={"soft-frozen": "small steps from random rows are enough", "untrained": "the non-linearity gives it without training"},
        must_hold=("planted",), threshold_from="pilot: seeds 0 and 1, 3.3 and 4.0; soft-frozen below 0", published="new",
        source=f"{SEED}; {NANDA}, kurtosis",
        also={"wide": "the same with more features", "permuted": "its rows have the same entries", "shuffled": "neurons are the features there",
              "identity": "neurons are its features", "frozen-encoder": "its decoder is learned"},
    ),
    Claim(
        text="Read by neuron the matrix shows nothing that its rows do not imply: a column's Gini coefficient is at most 0.05 above permuted rows'",
        value=by_neuron("column_gini"), high=0.05, unit="Gini coefficient, median over neurons", half=HALF,
        must_fail=("planted",), near={"planted": "the measure sees no structure of columns, whatever there is"}, must_hold=("random",),
        threshold_from=PLAN, published="new", source=SEED,
        also=NO_STRUCTURE | {"wide": "the same with more features", "frozen-encoder": "its decoder is learned",
                             "identity": "each row and each column has one entry", "untrained": "the claim is about dictionaries",
                             "shuffled": "rows imply the columns where neurons are the features"},
    ),
    Claim(
        text="One neuron needs many features: for 90 % of what features put into it, at least 10 of them in the median",
        value=over("use_k90", "median", "neuron"), low=10, scale="log", unit="features, median over neurons", half=HALF,
        must_fail=("shuffled", "identity", "planted"),
        near={"shuffled": "many features write to a neuron even where neurons are independent",
              "planted": "use alone spreads a neuron over features"},
        must_hold=("random",), threshold_from=PLAN, published="new", source=SEED, also=rows_as(EVERY),
    ),
    *(Finding(
        text=f"{what}: {label}", value=lambda arms, arm=arm, name=name, how=how, part=part: over(name, how, part)(arms[arm], arms), unit=unit,
        source=source,
    ) for what, name, how, part, unit, source in (
        ("Neurons for 90 % of a feature's length, median", "row_k90", "median", "feature", "neurons", NANDA),
        ("Excess kurtosis of rows", "row_kurtosis", "mean", "feature", "1", NANDA),
        ("Entries of at least 0.1 in a row of length 1", "row_large", "mean", "feature", "neurons", BRICKEN),
        ("Features for 90 % of what is put into a neuron, median", "use_k90", "median", "neuron", "features", SEED),
        ("Gini coefficient of rows, median", "row_gini", "median", "feature", "Gini coefficient", SEED),
        ("Gini coefficient of columns, median", "column_gini", "median", "neuron", "Gini coefficient", SEED),
    ) for arm, label in SHOWN.items()),
    Finding(
        text="Share of live features that need more than ten neurons for 90 % of their squared length: main", value=more_than_ten,
        unit="share of features", source=NANDA,
    ),
    Finding(
        text="Excess kurtosis of rows in units of each neuron's standard deviation: main",
        value=lambda arms: over("row_kurtosis_scaled", "mean", "feature")(arms["main"], arms), unit="1", source=NANDA,
    ),
    Finding(
        text="Weighted by use, a column's Gini coefficient above permuted rows': main",
        value=lambda arms: by_neuron("use_gini")(arms["main"], arms), unit="Gini coefficient, median over neurons", source=SEED,
    ),
    *(Finding(
        text=f"FVU: {label}", value=lambda arms, arm=arm: dict(by(arms[arm])[list(FRONTIER)].items()), statistic=FVU,
        units=("seed", "document"), unit="FVU",
    ) for arm, label in SHOWN.items() if arm not in ("permuted", "random")),
)  # fmt: skip
