"""The table of measures: each is what its formula says of its sums, of one kind of array as of the
other; and names are unambiguous."""

import numpy as np
import pytest
import torch

from assay.core.arrays import ratio_or_nan
from assay.core.errors import ClaimError
from assay.dictionaries.measuring import measures, sums

NAMED = {
    "l0": 6 / 4,
    "fvu": 2 / 8,
    "explained_variance": 3 / 4,
    "mse": 2 / 4,
    "gamma": 5 / 4,
    "gamma_raw": 12 / 10,
    "norm_ratio": (5 / 8) ** 0.5,
    "norm_ratio_raw": (12 / 16) ** 0.5,
}
GIVEN = {
    "tokens": 4,
    "active": 6,
    "error": 2,
    "variance": 8,
    "dot": 4,
    "norm": 5,
    "dot_raw": 10,
    "norm_raw": 12,
    "square_raw": 16,
}


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_measures_of_given_sums_are_the_fractions_that_they_are_defined_as(kind):
    given = {name: kind(np.array([float(value), 0.0])) for name, value in GIVEN.items()}
    for m in measures.TABLE:
        if m.name in NAMED:
            found = m.statistic(given)
            assert type(found) is type(given["error"]), m.name
            assert float(found[0]) == pytest.approx(NAMED[m.name], rel=1e-15), m.name
            assert np.isnan(float(found[1])), f"{m.name}: nothing to divide by"


def test_names_are_unique_and_numbers_lie_in_the_range():
    assert (
        len({m.name for m in measures.TABLE})
        == len({m.label for m in measures.TABLE})
        == len(measures.TABLE)
    )
    assert all(m.low <= NAMED.get(m.name, m.low) <= m.high for m in measures.TABLE)
    assert {m.name: m.range for m in measures.TABLE}["explained_variance"] == "−∞ to 1"


def test_a_missing_sum_is_named():
    with pytest.raises(ClaimError, match=r"^fvu needs variance, got error, tokens$"):
        measures.FVU.statistic({"error": np.ones(1), "tokens": np.ones(1)})


def test_nothing_to_divide_by_is_not_0():
    assert np.isnan(ratio_or_nan(1.0, 0.0))
    assert torch.isnan(ratio_or_nan(torch.tensor(1.0), torch.tensor(0.0)))
    assert ratio_or_nan(np.array([1.0, 1.0]), np.array([2.0, -1.0])).tolist() == pytest.approx(
        [0.5, np.nan], nan_ok=True
    )


def test_what_a_row_adds_is_what_its_vectors_give():
    y, y_hat, c, o = (
        torch.randn(*shape, generator=torch.Generator().manual_seed(1))
        for shape in ((7, 5), (7, 5), (5,), (5,))
    )
    y_hat, on = y_hat.flip(0), (torch.arange(21).reshape(7, 3) % 2).float()
    found = sums.of_rows(y, c, o) | sums.of_reconstructions(y, y_hat, on, c, o)
    assert set(found) == set(measures.SUMS)
    for i in range(7):
        a, b, m, z = (v.double().numpy() for v in (y[i], y_hat[i], c, o))
        wanted = {
            "tokens": 1,
            "active": on[i].sum(),
            "error": sum((a - b) ** 2),
            "variance": sum((a - m) ** 2),
            "dot": sum((a - m) * (b - m)),
            "norm": sum((b - m) ** 2),
            "dot_raw": sum((a - z) * (b - z)),
            "norm_raw": sum((b - z) ** 2),
            "square_raw": sum((a - z) ** 2),
        }
        assert {name: float(found[name][i]) for name in wanted} == pytest.approx(
            {k: float(v) for k, v in wanted.items()}, rel=1e-5
        )
