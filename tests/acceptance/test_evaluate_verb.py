"""`assay evaluate --json` prints one object with the numbers of the table, and takes them from the
store."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

import tiny_models
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU

SAELENS = Path(__file__).parents[1] / "evaluation/saelens"
ON = ("--model", "model", "--text", "texts", "--tokens", "600", "--root", "store")


def plain(sites, seed=0, d=24):
    draw = torch.Generator().manual_seed(seed)
    W = torch.nn.functional.normalize(torch.randn(1, 40, d, generator=draw), dim=-1)
    return Dictionary(
        0.6 * W.mT, torch.full((1, 40), -0.2), W, torch.zeros(1, d), ReLU(), sites=sites
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    origin = tmp_path_factory.mktemp("world")
    tiny_models.make(origin / "model", "llama", bos_token_id=3)
    tiny_models.write_texts(origin / "texts", 12, lambda i: 12)
    shutil.copytree(SAELENS / "topk", origin / "sae")
    plain(("blocks.1.hook_resid_post",)).save(origin / "d.safetensors")
    plain(("blocks.2.hook_resid_pre",), 1).save(origin / "e.safetensors")
    return origin


def env(world):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ASSAY_")}
    return kept | {
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "ASSAY_CACHE": str(world / "cache"),
    }


@pytest.fixture(scope="module")
def done(world, commands, tmp_path_factory):
    here = tmp_path_factory.mktemp("done") / "here"
    shutil.copytree(world, here)
    words = ("evaluate", "sae", "d.safetensors", "e.safetensors", *ON, "--out", "report")
    return (
        here,
        commands.run(words, here, env(here)),
        commands.run((*words, "--json"), here, env(here)),
    )


def test_json_is_one_object_with_what_the_table_shows_and_comes_from_the_store(done):
    here, first, second = done
    data = json.loads(second.out)
    assert all(e["cached"] for e in data["dictionaries"])
    fvu = next(line for line in first.out.splitlines() if line.startswith("FVU")).split()[1]
    assert f"{data['dictionaries'][0]['measures']['fvu']['estimate']:.4f}".startswith(fvu[:4])
    assert data["definitions"]["fvu"]["better"] == "lower" and data["written"]
    assert (
        json.loads((here / "report/evaluation.json").read_text())["dictionaries"]
        == data["dictionaries"]
    )
