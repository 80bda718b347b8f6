"""Cross-layer transcoders against loops over features and layers; the loss's gradients against
finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay_catalogue.dictionaries.cross_layer import (
    CrossLayer,
    bounded,
    decode,
    encode,
    lengths,
    reachable,
    replaced,
    written,
)

RUNS, LAYERS, ROWS, D, F = 2, 3, 4, 5, 6


def drawn(seed=0):
    """Random parameters and streams, float64."""
    rng = torch.Generator().manual_seed(seed)
    sizes = {
        "W_enc": (LAYERS, D, F),
        "b_enc": (LAYERS, F),
        "W_dec": (LAYERS, LAYERS, F, D),
        "b_dec": (LAYERS, D),
    }
    params = {
        name: torch.randn(RUNS, *size, generator=rng, dtype=torch.float64)
        for name, size in sizes.items()
    }
    streams, writes = (
        torch.randn(RUNS, LAYERS, ROWS, D, generator=rng, dtype=torch.float64) for _ in range(2)
    )
    return params, streams, writes


def by_hand(params, streams, reach):
    """Features and reconstructions by loops over runs, rows, layers and features."""
    features, out = np.zeros((RUNS, LAYERS, ROWS, F)), np.zeros((RUNS, LAYERS, ROWS, D))
    p = {name: x.numpy() for name, x in params.items()}
    for r in range(RUNS):
        for row in range(ROWS):
            for k in range(LAYERS):
                out[r, k, row] = p["b_dec"][r, k]
            for layer in range(LAYERS):
                for i in range(F):
                    before = (
                        streams[r, layer, row].numpy() @ p["W_enc"][r, layer, :, i]
                        + p["b_enc"][r, layer, i]
                    )
                    features[r, layer, row, i] = max(before, 0.0)
                    for k in range(layer, layer + 1 if reach == "own" else LAYERS):
                        out[r, k, row] += features[r, layer, row, i] * p["W_dec"][r, layer, k, i]
    return features, out


@pytest.mark.parametrize("reach", ["later", "own"])
def test_features_and_reconstructions_are_those_of_loops(reach):
    params, streams, _ = drawn()
    features, out = by_hand(params, streams, reach)
    params = bounded(params, reach)
    np.testing.assert_allclose(encode(params, streams), features)
    np.testing.assert_allclose(decode(params, encode(params, streams)), out)


def test_no_layer_writes_to_an_earlier_one_and_per_layer_ones_to_no_other():
    np.testing.assert_array_equal(reachable(3, "later"), [[1, 1, 1], [0, 1, 1], [0, 0, 1]])
    np.testing.assert_array_equal(reachable(3, "own"), np.eye(3))
    with pytest.raises(SpecError, match="reach 'later' layers too or their 'own' alone, got 'all'"):
        reachable(2, "all")


def test_what_each_layer_writes_adds_up_to_the_reconstruction():
    params, streams, _ = drawn()
    params = bounded(params, "later")
    parts = written(params, encode(params, streams))
    assert not parts[:, 2, 0].any()
    np.testing.assert_allclose(
        parts.sum(1) + params["b_dec"][:, :, None], decode(params, encode(params, streams))
    )


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("reach", ["later", "own"])
@pytest.mark.parametrize("saturation", [0.0, 2.0])
def test_the_loss_is_that_of_loops(reach, joined, saturation):
    params, streams, writes = drawn()
    features, out = by_hand(params, streams, reach)
    W_dec = bounded(params, reach)["W_dec"].numpy()
    penalty = torch.tensor([0.3, 0.0], dtype=torch.float64)
    wanted = np.zeros(RUNS)
    for r in range(RUNS):
        for row in range(ROWS):
            for k in range(LAYERS):
                wanted[r] += ((out[r, k, row] - writes[r, k, row].numpy()) ** 2).sum() / ROWS
                for i in range(F):
                    rows = W_dec[r, k, :, i]  # to every layer
                    length = (
                        np.linalg.norm(rows) if joined else sum(np.linalg.norm(row) for row in rows)
                    )
                    paid = features[r, k, row, i] * length
                    wanted[r] += (
                        float(penalty[r])
                        * (np.tanh(saturation * paid) / saturation if saturation else paid)
                        / ROWS
                    )
    np.testing.assert_allclose(
        CrossLayer(reach, joined, saturation)(params, streams, writes, penalty), wanted
    )


@pytest.mark.parametrize(
    "loss", [CrossLayer(), CrossLayer("own"), CrossLayer(joined=False), CrossLayer(saturation=3.0)]
)
def test_gradients_are_those_of_finite_differences(loss):
    params, streams, writes = drawn(1)
    penalty = torch.tensor([0.2, 0.7], dtype=torch.float64)
    names = tuple(params)

    def of(*values):
        return loss(dict(zip(names, values, strict=True)), streams, writes, penalty).sum()

    assert torch.autograd.gradcheck(
        of, tuple(x.requires_grad_() for x in params.values()), eps=1e-6, atol=1e-6
    )


def test_rows_of_length_zero_have_gradients():
    params, streams, writes = drawn(2)
    params = {name: torch.zeros_like(x) if name == "W_dec" else x for name, x in params.items()}
    leaves = {name: x.requires_grad_() for name, x in params.items()}
    CrossLayer()(leaves, streams, writes, torch.ones(RUNS)).sum().backward()
    assert all(x.grad.isfinite().all() for x in leaves.values())


def test_lengths_side_by_side_are_shorter_than_their_sum_where_a_feature_writes_twice():
    params = {"W_dec": torch.zeros(1, 2, 2, 2, 3)}
    (
        params["W_dec"][0, 0, 0, 0, 0],
        params["W_dec"][0, 0, 1, 0, 1],
        params["W_dec"][0, 1, 1, 1, 2],
    ) = 3.0, 4.0, 2.0
    np.testing.assert_allclose(lengths(params)[0], [[5, 0], [0, 2]])
    np.testing.assert_allclose(lengths(params, concatenated=False)[0], [[7, 0], [0, 2]])


def test_replaced_layers_read_what_replaced_layers_wrote():
    params, streams, _ = drawn(3)
    params = bounded(params, "later")
    start = streams[:, 0]
    end, wrote = replaced(params, start)
    stream, features = start, []
    for layer in range(LAYERS):
        features.append(
            torch.relu(stream @ params["W_enc"][:, layer] + params["b_enc"][:, layer, None])
        )
        write = (
            sum(f @ params["W_dec"][:, before, layer] for before, f in enumerate(features))
            + params["b_dec"][:, layer, None]
        )
        np.testing.assert_allclose(wrote[:, layer], write)
        stream = stream + write
    np.testing.assert_allclose(end, stream)


def test_an_edit_is_read_by_its_layer_and_carried_on():
    params, streams, _ = drawn(4)
    params = bounded(params, "own")
    other = streams[:, 1]
    end, wrote = replaced(
        params, streams[:, 0], lambda layer, stream: other if layer == 1 else stream
    )
    _, clean = replaced(params, streams[:, 0])
    np.testing.assert_allclose(wrote[:, 0], clean[:, 0])
    np.testing.assert_allclose(end, other + wrote[:, 1] + wrote[:, 2])


def test_a_negative_saturation_is_refused():
    with pytest.raises(SpecError, match="saturation is a number from 0 on, got -1"):
        CrossLayer(saturation=-1.0)
