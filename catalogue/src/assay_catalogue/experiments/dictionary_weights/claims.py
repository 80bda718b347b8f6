"""What dictionary-weights claims, and its picture: the statements, and how each value is computed
from measures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from assay.core import Arms, Claim, Estimate, Figure, by, by_level, figure
from assay.core.claims import rival, same_method
from assay.core.heavy import xr
from assay_catalogue.dictionaries.frontier import FRONTIER, FVU

SEED = (
    "nostalgebraist, remarks on Towards Monosemanticity: the whole matrix may be dense, also when "
    "it is read by neuron"
)
BRICKEN = "Bricken et al. 2023, Towards Monosemanticity, The feature is not a neuron"
NANDA = "Nanda 2023, Open Source Replication & Commentary on Anthropic's Dictionary Learning Paper"
PAULO = (
    "Paulo et al. 2024 (arXiv:2410.13928): features of sparse autoencoders are more interpretable "
    "than neurons; abstract read"
)
PLAN = "plan: set before any pilot"


def beyond(name: str, other: str) -> Callable[[xr.Dataset, Arms], xr.DataArray]:
    """[seed]: a measure of the arm less that of another arm."""
    return lambda arm, arms: by(arm)[name] - by(arms[other])[name]


def less(name: str, other: str) -> Callable[[xr.Dataset, Arms], xr.DataArray]:
    """[seed]: a measure of the arm less another of its measures."""
    return lambda arm, arms: by(arm)[name] - by(arm)[other]


def times(name: str, other: str) -> Callable[[xr.Dataset, Arms], xr.DataArray]:
    """[seed]: a measure of the arm in units of another of its measures."""
    return lambda arm, arms: by(arm)[name] / by(arm)[other]


def lead(arm: xr.Dataset) -> xr.DataArray:
    """[seed]: how much better rules tell features than neurons."""
    return by(arm).told - by(arm).told_neurons


WIDE = {"wide": same_method("the same with more features")}
DENSE = WIDE | {
    "frozen-encoder": rival("density over neurons is not credited to the encoder"),
    "untrained": same_method("the claim is about dictionaries, not about what the model learned"),
}
"""Other arms whose decoder was learned, which may be as dense."""
STANDS_OUT = WIDE | {
    "permuted": same_method("its rows have the same entries"),
    "shuffled": same_method("neurons are the features there"),
    "identity": rival("neurons are its features"),
    "frozen-encoder": rival("its decoder is learned"),
}
"""Other arms whose rows were learned, and may stand out as much."""
RANDOM_ROWS = {
    "frozen-decoder": "an encoder learned around rows spread as the activations are is enough",
    "soft-frozen": "small steps from random rows are enough",
    "random": "rows of no law at all are as much denser",
    "shuffled": "dictionaries are as dense where neurons are independent and are the features",
}
SPREAD = (
    "pilot: seeds 0 and 1, isotropic rows, as dense as random ones get, need 1.05 times as many"
)
HALF = {"main": "half"}
SHOWN = {
    "main": "main",
    "frozen-decoder": "frozen decoder",
    "soft-frozen": "soft-frozen decoder",
    "frozen-encoder": "frozen encoder",
    "untrained": "untrained model",
    "shuffled": "independent neurons",
    "random": "random rows",
}
"""The arms of which findings are told, and what they are called."""
READ = {name: label for name, label in SHOWN.items() if name not in ("shuffled", "random")} | {
    "start": "dictionary before training"
}
"""The arms in which rules are learned."""
claim = partial(Claim, half=HALF, published="new")
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        text="Features are denser than random rows spread as the activations are: on geometric "
        "average one needs at least 1.1 times as many neurons for 90 % of its squared length",
        value=times("row_k90", "row_k90_spread"),
        low=1.1,
        scale="log",
        unit="times as many",
        must_fail=("frozen-decoder", "soft-frozen", "random", "shuffled", "identity"),
        near=RANDOM_ROWS,
        credits="rows",
        also=DENSE | {"permuted": STANDS_OUT["permuted"]},
        threshold_from=SPREAD,
        source=f"{SEED}; {NANDA}",
    ),
    claim(
        text="The neuron basis stands out all the same, however neurons vary: in units of their "
        "deviations rows' excess kurtosis is on average at least 0.5 above that of the same "
        "rows turned",
        value=beyond("row_kurtosis_scaled", "rotated"),
        low=0.5,
        unit="excess kurtosis",
        must_fail=("rotated-again", "start", "frozen-decoder", "soft-frozen", "untrained"),
        near={
            "frozen-decoder": "neurons differ in variance, as random rows do then",
            "soft-frozen": "small steps from random rows are enough",
            "untrained": "the non-linearity gives it without training",
        },
        must_hold=("planted",),
        threshold_from=PLAN,
        source=f"{SEED}; {NANDA}, kurtosis",
        credits="rows",
        also=STANDS_OUT,
    ),
    claim(
        text="Learned rows do it: their excess kurtosis is on average at least 1 above that of "
        "random rows spread as the activations are",
        value=beyond("row_kurtosis", "frozen-decoder"),
        low=1.0,
        unit="excess kurtosis",
        must_fail=("soft-frozen", "untrained", "start"),
        near={
            "soft-frozen": "small steps from random rows are enough",
            "untrained": "the non-linearity gives it without training",
        },
        must_hold=("planted",),
        threshold_from="pilot: seeds 0 and 1, 3.3 and 4.0; soft-frozen below 0",
        source=f"{SEED}; {NANDA}, kurtosis",
        credits="rows",
        also=STANDS_OUT,
    ),
    claim(
        text="Read by neuron the matrix shows nothing that its rows do not imply: a column's Gini "
        "coefficient lies within 0.05 of permuted rows'",
        value=less("column_gini", "column_gini_permuted"),
        low=-0.05,
        high=0.05,
        unit="Gini coefficient, median over neurons",
        must_fail=("planted", "planted-few"),
        near={"planted-few": "the measure sees no structure of columns, whatever there is"},
        violations=("planted", "planted-few"),
        threshold_from=PLAN,
        source=SEED,
        credits="columns",
        also=DENSE
        | {
            "identity": rival("each row and each column has one entry"),
            "shuffled": same_method("rows imply the columns where neurons are the features"),
        },
    ),
    claim(
        text="A neuron needs more features than of random rows spread as the activations are: on "
        "geometric average at least 1.1 times as many for 90 % of what is put into it",
        value=times("use_k90", "use_k90_spread"),
        low=1.1,
        scale="log",
        unit="times as many",
        must_fail=("frozen-decoder", "soft-frozen", "random", "shuffled", "identity", "planted"),
        near=RANDOM_ROWS | {"planted": "use alone spreads a neuron over features"},
        source=SEED,
        credits="columns",
        also=DENSE,
        threshold_from=SPREAD,
    ),
    claim(
        text="Learned directions make features readable: how much better a rule on tokens tells "
        "where they fire than where neurons do that fire as often is at least 0.05 above what it "
        "is with a soft-frozen decoder",
        value=lambda arm, arms: lead(arm) - lead(arms["soft-frozen"]),
        low=0.05,
        unit="balanced accuracy",
        must_fail=("frozen-decoder", "frozen-encoder", "untrained", "start"),
        near={
            "frozen-decoder": "an encoder learned around random directions is enough",
            "frozen-encoder": "the largest of random directions are enough",
            "untrained": "the text and an untrained model give it",
        },
        must_hold=("planted-features",),
        threshold_from=PLAN,
        source=f"{SEED}; {PAULO}",
        also=WIDE,
    ),
    *(
        Estimate(
            text=f"{what}: {label}",
            value=lambda arms, arm=arm, name=name: by(arms[arm])[name],
            unit=unit,
            source=source,
        )
        for what, name, unit, source, labels in (
            (
                "Neurons for 90 % of a feature's length, median",
                "row_k90_median",
                "neurons",
                NANDA,
                SHOWN,
            ),
            ("Excess kurtosis of rows", "row_kurtosis", "1", NANDA, SHOWN),
            (
                "Entries of at least 0.1 in a row of length 1",
                "row_large",
                "neurons",
                BRICKEN,
                SHOWN,
            ),
            (
                "Features for 90 % of what is put into a neuron, median",
                "use_k90_median",
                "features",
                SEED,
                SHOWN,
            ),
            ("Gini coefficient of rows, median", "row_gini", "Gini coefficient", SEED, SHOWN),
            ("Gini coefficient of columns, median", "column_gini", "Gini coefficient", SEED, SHOWN),
            ("How well a rule tells a feature", "told", "balanced accuracy", PAULO, READ),
            (
                "How well a rule tells neurons that fire as often",
                "told_neurons",
                "balanced accuracy",
                PAULO,
                READ,
            ),
        )
        for arm, label in labels.items()
    ),
    *(
        Estimate(
            text=f"{what}: main",
            value=lambda arms, name=name: by(arms["main"])[name],
            unit=unit,
            source=source,
        )
        for what, name, unit, source in (
            (
                (
                    "Share of live features that need more than ten neurons for 90 % of their "
                    "squared length"
                ),
                "row_over_ten",
                "share of features",
                NANDA,
            ),
            (
                "Excess kurtosis of rows in units of each neuron's standard deviation",
                "row_kurtosis_scaled",
                "1",
                NANDA,
            ),
        )
    ),
    Estimate(
        text="Weighted by use, a column's Gini coefficient above permuted rows': main",
        unit="Gini coefficient, median over neurons",
        source=SEED,
        value=lambda arms: less("use_gini", "use_gini_permuted")(arms["main"], arms),
    ),
    *(
        Estimate(
            text=f"FVU: {label}",
            value=lambda arms, arm=arm: dict(by(arms[arm])[list(FRONTIER)].items()),
            statistic=FVU,
            units=("seed", "document"),
            unit="FVU",
        )
        for arm, label in SHOWN.items()
        if arm != "random"
    ),
)


CURVES = {
    "main": "learned",
    "frozen-decoder": "frozen decoder",
    "soft-frozen": "soft-frozen decoder",
    "untrained": "untrained model",
    "shuffled": "independent neurons",
    "random": "random rows",
    "planted": "planted columns",
}


def figures(arms: Arms) -> list[Figure]:
    labels = {name: label for name, label in CURVES.items() if name in arms}
    return [
        figure(
            "Read by feature: how few neurons carry a row",
            "line",
            {"arm": "color", "share": "x", "held": "y"},
            slice_curves(arms, labels, "row_curve"),
            x_title="share of neurons, largest first",
            y_title="share of its squared length in the largest of them",
            note="Mean over live features and seeds, the largest quarter. Entries of one size "
            "would give a straight line to a quarter.",
        )
    ]


def slice_curves(arms: Arms, labels: dict[str, str], measure: str) -> list[tuple]:
    """Rows: the mean cumulative share over seeds at each rank."""
    rows = []
    for name, label in labels.items():
        held = by(arms[name])[measure].mean("seed")
        rows += [(label, rank, float(x)) for rank, [x] in by_level(held, "rank")]
    return rows
