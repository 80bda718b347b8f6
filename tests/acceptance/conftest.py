"""Nothing of Assay is replaced here; the worlds of benchmarks/gym can be imported."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks/gym"))


@pytest.fixture(scope="session")
def own_slots():
    """In place of the other tests' fixture, which changes Assay."""


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory, monkeypatch):
    """What a check notes of its claims is seen by no other test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
