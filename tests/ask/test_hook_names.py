"""Sites by the names of TransformerLens: of every block, and beside other words for a block."""

import numpy as np
import pytest
from naive_asking import intervention, measured, rows_of

from assay.ask import hook_names
from assay.ask.model_study import ModelStudy
from assay.ask.tables import Read, Top
from assay.ask.text import parsed
from assay.core.errors import DataError, ExperimentError, ModelError
from assay.subjects.site import Site

LEAD = Read(name="lead", logit=(" a", " b"))
WORDS = ("x", "sum of all", "def y", "the name")


def blocks(naive):
    return len(naive.model.model.layers)


def test_the_site_of_every_block_is_changed_in_each(subject):
    folder, naive = subject
    table = hook_names.resolved(
        intervention(ablate="zero", site="blocks.*.hook_mlp_out"), lambda: blocks(naive)
    )
    rows = rows_of(*({"what": w} for w in WORDS), text="{what} = {what} so")
    got = measured(folder, rows, table, reads=(LEAD,))[0]["lead"][0]
    hooks = {f"blocks.{n}.hook_mlp_out": lambda x: 0 * x for n in range(blocks(naive))}
    a, b = (naive.tokenizer.encode(w, add_special_tokens=False)[0] for w in (" a", " b"))
    for number, word in zip(got, WORDS, strict=True):
        logits = naive.logits(naive.tokens(f"{word} = {word} so"), hooks)[-1]
        assert number == pytest.approx(float(logits[a] - logits[b]), abs=1e-4)


def test_a_site_that_only_repeats_the_block_of_heads_or_neurons_is_left_out():
    def of(**more):
        return hook_names.resolved(intervention(ablate="zero", **more), lambda: 4)

    assert of(heads=("3.1",), site="blocks.3.attn.hook_z").site == ""
    assert of(neurons=("3.1", "3.2"), site="blocks.3.mlp.hook_post").site == ""
    assert of(heads=("{n}.1",), site="blocks.{n}.attn.hook_z").site == ""
    top = Top(n=2, of="neurons", layers=(3,))
    assert of(top=top, site="blocks.3.mlp.hook_post").site == "blocks.3.mlp.hook_post"
    for other in (
        {"heads": ("2.1",), "site": "blocks.3.attn.hook_z"},
        {"neurons": ("2.1",), "site": "blocks.3.mlp.hook_post"},
        {"top": top, "site": "blocks.2.mlp.hook_post"},
    ):
        with pytest.raises(DataError, match="different blocks; leave one of them out"):
            of(**other)


def test_one_site_is_named_where_one_is_meant():
    with pytest.raises(DataError, match=r'"blocks.\{layer\}.hook_out" and sweep.*"0:4"'):
        hook_names.resolved(Read(name="n", norm=True, site="blocks.*.hook_out"), lambda: 4)
    with pytest.raises(ModelError, match=r"site of every block.*blocks.0.hook_mlp_out"):
        Site.parse("blocks.*.hook_mlp_out")
    with pytest.raises(ModelError, match=r"every block has one, such as blocks.0.hook_mlp_out"):
        Site.parse("hook_mlp_out")


STUDY = """
question = "Does it need its MLPs?"

[[model]]
name = "{folder}"

[[prompts]]
text = "{{what}} = {{what}} so"
rows = [{rows}]

[[read]]
name = "lead"
logit = [" a", " b"]

[[intervene]]
name = "cut"
{change}

[[claim]]
text = "It does"
holds = "main.lead - cut.lead > 1"
threshold = "plan: a nat"
"""


def study(tmp_path, folder, change):
    rows = ", ".join(f'{{ what = "{w}" }}' for w in WORDS)
    return ModelStudy(
        parsed(tmp_path / "s.toml", STUDY.format(folder=folder, rows=rows, change=change))
    )


def test_a_study_names_every_block(subject, tmp_path):
    folder, naive = subject
    whole = study(tmp_path, folder, 'ablate = "zero"\nsite = "blocks.*.hook_mlp_out"')
    numbers = np.arange(blocks(naive))
    assert whole.by_label["cut"].task.intervention.site == tuple(
        f"blocks.{n}.hook_mlp_out" for n in numbers
    )
    with pytest.raises(ExperimentError, match=r'line \d+ .*heads = \["0.1"\] and site'):
        study(tmp_path, folder, 'ablate = "zero"\nheads = ["0.1"]\nsite = "blocks.1.attn.hook_z"')
