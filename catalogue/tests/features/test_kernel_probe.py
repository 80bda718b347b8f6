"""Batched regressions against scikit-learn's, AUROC against counting pairs, and questions whose
answer is known."""

import numpy as np
import pytest
import torch

from assay_catalogue.features import kernel_probe as probe
from assay_catalogue.features.kernel_probe import Questions, auc, best

Q, ROWS, D = 6, 120, 40


def rows(a, b, q=Q):
    return torch.arange(a, b).expand(q, -1)


def world(noise=0.5, q=Q, d=D, flipped=0.0, seed=0):
    own = torch.Generator().manual_seed(seed)
    x = torch.randn(q, ROWS, d, generator=own)
    label = x[:, :, 3] + noise * torch.randn(q, ROWS, generator=own) > 0
    told = label ^ (torch.rand(q, ROWS, generator=own) < flipped)
    return x, Questions(
        label, told, rows(0, 40, q), rows(40, 60, q), (rows(60, 90, q), rows(90, 120, q))
    )


def test_auroc_counts_pairs_and_ties_half():
    assert auc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]).bool()) == 0.75
    assert auc(torch.ones(4), torch.tensor([0, 0, 1, 1]).bool()) == 0.5
    own = np.random.default_rng(0)
    score, label = own.integers(0, 9, (5, 30)) / 4, own.random((5, 30)) < 0.4
    naive = [
        np.mean([(a > b) + (a == b) / 2 for a in s[y] for b in s[~y]])
        for s, y in zip(score, label, strict=True)
    ]
    np.testing.assert_allclose(
        auc(torch.from_numpy(score), torch.from_numpy(label)), naive, atol=1e-12
    )


@pytest.mark.parametrize("strength", [1e-3, 0.1, 10.0])
def test_a_regression_is_that_of_scikit_learn(strength):
    from sklearn.linear_model import LogisticRegression

    x, q = world()
    z = probe.prepared(x, q)
    score = probe.all_regression_scores([probe.products(z, q)], q, (strength,))[0][0]
    for i in range(Q):
        theirs = LogisticRegression(C=strength, tol=1e-9, max_iter=5000).fit(
            z[i, :40].double().numpy(), q.label[i, :40].numpy()
        )
        wanted = theirs.decision_function(z[i].double().numpy())
        np.testing.assert_allclose(
            score[i] - score[i].mean(), wanted - wanted.mean(), atol=0.005 * np.ptp(wanted)
        )
        assert float(score[i].mean()) == pytest.approx(
            wanted.mean(), abs=0.03 * np.ptp(wanted)
        )  # theirs does not penalise the intercept at all


def test_regressions_solved_together_are_those_solved_alone(monkeypatch):
    x, q = world()
    ks = [probe.products(probe.prepared(part, q), q) for part in (x, x[..., :5], x[..., 7:9])]
    together = probe.all_regression_scores(ks, q)
    for scores, k in zip(together, ks, strict=True):
        # 1e-5 is what is promised of a run alone and in a group; products of other sizes round
        # differently on some processors.
        (single,) = probe.all_regression_scores([k], q)
        torch.testing.assert_close(scores, single, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(probe, "_CACHED", 1)  # one question after the other
    for scores, apart in zip(together, probe.all_regression_scores(ks, q), strict=True):
        torch.testing.assert_close(
            scores, apart, rtol=1e-3, atol=1e-3
        )  # both stop at a gain of 1e-9 of the objective
    assert together[0].shape == (len(probe.STRENGTHS), Q, ROWS)


def test_the_feature_that_is_the_answer_is_found_and_enough():
    x, q = world(noise=0.0)
    f = x.clamp_min(0)
    which = probe.top_features(f, q, 4)
    assert (which[:, 0] == 3).all()
    one = probe.prepared(probe.chosen(f, which[:, :1]), q)
    assert best(probe.all_regression_scores([probe.products(one, q)], q)[0], q).tests.min() > 0.999


NULL_ERROR = (31 / (12 * 15 * 15)) ** 0.5
"""The standard error of an AUROC of 15 and 15 whose scores say nothing."""


def test_on_permuted_answers_every_probe_is_at_chance():
    x, q = world(noise=0.0, q=40)
    told = torch.rand(q.label.shape, generator=torch.Generator().manual_seed(2)) < 0.5
    q = Questions(q.label, told, q.train, q.validation, q.tests)
    z = probe.prepared(x, q)
    k = probe.products(z, q)
    for scores in (probe.all_regression_scores([k], q)[0], probe.mean_scores(k, q)):
        reached = best(scores, q).tests
        assert abs(float(reached.mean()) - 0.5) < 3 * NULL_ERROR / (2 * 40) ** 0.5


def test_the_setting_is_chosen_on_validation_and_never_on_test():
    _, q = world(q=1)
    right, wrong = torch.where(q.label, 1.0, -1.0), torch.where(q.label, -1.0, 1.0)
    first, second = wrong.clone(), right.clone()
    first[:, 40:60], second[:, 40:60] = right[:, 40:60], wrong[:, 40:60]
    told = best(torch.stack([second, first]), q)
    assert told.validation.item() == 1 and told.tests.max() == 0, (
        "the one that is right on validation texts only has to be taken"
    )


def test_means_are_what_they_say():
    x, q = world()
    z = probe.prepared(x, q)
    yes, train = q.told[2, :40], z[2, :40]
    wanted = z[2, 77] @ (train[yes].mean(0) - train[~yes].mean(0))
    assert float(probe.mean_scores(probe.products(z, q), q)[0, 2, 77]) == pytest.approx(
        float(wanted), abs=1e-4
    )
