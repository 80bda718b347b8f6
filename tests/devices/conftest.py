"""Where these tests compute: on a pretend accelerator, and on a GPU as well where there is one."""

from __future__ import annotations

import numpy as np
import pretend
import pytest
import torch
from torch.utils._pytree import tree_map


@pytest.fixture(params=["pretend", *(["cuda"] if torch.cuda.is_available() else [])])
def device(request):
    """A device that is not the CPU."""
    return pretend.install() if request.param == "pretend" else torch.device("cuda:0")


@pytest.fixture
def bench_on(plain_bench, tmp_path):
    """A bench on a device."""

    def made(device, slots=(), root=tmp_path):
        bench = plain_bench(root, slots)
        bench.device = torch.device(device)
        return bench

    return made


@pytest.fixture(scope="session")
def near():
    """Assert that two results are alike: every tensor, array and number in them within a share of the largest beside it."""

    def alike(found, wanted, rtol=1e-4):
        found, wanted = plain(found), plain(wanted)
        assert torch.utils._pytree.tree_structure(found) == torch.utils._pytree.tree_structure(wanted)
        for a, b in zip(torch.utils._pytree.tree_leaves(found), torch.utils._pytree.tree_leaves(wanted), strict=True):
            if isinstance(b, np.ndarray) and b.dtype.kind == "f":
                np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.nanmax(np.abs(b), initial=1e-30))
            elif isinstance(b, np.ndarray):
                np.testing.assert_array_equal(a, b)
            else:
                assert a == pytest.approx(b, rel=rtol, nan_ok=True) if isinstance(b, float) else a == b

    return alike


def plain(value):
    """Tensors, wherever they are, as arrays."""
    return tree_map(lambda x: x.detach().float().cpu().numpy() if isinstance(x, torch.Tensor) and x.dtype == torch.bfloat16 else
                    x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else x, value)  # fmt: skip
