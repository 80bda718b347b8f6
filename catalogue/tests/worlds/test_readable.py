"""Decoders written by hand: what they know, and what can be read of it, by enumeration of all
tokens."""

import math

import numpy as np
import pytest
import torch

from assay.subjects.decoder import forward
from assay_catalogue.worlds.networks import readable
from assay_catalogue.worlds.networks.readable import SURE, VOCAB, Known

SEEDS = np.array([0, 5])
P = SURE + (1 - SURE) / VOCAB


@pytest.mark.parametrize("known", [Known(8), Known(64), Known(2, 22), Known(10, 54)])
def test_each_token_that_is_known_has_its_exact_prediction_and_the_others_a_uniform_one(known):
    params = readable.decoder(SEEDS, known, 1)
    logits, _ = forward(params, torch.arange(VOCAB)[:, None], "relu")
    told, partner = logits[:, :, 0].softmax(-1).double().numpy(), readable.partners(SEEDS)
    saved = []
    for i in range(len(SEEDS)):
        law = np.full((VOCAB, VOCAB), (1 - SURE) / VOCAB) + SURE * np.eye(VOCAB)[partner[i]]
        right = np.abs(told[i] - law).max(1) < 0.02
        flat = np.abs(told[i] - 1 / VOCAB).max(1) < 1e-3
        assert right.sum() == known.plain + known.dense and (right | flat).all()
        saved.append(math.log(VOCAB) + (law * np.log(told[i])).sum(1).mean())
    np.testing.assert_allclose(saved, known.capability(), rtol=0.01)


def test_plain_neurons_fire_on_one_token_and_dense_ones_on_half():
    known, rates = Known(6, 24), []

    def edit(hook, block, x):
        if hook == "hook_post":
            rates.append((x > 0).float().mean(1).numpy())
        return x

    forward(readable.decoder(SEEDS, known, 1), torch.arange(VOCAB)[:, None], "relu", edit)
    np.testing.assert_allclose(rates[0][:, :6], 1 / VOCAB)
    np.testing.assert_allclose(rates[0][:, 6:], 0.5)


def test_the_closed_forms():
    assert math.isclose(
        readable.gain(),
        math.log(64) + P * math.log(P) + 63 * ((1 - P) / 63) * math.log((1 - P) / 63),
    )
    assert Known(16).by_rules(10) == 1.0 and math.isclose(
        Known(8, 1).by_rules(16), (8 + 72 * 0.5) / 80
    )


def test_the_text_is_its_law_and_each_seeds_own():
    text = readable.text(SEEDS, 400, 32, "test")
    partner = readable.partners(SEEDS)
    follows = (
        np.take_along_axis(partner[:, None], text[..., :-1].reshape(2, 1, -1), -1).reshape(
            2, 400, 31
        )
        == text[..., 1:]
    )
    np.testing.assert_allclose(follows.mean((1, 2)), P, atol=0.01)
    np.testing.assert_array_equal(readable.text(SEEDS[1:], 400, 32, "test")[0], text[1])
    assert (readable.text(SEEDS, 400, 32, "train") != text).any()
