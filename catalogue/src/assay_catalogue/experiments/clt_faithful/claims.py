"""What clt-faithful claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

from functools import partial

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Value, by, by_level, figure
from assay.core.claims import rival, same_method
from assay.core.heavy import xr
from assay.core.sizes import Sizes

POST = "Lange et al. 2026, Cross-Layer Transcoders are incentivized to learn Unfaithful Circuits"
OURS = "Assay's own: the same dictionaries on a circuit that is known"
JUDGED = 0.1
"""The penalty at which arms are compared: errors are below a hundredth of the variance there."""
LEAST = (
    "theory: half of 1/4, the least of any exact dictionary with as few features on as there can "
    "be; set before the pilot"
)
SHRINKS = (
    "a faithful dictionary under this penalty responds with 1 − λ of an answer, so .10 are "
    "shrinkage"
)
HALFWAY = (
    "theory: half of 1/2, the least of any exact dictionary with as few features on as there can "
    "be; set before the pilot"
)


def judged(arm: xr.Dataset, name: str) -> xr.DataArray:
    """[seed, …]: a measure at the judged penalty, or at the only one that an arm has."""
    spread = by(arm, "penalty")[name]
    return (
        spread.sel(penalty=JUDGED, drop=True)
        if JUDGED in spread.penalty
        else spread.isel(penalty=-1, drop=True)
    )


def judged_at(sizes: Sizes) -> float:
    """The penalty of which `judged` speaks: where no run has it, the largest that is trained."""
    penalties = sizes("main", "penalty")
    return JUDGED if JUDGED in penalties else penalties[-1]


def measure_of(name: str) -> Value:
    """A value [seed]: a measure at the judged penalty."""
    return lambda arm, arms: judged(arm, name)


def astray_at_small_error(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: how far responses are from the model's; NaN where the FVU is a tenth or more, as
    nothing else is expected where little is reconstructed."""
    return judged(arm, "astray").where(judged(arm, "fvu") < 0.1)


