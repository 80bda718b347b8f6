"""What interpretable-capability claims, and its picture: the statements, and how each value is
computed from measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, by, by_level, figure
from assay.core.heavy import xr
from assay.core.stats import Means, correlation, products, slope
from assay_catalogue.experiments.interpretable_capability.method import LADDERS

GAO = "Gao et al. 2025, Weight-sparse transformers have interpretable circuits (arXiv 2511.13653)"
COMMENT = (
    "Jermyn, comment on Hubinger 2019, Chris Olah's views on AGI safety: total interpretable "
    "capabilities"
)
HEAP = (
    "Heap et al. 2025, Sparse Autoencoders Can Interpret Randomly Initialized Transformers (arXiv "
    "2501.17727)"
)
MARGIN = 0.05
"""Nats a token below which a dip or a rise is none."""
INSIDE = np.linspace(-0.75, 0.75, 25)
"""Where on a ladder from −1 to 1 a valley may have its bottom."""
Read = Callable[["xr.Dataset"], "xr.DataArray"]


def capability(arm: xr.Dataset) -> xr.DataArray:
    """[run, width]: nats a token that a model saves of what the frequencies of tokens lose, on
    unseen text; 0 at least."""
    return (arm.unigram - arm.loss).clip(0)


def spared(arm: xr.Dataset) -> xr.DataArray:
    """[run, width]: the share of a model's nodes that can be left out while nine tenths of what it
    does stay."""
    return 1 - arm.needed


def explained(arm: xr.Dataset) -> xr.DataArray:
    """[run, width]: the mean share of neurons' firings that rules explain on unseen text."""
    return arm.detected


def by_circuits(arm: xr.Dataset) -> xr.DataArray:
    """[run, width]: capability times the share of nodes that its circuit spares."""
    return capability(arm) * spared(arm)


def by_rules(arm: xr.Dataset) -> xr.DataArray:
    """[run, width]: capability times the share of firings that rules explain, 0 at least."""
    return capability(arm) * explained(arm).clip(0)


def valley(m: Means) -> np.ndarray:
    """How far a parabola through all sizes dips below the lower of its two ends; below 0 where it
    does not. Sizes count as evenly spaced in the logarithm of the width, from −1 to 1.

    Formula: min(f(−1), f(1)) − min f(t) over |t| ≤ 3/4
    """
    y = m["tic"]
    fitted = y @ np.linalg.pinv(_powers(np.linspace(-1, 1, y.shape[1]))).T
    return (fitted @ _powers(np.array([-1.0, 1.0])).T).min(1) - (fitted @ _powers(INSIDE).T).min(1)


def _powers(t: np.ndarray) -> np.ndarray:
    return np.vander(t, 3, increasing=True)


def rise(m: Means) -> np.ndarray:
    """The mean over the larger half of the sizes less that over the smaller half."""
    smaller, larger = np.split(m["tic"], 2, axis=1)
    return larger.mean(1) - smaller.mean(1)


