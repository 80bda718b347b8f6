"""Nonlinearities against loops written from their definitions."""

import pytest
import torch

from assay.dictionaries.selection import TopK

torch.manual_seed(0)
Z = torch.randn(2, 7, 5, dtype=torch.float64)
B = 0.3 * torch.randn(2, 5, dtype=torch.float64)


def each(value):
    """The features, one number at a time: value(run, row, feature)."""
    return torch.tensor(
        [[[value(r, b, f) for f in range(5)] for b in range(7)] for r in range(2)],
        dtype=torch.float64,
    )


@pytest.mark.parametrize("k", [1, 3, 5])
def test_topk_keeps_the_k_largest_and_none_below_zero(k):
    pre = Z + B[:, None]

    def one(r, b, f):
        larger = sum(pre[r, b, g] > pre[r, b, f] for g in range(5))
        return max(pre[r, b, f].item(), 0.0) if larger < k else 0.0

    assert torch.equal(TopK(k)(Z, B, {}), each(one))
