"""What a model writes is what transformers' `generate` writes, where only config.json says how."""

import json

import pytest
import torch

import tiny_models
from assay.subjects.pretrained import load
from folders import copied, model_of

NEW = 8
PROMPTS = ([9, 20, 30], [33, 9, 9])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that repeats itself: what it writes is changed by nearly every setting."""
    folder = tmp_path_factory.mktemp("writing") / "m"
    return tiny_models.make(folder, "llama", eos_token_id=5, bos_token_id=4)


def written(folder):
    """What transformers writes behind each prompt, up to the end."""
    model = model_of(folder)
    rows = []
    for prompt in PROMPTS:
        ids = torch.tensor([prompt])
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=NEW,
            pad_token_id=0,
        )
        rows.append(out[0, len(prompt) :].tolist())
    return rows


def usual(folder):
    return [load(str(folder)).generate(torch.tensor([prompt]), new=NEW)[0] for prompt in PROMPTS]


def test_without_that_file_config_json_says_it(model, tmp_path):
    for i, config in enumerate(({}, {"eos_token_id": None}, {"repetition_penalty": 3.0})):
        folder = copied(model, tmp_path / f"m{i}")
        (folder / "generation_config.json").unlink()
        stated = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(stated | config))
        assert usual(folder) == written(folder)
