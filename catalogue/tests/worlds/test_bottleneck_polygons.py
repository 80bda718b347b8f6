"""Levels, shapes and ranks of polygons against published-style tables, other integrals, closed
forms and finite differences."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize

from assay.core.errors import SpecError
from assay_catalogue.analysis import plateaus
from assay_catalogue.worlds.bottleneck import one_hot, polygons, stages
from assay_catalogue.worlds.bottleneck.polygons import Polygon
from assay_catalogue.worlds.potentials.learning_coefficient import stationary_quadratic


def state(name, columns, **more):
    made = polygons.weights(polygons.parse_state(name, columns), columns, **more)
    return {k: torch.from_numpy(v)[None] for k, v in made.items()}


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("4", 0.11111),
        ("4+", 0.10417),
        ("4++", 0.09722),
        ("5", 0.06874),
        ("5+", 0.06180),
        ("6", 0.04819),
    ],
)
def test_levels_among_six_columns(name, loss):
    assert polygons.level(polygons.parse_state(name, 6), 6) == pytest.approx(loss, abs=6e-6)


@pytest.mark.parametrize(
    ("sides", "loss"), [(0, 0.33333), (1, 0.27778), (2, 0.22222), (3, 0.16667), (4, 0.11111)]
)
def test_up_to_four_sides_only_the_dead_cost(sides, loss):
    assert polygons.level(Polygon(sides), 6) == pytest.approx(loss, abs=6e-6)
    assert polygons.level(Polygon(sides, 1), 6) == pytest.approx(loss - 1 / 144, abs=6e-6)


def test_the_plateau_at_the_origin():
    assert polygons.level(polygons.parse_state("0++++++", 6), 6) == pytest.approx(0.29167, abs=6e-6)


def column_loss(sides, length, bias):
    """What one corner's inputs cost, by adaptive quadrature that is told where the kinks are."""
    total = 0.0
    for j in range(sides):
        g = length**2 * np.cos(2 * np.pi * j / sides)

        def squared(a, g=g, j=j):
            return (a * (j == 0) - max(g * a + bias, 0)) ** 2

        total += quad(squared, 0, 1, points=[min(max(-bias / g, 0), 1)], epsabs=1e-13)[0]
    return total


@pytest.mark.parametrize("sides", [5, 6, 7, 9])
def test_shapes_are_the_minima_of_the_integral(sides):
    found = minimize(
        lambda x: column_loss(sides, *x),
        polygons.shape(sides),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-15},
    )
    assert polygons.shape(sides) == pytest.approx(tuple(found.x), abs=1e-6)
    assert polygons.side_loss(sides) == pytest.approx(found.fun, abs=1e-11)


@pytest.mark.parametrize(
    ("sides", "length", "bias"), [(5, 1.17063, -0.28257), (6, 1.31979, -0.61672)]
)
def test_shapes_against_a_coarser_table(sides, length, bias):
    """A table made with a fixed rule of few points; the minimum is flat, so that lengths differ
    where losses do not."""
    assert polygons.shape(sides) == pytest.approx((length, bias), abs=2e-3)
    assert (
        column_loss(sides, *polygons.shape(sides))
        < column_loss(sides, length, bias)
        < column_loss(sides, *polygons.shape(sides)) + 1e-6
    )


def test_the_loss_of_a_corner_of_five():
    assert polygons.side_loss(5) == pytest.approx(0.015825, abs=1e-6)


def test_ten_sides_have_the_golden_ratio():
    golden = (1 + 5**0.5) / 2
    assert polygons.shape(10) == pytest.approx((golden, -golden), abs=1e-9)
    assert polygons.side_loss(10) == pytest.approx(1 / 6, abs=1e-9)


@pytest.mark.parametrize("columns", [6, 8])
def test_all_of_the_table_are_critical_points_of_the_whole_model(columns):
    for name, loss in polygons.table(columns).items():
        value, slope = one_hot.slopes(state(name, columns, turn=0.4))
        assert float(value) == pytest.approx(loss, abs=1e-12), name
        assert max(float(s.abs().max()) for s in slope.values()) < 1e-10, name
    assert "1" in polygons.table(columns) and "1+" not in polygons.table(columns)
    _, slope = one_hot.slopes(state("1+", columns))
    assert float(slope["W"].abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("columns", "name", "half"),
    [(6, "5", 7.0), (6, "5+", 8.5), (6, "6", 8.5), (8, "5", 7.0), (8, "7", 10.0), (8, "8", 11.5)],
)
def test_smooth_minima_are_flat_along_rotation_and_dead_columns_only(columns, name, half):
    curved = stages.curvatures(state(name, columns))[0]
    assert (curved > stages.CURVED).sum() / 2 == half and curved.min() > -stages.CURVED


