"""Measures: labelled, unit-carrying, and the same after a round trip through files."""

import numpy as np
import pytest
import xarray as xr

from acceptance.test_measures import RUNS, example
from assay.core.errors import ClaimError
from assay.core.measures import by, from_tensors, measures, one_run, stack, stack_stored, to_tensors


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
