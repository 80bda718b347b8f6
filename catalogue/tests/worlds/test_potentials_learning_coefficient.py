"""Learning coefficients and what chains should give: published values, integrals done otherwise,
and limits."""

import math

import numpy as np
import pytest
from scipy.integrate import dblquad, quad

from assay.core.errors import SpecError
from assay_catalogue.worlds.potentials.learning_coefficient import (
    monomial,
    posterior_monomial,
    posterior_rank_zero,
    stationary_quadratic,
)
from assay_catalogue.worlds.potentials.potential import coefficient, hessian_rank, known

N_BETA = 1000 / math.log(1000)


@pytest.mark.parametrize(
    ("h", "gamma", "lr", "value"),
    [
        ((1,) * 10, 1, 1e-3, 5.15350),
        ((1,) * 10, 100, 1e-3, 3.14997),
        ((1,) * 10, 1, 5e-3, 6.07207),
        ((1,) * 6 + (0.5,) * 2 + (0,) * 2, 1, 1e-3, 4.09691),
    ],
)
def test_stationary_quadratics(h, gamma, lr, value):
    assert stationary_quadratic(h, N_BETA, gamma, lr) == pytest.approx(value, abs=5e-6)


def test_a_quadratic_without_biases_is_half_its_curved_directions_and_the_recursion_agrees():
    assert stationary_quadratic((1, 2, 0, 7), 50.0) == 1.5
    eps, beta, gamma, h = 0.01, 50.0, 3.0, 1.7
    variance = 0.0
    for _ in range(10_000):  # w ← (1 − ε κ/2) w + √ε ξ, in variances
        variance = (1 - eps * (beta * h + gamma) / 2) ** 2 * variance + eps
    assert stationary_quadratic((h,), beta, gamma, eps) == pytest.approx(
        beta * h * variance / 2, rel=1e-10
    )


def test_an_unstable_quadratic_has_no_stationary_state():
    with pytest.raises(SpecError, match="below 4"):
        stationary_quadratic((1.0,), 3.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("powers", "value", "times"),
    [
        ((0, 1), 1 / 2, 1),
        ((1, 1), 1 / 2, 2),
        ((0, 2), 1 / 4, 1),
        ((1, 2), 1 / 4, 1),
        ((2, 2), 1 / 4, 2),
        ((0, 3), 1 / 6, 1),
    ],
)
def test_coefficients_of_monomials_as_published(powers, value, times):
    assert monomial(powers) == (pytest.approx(value), times)


def test_integrals_of_w_to_the_2k():
    for k in (1, 2, 3):
        for n_beta in (10.0, N_BETA):
            assert posterior_monomial((k,), n_beta) == pytest.approx(1 / (2 * k), abs=1e-6)
    assert posterior_monomial((2,), N_BETA, 1) == pytest.approx(0.24309, abs=5e-6)
    assert posterior_monomial((2,), N_BETA, 100) == pytest.approx(0.03109, abs=5e-6)
    for k, gamma in ((2, 1.0), (3, 30.0)):
        top, _ = quad(
            lambda w: N_BETA * w ** (2 * k) * math.exp(-N_BETA * w ** (2 * k) - gamma / 2 * w * w),  # noqa: B023
            0,
            10,
            points=(0.1, 0.5, 1),
        )
        under, _ = quad(
            lambda w: math.exp(-N_BETA * w ** (2 * k) - gamma / 2 * w * w),  # noqa: B023
            0,
            10,
            points=(0.1, 0.5, 1),
        )
        assert posterior_monomial((k,), N_BETA, gamma) == pytest.approx(top / under, rel=1e-6)


@pytest.mark.parametrize(
    ("more", "values"),
    [
        ({"localisation": 1.0}, (0.3614, 0.3912, 0.4253)),
        ({"localisation": 0.1}, (0.4151, 0.4275, 0.4444)),
        ({"box": True}, (0.3559, 0.3883, 0.4240)),
    ],
)
def test_the_product_of_two_squares_at_finite_n(more, values):
    found = [posterior_monomial((1, 1), n / math.log(n), **more) for n in (1e3, 1e4, 1e6)]
    assert found == pytest.approx(values, abs=5.1e-5)


def test_the_known_379_is_the_box_at_four_times_the_data():
    assert posterior_monomial((1, 1), 4 * N_BETA, box=True) == pytest.approx(0.3799, abs=5e-5)


def test_an_uneven_monomial_against_another_quadrature():
    def density(b, a):
        return math.exp(-20 * a**2 * b**4 - (a * a + b * b) / 2)

    top, _ = dblquad(lambda b, a: 20 * a**2 * b**4 * density(b, a), 0, 7, 0, 7, epsabs=1e-8)
    under, _ = dblquad(density, 0, 7, 0, 7, epsabs=1e-8)
    assert posterior_monomial((1, 2), 20.0, 1.0) == pytest.approx(top / under, rel=1e-5)


def test_what_nothing_holds_has_no_integral():
    with pytest.raises(SpecError, match="infinity"):
        posterior_monomial((1, 1), 100.0)
    for bad in ({"powers": (0, 0)}, {"powers": (1, 1, 1)}, {"n_beta": 0.0}, {"localisation": -1.0}):
        with pytest.raises(SpecError):
            posterior_monomial(**{"powers": (1, 1), "n_beta": 10.0, "localisation": 1.0, **bad})


