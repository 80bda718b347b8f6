"""Gradients split by term against autograd, ablations against doing them, and both on latents whose
fate is known."""

import numpy as np
import pytest
import torch

from assay_catalogue.dictionaries.dynamics import cohort, pulls


def dictionary(f=6, d=5, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=dtype)

    D = normal(f, d)
    D = D / D.norm(dim=1, keepdim=True)
    return {
        "W_enc": normal(d, f),
        "b_enc": 0.3 * normal(f),
        "W_dec": D,
        "b_dec": normal(d),
    }, normal(40, d)


def test_both_terms_add_up_to_autograds_gradient():
    p, x = dictionary()
    leaves = {k: v.clone().requires_grad_() for k, v in p.items()}
    # b_dec is held fixed as the encoder's centre, so the gradient is that of the encoder alone
    codes = ((x - p["b_dec"]) @ leaves["W_enc"] + leaves["b_enc"]).relu()
    loss = (codes @ p["W_dec"] + p["b_dec"] - x).square().sum() + 0.7 * codes.sum()
    loss.backward()
    found = pulls.pulls(p, x, torch.arange(6), 0.7)
    whole = found.penalty + found.reconstruction
    assert whole[:, :5].numpy() == pytest.approx(leaves["W_enc"].grad.T.numpy())
    assert whole[:, 5].numpy() == pytest.approx(leaves["b_enc"].grad.numpy())
    assert found.fired.tolist() == (codes > 0).sum(0).tolist()


def test_shares_of_both_terms_sum_to_one():
    p, x = dictionary()
    found = pulls.pulls(p, x, torch.arange(6), 0.7)
    other = pulls.Pulls(found.reconstruction, found.penalty, found.fired)
    assert (found.share + other.share).numpy() == pytest.approx(np.ones(6))
    assert ((found.drift >= 0) & (found.drift <= 1)).all()


def test_without_a_penalty_its_share_is_nothing_and_nothing_balances():
    p, x = dictionary()
    found = pulls.pulls(p, x, torch.arange(6), 0.0)
    assert found.share.abs().max() == 0
    assert found.drift.numpy() == pytest.approx(np.ones(6))


def test_a_limit_counts_the_first_rows_only():
    p, x = dictionary()
    most = torch.tensor([1, 2, 3, 4, 5, 6])
    limited = pulls.pulls(p, x, torch.arange(6), 0.7, most)
    for i in range(6):
        fires = pulls.features(p, x)[:, i] > 0
        first = x[fires][: int(most[i])]
        alone = pulls.pulls(p, first, torch.tensor([i]), 0.7)
        assert limited.reconstruction[i].numpy() == pytest.approx(alone.reconstruction[0].numpy())
        assert limited.fired[i] == len(first)


def test_a_feature_trained_alone_to_its_end_is_balanced():
    """x = a v with a in [0.5, 1.5] and F = 1: at the optimum both terms cancel, for w and b
    alike."""
    torch.manual_seed(0)
    v = torch.tensor([[0.6, 0.8, 0.0]], dtype=torch.float64)
    x = torch.linspace(0.5, 1.5, 101, dtype=torch.float64)[:, None] * v
    w, b = (
        (0.5 * v.T).clone().requires_grad_(),
        torch.zeros(1, dtype=torch.float64, requires_grad=True),
    )
    adam = torch.optim.Adam([w, b], lr=1e-2)
    for _ in range(1500):
        adam.zero_grad()
        codes = (x @ w + b).relu()
        ((codes @ v - x).square().sum() + 0.1 * codes.sum()).backward()
        adam.step()
    p = {
        "W_enc": w.detach(),
        "b_enc": b.detach(),
        "W_dec": v,
        "b_dec": torch.zeros(3, dtype=torch.float64),
    }
    found = pulls.pulls(p, x, torch.tensor([0]), 0.1)
    assert found.drift < 0.02
    assert torch.cosine_similarity(found.penalty, found.reconstruction) < -0.99


def test_ablations_are_those_done_one_by_one():
    p, x = dictionary()
    group = torch.tensor([1, 3, 4])

    def lost(off):
        codes = pulls.features(p, x)
        codes[:, off] = 0
        return float(pulls.error(p, x, codes).square().sum())

    base = lost([])
    found = pulls.ablate(p, x, group)
    assert float(found.joint) == pytest.approx(lost([1, 3, 4]) - base)
    assert float(found.single) == pytest.approx(sum(lost([i]) - base for i in (1, 3, 4)))
    assert float(found.loss.sum()) == pytest.approx(float(found.single))


def test_latents_that_never_fire_together_have_no_synergy():
    p, _ = dictionary(f=2, d=2)
    p |= {"W_enc": torch.eye(2, dtype=torch.float64), "b_enc": torch.zeros(2, dtype=torch.float64)}
    p |= {"b_dec": torch.zeros(2, dtype=torch.float64)}
    apart = torch.tensor([[1.0, -1.0], [-1.0, 2.0]], dtype=torch.float64)
    assert float(pulls.ablate(p, apart, torch.arange(2)).synergy) == 0


