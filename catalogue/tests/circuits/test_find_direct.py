"""Direct attribution and score terms add up to what they divide."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from drawn_decoders import KINDS, drawn, posed

from assay.subjects.decoder import forward
from assay_catalogue.circuits.find.attribution import by_cutting
from assay_catalogue.circuits.find.terms import direct, score_terms
from assay_catalogue.subjects.parts import Part, Reader

ALL = pytest.mark.parametrize("kind", KINDS, ids=str)


@ALL
def test_direct_attribution_adds_up_to_the_logit_difference(kind):
    q = posed(drawn(*kind))
    found = direct(q)
    logits = forward(q.params, q.tokens, "gelu")[0]
    for i in range(3):
        asked = (logits[:, i, 3:, i] - logits[:, i, 3:, (i + 1) % 3]).mean(1)
        torch.testing.assert_close(found.total[:, i], asked, atol=1e-12, rtol=0)
    assert tuple(found.of) == q.parts


def test_without_a_norm_what_a_part_adds_directly_is_lost_with_its_edge_to_the_logits():
    q = posed(drawn("none", "learned", False, 6))
    nothing = type(q)(
        q.params, q.tokens, q.weights, {p: torch.zeros_like(x) for p, x in q.donor.items()}, "gelu"
    )
    lost, found = by_cutting(nothing), direct(q)
    for i, (part, reader) in enumerate(q.edges):
        if reader == Reader("logits"):
            torch.testing.assert_close(lost.values[..., i], found.of[part])


@ALL
def test_terms_of_scores_add_up_to_the_scores_behind_the_pattern(kind):
    q = posed(drawn(*kind))
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)
    for layer, head in itertools.product(range(2), range(2)):
        terms = score_terms(q, layer, head)
        pattern = terms.scores.masked_fill(later, -torch.inf).softmax(-1)
        torch.testing.assert_close(pattern, q.clean.patterns[layer][:, :, head])
        assert (
            len(terms.sources) == terms.values.shape[2] == sum(p.layer < layer for p in q.parts) + 1
            and terms.sources[-1] is None
        )
        torch.testing.assert_close(terms.share.sum((1, 2)), torch.ones(2, dtype=torch.float64))


def test_one_term_is_that_product_by_hand():
    q = posed(drawn("none", "learned", False, 0))
    terms = score_terms(q, 1, 0)
    i, j = terms.sources.index(Part("embed")), terms.sources.index(Part("head", 0, 1))
    p = {name: x.numpy() for name, x in q.params.items()}
    for run, b in itertools.product(range(2), range(3)):
        asks = p["W_E"][run][q.tokens[b].numpy()] @ p["W_QKV"][run, 1, :, 0, 0]
        has = q.clean.wrote[Part("head", 0, 1)][run, b].numpy() @ p["W_QKV"][run, 1, :, 1, 0]
        np.testing.assert_allclose(terms.values[run, b, i, j], asks @ has.T / 2, atol=1e-12)


def test_shares_of_scores_are_covariances_by_hand():
    terms = score_terms(posed(drawn()), 1, 1)
    values, scores = terms.values.numpy(), terms.scores.numpy()
    for run, i, j in itertools.product(range(2), (0, 2), (1, 4)):
        top = bottom = 0.0
        for b, at in itertools.product(range(3), range(5)):
            one, whole = values[run, b, i, j, at, : at + 1], scores[run, b, at, : at + 1]
            top += ((one - one.mean()) * (whole - whole.mean())).sum()
            bottom += ((whole - whole.mean()) ** 2).sum()
        assert float(terms.share[run, i, j]) == pytest.approx(top / bottom)
