"""Effects on the logits by path: the vectors worked by hand, and naive float64 passes over the
whole vocabulary."""

from __future__ import annotations

import live_texts as lt
import numpy as np
import pytest
import torch

import tiny_models
from assay.core.errors import DataError, ModelError
from assay.features.live.edits import Change, change, likely
from assay.features.live.logits import Unembedding, promoted, split_paths
from assay.subjects.readout import Norm

LAST = "blocks.2.hook_resid_post"


def log_probability_changes(logits, difference):
    """What every possible next token loses when `difference` is taken off the logits, nats."""
    return logits.log_softmax(-1) - (logits - difference).log_softmax(-1)


@pytest.mark.parametrize(
    ("norm", "wanted"),
    [
        (None, (6.807217, 0.807217, -0.192783, 5.807217)),
        (Norm(centres=False, eps=0.0), (2.136815, -0.312675, -0.123206, 0.533133)),
        (Norm(centres=True, eps=0.0), (0.522191, -0.323732, 0.055091, 0.677891)),
    ],
    ids=["identity", "RMSNorm", "LayerNorm"],
)
def test_the_worked_vector_of_a_loss_effect(norm, wanted):
    W = torch.tensor([[2.0, -1, 0, 1], [0, 1, 1, -2], [1, 0, -1, 0]])
    r, part = torch.tensor([[1.0, 2, -1]]), 2 * torch.tensor([[0.5, -0.5, 1]])
    there = Unembedding(W.T, torch.ones(3), norm)
    x = r if norm is None else norm.project(r) / norm.sigma(r)
    found = log_probability_changes(x @ W, there.exact(part, r))
    np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-5)
    assert (
        log_probability_changes(x @ W, there.exact(0 * part, r)) == 0
    ).all()  # a feature that is off: to the last bit


def naive_norm(folder, x):
    w = tiny_models.weights(folder)
    if "ln_f.weight" in w:
        return (
            tiny_models._layer_norm(x, w, "ln_f"),
            w["wte.weight"],
            w["ln_f.weight"],
            w["ln_f.bias"],
        )
    return (
        tiny_models._rms(x, w["model.norm.weight"], 1e-6),
        w["lm_head.weight"],
        w["model.norm.weight"],
        0.0,
    )


def naive_logits(folder, x):
    normed, W_U, _, _ = naive_norm(folder, x)
    return normed @ W_U.T


def frozen_logits(folder, part, x):
    """The image of a part with the divisor of x: a norm is linear in x but for it."""
    _, W_U, gain, bias = naive_norm(folder, x)
    centres = not np.isscalar(bias)
    centred = x - x.mean() if centres else x
    sigma = np.sqrt((centred**2).mean() + (1e-5 if centres else 1e-6))
    return ((part - part.mean() if centres else part) / sigma * gain) @ W_U.T


def centred(logits):
    return logits - logits.mean()


@pytest.mark.parametrize("site", [lt.SITE, "blocks.0.hook_mlp_out", "blocks.1.hook_resid_mid"])
def test_paths_are_those_of_naive_passes(folder, model, site):
    reader = lt.reader(model, site)
    reading = reader.read(lt.TEXT)
    naive = lt.Naive(folder, reading.ids, site)
    firings = reading.firings[np.array([20, 3, 11, -1])]
    found = split_paths(reader, reading, firings)
    for i, (t, k) in enumerate(zip(firings.position, firings.feature, strict=True)):
        without, acts = naive.run(-naive.part(t, k))
        x, after = naive.all[LAST][0, t], acts[LAST][0, t]
        direct, total = (
            centred(frozen_logits(folder, part, x)) for part in (naive.part(t, k)[t], x - after)
        )
        exact = centred(naive.logits[0, t] - without[t])
        indirect = total - direct
        size = np.linalg.norm
        assert found.share[i] == pytest.approx(
            direct @ direct / (direct @ direct + indirect @ indirect), rel=1e-3
        )
        assert found.signed[i] == pytest.approx(direct @ total / (total @ total), rel=1e-3)
        assert found.cosine[i] == pytest.approx(
            direct @ indirect / size(direct) / size(indirect), abs=1e-3
        )
        lengths = [found.total[i], found.direct[i], found.indirect[i], found.norm[i]]
        assert lengths == pytest.approx(
            [size(v) for v in (total, direct, indirect, exact - total)], rel=1e-3, abs=2e-5
        )
        if t < len(reading) - 1:
            following = reading.ids[t + 1]
            wanted = [direct[following], indirect[following], (exact - total)[following]]
            np.testing.assert_allclose(found.on_next[i], wanted, atol=3e-5)
            assert found.on_next[i].sum() == pytest.approx(exact[following], abs=3e-5)
    assert np.isnan(found.on_next[3]).all() == (firings.position[3] == len(reading) - 1)


