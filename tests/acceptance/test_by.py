"""`by` against xarray's own way through an index: the same dims, levels, numbers and gaps."""

import numpy as np
import pytest
import xarray as xr

from assay.core.measures import by


def unstacked(arm, order):
    others = [k for k, c in arm.coords.items() if c.dims == ("run",) and k not in order]
    return arm.drop_vars(others).set_index(run=list(order)).unstack("run").transpose(*order, ...)


def arm(runs, rng):
    seeds, lrs, kinds = (np.array(x) for x in zip(*runs, strict=True))
    n = len(runs)
    return xr.Dataset(
        {
            "loss": ("run", rng.normal(size=n), {"units": "nats"}),
            "curve": (("step", "run"), rng.normal(size=(3, n)).astype(np.float32)),
            "alive": (("run", "step"), rng.integers(0, 9, (n, 3))),
            "shared": ("step", rng.normal(size=3)),
        },
        coords={
            "seed": ("run", seeds),
            "lr": ("run", lrs),
            "kind": ("run", kinds),
            "step": [10, 20, 30],
        },
        attrs={"d_sae": 4},
    )


def whole(rng):
    runs = [(s, lr, k) for s in (3, 1, 2) for lr in (0.3, 0.1) for k in ("b", "a")]
    return [runs[i] for i in rng.permutation(len(runs))]


@pytest.mark.parametrize("missing", [0, 5])
@pytest.mark.parametrize("names", [("lr", "kind"), ("kind", "lr"), ("kind", "seed", "lr")])
def test_by_is_xarrays_unstack(names, missing):
    rng = np.random.default_rng(7)
    data = arm(whole(rng)[missing:], rng)
    order = ("seed", *(n for n in names if n != "seed"))
    found, expected = by(data, *names), unstacked(data, order)
    xr.testing.assert_identical(found, expected)
    assert {k: v.dtype for k, v in found.items()} == {k: v.dtype for k, v in expected.items()}
    assert found.sizes == expected.sizes and found.loss.dims == expected.loss.dims


def test_a_field_that_is_none_in_some_runs_is_a_level_too():
    """An index of pandas takes None for a gap, and xarray's unstack leaves these runs out without a
    word."""
    k = np.array([0.5, None, 0.5, None], dtype=object)
    data = xr.Dataset(
        {"x": ("run", [1.0, 2.0, 3.0, 4.0])},
        coords={"seed": ("run", [0, 0, 1, 1]), "k": ("run", k)},
    )
    found = by(data, "k")
    assert found.k.values.tolist() == [None, 0.5]
    assert found.x.values.tolist() == [[2.0, 1.0], [4.0, 3.0]]
