"""What a process hands back between two experiments."""

from __future__ import annotations

import functools

from assay.core import rng
from assay.lab import memory


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


def test_what_was_cached_is_made_again_as_it_was():
    before = rng.generator(7, "a stream").random(5)
    memory.hand_back()
    assert (rng.generator(7, "a stream").random(5) == before).all()
