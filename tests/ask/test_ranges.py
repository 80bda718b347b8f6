"""Ranges with an open end: the levels, blocks and tokens that they name, as NumPy's slices have
them."""

import numpy as np
import pytest
from naive_models import measured, texts

from assay.ask.tables import Intervention, Read
from assay.ask.text import parsed
from assay.core.errors import DataError, ExperimentError

SITE = "blocks.{n}.hook_resid_pre"
SHOWN = ("def add(a, b):", "class Point:\n    x", "b c d e f")
STUDY = """
[[model]]
name = "{folder}"
[[read]]
name = "long"
norm = true
site = "blocks.{{n}}.hook_resid_pre"
sweep = {{ n = "{levels}" }}
[[read]]
name = "look"
pattern = "{{block}}.{{head}}"
sweep = {{ block = "1:", head = "{levels}" }}
[[intervene]]
name = "blind"
block = {{ to = 0, layers = "1:" }}
"""


@pytest.mark.parametrize("levels", ["1:", ":2", "-2:", "::2", "0:3:2"])
def test_an_open_range_ends_with_the_blocks_and_the_heads_of_the_model(llama, tmp_path, levels):
    ends = slice(*(int(x) if x else None for x in levels.split(":")))
    blocks, heads = len(llama.blocks), llama.model.config.num_attention_heads
    study = parsed(tmp_path / "s.toml", STUDY.format(folder=llama.folder, levels=levels)).study
    long, look = study.read
    assert long.sweep["n"] == tuple(range(blocks)[ends])
    assert look.sweep == {"block": tuple(range(1, blocks)), "head": tuple(range(heads)[ends])}
    assert study.intervene[0].block.layers == tuple(range(1, blocks))


def test_a_range_whose_end_is_not_known_is_refused(llama, tmp_path):
    for folder, change, why in (
        ("nowhere", "", "the model is not known"),
        (llama.folder, "strength", "it is of neither blocks nor heads"),
    ):
        words = STUDY.format(folder=folder, levels="1:")
        words = words.replace("blocks.{n}.", "blocks.0.") if change else words
        with pytest.raises(ExperimentError, match=f'= "1:" has no end, and {why}; write the end'):
            parsed(tmp_path / "s.toml", words)


@pytest.mark.parametrize("place", ["1:", "2:-1", ":-2"])
def test_a_range_of_tokens_ends_where_each_prompt_does(naive, place):
    tokens = slice(*(int(x) if x else None for x in place.split(":")))
    read = Read(name="long", norm=True, site=SITE.format(n=1), position=place)
    cut = Intervention(name="cut", ablate="zero", site=SITE.format(n=1), position=place)
    whole = Read(name="long", norm=True, site=SITE.format(n=1), position=0)
    got = measured(naive, texts(*SHOWN), [read])["long"]
    first = measured(naive, texts(*SHOWN), [whole], cut)["long"]
    for p, text in enumerate(SHOWN):
        lengths = np.linalg.norm(naive.run(naive.ids(text))[1][1], axis=1)
        assert got[p] == pytest.approx(lengths[tokens].mean(), abs=1e-4)
        assert first[p] == pytest.approx(lengths[0] if place[0] != ":" else 0, abs=1e-4)


def test_a_prompt_without_such_tokens_is_refused(llama):
    read = Read(name="long", norm=True, site=SITE.format(n=1), position="40:")
    with pytest.raises(DataError, match="tokens, none at 40:"):
        measured(llama, texts(*SHOWN), [read])
