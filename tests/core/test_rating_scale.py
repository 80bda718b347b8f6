"""Rating scales: which columns are on one, and the interval of a mean between its ends, against
Clopper and Pearson's and against the population."""

import numpy as np
import pytest

import assay
from assay.core.rating_scale import ends_of


def repeated(*values):
    return np.repeat(np.array(values, float), 10)


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ((0, 0.5, 1), (0, 1)),
        ((0, 1, 2), (0, 2)),
        ((1, 2, 3, 4, 5), (1, 5)),
        ((1, 2, 4, 5, 7), (1, 7)),
        ((-1, 0, 1), (-1, 1)),
        ((0, 0.33, 0.67, 1), (0, 1)),
        ((*range(11),), (0, 10)),
        ((0, 1), None),  # a share
        ((0.1, 0.2, 0.3), None),  # rounded to one decimal
        ((0, 0.1, 0.2, 0.3), None),
        ((0, 0.01, 0.02), None),
        ((3, 4, 5), None),  # of a scale from 1, or from 0
        ((0, 1, 2, 5, 30), None),
        ((*range(12),), None),
    ],
)
def test_a_scale_has_few_even_steps_from_a_plain_end(values, ends):
    assert ends_of(repeated(*values)) == ends


def test_the_greatest_of_a_few_counts_is_no_end():
    assert ends_of(np.append(repeated(0, 0, 1), [2, 2])) is None


def rated(numbers, unit_count, **more):
    arms = {name: list(map(float, x)) for name, x in numbers.items()}
    rows = [(a, k, x) for a, of in arms.items() for k, x in enumerate(of)]
    table = dict(zip(("arm", "prompt", "win"), map(list, zip(*rows, strict=True)), strict=True))
    assert {len(x) for x in arms.values()} == {unit_count}
    return assay.judge(table, unit="prompt", **more)


def test_the_interval_is_that_of_the_bounds_and_the_output_says_so():
    of = np.random.default_rng(3)
    wins = of.choice([0, 0.5, 1], 90, p=[0.15, 0.1, 0.75])
    numbers = {"a": wins, "b": of.choice([0, 0.5, 1], 90, p=[0.75, 0.1, 0.15])}
    found = rated(numbers, 90, claim="a.win > 0.5", control="b")
    given = rated(numbers, 90, claim="a.win > 0.5", control="b", bounds=(0, 1))
    assert found.outcome == given.outcome == "holds"
    assert (found.low, found.high) == (given.low, given.high)
    assert any("win has only the values 0, 0.5 and 1: taken as a scale" in n for n in found.notes)
    assert not any("rounded" in n for n in found.notes)


def test_a_difference_lies_between_twice_as_many_steps():
    of = np.random.default_rng(4)
    numbers = {"a": of.choice([0, 1, 2], 80, p=[0.1, 0.1, 0.8])}
    numbers |= {"b": of.choice([0, 1, 2], 80, p=[0.1, 0.15, 0.75])}
    numbers["c"] = of.permutation(numbers["b"])
    numbers["b"][:40] = numbers["a"][:40]
    claim = {"claim": "a.win - b.win > 1", "control": "c", "about": "a"}
    found = rated(numbers, 80, **claim)
    assert found.verdict.bounds == (-2, 2)
    given = rated(numbers, 80, **claim, bounds=(-2, 2))
    assert (found.low, found.high) == (given.low, given.high)


def test_a_threshold_beyond_the_scale_takes_no_bounds_from_it():
    numbers = {"a": repeated(0, 0, 0, 0.5, 1), "b": repeated(1, 1, 1, 0.5, 0)}
    assert rated(numbers, 50, claim="a.win < 1.5", control="b").verdict.bounds is None


def test_an_estimate_has_the_interval_of_its_scale():
    wins = repeated(0, 0.5, 1, 1, 1)
    table = {"prompt": [*range(50)], "win": np.random.default_rng(0).permutation(wins)}
    found = assay.estimate(table, value="win", unit="prompt")
    assert "exact for values between 0 and 1" in found.method
    assert 0.55 < found.low < found.estimate == 0.7 < found.high < 0.85


@pytest.mark.thorough
def test_the_mean_of_the_population_is_in_the_interval_of_most_samples():
    of, kept = np.random.default_rng(6), 0
    values, chances = [0, 0.5, 1], [0.25, 0.1, 0.65]
    for _ in range(150):
        table = {"prompt": [*range(40)], "win": of.choice(values, 40, p=chances)}
        found = assay.estimate(table, value="win", unit="prompt")
        kept += found.low <= 0.7 <= found.high
    assert kept >= 134
