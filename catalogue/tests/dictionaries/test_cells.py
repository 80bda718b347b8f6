"""Cells: logit dictionaries against the vocabulary written out, one pass for several targets, and
measures against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import erf

from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.train import Method
from assay_catalogue.analysis import readout as ro
from assay_catalogue.dictionaries import cell_measures as of
from assay_catalogue.dictionaries.cells import Cell, dictionaries, fit_cells
from assay_catalogue.dictionaries.concentration import gini
from seeded import drawn

D, M, V, F = 16, 40, 512, 64


class World:
    """What fit_cells needs of Targets, for activations that are drawn."""

    def __init__(self, centres=True):
        self.W_U = drawn(V, D, seed=1)
        gain = 1 + 0.3 * drawn(D, seed=2)
        self.readout = ro.Readout(
            drawn(M, D, seed=3) / 4, drawn(D, seed=4), gain, centres, 1e-5, ro.gram(self.W_U)
        )

    def rows(self, step, n=128):
        h, mid = drawn(n, M, seed=10 + step).relu(), drawn(n, D, seed=5000 + step)
        o = self.readout.update(h)
        return {
            "act": h,
            "update": o,
            "post": mid + o,
            "logit": self.readout.frozen(o, mid + o) / 10,
        }

    def width(self, name):
        return M if name == "act" else D

    def mean(self, name):
        return np.zeros(self.width(name), np.float32)

    def scale(self, name):
        return 0.1 if name == "logit" else 1.0

    def sites(self, name):
        return (name,)

    def raw(self, step, n=2000):
        rows = self.rows(step, n)
        return {**rows, "logit": rows["logit"] * 10}


class CentredWorld(World):
    """Activations and updates of mean 0, so that one is a linear map of the other."""

    def rows(self, step, n=128):
        h = drawn(n, M, seed=10 + step)
        return {"act": h, "update": h @ self.readout.W_out}


def method(k=2, lr=3e-3):
    return Method(
        TopK(k),
        losses.mse,
        F,
        lr=np.array([lr]),
        penalty=np.zeros(1),
        betas=(0.9, 0.999),
        encoder_scale=1.0,
        warm_up=10,
    )


RUNS = Runs([Spec(seed=7)])
CELLS = {
    "act": Cell("act", "act"),
    "again": Cell("act", "act", replicate=1),
    "act-update": Cell("act", "update"),
    "logit": Cell("logit", "logit"),
    "act-logit": Cell("act", "logit"),
    "post": Cell("post", "post"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, plain_bench):
    world = World()
    return world, fit_cells(
        CELLS,
        RUNS,
        method(),
        world,
        world.rows,
        steps=150,
        bench=plain_bench(tmp_path_factory.mktemp("x")),
        probe_at=(50,),
    )


def test_a_logit_dictionary_is_trained_as_if_by_all_logits(bench):
    """100 steps by torch's Adam on squared errors of 512 logits, written out, from the same start
    on the same batches."""
    world, steps = World(), 100
    read, m = world.readout, method()
    ours = fit_cells(
        {"logit": CELLS["logit"]},
        RUNS,
        m,
        world,
        world.rows,
        steps=steps,
        bench=bench,
        probe_at=range(1, steps + 1),
    )
    from assay.core.fit import warm_up_decay
    from assay.dictionaries.training.train import start

    p = {name: value[0].clone().requires_grad_() for name, value in start(RUNS.seeds, m, D).items()}
    optimiser = torch.optim.Adam(p.values(), betas=m.betas)
    rate, history = warm_up_decay(steps, m.warm_up, m.decay), []
    centred = world.W_U - world.W_U.mean(0)
    for step in range(steps):
        z = world.rows(step)["logit"]
        pre = (z - p["b_dec"]) @ p["W_enc"].T + p["b_enc"]
        top = pre.topk(2, dim=1)
        z_hat = (
            torch.zeros_like(pre).scatter(1, top.indices, top.values.relu()) @ p["W_dec"]
            + p["b_dec"]
        )
        logits = (
            torch.linalg.solve_triangular(read.L.T, (z - z_hat).T, upper=True).T * read.gain
        ) @ centred.T  # the error in the stream, unembedded
        loss = logits.square().sum(1).mean() / D
        optimiser.zero_grad()
        loss.backward()
        history.append(float(loss.detach()))
        with torch.no_grad():
            W, g = p["W_dec"], p["W_dec"].grad
            g -= (g * W).sum(1, keepdim=True) * W
            optimiser.param_groups[0]["lr"] = 3e-3 * rate(step)
            optimiser.step()
            W /= W.norm(dim=1, keepdim=True)
    # a probe is the mean since the one before: here each step
    np.testing.assert_allclose(ours.history["logit:loss"][0], history, rtol=1e-4)
    assert history[-1] < 0.8 * history[0]


def test_each_cell_is_stored_with_its_place_and_reads_raw_targets(trained):
    world, together = trained
    found = dictionaries(together)
    assert list(found) == list(CELLS)
    assert found["act-logit"].origin["makes"] == "logit" and found["act-logit"].sites == ("act",)
    raw = world.raw(1)
    for name, cell in CELLS.items():
        x, x_hat = raw[cell.makes], found[name].reconstruct(raw[cell.reads])
        assert float((x - x_hat).square().sum() / (x - x.mean(0)).square().sum()) < 0.97, name
    assert together.history["post:loss"].shape == (1, 3)


def test_a_cell_alone_is_the_cell_beside_others(trained, bench):
    world, together = trained
    alone = fit_cells(
        {"act-update": CELLS["act-update"]},
        RUNS,
        method(),
        world,
        world.rows,
        steps=150,
        bench=bench,
    )
    torch.testing.assert_close(
        alone.tensors["act-update:W_dec"], together.tensors["act-update:W_dec"]
    )


def test_replicates_start_elsewhere(trained):
    _, together = trained
    assert not torch.allclose(
        together.tensors["act:W_dec"], together.tensors["again:W_dec"], atol=0.1
    )


def test_a_cell_that_reads_elsewhere_starts_as_the_one_that_reads_its_target(bench):
    """The update is linear in the activations, so before training both cells give the same
    features."""
    at_start = Method(
        TopK(2), losses.mse, F, lr=np.array([1e-12]), penalty=np.zeros(1), encoder_scale=1.0
    )
    cells = {"act-update": CELLS["act-update"], "update": Cell("update", "update")}
    found = dictionaries(
        fit_cells(cells, RUNS, at_start, CentredWorld(), CentredWorld().rows, steps=1, bench=bench)
    )
    raw = CentredWorld().rows(3, 400)
    a, b = (found[name].encode(raw[cell.reads]) for name, cell in cells.items())
    torch.testing.assert_close(a, b, atol=0.02, rtol=0.02)


def test_errors_are_told_in_every_space(trained):
    world, together = trained
    raw, read = world.raw(2, 50), world.readout
    document = torch.arange(50) % 5
    found = dictionaries(together)
    sums = of.cell_sums(CELLS["act"], found["act"], raw, read, document, 5)
    off = (found["act"].reconstruct(raw["act"]) - raw["act"]).double().numpy()
    W_U = (world.W_U - world.W_U.mean(0)).double().numpy()
    for d in range(5):
        act = update = logit = 0.0
        for i in np.flatnonzero(document.numpy() == d):
            act += off[i] @ off[i]
            e = off[i] @ read.W_out.double().numpy()
            update += e @ e
            x = raw["post"][i].double().numpy()
            e = (
                (e - e.mean())
                / math.sqrt(((x - x.mean()) ** 2).mean() + 1e-5)
                * read.gain.double().numpy()
            )
            logit += ((W_U @ e) ** 2).sum()
        np.testing.assert_allclose(
            [sums[f"error_{s}"][d] for s in of.SPACES], [act, update, logit], rtol=1e-4
        )
    np.testing.assert_allclose(sums["active"], 20)
    assert np.isnan(
        of.cell_sums(CELLS["logit"], found["logit"], raw, read, document, 5)["error_update"]
    ).all()


def test_what_nothing_reads_is_counted():
    null = ro.null_projector(torch.ones(2, 1)).float()
    W_dec = torch.tensor([[1.0, 0.0], [1.0, -1.0], [2.0, 2.0]]) / torch.tensor(
        [[1.0], [2**0.5], [8**0.5]]
    )
    f = torch.tensor([[1.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 5.0]])
    sums = of.spent(f, W_dec, null, torch.tensor([0, 1, 2]), 3)
    np.testing.assert_allclose(sums["unread"] / sums["written"], [0.5, 1, 0], atol=1e-6)


def test_agreement_and_its_chance():
    b = torch.nn.functional.normalize(
        drawn(200, 8) * torch.tensor([9.0, 5, 3, 2, 1, 1, 1, 1]), dim=1
    )
    assert of.agreement(b[torch.randperm(200)], -b, torch.ones(200)) == pytest.approx(1)
    assert of.agreement(
        torch.eye(3)[:2], torch.eye(3)[1:], torch.tensor([1.0, 3.0])
    ) == pytest.approx(0.75)
    like = of.like_rows(b, 3)
    assert torch.equal(like, of.like_rows(b, 3)) and not torch.equal(like, of.like_rows(b, 3, 1))
    torch.testing.assert_close(like.T @ like / 200, b.T @ b / 200, atol=0.1, rtol=0)
    a, chance = of.like_rows(b, 4), of.agreement(of.like_rows(b, 5), like, torch.ones(200))
    assert abs(of.agreement(a, like, torch.ones(200)) - chance) < 0.05 * (1 - chance)


def test_gini_of_known_numbers_and_of_lognormal_factors():
    assert gini(np.array([3.0, 4, 0, 0])) == pytest.approx(0.535714, abs=1e-6)
    assert gini(np.ones(9)) == pytest.approx(0)
    x = np.exp(np.random.default_rng(0).standard_normal(200_000))
    assert gini(x) == pytest.approx(erf(0.5), abs=0.005)  # 0.5205


def test_medians_from_bins():
    values = torch.from_numpy(np.random.default_rng(1).lognormal(-2, 0.8, 20_001))
    counts = of.binned(values, torch.zeros(len(values), dtype=torch.long), 1)
    assert counts.sum() == len(values)
    assert float(of.binned_median(counts)[0]) == pytest.approx(float(values.median()), rel=0.02)
    assert (
        of.binned(
            torch.tensor([float("nan"), 1e9, 1e-9]), torch.zeros(3, dtype=torch.long), 1
        ).sum()
        == 2
    )


def test_parts_as_long_as_the_stream_cannot_be_linearised():
    world = World()
    raw = world.raw(3, 400)
    parts, stream = raw["update"], raw["post"]
    longer = stream.norm(dim=-1, keepdim=True) / parts.norm(dim=-1, keepdim=True)
    quiet, loud = (of.linear_errors(by * parts, stream, world.readout) for by in (0.05, longer))
    assert float(quiet["jacobian"].median()) < 0.1 < 0.3 < float(loud["jacobian"].median())
