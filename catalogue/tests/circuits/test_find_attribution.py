"""Scores of edges against slopes taken by differences, against sums that they must have, and
against loops; circuits of growing size."""

from __future__ import annotations

import pytest
import torch
from drawn_decoders import KINDS, drawn, posed

from assay_catalogue.circuits.find.attribution import (
    by_cutting,
    by_gradient,
    by_integrated_activations,
    by_integrated_gradients,
    pairs_of_parts,
)
from assay_catalogue.circuits.find.cutting import effects
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
