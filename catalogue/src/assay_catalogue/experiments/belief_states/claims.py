"""What belief-states claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Gate, Published, Value, figure
from assay.core.claims import same_method
from assay.core.heavy import scipy, xr
from assay_catalogue.experiments.belief_states.method import SHOWN, WINDOWS
from assay_catalogue.experiments.belief_states.probes import HELD_OUT, judged_probe, prefixes_of
from assay_catalogue.features.linear_probe import distance_r2
from assay_catalogue.worlds.hidden_markov.process import PrefixTree, explained, joint

PAPER = "Shai et al. 2024, Transformers represent belief state geometry in their residual stream"
ROHIN = (
    "Shah 2024, comment on Transformers Represent Belief State Geometry in their Residual Stream"
)
PILOT = "pilot: seeds 0–5"


def select_missing(arm: xr.Dataset, protocol: str, probe: str | None = None) -> xr.DataArray:
    """[run]: the share that one probe does not read, by default the one that stands for the runs of
    the arm."""
    return arm[f"{protocol}_missing"].sel(probe=probe or judged_probe(arm.attrs), drop=True)


def log_left(arm: xr.Dataset, protocol: str) -> xr.DataArray:
    """[run]: the logarithm of that share."""
    # NumPy says that it gives arrays
    return np.log(select_missing(arm, protocol))  # type: ignore[return-value]


def common(*arms: xr.Dataset) -> list[xr.Dataset]:
    """The runs of each arm whose seeds all arms have, in the order of the seeds."""
    seeds = set.intersection(*(set(a.seed.values.tolist()) for a in arms))
    return [a.isel(run=np.isin(a.seed.values, sorted(seeds))).sortby("seed") for a in arms]


def kernel_probe(spec: Mapping[str, Any]) -> str:
    """The probe that stands for a run, with kernel regression on the tokens beside it."""
    return f"{judged_probe(spec)} + kernel"


def over(other: str, protocol: str, probe: str | None = None, against: str | None = None) -> Value:
    """A value [run]: R² of a probe of the arm less that of a probe of another arm, on the seeds
    that both have."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        arm_subset, theirs = common(arm, arms[other])
        missing = select_missing(arm_subset, protocol, probe)
        return missing.copy(data=select_missing(theirs, protocol, against).values - missing.values)

    return value


def over_tokens(protocol: str, probe: Callable[[Mapping[str, Any]], str] = judged_probe) -> Value:
    """A value [run]: R² of a probe less that of whatever reads the tokens best in the same folds:
    tables, a sum over places, the kernel."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        arm_subset, tokens = common(
            arm, arms["mess3-tokens" if arm.attrs["process"] == "mess3" else "tokens"]
        )
        rivals = [
            p for p in tokens.probe.values if p.startswith("last ") or p in ("additive", "kernel")
        ]
        missing = select_missing(arm_subset, protocol, probe(arm.attrs))
        return missing.copy(
            data=tokens[f"{protocol}_missing"].sel(probe=rivals).min("probe").values
            - missing.values
        )

    return value


def distance_gain(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: R² of the probe's distances with those of the beliefs, less that with those of the
    next-token distributions."""
    selection = {"probe": judged_probe(arm.attrs)}
    return arm.distance_belief.sel(selection, drop=True) - arm.distance_next.sel(
        selection, drop=True
    )


def growth(arm: xr.Dataset, reference: np.ndarray | None = None) -> xr.DataArray:
    """[run]: rank correlation over moments of training of R² and minus excess loss, or any other
    numbers [moment] that rise."""
    rising = -arm.excess_at.values if reference is None else [reference] * arm.sizes["run"]
    return arm.excess.copy(
        data=np.array(
            [
                scipy.stats.spearmanr(a, b).statistic
                for a, b in zip(rising, arm.r2_at.values, strict=True)
            ]
        )
    )


