"""The two-circuit simulation: times measured apart from this code, the optimum by formula and by a
general minimiser."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from assay.core.errors import SpecError
from assay_catalogue.worlds.modular.two_circuits import Circuits, bend, simulate, variants

BASE = Circuits()


def naively(c, steps):
    """Four weights, the gradients spelled out; the logits after so many steps."""
    g1 = g2 = c.start_g
    m1 = m2 = c.start_m
    for _ in range(steps):
        o = c.efficiency_g * g1 * g2 + c.efficiency_m * m1 * m2
        slope = -(c.classes - 1) * math.exp(-o) / (1 + (c.classes - 1) * math.exp(-o))
        dg1, dg2 = (
            slope * c.efficiency_g * g2 + c.decay * g1,
            slope * c.efficiency_g * g1 + c.decay * g2,
        )
        dm1, dm2 = (
            slope * c.efficiency_m * m2 + c.decay * m1,
            slope * c.efficiency_m * m1 + c.decay * m2,
        )
        g1, g2 = g1 - c.step * c.rate_g * dg1, g2 - c.step * c.rate_g * dg2
        m1, m2 = m1 - c.step * c.rate_m * dm1, m2 - c.step * c.rate_m * dm2
    return c.efficiency_g * g1 * g2, c.efficiency_m * m1 * m2


@pytest.mark.parametrize("steps", [0, 1, 100, 3000])
def test_is_descent_on_all_four_weights(steps):
    course = simulate(BASE, 3000)
    assert (course.generalising[steps], course.memorising[steps]) == pytest.approx(
        naively(BASE, steps), rel=1e-9
    )
    assert course.time[steps] == pytest.approx(0.2 * steps)
    assert course.loss[steps] == pytest.approx(
        math.log(1 + 112 * math.exp(-sum(naively(BASE, steps)))), rel=1e-9
    )


@pytest.mark.parametrize(
    ("circuits", "steps", "fit", "overtake", "delay"),
    [
        (BASE, 10_000, 22.4, 848.8, 36.9),
        (replace(BASE, start_g=0.005), 10_000, 22.4, 1507, 66.3),
        (BASE.slowed(0.5), 20_000, 44.8, 1698.6, 36.9),
        (BASE.slowed(0.25), 40_000, 89.6, 3398, 36.9),
        (replace(BASE, rate_g=0.025), 20_000, 22.4, 1888, 83.3),
        (replace(BASE, rate_g=0.0125), 40_000, 22.4, 3965, 176),
    ],
)
def test_times_are_those_measured_apart(circuits, steps, fit, overtake, delay):
    course = simulate(circuits, steps)
    assert course.fit == pytest.approx(fit, abs=0.2)
    assert course.overtake == pytest.approx(overtake, rel=5e-4)
    assert course.delay == pytest.approx(delay, rel=3e-3)


def test_it_groks_as_it_is_and_in_none_of_the_variants():
    courses = {name: simulate(c, 10_000) for name, c in variants(BASE).items()}
    assert [name for name, course in courses.items() if course.groks] == ["as it is"]
    fast = courses["both learned fast"]
    assert fast.overtake == pytest.approx(2.6, abs=0.3) and fast.fit == pytest.approx(4.8, abs=0.3)
    assert courses["memory more efficient"].overtake == math.inf
    unpenalised = courses["no weight decay"]
    assert unpenalised.overtake == math.inf
    assert (np.diff(unpenalised.memorising) >= 0).all()  # nothing is reallocated


def test_the_optimum_is_where_training_ends_and_what_a_minimiser_finds():
    """o* = log((q − 1)(1 − r)/r), r = λ/κ of the more efficient circuit, of norm 2 o*/κ."""
    logit = math.log(112 * 0.99 / 0.01)
    assert logit == pytest.approx(9.313619, abs=1e-6)
    course = simulate(BASE, 20_000)
    assert course.generalising[-1] == pytest.approx(logit, abs=1e-5)
    assert course.loss[-1] == pytest.approx(0.010050, abs=1e-6)
    assert course.memorising[-1] < 1e-12

    def objective(w):
        o = BASE.efficiency_g * w[0] * w[1] + BASE.efficiency_m * w[2] * w[3]
        return math.log1p(112 * math.exp(-o)) + 0.005 * np.square(w).sum()

    found = [
        minimize(objective, x0, tol=1e-12)
        for x0 in ([1, 1, 1, 1], [0.1, 0.1, 3, 3], [2, 1, 0.1, 0.2])
    ]
    assert min(f.fun for f in found) == pytest.approx(course.loss[-1] + 0.01 * logit, abs=1e-7)


def test_unstable_steps_are_refused():
    assert bend(113) == pytest.approx(
        max(o * w * (1 - w) for o in np.linspace(0, 20, 9999) for w in [112 / (112 + math.exp(o))]),
        rel=1e-5,
    )
    with pytest.raises(
        SpecError,
        match=r"step × rate × efficiency must be at most 0\.8\d* for a stable descent, got 1",
    ):
        replace(BASE, step=8.0)
    with pytest.raises(SpecError, match="at least 2 classes"):
        replace(BASE, classes=1)