def by_sparsity(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: by how much what first-layer features are credited with at the judged penalty exceeds
    that at the smallest."""
    return judged(arm, "credited") - by(arm, "penalty").credited.isel(penalty=0, drop=True)


def beyond(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: how much farther an arm goes astray than per-layer transcoders of the same circuit
    and seed at the same FVU.

    NaN where their sweep has no such FVU.
    """
    astray, fvu = judged(arm, "astray"), judged(arm, "fvu")
    other = by(arms["plt-one-hop" if arm.attrs["hops"] == 1 else "plt"], "penalty").sel(
        seed=astray.seed
    )
    nan = np.nan
    level = [
        np.interp(np.log(max(value, 1e-12)), *sweep(other.isel(seed=i)), left=nan, right=nan)
        for i, value in enumerate(fvu.values)
    ]
    return astray - astray.copy(data=np.array(level))  # type: ignore[return-value]


def sweep(arm: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """(log FVU rising, astray) along one seed's penalties."""
    order = np.argsort(arm.fvu.values)
    return np.log(np.maximum(arm.fvu.values[order], 1e-12)), arm.astray.values[order]


NO_RESPONSE = 1.0
"""How far a replacement that does not respond at all is from a model that does, in answers."""
ELSEWHERE = same_method("the same penalty, begun elsewhere")
BEGUN = dict.fromkeys(("from-faithful", "from-faithful-half", "from-rewritten"), ELSEWHERE)
SATURATING = {"tanh": rival("a saturating penalty on the same lengths")}
UNDIRECTED = {
    "dense": rival("without sparsity nothing tells which layer is to write"),
    "one-hop": rival("its second layer needs no first one"),
}
RANDOM = dict.fromkeys(
    ("dense", "summed"), rival("begun at random, and nothing tells which layer is to write")
)
STAYS = "the faithful dictionary, which nothing moves"
SHRUNK = {"summed-faithful": rival("the faithful dictionary, shrunken")}
claim = partial(Claim, source=OURS, published="new")
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        text="A cross-layer transcoder rewrites two hops as one: it credits features of the first "
        "layer with at least an eighth of the second hop, of which in truth they write nothing",
        value=measure_of("credited"),
        low=1 / 8,
        unit="share of the second hop",
        must_fail=("exchanged", "faithful", "plt", "shuffled", "untrained"),
        near={
            "exchanged": (
                "cross-layer rows as such: there the first layer cannot know the first hop's value"
            )
        },
        must_hold=("rewritten",),
        also={
            **BEGUN,
            **SATURATING,
            **UNDIRECTED,
            "summed": rival("without a reward nothing speaks against it"),
        },
        half={"main": "half"},
        threshold_from=LEAST,
        source=POST,
    ),
    claim(
        text="Sparsity rewards it: begun at the faithful dictionary, training at λ = {judged} "
        "ends with at least an eighth of the second hop credited to the first layer",
        of="from-faithful",
        value=measure_of("credited"),
        low=1 / 8,
        unit="share of the second hop",
        near={
            "unmoved": "training as such: the same without a penalty",
            "summed-faithful": "any penalty: rows to both layers paid one by one",
        },
        must_hold=("rewritten",),
        also={
            **dict.fromkeys(("main", "half", "from-rewritten"), ELSEWHERE),
            **SATURATING,
            **UNDIRECTED,
            "summed": rival("begun at random, where nothing speaks against it"),
        },
        half={"from-faithful": "from-faithful-half"},
        threshold_from=LEAST,
        source=POST,
    ),
    claim(
        text="The more sparsity, the more is rewritten: at λ = {judged} the first layer is "
        "credited with at least an eighth more of the second hop than without a penalty",
        value=by_sparsity,
        low=1 / 8,
        unit="share of the second hop",
        must_fail=("summed", "exchanged"),
        near={"summed": "any penalty: rows to both layers paid one by one"},
        half={"main": "half"},
        also={
            "from-faithful": same_method(
                "begun elsewhere, from the smallest penalty of its sweep on"
            )
        },
        threshold_from="pilot: seeds 0–7, .58; the bar of the first claim",
        source=POST,
    ),
    claim(
        text="The replacement model is unfaithful: where the first hop is exchanged, its response "
        "is at least a quarter of an answer farther "
        "from the model's than that of per-layer transcoders at the same FVU",
        value=beyond,
        low=1 / 4,
        unit="answers",
        must_fail=("summed-faithful", "one-hop", "exchanged"),
        near={
            "summed-faithful": "cross-layer rows as such",
            "one-hop": "a second step that needs no first one",
        },
        must_hold=("rewritten",),
        also={**BEGUN, **SATURATING, **RANDOM},
        half={"main": "half", "plt": "plt-half"},
        threshold_from=HALFWAY,
    ),
    claim(
        text="Trained where the first hop comes from another input, a cross-layer transcoder "
        "follows the model: its response is at most 0.2 of "
        "an answer away, twice what shrinkage explains",
        of="exchanged",
        value=measure_of("astray"),
        high=0.2,
        empty=NO_RESPONSE,
        unit="answers",
        must_fail=("main", "plt", "rewritten"),
        near={
            "main": "features enough and training enough",
            "plt": "features that write to their own layer alone",
        },
        also={
            "unmoved": rival(STAYS),
            **SHRUNK,
            **dict.fromkeys(("one-hop", "plt-one-hop"), rival("there is no response to follow")),
        },
        half={"exchanged": "exchanged-half"},
        threshold_from=f"pilot: seeds 0–7, .103; {SHRINKS}",
    ),
    claim(
        text="Per-layer transcoders are not faithful either: those with an FVU below 0.1 respond "
        "to an exchanged first hop at least 0.2 of an answer away from the model, "
        "twice what shrinkage explains",
        of="plt",
        value=astray_at_small_error,
        low=0.2,
        unit="answers",
        must_fail=("summed-faithful", "exchanged", "faithful"),
        near={
            "summed-faithful": "shrinkage by the same penalty",
            "exchanged": "features that are too few or too little trained",
        },
        must_hold=("rewritten",),
        also={
            **dict.fromkeys(BEGUN, rival("cross-layer, begun elsewhere")),
            **SATURATING,
            **RANDOM,
            **dict.fromkeys(("main", "half"), rival("the method of the other claims")),
        },
        half={"plt": "plt-half"},
        threshold_from=f"pilot: seeds 0–7, .31; {SHRINKS}",
    ),
)


def at_start(arm: str, name: str, expected: float, text: str) -> Exact:
    """What is known of a known dictionary."""
    return Exact(
        text=text,
        value=lambda arms: (
            arms[arm][name].sum([d for d in arms[arm][name].dims if d != "run"]).values
        ),
        expected=expected,
        tolerance=1e-5,
        source="arithmetic over the 32 inputs",
    )


