"""Kernel regression on tokens: the kernel by naive products, the fit by sklearn, folds that nobody
saw, and what a probe adds."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from assay.core.errors import DataError
from assay.features.linear_probe import INNER, folds
from assay_catalogue.features.linear_probe import (
    INTERACTIONS,
    MEMORIES,
    RIDGES,
    kernel_out_of_fold,
    out_of_fold,
    token_kernel,
)
from assay_catalogue.worlds.hidden_markov.process import mess3, rrxor

TREE = rrxor().tree(7)
BELIEF = torch.from_numpy(TREE.belief)
ENDING = TREE.suffixes(3)
LAST = TREE.last(7)


def r2(y, predicted):
    return 1 - float((predicted - y).square().sum() / (y - y.mean(0)).square().sum())


def test_the_kernel_is_its_product():
    last = mess3().tree(3).last(3)
    found = token_kernel(last, 3, 0.8, 0.5)
    for i, a in enumerate(last):
        for j, b in enumerate(last):
            wanted = 1.0
            for place in range(3):
                if a[place] >= 0 and b[place] >= 0:
                    wanted *= 1 + 0.8 * 0.5**place * (1 if a[place] == b[place] else -0.5)
            assert found[i, j] == pytest.approx(wanted)
    assert torch.linalg.eigvalsh(found).min() > -1e-9  # a kernel


def test_it_is_sklearns_kernel_ridge_with_what_inner_folds_choose():
    found = kernel_out_of_fold(LAST, 2, BELIEF, ENDING, 3, seed=4)
    y, outer = BELIEF.numpy(), folds(ENDING, 3, 4)
    kernels = [token_kernel(LAST, 2, c, m).numpy() for c in INTERACTIONS for m in MEMORIES]

    def fitted(kernel, r, train, held):
        alpha = r * kernel[np.ix_(train, train)].diagonal().mean()
        fit = KernelRidge(alpha=alpha, kernel="precomputed").fit(
            kernel[np.ix_(train, train)], y[train] - y[train].mean(0)
        )
        return fit.predict(kernel[np.ix_(held, train)]) + y[train].mean(0)

    for fold in range(3):
        train, held = np.flatnonzero(outer != fold), np.flatnonzero(outer == fold)
        inner, tried = folds(ENDING[train], INNER, 4), []
        for kernel in kernels:
            for r in RIDGES:
                across = np.zeros_like(y[train])
                for one in range(INNER):
                    across[inner == one] = fitted(
                        kernel, r, train[inner != one], train[inner == one]
                    )
                tried.append((((across - y[train]) ** 2).sum(), across, kernel, r))
        _, across, kernel, r = min(tried, key=lambda t: t[0])
        np.testing.assert_allclose(found.within[fold, train], across, atol=1e-8)
        np.testing.assert_allclose(found.predicted[held], fitted(kernel, r, train, held), atol=1e-8)
        assert not found.within[fold, held].any()


def test_it_finds_parities_of_tokens_and_nothing_in_noise():
    word = rrxor().tree(7).last(3)
    parity = torch.from_numpy(np.where((word < 0).any(1), 0, (-1.0) ** word.sum(1)))[:, None]
    every = np.arange(len(TREE))
    assert r2(parity, kernel_out_of_fold(LAST, 2, parity, every, 4).predicted) > 0.9
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(len(TREE), 2)))
    assert r2(noise, kernel_out_of_fold(LAST, 2, noise, every, 4).predicted) < 0.05


def test_a_probe_beside_it_finds_what_it_leaves_over():
    kernel, strengths = kernel_out_of_fold(LAST, 2, BELIEF, ENDING, 3), (1e-3, 1e-1, 1e1, 1e3)
    rng = np.random.default_rng(0)
    told, untold = (
        BELIEF[None] + 0.01 * torch.from_numpy(rng.normal(size=(1, *BELIEF.shape))),
        torch.from_numpy(rng.normal(size=(1, len(TREE), 20))),
    )
    alone = r2(BELIEF, kernel.predicted)
    assert r2(
        BELIEF, out_of_fold(told, BELIEF, ENDING, 3, strengths=strengths, baseline=kernel)[0]
    ) > max(0.95, alone)
    assert (
        abs(
            r2(
                BELIEF,
                out_of_fold(untold, BELIEF, ENDING, 3, strengths=strengths, baseline=kernel)[0],
            )
            - alone
        )
        < 0.05
    )


@pytest.mark.parametrize(
    ("vocab", "interaction", "memory"), [(1, 0.5, 1.0), (2, 0.0, 1.0), (2, 1.1, 1.0), (2, 0.5, 0.0)]
)
def test_impossible_kernels(vocab, interaction, memory):
    with pytest.raises(DataError, match="a token kernel needs"):
        token_kernel(LAST, vocab, interaction, memory)