TABLE = {
    (3, 1, 3, 1): (2.5, 1),
    (2, 2, 2, 0): (1.5, 1),
    (2, 2, 2, 1): (2.0, 2),
    (3, 3, 3, 1): (4.0, 1),
    (5, 3, 4, 0): (5.5, 1),
    (5, 3, 4, 1): (7.0, 2),
    (5, 3, 4, 2): (8.0, 1),
    (5, 3, 4, 3): (9.0, 1),
    (4, 2, 4, 1): (5.0, 2),
    (5, 5, 5, 2): (11.5, 2),
}


@pytest.mark.parametrize("sizes", TABLE)
def test_the_table_of_linear_networks(sizes):
    assert coefficient(*sizes) == TABLE[sizes]


@pytest.mark.parametrize(
    ("sizes", "value"),
    [
        ((5, 3, 5), 52 / 8),
        ((5, 4, 5), 64 / 8),
        ((4, 3, 8), 4 * 3 / 2),
        ((8, 3, 4), 3 * 4 / 2),
        ((3, 8, 4), 3 * 4 / 2),
    ],
)
def test_every_case_of_the_formula_at_rank_zero(sizes, value):
    """Written out at r = 0: (2MN + 2HN + 2MH − M² − N² − H²)/8, one more if odd; HM/2; HN/2;
    MN/2."""
    assert coefficient(*sizes, 0)[0] == value


def test_linear_networks_keep_the_laws_of_any_coefficient():
    for M in range(1, 6):
        for H in range(1, 6):
            for N in range(1, 6):
                values = [coefficient(M, H, N, r)[0] for r in range(min(M, H, N) + 1)]
                assert values == [
                    coefficient(N, H, M, r)[0] for r in range(min(M, H, N) + 1)
                ]  # transposed
                assert all(v <= min(M * N, H * (M + N)) / 2 for v in values)
                assert all(v >= hessian_rank(M, H, N, r) / 2 for r, v in enumerate(values))
                assert values == sorted(values)
                if (
                    min(M, N) >= H
                ):  # regular at full rank: half the dimension of the matrices of rank H
                    assert values[-1] == H * (M + N - H) / 2


def test_the_hessian_rank_by_differentiation():
    made = np.random.default_rng(0)
    for M, H, N, r in TABLE:
        A, B = np.zeros((H, M)), np.zeros((N, H))
        A[range(r), range(r)] = B[range(r), range(r)] = 1
        jacobian = []
        for _ in range(H * (M + N) + 5):
            a, b = made.normal(size=A.shape), made.normal(size=B.shape)
            jacobian.append((b @ A + B @ a).ravel())
        assert np.linalg.matrix_rank(np.array(jacobian)) == hessian_rank(M, H, N, r)


def test_a_rank_above_a_size_is_one_line():
    for call in (coefficient, hessian_rank):
        with pytest.raises(SpecError, match="rank 2 is not between 0 and the smallest size, 1"):
            call(3, 1, 3, 2)
        with pytest.raises(SpecError):
            call(0, 1, 3, 0)


def test_rank_zero_at_finite_n_against_random_matrices():
    """A integrated out by hand, B drawn: an average over four hundred thousand 2 × 2 matrices."""
    made = np.random.default_rng(1)
    B = made.normal(size=(400_000, 2, 2))
    s = np.linalg.svd(B, compute_uv=False) ** 2
    weight = (1 + N_BETA * s).prod(1) ** -1.0
    found = (weight * (N_BETA * s / (1 + N_BETA * s)).sum(1)).sum() / weight.sum()
    assert posterior_rank_zero(2, 2, 2, N_BETA, 1.0) == pytest.approx(found, rel=0.01)
    assert posterior_rank_zero(2, 2, 2, N_BETA, 1.0) == pytest.approx(1.3756, abs=1e-4)
    assert posterior_rank_zero(1, 1, 1, N_BETA, 1.0) == pytest.approx(
        posterior_monomial((1, 1), N_BETA / 2, 1.0), rel=1e-8
    )
    for sizes in (
        (2, 2, 3),
        (3, 2, 2),
        (2, 3, 2),
    ):  # the trace of a product does not care which matrix comes first
        assert posterior_rank_zero(*sizes, N_BETA, 1.0) == pytest.approx(1.745544, abs=1e-6)
    assert posterior_rank_zero(2, 2, 2, 1e12, 1.0) == pytest.approx(
        coefficient(2, 2, 2, 0)[0], abs=1e-4
    )
    with pytest.raises(SpecError):
        posterior_rank_zero(3, 3, 3, N_BETA, 1.0)


def test_what_is_known_of_each_kind():
    k = known("quadratic 1x6 0.5x2 0x2", N_BETA, 1.0, 1e-3)
    assert (k.coefficient, k.half_weights, k.half_rank) == (
        4.0,
        5.0,
        4.0,
    ) and k.stationary == pytest.approx(4.09691, abs=5e-6)
    k = known("monomial 2", N_BETA, 100.0)
    assert (k.coefficient, k.half_weights, k.half_rank) == (0.25, 0.5, 0.0)
    assert k.stationary == pytest.approx(0.03109, abs=5e-6)
    assert known("monomial 2", N_BETA).stationary == pytest.approx(
        0.24309, abs=5e-6
    )  # at localisation 1
    assert known("network 5-3-4 rank 1", N_BETA) == (7.0, 7.0, 13.5, 4.0)
