"""Interference of frequency sets: numbers worked out apart from this code, symmetries, and
enumeration by brute force. Lots of frequency sets against plain loops over `optimum`."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from assay.core.errors import SpecError
from assay_catalogue.worlds.modular import interference

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
    assert interference.cross_entropy(amplitudes(frequencies, values), P)[0] == pytest.approx(
        expected, abs=1e-6
    )


def test_cross_entropy_is_that_of_a_table_of_logits():
    rng = np.random.default_rng(0)
    A = rng.uniform(0, 3, (1, 26))
    logits = [
        sum(A[0, k - 1] * math.cos(2 * math.pi * k * d / P) for k in range(1, 27)) for d in range(P)
    ]
    expected = math.log(sum(math.exp(x) for x in logits)) - logits[0]
    assert interference.cross_entropy(A, P)[0] == pytest.approx(expected, rel=1e-12)
    assert interference.margin(A, P)[0] == pytest.approx(logits[0] - max(logits[1:]), abs=1e-12)


def test_margins_of_three_sets():
    sets = [(2, 6, 9, 14, 15, 25), (1, 5, 12, 19), (1,)]
    assert interference.margin(interference.masks(sets, P), P) == pytest.approx(
        [4.191765, 1.814559, 0.007019], abs=1e-6
    )


def objective(log_a, k):
    """J of a circuit with these log amplitudes at the frequencies k, written out."""
    return (
        interference.cross_entropy(amplitudes(k, np.exp(log_a)), P)[0]
        + DECAY / 2 * NU * np.exp(log_a * 2 / 3).sum()
    )


def searched(k, draws, rng):
    """The least J that another optimiser finds from random starts, which lets single amplitudes go
    to 0."""
    starts = np.log(rng.uniform(0.01, 20, (draws, len(k))))
    return min(minimize(objective, x, args=(k,), method="BFGS").fun for x in starts)


def test_optimum_of_three_sets():
    """The numbers of the science page were local minima: .019973 with all six frequencies, .020014
    and .020773 of four."""
    sets = [(2, 6, 9, 14, 15, 25), (1, 5, 12, 19), (1, 8, 11, 20)]
    best = interference.optimum(sets, P, decay=DECAY, nu=NU)
    assert (best.objective <= np.array([0.019973, 0.020014, 0.020773]) + 1e-6).all()
    for k, J in zip(sets, best.objective, strict=True):
        parts = (part for m in range(1, len(k) + 1) for part in itertools.combinations(k, m))
        found = min(
            minimize(objective, np.log(np.full(len(part), 3.0)), args=(part,), method="BFGS").fun
            for part in parts
        )
        assert pytest.approx(found, abs=1e-6) == J
    assert interference.cross_entropy(
        best.amplitudes, P
    ) + DECAY / 2 * NU * best.size == pytest.approx(best.objective)
    assert best.size == pytest.approx((best.amplitudes ** (2 / 3)).sum(1))


def test_optimum_is_no_worse_than_another_optimiser_finds():
    rng = np.random.default_rng(1)
    sets = [tuple(rng.permutation(26)[: 4 + i % 4] + 1) for i in range(8)]
    best = interference.optimum(sets, P, decay=DECAY, nu=NU)
    for k, found in zip(sets, best.objective, strict=True):
        assert found <= searched(k, 5, rng) + 1e-9


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 26), min_size=2, max_size=7, unique=True),
    st.integers(0, 6),
    st.sampled_from([1e-6, 3e-5, 3e-4, 1e-2]),
)
def test_a_set_costs_no_more_than_a_part_of_it(k, left_out, decay):
    part = [x for i, x in enumerate(k) if i != left_out % len(k)]
    whole, less = interference.optimum([k, part], P, decay=decay, nu=NU).objective
    assert whole <= less


def test_large_sets_cost_no_more_than_what_is_left_of_them_one_by_one():
    large = tuple(range(1, 15))
    best = interference.optimum([large, ()], P, decay=DECAY, nu=NU)
    assert (
        best.objective[0]
        < interference.optimum([(1, 2, 3, 4, 5)], P, decay=DECAY, nu=NU).objective[0]
    )
    assert best.objective[1] == pytest.approx(math.log(P))


def test_where_the_price_is_too_high_no_circuit_is_cheapest():
    best = interference.optimum([(3, 7)], P, decay=10, nu=NU)
    assert best.objective == pytest.approx(math.log(P))
    assert not best.amplitudes.any()


def test_even_circuits_are_those_of_a_search_in_one_amplitude():
    sets = [(1,), (2, 6, 9, 14, 15, 25), (3, 11, 13, 20, 26)]
    found = interference.even(sets, P, decay=DECAY, nu=NU)
    for k, cost in zip(sets, found, strict=True):
        mask = interference.masks([k], P)

        def objective(log_a, k=k, mask=mask):
            return interference.cross_entropy(mask * math.exp(log_a), P)[0] + DECAY / 2 * NU * len(
                k
            ) * math.exp(log_a * 2 / 3)

        assert cost == pytest.approx(
            minimize_scalar(objective, bounds=(-2, 11), method="bounded").fun, rel=1e-4
        )
    assert (found >= interference.optimum(sets, P, decay=DECAY, nu=NU).objective * (1 - 1e-4)).all()


def test_objective_changes_with_nu_by_half_the_decayed_size():
    sets = [(1, 5, 12, 19, 23)]
    low, mid, high = (interference.optimum(sets, P, decay=DECAY, nu=nu) for nu in (120, 122.5, 125))
    assert (high.objective - low.objective) / 5 == pytest.approx(DECAY / 2 * mid.size, rel=1e-3)


def test_k_and_p_minus_k_are_one_frequency_and_a_unit_changes_nothing():
    sets = [(3, 9, 14, 22, 25), (50, 9, 39, 22, 28), tuple(7 * k % P for k in (3, 9, 14, 22, 25))]
    best = interference.optimum(sets, P, decay=DECAY, nu=NU)
    assert best.objective == pytest.approx(best.objective[0], rel=1e-12)
    assert len({interference.representative(k, P) for k in sets}) == 1


@pytest.mark.parametrize(("p", "size"), [(11, 2), (13, 3), (13, 6), (17, 4)])
def test_representatives_by_brute_force(p, size):
    for k in itertools.combinations(range(1, (p - 1) // 2 + 1), size):
        images = (tuple(sorted(min(x * u % p, -x * u % p) for x in k)) for u in range(1, p))
        assert interference.representative(k, p) == min(images)


def test_large_sets_have_a_representative_too():
    large = tuple(range(1, 25))
    assert interference.representative([5 * k for k in large], P) == interference.representative(
        large, P
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: interference.folded([1], 51), "p must be an odd prime, got 51; nearest 47 and 53"),
        (
            lambda: interference.folded(range(1, 28), P),
            "there are 26 frequencies at modulus 53, got 27",
        ),
        (lambda: interference.folded([4, 53], P), "frequency 0 is a constant"),
        (lambda: interference.folded([4, 49], P), "given twice in \\[4, 49\\]"),
        (lambda: interference.optimum([(1, 2)], P, decay=-1e-5, nu=NU), "at least 0, got -1e-05"),
        (lambda: interference.optimum([(1, 2)], P, decay=DECAY, nu=math.nan), "at least 0"),
        (
            lambda: interference.cross_entropy(np.zeros((1, 25)), P),
            "26 frequencies, got amplitudes of 25",
        ),
    ],
)
def test_impossible_sets_are_refused_in_one_line(call, said):
    with pytest.raises(SpecError, match=said) as e:
        call()
    assert "\n" not in str(e.value)


ARGS = {"decay": 3e-5, "nu": 122.7}


def test_a_lot_is_the_seeds_own_and_alone_as_among_others():
    both, alone = (interference.drawn_sets(seeds, 53, 5, 3e-5, 122.7) for seeds in ((3, 4), (4,)))
    for kind, (sets, best) in both.items():
        assert sets[1].tolist() == alone[kind][0][0].tolist()
        assert best.objective[1] == pytest.approx(alone[kind][1].objective[0], rel=1e-9)
        again = interference.optimum(sets.tolist(), 53, **ARGS)
        assert best.objective == pytest.approx(again.objective, rel=1e-9)
    assert (both["good"][1].objective < both["random"][1].objective).all()
    assert (both["bad"][1].objective > both["random"][1].objective).all()


def test_same_is_another_set_of_the_orbit_of_good():
    drawn = interference.drawn_sets(tuple(range(12)), 53, 5, 3e-5, 122.7)
    for good, same in zip(drawn["good"][0].tolist(), drawn["same"][0].tolist(), strict=True):
        assert interference.representative(good, 53) == interference.representative(same, 53)
        assert set(interference.folded(good, 53)) != set(interference.folded(same, 53))
    amplitudes = drawn["same"][1].amplitudes
    assert interference.cross_entropy(amplitudes, 53) == pytest.approx(
        interference.cross_entropy(drawn["good"][1].amplitudes, 53)
    )
