"""Objections: changes of the input, and changes of the output."""

import numpy as np
import pytest
from msgspec import structs
from naive_asking import READS, intervention, measured, rows_of

from assay.ask import objections
from assay.ask.measure.prompts import load
from assay.ask.measure.tasks import Task
from assay.ask.part import Part
from assay.ask.tables import Direction, Intervention, Model, Prompts, Read
from assay.core.columns import Column
from assay.subjects.folder import find

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
    said = list(objections.of_input(Part("p", Task(Model(name="m"), PAIRS, (), table))))
    assert bool(said) == is_input
    assert all("change of the input" in n or "editing the prompt" in n for n in said)


ROWS = [{"a": a, "b": b} for a, b in (("Point", "Add"), ("sum", "def"), ("Qz", "return"))]
TEXT = "class {a}: x ="
OF_ONE = (Column(None, "one"),)


@pytest.mark.parametrize("position", [-1, "{a}"])
@pytest.mark.parametrize(
    "kind", ["hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_mlp_out"]
)
def test_a_patch_is_of_the_output_if_it_gives_the_numbers_of_the_other_text(
    subject, kind, position
):
    folder, _ = subject
    layers = find(str(folder)).layers
    pairs = rows_of(*ROWS, text=TEXT, corrupted=TEXT.replace("{a}", "{b}"))
    others = rows_of(*ROWS, text=TEXT.replace("{a}", "{b}"))
    table = intervention(patch="corrupted", site=f"blocks.{layers - 1}.{kind}", position=position)
    got, wanted = (
        measured(folder, prompts, change, reads=READS[:1])[0]["one"]
        for prompts, change in ((pairs, table), (others, None))
    )
    part = Part("p", Task(Model(name=str(folder)), pairs, READS[:1], table))
    said = [*objections.of_output(part, OF_ONE, layers)]
    assert bool(said) == np.allclose(got, wanted, atol=1e-4)
    assert all("copies the answer of the other text" in note for note in said)


@pytest.mark.parametrize(
    ("fields", "is_output"),
    [
        ({"ablate": "zero", "site": "blocks.3.hook_resid_post"}, True),
        ({"add": "d", "site": "blocks.3.hook_resid_post", "position": -1}, True),
        ({"add": "d", "site": ("blocks.2.hook_resid_post", "blocks.3.hook_resid_post")}, False),
        ({"patch": "other", "site": "ln_final.hook_normalized", "position": -1}, True),
        ({"patch": "other", "site": "blocks.2.hook_resid_pre", "window": (0, 1)}, False),
        ({"patch": "other", "heads": ("3.0",), "position": -1}, False),
        ({"reconstruct": "sae", "site": "blocks.3.hook_resid_post"}, False),
        (
            {"patch": "other", "site": "blocks.{n}.hook_resid_post", "sweep": {"n": (2, 3)}},
            False,
        ),
    ],
)
def test_a_change_after_the_last_block_that_mixes_tokens_is_one_of_the_answer(fields, is_output):
    table = Intervention(name="p", **fields)
    direction = Direction(name="d", site="blocks.1.hook_resid_post", difference=("x", "y"))
    task = Task(Model(name="m"), PAIRS, READS[:1], table, directions=(direction,))
    assert bool([*objections.of_output(Part("p", task), OF_ONE, 4)]) == is_output
    if "sweep" in fields:
        at_last = (Column(None, "one", levels=(("n", 3),)),)
        assert [*objections.of_output(Part("p", task), at_last, 4)]


@pytest.mark.parametrize(
    ("position", "text"),
    [(-1, "the capital of b is near it"), ("{country}", "the capital of b"), (2, "")],
)
def test_a_patched_token_has_read_the_other_text_up_to_itself(position, text):
    table = Intervention(name="p", patch="corrupted", site="hook_embed", position=position)
    assert objections.source_text(PAIRS.rows[0], PAIRS, table) == text


KINDS = ("hook_resid_pre", "attn.hook_z", "hook_attn_out", "hook_resid_mid", "hook_mlp_out")


def test_a_change_that_is_said_not_to_reach_a_read_leaves_its_numbers_alone(subject):
    """And every other change of a block moves what is read at or after it."""
    folder, _ = subject
    layers, prompts = find(str(folder)).layers, rows_of(*ROWS, text=TEXT)
    of = [Read(name=f"r{n}x{k}", norm=True, site=f"blocks.{n}.{k}") for n in (0, 1) for k in KINDS]
    names = [read.name.replace(".", "_") for read in of]
    every = [structs.replace(read, name=name) for read, name in zip(of, names, strict=True)]
    [plain] = measured(folder, prompts, None, reads=every)[:1]
    for kind in KINDS:
        table = intervention(ablate="zero", site=f"blocks.1.{kind}", position="all")
        [changed] = measured(folder, prompts, table, reads=every)[:1]
        part = Part("p", Task(Model(name=str(folder)), prompts, tuple(every), table))
        for name in names:
            said = [*objections.unreached(part, (Column(None, name),), layers)]
            assert bool(said) == np.allclose(changed[name], plain[name], rtol=1e-6), (kind, name)
