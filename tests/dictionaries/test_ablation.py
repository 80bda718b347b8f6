"""Cross-entropy and KL under splicing and ablation, against naive float64 forwards of tiny models,
written out per token."""

import numpy as np
import pytest
import torch

import tiny_models
from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring import metrics
from assay.dictionaries.measuring.ablation import (
    ABLATIONS,
    Donors,
    capture,
    compare,
    spliced_run,
    spliced_runs,
)
from assay.dictionaries.nonlinearity import Identity, ReLU
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from splicing import finish, splice_sums

WINDOWS, S, D = 5, 10, 24
DOCUMENT = np.array([0, 0, 2, 1, 2])


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("ablation") / request.param, request.param)


def tokens():
    return np.random.default_rng(0).integers(0, 250, (WINDOWS, S))


def keep():
    kept = np.random.default_rng(1).random((WINDOWS, S)) < 0.8
    kept[:, 0] = False
    return torch.from_numpy(kept)


def dictionary(width=D, runs=2):
    own = torch.Generator().manual_seed(0)
    W = torch.nn.functional.normalize(torch.randn(runs, 2 * width, width, generator=own), dim=-1)
    mean = 0.1 * torch.randn(runs, width, generator=own)
    scale = torch.tensor([0.7, 1.3])[:runs]
    return Dictionary(
        W.mT.contiguous(),
        torch.zeros(runs, 2 * width),
        W,
        torch.zeros(runs, width),
        ReLU(),
        {},
        mean,
        scale,
    )


def fixed(value, width=D):
    """A dictionary whose reconstruction is `value` whatever it reads."""
    nothing = torch.zeros(1, width, 1)
    return Dictionary(nothing, torch.zeros(1, 1), nothing.mT, value.view(1, width), ReLU())


def identity(width=D):
    eye, none = torch.eye(width)[None], torch.zeros(1, width)
    return Dictionary(eye, none, eye, none, Identity())


def donors(width=D):
    return Donors.of(torch.randn(40, width, generator=torch.Generator().manual_seed(3)), seed=5)


def logs(logits):
    """log softmax in float64, row by row."""
    out = np.zeros(logits.shape)
    for place in np.ndindex(logits.shape[:-1]):
        row = logits[place] - logits[place].max()
        out[place] = row - np.log(np.exp(row).sum())
    return out


def naive(folder, site, new):
    """Cross-entropy and KL(clean ‖ new) of every prediction by a naive forward with `new` at the
    kept positions of the site."""
    kept = keep().numpy()[..., None]
    clean = logs(tiny_models.naive(folder, tokens())[0])

    def edit(x):
        flat = x.reshape(*x.shape[:2], -1)
        return np.where(kept, new, flat).reshape(x.shape)

    other = logs(tiny_models.naive(folder, tokens(), {site: edit})[0])
    ce, kl = np.zeros((WINDOWS, S - 1)), np.zeros((WINDOWS, S - 1))
    for w in range(WINDOWS):
        for t in range(S - 1):
            ce[w, t] = -other[w, t, tokens()[w, t + 1]]
            kl[w, t] = sum(
                np.exp(p) * (p - q) for p, q in zip(clean[w, t], other[w, t], strict=True)
            )
    return ce, kl


def per_document(values):
    return [values[d == DOCUMENT].sum() for d in range(3)]


def sums(folder, of, site="blocks.1.hook_resid_pre", **options):
    options = {"keep": keep()} | options
    return splice_sums(
        load(str(folder)),
        Site.parse(site),
        of,
        torch.from_numpy(tokens()),
        DOCUMENT,
        3,
        donors(of.W_dec.shape[2]),
        **options,
    )


