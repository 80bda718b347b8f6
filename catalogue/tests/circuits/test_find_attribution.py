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
    Scores,
    by_chance,
    by_cutting,
    by_gradient,
    by_integrated_activations,
    by_integrated_gradients,
    by_pairs,
    interaction,
    missed,
    pairs_of_parts,
    pruned,
)
from assay_catalogue.circuits.find.cutting import effects, without_edges
from assay_catalogue.circuits.find.faithfulness import (
    PROPORTIONS,
    Curve,
    circuits,
    curve,
    every_size,
    resampled,
)
from assay_catalogue.circuits.find.known import auroc, match
from assay_catalogue.circuits.find.question import Question
from assay_catalogue.subjects.parts import Part, run_by_parts

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
    some = by_integrated_gradients(q, 128)
    torch.testing.assert_close(
        missed(q, some), 1 - some.values[..., own].sum(-1).mean(1) / q.span()
    )
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
    torch.testing.assert_close(by_chance(q, [4, 7]).values[1:], by_chance(second, [7]).values)


def test_pairs_are_loops_over_two_edges():
    q = posed(drawn("layer", "learned", False, 0, 1, 1))
    n = len(q.edges)
    alone, worth = by_cutting(q).values.mean(1)[0], np.full(n, -np.inf)
    best = np.zeros(n)
    for e, f in itertools.product(range(n), range(n)):
        cut = torch.zeros(1, n, dtype=torch.bool)
        cut[0, [e, f]] = True
        more = float(q.full.mean() - without_edges(q, cut).mean()) - (
            float(alone[f]) if e != f else 0.0
        )
        if (size := abs(more) if e == f else more) > worth[e]:
            worth[e], best[e] = size, more
    np.testing.assert_allclose(by_pairs(q).mean()[0], best, atol=1e-12)


def test_pairs_of_parts_and_what_they_lose_beyond_each():
    q = posed(drawn())
    pairs, one = pairs_of_parts(q), effects(q)
    torch.testing.assert_close(pairs.diagonal(dim1=2, dim2=3), one)
    for i, j in ((0, 3), (2, 5), (4, 1)):
        both = {q.parts[k]: lambda _, new=q.donor[q.parts[k]]: new for k in (i, j)}
        lost = q.full - q.measured(run_by_parts(q.params, q.tokens, "gelu", written=both).logits)
        torch.testing.assert_close(pairs[..., i, j], lost)
        torch.testing.assert_close(interaction(pairs)[..., i, j], lost - one[..., i] - one[..., j])


def test_pruning_keeps_what_a_loop_keeps():
    q = posed(drawn(runs=1))
    kept, now = set(range(len(q.edges))), float(q.full.mean())
    for i in reversed(range(len(q.edges))):
        cut = torch.tensor([[e not in kept - {i} for e in range(len(q.edges))]])
        if abs((then := float(without_edges(q, cut).mean())) - now) < 0.05 * abs(
            float(q.span()[0])
        ):
            kept, now = kept - {i}, then
    assert set(np.flatnonzero(pruned(q, 0.05)).tolist()) == kept and 0 < len(kept) < len(q.edges)


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
    scores, shares = by_cutting(q), every_size(q)
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


def test_resampling_gives_the_curves_own_area_and_an_interval_about_it():
    params = drawn()
    find, judge = posed(params, n=12), posed(params, n=9)
    scores = by_gradient(find)
    for measure, absolute in (("CPR", False), ("CMD", True)):
        found = resampled(judge, scores, measure, draws=60)
        whole = curve(judge, scores, absolute=absolute)
        np.testing.assert_allclose(found.estimate, whole.cmd if absolute else whole.cpr, atol=1e-12)
        assert (
            (found.low < found.high).all()
            and found.kept.shape == (2, len(find.edges))
            and 0 <= found.kept.min() <= found.kept.max() <= 1
        )
    same = Scores(scores.edges, scores.values[:, :1].expand(-1, 5, -1))
    assert set(np.unique(resampled(judge, same, "CMD", draws=20).kept)) == {
        0.0,
        1.0,
    }  # a ranking that no resampling moves
    with pytest.raises(DataError, match="at least two inputs"):
        resampled(judge, Scores(scores.edges, scores.values[:, :1]), "CPR")


def test_intervals_contain_the_area_of_very_many_inputs():
    """A block of attention, edges ranked on 24 inputs and judged on 24: the truth is the ranking
    and the curve of 4,000."""
    params = drawn("none", "learned", False, 0, 1, 1)

    def asked(draw, n) -> Question:
        from assay_catalogue.circuits.find.question import logit_difference, other

        tokens, others = (torch.from_numpy(draw.integers(7, size=(n, 5))) for _ in range(2))
        right = torch.zeros(n, 5, dtype=torch.long)
        return Question(
            params,
            tokens,
            logit_difference(right, right + 1, 3, torch.ones(n, 5, dtype=torch.bool)),
            shifted(other(params, others)),
        )

    def shifted(donor):
        return donor | {
            Part("head", 0, h): x + 0.3
            for h, x in enumerate((donor[Part("head", 0, 0)], donor[Part("head", 0, 1)]))
        }

    many = asked(np.random.default_rng(0), 4000)
    truth = float(
        curve(many, by_gradient(many), absolute=True, shares=(0.0, 0.25, 0.5, 0.75, 1.0)).cmd
    )
    inside = 0
    for seed in range(1, 41):
        draw = np.random.default_rng(seed)
        one = resampled(
            asked(draw, 24),
            by_gradient(asked(draw, 24)),
            "CMD",
            shares=(0.0, 0.25, 0.5, 0.75, 1.0),
            draws=100,
        )
        inside += bool(one.low[0] <= truth <= one.high[0])
    assert inside >= 32


def test_matches_and_ranks_are_counts():
    true = np.array([1, 1, 0, 0, 1], bool)
    assert match(np.array([1, 0, 1, 0, 1], bool), true) == match(
        np.array([1, 1, 0, 1, 0], bool), true
    )
    assert match(np.array([1, 0, 1, 0, 1], bool), true).precision == pytest.approx(2 / 3)
    assert (
        np.isnan(match(np.zeros(5, bool), true).precision)
        and match(np.zeros(5, bool), true).recall == 0
    )
    score = np.array([0.3, 0.1, 0.1, 0.0, 0.1])
    pairs = [(score[i] > score[j]) + (score[i] == score[j]) / 2 for i in (0, 1, 4) for j in (2, 3)]
    assert auroc(score, true) == pytest.approx(np.mean(pairs))
    for wrong in (np.zeros(5, bool), np.ones(5, bool)):
        with pytest.raises(DataError, match="one of the two is missing"):
            auroc(score, wrong)
    with pytest.raises(DataError, match="nothing to find"):
        match(true, np.zeros(5, bool))
