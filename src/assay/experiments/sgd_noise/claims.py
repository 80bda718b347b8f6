"""What sgd-noise claims: the statements, and how each value is computed from measures."""

import numpy as np

from assay.core import Claim, Exact, Finding
from assay.core.stats import normal_errors, ratio

SOURBUT = "Sourbut 2022, Conditions for mathematical equivalence of Stochastic Gradient Descent and Natural Selection"
COMMENT = "a comment on " + SOURBUT
ZHU = "Zhu et al. 2019, The Anisotropic Noise in Stochastic Gradient Descent"


def signed(arm, arms):
    """[run]: correlation of both coordinates' steps, positive in the direction of the examples'."""
    return arm.correlation * np.sign(arm.a * arm.c)


def anisotropy(arm):
    """[run]: participation ratio of the noise over isotropic noise's, a mean over the snapshots after the start."""
    return (arm.participation / arm.reference).isel(snapshot=slice(1, None)).mean("snapshot")


def directions(hidden):
    """A value, [run]: the anisotropy of networks with as many hidden units; of others it says nothing."""
    return lambda arm, arms: anisotropy(arm).where(arm.attrs["hidden"] == hidden)


def log_directions(of):
    """Terms: by how much, in logarithms, fewer directions there are than in isotropic noise, in this arm and in arm `of`.

    Only for noise of the same kind of network, on the same kind of data.
    """

    def value(arm, arms):
        alike = all(arm.attrs[name] == arms[of].attrs[name] for name in ("hidden", "zipf"))
        return {"own": -np.log(anisotropy(arm)).where(alike), "all": -np.log(anisotropy(arms[of]))}

    return value


def errors_of(measure, *names):
    """These arms' measure against its closed form, in standard errors."""
    return lambda arms: np.concatenate([normal_errors(arms[n][measure] - arms[n][measure + "_expected"]) for n in names])


def closed(arm):
    """[run]: the correlation of the closed form."""
    e = arm.pair_expected
    return e.isel(entry=1) / np.sqrt(e.isel(entry=0) * e.isel(entry=2))


def points(arm):
    """Of each c and number of mutations or evaluations: (c, number, the runs there)."""
    levels = sorted(set(zip(arm.c.values.tolist(), arm.held.values.tolist(), arm.evaluations.values.tolist(), strict=True)))
    return [(c, max(k, p), arm.isel(run=((arm.c == c) & (arm.held == k) & (arm.evaluations == p)).values)) for c, k, p in levels]


def on_the_curve(name):
    """[point]: correlation at every c and number against its closed form, in standard errors."""
    return lambda arms: np.concatenate([normal_errors(a.correlation - closed(a)) for _, _, a in points(arms[name])])


def about_networks(name, hidden, few, most):
    """Claims about a kind of networks, the texts given: how few directions its noise has, and that most of it is unequal variances."""
    return (
        Claim(
            text=few, of=name, value=directions(hidden), high=0.5, scale="log", unit="ratio of participation ratios",
            must_fail=(f"{name}-balanced",), near={f"{name}-balanced": "networks' noise has few directions on any data"},
            also={f"{name}-diag": "weights of unequal variance are few directions, too"}, half={name: f"{name}-half"},
            threshold_from="pilot: seeds 0–2 chose these data; one half is the plan's", published="new", source=ZHU,
        ),
        Claim(
            text=most, of=f"{name}-diag", value=log_directions(name), statistic=ratio("own", "all"), low=0.5, unit="share of log anisotropy",
            must_fail=(f"{name}-even",), near={f"{name}-even": "correlations alone give as much"},
            also={name: "the whole, of which this is a share", f"{name}-half": "the whole, half-way"},
            threshold_from="pilot: seeds 0–63, .94 and .73; most is half", published="new", source=ZHU,
        ),
    )


MONTE_CARLO = {"expected": 0.0, "tolerance": 4.0, "unit": "standard errors"}
"""What simulated means are held to: a right one is 4 off with a chance of 6e-5."""
CLAIMS = (
    *about_networks(
        "softmax", 0,
        "Where classes are as unequal as words, softmax regression's minibatch noise has at most half the directions of isotropic noise",
        "Most of it is unequal variances: softmax's noise, redrawn weight by weight, keeps at least half of the anisotropy, in logarithms",
    ),
    *about_networks(
        "mlp", 48, "So has that of a network of two layers: at most half the directions", "So it is in the network of two layers: at least half",
    ),
    Exact(
        text="Covariances of one step in nine laws, three entries each, against their closed forms",
        value=errors_of("pair", "main", "epochs", "skewed", "full", "diag", "iso", "linear", "hard", "es-49"),
        source="closed forms", **MONTE_CARLO,
    ),
    Exact(
        text="Covariances of one step: normal noise less SGD on skewed examples, three entries",
        value=lambda arms: normal_errors(arms["full"].pair - arms["skewed"].pair),
        source=COMMENT, **MONTE_CARLO,
    ),
    Exact(
        text="Mean and variance along the true gradient, linear and hard selection, against their closed forms",
        value=errors_of("along", "linear", "hard"), source="moments of a normal law, whole and halved", **MONTE_CARLO,
    ),
    Exact(
        text="Correlation at every K of a sampled environment, against its closed form", value=on_the_curve("environment"),
        source="law of total covariance", **MONTE_CARLO,
    ),
    Exact(
        text="Correlation at every P of an evolution strategy, against its closed form", value=on_the_curve("es"),
        source="law of total covariance", **MONTE_CARLO,
    ),
    Exact(
        text="With one mutation for each example the closed form's correlation is 0, whatever a and c",
        value=lambda arms: [float(closed(a)[0]) for _, k, a in points(arms["environment"]) if k == 1],
        expected=0.0, tolerance=0.0, source="K(K − 1) = 0",
    ),
    Exact(
        text="SGD's correlation is sign(ac), least of all runs: fresh examples, without replacement, skewed; and Adam's",
        value=lambda arms: [float(signed(arms[name], arms).min()) for name in ("main", "epochs", "skewed", "adam")],
        expected=1.0, tolerance=1e-9, source="a minibatch's gradient is a number times (a, c)",
    ),
    Exact(
        text="Second moments do not see that examples are skewed, third moments do: skewness of SGD's steps and of normal noise's",
        value=errors_of("skewness", "skewed", "full"), source="cumulants of a mean of independent numbers", **MONTE_CARLO,
    ),
    Exact(
        text="What no example moves is conserved by SGD: diffusion of c x₁ − a x₂, that of isotropic noise being 1; most of all runs",
        value=lambda arms: float(arms["main"].diffusion.max()), expected=0.0, tolerance=1e-6, unit="τ² a step", source=COMMENT,
    ),
    Finding(
        text="Anisotropy of softmax's noise before any training",
        value=lambda arms: (arms["softmax"].participation / arms["softmax"].reference).isel(snapshot=0),
        unit="ratio of participation ratios", published="new", source=ZHU,
    ),
)