LEARNED = Gate("excess loss at most 0.001", lambda arm: (arm.excess <= 0.001).values)
HALF, HALF_3 = {"main": "half"}, {"mess3": "mess3-half"}
PROBE = "Assay's own: prefixes held out"
FEATURES = (
    "any {functions} functions of the tokens, fitted to exact posteriors as the stream is, help "
    "the kernel as well"
)
claim = partial(Claim, unit="R²", gates=(LEARNED,), half=HALF, source=PAPER, published="new")
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        "A linear probe of the stream, trained on exact posteriors, reads at least 0.1 of R² "
        "more than whatever reads the tokens alone "
        "(kernel regression, tables), over all {endings} endings of RRXOR, held out",
        value=over_tokens("ending"),
        low=0.1,
        must_hold=("planted",),
        must_fail=("untrained-with-kernel", "own-prediction", "noise", "shuffled"),
        near={"untrained-with-kernel": FEATURES},
        threshold_from=f"{PILOT}, .44 [.23, .62] above tables alone; the kernel was no rival then",
    ),
    claim(
        "With single prefixes held out, too, a linear probe of the stream reads at least 0.05 "
        "of R² more than whatever reads the tokens "
        "alone, over all {prefixes} prefixes of RRXOR; all are trained on exact posteriors",
        value=over_tokens("prefix"),
        low=0.05,
        near={"untrained-with-kernel": FEATURES},
        source=PROBE,
        threshold_from=f"{PILOT}, .08 above the table of the last 7; the kernel was no rival then",
    ),
    claim(
        "Its geometry is the belief's: distances between beliefs that were read agree by at "
        "least 0.1 of R² better with the true ones "
        "than with next tokens, on all {beliefs} beliefs, from probes trained on exact posteriors",
        value=distance_gain,
        low=0.1,
        unit="R² of distances",
        must_fail=("untrained", "own-prediction", "table", "tokens"),
        must_hold=("planted",),
        near={
            "table": "the last 7 tokens have that geometry",
            "tokens": "whatever predicts posteriors from tokens has it, without a network",
        },
        threshold_from=f"{PILOT}, .27 [.22, .31] over seeds",
        published=Published(
            0.64,
            "Shai et al. 2024, RRXOR",
            note=(
                "R² .95 with belief distances less .31 with next-token distances; SGD, 1e6 steps, "
                "in sample"
            ),
        ),
    ),
    claim(
        "On Mess3 a linear probe of the last layer reads at least 0.03 of R² more than "
        "whatever reads the last {mess3.probed} tokens "
        "alone, over all {mess3-endings} endings, held out; all are trained on exact posteriors",
        of="mess3",
        value=over_tokens("ending"),
        low=0.03,
        must_fail=("mess3-untrained", "mess3-untrained-with-kernel"),
        near={"mess3-untrained-with-kernel": FEATURES},
        half=HALF_3,
        also={"main": same_method("on RRXOR that is the first claim")},
        threshold_from=f"{PILOT}, .08 [.05, .13] above the last 6 tokens one by one",
        source=ROHIN,
    ),
    claim(
        "On Mess3 hardly anything is missing: log(1 − R²) at most −2.53, an R² of 0.92, over all "
        "{mess3-endings} endings, held out, probes trained on exact posteriors",
        of="mess3",
        value=lambda arm, arms: log_left(arm, "ending"),
        high=-2.53,
        unit="log(1 − R²)",
        must_fail=("mess3-untrained", "mess3-tokens"),
        must_hold=("planted",),
        half=HALF_3,
        near={
            "mess3-tokens": (
                "a sum of one number for each of the last {mess3.probed} tokens is that near as "
                "well"
            )
        },
        threshold_from=f"{PILOT}, −3.9 [−4.7, −3.1]",
    ),
)


def published(process: str, length: int) -> PrefixTree:
    """The prefixes of a process at its published x and alpha."""
    return prefixes_of(process, 0.05, 0.85, length)


def in_sample(*pairs: tuple[PrefixTree, np.ndarray]) -> list[float]:
    """In-sample R² of the beliefs of prefixes from features, for each pair of them."""
    return [explained(tree, x) for tree, x in pairs]


def windows(arms: Arms) -> list[float]:
    """In-sample R² of Mess3's beliefs from the last 1, 2, 3 tokens, prefixes of at most 8."""
    return in_sample(
        *((tree, joint(tree, k)) for tree in (published("mess3", 8),) for k in (1, 2, 3))
    )


