"""Places: written and read alike, and refused where the model has none."""

from __future__ import annotations

import pytest

from assay.core.errors import ModelError
from assay_catalogue.circuits.explanation import Place
from assay_catalogue.worlds.algorithms.built.two_hops import two_hops

PARAMS = two_hops().params


@pytest.mark.parametrize("text", ["embed", "pos", "a0.1", "m0[3,5]", "m0[0-4,7]@11", "a2.0@0,4-6"])
def test_what_is_written_is_what_was_read(text):
    assert str(Place.parse(text)) == text


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Place.parse("a0.1"), "no part a0.1; it has embed, pos, a0.0"),
        (Place.parse("a0.0[1]"), "a0.0 is not an MLP"),
        (Place.parse("m0[2]"), "no neuron 2; its 2 neurons"),
        (Place.parse("m1@1"), "position 1; the model's inputs have 1"),
        (Place.parse("m1", [[1.0]]), "has 1 numbers; the stream has 8"),
        (Place.parse("m1", [[0.0] * 8]), "all zeros"),
    ],
)
def test_what_is_not_there_is_refused(place, said):
    with pytest.raises(ModelError, match=said.replace("(", r"\(")):
        place.check(PARAMS, 1)


@pytest.mark.parametrize("text", ["a0", "m0[]", "m0[x]", "m0@-1", "", "a0.0 a0.1", "head 3"])
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(ModelError):
        Place.parse(text)


def test_places_overlap_where_they_share_something():
    whole, first, second, late = (Place.parse(t) for t in ("m0", "m0[0]", "m0[1]", "m0[0]@3"))
    assert (
        whole.overlaps(first)
        and first.overlaps(late)
        and not first.overlaps(second)
        and not Place.parse("m0@2").overlaps(late)
    )
