"""A store that is not there yet, and a workspace whose code may run."""

import pytest
from asking import workspace


@pytest.fixture
def bounds(tmp_path):
    return workspace(tmp_path / "space")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"
