"""What features-per-dimension claims, and its picture: the statements, and how each value is
computed from measures."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Value, figure
from assay.core.claims import rival
from assay.core.heavy import scipy, xr
from assay.core.measures import by
from assay.core.stats import at_best
from assay_catalogue.experiments.features_per_dimension.method import GROUP, SCALES
from assay_catalogue.worlds.bottleneck.polygons import shape, side_loss

ELHAGE = "Elhage et al. 2022, Toy Models of Superposition, The Geometry of Superposition"
SEED = "A. Jermyn, a comment on features per dimension, and the critic it quotes"
FINE = tuple(float(c) for c in np.geomspace(0.7, 1 / 0.7, 21))
"""Factors among which the least loss is looked for."""


def best(arm: xr.Dataset, name: str) -> xr.DataArray:
    """[group, …]: a measure of each group's model with the lowest held-out loss, for every density;
    of a classifier, [seed] as [group]."""
    runs = by(arm)
    if arm.attrs["net"] != "tied":
        return runs[name].rename(seed="group")
    return at_best(runs[name], runs.held_out, min(GROUP, runs.sizes["seed"]))


def rise(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[group]: by what share the loss grows when W is divided or multiplied by 1.25: the smaller
    rise, at the density where it is least."""
    losses = best(arm, "loss")
    grown = (losses.sel(scale=[0.8, 1.25]) / losses.sel(scale=1.0, drop=True) - 1).min("scale")
    return grown.min("density") if "density" in grown.dims else grown


