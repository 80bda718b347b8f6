"""The figures of sgd-noise."""

import numpy as np

from assay.core import Figure, columns, summary
from assay.experiments.sgd_noise.claims import closed, points

SHOWN = {"main": "SGD", "full": "normal, same covariance", "iso": "isotropic", "linear": "evolution", "es-49": "ES, P = 49", "adam": "Adam"}
NETWORKS = {"softmax": "softmax", "softmax-diag": "softmax, variances alone", "softmax-even": "softmax, correlations alone",
            "softmax-balanced": "softmax, balanced classes", "mlp": "two layers", "mlp-diag": "two layers, variances alone",
            "mlp-even": "two layers, correlations alone", "mlp-balanced": "two layers, balanced classes"}  # fmt: skip


def figures(arms):
    return [curves(arms), clouds(arms), along_training(arms)]


def curves(arms):
    panels = {"environment": "K mutations on one example", "es": "P evaluations on one example"}
    rows = [(panel, f"c = {'2' * (c == 2)}a, {what}", k, *told) for name, panel in panels.items() for c, k, a in points(arms[name])
            for what, told in {"measured": summary(a.correlation.values), "theory": (float(closed(a)[0]),) * 3}.items()]  # fmt: skip
    return Figure(
        "Accepted mutations need many trials on one example; an evolution strategy is half-way with one",
        columns(("panel", "series", "k", "mean", "low", "high"), rows), "line", x="k", y="mean", color="series", facet="panel",
        band=("low", "high"), x_log=True, x_title="trials on one example, K or P", y_title="correlation of the two coordinates' steps",
        rules=((1.0, ""),), note="Dashed: SGD, exactly 1. Measured curves and closed forms lie on each other.",
    )  # fmt: skip


def clouds(arms):
    rows, turn = [], np.linspace(0, 2 * np.pi, 37)
    for name, label in SHOWN.items():
        covariance = arms[name].pair.mean("run").values[[0, 1, 1, 2]].reshape(2, 2)
        size = np.sqrt(np.trace(covariance) / 2)
        values, vectors = np.linalg.eigh(covariance)
        ring = 2 * (np.stack((np.cos(turn), np.sin(turn)), 1) * np.sqrt(values.clip(0))) @ vectors.T
        few = arms[name].some.values[:40].reshape(-1, 2)
        rows += [(label, what, *p) for what, dots in (("steps", few), ("two standard deviations", ring)) for p in (dots / size).tolist()]
    return Figure(
        "Steps lie on a line under SGD, and under normal noise of its covariance", columns(("law", "shown", "x", "y"), rows), "points",
        x="x", y="y", color="shown", facet="law", x_title="Δx₁ (its law's size)", y_title="Δx₂ (its law's size)",
        note="A law's size is the root mean square of both coordinates' standard deviations.",
    )  # fmt: skip


def along_training(arms):
    rows = [(label, float(k), *summary((arms[name].participation / arms[name].reference).sel(snapshot=k).values))
            for name, label in NETWORKS.items() for k in arms[name].snapshot.values]  # fmt: skip
    return Figure(
        "Data make the noise anisotropic, hardly training", columns(("noise", "share", "mean", "low", "high"), rows),
        "line", x="share", y="mean", color="noise", band=("low", "high"), x_title="share of training",
        y_title="participation ratio over isotropic noise's", rules=((0.5, ""),),
    )  # fmt: skip
