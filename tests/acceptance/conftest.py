"""Nothing of Assay is replaced here; the worlds of benchmarks/gym can be imported."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks/gym"))


@pytest.fixture(scope="session")
def own_slots():
    """In place of the other tests' fixture, which changes Assay."""
