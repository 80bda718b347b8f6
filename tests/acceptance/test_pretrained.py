"""Captures, edits, logits, early stops and late starts of local models, against a forward pass in
NumPy float64."""

import numpy as np
import pytest
import torch

import tiny_models
from assay.subjects.pretrained import load
from assay.subjects.site import Site

TOKENS = np.array([[5, 17, 200, 3, 41, 41, 99], [250, 0, 8, 77, 130, 6, 2]])
ARCHITECTURES = ("llama", "gpt2")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        kind: tiny_models.make(root / kind, kind) for kind in ("llama", "gpt2", "mistral", "qwen2")
    }


@pytest.fixture(scope="module")
def subjects(folders):
    return {kind: load(str(folder)) for kind, folder in folders.items()}


def close(got, expected):
    assert got.shape == expected.shape
    # scores of what is not attended to are anything small enough
    seen = np.abs(expected) < 1e30
    scale = np.abs(expected[seen]).max()
    assert np.abs(got.double().numpy() - expected)[seen].max() < 2e-5 * scale
    assert (got.double().numpy()[~seen] < -1e30).all()


def halve(x):
    return 0.5 * x + 0.1


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_logits_losses_and_every_site_equal_the_naive_pass(subjects, folders, kind):
    logits, acts = tiny_models.naive(folders[kind], TOKENS)
    subject = subjects[kind]
    trace = subject.run(torch.tensor(TOKENS), capture=subject.sites)
    assert {str(s) for s in trace.acts} == set(acts)
    for site, got in trace.acts.items():
        close(got, acts[str(site)])
        assert " s " not in f" {site.dims} " or got[0, 0].numel() == subject.width(site)
    close(trace.logits, logits)
    close(trace.loss(), tiny_models.naive_loss(logits, TOKENS))
    close(subject.losses(torch.tensor(TOKENS)), tiny_models.naive_loss(logits, TOKENS))


def test_tied_embeddings_and_a_head_width_of_its_own(tmp_path):
    folder = tiny_models.make(tmp_path / "m", "llama", tie_word_embeddings=True, head_dim=8)
    subject = load(str(folder))
    close(subject.run(torch.tensor(TOKENS)).logits, tiny_models.naive(folder, TOKENS)[0])
    assert subject.width(Site("z", 0)) == 32


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_late_start_gives_what_the_full_pass_with_that_edit_gives(subjects, kind, layer):
    subject = subjects[kind]
    tokens = torch.tensor(TOKENS)
    site = Site("resid_pre", layer)
    spliced = halve(subject.run(tokens, capture=[site], logits=False).acts[site])
    later = Site("mlp_out", 2)
    full = subject.run(tokens, edits={site: lambda x: spliced, later: halve}, capture=[later])
    short = subject.run(tokens, start=(layer, spliced), edits={later: halve}, capture=[later])
    assert torch.equal(full.logits, short.logits)
    assert torch.equal(full.acts[later], short.acts[later])
    assert torch.equal(
        subject.losses(tokens, edits={site: lambda x: spliced}),
        subject.losses(tokens, start=(layer, spliced)),
    )


def calls(subject, **options):
    """The blocks that a run enters."""
    entered = []
    hooks = [
        b.register_forward_pre_hook(lambda m, a, i=i: entered.append(i))
        for i, b in enumerate(subject.blocks)
    ]
    try:
        subject.run(torch.tensor(TOKENS), **options)
    finally:
        for hook in hooks:
            hook.remove()
    return entered


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_run_enters_only_the_blocks_it_needs(subjects, kind):
    subject = subjects[kind]
    residual = torch.zeros(2, 7, 24)
    assert calls(subject) == [0, 1, 2]
    assert calls(subject, capture=[Site("resid_post", 0)], logits=False) == [0]
    assert calls(subject, capture=[Site("z", 0), Site("resid_mid", 1)], logits=False) == [0, 1]
    assert calls(subject, capture=[Site("resid_post", 0)], logits=True) == [0, 1, 2]
    assert calls(subject, start=(2, residual)) == [2]
    assert calls(subject, start=(1, residual), capture=[Site("resid_mid", 1)], logits=False) == [1]
    assert calls(subject, logits=False) == []


def test_an_edit_in_place_leaves_captures_upstream_alone(subjects, folders):
    here, there = Site("resid_post", 0), Site("resid_pre", 1)
    trace = subjects["llama"].run(
        torch.tensor(TOKENS),
        capture=[here, there],
        edits={there: lambda x: x.mul_(2)},
        logits=False,
    )
    assert torch.equal(2 * trace.acts[here], trace.acts[there])


def test_bfloat16_computes_in_bfloat16(folders):
    subject = load(str(folders["llama"]), dtype="bfloat16")
    site = Site("resid_pre", 2)
    got = subject.run(torch.tensor(TOKENS), capture=[site], logits=False).acts[site]
    expected = tiny_models.naive(folders["llama"], TOKENS)[1][str(site)]
    assert got.dtype == torch.bfloat16
    assert ((got.double().numpy() - expected) ** 2).sum() < 1e-3 * (expected**2).sum()