@pytest.mark.parametrize(("columns", "name"), [(6, "3+"), (6, "0++++++"), (8, "5+"), (8, "6+")])
def test_some_states_are_saddles(columns, name):
    assert stages.curvatures(state(name, columns))[0].min() < -1e-4


def test_exact_states_in_one_call():
    loss, steepest, half = stages.exactly(6, ("5", "6"))
    assert (
        loss == pytest.approx([0.06874, 0.04819], abs=6e-6)
        and steepest.max() < 1e-12
        and half.tolist() == [7.0, 8.5]
    )
    assert len(stages.exactly(8)[0]) == len(polygons.table(8))


def test_the_nearest_level_and_what_chance_hits():
    sides, positive, off = polygons.nearest(np.array([0.0618, 0.0972, 0.05]), 6)
    assert sides.tolist() == [5, 4, 6] and positive.tolist() == [1, 2, 0]
    assert off == pytest.approx([0, 0, 0.05 / 0.0481924 - 1], abs=3e-4)
    drawn = polygons.nearest(np.linspace(0.04, 0.3, 100_001), 6)[-1]
    levels = np.array(sorted(set(np.round(list(polygons.table(6).values()), 12))))
    hit = (np.abs(np.linspace(0.04, 0.3, 100_001)[:, None] / levels - 1) <= 0.01).any(1).mean()
    assert (abs(drawn) <= 0.01).mean() == pytest.approx(hit, abs=1e-3) and 0.2 < hit < 0.3


@pytest.mark.parametrize(
    ("name", "columns", "says"),
    [
        ("7", 6, "no polygon with 7 sides fits 6 columns"),
        ("5++", 6, "6 columns leave 1 dead"),
        ("pentagon", 6, "a state is called by its sides"),
        ("-1", 6, "a state is called by its sides"),
        ("5", 11, "worked out for 1 to 10 columns"),
    ],
)
def test_impossible_states_are_named(name, columns, says):
    with pytest.raises(SpecError, match=says):
        polygons.parse_state(name, columns)


# --- plateaus, and chains -------------------------------------------------------------------------


def test_plateaus_of_a_staircase():
    times = np.unique(np.geomspace(1, 10_000, 60).round())
    two = 0.1 + 0.5 / (1 + (times / 100) ** 4)
    never = times**-0.2
    found = plateaus.standing(times, np.stack([two, never, np.full(len(times), 0.3)]))
    assert found.shape == (3, 4, 2)
    (a, b), (c, d) = found[0, :2]
    assert a == 0 and 25 < times[b] < 60 and 200 < times[c] < 600 and d == len(times) - 1
    assert (found[0, 2:] == -1).all() and (found[1] == -1).all()
    assert found[2, 0].tolist() == [0, len(times) - 1]


def test_a_short_stand_is_no_plateau():
    times = np.geomspace(1, 1_000, 200)
    loss = np.where(times < 1.8, 1.0, (times / 1.8) ** -0.5)
    assert (plateaus.standing(times, loss[None]) == -1).all()


@pytest.mark.parametrize(
    ("name", "draws"),
    [("5", 1_000), *(pytest.param(n, 2_000, marks=pytest.mark.thorough) for n in ("5", "6"))],
)
def test_chains_give_what_a_parabola_of_the_same_curvatures_gives(name, draws, bench):
    one = state(name, 6)
    centre = {k: v.repeat(24, *[1] * (v.ndim - 1)) for k, v in one.items()}
    found, diverged = stages.sample(
        np.arange(24),
        centre,
        samples=1_000_000,
        localisation=100.0,
        step=4e-6,
        draws=draws,
        burn=500,
        bench=bench,
    )
    h = stages.curvatures(one)[0].clip(0)
    expected = float(stationary_quadratic(h, 1e6 / np.log(1e6), 100.0, 4e-6))
    error = float(found["llc"].std() / 24**0.5)
    assert (
        not diverged.any()
        and abs(float(found["llc"].mean()) - expected) < 4 * error + 0.03 * expected
    )
    assert 0.9 < float(found["accepted"].mean()) <= 1
    assert abs(float(found["moved"].mean())) < 4 * float(found["moved"].std()) / 24**0.5


def test_at_a_saddle_the_estimate_is_negative(bench):
    origin = state("0++++++", 6)
    found, _ = stages.sample(
        np.arange(1),
        origin,
        samples=1_000_000,
        localisation=100.0,
        step=2e-6,
        draws=1_000,
        burn=500,
        bench=bench,
    )
    assert float(found["llc"]) < -1_000


def test_states_and_columns_are_called_by_what_they_are():
    assert polygons.called(np.array([5.0, 4.0, np.nan]), np.array([1.0, 2.0, 0.0])) == [
        "5+",
        "4++",
        "",
    ]
