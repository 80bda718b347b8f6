"""Paths: probes against derivatives taken by finite differences, metrics against all of them,
removals against a model's own logits."""

import numpy as np
import pytest
import torch

from assay.core.errors import ModelError
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay.train.rng import normal
from assay_catalogue.analysis.readout import readout
from assay_catalogue.subjects.path_probes import ablated, metrics, probe
from tiny_models import make

LAST = Site("resid_post", 2)


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request, tmp_path_factory):
    return load(str(make(tmp_path_factory.mktemp("paths") / "model", request.param)))


def text(windows, s, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 200, (windows, s)))


def final(model, tokens, block, change):
    """The stream at the end, where something is added to it behind a block."""
    edits = {Site("resid_post", block): lambda x: x + change}
    return model.run(tokens, edits=edits, capture=[LAST], logits=False).acts[LAST]


@pytest.mark.parametrize("kind", ["frozen", "jacobian"])
def test_a_probe_is_the_derivative_of_what_was_pulled_on(model, kind):
    tokens, read, block, size = text(2, 7), readout(model, 1), 1, 1e-2
    d = len(read.gain)
    found = probe(model, tokens, [0, block, 2], read, seed=5, index=3)
    x = final(model, tokens, block, torch.zeros(2, 7, d))
    pull = torch.from_numpy(normal(np.array([5]), "path-probes", 3, (2, 7, d))[0])
    torch.testing.assert_close(found.stream, x)
    for at in (0, 3, 6):
        v = torch.zeros(2, 7, d)
        v[:, at] = torch.from_numpy(np.random.default_rng(at).normal(size=(2, d))).float()
        plus, minus = (final(model, tokens, block, sign * size * v) for sign in (1, -1))
        sigma = [read.sigma(x)] * 2 if kind == "frozen" else [read.sigma(plus), read.sigma(minus)]
        z = [read.project(y) / s @ read.L for y, s in zip((plus, minus), sigma, strict=True)]
        expected = float((pull * (z[0] - z[1])).sum()) / (2 * size)
        assert float((found.total[kind][1] * v).sum()) == pytest.approx(
            expected, rel=2e-2, abs=0.02
        )
        image = read.norm.frozen(v, x) if kind == "frozen" else read.norm.jacobian(v, x)
        assert float((found.direct[kind] * v).sum()) == pytest.approx(
            float((pull * (image @ read.L)).sum()), rel=1e-3, abs=1e-3
        )


def test_behind_the_last_block_all_is_direct(model):
    found = probe(model, text(2, 6), [1, 2], readout(model, 2), 0, 0)
    for kind in ("frozen", "jacobian"):
        torch.testing.assert_close(found.total[kind][1], found.direct[kind], rtol=1e-4, atol=1e-4)
        assert float((found.total[kind][0] - found.direct[kind]).norm()) > 0.1 * float(
            found.direct[kind].norm()
        )


@pytest.mark.thorough
def test_metrics_are_means_of_squared_derivatives_over_tokens(model):
    tokens, read, block = text(2, 6), readout(model, 1), 1
    found, d, size = metrics(model, tokens, block, read, seed=0, draws=600), len(read.gain), 1e-2
    sigma = read.sigma(final(model, tokens, block, torch.zeros(2, 6, d)))
    direct, indirect = torch.zeros(d, d), torch.zeros(d, d)
    for at in range(1, 6):
        each = []
        for i in range(d):
            v = torch.zeros(2, 6, d)
            v[:, at, i] = size
            each.append(
                (
                    read.project(final(model, tokens, block, v) - final(model, tokens, block, -v))
                    / sigma
                    @ read.L
                )
                / (2 * size)
            )
        J = torch.stack(each)  # [direction, window, s, d]
        own = torch.zeros_like(J)
        own[:, :, at] = (read.project(torch.eye(d))[:, None] / sigma[:, at]) @ read.L
        direct += torch.einsum("iwsd,jwsd->ij", own, own) / 10
        indirect += torch.einsum("iwsd,jwsd->ij", J - own, J - own) / 10
    torch.testing.assert_close(
        found.direct, direct, rtol=1e-3, atol=1e-3 * float(direct.abs().max())
    )
    assert float((found.indirect - indirect).norm()) < 0.1 * float(indirect.norm())
    rows = torch.eye(d)
    share = direct.diagonal() / (direct + indirect).diagonal()
    np.testing.assert_allclose(found.share(rows), share, atol=0.05)


