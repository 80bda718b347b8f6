"""Interference of frequency sets: numbers worked out apart from this code, symmetries, and enumeration by brute force."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

from assay.core.errors import SpecError
from assay.theory import interference

P, DECAY, NU = 53, 3e-5, 124.2


def amplitudes(frequencies, values):
    out = np.zeros((1, (P - 1) // 2))
    out[0, np.array(interference.folded(frequencies, P), dtype=int) - 1] = values
    return out


@pytest.mark.parametrize(
    ("frequencies", "values", "expected"),
    [
        ([], [], math.log(53)),
        ([1], [1], 3.206206),
        ([1, 2], [2, 3], 1.791933),
        ([7, 14], [2, 3], 1.791933),
        ([1, 2], [3, 2], 1.900254),
        ([1, 2, 3, 4, 5], [2] * 5, 0.723711),
        ([3, 9, 14, 22, 25], [2] * 5, 0.176438),
    ],
)
def test_cross_entropy_is_that_of_the_science_page(frequencies, values, expected):
    assert interference.cross_entropy(amplitudes(frequencies, values), P)[0] == pytest.approx(expected, abs=1e-6)


def test_cross_entropy_is_that_of_a_table_of_logits():
    rng = np.random.default_rng(0)
    A = rng.uniform(0, 3, (1, 26))
    logits = [sum(A[0, k - 1] * math.cos(2 * math.pi * k * d / P) for k in range(1, 27)) for d in range(P)]
    expected = math.log(sum(math.exp(x) for x in logits)) - logits[0]
    assert interference.cross_entropy(A, P)[0] == pytest.approx(expected, rel=1e-12)
    assert interference.profile(A, P)[0] == pytest.approx(logits, abs=1e-12)
    assert interference.margin(A, P)[0] == pytest.approx(logits[0] - max(logits[1:]), abs=1e-12)


def test_margins_of_three_sets():
    sets = [(2, 6, 9, 14, 15, 25), (1, 5, 12, 19), (1,)]
    assert interference.margin(interference.masks(sets, P), P) == pytest.approx([4.191765, 1.814559, 0.007019], abs=1e-6)


def test_optimum_of_three_sets():
    best = interference.optimum([(2, 6, 9, 14, 15, 25), (1, 5, 12, 19), (1, 8, 11, 20)], P, decay=DECAY, nu=NU)
    assert best.objective == pytest.approx([0.019973, 0.020014, 0.020773], abs=1e-5)
    assert best.amplitudes[0, [1, 5, 8, 13, 14, 24]] == pytest.approx([2.74, 2.14, 2.46, 2.01, 1.66, 2.01], abs=0.01)
    assert (best.amplitudes[0] > 0).sum() == 6
    assert best.size == pytest.approx((best.amplitudes ** (2 / 3)).sum(1))


def test_optimum_is_no_worse_than_another_optimiser_finds():
    rng = np.random.default_rng(1)
    sets = [tuple(rng.permutation(26)[: 4 + i % 3] + 1) for i in range(6)]
    best = interference.optimum(sets, P, decay=DECAY, nu=NU)
    for k, found in zip(sets, best.objective, strict=True):

        def objective(log_a, k=k):
            A = np.zeros((1, 26))
            A[0, np.array(k) - 1] = np.exp(log_a)
            return interference.cross_entropy(A, P)[0] + DECAY / 2 * NU * np.exp(log_a * 2 / 3).sum()

        others = [minimize(objective, np.full(len(k), math.log(a)), method="BFGS").fun for a in (2, 3, 6, 10, 15, 25)]
        assert found <= min(others) * (1 + 2e-3)


def test_even_circuits_are_those_of_a_search_in_one_amplitude():
    sets = [(1,), (2, 6, 9, 14, 15, 25), (3, 11, 13, 20, 26)]
    found = interference.even(sets, P, decay=DECAY, nu=NU)
    for k, cost in zip(sets, found, strict=True):
        mask = interference.masks([k], P)

        def objective(log_a, k=k, mask=mask):
            return interference.cross_entropy(mask * math.exp(log_a), P)[0] + DECAY / 2 * NU * len(k) * math.exp(log_a * 2 / 3)

        assert cost == pytest.approx(minimize_scalar(objective, bounds=(-2, 11), method="bounded").fun, rel=1e-4)
    assert (found >= interference.optimum(sets, P, decay=DECAY, nu=NU).objective * (1 - 1e-4)).all()


def test_objective_changes_with_nu_by_half_the_decayed_size():
    sets = [(1, 5, 12, 19, 23)]
    low, mid, high = (interference.optimum(sets, P, decay=DECAY, nu=nu, steps=2_000) for nu in (120, 122.5, 125))
    assert (high.objective - low.objective) / 5 == pytest.approx(DECAY / 2 * mid.size, rel=1e-3)


def test_k_and_p_minus_k_are_one_frequency_and_a_unit_changes_nothing():
    sets = [(3, 9, 14, 22, 25), (50, 9, 39, 22, 28), tuple(7 * k % P for k in (3, 9, 14, 22, 25))]
    best = interference.optimum(sets, P, decay=DECAY, nu=NU)
    assert best.objective == pytest.approx(best.objective[0], rel=1e-4)
    assert len({interference.representative(k, P) for k in sets}) == 1


def test_sets_of_five_make_2530_orbits_of_26():
    k, count = interference.orbits(P, 5)
    assert (len(k), int(count.sum()), set(count.tolist())) == (2530, math.comb(26, 5), {26})
    assert (k[:, 0] == 1).all()
    assert interference.orbit_count(P, 5) == 2530
    assert interference.orbit_count(113, 7) >= math.comb(56, 7) / 56  # too many to list


@pytest.mark.parametrize(("p", "size"), [(11, 2), (13, 3), (13, 6), (17, 4)])
def test_orbits_by_brute_force(p, size):
    def image(k, u):
        return tuple(sorted(min(x * u % p, -x * u % p) for x in k))

    found = {}
    for k in itertools.combinations(range(1, (p - 1) // 2 + 1), size):
        smallest = min(image(k, u) for u in range(1, p))
        assert interference.representative(k, p) == smallest
        found[smallest] = found.get(smallest, 0) + 1
    k, count = interference.orbits(p, size)
    assert dict(zip(map(tuple, k.tolist()), count.tolist(), strict=True)) == found
    assert interference.orbit_count(p, size) == len(found)


def test_large_sets_have_a_representative_too():
    large = tuple(range(1, 25))
    assert interference.representative([5 * k for k in large], P) == interference.representative(large, P)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: interference.folded([1], 51), "p must be an odd prime, got 51; nearest 47 and 53"),
        (lambda: interference.folded(range(1, 28), P), "there are 26 frequencies at modulus 53, got 27"),
        (lambda: interference.folded([4, 53], P), "frequency 0 is a constant"),
        (lambda: interference.folded([4, 49], P), "given twice in \\[4, 49\\]"),
        (lambda: interference.optimum([(1, 2)], P, decay=-1e-5, nu=NU), "at least 0, got -1e-05"),
        (lambda: interference.optimum([(1, 2)], P, decay=DECAY, nu=math.nan), "at least 0"),
        (lambda: interference.orbits(P, 27), "1 to 26 frequencies"),
        (lambda: interference.orbit_count(P, 0), "1 to 26 frequencies"),
        (lambda: interference.cross_entropy(np.zeros((1, 25)), P), "26 frequencies, got amplitudes of 25"),
    ],
)
def test_impossible_sets_are_refused_in_one_line(call, said):
    with pytest.raises(SpecError, match=said) as e:
        call()
    assert "\n" not in str(e.value)