def test_after_the_last_block_everything_is_direct(model):
    reader = lt.reader(model, LAST)
    reading = reader.read(lt.TEXT)
    found = split_paths(reader, reading, reading.firings)
    np.testing.assert_allclose(found.share, 1, atol=1e-6)
    np.testing.assert_allclose(found.signed, 1, atol=1e-3)
    assert (found.indirect <= 1e-3 * found.direct).all()


def test_where_later_layers_cancel_a_part_half_is_direct():
    """The two shares of a part whose image later layers take away again: total 0."""
    from assay.subjects.readout import direct_share, signed_share

    direct = torch.tensor([[3.0, -4.0]])
    assert direct_share(direct, 0 * direct) == 0.5 and signed_share(direct, 0 * direct).isnan()


def test_no_firing_has_no_path_and_other_sites_have_none(model):
    reader = lt.reader(model)
    reading = reader.read(lt.TEXT)
    none = split_paths(reader, reading, reading.firings.of(lt.NEVER))
    assert len(none.share) == 0 and none.on_next.shape == (0, 3)
    away = lt.reader(model, "blocks.1.attn.hook_z")
    there = away.read(lt.TEXT)
    with pytest.raises(ModelError, match="has no direct path"):
        split_paths(away, there, there.firings)
    with pytest.raises(ModelError, match="has no direct path"):
        promoted(away, 1, [(there, there.firings)])


def test_the_direct_loss_effect_is_the_same_from_logits_and_from_a_pass(model):
    """The feature's view and the prompt's view of one firing: both use the model's own final
    norm."""
    reader = lt.reader(model)
    reading = reader.read(lt.TEXT)
    firings = reading.firings[reading.firings.position < len(reading) - 1][::5]
    passes = [
        change(reader, reading, [Change.out(int(k), (int(p),))], mode="direct").delta[p]
        for k, p in zip(firings.feature, firings.position, strict=True)
    ]
    at, x = firings.position, reading.stream[torch.from_numpy(firings.position)]
    logits = model.model.get_output_embeddings()(reading.final[torch.from_numpy(at)])
    effects = log_probability_changes(
        logits, Unembedding.of(model).exact(reader.parts(reading, firings), x)
    )
    np.testing.assert_allclose(
        effects[np.arange(len(at)), np.array(reading.ids)[at + 1]].numpy(), passes, atol=1e-5
    )


@pytest.mark.parametrize("site", [lt.SITE, LAST])
def test_promoted_tokens_are_those_of_the_norm_with_and_without(folder, model, site):
    reader = lt.reader(model, site)
    readings = [reader.read(lt.TEXT), reader.read("class Point:\n    y = 2048")]
    naives = [lt.Naive(folder, reading.ids, site) for reading in readings]
    k = int(np.intersect1d(readings[0].on, readings[1].on)[0])
    found = promoted(reader, k, [(reading, reading.firings) for reading in readings])
    exact = []
    for naive in naives:
        for t in np.flatnonzero(naive.a[:, k]):
            x = naive.all[LAST][0, t]
            exact.append(
                centred(naive_logits(folder, x) - naive_logits(folder, x - naive.part(t, k)[t]))
            )
    assert found.firings == len(exact) > 3 and found.feature == k
    wanted = np.mean(exact, 0)
    np.testing.assert_allclose(found.exact, wanted, atol=3e-5)
    linear = centred(naives[0].dec[k] @ model.unembed().double().numpy())
    np.testing.assert_allclose(found.linear, linear, atol=3e-5)
    assert found.cosine == pytest.approx(
        wanted @ linear / np.linalg.norm(wanted) / np.linalg.norm(linear), abs=1e-5
    )
    both = [
        len(set(np.argsort(s * wanted)[-10:]) & set(np.argsort(s * linear)[-10:])) / 10
        for s in (1, -1)
    ]
    assert found.overlap == pytest.approx(both)


def test_a_feature_that_does_not_fire_promotes_nothing_here(model):
    reader = lt.reader(model)
    reading = reader.read(lt.TEXT)
    with pytest.raises(DataError, match="feature 0 does not fire here"):
        promoted(reader, lt.NEVER, [(reading, reading.firings)])


def test_the_likely_tokens_are_the_softmax(folder, model):
    reader = lt.reader(model)
    reading = reader.read(lt.TEXT)
    p = lt.probabilities(lt.Naive(folder, reading.ids).logits[0, 6])
    found = likely(reader, reading, 6, 4)
    assert [c.id for c in found] == np.argsort(-p)[:4].tolist()
    assert [c.before for c in found] == pytest.approx(np.sort(p)[::-1][:4].tolist(), rel=1e-4)
    assert all(c.before == c.after and c.text == model.decode([c.id]) for c in found)
    with pytest.raises(DataError, match="tokens are numbered 0 to"):
        likely(reader, reading, 99)