def test_two_halves_of_one_latent_conspire():
    """Each half alone is missed by f²/4, both by f²: the synergy is half of what the whole latent
    saves."""
    p, x = dictionary(f=1, d=3, dtype=torch.float32)
    p["W_enc"] = p["W_dec"].mT.clone()
    p["b_enc"] = torch.zeros(1)
    x = p["b_dec"] + torch.linspace(0.1, 1, 20)[:, None] * p["W_dec"]
    halves, both = cohort.with_halves(p, torch.tensor([0]))
    assert pulls.error(halves, x, pulls.features(halves, x)).abs().max() < 1e-6
    whole = float(pulls.ablate(p, x, torch.tensor([0])).joint)
    assert float(pulls.ablate(halves, x, both).synergy) == pytest.approx(whole / 2, rel=1e-4)


def test_events_are_matched_by_strength():
    strength, loss = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([30.0, 10.0, 20.0])
    assert pulls.matched(torch.tensor([0.1, 1.4, 1.6, 9.0]), strength, loss) == 10 + 10 + 20 + 30
    assert torch.isnan(pulls.matched(torch.tensor([1.0]), strength[:0], loss[:0]))


def test_alignment_is_the_mean_cosine_of_pairs():
    rows = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    unit = rows / rows.norm(dim=1, keepdim=True)
    pairs = [float(unit[i] @ unit[j]) for i in range(7) for j in range(7) if i != j]
    assert float(pulls.alignment(rows)) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert float(pulls.alignment(rows[:1].expand(5, 4))) == pytest.approx(1)
    assert torch.isnan(pulls.alignment(rows[:1]))


def test_slopes_are_least_squares_on_both_logs():
    steps = np.array([100, 300, 1000, 2000])
    density = np.stack([0.3 / steps, np.full(4, 1e-3), 2.0 / steps**1.4])
    assert cohort.slopes(density, steps) == pytest.approx([-1, 0, -1.4])
    assert np.isnan(cohort.slopes(density[:, :1], steps[:1])).all()
    assert np.isnan(cohort.median(np.array([np.nan])))
    assert cohort.median(np.array([3.0, np.nan, 1.0, 2.0])) == 2


def test_dead_weight_fires_as_often_as_asked():
    p, _ = dictionary(f=6, d=5, dtype=torch.float32)
    x = torch.randn(4000, 5, generator=torch.Generator().manual_seed(3))
    more, which = cohort.with_dead_weight(p, x, np.random.default_rng(0), 4, 0.01)
    assert (pulls.features(more, x)[:, which] > 0).float().mean(0).numpy() == pytest.approx(
        np.full(4, 0.01), abs=3e-4
    )
    assert pulls.features(more, x)[:, :6].numpy() == pytest.approx(pulls.features(p, x).numpy())
    assert len(cohort.where_any_fires(more, x, which)) <= 160
    assert cohort.where_any_fires(more, x, which[:0]).shape == (0, 5)


def test_what_resists_the_penalty_is_its_pull_taken_back():
    """One latent that reads and writes direction 0, on inputs of 1 there: x̂ = 1 + b, so 2 (x̂ −
    x)·d = 2b against λ."""
    p = {
        "W_enc": torch.eye(3)[:, :1],
        "b_enc": torch.tensor([-0.2]),
        "W_dec": torch.eye(3)[:1],
        "b_dec": torch.zeros(3),
    }
    x = torch.eye(3)[:1].repeat(4, 1)
    assert float(pulls.pulls(p, x, torch.tensor([0]), 0.4).resists) == pytest.approx(
        1
    )  # at its optimum b = −λ/2
    assert float(pulls.pulls(p, x, torch.tensor([0]), 1.6).resists) == pytest.approx(0.25)
    wrong = {
        **p,
        "W_dec": torch.eye(3)[1:2],
    }  # writes where nothing is: reconstruction too asks it to stop
    assert float(pulls.pulls(wrong, x, torch.tensor([0]), 0.4).resists) < 0
    assert torch.isinf(pulls.pulls(p, x, torch.tensor([0]), 0.0).resists).all()


def test_counted_densities_are_shares_of_rows_and_none_is_half_a_firing():
    W = torch.eye(2)[None].repeat(2, 1, 1)
    bias = torch.tensor([[0.0, -0.5], [-2.0, -0.5]])
    snaps = cohort.Counted([10, 20], W, bias, torch.zeros(2, 2))
    x = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [1.0, 0.0]])
    assert snaps.density(x, np.array([0, 1]), [0, 1]).tolist() == [[0.75, 0.125], [0.25, 0.25]]
    assert snaps.density(x, np.array([], dtype=int), [0, 1]).shape == (0, 2)
    assert snaps.density(x, np.array([0]), []).shape == (1, 0)
