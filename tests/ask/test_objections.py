"""Objections: changes of the input, and claims without near controls."""

import pytest

from assay.ask import notes
from assay.ask.measure.prompts import load
from assay.ask.measure.tasks import Task
from assay.ask.part import Part
from assay.ask.tables import Intervention, Model, Prompts

PAIRS = load(
    Prompts(
        text="the capital of {country} is near {thing}",
        corrupted="the capital of {other} is near {thing}",
        rows=tuple({"country": x, "other": y, "thing": "it"} for x, y in ("ab", "cd", "ef")),
    ),
    None,
)


@pytest.mark.parametrize(
    ("site", "position", "is_input"),
    [
        ("blocks.0.hook_resid_pre", "{thing}", True),
        ("hook_embed", "all", True),
        ("blocks.1.hook_resid_pre", "{country}", True),
        ("blocks.5.hook_resid_post", "all", True),
        ("blocks.1.hook_resid_pre", -1, False),
        ("blocks.1.hook_mlp_out", "all", False),
    ],
)
def test_patches_that_are_changes_of_the_input(site, position, is_input):
    table = Intervention(name="p", patch="corrupted", site=site, position=position)
    said = list(notes.of_input(Part("p", Task(Model(name="m"), PAIRS, (), table))))
    assert bool(said) == is_input
    assert all("change of the input" in n or "editing the prompt" in n for n in said)
