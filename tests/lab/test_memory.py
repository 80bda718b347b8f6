"""What a process hands back between two experiments."""

import functools
import gc

import numpy as np
import pytest

from assay.lab.work import memory
from assay.train import rng


@pytest.fixture(autouse=True)
def unfrozen():
    """As in a worker: what was imported is not set apart from the rest (tests/conftest.py)."""
    gc.unfreeze()
    yield
    gc.freeze()


def test_caches_of_assay_are_empty_then_and_those_of_others_are_as_they_were():
    @functools.cache
    def theirs(x):
        return [x]

    kept = theirs(1)
    rng.generator(7, "a stream")
    assert rng._key.cache_info().currsize
    memory.hand_back()
    assert not rng._key.cache_info().currsize
    assert theirs(1) is kept


def test_what_is_resident_grows_with_what_is_held():
    before = memory.resident()
    held = np.ones(2**25)  # 256 MiB
    assert 2**27 < memory.resident() - before < 2**29
    assert held[0] == 1