def beyond_exchanged(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """A claim's value [seed, width]: by how much the share of firings that rules explain lies above
    that of the trained models with exchanged weights, on the seeds that both have."""
    a, b = (explained(by(x, "seed")) for x in (arm, arms["exchanged"]))
    both = np.intersect1d(a.seed, b.seed)
    return a.sel(seed=both) - b.sel(seed=both)


UNITS: dict[str, Any] = {"units": ("seed", "width"), "half": {"main": "half"}, "published": "new"}
"""What is claimed of all models: sizes stand for other sizes of such a ladder, as seeds do for
others. A shape over sizes is claimed of the sizes that the ladder has."""
SIZE = {"as-exchanged": "what a network of this size gives, whatever it learned"}
LOT = {"lot": "any nodes of a model can be spared as well"}
SHUFFLED = {"shuffled": "any rule tells where any neuron fires"}


def about(
    phrase: str, read: Read, credits: tuple[str, ...], near: dict[str, str]
) -> tuple[Claim, Claim]:
    """What is claimed by one definition of how much is understood."""
    shared: dict[str, Any] = {
        "value": lambda arm, arms: {"tic": read(arm)},
        "fixed": ("eight sizes",),
        "half": {"main": "half"},
        "published": "new",
        "low": MARGIN,
        "unit": "nats per token",
        "credits": credits,
        "source": COMMENT,
        "threshold_from": "plan: a twentieth of a nat, before any pilot",
    }
    return (
        Claim(
            f"{phrase}, interpretable capability has a valley: over eight sizes it dips at "
            f"least {MARGIN} nat a token below both ends of the ladder",
            statistic=valley,
            must_hold=("planted-valley",),
            must_fail=("capability", "planted-rise", *near),
            near={**near, "capability": "whoever is more capable has more of everything"},
            after_look="five sizes, circuits of 32 nodes, and the deepest dip between two sizes",
            **shared,
        ),
        Claim(
            f"{phrase}, interpretable capability rises with size: the larger four of eight "
            f"sizes have at least {MARGIN} nat a token more than the smaller four",
            statistic=rise,
            must_hold=("planted-rise",),
            must_fail=tuple(near),
            near=near,
            after_look="that nothing increases, of the largest of five sizes",
            **shared,
        ),
    )


CLAIMS = (
    *about(
        "By circuits that keep nine tenths of what a model does",
        by_circuits,
        ("inputs", "outputs", "circuit"),
        {**LOT, **SIZE},
    ),
    *about(
        "By rules for neurons",
        by_rules,
        ("inputs", "outputs", "neurons", "rules"),
        {**SHUFFLED, **SIZE},
    ),
    Claim(
        "It matters which nodes: for nine tenths of what a model does as many of each kind by "
        "lot take at least 0.05 more of its nodes",
        value=lambda arm, arms: arm.needed_lot - arm.needed,
        low=0.05,
        unit="share of nodes",
        near={"lot": "any nodes do, if there are as many of each kind"},
        credits="circuit",
        source=GAO,
        threshold_from="pilot: seeds 0 to 3, where it was .13; a twentieth of all nodes",
        **UNITS,
    ),
    Claim(
        "Learning makes an MLP explainable: rules explain at least 0.05 more of its firings "
        "than with each matrix's entries exchanged",
        value=beyond_exchanged,
        low=0.05,
        unit="share of firings told less false alarms",
        must_fail=("outputs-only", "shuffled"),
        near={"outputs-only": "what a neuron reads need not be learned"},
        credits=("inputs", "rules"),
        source=HEAP,
        threshold_from="plan: a twentieth, before any pilot",
        after_look="five sizes, whose neurons counted alike, and not sizes",
        **UNITS,
    ),
)


def curve(text: str, unit: str, read: Read, arm: str = "main", **shape: Any) -> Estimate:
    """An estimate of a measure at every width, with a band for all of them."""
    return Estimate(text=text, unit=unit, value=lambda arms: read(arms[arm]), over="width", **shape)


def doublings(y: xr.DataArray) -> xr.DataArray:
    """[run, width]: the logarithm of the width to the base 2, wherever there is a measure."""
    return np.log2(y.width).broadcast_like(y).where(y.notnull()).transpose(*y.dims)


def trend(text: str, unit: str, read: Read, arm: str) -> Estimate:
    """An estimate of how steeply a measure rises over sizes, which stand for others as well."""
    return Estimate(
        f"{text}: its rise with each doubling of the width",
        unit=f"{unit} and doubling",
        value=lambda arms: products(doublings(read(arms[arm])), read(arms[arm])),
        units=("seed", "width"),
        statistic=slope,
    )


def pairs(arms: Arms) -> dict[str, xr.DataArray]:
    """The terms [run, width] of the correlation of what the two definitions understand."""
    return products(spared(arms["main"]), explained(arms["main"]))


NODES, FIRINGS = "share of nodes", "share of firings told less false alarms"
NEEDED = "Share of a model's nodes that keep nine tenths of what it does"
LABELS = {
    "main": "",
    "lot": ", by lot",
    "exchanged": ", with exchanged weights",
}
ESTIMATES = (
    curve("Capability", "nats per token", capability),
    curve("Interpretable capability by circuits", "nats per token", by_circuits),
    curve("Interpretable capability by rules", "nats per token", by_rules),
    *(
        curve(NEEDED + label, NODES, lambda x: x.needed, arm, crosses=0.5)
        for arm, label in LABELS.items()
    ),
    curve(
        "Nodes that keep nine tenths of what a model does", "nodes", lambda x: x.needed * x.nodes
    ),
    curve(
        "Share of a model's nodes that keep half of what it does", NODES, lambda x: x.needed_half
    ),
    *(
        curve(f"Share of firings that rules explain{LABELS[arm]}", FIRINGS, explained, arm)
        for arm in ("main", "exchanged")
    ),
    trend("Interpretable capability by circuits", "nats per token", by_circuits, "main"),
    trend("Interpretable capability by rules", "nats per token", by_rules, "main"),
    *(trend(NEEDED + label, NODES, lambda x: x.needed, arm) for arm, label in LABELS.items()),
    *(
        trend(f"Share of firings that rules explain{LABELS[arm]}", FIRINGS, explained, arm)
        for arm in ("main", "exchanged")
    ),
    Estimate(
        "Correlation over models of what circuits spare and of what rules explain",
        value=pairs,
        units=("seed", "width"),
        statistic=correlation,
    ),
)
EXACT = tuple(
    Exact(
        f"Every rung of the planted ladder called {name} knows what its formula says",
        value=lambda arms, name=name: capability(arms[f"planted-{name}"]).mean("run").values,
        expected=[known.capability() for known in ladder],
        tolerance=0.05,
        unit="nats per token",
        source=(
            "worlds/networks/readable.py: the entropy of what follows, summed over the tokens "
            "that are known"
        ),
    )
    for name, ladder in LADDERS.items()
)


def drawings(arms: Arms) -> list[Figure]:
    """Capability, and its interpretable part by both definitions, over the size of models."""
    lines: tuple[tuple[str, str, Read], ...] = (
        ("main", "capability", capability),
        ("main", "times what rules explain", by_rules),
        ("main", "times what circuits spare", by_circuits),
        ("lot", "times what nodes by lot spare", by_circuits),
    )
    return [
        figure(
            "Capability over size, and how much of it is understood",
            "line",
            {"what": "color", "width": "x", "mean": "mean"},
            [
                (label, *point)
                for arm, label, read in lines
                for point in by_level(read(arms[arm]), "width")
            ],
            x_log=True,
            x_title="width of the stream",
            y_title="nats per token that are saved",
            note="Above the loss of a guess by the frequencies of tokens, on text of other files.",
        )
    ]
