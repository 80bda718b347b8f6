"""Circuits: against a model computed by hand in float64, and on decoders
whose circuits are known."""

import numpy as np
import pytest
import torch

from assay.core.runs import Runs
from assay.data.lm import LmSpec, shape_of, start
from assay.subjects.decoder import forward
from assay_catalogue.features import circuits
from assay_catalogue.worlds.networks import readable
from assay_catalogue.worlds.networks.readable import Known


@pytest.fixture(scope="module")
def small():
    """Two random models of two blocks, and a text of each."""
    runs = Runs(
        [
            LmSpec(
                seed=seed,
                layers=2,
                d=8,
                heads=2,
                m=6,
                context=10,
                vocab=257,
                std=0.6,
                activation="relu",
            )
            for seed in (0, 1)
        ]
    )
    params = start(runs, shape_of(runs.specs[0], 40))
    gen = torch.Generator().manual_seed(0)
    params = {name: p + 0.1 * torch.randn(p.shape, generator=gen) for name, p in params.items()}
    return params, torch.randint(0, 40, (2, 5, 10), generator=gen)


def norm(x, gain, bias, scale=None):
    """LayerNorm in NumPy with a scale that may be given, and the scale it had."""
    x = x - x.mean(-1, keepdims=True)
    own = np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    return x / (own if scale is None else scale) * gain + bias, own


def by_hand(p, tokens, mask=None, means=None, scales=None):
    """One model on one text in float64, block by block: log-probabilities, each node's mean, each
    norm's scale."""
    e, found, kept = (
        iter(scales or []),
        [],
        iter(np.split(mask, [8, 10, 16, 18]) if mask is not None else []),
    )
    given, own = iter(means or []), []

    def node(x):
        found.append(x.mean((0, 1)))
        if mask is None:
            return x
        share, mean = next(kept), next(given)
        return mean + (share[:, None] if x.ndim == 4 else share) * (x - mean)

    def normed(x, gain, bias):
        out, scale = norm(x, gain, bias, next(e) if scales else None)
        own.append(scale)
        return out

    s = tokens.shape[1]
    x = node(p["W_E"][tokens] + p["W_pos"][:s])
    for n in range(2):
        qkv = (
            np.einsum("bsd,dkhe->kbshe", normed(x, p["gain_1"][n], p["bias_1"][n]), p["W_QKV"][n])
            + p["b_QKV"][n][:, None, None]
        )
        score = np.einsum("bqhe,bkhe->bhqk", qkv[0], qkv[1]) / 2  # heads of width 4
        score = np.where(np.tril(np.ones((s, s), bool)), score, -np.inf)
        pattern = np.exp(score - score.max(-1, keepdims=True))
        pattern /= pattern.sum(-1, keepdims=True)
        z = node(np.einsum("bhqk,bkhe->bqhe", pattern, qkv[2]))
        x = x + np.einsum("bshe,hed->bsd", z, p["W_O"][n]) + p["b_O"][n]
        hidden = node(
            np.maximum(normed(x, p["gain_2"][n], p["bias_2"][n]) @ p["W_in"][n] + p["b_in"][n], 0)
        )
        x = x + hidden @ p["W_out"][n] + p["b_out"][n]
    logits = normed(x, p["gain"], p["bias"]) @ p["W_U"]
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True)), found, own


def test_divergences_are_those_of_a_model_computed_by_hand(small):
    params, tokens = small
    text = circuits.read(params, tokens, "relu")
    kind = circuits.kinds(params)
    np.testing.assert_array_equal(kind, [0] * 8 + ([1] * 2 + [2] * 6) * 2)
    mask = torch.rand(2, len(kind), generator=torch.Generator().manual_seed(1)).round(decimals=1)
    mask[:, ::3] = 0.0
    found = circuits.divergence(params, text, mask, "relu")
    none = circuits.divergence(params, text, 0 * mask, "relu")
    for i in range(2):
        p, t = {name: x[i].double().numpy() for name, x in params.items()}, tokens[i].numpy()
        whole, means, scales = by_hand(p, t)
        np.testing.assert_allclose(text.predicted[i], np.exp(whole), atol=1e-5)
        for shares, value in ((mask, found), (0 * mask, none)):
            told, *_ = by_hand(p, t, shares[i].double().numpy(), means, scales)
            wanted = (np.exp(whole) * (whole - told)).sum(-1).mean()
            assert abs(wanted - float(value[i])) < 1e-5 < 1e-3 < wanted
    np.testing.assert_allclose(
        circuits.divergence(params, text, torch.ones(2, len(kind)), "relu"), 0, atol=1e-5
    )
    masks = (mask[:, None] > torch.tensor([0.5, -1.0])[:, None]).numpy()
    part = circuits.divergence(params, text, torch.from_numpy(masks[:, 0]).float(), "relu")
    np.testing.assert_allclose(
        circuits.kept_share(params, text, masks, "relu"),
        np.stack([1 - part / none, np.ones(2)], 1),
        atol=1e-4,
    )


