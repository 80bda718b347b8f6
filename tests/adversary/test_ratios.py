"""Every normalised measure at points where nothing is to be explained: undefined, never a perfect
score."""

import numpy as np
import pytest
import torch

from assay.core import stats
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring import measures, metrics, rarity, recovery, redundancy
from assay.dictionaries.nonlinearity import ReLU
from assay.features import statistics

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
VALUES = (0.1, 0.3, 1 / 3, 7.7, -1e-3, 1234.567, 1e9 + 0.1)
"""Numbers whose mean over many equal ones is off by rounding."""


def rows(value, n=13, width=5):
    """Rows that do not vary."""
    return np.tile(value * np.linspace(0.3, 1.7, width), (n, 1))


def column(value, n=13):
    return np.full(n, value)


NOISE = np.random.default_rng(0).normal(size=13)
LABELS = np.arange(13) % 2 == 0


def streamed(value, dtype):
    """FVU, γ and the rest of a dictionary that gives back rows which do not vary, from streamed
    sums."""
    x = torch.tensor(rows(value), dtype=dtype)
    eye, zero = torch.eye(5)[None], torch.zeros(1, 5)
    sums = metrics.document_sums(
        Dictionary(eye, zero, eye, zero, ReLU()), x, torch.zeros(13, dtype=torch.long), 1, x.mean(0)
    )
    done = metrics.finish(sums)
    return [done[name] for name in ("fvu", "gamma", "norm_ratio")]


def terms(x, y):
    """The means that a correlation or a slope is made of."""
    x, y = x - x.mean(), y - y.mean()
    return {
        k: np.array([v.mean()])
        for k, v in {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}.items()
    }


def sweep(best, base, repaired):
    made = {f"{side}.x": np.array([[1.0, 2.0, 4.0]]) for side in ("best", "base", "repaired")}
    return made | {
        f"{side}.y": np.full((1, 3), y)
        for side, y in (("best", best), ("base", base), ("repaired", repaired))
    }


def of_value(v):
    """Measures of something that does not vary, or is nothing, each told perfectly."""
    x = rows(v)
    yield "fvu", metrics.fvu(x, x)
    yield "fvu of a tensor", metrics.fvu(torch.tensor(x).float(), torch.tensor(x).float())
    yield "fvu, off", metrics.fvu(x, x + 1)
    for mean in (x.mean(0), x.astype(np.float32).mean(0), torch.tensor(x).float().mean(0)):
        for measure in (metrics.shrinkage, metrics.norm_ratio):
            yield f"{measure.__name__} about the mean, {type(mean).__name__}", measure(x, x, mean)
    for dtype in (torch.float32, torch.float64):
        yield f"streamed, {dtype}", streamed(v, dtype)
    yield "correlation", stats.correlation(terms(column(v), NOISE))
    yield "correlation of one with itself", stats.correlation(terms(column(v), column(v)))
    yield (
        "share_closed, no gap",
        stats.share_closed("x", "y")(sweep(abs(v), abs(v) * (1 + 1e-15), abs(v))),
    )
    yield (
        "share_closed, best is worse",
        stats.share_closed("x", "y")(sweep(abs(v) * 1.5, abs(v), abs(v) * 1.5)),
    )


def of_nothing():
    """Measures of nothing: no rows, no length, no harm, one class."""
    none, nil = np.zeros((0, 3)), np.zeros((4, 3))
    for measure in (metrics.l0, metrics.density, metrics.dead):
        yield measure.__name__, measure(none)
    yield "fvu", metrics.fvu(none, none)
    yield "shrinkage", metrics.shrinkage(nil, nil)
    yield "shrinkage, against", metrics.shrinkage(np.ones((4, 3)), -np.ones((4, 3)))
    for clean, ablated in ((2.0, 2.0), (2.0, 1.0), (0.0, 0.0), (-1.0, -2.0)):
        for spliced in (clean, ablated, min(clean, ablated) - 1, max(clean, ablated) + 1):
            yield (
                f"ce_recovered of {clean}, {spliced}, {ablated}",
                metrics.ce_recovered(clean, spliced, ablated),
            )
    for ablated in (0.0, -1e-9):
        yield f"kl_recovered of {ablated}", metrics.kl_recovered(ablated, ablated)
    for m in measures.TABLE:
        yield (
            f"{m.name} of nothing",
            m.of(*(np.zeros(3) if t == "firings" else 0.0 for t in m.terms)),
        )
        if m.terms != measures.FIRINGS:
            yield f"{m.name}, negative", m.of(*(-1.0 for _ in m.terms))
    yield "density classes", list(rarity.density_classes(np.zeros(3), 0).values())
    for measure in (recovery.mcc, recovery.mcc_matched):
        yield measure.__name__, measure(np.zeros((2, 3)), np.eye(3))
    found = recovery.support(recovery.support_sums(nil, np.ones((4, 2))))
    yield "support", [found[k] for k in ("precision", "recall", "f1")]
    for measure in (redundancy.nearest_cosine, redundancy.effective_dimensions):
        yield measure.__name__, measure(np.zeros((3, 2)))
    yield "nearest_cosine of one", redundancy.nearest_cosine(np.eye(2)[:1])
    yield "purity of no examples", statistics.purity(np.full((1, 20), -1))
    yield "density of no rows", statistics.density(statistics.start(2))
    yield "ratio", stats.ratio("a", "b")({"a": np.zeros(1), "b": np.zeros(1)})


@pytest.mark.parametrize(
    "made",
    [of_nothing, *(lambda v=v: of_value(v) for v in VALUES)],
    ids=["nothing", *map(str, VALUES)],
)
def test_nothing_to_explain_is_undefined_and_never_perfect(made):
    wrong = {}
    for name, value in made():
        parts = [
            np.asarray(v.cpu() if isinstance(v, torch.Tensor) else v, float).ravel()
            for v in (value if isinstance(value, list) else [value])
        ]
        if not all(np.isnan(p).all() for p in parts):
            wrong[name] = value
    assert not wrong


def test_a_share_of_a_negative_amount_says_what_is_the_case():
    """γ of reconstructions that point the other way has a denominator, a negative one."""
    for measure in (measures.GAMMA, measures.GAMMA_RAW):
        assert np.isnan(measure.of(1.0, -1.0, 1.0))
        assert "do not point along" in measure.undefined
        assert "nothing to divide" not in measure.undefined
