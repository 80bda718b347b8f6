"""Assay's adapter, fifth part: probes, explanations, directions, intervals, and learning
coefficients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import protocol
from objectives_of_assay import Nested, dictionary, rows

from assay.core import stats
from assay.core.bench import Unkept
from assay.core.bounded import bounded_mean
from assay.core.fit import fit
from assay.core.intervals import Interval, interval
from assay.dictionaries.measuring import recovery, redundancy
from assay_catalogue.analysis import chains
from assay_catalogue.analysis.langevin import langevin
from assay_catalogue.analysis.sampler import n_beta_of
from assay_catalogue.explaining import scoring
from assay_catalogue.explaining.rule import Positions, f1
from assay_catalogue.features import probing
from assay_catalogue.worlds.potentials import learning_coefficient, potential

STEPS = 100
"""Steps of a chain that are recorded together."""


def auroc(score: Nested, label: Nested) -> dict[str, Any]:
    """AUROC of a probe."""
    return {"auroc": probing.auroc(np.array(score, float), np.array(label))}


def _levels(score: Nested, label: Nested) -> scoring.Levels:
    return scoring.levels(np.array(score, float), np.array(label))


def average_precision(score: Nested, label: Nested) -> dict[str, Any]:
    """Average precision of an explanation's scores."""
    return {"ap": scoring.average_precision(_levels(score, label))}


def f1_score(predicted: Nested, label: Nested) -> dict[str, Any]:
    """F1 from counts."""
    yes, true = np.array(predicted), np.array(label)
    return {"f1": f1((yes & true).sum(), (yes & ~true).sum(), true.sum())}


def balanced_accuracy(score: Nested, label: Nested, threshold: float) -> dict[str, Any]:
    """Balanced accuracy at a threshold."""
    return {"accuracy": scoring.balanced_accuracy(_levels(score, label), threshold)}


def mean_difference_features(features: Nested, label: Nested, k: int) -> dict[str, Any]:
    """The latents that a probe on k of them reads."""
    x = rows(features)
    n, d = x.shape
    one, zero = np.eye(d).tolist(), [0.0] * d
    same = dictionary("relu", {"W_enc": one, "b_enc": zero, "W_dec": one, "b_dec": zero})
    table = probing.Rows(x, np.array(label), np.arange(n))
    return {"latents": probing.chosen_features(same, table, k)}


def simulation(simulated: Sequence[Nested], activations: Sequence[Nested]) -> dict[str, Any]:
    """Correlation of expected and true activations."""
    pair = (np.concatenate([np.array(s, float) for s in x]) for x in (simulated, activations))
    return {"r": scoring.simulation(*pair)}


def detection(scores: Nested, activations: Nested, threshold: float) -> dict[str, Any]:
    """Balanced accuracy over contexts."""
    score, value = np.array(scores, float), np.array(activations, float)
    text = Positions(np.zeros(score.shape, int), np.ones(score.shape, bool))
    length = score.shape[1]
    return {"accuracy": scoring.detection(score.ravel(), value.ravel(), text, threshold, length)}


def lineup(own: Sequence[int], foils: Sequence[Sequence[int]], raised: Nested) -> dict[str, Any]:
    """The score of one latent."""
    numbers = np.arange(1, len(foils) + 1)[None]
    return {"score": scoring.lineup([own, *foils], [np.array(raised)], numbers)[0]}


def exact(points: np.ndarray, level: float = 0.95, edge: float = math.nan) -> Any:
    """The exact interval of a share."""
    return bounded_mean([points.astype(float)], float(points.mean()), (0.0, 1.0), level, edge)


def clopper_pearson(successes: int, n: int, level: float) -> dict[str, Any]:
    """Limits of a share."""
    limits = exact(np.arange(n) < successes, level)
    return {"low": limits.low, "high": limits.high}


def sign_test(positive: int, negative: int, zero: int) -> dict[str, Any]:
    """The error rate at which the exact interval of the share of positive differences reaches a
    half."""
    return {"p": exact(np.arange(positive + negative) < positive, edge=0.5).p}


def _student(i: Interval) -> dict[str, Any]:
    return {"low": i.t_low, "high": i.t_high}


def _boot(i: Interval) -> dict[str, Any]:
    return {"low": i.boot_low, "high": i.boot_high}


def student(values: Nested, level: float) -> dict[str, Any]:
    """Student's limits of a mean."""
    return _student(interval({"x": np.array(values, float)}, stats.mean, level=level))


def student_paired(a: Nested, b: Nested, level: float) -> dict[str, Any]:
    """Student's limits of a difference of means on the same units."""
    terms = {name: np.array(x, float) for name, x in (("a", a), ("b", b))}
    return _student(interval(terms, lambda m: m["a"] - m["b"], level=level))


def student_clusters(values: Nested, documents: Sequence[int], level: float) -> dict[str, Any]:
    """Student's limits of a mean over tokens, from sums of documents."""
    sums, counts = np.bincount(documents, values), np.bincount(documents).astype(float)
    return _student(interval({"x": sums, "n": counts}, stats.ratio("x", "n"), level=level))


