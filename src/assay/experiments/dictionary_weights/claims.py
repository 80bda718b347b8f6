"""What dictionary-weights claims: the statements, and how each value is computed from measures."""

from __future__ import annotations

from collections.abc import Callable

from assay.core import Arms, Claim, Finding
from assay.core.claims import rival, same_method
from assay.core.heavy import xr
from assay.core.measures import by
from assay.dictionaries.measuring.frontier import FRONTIER, FVU

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


def of_run(name: str) -> Callable[[xr.Dataset, Arms], xr.DataArray]:
    """[seed]: a measure of the arm."""
    return lambda arm, arms: by(arm)[name]


def beyond(name: str, other: str) -> Callable[[xr.Dataset, Arms], xr.DataArray]:
    """[seed]: a measure of the arm less that of another arm."""
    return lambda arm, arms: by(arm)[name] - by(arms[other])[name]


def less(name: str, other: str) -> Callable[[xr.Dataset, Arms], xr.DataArray]:
    """[seed]: a measure of the arm less another of its measures."""
    return lambda arm, arms: by(arm)[name] - by(arm)[other]


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
CLAIMS = (
    Claim(
        text=(
            "Features are dense over neurons: on geometric average one needs at least 11 of them "
            "for 90 % of its squared length"
        ),
        value=of_run("row_k90"),
        low=11,
        scale="log",
        unit="neurons",
        half=HALF,
        must_fail=("shuffled", "identity"),
        near={
            "shuffled": (
                "dictionaries are dense even where neurons are independent and are the features"
            )
        },
        credits="rows",
        also=DENSE | {"permuted": STANDS_OUT["permuted"]},
        threshold_from="paper: more than 10 neurons, Nanda 2023, second-hand",
        published="new",
        source=f"{SEED}; {NANDA}",
    ),
    Claim(
        text=(
            "The neuron basis stands out all the same: rows' excess kurtosis is on average at "
            "least 0.5 above that of the same rows turned"
        ),
        value=beyond("row_kurtosis", "rotated"),
        low=0.5,
        unit="excess kurtosis",
        half=HALF,
        must_fail=("rotated-again", "start", "frozen-decoder", "soft-frozen", "untrained"),
        near={
            "frozen-decoder": (
                "neurons differ in variance, and random rows spread as activations are show it"
            ),
            "soft-frozen": "small steps from random rows are enough",
            "untrained": "the non-linearity gives it without training",
        },
        must_hold=("planted",),
        threshold_from=PLAN,
        published="new",
        source=f"{SEED}; {NANDA}, kurtosis",
        credits="rows",
        also=STANDS_OUT,
    ),
    Claim(
        text=(
            "Learned rows do it: their excess kurtosis is on average at least 1 above that of "
            "random rows spread as the activations are"
        ),
        value=beyond("row_kurtosis", "frozen-decoder"),
        low=1.0,
        unit="excess kurtosis",
        half=HALF,
        must_fail=("soft-frozen", "untrained", "start"),
        near={
            "soft-frozen": "small steps from random rows are enough",
            "untrained": "the non-linearity gives it without training",
        },
        must_hold=("planted",),
        threshold_from="pilot: seeds 0 and 1, 3.3 and 4.0; soft-frozen below 0",
        published="new",
        source=f"{SEED}; {NANDA}, kurtosis",
        credits="rows",
        also=STANDS_OUT,
    ),
    Claim(
        text=(
            "Read by neuron the matrix shows nothing that its rows do not imply: a column's Gini "
            "coefficient is at most 0.05 above permuted rows'"
        ),
        value=less("column_gini", "column_gini_permuted"),
        high=0.05,
        unit="Gini coefficient, median over neurons",
        half=HALF,
        must_fail=("planted",),
        near={"planted": "the measure sees no structure of columns, whatever there is"},
        violations=("planted",),
        threshold_from=PLAN,
        published="new",
        source=SEED,
        credits="columns",
        also=DENSE
        | {
            "identity": rival("each row and each column has one entry"),
            "shuffled": same_method("rows imply the columns where neurons are the features"),
        },
    ),
    Claim(
        text=(
            "One neuron needs many features: on geometric average at least 10 of them for 90 % of "
            "what features put into it"
        ),
        value=of_run("use_k90"),
        low=10,
        scale="log",
        unit="features",
        half=HALF,
        must_fail=("shuffled", "identity", "planted"),
        near={
            "shuffled": "many features write to a neuron even where neurons are independent",
            "planted": "use alone spreads a neuron over features",
        },
        published="new",
        source=SEED,
        credits="columns",
        also=DENSE,
        threshold_from=(
            "plan: set before any pilot; the median's place was taken by the geometric mean after "
            "the first look"
        ),
    ),
    Claim(
        text="Features are more readable than neurons: a rule on tokens tells where a feature "
        "fires at least 0.05 better than where a neuron does "
        "that fires as often",
        value=less("told", "told_neurons"),
        low=0.05,
        unit="balanced accuracy",
        half=HALF,
        must_fail=("frozen-decoder", "soft-frozen", "frozen-encoder", "untrained", "start"),
        near={
            "frozen-decoder": "an encoder learned around random directions is enough",
            "soft-frozen": "small steps from random rows are enough",
            "frozen-encoder": "the largest of random directions are enough",
            "untrained": "the text and an untrained model give it",
        },
        must_hold=("planted-features",),
        threshold_from=PLAN,
        published="new",
        source=f"{SEED}; {PAULO}",
        also=WIDE,
    ),
    *(
        Finding(
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
        Finding(
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
    Finding(
        text="Weighted by use, a column's Gini coefficient above permuted rows': main",
        unit="Gini coefficient, median over neurons",
        source=SEED,
        value=lambda arms: less("use_gini", "use_gini_permuted")(arms["main"], arms),
    ),
    *(
        Finding(
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
