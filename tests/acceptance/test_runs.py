"""Runs: one ensemble shares its static fields, cannot read a per-run field as if it were shared,
and loses nothing when it is split."""

from dataclasses import dataclass

import numpy as np
import pytest

from assay.core.errors import SpecError
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid


@dataclass(frozen=True, kw_only=True)
class Toy(Spec):
    lr: PerRun[float] = 0.1
    width: int = 4

    @property
    def area(self):
        return self.width**2

    @property
    def leak(self):
        return self.lr


@dataclass(frozen=True, kw_only=True)
class Drawn(Spec):
    replicate: PerRun[int] = 0


runs = Runs(grid(Toy(), lr=(0.1, 0.2), seed=(3, 4, 5)))


def test_per_run_fields_come_as_arrays_and_static_ones_as_values():
    assert runs.each("lr").tolist() == [0.1] * 3 + [0.2] * 3
    assert runs.seeds.tolist() == [3, 4, 5, 3, 4, 5]
    assert runs.shared.width == 4 and runs.shared.area == 16
    assert runs.where(lr=0.2, seed=4).tolist() == [False] * 4 + [True, False]


@pytest.mark.parametrize(
    "read",
    [
        lambda: runs.shared.lr,
        lambda: runs.shared.seed,
        lambda: runs.shared.leak,
        lambda: runs.each("width"),
    ],
)
def test_reading_a_field_the_wrong_way_is_refused(read):
    with pytest.raises(SpecError):
        read()


def test_split_keeps_order_and_loses_nothing():
    parts = runs.split(4)
    assert [len(p) for p in parts] == [4, 2]
    assert np.concatenate([p.seeds for p in parts]).tolist() == runs.seeds.tolist()


def test_replicates_have_seeds_of_their_own():
    drawn = Runs(grid(Drawn(), seed=(3, 4), replicate=(0, 2)))
    assert drawn.replicated().seeds.tolist() == [
        s.seed + 1_000_000 * s.replicate for s in drawn.specs
    ]
    assert drawn.replicated().each("replicate").tolist() == drawn.each("replicate").tolist()
    assert runs.replicated(1).seeds.tolist() == (runs.seeds + 1_000_000).tolist()
