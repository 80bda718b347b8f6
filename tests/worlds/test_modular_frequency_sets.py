"""Lots of frequency sets against plain loops over `optimum`."""

import pytest

from assay.worlds.modular import frequency_sets, interference

ARGS = {"decay": 3e-5, "nu": 122.7}


def test_a_lot_is_the_seeds_own_and_alone_as_among_others():
    both, alone = (frequency_sets.drawn_sets(seeds, 53, 5, 3e-5, 122.7) for seeds in ((3, 4), (4,)))
    for kind, (sets, best) in both.items():
        assert sets[1].tolist() == alone[kind][0][0].tolist()
        assert best.objective[1] == pytest.approx(alone[kind][1].objective[0], rel=1e-9)
        again = interference.optimum(sets.tolist(), 53, **ARGS)
        assert best.objective == pytest.approx(again.objective, rel=1e-9)
    assert (both["good"][1].objective < both["random"][1].objective).all()
    assert (both["bad"][1].objective > both["random"][1].objective).all()


def test_same_is_another_set_of_the_orbit_of_good():
    drawn = frequency_sets.drawn_sets(tuple(range(12)), 53, 5, 3e-5, 122.7)
    for good, same in zip(drawn["good"][0].tolist(), drawn["same"][0].tolist(), strict=True):
        assert interference.representative(good, 53) == interference.representative(same, 53)
        assert set(interference.folded(good, 53)) != set(interference.folded(same, 53))
    amplitudes = drawn["same"][1].amplitudes
    assert interference.cross_entropy(amplitudes, 53) == pytest.approx(
        interference.cross_entropy(drawn["good"][1].amplitudes, 53)
    )
