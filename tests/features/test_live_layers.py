"""A prompt's features over layers: each taken out of a naive float64 pass by itself."""

from __future__ import annotations

import live_texts as lt
import numpy as np
import pytest

from assay.features.live.layers import LEAST, trace_layers

SITES = ("blocks.1.hook_resid_pre", "blocks.2.hook_resid_pre")


@pytest.fixture(scope="module")
def ids(model):
    return lt.reader(model).encode(lt.TEXT)


@pytest.fixture(scope="module")
def graph(model, ids):
    return trace_layers([lt.reader(model, site) for site in SITES], ids[:-1], ids[-1], count=4)


def codes(naive, x):
    """[feature]: activations at one position of the second layer's stream x, [d]."""
    one = lt.dictionary()
    W, b, mean = (t[0].double().numpy() for t in (one.W_enc, one.b_enc, one.mean))
    return np.maximum((x - mean) * np.float32(0.7) @ W + b, 0)


def test_effects_and_links_are_those_of_a_naive_pass(folder, ids, graph):
    naives = [lt.Naive(folder, ids, site) for site in SITES]
    last, shares = len(ids) - 2, {}
    for i, node in enumerate(graph.nodes):
        naive = naives[node.layer]
        assert node.activation == pytest.approx(naive.a[node.position, node.feature], rel=1e-4)
        logits, acts = naive.run(-naive.part(node.position, node.feature))
        p, q = lt.probabilities(naive.logits[0, last]), lt.probabilities(logits[last])
        assert node.effect == pytest.approx(np.log(p[ids[-1]] / q[ids[-1]]), abs=5e-5)
        assert node.beyond == (abs(node.effect) > graph.chance[node.layer])
        if node.layer == 0:
            for j, later in enumerate(graph.nodes):
                if later.layer == 1:
                    left = codes(naive, acts[SITES[1]][0, later.position])[later.feature]
                    shares[i, j] = 1 - left / later.activation
    assert graph.loss == pytest.approx(naives[0].loss[last], abs=5e-5)
    assert graph.links, "of layers that follow each other some firings pass something on"
    for link in graph.links:
        assert abs(link.share) > LEAST
        assert link.share == pytest.approx(shares[link.source, link.target], abs=1e-3)


def test_a_layer_holds_what_matters_most_and_nothing_reaches_back(graph):
    assert [n.layer for n in graph.nodes] == sorted(n.layer for n in graph.nodes)
    assert max(sum(n.layer == i for n in graph.nodes) for i in range(2)) <= 4
    for link in graph.links:
        source, target = graph.nodes[link.source], graph.nodes[link.target]
        assert source.layer < target.layer and source.position <= target.position