def test_what_is_taken_out_is_missing_from_the_logits_themselves(model):
    tokens, read, block, at = text(3, 8), readout(model, 1), 1, torch.tensor([0, 3, 7])
    d, row, site = len(read.gain), torch.arange(3), Site("resid_post", 1)
    clean = model.run(tokens, capture=[site, LAST])
    stream, x = clean.acts[site], clean.acts[LAST]
    part = torch.from_numpy(np.random.default_rng(1).normal(0, 0.3, (3, d))).float()
    found = ablated(model, block, tokens, stream, part, at, read)

    def without(resid):
        resid[row, at] -= part
        return resid

    centre = lambda z: (z - z.mean(-1, keepdim=True)).double()  # noqa: E731
    total = centre(clean.logits - model.run(tokens, edits={site: without}).logits)
    left = x.clone()
    left[row, at] -= part
    head = lambda y: model.model.get_output_embeddings()(model.final_norm(y))  # noqa: E731
    with torch.no_grad():
        direct = centre(head(x) - head(left))
    np.testing.assert_allclose(found.exact_direct, direct.square().sum((1, 2)), rtol=1e-3)
    np.testing.assert_allclose(
        found.exact_indirect, (total - direct).square().sum((1, 2)), rtol=2e-3
    )
    held = centre(
        model.model.get_output_embeddings()(read.norm.frozen(part, x[row, at]) * read.gain).detach()
    )
    np.testing.assert_allclose(found.direct, held.square().sum(1), rtol=1e-3)


def test_taking_out_a_hundredth_of_a_part_is_its_derivative(model):
    tokens, read, block, at, size = text(3, 8), readout(model, 1), 1, torch.tensor([0, 3, 6]), 0.05
    d, row = len(read.gain), torch.arange(3)
    stream = model.run(tokens, capture=[Site("resid_post", block)], logits=False).acts[
        Site("resid_post", block)
    ]
    part = torch.from_numpy(np.random.default_rng(2).normal(0, 0.3, (3, d))).float()
    found = ablated(model, block, tokens, stream, 0.01 * part, at, read)
    v = torch.zeros(3, 8, d)
    v[row, at] = part
    x = final(model, tokens, block, torch.zeros(3, 8, d))
    slope = (final(model, tokens, block, size * v) - final(model, tokens, block, -size * v)) / (
        2 * size
    )
    indirect = read.project(slope - v) / read.sigma(x) @ read.L  # what later blocks make of it
    np.testing.assert_allclose(found.indirect / 0.01**2, indirect.square().sum((1, 2)), rtol=0.03)


def test_what_the_last_block_wrote_is_missing_directly_and_nowhere_else(model):
    tokens, read, part = (
        text(2, 5),
        readout(model, 2),
        torch.ones(2, len(readout(model, 2).gain)) * torch.arange(24) / 24,
    )
    stream = model.run(tokens, capture=[LAST], logits=False).acts[LAST]
    found = ablated(model, 2, tokens, stream, part, torch.tensor([1, 4]), read)
    assert (
        float((found.indirect / found.direct).max()) < 1e-9
        and float((found.exact_indirect / found.exact_direct).max()) < 1e-9
    )


def test_a_block_that_is_not_there_and_parts_that_do_not_fit_are_one_line(model):
    read, tokens = readout(model, 1), text(2, 5)
    with pytest.raises(ModelError, match="does not exist"):
        probe(model, tokens, [3], read, 0, 0)
    with pytest.raises(ModelError, match="one part and one position"):
        ablated(
            model, 1, tokens, torch.zeros(2, 5, 24), torch.zeros(1, 24), torch.tensor([1, 2]), read
        )
