"""Curves of one mode in one layer, two and more: published vectors, integration in small steps,
limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from assay.core.errors import DataError
from assay_catalogue.worlds.linear import factors
from assay_catalogue.worlds.linear.one_mode import (
    SHALLOW_SHARPNESS,
    balanced_time,
    deep,
    deep_time,
    imbalance_of,
    layered,
    layered_time,
    reached,
    shallow,
    sharpness,
    split_gains,
    stable_rate,
)

TIMES = np.array([0.1, 0.5, 1.0, 2.0])


def test_vectors_of_strength_three_from_a_hundredth():
    np.testing.assert_allclose(
        deep([0.5, 1.0, 2.0], 3, 0.01), [0.188842, 1.723002, 2.994499], atol=5e-7
    )
    assert deep_time(0.5, 3, 0.01) == pytest.approx(0.950074, abs=5e-7)
    assert shallow(1.0, 3, 0.01) == pytest.approx(1.900040, abs=5e-7)
    assert sharpness(3, 0.01) == pytest.approx(np.log(81) / np.log(299), rel=1e-12)
    assert sharpness(3, 0.01) == pytest.approx(0.77, abs=0.005)
    np.testing.assert_allclose(SHALLOW_SHARPNESS, 3.17, atol=0.005)


def integrated(a, b, s):
    """a·b at TIMES by a Runge–Kutta rule, layers as vectors over hidden units."""
    h = len(a)

    def slope(_, x):
        left = s - x[:h] @ x[h:]
        return np.concatenate([left * x[h:], left * x[:h]])

    done = solve_ivp(slope, (0, 2), np.concatenate([a, b]), t_eval=TIMES, rtol=1e-11, atol=1e-13)
    return (done.y[:h] * done.y[h:]).sum(0)


@pytest.mark.parametrize(
    ("a", "b"),
    [([0.1], [0.1]), ([2.0], [0.005]), ([0.3], [-0.2]), ([0.3, -0.1, 0.2], [0.05, 0.4, -0.3])],
)
def test_the_curve_is_what_small_steps_give_however_the_product_is_split(a, b):
    a, b = np.array(a), np.array(b)
    np.testing.assert_allclose(
        deep(TIMES, 3.0, a @ b, imbalance_of(a, b)), integrated(a, b, 3.0), atol=1e-8
    )


def test_balanced_it_is_the_scalar_solution():
    np.testing.assert_allclose(
        deep(TIMES, 2.5, 0.09), factors.rank_one(TIMES, 2.5, 0.3), rtol=1e-12
    )


@pytest.mark.parametrize("layers", [3, 4, 8])
def test_more_balanced_layers_follow_the_published_equation_and_step_more_sharply(layers):
    def slope(_, u):  # Saxe et al. 2014, for L layers of equal gains
        return layers * u ** (2 - 2 / layers) * (3 - u)

    wanted = solve_ivp(slope, (0, 2), [0.01], t_eval=TIMES, rtol=1e-11, atol=1e-13).y[0]
    gains = split_gains(0.01, layers)
    np.testing.assert_allclose(layered(TIMES, 3.0, gains), wanted, atol=1e-7)
    for u, time in zip(wanted, TIMES, strict=True):
        if u < 2.99:
            assert layered_time(u / 3, 3.0, gains) == pytest.approx(time, abs=1e-7)
    rises = [
        (balanced_time(0.9, 3, 0.01, n) - balanced_time(0.1, 3, 0.01, n))
        / balanced_time(0.5, 3, 0.01, n)
        for n in (2, layers)
    ]
    assert rises[0] == pytest.approx(sharpness(3, 0.01)) and rises[1] < rises[0] / 2


def test_two_layers_of_any_split_are_a_case_of_the_general_one():
    gains = split_gains(0.01, 2, 5.0)
    apart = gains[1] ** 2 - gains[0] ** 2
    np.testing.assert_allclose(layered(TIMES, 3, gains), deep(TIMES, 3, 0.01, apart), atol=1e-7)
    for share in (0.001, 0.1, 0.5, 0.9):
        assert layered_time(share, 3, gains) == pytest.approx(deep_time(share, 3, 0.01, apart))


def test_uneven_layers_follow_small_steps_of_gradient_descent_on_their_gains():
    gains, w, step = [0.8, 0.2, 0.05], np.array([0.8, 0.2, 0.05]), 1e-4
    curve = []
    for _ in range(10_000):
        curve.append(w.prod())
        w = w + step * (3 - w.prod()) * w.prod() / w
    assert layered_time(0.1, 3, gains) == pytest.approx(
        step * reached(np.array(curve), 0.3), rel=2e-3
    )
    times = np.array([0.2, 0.5, 0.9])
    indices = (times / step).round().astype(int)
    np.testing.assert_allclose(layered(times, 3, gains), np.array(curve)[indices], rtol=2e-3)


@pytest.mark.parametrize("imbalance", [0.0, 0.5, 30.0])
def test_times_are_where_the_curves_come_through(imbalance):
    for share in (0.1, 0.5, 0.9):
        assert deep(deep_time(share, 3, 0.01, imbalance), 3, 0.01, imbalance) == pytest.approx(
            3 * share
        )
    assert deep_time(0.001, 3, 0.01, imbalance) < 0


def test_the_more_uneven_the_more_like_one_layer():
    values = [sharpness(3, 1e-4, d) for d in (0, 0.1, 1, 10, 100, 1e4)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(SHALLOW_SHARPNESS, rel=1e-3)


def test_stronger_modes_come_earlier_in_two_layers_and_all_at_once_in_one():
    two = [deep_time(0.5, s, 0.01) for s in (4, 3, 2, 1)]
    np.testing.assert_allclose(np.divide(two[1:], two[:-1]), [1.269, 1.393, 1.736], atol=5e-4)
    one = [shallow(np.log(2), s) / s for s in (4, 3, 2, 1)]
    np.testing.assert_allclose(one, 0.5)


def test_above_the_stable_rate_a_learned_mode_is_left_again():
    for a, b in ((np.sqrt(3), np.sqrt(3)), (3.0, 1.0)):
        limit = stable_rate(3, (a, b))
        assert limit == pytest.approx(2 / (a * a + b * b))
        for factor, stays in ((0.98, True), (1.02, False)):
            x, y = a + 1e-6, b + 1e-6
            for _ in range(2_000):
                x, y = x + factor * limit * (3 - x * y) * y, y + factor * limit * (3 - x * y) * x
                if not abs(x * y - 3) < 0.1:
                    break
            assert (abs(x * y - 3) < 1e-5) == stays
    assert stable_rate(3, split_gains(0.01, 2)) == pytest.approx(1 / 3)
    assert stable_rate(3, split_gains(0.01, 3)) == pytest.approx(2 / (3 * 3 ** (4 / 3)))


def test_levels_are_reached_between_steps():
    curves = np.array([[0.0, 1.0, 2.0, 4.0], [3.0, 3.0, 3.0, 3.0], [0.0, 0.1, 0.2, 0.3]])
    np.testing.assert_allclose(reached(curves, 2.5), [2.25, np.nan, np.nan])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: deep(1.0, 3, 3.0), "a start below its strength: got start 3, strength 3"),
        (lambda: deep(1.0, -1, -2.0), "strength -1"),
        (lambda: deep_time(0.5, 3, 0.0), "leaves both at 0 or opposed"),
        (lambda: deep_time(0.5, 3, -0.1), "leaves both at 0 or opposed"),
        (lambda: deep_time(1.0, 3, 0.1), "between 0 and 1, got 1"),
        (lambda: layered_time(0.5, 3, [2.0, 2.0, 1.0]), "start 4, strength 3"),
    ],
)
def test_what_never_grows_is_refused(call, said):
    with pytest.raises(DataError, match=said):
        call()