@pytest.mark.parametrize(
    "site",
    [
        "blocks.1.hook_resid_pre",
        "blocks.1.hook_resid_post",
        "blocks.2.hook_resid_post",
        "blocks.1.hook_mlp_out",
        "blocks.0.attn.hook_z",
    ],
)
def test_sums_are_those_of_naive_forwards(folder, site):
    model, place = load(str(folder)), Site.parse(site)
    passage, _ = capture(model, place, torch.from_numpy(tokens()), keep())
    acts, both = passage.acts, dictionary()
    got = sums(folder, both, site)
    new = {name: donors().put(name, acts).numpy() for name in ABLATIONS}
    for run in range(2):
        new["spliced"] = both[run].reconstruct(acts.flatten(0, 1))[0].reshape(acts.shape).numpy()
        for name, value in new.items():
            ce, kl = naive(folder, site, value)
            np.testing.assert_allclose(
                got[f"ce_{name}"][run], per_document(ce), rtol=2e-5, atol=2e-5
            )
            np.testing.assert_allclose(
                got[f"kl_{name}"][run], per_document(kl), rtol=1e-4, atol=2e-5
            )
        np.testing.assert_allclose(
            got["ce_clean"][run], per_document(naive(folder, site, acts.numpy())[0]), rtol=2e-5
        )
    assert got["predictions"].tolist() == [[2 * (S - 1), S - 1, 2 * (S - 1)]] * 2


def test_sums_do_not_hang_on_how_the_windows_are_cut(folder):
    whole, model = sums(folder, dictionary(), batch=5), load(str(folder))
    cut = [
        splice_sums(
            model,
            Site.parse("blocks.1.hook_resid_pre"),
            dictionary(),
            torch.from_numpy(tokens())[part],
            DOCUMENT[part],
            3,
            donors(),
            keep=keep()[part],
            first=part.start,
            batch=1,
        )
        for part in (slice(3, 5), slice(0, 3))
    ]
    for name in whole:
        np.testing.assert_allclose(cut[0][name] + cut[1][name], whole[name], rtol=1e-5, atol=1e-6)


def test_perfect_mean_and_zero_dictionaries_score_exactly(folder):
    """The same positions are replaced in all, so a dictionary that gives what an ablation gives
    scores 0 to the last bit."""
    perfect = finish(sums(folder, identity()))
    assert perfect["kl_spliced"] == 0 and perfect["ce_spliced"] == perfect["ce_clean"]
    assert all(perfect[f"kl_recovered_{name}"] == 1 for name in ABLATIONS)
    for value, name in ((torch.zeros(D), "zero"), (donors().mean, "mean")):
        same = finish(sums(folder, fixed(value)))
        assert same["ce_spliced"] == same[f"ce_{name}"]
        assert same[f"kl_recovered_{name}"] == 0
        assert same[f"loss_recovered_{name}"] == 0 or np.isnan(same[f"loss_recovered_{name}"])


def test_nothing_kept_is_nothing_changed(folder):
    got = finish(sums(folder, dictionary(), keep=torch.zeros(WINDOWS, S, dtype=torch.bool)))
    assert (got["kl_spliced"] == 0).all()
    assert (got["kl_zero"] == 0).all()
    assert np.isnan(got["kl_recovered_zero"]).all()


def test_a_transcoder_reads_one_site_and_replaces_another(folder):
    model = load(str(folder))
    reads = Site.parse("blocks.1.hook_resid_mid")
    site = Site.parse("blocks.1.hook_mlp_out")
    one = dictionary(runs=1)
    passage, clean = capture(model, site, torch.from_numpy(tokens()), keep(), reads)
    _, at_reads = tiny_models.naive(folder, tokens())
    np.testing.assert_allclose(passage.inputs, at_reads[str(reads)], atol=2e-5)
    new = one.reconstruct(passage.inputs.flatten(0, 1))[0].reshape(passage.acts.shape)
    _, kl = compare(clean, [spliced_run(model, site, passage, new)])
    np.testing.assert_allclose(
        kl[0], naive(folder, str(site), new.numpy())[1], rtol=1e-4, atol=2e-5
    )
    got = sums(folder, one, str(site), reads=reads, ablations=())
    np.testing.assert_allclose(got["kl_spliced"][0], per_document(kl[0].numpy()), rtol=1e-6)
    assert "ce_zero" not in got


