"""Cuts done many at a time are those done one by one; cutting all is the donor's own pass, and
cutting nothing the clean one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from drawn_decoders import KINDS, drawn, posed

from assay.core.errors import DataError, ModelError
from assay.subjects.decoder import forward
from assay_catalogue.circuits.find.cutting import effects, grid, without_edges, without_parts
from assay_catalogue.circuits.find.question import (
    Question,
    logit_difference,
    mean,
    nothing,
    other,
    right_alone,
)
from assay_catalogue.subjects.parts import Part, Reader, run_by_parts

ALL = pytest.mark.parametrize("kind", KINDS, ids=str)


def number(q, logits) -> np.ndarray:
    """Of each run and input, the logit of the right answer less that of the next one, over the last
    two places."""
    right = np.arange(len(q.tokens)) % 3
    logits = logits.numpy()
    return np.array(
        [
            [(one[3:, r] - one[3:, (r + 1) % 3]).mean() for one, r in zip(run, right, strict=True)]
            for run in logits
        ]
    )


@ALL
def test_edges_cut_many_at_a_time_are_those_cut_one_set_at_a_time(kind):
    q = posed(drawn(*kind))
    draw = np.random.default_rng(3)
    cuts = torch.from_numpy(draw.random((2, 7, len(q.edges))) < 0.3)
    found = without_edges(q, cuts, rows=9)
    for run, cut in itertools.product(range(2), range(7)):
        alone = {name: x[run : run + 1] for name, x in q.params.items()}
        read = {
            edge: q.donor[edge[0]][run : run + 1]
            for i, edge in enumerate(q.edges)
            if cuts[run, cut, i]
        }
        np.testing.assert_allclose(
            found[run, cut],
            number(q, run_by_parts(alone, q.tokens, "gelu", read=read).logits)[0],
            atol=1e-10,
        )


@ALL
def test_cutting_all_is_the_donors_pass_and_cutting_nothing_the_clean_one(kind):
    params = drawn(*kind)
    q = posed(params)
    others = torch.from_numpy(np.random.default_rng(1).integers(7, size=(2, 3, 5)))[1]
    every = torch.ones(1, len(q.edges), dtype=torch.bool)
    donors = number(q, forward(params, others, "gelu")[0])
    np.testing.assert_allclose(without_edges(q, every)[:, 0], donors, atol=1e-10)
    np.testing.assert_allclose(q.empty, donors, atol=1e-10)
    np.testing.assert_allclose(q.full, number(q, forward(params, q.tokens, "gelu")[0]), atol=1e-10)
    np.testing.assert_allclose(without_edges(q, ~every)[:, 0], q.full, atol=1e-12)


@ALL
def test_a_grid_is_its_cells_one_by_one(kind):
    q = posed(drawn(*kind))
    cells, back = grid(q, rows=7), grid(q, restored=True)
    inputs = {p: (lambda _, new=q.donor[p]: new) for p in q.parts if p.layer < 0}
    base = number(q, run_by_parts(q.params, q.tokens, "gelu", written=inputs).logits)
    for (i, part), at in itertools.product(enumerate(q.parts), range(5)):

        def put(x, new, at=at):
            x = x.clone()
            x[:, :, at] = new[:, :, at]
            return x

        one = run_by_parts(
            q.params, q.tokens, "gelu", written={part: lambda x, part=part: put(x, q.donor[part])}
        ).logits
        np.testing.assert_allclose(
            cells[:, :, i, at], number(q, q.clean.logits) - number(q, one), atol=1e-10
        )
        given = {
            part: lambda x, part=part: put(
                q.donor[part] if part.layer < 0 else x, q.clean.wrote[part]
            )
        }
        one = run_by_parts(q.params, q.tokens, "gelu", written=inputs | given).logits
        np.testing.assert_allclose(back[:, :, i, at], number(q, one) - base, atol=1e-10)


def test_a_part_replaced_at_all_places_is_all_its_edges_cut():
    q = posed(drawn())
    cuts = torch.stack([torch.tensor([u == part for u, _ in q.edges]) for part in q.parts])
    np.testing.assert_allclose(
        effects(q), (q.full[:, None] - without_edges(q, cuts)).transpose(1, 2), atol=1e-10
    )


def test_all_parts_restored_is_the_clean_pass():
    q = posed(drawn())
    every = torch.ones(1, len(q.parts), 5, dtype=torch.bool)
    np.testing.assert_allclose(without_parts(q, every, restored=True)[:, 0], q.full, atol=1e-12)
    np.testing.assert_allclose(without_parts(q, ~every, restored=True)[:, 0], q.empty, atol=1e-10)


def test_donors_are_other_inputs_means_and_nothing():
    params = drawn()
    tokens = torch.from_numpy(np.random.default_rng(2).integers(7, size=(4, 5)))
    wrote = run_by_parts(params, tokens, "gelu").wrote
    part = Part("head", 1, 0)
    for at in range(5):
        one = sum(wrote[part][:, i, at] for i in range(4)) / 4
        torch.testing.assert_close(mean(params, tokens, "gelu")[part][:, 2, at], one)
    torch.testing.assert_close(
        mean(params, tokens, "gelu", over_places=True)[part][:, 0, 3],
        wrote[part].flatten(1, 2).mean(1),
    )
    plain, none = other(params, tokens, "gelu"), nothing(params, tokens)
    assert set(none) == set(plain) and not any(x.any() for x in none.values())
    places = torch.tensor([[4, 3, 2, 1, 0]]).expand(4, 5)
    swapped = other(params, tokens, "gelu", places)
    torch.testing.assert_close(swapped[Part("pos")], plain[Part("pos")].flip(2))
    turned = {**params, "W_pos": params["W_pos"].flip(1)}
    torch.testing.assert_close(swapped[part], run_by_parts(turned, tokens, "gelu").wrote[part])


def test_weights_are_differences_of_logits():
    logits = torch.randn(
        2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    right = torch.tensor([[0, 1, 2, 3]] * 3)
    at = torch.tensor([[True, True, False, True]] * 3)
    params = drawn()
    for weights, rivals in (
        (logit_difference(right, right + 1, 5, at), None),
        (right_alone(right, 5, at), 4),
    ):
        q = Question(params, torch.zeros(3, 4, dtype=torch.long), weights, {})
        for run, i in itertools.product(range(2), range(3)):
            each = []
            for s in (0, 1, 3):
                one, own = logits[run, i, s], int(right[i, s])
                each.append(
                    one[own]
                    - (
                        one[own + 1]
                        if rivals is None
                        else sum(one[v] for v in range(5) if v != own) / rivals
                    )
                )
            assert float(q.measured(logits)[run, i]) == pytest.approx(float(sum(each)) / 3)


def test_what_cannot_be_asked_is_refused_in_one_line():
    q = posed(drawn())
    with pytest.raises(ModelError, match=r"no edge m1 → a0\.0\.q"):
        q.named([(Part("mlp", 1), Reader("head", 0, 0, "q"))])
    right, at = torch.zeros(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(DataError, match="not one of the 3"):
        logit_difference(right + 3, right, 3, at)
    with pytest.raises(DataError, match="no position"):
        logit_difference(right, right, 3, ~at)
    with pytest.raises(DataError, match="nothing to explain"):
        Question(q.params, q.tokens, q.weights, q.clean.wrote, "gelu").span()
