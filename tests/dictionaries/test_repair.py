"""Repairs against NumPy's least squares, the algebra of one feature, and a world where shrinkage is
the only fault."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.dictionaries.baselines import repair
from assay.dictionaries.baselines.directions import pca
from assay.dictionaries.baselines.repair import refit_decoder, rescale_and_shift, shrunk
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.measuring.metrics import fvu, norm_ratio, shrinkage
from assay.dictionaries.nonlinearity import ReLU, Rescaled
from assay.dictionaries.selection import TopK
from random_dictionary import random_dictionary


def make(nonlinearity, **size):
    d = random_dictionary(nonlinearity, shift=-0.3, **size)
    return replace(d, W_enc=0.8 * d.W_enc)


X = 1.5 * torch.randn(500, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("nonlinearity", [ReLU(), Gated(), TopK(3)], ids=str)
def test_rescale_and_shift_is_least_squares_on_the_support(nonlinearity):
    d = make(nonlinearity)
    mended = rescale_and_shift(d, X, chunk=77)
    assert mended.nonlinearity == Rescaled(nonlinearity)
    assert torch.equal(mended.W_dec, d.W_dec)
    for r in range(2):
        f, x, W = (v.double().numpy() for v in (d.encode(X)[r], d.normalise(X)[r], d.W_dec[r]))
        on = (f > 0).astype(float)
        columns = np.concatenate([(f[:, i, None] * W[i]).ravel()[:, None] for i in range(9)], 1)
        columns = np.concatenate(
            [columns, *[(on[:, i, None] * W[i]).ravel()[:, None] for i in range(9)]], 1
        )
        best = np.linalg.lstsq(columns, (x - d.b_dec[r].numpy()).ravel(), rcond=None)[0]
        np.testing.assert_allclose(mended.own["factor"][r], best[:9], atol=2e-3)
        np.testing.assert_allclose(mended.own["shift"][r], best[9:], atol=2e-3)


@pytest.mark.parametrize("nonlinearity", [ReLU(), Gated(), TopK(3)], ids=str)
def test_refit_is_least_squares_and_leaves_the_features(nonlinearity):
    d = make(nonlinearity)
    refitted = refit_decoder(d, X, chunk=77)
    again = Dictionary.from_tensors(refitted.tensors(), refitted.header())
    assert torch.equal(again.reconstruct(X), refitted.reconstruct(X))
    torch.testing.assert_close(refitted.encode(X), d.encode(X))
    for r in range(2):
        f, x = d.encode(X)[r].double().numpy(), d.normalise(X)[r].double().numpy()
        best = np.linalg.lstsq(np.concatenate([f, np.ones((len(f), 1))], 1), x, rcond=None)[0]
        np.testing.assert_allclose(refitted.W_dec[r], best[:-1], atol=2e-3)
        np.testing.assert_allclose(refitted.b_dec[r], best[-1], atol=2e-3)


def test_a_pull_is_that_many_more_firings_at_the_present_values():
    d, pull = make(ReLU()), 5.0
    mended = rescale_and_shift(d, X, pull=pull)
    refitted = refit_decoder(d, X, pull=pull)
    for r in range(2):
        f, x, W = (
            v.double().numpy() for v in (d.encode(X)[r], d.normalise(X)[r] - d.b_dec[r], d.W_dec[r])
        )
        on = (f > 0).astype(float)
        energy = (f**2).sum(0) / on.sum(0)
        columns = [(c[:, i, None] * W[i]).ravel() for c in (f, on) for i in range(9)]
        extra = np.diag(
            np.sqrt(pull * np.concatenate([energy, np.ones(9)]) * np.tile((W**2).sum(1), 2))
        )
        rows = np.concatenate([np.stack(columns, 1), extra])
        best = np.linalg.lstsq(
            rows, np.concatenate([x.ravel(), extra @ np.repeat([1.0, 0.0], 9)]), rcond=None
        )[0]
        np.testing.assert_allclose(
            np.concatenate([mended.own["factor"][r], mended.own["shift"][r]]), best, atol=1e-4
        )
        extra = np.diag(np.sqrt(pull * energy))
        codes = np.pad(np.concatenate([f, extra]), ((0, 0), (0, 1)), constant_values=0)
        codes[: len(f), 9] = 1  # the bias, which is not drawn to anything
        best = np.linalg.lstsq(
            codes, np.concatenate([x + d.b_dec[r].double().numpy(), extra @ W]), rcond=None
        )[0]
        np.testing.assert_allclose(refitted.W_dec[r], best[:9], atol=1e-4)
        np.testing.assert_allclose(refitted.b_dec[r], best[9], atol=1e-4)


def test_fewer_rows_than_features_are_solved_by_rows_with_the_same_result():
    d, pull, few = make(ReLU()), 5.0, X[:7]
    refitted = refit_decoder(d, few, pull=pull, chunk=3)
    for r in range(2):
        f, x, W = (v.double().numpy() for v in (d.encode(few)[r], d.normalise(few)[r], d.W_dec[r]))
        on = f.any(0)
        extra = np.diag(np.sqrt(pull * (f**2).sum(0) / np.maximum((f > 0).sum(0), 1)))
        codes = np.pad(np.concatenate([f, extra]), ((0, 0), (0, 1)))
        codes[: len(f), 9] = 1  # the bias, which is not drawn to anything
        best = np.linalg.lstsq(codes, np.concatenate([x, extra @ W]), rcond=None)[0]
        np.testing.assert_allclose(refitted.W_dec[r][on], best[:9][on], atol=1e-4)
        np.testing.assert_allclose(refitted.W_dec[r][~on], W[~on], atol=1e-6)
        np.testing.assert_allclose(refitted.b_dec[r], best[9], atol=1e-4)


def test_shrinkage_of_a_known_size_is_found_and_undone():
    """Planted: codes that reconstruct exactly, times .85."""
    eye = torch.eye(6)[None]
    exact = Dictionary(
        torch.cat([eye, -eye], 2),
        torch.zeros(1, 12),
        torch.cat([eye, -eye], 1),
        torch.zeros(1, 6),
        ReLU(),
    )
    assert shrinkage(X, exact.reconstruct(X)).item() == pytest.approx(1)
    short = shrunk(exact, 0.85)
    assert shrinkage(X, short.reconstruct(X)).item() == pytest.approx(0.85, rel=1e-6)
    mended = rescale_and_shift(short, X)
    assert shrinkage(X, mended.reconstruct(X)).item() == pytest.approx(1, abs=1e-5)
    assert fvu(X, mended.reconstruct(X)).item() < 1e-8


def test_one_always_on_feature_is_mended_by_a_shift_alone():
    """f = a − λ/2 at λ = .2: γ = .908475, FVU = .12; the mend is r = 1, shift .1 and leaves
    nothing."""
    x = torch.linspace(0.5, 1.5, 4001)[:, None]
    one = torch.ones(1, 1, 1)
    d = Dictionary(one, torch.full((1, 1), -0.1), one, torch.zeros(1, 1), ReLU())
    assert shrinkage(x, d.reconstruct(x)).item() == pytest.approx(0.908475, abs=1e-3)
    assert fvu(x, d.reconstruct(x)).item() == pytest.approx(0.12, abs=1e-3)
    mended = rescale_and_shift(d, x)
    assert mended.own["factor"].item() == pytest.approx(1, abs=1e-4)
    assert mended.own["shift"].item() == pytest.approx(0.1, abs=1e-4)
    assert fvu(x, mended.reconstruct(x)).item() == pytest.approx(0, abs=1e-8)


def test_without_a_free_bias_shrinkage_is_a_factor():
    """The same feature with b_enc = 0: f = w·a with w = 1 − λ·6/13, and γ = w."""
    x = torch.linspace(0.5, 1.5, 4001)[:, None]
    w = 1 - 0.2 * 6 / 13
    one = torch.ones(1, 1, 1)
    d = Dictionary(w * one, torch.zeros(1, 1), one, torch.zeros(1, 1), ReLU())
    assert shrinkage(x, d.reconstruct(x)).item() == pytest.approx(w)
    # that w is the optimum: minimise E(a − wa)² + λ E wa
    grid = torch.linspace(0.5, 1.0, 50001, dtype=torch.float64)
    a = x.double().flatten()
    assert grid[
        ((1 - grid) ** 2 * (a**2).mean() + 0.2 * grid * a.mean()).argmin()
    ].item() == pytest.approx(w, abs=1e-3)


def test_pca_explains_its_eigenvalues():
    g = np.random.default_rng(0)
    x = g.normal(size=(400, 7)) * [4, 3, 2, 1, 1, 0.5, 0.1] + 5
    values = np.sort(np.linalg.eigvalsh(np.cov(x.T)))[::-1]
    rows = torch.from_numpy(x).float()
    for rank, d in zip((2, 4, 7), pca(rows, 2, 4, 7, chunk=64), strict=True):
        x_hat = d.reconstruct(rows)
        kept = values[:rank].sum() / values.sum()
        assert fvu(x, x_hat) == pytest.approx(1 - kept, abs=1e-5)
        assert shrinkage(x, x_hat, x.mean(0)) == pytest.approx(1, abs=1e-4)
        assert norm_ratio(x, x_hat, x.mean(0)) == pytest.approx(np.sqrt(kept), abs=1e-4)


def wide(runs=2, d=12, f=120):
    """A dictionary in which 3 of 120 features are on: its equations are added up from those
    alone."""
    dictionary = make(TopK(3), d=d, f=f, runs=runs)
    return dictionary, 1.5 * torch.randn(600, d, generator=torch.Generator().manual_seed(2))


def test_equations_of_few_features_are_least_squares_too():
    dictionary, x = wide()
    pull = 2.0
    mended = rescale_and_shift(dictionary, x, pull=pull, chunk=100)
    refitted = refit_decoder(dictionary, x, pull=pull, chunk=100)
    for r in range(2):
        f, rows, W = (
            v.double().numpy()
            for v in (dictionary.encode(x)[r], dictionary.normalise(x)[r], dictionary.W_dec[r])
        )
        on = (f > 0).astype(float)
        silent = on.sum(0) == 0
        assert on.mean() < 1 / 32 and silent.any()
        energy = np.divide((f**2).sum(0), on.sum(0), out=np.zeros(120), where=on.sum(0) > 0)
        A, b = np.zeros((240, 240)), np.zeros(240)
        for x_row, f_row, on_row in zip(
            rows - dictionary.b_dec[r].double().numpy(), f, on, strict=True
        ):
            J = np.concatenate([f_row[:, None] * W, on_row[:, None] * W])
            A += J @ J.T
            b += J @ x_row
        extra = pull * np.concatenate([energy, on.sum(0) > 0]) * np.tile((W**2).sum(1), 2)
        best = np.linalg.lstsq(
            A + np.diag(extra), b + extra * np.repeat([1.0, 0.0], 120), rcond=None
        )[0]
        best = np.where(np.tile(silent, 2), np.repeat([1.0, 0.0], 120), best)
        np.testing.assert_allclose(
            np.concatenate([mended.own["factor"][r], mended.own["shift"][r]]), best, atol=2e-4
        )
        C = np.pad(f, ((0, 0), (0, 1)), constant_values=1)
        extra = np.append(pull * energy, 0)
        present = np.concatenate([W, np.zeros((1, 12))])
        best = np.linalg.lstsq(
            C.T @ C + np.diag(extra), C.T @ rows + extra[:, None] * present, rcond=None
        )[0]
        best[:-1][silent] = W[silent]
        np.testing.assert_allclose(refitted.W_dec[r], best[:-1], atol=2e-4)
        np.testing.assert_allclose(refitted.b_dec[r], best[-1], atol=2e-4)


def test_chunks_in_which_few_and_many_are_on_add_up(monkeypatch):
    """Half of the rows switch three features on, half all of them; adding all of them up in one way
    gives the same."""
    g = torch.Generator().manual_seed(3)
    W = torch.nn.functional.normalize(torch.randn(1, 80, 10, generator=g), dim=-1)
    x = torch.cat([torch.randn(300, 10, generator=g) / 8, 3 * torch.randn(300, 10, generator=g)])
    d = Dictionary(W.mT, torch.full((1, 80), -0.3), W, torch.zeros(1, 10), ReLU())
    shares = [float((part > 0).float().mean()) for part in d.encode(x).split(300)]
    assert shares[0] < 1 / 32 and shares[1] > 1 / 4
    mixed = [mend(d, x, chunk=300, pull=1.0) for mend in (rescale_and_shift, refit_decoder)]
    for one_in in (10**6, 0):
        monkeypatch.setattr(repair, "FEW", one_in)
        for found, mend in zip(mixed, (rescale_and_shift, refit_decoder), strict=True):
            for name, value in mend(d, x, chunk=300, pull=1.0).tensors().items():
                torch.testing.assert_close(found.tensors()[name], value, rtol=1e-4, atol=1e-5)


def test_a_dictionary_of_which_nothing_is_on_stays_as_it_was():
    d = make(ReLU())
    d.b_enc[:] = -100
    mended, refitted = rescale_and_shift(d, X), refit_decoder(d, X)
    assert torch.equal(mended.own["factor"], torch.ones(2, 9))
    assert torch.equal(mended.own["shift"], torch.zeros(2, 9))
    assert torch.equal(refitted.W_dec, d.W_dec)
    torch.testing.assert_close(refitted.b_dec, d.normalise(X).mean(1), atol=1e-5, rtol=1e-5)
