"""What capacity claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Gate, Published, figure
from assay.core.claims import same_method
from assay.core.heavy import xr
from assay.core.measures import by

SCHERLIS = "Scherlis et al. 2022, Polysemanticity and Capacity in Neural Networks"
ELHAGE = "Elhage et al. 2022, Toy Models of Superposition"
DENSITIES = tuple(round(float(p), 4) for p in 50.0 ** -np.linspace(0, 1, 8))
SPARSE = DENSITIES[1:]
PARTLY = (0.05, 0.95)
"""A feature whose capacity lies between these is partly represented."""


def unused(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: what summed capacities lack of the dimensions there are, per dimension, at the
    density where they lack most."""
    lacking = 1 - by(arm, "density").capacity.sum("feature") / arm.attrs["width"]
    return lacking.max("density", skipna=False).clip(min=1e-9)


def unevenness(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: largest capacity less the smallest, a mean over densities so low that all features
    share."""
    capacities = by(arm.isel(run=(arm.density <= SPARSE[-3]).values), "density").capacity
    return (capacities.max("feature") - capacities.min("feature")).mean("density", skipna=False)


def partly(arm: xr.Dataset) -> xr.DataArray:
    """[run feature]: whether the capacity at which a benefit was measured is partial."""
    return (arm.wanted > PARTLY[0]) & (arm.wanted < PARTLY[1])


def spread(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: range of the benefits of partly represented features over their mean size, a mean
    over densities below 1."""
    arm = arm.isel(run=(arm.density < 1).values)
    worth = arm.benefit.where(partly(arm))
    spreads = (worth.max("feature") - worth.min("feature")) / abs(worth).mean("feature")
    spreads = spreads.where(
        partly(arm).any("feature") | arm.benefit.isnull().any("feature"), 0.0
    )  # nobody there, nothing spread
    return (
        by(arm.assign(found=spreads), "density").found.mean("density", skipna=False).clip(min=1e-6)
    )


def off_envelope(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: what finite differences of the least loss miss of its partial derivatives, as a share
    of these, over densities."""
    missed = abs(arm.slope - arm.partial).sum("feature") / arm.partial.sum("feature")
    return by(arm.assign(found=missed), "density").found.mean("density", skipna=False)


def held(arm: xr.Dataset) -> bool:
    """Whether capacities came out as asked, within a thousandth of a dimension."""
    return bool((abs(arm.missed) <= 1e-3).all())


def ignored_share(arms: Arms) -> xr.DataArray:
    """[run]: benefit of ignored features over the mean benefit of partly represented ones, below
    density 1."""
    arm = arms["benefit"].isel(run=(arms["benefit"].density < 1).values)
    ignored = arm.benefit.where(arm.wanted < PARTLY[0]).max("feature")
    return (ignored / arm.benefit.where(partly(arm)).mean("feature")).dropna("run")


PILOT = "pilot: seeds 0–7, "
SOON = {"early": "a hundred steps from random weights do most of it"}
LATER = {"envelope": same_method("main, trained on")}
CLAIMS = (
    Claim(
        "Training uses up all capacity: at every density features leave at most 0.002 of a "
        "dimension per dimension unused",
        value=unused,
        high=0.002,
        scale="log",
        unit="dimensions per dimension",
        must_fail=("early", "untrained", "scattered"),
        near=SOON,
        also=LATER,
        half={"main": "main-half"},
        threshold_from=PILOT + "at most .0002; early .003 to .018",
        published=Published(
            0.0,
            ELHAGE + ", The Geometry of Superposition",
            note="about, in words; 400 features in 30 dimensions",
        ),
        source=SCHERLIS + ", section 2",
    ),
    Claim(
        "Importance decides who gets a share, hardly how large: where all features share, the "
        "largest and the smallest capacity differ by at most 0.1 of a dimension",
        value=unevenness,
        high=0.1,
        scale="log",
        unit="dimensions",
        must_fail=("early", "scattered"),
        near=SOON,
        also=LATER | {"benefit": same_method("main's capacities, all a little smaller")},
        half={"main": "main-half"},
        threshold_from=PILOT
        + ".01 to .02, early .2 to .5; shares in proportion to importance would differ by .17",
        published="new",
        source=SCHERLIS + ", section 3",
    ),
    Claim(
        "At the optimum the loss moves with an importance as backprop says: slopes of "
        "retrained optima within 5 %",
        of="envelope",
        value=off_envelope,
        high=0.05,
        scale="log",
        unit="share of the slope",
        near={"early": "backprop says so of any weights"},
        threshold_from=PILOT + ".002 to .021, early .09 to .61",
        published="new",
        source="envelope theorem",
    ),
    Claim(
        "More capacity is worth the same to every partly represented feature: on average over "
        "densities their benefits spread over at most 0.25 of their mean",
        of="benefit",
        value=spread,
        high=0.25,
        scale="log",
        unit="share of the mean",
        must_fail=("benefit-linear", "benefit-scattered"),
        near={"benefit-linear": "benefits differ no more than importances do"},
        gates=(Gate("held", held),),
        threshold_from="plan: before any run",
        published="new",
        source=SCHERLIS + ", section 3",
    ),
    Exact(
        "Capacity is dimensionality: largest difference over all weights, trained or not",
        value=lambda arms: max(float(a.identity_gap.max()) for a in arms.values()),
        tolerance=1e-6,
        source=SCHERLIS + ", section 2; " + ELHAGE + ", The Geometry of Superposition",
    ),
    Exact(
        "Two near misses are not: share of untrained weights where forgetting the square, or "
        "normalising w_j, differs by over 0.01",
        value=lambda arms: [
            float((arms["untrained"][gap] > 0.01).mean())
            for gap in ("unsquared_gap", "cosines_gap")
        ],
        expected=1.0,
        tolerance=0.0,
        source="arithmetic",
    ),
    Exact(
        "No weights have more capacity than dimensions: largest excess",
        value=lambda arms: max(
            0.0,
            *(float((a.capacity.sum("feature") - a.attrs["width"]).max()) for a in arms.values()),
        ),
        tolerance=1e-6,
        source="Cauchy and Schwarz: C ≤ leverage, which sums to the rank",
    ),
    Exact(
        "By backprop an importance weighs a feature's mean squared error over the number of "
        "features: largest relative difference",
        value=lambda arms: max(float(a.backprop_gap.max()) for a in arms.values()),
        tolerance=1e-6,
        source="the loss is linear in importances",
    ),
    Estimate(
        "Benefit of ignored features over the mean of the partly represented, below density 1",
        value=ignored_share,
        published="new",
        source="Karush–Kuhn–Tucker conditions",
    ),
    Estimate(
        "Smallest summed capacity of a single start per dimension, over the {main.starts:w} "
        "of a run",
        published="new",
        value=lambda arms: arms["main"].total.min("start") / arms["main"].attrs["width"],
        unit="dimensions per dimension",
        source="the spread behind the best of eight",
    ),
)


def shared(dimensions: int, features: int) -> str:
    """The title of the first figure, which says how features share two dimensions where there are
    five of them."""
    if (dimensions, features) == (2, 5):
        return "Two dimensions are shared by two, four and five features as inputs get sparser"
    return f"How features share {dimensions} dimensions, {features} of them, as inputs get sparser"


def drawings(arms: Arms) -> list[Figure]:
    """Capacity of every feature along densities."""
    main = arms["main"]
    rows = [
        (feature_name(i, main), p, main.capacity.values[main.density.values == p, i])
        for i in range(main.sizes["feature"])
        for p in sorted(set(main.density.values.tolist()))
    ]
    return [
        figure(
            shared(main.attrs["width"], main.sizes["feature"]),
            "line",
            {"feature": "color", "density": "x", "mean": "mean"},
            rows,
            x_log=True,
            x_title="probability that a feature is active",
            y_title="capacity (dimensions)",
            rules=((0.5, ""), (0.4, "")),
            note="Dashed: a half and two fifths of a dimension.",
        )
    ]


def feature_name(i: int, arm: xr.Dataset) -> str:
    """A feature by its importance."""
    return f"importance {arm.attrs['ratio'] ** i:.2f}"