def test_nodes_that_are_needed_lie_on_lines_over_their_logarithm():
    kept, sizes = np.array([[0.1, 0.5, 0.8], [0.7, 0.2, 0.9], [0.0, 0.1, 0.2]]), [2, 4, 8]
    np.testing.assert_allclose(circuits.needed(kept, sizes, 32, 0.5), [4, 2, 8 * 4 ** (0.3 / 0.8)])
    np.testing.assert_allclose(circuits.needed(kept[:1], sizes, 32, 0.9), [16])


def test_an_edit_that_changes_nothing_gives_the_same_logits(small):
    params, tokens = small
    seen = []

    def edit(hook, block, x):
        seen.append((hook, block))
        return x

    torch.testing.assert_close(
        forward(params, tokens, "relu", edit)[0],
        forward(params, tokens, "relu")[0],
        rtol=1e-4,
        atol=1e-4,
    )
    block = ["ln1.hook_scale", "hook_z", "ln2.hook_scale", "hook_post"]
    assert seen == [
        ("hook_resid_pre", 0),
        *((hook, n) for n in range(2) for hook in block),
        ("ln_final.hook_scale", 2),
    ]


def test_pruning_leaves_the_sizes_asked_for_one_within_the_other(small):
    params, tokens = small
    text = circuits.read(params, tokens, "relu")
    kept = circuits.pruned(params, text, (3, 7, 20, 100), "relu")
    assert kept.sum(-1).tolist() == [[3, 7, 20, 24]] * 2
    assert (kept[:, 0] <= kept[:, 1]).all() and (kept[:, 1] <= kept[:, 2]).all()
    second = {name: p[1:] for name, p in params.items()}
    np.testing.assert_array_equal(
        circuits.pruned(second, circuits.read(second, tokens[1:], "relu"), (7,), "relu")[0, 0],
        kept[1, 1],
    )


def test_pruning_finds_the_planted_nodes():
    """Of a decoder that knows 16 tokens plainly, 32 nodes say all it knows: at least nine in ten of
    them are found, and nothing else is needed."""
    seeds, known = np.array([0, 1, 2]), Known(16)
    params = readable.decoder(seeds, known, 32)
    text = circuits.read(params, torch.from_numpy(readable.text(seeds, 32, 32, "train")), "relu")
    kept = circuits.pruned(params, text, (32,), "relu")[:, 0]
    for i in range(len(seeds)):
        plain = np.flatnonzero((params["W_in"][i, 0, : readable.VOCAB] > 0).any(1).numpy())
        truth = np.zeros(kept.shape[1], bool)
        truth[plain] = truth[2 * readable.VOCAB + 1 :] = (
            True  # the tokens' coordinates, and their neurons
        )
        assert truth.sum() == 32
        assert (
            kept[i] & truth
        ).sum() / 32 >= 0.9  # as many are kept as there are: precision and recall are one number


def test_nodes_by_lot_are_as_many_of_each_kind(small):
    params, tokens = small
    kept = circuits.pruned(params, circuits.read(params, tokens, "relu"), (5, 12), "relu")
    kind = circuits.kinds(params)
    drawn = circuits.by_lot(kept, kind, np.array([3, 4]), "a")
    for k in range(3):
        np.testing.assert_array_equal(drawn[..., kind == k].sum(-1), kept[..., kind == k].sum(-1))
    assert (drawn != kept).any()
    np.testing.assert_array_equal(circuits.by_lot(kept[1:], kind, np.array([4]), "a")[0], drawn[1])
    assert (drawn[:, 0] <= drawn[:, 1]).all()
