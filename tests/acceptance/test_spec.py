"""Specs: equal values are the same one, JSON gives them back, and a grid is a product."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.core.spec import (
    PerRun,
    Spec,
    changed,
    grid,
)


@dataclass(frozen=True, kw_only=True)
class Inner(Spec):
    depth: int = 1


@dataclass(frozen=True, kw_only=True)
class Toy(Spec):
    lr: PerRun[float] = 0.1
    """Learning rate."""
    width: int = 5
    kind: Literal["a", "b"] = "a"
    sites: tuple[str, ...] = ()
    inner: Inner | None = None
    on: bool = True


def test_equal_values_of_other_types_are_the_same_spec():
    assert Toy(lr=1) == Toy(lr=np.float64(1.0)) == Toy(lr=1.0)
    assert Toy(width=np.int32(5)) == Toy()
    assert Toy(sites=["x"]) == Toy(sites=("x",))
    assert Toy(inner={"depth": 3}) == Toy(inner=Inner(depth=3))
    assert Toy(lr=-0.0).to_json() == Toy(lr=0.0).to_json()


@given(
    lr=st.floats(allow_nan=False, allow_infinity=False),
    width=st.integers(-(2**53), 2**53),
    sites=st.lists(st.text()),
    depth=st.integers(0, 9),
)
def test_json_round_trip(lr, width, sites, depth):
    spec = Toy(lr=lr, width=width, sites=tuple(sites), inner=Inner(depth=depth))
    assert Toy.from_json(spec.to_json()) == spec
    assert Toy.from_json(spec.to_json()).to_json() == spec.to_json()


def test_grid_is_the_product_in_the_order_given():
    assert [(s.lr, s.seed) for s in grid(Toy(), lr=(1, 2), seed=(5, 6))] == [
        (1, 5),
        (1, 6),
        (2, 5),
        (2, 6),
    ]
    assert {s.width for s in changed(width=9)(grid(Toy(), seed=range(3)))} == {9}