def intrinsic(arms: Arms) -> float:
    """R² between belief distances and next-token distances, over RRXOR's 35 beliefs."""
    tree = published("rrxor", 10)
    indices = np.unique(tree.state, return_index=True)[1]
    return float(distance_r2(tree.predicted[indices], tree.belief[indices]))


ENUMERATED = "enumeration of all prefixes with exact probabilities, apart from this code"
EXACT = (
    Exact(
        "No one predicts better: mean entropy of the next token over ten positions, RRXOR and "
        "Mess3",
        value=lambda arms: [
            published(name, 1).process.floors(10).mean() for name in ("rrxor", "mess3")
        ],
        expected=[0.578185, 0.802512],
        tolerance=1e-5,
        unit="nats",
        source=ENUMERATED,
    ),
    Exact(
        "Within ten tokens RRXOR has 1,046 prefixes and 35 beliefs (36 with the empty prefix)",
        value=lambda arms: [
            len(published("rrxor", 10)),
            len(np.unique(published("rrxor", 10).state)),
        ],
        expected=[1046, 35],
        tolerance=0,
        source=ENUMERATED,
    ),
    Exact(
        "The exact next token tells little of RRXOR's belief and all of Mess3's: in-sample "
        "R², by probability",
        value=lambda arms: in_sample(
            *((tree, tree.predicted) for tree in (published("rrxor", 10), published("mess3", 8)))
        ),
        expected=[0.2464, 1.0],
        tolerance=1e-4,
        unit="R²",
        source=ENUMERATED,
    ),
    Exact(
        "Mess3's fractal needs no transformer: in-sample R² of the last 1, 2, 3 tokens, by "
        "probability",
        value=windows,
        expected=[0.834, 0.949, 0.991],
        tolerance=6e-4,
        unit="R²",
        source=ROHIN,
    ),
    Exact(
        "Distances between RRXOR's beliefs and between its next-token distributions: R² over "
        "35 beliefs",
        value=intrinsic,
        expected=0.2349,
        tolerance=1e-4,
        unit="R²",
        source=ENUMERATED,
    ),
)


def finding(text: str, arm: str, protocol: str, **which: str) -> Estimate:
    """An Estimate: an R², or by how much it exceeds that of another probe or arm: `probe`, `other`,
    `against`."""
    if {"other", "against"} & set(which):
        value = over(which.pop("other", arm), protocol, **which)
        return Estimate(
            text=text, value=lambda arms: value(arms[arm], arms), unit="R²", published="new"
        )
    return Estimate(
        text=text,
        value=lambda arms: 1 - select_missing(arms[arm], protocol, **which),
        unit="R²",
        published="new",
    )


def adds(what: str, arm: str) -> Estimate:
    """An Estimate: what a stream, or what stands in its place, adds to the best that the tokens
    alone give."""
    text = (
        f"What {what} to the best that the tokens alone give, read beside kernel regression on "
        "them, endings held out"
    )
    return Estimate(
        text=text,
        value=lambda arms: over_tokens("ending", kernel_probe)(arms[arm], arms),
        unit="R²",
        published="new",
    )


