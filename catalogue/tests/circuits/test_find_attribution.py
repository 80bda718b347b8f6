"""Scores of edges against slopes taken by differences, against sums that they must have, and
against loops; circuits of growing size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from drawn_decoders import KINDS, drawn, posed

from assay.core.errors import DataError
from assay_catalogue.circuits.find.attribution import (
    by_cutting,
    by_gradient,
    by_integrated_activations,
    by_integrated_gradients,
    pairs_of_parts,
)
from assay_catalogue.circuits.find.cutting import effects, without_edges
from assay_catalogue.circuits.find.faithfulness import (
    PROPORTIONS,
    Curve,
    circuits,
    curve,
)
from assay_catalogue.subjects.parts import run_by_parts

ALL = pytest.mark.parametrize("kind", KINDS, ids=str)


@ALL
def test_gradient_scores_are_slopes_by_differences(kind):
    q = posed(drawn(*kind), n=2)
    found, h = by_gradient(q).values, 1e-5
    for i in range(0, len(q.edges), 3):
        (part, _), ends = q.edges[i], []
        for sign in (1, -1):
            shown = q.clean.wrote[part] + sign * h * (q.clean.wrote[part] - q.donor[part])
            ends.append(
                q.measured(
                    run_by_parts(q.params, q.tokens, "gelu", read={q.edges[i]: shown}).logits
                )
            )
        torch.testing.assert_close(
            found[..., i], (ends[0] - ends[1]) / (2 * h), atol=1e-7, rtol=1e-5
        )


@pytest.mark.thorough
@ALL
def test_integrated_gradients_of_all_who_read_an_input_add_up_to_what_is_lost_with_it(kind):
    """By the fundamental theorem of calculus; on a smooth way the midpoint rule's error falls with
    the square of the steps."""
    q = posed(drawn(*kind))
    own = [i for i, (part, _) in enumerate(q.edges) if part.layer < 0]
    lost = q.full - q.empty  # the donor's inputs make the donor's pass
    off = [
        float((by_integrated_gradients(q, n).values[..., own].sum(-1) - lost).abs().max())
        for n in (128, 256, 512)
    ]
    assert off[2] < 0.002 * float(lost.abs().max())
    if kind[0] == "none":  # a norm makes the way so sharp that the rule is not there yet
        assert off[1] / off[2] == pytest.approx(4, rel=0.1)
    each = by_integrated_activations(q, 1024).values
    for j, part in enumerate(q.parts):
        ours = each[..., [i for i, (u, _) in enumerate(q.edges) if u == part]].sum(-1)
        torch.testing.assert_close(
            ours, effects(q)[..., j], atol=0.002 * float(lost.abs().max()), rtol=0
        )


def test_where_everything_is_linear_all_methods_say_what_cutting_says():
    params = drawn("none", "learned", False, 0)
    params["W_QKV"][:, :, :, 0] = 0  # attention that is the same whatever is read
    params["b_QKV"][:, :, 0] = 0
    q = posed(params)
    truth = by_cutting(q).values
    for method in (by_gradient, by_integrated_gradients, by_integrated_activations):
        torch.testing.assert_close(method(q).values, truth, atol=1e-10, rtol=0)


def test_each_run_has_the_scores_that_it_has_alone():
    params = drawn()
    q = posed(params)
    second = posed({name: x[1:] for name, x in params.items()})
    for method in (by_cutting, by_gradient, by_integrated_gradients, by_integrated_activations):
        torch.testing.assert_close(method(q).values[1:], method(second).values, atol=1e-10, rtol=0)


def test_pairs_of_parts_are_two_parts_replaced():
    q = posed(drawn())
    pairs, one = pairs_of_parts(q), effects(q)
    torch.testing.assert_close(pairs.diagonal(dim1=2, dim2=3), one)
    for i, j in ((0, 3), (2, 5), (4, 1)):
        both = {q.parts[k]: lambda _, new=q.donor[q.parts[k]]: new for k in (i, j)}
        lost = q.full - q.measured(run_by_parts(q.params, q.tokens, "gelu", written=both).logits)
        torch.testing.assert_close(pairs[..., i, j], lost)


def test_circuits_are_the_first_edges_of_the_ranking():
    scores = torch.tensor([0.5, -3.0, 2.0, 0.0, 0.0])
    assert circuits(scores, (0.2, 0.6, 1.0), absolute=False).int().tolist() == [
        [0, 0, 1, 0, 0],
        [1, 0, 1, 1, 0],
        [1, 1, 1, 1, 1],
    ]
    assert circuits(scores, (0.0, 0.2, 0.59), absolute=True).int().tolist() == [
        [0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
    ]
    for wrong in ((), (0.5, 0.2), (0.1, 1.5), (-0.1, 1.0), (0.1, 0.1)):
        with pytest.raises(DataError, match="shares of all edges that rise"):
            circuits(scores, wrong, absolute=True)


def test_areas_are_mibs_by_hand():
    """f = 1 everywhere leaves nothing between it and 1; MIB's sizes begin at a thousandth, so that
    the area under it is .999."""
    whole = torch.ones(1, 10, dtype=torch.float64)
    one = Curve(PROPORTIONS, whole)
    assert float(one.cpr) == pytest.approx(0.999) and float(one.cmd) == 0
    f = torch.tensor([[0.0, 0, 0, 0, 0, 0, 0, 0.5, 2.0, 1.0]], dtype=torch.float64)
    steps = [(0.1, 0.2, 0, 0.5), (0.2, 0.5, 0.5, 2.0), (0.5, 1.0, 2.0, 1.0)]
    assert float(Curve(PROPORTIONS, f).cpr) == pytest.approx(
        sum((b - a) * (y + z) / 2 for a, b, y, z in steps)
    )
    far = [(0.001, 0.1, 1, 1), (0.1, 0.2, 1, 0.5), (0.2, 0.5, 0.5, 1), (0.5, 1.0, 1, 0)]
    assert float(Curve(PROPORTIONS, f).cmd) == pytest.approx(
        sum((b - a) * (y + z) / 2 for a, b, y, z in far)
    )


@ALL
def test_a_curve_goes_from_0_to_1_and_is_its_circuits_one_by_one(kind):
    q = posed(drawn(*kind))
    scores, shares = by_cutting(q), tuple(np.linspace(0, 1, len(q.edges) + 1).tolist())
    found = curve(q, scores, absolute=True, shares=shares).faithfulness
    torch.testing.assert_close(
        found[:, [0, -1]], torch.tensor([[0.0, 1.0]] * 2, dtype=torch.float64)
    )
    for run, size in itertools.product(range(2), (1, 5, 9)):
        best = scores.mean()[run].abs().argsort(descending=True)[:size]
        cut = torch.ones(2, 1, len(q.edges), dtype=torch.bool)
        cut[:, :, best] = False
        m = without_edges(q, cut)[run, 0].mean()
        one = (m - q.empty[run].mean()) / (q.full[run].mean() - q.empty[run].mean())
        assert float(found[run, size]) == pytest.approx(float(one), abs=1e-9)
