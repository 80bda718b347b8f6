"""What a plan accepts can be run, and what cannot is refused by the plan with another way to say
it."""

import numpy as np
import pytest
import torch
from test_study_asks import MOOD, capitals, folder, planned, study  # noqa: F401 (a fixture)

from assay.ask.measure import damage
from assay.core.errors import ExperimentError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

CUT = capitals('ablate = "zero"\nheads = ["1.1"]')
ALONG = """
[[direction]]
name = "answer"
{how}
[[read]]
name = "along"
projection = "answer"
site = "blocks.3.hook_resid_post"
"""
COPIES = """
[[prompts]]
name = "two"
text = "{word}"
unit = "n"
rows = [{word="good", label="nice", n="a"}, {word="bad", label="nasty", n="b"},
        {word="good", label="nice", n="c"}, {word="bad", label="nasty", n="d"}]
"""
CLAMPED = """
[[intervene]]
name = "clamped"
clamp = ["sae.safetensors", {latent}]
site = "{site}"
value = 2
"""


@pytest.mark.parametrize(
    ("tables", "holds", "why"),
    [
        (
            CUT + ALONG.format(how='unembedding = [" {city}", " {foil}"]'),
            "main.along > 0",
            r"nothing fills \{city\}.*a direction is the same for all prompts; .* logit_lens",
        ),
        (
            MOOD.replace('prompts = "moody"', 'prompts = "two"') + COPIES,
            "steered.good - main.good > 0.5",
            "but only 1 text, in 2 rows, has label = 'nice'; give 2 different texts",
        ),
        (
            CUT + CLAMPED.format(latent='["a"]', site="blocks.1.mlp.hook_post"),
            "clamped.right < 0",
            "a latent is a whole number from 0; write sweep",
        ),
    ],
)
def test_a_plan_refuses_what_could_not_be_run(tables, holds, why, folder):  # noqa: F811
    d = catalogue_width(folder)
    blank = Dictionary(
        torch.ones(1, d, 4), torch.zeros(1, 4), torch.ones(1, 4, d), torch.zeros(1, d), ReLU()
    )
    blank.save(folder / "sae.safetensors")
    with pytest.raises(ExperimentError, match=why):
        planned(folder, "refused", tables, holds)


def catalogue_width(folder):  # noqa: F811
    import json

    return json.loads((folder / "planted" / "config.json").read_text())["hidden_size"]


def test_a_direction_is_not_judged_on_the_texts_that_it_was_learned_from(folder):  # noqa: F811
    tables = MOOD.replace('prompts = "moody"', 'prompts = "again"') + (
        '[[prompts]]\nname = "again"\nlabel = "x"\n'.replace('label = "x"\n', "")
        + 'text = "{who} {verb} the room {when} and it was"\n'
        + 'rows = [{who="anna", verb="saw", when="now", label="nice"}, '
        + '{who="x", verb="saw", when="now", label="nasty"}]\n'
    )
    with pytest.raises(ExperimentError, match=r"have the same text.*\(1 such rows\).*leave out"):
        planned(folder, "leaks", tables, "steered.good - main.good > 1")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("strenghts = [[4, 3], [2, 1]]", "no field strenghts; did you mean strengths"),
        ("strengths = { first = 4 }", "strengths must be a list, got {'first': 4}"),
    ],
)
def test_a_field_that_there_is_not_is_said_by_its_name(tmp_path, fields, says):
    path = tmp_path / "lists.toml"
    path.write_text(
        f'question = "?"\n[[experiment]]\nname = "deep-linear"\nfields = {{ {fields} }}\n'
    )
    with pytest.raises(ExperimentError, match=says):
        catalogue.find(str(path))


EVERY = """
[[direction]]
name = "along"
unembedding = "paris"
site = "blocks.3.hook_resid_pre"
[[read]]
name = "looks"
pattern = "1.1"
to = "{country}"
"""
CHANGES = {
    "neurons": 'ablate = "mean"\nsite = "blocks.2.mlp.hook_post"\nneurons = [0, 1]',
    "top_neurons": 'ablate = "zero"\nsite = "blocks.2.mlp.hook_post"\n'
    'top = { n = 2, of = "neurons" }',
    "sourced": 'ablate = "mean"\nsource = "prompts"\nheads = ["1.1"]\nposition = -1',
    "by_norm": 'ablate = "zero"\ntop = { n = 1, of = "heads" }',
    "by_pattern": 'patch = "corrupted"\nposition = -1\ntop = { n = 1, of = "heads", by = "looks" }',
    "by_direction": 'ablate = "mean"\ntop = { n = 1, of = "heads", by = "along" }',
    "by_labels": 'ablate = "zero"\n'
    'top = { n = 1, of = "heads", by = ["france", "italy"], label = "country" }',
    "path": 'patch = "corrupted"\nheads = ["1.1"]\nposition = -1\npath = { to = ["logits"] }',
    "neurons_of_blocks": 'ablate = "zero"\ntop = { n = 2, of = "neurons" }',
    "two_tokens": 'ablate = "zero"\nsite = "hook_embed"\nposition = ["{country}", -1]',
    "latents": 'clamp = ["sae.safetensors", [0, 2]]\nsite = "blocks.2.hook_resid_pre"',
    "top_latents": 'clamp = ["sae.safetensors", []]\nsite = "blocks.2.hook_resid_pre"\n'
    'top = { n = 1, of = "latents", by = "along" }',
}


