"""Splicing on a tiny model: the losses of a naive float64 forward with the site's activations
replaced, and their recovery."""

import numpy as np
import pytest
import torch

import tiny_models
from assay.data.harvest import HarvestSpec, harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.ablation import (
    Passage,
    cross_entropy,
    reconstruction_losses,
    reference_losses,
)
from assay.dictionaries.measuring.metrics import ce_recovered
from assay.dictionaries.nonlinearity import ReLU
from assay.subjects.pretrained import load
from assay.subjects.site import Site


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


def naive_losses(folder, tokens, site, new, keep):
    """Mean next-token loss of each window in nats, float64, with `new` at the kept positions of the
    site."""

    def edit(x):
        return np.where(keep[..., None], new, x)

    logits, _ = tiny_models.naive(folder, tokens, edits={site: edit})
    return tiny_models.naive_loss(logits, tokens).mean(1)


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


@pytest.mark.parametrize("site", ["blocks.1.hook_resid_pre", "blocks.1.hook_mlp_out"])
def test_losses_are_those_of_a_naive_forward(world, site):
    folder, _ = world
    model = load(str(folder))
    own = np.random.default_rng(0)
    tokens = own.integers(0, 250, (3, 12))
    place = Site.parse(site)
    acts = model.run(torch.from_numpy(tokens), capture=[place], logits=False).acts[place].float()
    keep = own.random((3, 12)) < 0.8
    passage = Passage(torch.from_numpy(tokens), acts, torch.from_numpy(keep))
    mean = acts.mean((0, 1))
    d = dictionary(acts.shape[-1])
    got = reference_losses(model, place, passage, mean)
    wanted = {"clean": acts.numpy(), "mean": mean.numpy(), "zero": np.zeros(1)}
    for name, new in wanted.items():
        np.testing.assert_allclose(
            got[name], naive_losses(folder, tokens, site, new, keep), atol=2e-5
        )
    spliced = reconstruction_losses(model, place, passage, d)
    for run in range(2):
        x_hat = d[run].reconstruct(acts.flatten(0, 1))[0].reshape(acts.shape).numpy()
        np.testing.assert_allclose(
            spliced[run], naive_losses(folder, tokens, site, x_hat, keep), atol=2e-5
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
