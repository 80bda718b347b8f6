"""Direct attribution and score terms add up to what they divide; paths and tables are the products
of matrices that they stand for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from drawn_decoders import KINDS, drawn, posed

from assay.core.errors import ModelError
from assay.subjects.decoder import forward
from assay_catalogue.circuits.find.attribution import by_cutting
from assay_catalogue.circuits.find.tables import copying, ov_table, qk_table, written_table
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


@ALL
def test_tables_are_products_of_weights_with_gains_folded_in(kind):
    norm, positions = kind[:2]
    p = {name: x[1].numpy() for name, x in drawn(*kind).items()}

    def folded(x, gain):
        x = x - x.mean(-1, keepdims=True) if norm == "layer" else x
        return x if norm == "none" else x * p[gain][0 if gain == "gain_1" else ...]

    qkv = p["W_QKV"][:, :, :, 1]
    moved = folded(p["W_E"], "gain_1") @ qkv[0, :, 2] @ p["W_O"][0, 1]
    table = ov_table(drawn(*kind), Part("head", 0, 1))[1]
    np.testing.assert_allclose(table, folded(moved, "gain") @ p["W_U"], atol=1e-12)
    np.testing.assert_allclose(
        written_table(drawn(*kind), "embed", [Part("head", 0, 1)])[1], moved, atol=1e-12
    )
    if positions == "learned" and norm == "none":
        asks, has = p["W_pos"] @ qkv[1, :, 0], moved @ qkv[1, :, 1]
        found = qk_table(
            drawn(*kind), Part("head", 1, 1), ("pos", ()), ("embed", (Part("head", 0, 1),))
        )[1]
        np.testing.assert_allclose(found, asks @ has.T / 2, atol=1e-12)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_table_of_tokens_is_what_heads_score_at_that_distance(positions):
    q = posed(drawn("none", positions, False, 0))
    terms = score_terms(q, 0, 1).values[:, :, 0, 0]  # embedding's query, embedding's key
    for distance in range(3):
        table = qk_table(q.params, Part("head", 0, 1), distance=distance)
        for run, b, at in itertools.product(range(2), range(3), range(distance, 5)):
            one = table[run, q.tokens[b, at], q.tokens[b, at - distance]]
            assert float(terms[run, b, at, at - distance]) == pytest.approx(
                float(one), abs=1e-6
            )  # angles are float32


def test_copying_is_the_share_of_rows_that_are_largest_at_themselves():
    table = torch.tensor([[[3.0, 1, 0], [0, 2, 1], [5, 0, 4], [0, 0, 0]]])
    assert copying(table).tolist() == [pytest.approx(2 / 3)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda p: ov_table(p, Part("head", 1, 0), Part("head", 0, 0)), "later and later blocks"),
        (lambda p: ov_table(p, Part("head", 4, 0)), "no part a4.0"),
        (
            lambda p: qk_table(p, Part("head", 0, 0), key=("embed", (Part("head", 0, 1),))),
            "a0.0 is not a head that reads what a0.1 wrote",
        ),
    ],
    ids=range(3),
)
def test_tables_that_are_not_there_are_refused_in_one_line(asked, said):
    with pytest.raises(ModelError, match=said) as told:
        asked(drawn())
    assert "\n" not in str(told.value)