@pytest.mark.parametrize(
    "site", ["blocks.1.hook_resid_pre", "blocks.1.hook_mlp_out", "ln_final.hook_normalized"]
)
@pytest.mark.parametrize("most", [1, 10, 14, 100])
def test_runs_that_share_a_pass_are_those_of_one_pass_each(folder, site, most):
    model, site = load(str(folder)), Site.parse(site)
    passage, clean = capture(model, site, torch.from_numpy(tokens()), keep())
    draw = torch.Generator().manual_seed(0)
    news = [torch.randn(passage.acts.shape, generator=draw) for _ in range(4)]
    runs = list(spliced_runs(model, site, passage, iter(news), most))
    ce, kl = compare(clean, runs)
    assert len(runs) == 4
    assert ce.shape == (5, WINDOWS, S - 1)
    assert kl.shape == (4, WINDOWS, S - 1)
    for v, new in enumerate(news):
        expected = naive(folder, str(site), new.numpy())
        np.testing.assert_allclose(ce[1 + v], expected[0], rtol=1e-4, atol=2e-5)
        np.testing.assert_allclose(kl[v], expected[1], rtol=1e-4, atol=2e-5)
        alone, _ = compare(clean, [spliced_run(model, site, passage, new)])
        np.testing.assert_allclose(ce[[0, 1 + v]], alone, rtol=1e-6)


def test_a_pass_takes_as_many_runs_as_make_up_its_windows(folder, monkeypatch):
    from assay.subjects.pretrained import Pretrained

    model, site = load(str(folder)), Site.parse("blocks.1.hook_resid_pre")
    passage, _ = capture(model, site, torch.from_numpy(tokens()), keep())
    windows, run = [], Pretrained.run
    monkeypatch.setattr(
        Pretrained, "run", lambda self, t, **k: windows.append(len(t)) or run(self, t, **k)
    )
    made = []

    def news():
        for i in range(5):
            made.append(i)
            yield passage.acts

    runs = spliced_runs(model, site, passage, news(), 2 * WINDOWS + 1)
    next(runs)
    assert made == [0, 1]  # what later passes put in is made for them
    assert len(list(runs)) == 4 and windows == [2 * WINDOWS, 2 * WINDOWS, WINDOWS]


def test_resampled_activations_are_other_tokens_and_the_same_for_every_dictionary():
    rows = torch.arange(60.0).view(30, 2)
    acts = torch.zeros(3, 4, 2)
    a, b = (Donors.of(rows, seed=1).put("resample", acts, first) for first in (0, 1))
    assert torch.equal(a[1:], b[:2]) and not torch.equal(a[0], b[0])
    assert all(any(torch.equal(x, row) for row in rows) for x in a.flatten(0, 1))
    assert not torch.equal(a, Donors.of(rows, seed=2).put("resample", acts))


def test_what_does_not_fit_is_refused(folder):
    with pytest.raises(DataError, match="each of the 5 windows, one of 0 … 1"):
        splice_sums(
            load(str(folder)),
            Site.parse("blocks.1.hook_resid_pre"),
            dictionary(),
            torch.from_numpy(tokens()),
            DOCUMENT,
            2,
            donors(),
        )
    with pytest.raises(DataError, match="ablations need donors"):
        splice_sums(
            load(str(folder)),
            Site.parse("blocks.1.hook_resid_pre"),
            dictionary(),
            torch.from_numpy(tokens()),
            DOCUMENT,
            3,
            None,
        )
    with pytest.raises(DataError, match="donors are 24 wide, the activations 7"):
        donors().put("zero", torch.zeros(1, 2, 7))
    with pytest.raises(DataError, match="at least two rows"):
        Donors.of(torch.zeros(3))


def test_recovered_is_a_ratio_of_sums_not_a_mean_of_ratios():
    """Two documents of very different weight: .905882 by sums, .575 by averaging each document's
    ratio."""
    clean = np.array([[2.0, 2.0]])
    zero = np.array([[10.0, 2.5]])
    spliced = np.array([[2.4, 2.4]])
    got = finish(
        {
            "predictions": np.ones((1, 2)),
            "ce_clean": clean,
            "ce_zero": zero,
            "ce_spliced": spliced,
            "kl_spliced": spliced - 2,
            "kl_zero": zero - 2,
        }
    )
    assert got["loss_recovered_zero"] == pytest.approx(0.905882, abs=1e-6)
    assert got["kl_recovered_zero"] == pytest.approx(0.905882, abs=1e-6)
    assert metrics.ce_recovered(clean, spliced, zero).mean() == pytest.approx(0.575)
    assert np.isnan(metrics.kl_recovered(0.1, 0.0))
