"""What the measures of metric-audit say of dictionaries whose quality is known without training: an
oracle, a holed one, a random one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.runs import Runs
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.recovery import mcc_chance_exact
from assay.dictionaries.nonlinearity import ReLU
from assay.experiments.metric_audit import model, planted
from assay.experiments.metric_audit.panel import MetricAudit, copies, opened
from assay.features.explaining.evidence import input_explanation
from assay.features.explaining.learner import Split
from assay.features.explaining.rule import Positions
from assay.features.probing import Rows, auroc, chosen_features, one_feature, sparse_probe

S = MetricAudit(
    share=0.4,
    d=64,
    parents=8,
    children=2,
    width=24,
    k=2,
    rows=1500,
    concepts=4,
    lots=24,
    steps=4,
    batch=16,
)
HELD = planted.held_out(S, seed=3)


def made(W_enc, W_dec, b=-0.01):
    return Dictionary(
        W_enc[None], torch.full((1, W_enc.shape[1]), b), W_dec[None], torch.zeros(1, S.d), ReLU()
    )


def scored(one, start=None):
    return planted.scored(
        S, one, HELD, narrow=one, other=one, start=one.W_dec[0] if start is None else start
    )


@pytest.fixture(scope="module")
def oracle():
    """Fewer features than dimensions: the pseudo-inverse reads every code exactly."""
    return made(torch.linalg.pinv(HELD.directions), HELD.directions)


def test_an_oracle_gets_the_best_number_of_every_measure(oracle):
    found, truth = scored(oracle)
    assert truth == pytest.approx(1, abs=1e-3)
    for name in ("recovered", "explained", "agreement", "mmcs"):
        assert found[name] == pytest.approx(1, abs=0.01), name
    assert found["fvu"] < 1e-3 and found["moved"] == pytest.approx(0, abs=1e-5)
    assert found["absorption"] == 0 and found["split"] == 0 and found["dead"] == 0
    assert found["l0"] == pytest.approx((HELD.on[1]).sum(1).mean(), abs=1e-3)


def test_a_parent_that_its_children_absorb_is_seen_as_absorbed_and_costs_the_truth_and_no_reconstruction(  # noqa: E501
    oracle,
):
    W_enc, W_dec = oracle.W_enc[0].clone(), HELD.directions.clone()
    parent_of = S.world().parent_of()
    for child in range(S.parents, 24):
        W_enc[:, parent_of[child]] -= 20 * oracle.W_enc[0][:, child]
        W_dec[child] += W_dec[parent_of[child]]
    found, truth = scored(made(W_enc, W_dec))
    _, right = scored(oracle)
    assert found["absorption"] == pytest.approx(1, abs=0.02) and truth < right - 0.05
    assert (
        found["fvu"] < 0.2
    )  # amounts of parents and children differ; the directions that are needed are there


def test_random_directions_get_what_chance_gives():
    rows = torch.nn.functional.normalize(
        torch.randn(24, S.d, generator=torch.Generator().manual_seed(0)), dim=1
    )
    found, truth = scored(made(rows.mT, rows))
    assert found["mmcs"] == pytest.approx(mcc_chance_exact(24, S.d), abs=0.05)
    assert truth < 0.5 and found["recovered"] < 0.9


def test_a_probe_on_one_feature_orders_inputs_as_the_feature_does(oracle):
    x, label = HELD.x, HELD.concept[0][:, 3]
    rows = [
        Rows(part, np.zeros((len(part), 1), int), answer, np.arange(len(part)) // 50)
        for part, answer in zip(x, (label, HELD.concept[1][:, 3]), strict=True)
    ]
    probe = sparse_probe(oracle, *rows, ks=(1,))[1]
    assert probe.features == tuple(chosen_features(oracle, rows[0], 1).tolist())
    assert auroc(probe.score, probe.label) == pytest.approx(
        auroc(one_feature(oracle, rows[0], x[1]), rows[1].label)
    )
    no = [
        Rows(part.x, part.context, ~part.label, part.document) for part in rows
    ]  # asked the other way round
    turned = auroc(one_feature(oracle, no[0], x[1]), no[1].label)
    assert (
        turned == pytest.approx(auroc(one_feature(oracle, rows[0], x[1]), rows[1].label))
        and turned > 0.5
    )


def test_a_dictionary_that_splits_every_feature_of_a_narrow_one_is_seen_to(oracle):
    narrow = made(oracle.W_enc[0][:, :8], HELD.directions[:8])
    twins = made(oracle.W_enc[0][:, :8].repeat(1, 2), HELD.directions[:8].repeat(2, 1))
    found, _ = planted.scored(S, twins, HELD, narrow=narrow, other=twins, start=twins.W_dec[0])
    assert found["split"] == 1 and found["agreement"] == pytest.approx(1)


@pytest.mark.thorough
def test_copies_share_the_world_alone_and_a_panel_gives_every_kind_back():
    runs = Runs([S.replace(seed=i) for i in (1, 2)])
    assert copies(runs).seeds.tolist() == [1, 1_000_001, 2, 1_000_002]
    trained = planted.train(runs, Unkept())
    assert all(x.shape[:2] == (2, 2) for x in trained.tensors.values())
    found = opened(trained, 1)
    assert tuple(found) == planted.FINISHED and [len(ones) for ones in found.values()] == [2] * len(
        planted.FINISHED
    )
    assert not torch.equal(found["topk"][0].W_dec, found["topk"][1].W_dec)
    start = trained.tensors["frozen-decoder.start"][1, 0, 0]
    assert torch.equal(found["frozen-decoder"][0].W_dec[0], start)
    soft = torch.nn.functional.cosine_similarity(
        found["soft-frozen"][0].W_dec[0], trained.tensors["soft-frozen.start"][1, 0, 0], dim=1
    )
    assert soft.min() >= 0.8 - 1e-4
    stages = planted.restore_snapshots(trained, 1)
    assert torch.equal(stages["start"][0].W_dec[0], trained.tensors["topk.start"][1, 0, 0])
    measured = planted.measure(runs, trained, Unkept())
    assert measured.scores.shape == (2, len(planted.KINDS), 2, len(planted.SCORES))
    assert np.isfinite(measured.truth).all()


def test_featureless_inputs_have_the_mean_and_covariance_of_the_world():
    runs = Runs([S.replace(seed=4, batch=40_000)])
    x, blank = planted.inputs(runs)(0)[0], planted.featureless(runs)(0)[0]
    torch.testing.assert_close(blank.mean(0), x.mean(0), atol=0.02, rtol=0)
    torch.testing.assert_close(blank.T.cov(), x.T.cov(), atol=0.02, rtol=0)
    directions = S.world().directions([4])[0]
    assert (
        ((blank @ torch.linalg.pinv(directions)) < -0.05).float().mean()
        > 0.2
        > ((x @ torch.linalg.pinv(directions)) < -0.05).float().mean()
    )


def test_the_kinds_of_both_panels_are_told_apart_by_name():
    assert set(planted.methods(S, 2)) == set(planted.FINISHED) - {"featureless"}
    assert set(model.methods(S, 1)) == set(model.KINDS) - {model.DRAWN}


def test_tokens_renumbered_without_gaps_are_explained_and_scored_alike():
    draw = np.random.default_rng(5)
    texts = [np.minimum(draw.zipf(1.4, (12, 64)) * 7, 49_000) for _ in range(2)]
    renumbered = model.renumbered(*texts)
    assert max(t.max() for t in renumbered) + 1 == len(np.unique(np.concatenate(texts)))
    value = np.where(
        (texts[0] == 7) | (np.roll(texts[0], 1, 1) == 14) | (draw.random((12, 64)) < 0.05), 1.0, 0.0
    ).ravel()
    said = []
    for first, second in (texts, renumbered):
        places = [Positions(tokens, np.ones_like(tokens, bool)) for tokens in (first, second)]
        rule = Split(places[0], places[0].row // 64 % 3 == 0).learn(value > 0)
        assert rule is not None
        said.append([input_explanation(rule, places[0], value).scores(place) for place in places])
    for plain, dense in zip(*said, strict=True):
        np.testing.assert_array_equal(plain, dense)
        assert len(np.unique(plain)) > 1
