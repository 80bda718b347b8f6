"""Taking a part out at one token, with many rows beside one window, is what a pass of its own for
each token gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny_models
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay_catalogue.experiments.lm_importance import removal
from assay_catalogue.experiments.lm_importance.method import (
    LMImportance,
    Sample,
    others_push,
    sample,
    shuffled,
)
from assay_catalogue.experiments.lm_importance.removal import Clean, change

WINDOWS, S, D = 3, 9, 24
TOKENS = np.random.default_rng(0).integers(0, 250, (WINDOWS, S))


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("removal") / request.param, request.param)


def losses(folder, edits=None):
    return tiny_models.naive_loss(tiny_models.naive(folder, TOKENS, edits)[0], TOKENS)


@pytest.fixture(scope="module", params=[1, 2])
def text(request, folder):
    model, layer = load(str(folder)), request.param
    site = Site("resid_pre", layer)
    stream = model.run(torch.from_numpy(TOKENS), capture=[site]).acts[site]
    plain = Clean(model, layer, torch.from_numpy(TOKENS), stream, np.zeros(0))
    every = np.arange(S - 1)
    loss = [removal._losses(plain, w, every, stream[w, :-1]) for w in range(WINDOWS)]
    return replace(plain, loss=np.stack(loss))


WINDOW, POSITION = np.array([2, 0, 0, 2, 1, 2]), np.array([3, 1, 7, 3, 0, 5])


def parts():
    return 0.5 * torch.randn(len(WINDOW), D, generator=torch.Generator().manual_seed(1))


def test_each_row_is_a_naive_pass_of_its_own(folder, text):
    found = change(text, WINDOW, POSITION, parts())
    before = losses(folder)
    for i, (w, t, part) in enumerate(zip(WINDOW, POSITION, parts().double().numpy(), strict=True)):
        out = np.zeros((WINDOWS, S, D))
        out[w, t] = part
        after = losses(folder, {f"blocks.{text.layer}.hook_resid_pre": lambda x, out=out: x - out})
        assert found[i] == pytest.approx(after[w, t] - before[w, t], abs=2e-4)


def test_where_nothing_is_taken_out_nothing_changes(text):
    assert np.abs(change(text, WINDOW, POSITION, 0 * parts())).max() < 2e-6


def test_rows_do_not_see_each_other_however_they_are_packed(text, monkeypatch):
    together = change(text, WINDOW, POSITION, parts())
    monkeypatch.setattr(removal, "_ROWS", 1)
    np.testing.assert_allclose(change(text, WINDOW, POSITION, parts()), together, atol=2e-6)


def test_shuffled_tokens_stay_in_the_window_and_no_two_of_a_feature_meet():
    own = np.random.default_rng(2)
    keep = own.random((WINDOWS, 40)) < 0.8
    keep[:, 0] = False
    of, window = np.repeat([0, 1], 30), np.tile(np.repeat(np.arange(WINDOWS), 10), 2)
    chosen = Sample(of, window, np.tile(np.arange(1, 11), 6), np.ones(60), of)
    at = shuffled(LMImportance(seed=5), chosen, np.array([7, 9]), keep)
    assert keep[window, at].all() and (at < 39).all()
    assert len(set(zip(of.tolist(), window.tolist(), at.tolist(), strict=True))) == 60
    assert (at != chosen.position).any()


def test_sampled_are_the_strongest_and_the_weakest_quarter_of_each_features_firings():
    class Test:
        class spec:
            context = 10

    own = np.random.default_rng(4)
    row, feature = np.divmod(own.permutation(3000), 3)
    value = own.random(3000)
    borders = np.array([[0.25, 0.75], [0.1, 0.5]])
    got = sample(
        LMImportance(seed=5, each=40), Test, (row, feature, value), np.array([2, 0]), borders
    )
    strength = {(f, r): v for f, r, v in zip(feature, row, value, strict=True)}
    for i, f in enumerate((2, 0)):
        for quarter, most in ((0, 10), (1, 40)):
            mine = (got.of == i) & (got.quarter == quarter)
            assert mine.sum() == most
            v = got.value[mine]
            assert (v <= borders[i, 0]).all() if quarter == 0 else (v > borders[i, 1]).all()
            rows = 10 * got.window[mine] + got.position[mine]
            assert [strength[f, r] for r in rows] == v.tolist()
    assert (got.position < 9).all()  # the last has no next token


def test_others_push_is_what_the_reconstruction_holds_along_a_direction_besides_the_own_part():
    own = torch.Generator().manual_seed(3)
    W = torch.nn.functional.normalize(torch.randn(1, 6, D, generator=own), dim=-1)
    one = Dictionary(
        W.mT.contiguous(), torch.zeros(1, 6), 1.5 * W, torch.randn(1, D, generator=own), ReLU()
    )
    x = torch.randn(4, D, generator=own)
    codes = one.encode(x)
    row, feature = (codes > 0).nonzero(as_tuple=True)
    mine = np.isin(feature.numpy(), [2, 4])
    of = (feature.numpy()[mine] == 4).astype(int)
    chosen = Sample(
        of, np.zeros(len(of), int), row.numpy()[mine], codes[row, feature].numpy()[mine], of
    )

    class Test:
        class spec:
            context = 4

        rows = staticmethod(lambda rows: x[rows])

    got = others_push(one, Test, chosen, np.array([2, 4]))
    for i, f in enumerate((2, 4)):
        on = np.flatnonzero(codes[:, f] > 0)
        along = W[0, f]
        wanted_own = sum(float(codes[r, f]) * 1.5 for r in on)
        wanted = sum(
            float(codes[r, j] * 1.5 * (W[0, j] @ along)) for r in on for j in range(6) if j != f
        )
        assert got["own"][1][0, i] == pytest.approx(wanted_own, rel=1e-5)
        assert got["others"][1][0, i] == pytest.approx(wanted, abs=1e-4)
