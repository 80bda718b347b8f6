"""Models of symbols with a model axis: against loops, alone against in a group, and what they
write."""

import itertools

import numpy as np
import pytest
import torch

from assay_catalogue.worlds.memory import models
from assay_catalogue.worlds.memory.corpus import SYMBOLS, bigrams, plant

CORPUS = plant(3, 512)
KEPT = np.random.default_rng(0).random((3, len(CORPUS.tokens))) < 0.5


def counts():
    return models.pair_counts(KEPT, bigrams(CORPUS.tokens))


def test_counts_are_those_of_the_documents_that_a_model_has():
    naive = np.zeros((SYMBOLS, SYMBOLS))
    for doc in CORPUS.tokens[KEPT[1]]:
        for a, b in itertools.pairwise(doc):
            naive[a, b] += 1
    np.testing.assert_array_equal(counts()[1], naive)


def test_the_counting_model_smooths_and_sums_to_one():
    logp = models.counted(counts(), 0.1)
    torch.testing.assert_close(logp.exp().sum(-1), torch.ones(3, SYMBOLS))
    n = counts()[2]
    assert float(logp[2, 5, 9]) == pytest.approx(
        float(((n[5, 9] + 0.1) / (n[5].sum() + 0.1 * SYMBOLS)).log()), abs=1e-5
    )


def test_without_its_penalty_the_table_is_least_at_the_shares():
    n = counts() + 1
    best = {"table": (n / n.sum(-1, keepdim=True)).log().requires_grad_()}
    loss = models.table_loss(best, n, 1e-12)
    [grad] = torch.autograd.grad(loss.sum(), [best["table"]])
    assert float(grad.abs().max()) < 1e-7
    naive = -(n[0] * (n[0] / n[0].sum(-1, keepdim=True)).log()).sum() / n[0].sum()
    assert float(loss[0].detach()) == pytest.approx(float(naive), rel=1e-5)


def test_scores_are_those_of_a_loop():
    table = {"table": models.counted(counts(), 0.1)}
    loss, right = models.scores(models.predict_by_table, table, CORPUS.tokens[:5], rows=2)
    for i, doc in enumerate(CORPUS.tokens[:5]):
        own = [-float(table["table"][1, a, b]) for a, b in itertools.pairwise(doc)]
        hits = [int(table["table"][1, a].argmax()) == b for a, b in itertools.pairwise(doc)]
        assert (loss[1, i], right[1, i]) == (
            pytest.approx(np.mean(own), rel=1e-5),
            pytest.approx(np.mean(hits)),
        )


def test_the_network_reads_the_four_symbols_before():
    seeds = np.array([4, 5])
    params = models.network(seeds, 6, 10)
    doc = torch.from_numpy(CORPUS.tokens[:2])
    logp = models.predict_by_network(params, doc)
    for place in (0, 2, 20):
        before = [models.START] * max(0, 3 - place) + doc[1, max(0, place - 3) : place + 1].tolist()
        x = torch.cat([params["W_E"][1, v] for v in before])
        hidden = torch.relu(x @ params["W_in"][1] + params["b_in"][1])
        torch.testing.assert_close(
            logp[1, 1, place], (hidden @ params["W_out"][1] + params["b_out"][1]).log_softmax(-1)
        )
    alone = models.network(seeds[1:], 6, 10)
    assert all(torch.equal(alone[name][0], p[1]) for name, p in params.items())


def test_a_networks_loss_is_what_it_predicts_of_a_document():
    params = models.network(np.array([1, 2]), 4, 8)
    doc = torch.from_numpy(CORPUS.tokens[:1])
    own = models.contexts(doc)[0].expand(2, -1, -1)
    loss = models.network_loss(params, (own, doc[:, 1:].expand(2, -1)))
    np.testing.assert_allclose(
        loss,
        models.scores(models.predict_by_network, params, CORPUS.tokens[:1])[0][:, 0],
        rtol=1e-5,
    )


@pytest.mark.parametrize("draw", [models.drawn_tokens, models.drawn_documents])
def test_a_batch_is_of_documents_that_a_model_has_and_the_same_alone(draw):
    seeds = np.array([7, 8, 9])
    together, alone = (
        draw(seeds, KEPT, CORPUS.tokens, 20),
        draw(seeds[2:], KEPT[2:], CORPUS.tokens, 20),
    )
    for whole, one in zip(parts(together(3)), parts(alone(3)), strict=True):
        torch.testing.assert_close(whole[2:], one)
    assert not torch.equal(parts(together(3))[0], parts(together(4))[0])
    texts = {tuple(doc) for doc in CORPUS.tokens[KEPT[2]].tolist()}
    if draw is models.drawn_documents:
        assert {tuple(doc) for doc in together(3)[2].tolist()} <= texts
    else:
        five = {(*([models.START] * 3), *doc)[i : i + 5] for doc in texts for i in range(31)}
        context, following = together(3)
        assert {
            (*c, f) for c, f in zip(context[2].tolist(), following[2].tolist(), strict=True)
        } <= five


def parts(batch):
    return batch if isinstance(batch, tuple) else (batch,)


def test_listed_documents_are_those_kept():
    there, n = models.listed(KEPT)
    for row, count, own in zip(there, n, KEPT, strict=True):
        np.testing.assert_array_equal(row[:count], np.flatnonzero(own))


def test_what_is_extracted_is_what_a_model_writes_by_itself():
    cycle = torch.full((1, SYMBOLS, SYMBOLS), -20.0)
    cycle[0, torch.arange(SYMBOLS), (torch.arange(SYMBOLS) + 1) % SYMBOLS] = 0.0
    going_up = np.arange(32)[None]
    broken = going_up.copy()
    broken[0, 10] = 40  # one token that the model does not write; it goes on with its own
    found = models.extracted(
        models.predict_by_table,
        {"table": cycle},
        np.concatenate([going_up, broken]),
        prompt=8,
        length=8,
    )
    np.testing.assert_allclose(found, [[1.0, 7 / 8]])
