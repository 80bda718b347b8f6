"""Fits of costs and crossings on curves whose parameters are known."""

import numpy as np
import pytest

from assay.core.errors import DataError
from assay_catalogue.worlds.modular import critical_size

SIZES = np.array([200.0, 300, 400, 500, 600, 700])
GRID = np.array([400.0, 420, 440, 460, 480, 500])


def test_a_power_law_is_found_again():
    cost = np.array([4.7e-4 * SIZES**0.632, 1e-3 * SIZES**0.5])
    law = critical_size.power_law(SIZES, cost)
    assert np.exp(law.log_alpha) == pytest.approx([4.7e-4, 1e-3])
    assert law.beta == pytest.approx([0.632, 0.5])
    assert law.residual == pytest.approx([0, 0], abs=1e-12)
    assert law.at(500) == pytest.approx(cost[:, 3])


def test_is_polyfit_on_noise():
    cost = np.exp(np.random.default_rng(0).normal(-4, 0.3, (3, 6)))
    law = critical_size.power_law(SIZES, cost)
    beta, log_alpha = np.polyfit(np.log(SIZES), np.log(cost).T, 1)
    assert (law.beta, law.log_alpha) == (pytest.approx(beta), pytest.approx(log_alpha))
    assert law.residual[0] == pytest.approx(
        abs(np.log(cost[0]) - beta[0] * np.log(SIZES) - log_alpha[0]).max()
    )


@pytest.mark.parametrize(
    ("cost", "size"), [(0.019973, 377.1), (0.020014, 378.4), (0.020773, 401.3)]
)
def test_critical_sizes_of_three_sets(cost, size):
    """J_gen of three sets of frequencies, with α and β of the memoriser: sizes worked out apart."""
    law = critical_size.PowerLaw(np.log([4.70e-4]), np.array([0.632]), np.zeros(1))
    assert np.exp(law.log_size(np.array([cost]))) == pytest.approx([size], rel=2e-3)


def test_nu_is_the_slope_through_zero():
    assert critical_size.proportion(
        np.array([1.0, 2, 4]), np.array([120.0, 240, 480])
    ) == pytest.approx(120)
    x, y = np.random.default_rng(1).uniform(1, 2, (2, 50))
    assert critical_size.proportion(x, y) == pytest.approx(
        np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
    )


def test_a_crossing_by_hand_and_where_there_is_none():
    accuracy = np.array(
        [
            [0, 0.25, 0.75, 1, 1, 1],
            [0.1] * 6,
            [0.9] * 6,
            [0, 0.25, np.nan, 1, 1, 1],
            [0.5, 1, 1, 1, 1, 1],
        ]
    )
    found = critical_size.crossing(GRID, accuracy)
    assert found[0] == pytest.approx(430)
    assert np.isnan(found[1:]).all()  # below, above, missing, at the edge already
    assert critical_size.crossing(GRID[::-1], accuracy[:, ::-1])[0] == pytest.approx(430)
    assert critical_size.crossing(GRID, accuracy, level=0.9)[0] == pytest.approx(452)


def test_a_logistic_middle_is_found_again_with_noise_and_never_at_the_edge():
    rng = np.random.default_rng(2)
    for middle, scale in [(441.0, 10.0), (430.0, 30.0), (485.0, 15.0), (451.0, 2.0)]:
        curve = 1 / (1 + np.exp(-(GRID - middle) / scale))
        assert critical_size.logistic_middle(GRID, curve[None])[0] == pytest.approx(middle, abs=0.5)
        noisy = critical_size.logistic_middle(GRID, curve + rng.normal(0, 0.05, (40, 6)))
        assert np.nanmean(noisy) == pytest.approx(middle, abs=3)
    outside = np.array(
        [
            [0.01, 0.02, 0.02, 0.05, 0.06, 0.1],
            [0.9, 0.92, 0.95, 0.97, 1, 1],
            [np.nan, 0, 0, 1, 1, 1],
        ]
    )
    assert np.isnan(critical_size.logistic_middle(GRID, outside)).all()


def test_a_logistic_middle_of_a_curve_that_is_not_monotone():
    """The pilot's own: .40, .16, .02, .26 and then up; neither crossing of .5 is asked for, but the
    best curve."""
    row = np.array([[0.40, 0.16, 0.02, 0.26, 0.8, 0.9]])
    found = critical_size.logistic_middle(GRID, row)[0]
    middles, scales = np.meshgrid(np.linspace(400, 500, 1001), np.linspace(0.5, 60, 240))
    curves = 1 / (1 + np.exp(-np.clip((GRID - middles[..., None]) / scales[..., None], -500, 500)))
    best = np.unravel_index(np.square(curves - row[0]).sum(-1).argmin(), middles.shape)
    assert found == pytest.approx(middles[best], abs=1)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(DataError, match="two sizes or more"):
        critical_size.power_law(np.array([200.0]), np.ones((1, 1)))
    with pytest.raises(DataError, match="above 0"):
        critical_size.power_law(SIZES, -np.ones((1, 6)))
    with pytest.raises(DataError, match="two different sizes"):
        critical_size.crossing(np.array([300.0]), np.ones((1, 1)))


def test_the_middle_of_log_odds_is_polyfits_and_a_missing_accuracy_costs_its_own_run_alone():
    size, rng = np.array([320.0, 370, 420]), np.random.default_rng(3)
    accuracy = np.sort(rng.uniform(0.05, 0.95, (6, 3)), 1)
    rise, level = np.polyfit(size, np.log(accuracy / (1 - accuracy)).T, 1)
    assert critical_size.odds_middle(size, accuracy) == pytest.approx(-level / rise)
    assert critical_size.odds_middle(size[::-1], accuracy[:, ::-1]) == pytest.approx(-level / rise)
    holed = accuracy.copy()
    holed[2, 1] = np.nan
    found = critical_size.odds_middle(size, holed)
    assert np.isnan(found).tolist() == [False, False, True, False, False, False]
    assert np.delete(found, 2) == pytest.approx(np.delete(-level / rise, 2))
    assert np.isnan(
        critical_size.odds_middle(size, np.array([[0.9, 0.5, 0.1], [0.3, 0.3, 0.3]]))
    ).all()  # they do not rise