EXACT = (
    at_start(
        "known-faithful",
        "active",
        3 / 4,
        (
            "The faithful dictionary has 3/4 of a feature on per input: x₁ ∧ x₂ a quarter, the "
            "answer a half"
        ),
    ),
    at_start(
        "known-rewritten",
        "active",
        5 / 8,
        (
            "The rewritten one has 5/8, the least there can be: either write differs from its "
            "commonest value"
        ),
    ),
    at_start(
        "known-faithful", "cost", 3 / 4, "With rows side by side the faithful dictionary costs 3/4"
    ),
    at_start(
        "known-rewritten",
        "cost",
        (4 + 2**0.5) / 8,
        "With rows side by side the rewritten one costs (4 + √2)/8, a tenth less",
    ),
    at_start(
        "known-rewritten", "fvu", 0.0, "It reconstructs what both MLPs write without error: FVU"
    ),
    at_start(
        "known-rewritten",
        "apart",
        0.0,
        "With both MLPs replaced by it all answers are right: distance of the second write",
    ),
    at_start(
        "known-rewritten", "credited", 1.0, "It credits the first layer with the whole second hop"
    ),
    at_start(
        "known-rewritten",
        "astray",
        1.0,
        "An exchanged first hop does nothing in it: response away from the model's, in answers",
    ),
    at_start("known-faithful", "astray", 0.0, "The faithful dictionary responds as the model does"),
    Exact(
        text="Paid for one by one, rows to later layers bring no reward: begun at the faithful "
        "dictionary, training credits the first layer with nothing of the second hop",
        value=lambda arms: judged(arms["summed-faithful"], "credited").values,
        tolerance=1e-9,
        source="theory: paid for one by one, both known dictionaries cost 3/4",
    ),
)


def make_finding(text: str, arm: str, name: str, unit: str) -> Estimate:
    """A Estimate: a measure of an arm at the judged penalty."""

    def value(arms: Arms) -> xr.DataArray:
        values = judged(arms[arm], name)
        return values.sum("layer") if "layer" in values.dims else values

    return Estimate(text=text, value=value, unit=unit, published="new")


TOLD = {
    "main": "cross-layer",
    "plt": "per-layer",
    "summed": "cross-layer, rows paid one by one",
    "exchanged": "cross-layer, first hop exchanged in training",
    "tanh": "cross-layer, a penalty that saturates (tanh)",
    "from-faithful": "cross-layer, begun at the faithful dictionary",
    "from-rewritten": "cross-layer, begun at the rewritten one",
}
FINDINGS = tuple(
    make_finding(f"{label}: {what}", arm, name, unit)
    for what, name, unit, arms in (
        ("FVU at λ = {judged}", "fvu", "FVU", ("main", "plt")),
        ("features on per input at λ = {judged}", "active", "features", ("main", "plt", "summed")),
        (
            "what the features cost, by joined rows, at λ = {judged}",
            "cost",
            "length",
            ("main", "plt", "summed"),
        ),
        (
            "second hop credited to the first layer",
            "credited",
            "share of the second hop",
            ("main", "summed", "tanh", "from-faithful", "from-rewritten"),
        ),
        (
            "response to an exchanged first hop, away from the model's",
            "astray",
            "answers",
            tuple(TOLD),
        ),
        (
            "share of the model's response that it follows",
            "followed",
            "share",
            ("main", "plt", "exchanged"),
        ),
        (
            "distance of the second write with both MLPs replaced",
            "apart",
            "answers",
            ("main", "plt"),
        ),
    )
    for arm, label in TOLD.items()
    if arm in arms
)


ARMS = {
    "main": "cross-layer",
    "summed": "cross-layer, rows paid one by one",
    "plt": "per-layer",
    "exchanged": "cross-layer, first hop exchanged",
}
"""Whose sweeps are drawn, and what they are called."""


def figures(arms: Arms) -> list[Figure]:
    """How far responses go astray along the penalty."""
    rows = [
        (p, values, label)
        for arm, label in ARMS.items()
        for p, values in by_level(by(arms[arm], "penalty").astray, "penalty")
        if p > 0
    ]
    return [
        figure(
            "How far the replacement's response to an exchanged first hop is from the model's",
            "line",
            {"penalty": "x", "mean": "mean", "dictionary": "color"},
            rows,
            x_log=True,
            x_title="λ",
            y_title="answers away",
            rules=((1.0, "no response at all"),),
            note="Mean and 95% t interval over seeds. The circuit's own dictionary is at 0.",
        )
    ]
