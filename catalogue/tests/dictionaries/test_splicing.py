"""Splicing on a tiny model: which passages are read, and the recovery of their losses."""

import numpy as np
import pytest
import torch

import tiny_models
from assay.data.harvest import HarvestSpec, harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.ablation import Passage
from assay.dictionaries.measuring.metrics import ce_recovered
from assay.dictionaries.nonlinearity import ReLU
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay_catalogue.dictionaries.splicing import cross_entropy, reference_losses


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def world(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    texts = root / "texts"
    texts.mkdir()
    for i in range(150):
        (texts / f"t{i}.py").write_text(
            "".join(f"def f{i}_{j}(x):\n    return x + {i * j}\n" for j in range(8))
        )
    return tiny_models.make(root / "model", request.param), texts


def dictionary(d, runs=2):
    own = torch.Generator().manual_seed(0)
    W = torch.nn.functional.normalize(torch.randn(runs, 2 * d, d, generator=own), dim=-1)
    mean, scale = torch.randn(runs, d, generator=own), torch.tensor([0.7, 1.3])
    return Dictionary(
        W.mT.contiguous(),
        torch.zeros(runs, 2 * d),
        W,
        torch.zeros(runs, d),
        ReLU(),
        {},
        mean,
        scale,
    )


def test_passages_come_one_from_a_document_and_losses_only_where_asked(world, bench):
    folder, texts = world
    common = {
        "subject": str(folder),
        "site": "blocks.1.hook_resid_pre",
        "corpus": str(texts),
        "context": 16,
        "dtype": "float32",
    }
    train = harvest(HarvestSpec(**common, windows=20), bench)
    test = harvest(HarvestSpec(**common, windows=0, part="test"), bench, like=train)
    files, losses = cross_entropy(dictionary(train.d), test, 4, bench, only=np.array([False, True]))
    assert len(set(files)) == len(files) == 4
    assert np.isnan(losses["spliced"][0]).all()
    assert np.isfinite(losses["spliced"][1]).all()
    assert all(values.shape == (2, 4) for values in losses.values())
    total = {name: values[1].sum() for name, values in losses.items()}
    gap = (
        total["mean"] - total["clean"]
    )  # of a random model, for which ablation may even help: then nothing is recovered
    wanted = (total["mean"] - total["spliced"]) / gap if gap > 0 else np.nan
    assert ce_recovered(total["clean"], total["spliced"], total["mean"]) == pytest.approx(
        wanted, nan_ok=True
    )


def test_losses_of_windows_are_those_of_runs_with_the_site_replaced(world):
    folder, _ = world
    model, site = load(str(folder)), Site.parse("blocks.1.hook_resid_pre")
    tokens = torch.arange(24).view(2, 12) * 7 % 100
    acts = model.run(tokens, capture=[site], logits=False).acts[site]
    keep = torch.arange(12).expand(2, 12) > 0
    passage, mean = Passage(tokens, acts, keep), acts[:, 1:].mean((0, 1))
    found = reference_losses(model, site, passage, mean)
    for name, value in (("clean", acts), ("mean", mean), ("zero", torch.zeros_like(mean))):
        edit = {site: lambda x, value=value: torch.where(keep[..., None], value, x)}
        wanted = model.losses(tokens, edits=edit).double().mean(1)
        torch.testing.assert_close(found[name], wanted, rtol=1e-6, atol=1e-6)
