"""A probe of a dictionary reads where the dictionary does."""

import pytest
import torch
from test_study_asks import folder  # noqa: F401 (a fixture)

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.lab import catalogue
from assay.subjects.folder import find
from assay.subjects.site import Site

CODES = """
question = "Do the codes say it?"
[[model]]
name = "./planted"
[[prompts]]
text = "the {{thing}} was {{adjective}}"
file = "moods.csv"
[[probe]]
name = "codes"
label = "label"
dictionary = "{dictionary}"
{site}
{train}
[[claim]]
text = "They say it"
holds = "codes.accuracy > 0.6"
threshold = "plan: by construction"
"""
TRAIN = """
[[train]]
name = "sae"
prompts = "prompts"
site = "blocks.1.hook_resid_pre"
d_sae = 8
k = 2
"""


@pytest.mark.parametrize("trained", [False, True])
def test_a_probe_of_a_dictionary_reads_where_the_dictionary_does(folder, trained):  # noqa: F811
    """A study without the site measures what one with it does."""
    at = "blocks.1.hook_resid_pre"
    width = find(str(folder / "planted")).width(Site.parse(at))
    W = torch.eye(width)[None]
    zeros = torch.zeros(1, width)
    Dictionary(W, zeros, W, zeros, ReLU(), sites=(at,)).save(folder / "own.safetensors")
    specs = []
    for site in ("", f'site = "{at}"'):
        text = CODES.format(
            dictionary="sae" if trained else "own.safetensors",
            site=site,
            train=TRAIN if trained else "",
        )
        path = folder / f"codes{trained}{bool(site)}.toml"
        path.write_text(text)
        experiment = catalogue.find(str(path))
        specs.append(experiment.arms["codes"].specs(experiment.default))
    assert specs[0] == specs[1]
