"""Measures: fields of a spec become coordinates and attributes."""

from dataclasses import dataclass

import numpy as np

from assay.core.measures import measures
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid


@dataclass(frozen=True, kw_only=True)
class Toy(Spec):
    lr: PerRun[float] = 0.1
    width: int = 4


RUNS = Runs(grid(Toy(), lr=(0.2, 0.1), seed=(5, 6, 7)))


def example(documents=("a", "b")):
    values = np.arange(12.0).reshape(6, 2)
    return measures(
        RUNS,
        coords={"document": documents},
        loss=("run document", values, "nats"),
        flag=("run", values[:, 0] > 3, "bool"),
    )


def test_fields_become_coordinates_and_attributes():
    m = example()
    assert m.lr.values.tolist() == [0.2] * 3 + [0.1] * 3
    assert m.attrs == {"width": 4}
    assert m.loss.attrs["units"] == "nats"
