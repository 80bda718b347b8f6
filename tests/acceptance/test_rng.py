"""Randomness by name: independent of the group, different between names, and distributed as it
says."""

import numpy as np
import pytest

from assay.train import rng

DRAWS = {
    "normal": lambda seeds, stream, i: rng.normal(seeds, stream, i, (50,)),
    "uniform": lambda seeds, stream, i: rng.uniform(seeds, stream, i, (50,)),
    "integers": lambda seeds, stream, i: rng.integers(seeds, stream, i, (50,), 1000),
    "permutation": lambda seeds, stream, i: rng.permutation(seeds, stream, i, 50),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_run_gets_the_same_numbers_alone_and_in_any_group(name):
    draw = DRAWS[name]
    group = draw(np.array([7, 3, 7, 9]), "s", 5)
    for row, seed in enumerate([7, 3, 7, 9]):
        assert np.array_equal(group[row], draw(np.array([seed]), "s", 5)[0])


def test_streams_of_neighbouring_steps_do_not_overlap():
    """With the index in the lowest counter word, step 1 would start four numbers into step 0."""
    a, b = (rng.uniform(np.array([0]), "s", i, (4000,))[0] for i in (0, 1))
    # float32 numbers coincide by chance about 0.05 times
    assert len(np.intersect1d(a[:200], b)) < 3


def test_the_numbers_are_numpys_philox_with_the_documented_key():
    import hashlib

    digest = hashlib.sha256(b"3/s").digest()
    words = [int.from_bytes(digest[i : i + 8], "little") for i in (0, 8)]
    want = np.random.Generator(
        np.random.Philox(key=np.array(words, np.uint64), counter=[0, 0, 0, 9])
    ).random(5, np.float32)
    assert np.array_equal(rng.uniform(np.array([3]), "s", 9, (5,))[0], want)
