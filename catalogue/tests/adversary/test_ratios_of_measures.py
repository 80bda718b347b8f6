"""Every normalised measure of the catalogue at points where nothing is to be explained: undefined,
never a perfect score."""

import numpy as np
import pytest

from assay_catalogue.analysis import matching
from assay_catalogue.dictionaries import absorption, concentration
from assay_catalogue.explaining import scoring
from assay_catalogue.features import linear_probe, probing, undertrained

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
VALUES = (0.1, 0.3, 1 / 3, 7.7, -1e-3, 1234.567, 1e9 + 0.1)
"""Numbers whose mean over many equal ones is off by rounding."""
NOISE = np.random.default_rng(0).normal(size=13)
LABELS = np.arange(13) % 2 == 0


def column(value):
    return np.full(13, value)


def of_value(v):
    """Measures of something that does not vary, or is nothing, each told perfectly."""
    rows = np.tile(v * np.linspace(0.3, 1.7, 5), (4, 1))
    yield "excess_kurtosis", concentration.excess_kurtosis(column(v))
    yield "spearman", matching.spearman(column(v), NOISE)
    yield "spearman of one with itself", matching.spearman(column(v), column(v))
    yield "partial_spearman", matching.partial_spearman(column(v), column(v), NOISE[:, None])
    yield "distance_r2", linear_probe.distance_r2(rows, rows)
    yield "simulation", scoring.simulation(column(v), column(v))
    yield "simulation, off", scoring.simulation(NOISE, column(v))
    yield "growth", undertrained.growth(column(abs(v)), np.arange(1, 14))[0]
    yield "growth of equal numbers", undertrained.growth(abs(NOISE), np.full(13, 3))


def of_nothing():
    """Measures of nothing: no absorption, no features, one class."""
    few = np.zeros((6, 1), bool)
    yield "absorbed, never", absorption.absorbed(few, few, ~few)
    yield "absorbed, always", absorption.absorbed(~few, ~few, ~few)
    for name in ("gini", "fewest", "large"):
        yield name, getattr(concentration, name)(np.zeros(5))
    for label in (LABELS | True, LABELS & False):
        yield "auroc", probing.auroc(NOISE, label)
        yield "auroc_low", undertrained.auroc_low(NOISE, label, ~label)
        of = scoring.levels(NOISE, label)
        yield "auroc of levels", scoring.auroc(of)
        yield "balanced_accuracy", scoring.balanced_accuracy(of, 0.0)
    yield "average_precision", scoring.average_precision(scoring.levels(NOISE, LABELS & False))
    yield "simulation of nothing", scoring.simulation(column(np.nan), NOISE)
    yield "lineup without foils", scoring.lineup([[1, 2]], [np.array([1])], np.zeros((1, 0), int))
    yield "logit_prediction", scoring.logit_prediction([], NOISE)


@pytest.mark.parametrize(
    "made",
    [of_nothing, *(lambda v=v: of_value(v) for v in VALUES)],
    ids=["nothing", *map(str, VALUES)],
)
def test_nothing_to_explain_is_undefined_and_never_perfect(made):
    values = {name: np.asarray(value, float) for name, value in made()}
    assert not {name: value for name, value in values.items() if not np.isnan(value).all()}


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1e-9, 0.0), (1.0, 1e6), (1e12, -1e12)])
def test_what_can_be_explained_is_what_it_was(scale, shift):
    x = np.random.default_rng(1).normal(size=50)
    guess, y = scale * 0.9 * x + shift, scale * x + shift
    assert scoring.simulation(guess, y) == pytest.approx(1.0, abs=1e-6)
