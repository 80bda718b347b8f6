"""Planted families follow their law, and a run gets the same inputs in any group."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.core.errors import DataError
from assay_catalogue.data.planted_families import Families

LAW = Families(d=8, parents=6, children=3, rarest=0.05, commonest=0.4, share=0.6)


def test_every_feature_is_on_with_its_probability_and_amounts_are_uniform():
    codes = LAW.codes([3], 40_000)(2)[0].numpy()
    on, p = codes > 0, LAW.density()
    assert (
        p[0] == pytest.approx(0.05)
        and p[5] == pytest.approx(0.4)
        and p[6] == pytest.approx(0.05 * 0.2)
    )
    np.testing.assert_allclose(on.mean(0), p, atol=5 * (0.25 / 40_000) ** 0.5)
    amounts = codes[on]
    assert (
        amounts.min() >= 0.5
        and amounts.max() < 1.5
        and amounts.mean() == pytest.approx(1, abs=0.01)
    )


def test_a_child_is_on_only_where_its_parent_is_and_never_with_a_sibling():
    on = LAW.codes([0], 20_000)(0)[0].numpy() > 0
    families = on[:, 6:].reshape(-1, 6, 3)
    assert not (families.any(-1) & ~on[:, :6]).any() and families.sum(-1).max() == 1
    np.testing.assert_array_equal(LAW.with_child(on), families.any(-1))
    assert LAW.parent_of().tolist() == [*range(6), *[i for i in range(6) for _ in range(3)]]
    assert (families.any(-1).sum() / on[:, :6].sum()) == pytest.approx(0.6, abs=0.02)


def test_inputs_are_codes_times_directions_of_length_one_and_the_same_in_any_group():
    together, alone = (LAW.inputs(seeds, 64)(5) for seeds in ([1, 7], [7]))
    assert torch.equal(together[1], alone[0])
    directions = LAW.directions([7])[0]
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(24))
    torch.testing.assert_close(alone[0], LAW.codes([7], 64)(5)[0] @ directions)
    assert not torch.equal(alone, LAW.inputs([7], 64, "test")(5)) and not torch.equal(
        alone, LAW.inputs([7], 64)(6)
    )


@pytest.mark.parametrize(
    "field",
    [
        {"parents": 1},
        {"children": 0},
        {"rarest": 0.0},
        {"rarest": 0.5, "commonest": 0.4},
        {"share": 1.0},
    ],
)
def test_a_law_that_cannot_be_is_refused(field):
    with pytest.raises(DataError):
        Families(**field)