def test_every_choice_of_parts_that_is_planned_is_run(folder, tmp_path, monkeypatch):  # noqa: F811
    """With its controls, also `damage`, whose model can only guess how unrelated prompts end."""
    monkeypatch.setattr(damage, "_refuse_guesses", lambda *_: None)
    d = catalogue_width(folder)
    draw = torch.Generator().manual_seed(0)
    sae = Dictionary(
        torch.randn(1, d, 8, generator=draw),
        torch.zeros(1, 8),
        torch.randn(1, 8, d, generator=draw),
        torch.zeros(1, d),
        ReLU(),
    )
    sae.save(folder / "sae.safetensors")
    tables = capitals('ablate = "zero"\nheads = ["1.1"]') + EVERY
    claims = ""
    for name, what in CHANGES.items():
        tables += f'[[intervene]]\nname = "{name}"\n{what}\n'
        claims += f'"\nthreshold = "plan: any"\n[[claim]]\ntext = "{name}"\nholds = "{name}'
        claims += ".right > -99"
    path = study(folder, "every", tables, f"changed.right > -99{claims}")
    result = Lab(tmp_path, Inline()).run(catalogue.find(str(path)), "smoke")
    notes = " ".join(result.data.notes)
    assert "left out" not in notes.replace("left out, as no statement", "")
    for name in CHANGES:
        own = {arm for arm in result.arms if arm.startswith(f"{name}/")}
        assert len(own) >= 2, name
        for arm in (name, *own):
            assert np.isfinite(result.arms[arm]["right"].values).all(), arm
    top = result.arms["by_pattern"]["chosen_parts"].values
    assert (top == 5).all()  # head 1.1, which looks at the country as was planted


def test_every_read_of_parts_that_is_planned_is_run_with_its_controls(folder, tmp_path):  # noqa: F811
    tables = (
        capitals('ablate = "zero"\nheads = ["1.1"]')
        + """
[[read]]
name = "each"
direct = [" {city}", " {foil}"]
heads = ["{block}.{head}"]
sweep = { block = [1, 2], head = [0, 1] }
[[read]]
name = "best"
direct = [" {city}", " {foil}"]
top = { n = 1, of = "heads", by = "each", layers = [1, 2] }
[[read]]
name = "mlp"
direct = " {city}"
site = "blocks.1.hook_mlp_out"
[[read]]
name = "warm"
written = "repeated"
ngram = 1
tokens = 3
temperature = 1
"""
    )
    claims = ""
    for name in ("best", "mlp", "warm"):
        claims += (
            f'"\nthreshold = "plan: any"\n[[claim]]\ntext = "{name}"\nholds = "main.{name} > 0.01'
        )
    path = study(folder, "parts", tables, f"max(main.each, over=(block, head)) > 0.01{claims}")
    result = Lab(tmp_path, Inline()).run(catalogue.find(str(path)), "smoke")
    assert {"main/heads", "main/blocks", "main/untrained"} <= {*result.arms}
    for arm in ("main", "main/heads", "main/blocks", "main/untrained"):
        assert np.isfinite(result.arms[arm]["best"].values).all(), arm
    assert "main.best: heads chosen on the other half" in " ".join(result.data.notes)


@pytest.mark.parametrize(
    ("table", "field", "other"),
    [
        ("intervene", "mask = 3", "write block = { from"),
        ("prompts", "examples = 3", r"write shots = \[0, 1, 4\] and example"),
        ("model", "quantize = 3", r"write weights = { bits = 4"),
        ("read", "dla = 3", r"write direct = \[\" a\", \" b\"\] and heads"),
        ("prompts", "filter = 3", r"write where = { label"),
        ("read", "nonsense = 3", r"; see docs/tables/read.md"),
        ("probe", 'split = "who"', r"it is a field of \[\[prompts\]\]; see docs/tables/probe.md"),
    ],
)
def test_a_field_that_is_none_is_refused_with_another_way_to_say_it(table, field, other, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(f'question = "?"\n[[{table}]]\nname = "x"\n{field}\n')
    with pytest.raises(ExperimentError, match=f"line 4 column .* has no field .*{other}"):
        catalogue.find(str(path))


@pytest.mark.parametrize(
    ("table", "wrong", "right"),
    [
        ("read", 'pattern = []\ntop = { n = 2, of = "heads" }', "leave it out, and name the heads"),
        ("prompts", 'text = ["a", "b"]\ncorrupted = ["c", "d"]', "corrupted is one text, also if"),
    ],
)
def test_a_list_in_place_of_one_text_is_refused_with_what_would_be_right(
    table, wrong, right, tmp_path
):
    path = tmp_path / "s.toml"
    path.write_text(f'question = "?"\n[[{table}]]\nname = "x"\n{wrong}\n')
    with pytest.raises(ExperimentError, match=right):
        catalogue.find(str(path))
