"""Runs: one ensemble shares its static fields, and cannot read a per-run field as if it were
shared."""

import pytest

from acceptance.test_runs import Toy
from assay.core.errors import SpecError
from assay.core.runs import Runs


def test_runs_of_other_shapes_are_refused():
    with pytest.raises(SpecError, match="another arm"):
        Runs([Toy(width=4), Toy(width=5)])
    with pytest.raises(SpecError, match="at least one"):
        Runs([])
