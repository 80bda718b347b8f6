"""The self-test's numbers against cases whose answer is known and against a naive loop; what it
refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats import load, self_test
from assay.dictionaries.nonlinearity import Identity, ReLU

ROOT = Path(__file__).parents[1] / "fixtures/formats"
X = torch.randn(4500, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 9) + 3


def coder(W_dec: torch.Tensor, b_dec: torch.Tensor, **more) -> Dictionary:
    """x̂ = x·W_dec + b_dec."""
    d = len(W_dec)
    return Dictionary(
        torch.eye(d)[None],
        torch.zeros(1, d),
        W_dec[None],
        b_dec[None],
        Identity(),
        b_pre=torch.zeros(1, d),
        **more,
    )


def test_known_answers() -> None:
    eye, zero = torch.eye(8), torch.zeros(8, 8)
    perfect = self_test(coder(eye, zero[0]), X)[0]
    assert (
        perfect.ev == pytest.approx(1)
        and perfect.fvu == pytest.approx(0)
        and perfect.norm_ratio == pytest.approx(1)
    )
    assert perfect.l0 == pytest.approx(8) and perfect.rows == 4500 and perfect.reconstructs
    mean = self_test(coder(zero, X.double().mean(0).float()), X)[0]
    assert mean.ev == pytest.approx(0, abs=1e-9)
    nothing = self_test(coder(zero, zero[0]), X)[0]
    x = X.double()
    assert (
        nothing.ev == pytest.approx(1 - (x**2).sum() / ((x - x.mean(0)) ** 2).sum())
        and nothing.norm_ratio == 0
    )
    assert not nothing.reconstructs
    twice = self_test(coder(2 * eye, zero[0]), X)[0]
    assert (
        twice.norm_ratio == pytest.approx(2)
        and "usual causes, in order: wrong place" in twice.verdict
    )


def test_a_naive_loop_and_any_chunk_agree() -> None:
    dictionary = load(ROOT / "saelens/standard")
    x = X.double().numpy()
    weights = {name: value[0].double().numpy() for name, value in dictionary.tensors().items()}
    active = error = variance = norm = square = 0.0
    for row in x:
        f = np.maximum((row - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"], 0)
        guess = f @ weights["W_dec"] + weights["b_dec"]
        active += (f > 0).sum()
        error += ((row - guess) ** 2).sum()
        variance += ((row - x.mean(0)) ** 2).sum()
        norm, square = norm + (guess**2).sum(), square + (row**2).sum()
    for chunk in (100, 1024, 10_000):
        trial = self_test(dictionary, X, chunk=chunk)[0]
        assert trial.ev == pytest.approx(1 - error / variance, rel=1e-5)
        assert trial.l0 == pytest.approx(active / len(x), rel=1e-3)
        assert trial.norm_ratio == pytest.approx((norm / square) ** 0.5, rel=1e-5)


def test_a_transcoder_is_tried_on_its_target() -> None:
    W = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    transcoder = coder(W, torch.zeros(3), sites=("a",), sites_out=("b",))
    assert self_test(transcoder, X, X @ W)[0].ev == pytest.approx(1)
    with pytest.raises(DataError, match="predicts b"):
        self_test(transcoder, X)
    with pytest.raises(DataError, match=r"targets must be \[4500, 3\]"):
        self_test(transcoder, X, X)


def test_a_convention_read_wrongly_shows() -> None:
    """The control: the same file is good as it is, and fails where the centring or the scale is
    taken for another."""
    from dataclasses import replace

    g = torch.Generator().manual_seed(2)
    W = torch.linalg.qr(torch.randn(8, 4, generator=g))[
        0
    ]  # half of the directions, so that what lies elsewhere is lost
    b = 30 * torch.ones(1, 8)
    good = Dictionary(
        torch.cat([W, -W], 1)[None], torch.zeros(1, 8), torch.cat([W, -W], 1).T[None], b, ReLU()
    )
    x = X @ W @ W.T + b
    assert self_test(good, x)[0].ev == pytest.approx(1)
    for wrong in (
        replace(good, b_pre=torch.zeros(1, 8)),  # not centred
        replace(good, per_token="layer-norm"),
        replace(
            good, b_dec=b / 10
        ),  # trained on inputs a tenth as long, and the factor is not folded
    ):
        assert not self_test(wrong, x)[0].reconstructs


def test_one_trial_per_run() -> None:
    both = Dictionary.join(
        [coder(torch.eye(8), torch.zeros(8)), coder(torch.zeros(8, 8), torch.zeros(8))]
    )
    first, second = self_test(both, X)
    assert first.ev == pytest.approx(1) and second.ev < 0


def test_layer_norm_of_flat_rows_is_flagged() -> None:
    """C11: divided by σ + 1e-5, multiplied by σ, which shows where σ is small."""
    dictionary = load(ROOT / "saelens/standard_layer_norm")
    flat = X.clone()
    flat[:7] = 1.0
    assert self_test(dictionary, X)[0].warning == ""
    assert "7 activations deviate by less than 1e-3" in self_test(dictionary, flat)[0].warning


def test_what_is_refused() -> None:
    dictionary = load(ROOT / "saelens/standard")
    for x, says in (
        (X[:4000], "at least 4,096 activations, got 4,000"),
        (X[:, :5], r"must be \[b, 8\]"),
        (torch.ones(5000, 8), "all the same vector"),
        (torch.full((5000, 8), torch.nan), "NaN"),
    ):
        with pytest.raises(DataError, match=says):
            self_test(dictionary, x)
    assert self_test(dictionary, X[:10], least=10)[0].rows == 10


def test_the_peers_own_inputs_give_the_peers_own_error() -> None:
    expected = load_file(ROOT / "expected/saelens.safetensors")
    x, x_hat = expected["x"].double(), expected["gated/x_hat"]
    wanted = 1 - ((x - x_hat) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    assert self_test(load(ROOT / "saelens/gated"), x.float(), least=1)[0].ev == pytest.approx(
        wanted.item(), rel=1e-5
    )
