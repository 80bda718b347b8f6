"""The table of controls. Truth: the contract of every door."""

import pytest

from assay.controls.table import NEEDS, ROWS, TABLE, control
from assay.errors import ClaimError

NOISE = {"random", "shuffled", "permuted", "untrained", "unrelated"}
"""The families that are judged by how many of their draws satisfy a claim."""
DRAWN = {"variance", "random-heads", "random-neurons", "span", "position", "labels"}
"""More that are independent draws of one distribution."""


def test_controls_of_an_aspect_differ_in_name():
    assert len({row[:2] for row in ROWS}) == len(ROWS) == sum(map(len, TABLE.values()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}/{row[1]}")
def test_a_row_is_what_its_control_says(row):
    aspect, name, how, why = row
    found = control(aspect, name)
    assert (found.name, found.why) == (name, why)
    assert how.split()[-1] in ("noise", "rival", "named")
    assert found.noise == ("noise" in how) and found.default == ("named" not in how)
    assert why.strip() and not why.endswith(".")


def test_noise_is_what_is_drawn_and_nothing_else():
    noise = {c.name for controls in TABLE.values() for c in controls if c.noise}
    rivals = {c.name for controls in TABLE.values() for c in controls if not c.noise}
    assert noise == NOISE | DRAWN and not rivals & noise


def test_needs_are_of_controls_that_exist():
    for name in NEEDS:
        assert control(*name.split("/"))


@pytest.mark.parametrize("aspect", ["heads", "nothing"])
def test_an_unknown_control_is_refused(aspect):
    with pytest.raises(ClaimError) as caught:
        control(aspect, "haeds")
    assert caught.value.code == "unknown-control"
    assert ("heads" in caught.value.message) == (aspect == "heads")