FINDINGS = (
    adds("the trained stream adds (once a claim, of at least 0.1)", "main"),
    adds("the network's own predictions add", "own-prediction"),
    adds("the untrained stream adds", "untrained"),
    adds("noise adds", "noise"),
    finding(
        "Beyond the next token: what the stream adds to kernel regression less what the network's "
        "own predictions add, endings held out (once a claim, of at least 0.05)",
        "main",
        "ending",
        probe="concat + kernel",
        against="softmax + kernel",
    ),
    finding(
        "R² of kernel regression on the tokens, no network, endings held out", "tokens", "ending"
    ),
    finding(
        "R² of kernel regression on the tokens, no network, prefixes held out", "tokens", "prefix"
    ),
    finding("R² of the trained stream, endings held out", "main", "ending"),
    finding("R² of the trained stream, prefixes held out", "main", "prefix"),
    finding("R² of the untrained stream, prefixes held out", "untrained", "prefix"),
    finding(
        "Lead of the trained stream over the untrained, endings held out",
        "main",
        "ending",
        other="untrained",
    ),
    finding(
        "What the stream adds to kernel regression, prefixes held out",
        "main",
        "prefix",
        probe="concat + kernel",
        other="tokens",
        against="kernel",
    ),
    finding(
        "What all layers hold beyond the last, prefixes held out",
        "main",
        "prefix",
        against="layer 4",
    ),
    finding(
        "What all layers hold beyond the last, endings held out",
        "main",
        "ending",
        against="layer 4",
    ),
    Estimate(
        "Rank correlation over moments of R² and minus excess loss, endings held out",
        value=lambda arms: growth(arms["main"]),
        unit="rank correlation",
        natural=(-1, 1),
        published="new",
    ),
    Estimate(
        "Rank correlation over moments of R² and time itself, endings held out",
        value=lambda arms: growth(arms["main"], np.arange(arms["main"].sizes["moment"])),
        unit="rank correlation",
        natural=(-1, 1),
        published="new",
    ),
    finding(
        "R² of all layers of untrained networks on Mess3, endings held out",
        "mess3-untrained",
        "ending",
    ),
)


def level(arm: xr.Dataset, protocol: str, probe: str | None = None) -> np.ndarray:
    """[run]: R² of each run."""
    return 1 - select_missing(arm, protocol, probe).values


def against_baselines(arms: Arms) -> Iterator[tuple]:
    """Rows: R² of networks and baselines by both ways of holding out, means over seeds with t
    intervals."""
    networks = (("trained", "main"), ("untrained", "untrained"))
    rows = [(caption, arm, "concat") for caption, arm in networks]
    rows += [
        ("trained + kernel", "main", "concat + kernel"),
        ("kernel on tokens", "tokens", "kernel"),
        ("exact next token", "tokens", "next token"),
    ]
    rows += [
        (f"last {k} token{'s' * (k > 1)}", "tokens", f"last {k}") for k in range(WINDOWS, 0, -1)
    ]
    for protocol, caption in HELD_OUT.items():
        for label, arm, probe in rows:
            yield label, level(arms[arm], protocol, probe), caption


def simplex(arms: Arms) -> Iterator[tuple]:
    """Rows: beliefs of Mess3 as points of a triangle: true ones, and predicted with endings held
    out, for the first seed."""
    attrs = arms["mess3"].attrs
    tree = prefixes_of("mess3", attrs["x"], attrs["alpha"], attrs["probed"])
    beliefs = tree.belief[tree.depth <= SHOWN]
    panels = {"true": beliefs[:, :2]}
    for label, arm in (
        ("trained, last layer", "mess3"),
        ("untrained, all layers", "mess3-untrained"),
        (f"last {attrs['probed']} tokens", "mess3-tokens"),
    ):
        panels[label] = arms[arm].simplex.values[0]
    for label, points in panels.items():
        for (a, b), state in zip(points.tolist(), beliefs.argmax(1).tolist(), strict=True):
            yield b + (1 - a - b) / 2, (1 - a - b) * 3**0.5 / 2, f"state {state}", label


def figures(arms: Arms) -> list[Figure]:
    prefixes = len(
        prefixes_of(*(arms["main"].attrs[name] for name in ("process", "x", "alpha", "probed")))
    )
    return [
        figure(
            "What of the belief can be read from what",
            "bars",
            {"features": "x", "mean": "mean", "held": "facet"},
            against_baselines(arms),
            y_title="R² of the belief",
            note=f"RRXOR, {prefixes:,} prefixes. Left, tables of last tokens have seen most "
            "endings before; right, no ending was seen. Neither "
            "the kernel nor the tables use a network.",
        ),
        figure(
            "Mess3: beliefs on the simplex, read with endings held out",
            "points",
            {"x": "x", "y": "y", "state": "color", "from": "facet"},
            simplex(arms),
            x_title="belief, horizontal",
            y_title="belief, vertical",
            note=(
                "Prefixes of at most 5 tokens, one seed; a point's series is its most likely true "
                "state."
            ),
        ),
    ]