def agreement(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[group]: Spearman's correlation, over densities, of ‖W‖²/d with features per dimension by
    dimensionality."""
    coarse, fine = best(arm, "fpd").sel(scale=1.0, drop=True), best(arm, "fine")
    correlations = [
        scipy.stats.spearmanr(a, b).statistic if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
        for a, b in zip(coarse.values, fine.values, strict=True)
    ]
    return coarse.isel(density=0, drop=True).copy(data=correlations)


def over_fine(density: int) -> Value:
    """A value, [group]: ‖W‖²/d over features per dimension by dimensionality, at an end of the
    densities."""
    return lambda arm, arms: (best(arm, "fpd").sel(scale=1.0, drop=True) / best(arm, "fine")).isel(
        density=density, drop=True
    )


def shift(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: by how much the cross-entropy moves when W₁ is doubled or halved, the smaller of the
    two, nats."""
    moved = abs(arm.loss_alone - arm.loss_alone.sel(scale=1.0, drop=True))
    return moved.sel(scale=[0.5, 2.0]).min("scale")


def hexagon(arms: Arms) -> list[float]:
    """The factor at which the loss of a regular hexagon is least, its bias fixed, then times the
    square."""
    from assay_catalogue.worlds.bottleneck.rescaling import least_at

    length, bias = shape(6)
    losses = [
        np.array([side_loss(6, c * length, c**power * bias) for c in FINE]) for power in (0, 2)
    ]
    return [float(least_at(np.array(FINE), curve)) for curve in losses]


TRAINED = ("main", "rescaled", "relu", "bias", "tanh")


def not_square(arms: Arms) -> float:
    """Largest relative difference of ‖cW‖²/d from c² ‖W‖²/d, over all trained weights and
    scales."""
    gaps = []
    for name in TRAINED:
        fpd = arms[name].fpd
        gaps.append(abs(fpd / (fpd.sel(scale=1.0, drop=True) * fpd.scale**2) - 1).max())
    return max(map(float, gaps))


def moved_at_all(arms: Arms) -> float:
    """By how much a dimensionality moves at most when weights are multiplied, over all trained
    weights and scales, dimensions."""
    return max(float(arms[name].moved.max()) for name in TRAINED)


PILOT = "pilot: seeds 0–47, "
GROUPS = {"units": ("group",), "half": {"main": "main-half"}, "published": "new"}
ENDED = {
    "bias": rival("its biases end the freedom of scale, too"),
    "tanh": rival("so does a tanh"),
}
CLAIMS = (
    Claim(
        "The loss of a tied autoencoder fixes its scale: a quarter more or less of it costs "
        "at least 5 % at every density",
        value=rise,
        low=0.05,
        unit="share of the loss",
        must_fail=("untrained", "relu"),
        near={"untrained": "any weights of about that size have some scale of their own"},
        also=ENDED,
        threshold_from=PILOT + ".13 to .18",
        source=SEED,
        **GROUPS,
    ),
    Claim(
        "On trained autoencoders the size of the weights agrees with dimensionality: rank "
        "correlation over densities at least 0.8",
        value=agreement,
        low=0.8,
        unit="rank correlation",
        near={"rescaled": "the same directions, of any size, would agree as well"},
        threshold_from=PILOT + ".94, where four of eight densities nearly tie",
        source=ELHAGE,
        **GROUPS,
    ),
    Claim(
        "And it counts too many: at the sparsest inputs at least 1.2 times what "
        "dimensionality counts",
        value=over_fine(0),
        low=1.2,
        scale="log",
        unit="×",
        near={"untrained": "sizes exceed dimensionality in any weights"},
        threshold_from=PILOT + "1.33",
        source=ELHAGE,
        **GROUPS,
    ),
    Exact(
        "Two layers of a bias-free ReLU net take a factor from each other: largest change of "
        "outputs, as a share of the largest",
        value=lambda arms: float(arms["relu"].change.max()),
        tolerance=1e-5,
        source="ReLU(c x) = c ReLU(x)",
    ),
    Exact(
        "Without the second factor no class changes: largest share of inputs that bias-free "
        "ReLU nets classify otherwise",
        value=lambda arms: float(arms["relu"].reclassified.max()),
        tolerance=1e-3,
        source="outputs times c > 0; near ties may tip",
    ),
    Exact(
        "A tied hexagon's loss is least at its own scale: the factor where it is, bias fixed, "
        "then times the square",
        value=hexagon,
        expected=1.0,
        tolerance=2e-3,
        source="the hexagon of least loss on one-hot inputs",
    ),
    Exact(
        "‖cW‖²/d is c² ‖W‖²/d on all trained weights: largest relative difference",
        value=not_square,
        tolerance=1e-6,
        source=SEED,
    ),
    Exact(
        "Dimensionality does not move: largest change over all trained weights, dimensions",
        value=moved_at_all,
        tolerance=1e-9,
        unit="dimensions",
        source=ELHAGE,
    ),
    Exact(
        "With the first layer alone outputs are multiplied by c: largest relative difference "
        "in bias-free ReLU nets",
        value=lambda arms: float(arms["relu"].not_times.max()),
        tolerance=1e-5,
        source="ReLU(c x) = c ReLU(x)",
    ),
    Exact(
        "Biases do not end the freedom if the first layer's are multiplied as well: largest "
        "relative change of outputs",
        value=lambda arms: float(arms["bias"].change_biased.max()),
        tolerance=1e-5,
        source="ReLU(c x) = c ReLU(x)",
    ),
    Estimate(
        "At the densest inputs the size of the weights counts this many times what "
        "dimensionality counts",
        value=lambda arms: over_fine(-1)(arms["main"], arms),
        units=("group",),
        source=ELHAGE,
    ),
    Estimate(
        "By how much the first layer alone, halved or doubled, moves the cross-entropy of "
        "bias-free ReLU nets",
        value=lambda arms: shift(arms["relu"], arms),
        unit="nats",
        source=SEED,
    ),
    *(
        Estimate(
            "Share of inputs classified otherwise where the first layer alone is multiplied, "
            f"at the worst factor: {label}",
            value=lambda arms, name=name: arms[name].reclassified.max("scale"),
            unit="share of inputs",
            source=SEED,
        )
        for name, label in {"bias": "biases in both layers", "tanh": "a tanh"}.items()
    ),
    Estimate(
        "Accuracy of the bias-free ReLU nets over the best that is possible",
        value=lambda arms: arms["relu"].accuracy / arms["relu"].attainable,
        source="the nearest centre is the best guess",
    ),
)


def figures(arms: Arms) -> list[Figure]:
    """Loss over its value at c = 1: tied autoencoders at three densities, and ReLU classifiers
    whose W₂ is divided by c."""
    main, relu = (
        best(arms["main"], "drawn"),
        best(arms["relu"], "loss").sel(scale=[c for c in SCALES if 0.5 <= c <= 2]),
    )
    levels = main.density.values
    lines = {
        f"tied, density {levels[i]:.2g}": main.isel(density=i)
        for i in (0, len(levels) // 2, len(levels) - 2)
    }
    rows = []
    for name, losses in {**lines, "untied ReLU": relu.rename(scale="factor")}.items():
        share = losses / losses.sel(factor=1.0, drop=True)
        rows += [(name, float(c), share.sel(factor=c).values) for c in losses.factor.values]
    return [
        figure(
            "Tied weights have a best size, untied ones do not",
            "line",
            {"model": "color", "scale": "x", "mean": "mean"},
            rows,
            x_log=True,
            y_log=True,
            x_title="factor c on the weights",
            y_title="loss over the loss at c = 1",
            note="Untied: first layer times c, second layer over c.",
        )
    ]
