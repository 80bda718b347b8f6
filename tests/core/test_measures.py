"""Measures: labelled, unit-carrying, and the same after a round trip through files."""

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr

from assay.core.errors import ClaimError
from assay.core.measures import by, from_tensors, measures, one_run, stack, stack_stored, to_tensors
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


def test_by_splits_the_run_axis_by_fields():
    m = by(example(), "lr")
    assert m.loss.dims == ("seed", "lr", "document")
    for i, spec in enumerate(RUNS):
        assert m.loss.sel(seed=spec.seed, lr=spec.lr).values.tolist() == [2.0 * i, 2.0 * i + 1]
    with pytest.raises(ClaimError, match="share the same"):
        by(example())
    with pytest.raises(ClaimError, match="not a coordinate"):
        by(example(), "width")


def test_files_give_back_identical_measures():
    m = example()
    per_run = []
    for i in range(len(RUNS)):
        arrays, text = to_tensors(one_run(m, i))
        per_run.append(from_tensors(arrays, text))
    xr.testing.assert_identical(stack(RUNS.specs, per_run), m)


@pytest.mark.parametrize(
    "named, words",
    [
        ({"rank": ("run", np.zeros(6), "1")}, "xarray uses that name"),
        ({"x": ("feature", np.zeros(6), "1")}, "must be run"),
        ({"x": ("run feature", np.zeros(6), "1")}, "shape"),
        ({"x": ("run", np.zeros(5), "1")}, "shape"),
        ({"x": ("run document", np.zeros((6, 3)), "1")}, "do not fit"),
    ],
)
def test_measures_that_do_not_fit_are_refused(named, words):
    with pytest.raises(ClaimError, match=words):
        measures(RUNS, coords={"document": ("a", "b")}, **named)


def test_stored_runs_are_stacked_as_their_measures_are():
    m = example()
    stored = [to_tensors(one_run(m, i)) for i in range(len(RUNS))]
    xr.testing.assert_identical(stack_stored(RUNS.specs, stored), m)
    other = to_tensors(one_run(example(("a", "c")), 0))
    with pytest.raises(ClaimError, match="other levels of 'document'"):
        stack_stored(RUNS.specs, [*stored[:-1], other])
    longer = ({name: np.zeros(7) for name in stored[0][0]}, stored[0][1])
    with pytest.raises((ClaimError, ValueError)):
        stack_stored(RUNS.specs, [*stored[:-1], longer])