def bootstrap(values: Nested, level: float) -> dict[str, Any]:
    """Bootstrap limits of a mean."""
    return _boot(interval({"x": np.array(values, float)}, stats.mean, level=level))


def _ratio(numerator: Nested, denominator: Nested, level: float = 0.95) -> Interval:
    terms = {"a": np.array(numerator, float), "b": np.array(denominator, float)}
    return interval(terms, stats.ratio("a", "b"), level=level)


def _steps(
    w: Nested, gradient: Nested, lr: float, n_beta: float, pull: float, centre: Nested
) -> np.ndarray:
    """Where one step of a chain leads; the same noise every time."""
    slope, start = rows(gradient), {"w": rows(w)[None]}
    chain = langevin(
        lambda params, batch: (params["w"] * slope).sum(-1),
        start,
        np.array([0]),
        lr=lr,
        n_beta=n_beta,
        localisation=pull,
        centre={"w": rows(centre)[None]},
    )
    (trained,) = fit([chain], lambda step: None, steps=1, bench=Unkept())
    return (trained.tensors["w"] - start["w"])[0].numpy()


def langevin_drift(
    w: Nested, gradient: Nested, lr: float, n_beta: float, localisation: float, centre: Nested
) -> dict[str, Any]:
    """A step less that of the same noise alone."""
    nothing = [0.0] * len(w)
    alone = _steps(w, nothing, lr, n_beta, 0.0, w)
    return {"moved": _steps(w, gradient, lr, n_beta, localisation, centre) - alone}


def langevin_noise(lr: float, n_beta: float) -> dict[str, Any]:
    """The variance of steps on flat ground."""
    flat = [0.0] * 40_000
    return {"variance": _steps(flat, flat, lr, n_beta, 0.0, flat).var()}


def llc_sampled(
    curvatures: Nested,
    n_beta: float,
    lr: float,
    localisation: float,
    chains: int,
    draws: int,
    burn_in: int,
) -> dict[str, Any]:
    """The estimate of chains on a quadratic."""
    settings = {"lr": lr, "n_beta": n_beta, "localisation": localisation, "off": 0.0}
    steps = burn_in + draws
    sampled = potential.sample(
        [potential.Quadratic(tuple(curvatures))],
        np.arange(chains)[None],
        steps=steps,
        blocks=steps // STEPS,
        bench=Unkept(),
        **{name: np.array([value]) for name, value in settings.items()},
    )
    losses = sampled.losses[0].numpy()[:, burn_in // STEPS :]
    return {"llc": potential.estimate(losses, 0.0, n_beta).mean()}


def llc(losses: Nested, at_centre: float, n_beta: float) -> dict[str, Any]:
    """The estimate from recorded losses."""
    return {"llc": chains.estimate(np.array(losses), at_centre, n_beta).mean()}


def llc_error(losses: Nested, at_centre: float, n_beta: float) -> dict[str, Any]:
    """Its standard error."""
    values = chains.estimate(np.array(losses), at_centre, n_beta)
    return {"error": chains.standard_error(values)}


def monomial(powers: Sequence[int]) -> dict[str, Any]:
    """Coefficient and multiplicity in closed form."""
    return dict(zip(("rlct", "multiplicity"), learning_coefficient.monomial(powers), strict=True))


def _quantity(name: str, function: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """A function of inputs by name that gives one quantity."""
    return lambda **inputs: {name: function(**inputs)}


OPERATIONS: protocol.Operations = {
    "auroc": auroc,
    "average_precision": average_precision,
    "f1": f1_score,
    "balanced_accuracy": balanced_accuracy,
    "mean_difference_features": mean_difference_features,
    "simulation": simulation,
    "detection": detection,
    "lineup": lineup,
    "logit_prediction": _quantity(
        "auroc", lambda tokens, weights: scoring.logit_prediction(tokens, np.array(weights, float))
    ),
    "mcc": _quantity("mcc", lambda true, learned: recovery.mcc(rows(true), rows(learned))),
    "mcc_matched": _quantity(
        "mcc", lambda true, learned: recovery.mcc_matched(rows(true), rows(learned))
    ),
    "nearest_cosine": _quantity("cosine", lambda decoder: redundancy.nearest_cosine(rows(decoder))),
    "effective_dimensions": _quantity(
        "dimensions", lambda decoder: redundancy.effective_dimensions(rows(decoder))
    ),
    "clopper_pearson": clopper_pearson,
    "sign_test": sign_test,
    "student": student,
    "student_paired": student_paired,
    "student_clusters": student_clusters,
    "bootstrap": bootstrap,
    "bootstrap_ratio": lambda **inputs: _boot(_ratio(**inputs)),
    "jackknife_error": _quantity("error", lambda **inputs: math.sqrt(_ratio(**inputs).variance)),
    "n_beta": _quantity("n_beta", n_beta_of),
    "llc": llc,
    "llc_error": llc_error,
    "monomial": monomial,
    "linear_network": _quantity("rlct", lambda **sizes: potential.coefficient(**sizes)[0]),
    "langevin_drift": langevin_drift,
    "langevin_noise": langevin_noise,
    "llc_sampled": llc_sampled,
}
