"""One table: what every metric must not depend on. Whatever is not listed as an exception must
stay; every exception must be real.

A world is an activation set, a dictionary, planted truth and losses. A change makes another world
that says the same: other row order, precision, unit, origin, order of latents, share between code
and decoder. A metric may differ only where EXCEPTIONS says why, and there it must differ, so that
the table cannot hide a metric that reads nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_models
from acceptance.test_invariances import B, D, F, world
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring import metrics, rarity, recovery, redundancy
from assay.dictionaries.nonlinearity import ReLU
from assay.features import importance
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay_catalogue.features import probing


def support(w):
    return recovery.support(recovery.support_sums(w.codes, w.features))


def classes(w):
    found = rarity.density_classes((w.features > 0).sum(0), B)
    return np.array([found[name] for name in ("dead", "ultra_rare", "rare", "ordinary", "dense")])


def delta(w):
    sums = importance.token_sums((w.losses[1] - w.losses[0])[None], w.label[None])
    return importance.finish({name: value[:, None] for name, value in sums.items()})


METRICS = {
    "l0": lambda w: metrics.l0(w.features),
    "fvu": lambda w: metrics.fvu(w.rows, w.x_hat),
    "shrinkage": lambda w: metrics.shrinkage(w.rows, w.x_hat),
    "shrinkage, centred": lambda w: metrics.shrinkage(w.rows, w.x_hat, w.mean),
    "norm_ratio": lambda w: metrics.norm_ratio(w.rows, w.x_hat),
    "norm_ratio, centred": lambda w: metrics.norm_ratio(w.rows, w.x_hat, w.mean),
    "density": lambda w: metrics.density(w.features),
    "dead": lambda w: metrics.dead(w.features),
    "ce_recovered": lambda w: metrics.ce_recovered(*w.losses[:3].astype(w.dtype).sum(1)),
    "kl_recovered": lambda w: metrics.kl_recovered(*w.losses[3:].astype(w.dtype).sum(1)),
    "density_classes": classes,
    "nearest_cosine": lambda w: redundancy.nearest_cosine(w.decoder.astype(w.dtype)),
    "effective_dimensions": lambda w: redundancy.effective_dimensions(w.decoder.astype(w.dtype)),
    "mcc": lambda w: recovery.mcc(w.true, w.decoder.astype(w.dtype)),
    "mcc_matched": lambda w: recovery.mcc_matched(w.true, w.decoder.astype(w.dtype)),
    "support, F1": lambda w: support(w)["f1"],
    "support, precision": lambda w: support(w)["precision"],
    "support, recall": lambda w: support(w)["recall"],
    "auroc": lambda w: np.array(
        probing.auroc(w.features[:, 0] * np.linalg.norm(w.decoder[0]), w.label)
    ),
    "importance, conditional": lambda w: delta(w)["conditional"],
    "importance, total": lambda w: delta(w)["total"],
    "importance, spill": lambda w: delta(w)["spill"],
    "importance, hit share": lambda w: delta(w)["hit_share"],
}
PER_LATENT = {"density", "nearest_cosine"}
"""One number a latent: these move with it, and are compared sorted."""


def reorder(w, own):
    p = own.permutation(B)
    return replace(w, x=w.x[p], codes=w.codes[p], losses=w.losses[:, p], label=w.label[p])


def single(w, own):
    return replace(w, dtype=np.float32)


def other_unit(w, own):
    c = float(own.choice([0.01, 30.0]))
    return replace(
        w,
        x=c * w.x,
        encoder=w.encoder / c,
        decoder=c * w.decoder,
        centre=c * w.centre,
        true=c * w.true,
        losses=c * w.losses,
    )


def other_origin(w, own):
    v = 3 * own.normal(size=D)
    losses = w.losses + np.array([1, 1, 1, 0, 0])[:, None]  # a KL has no free origin
    return replace(w, x=w.x + v, centre=w.centre + v, losses=losses)


def other_latents(w, own):
    p = np.append(0, 1 + own.permutation(F - 1))
    return replace(w, encoder=w.encoder[:, p], bias=w.bias[p], decoder=w.decoder[p])


def other_share(w, own):
    a = 10 ** own.uniform(-2, 2, F)
    return replace(w, encoder=w.encoder * a, bias=w.bias * a, decoder=w.decoder / a[:, None])


CHANGES = {
    "order of rows": reorder,
    "float32": single,
    "unit": other_unit,
    "origin": other_origin,
    "order of latents": other_latents,
    "factor between code and decoder": other_share,
}
EXCEPTIONS = {
    (
        "shrinkage",
        "origin",
    ): "the raw form is about 0; a large mean hides shrinkage, hence the centred form",
    ("norm_ratio", "origin"): "the raw form is about 0",
    ("importance, conditional", "unit"): "in nats: in bits it is another number",
    ("importance, total", "unit"): "in nats",
    ("importance, spill", "unit"): "in nats",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("metric", METRICS)
@given(seed=st.integers(0, 99))
@settings(max_examples=5)
def test_the_table(metric, change, seed):
    w = world(seed)
    before, after = (
        np.asarray(METRICS[metric](v), dtype=float)
        for v in (w, CHANGES[change](w, np.random.default_rng(seed)))
    )
    if metric in PER_LATENT:
        before, after = np.sort(before), np.sort(after)
    assert not np.isnan(before).all(), "a world in which the metric is undefined shows nothing"
    same = np.allclose(
        before, after, rtol=1e-4 if change == "float32" else 1e-6, atol=1e-6, equal_nan=True
    )
    assert same != ((metric, change) in EXCEPTIONS), f"{before} became {after}"


def test_every_exception_names_a_metric_and_a_change():
    assert all(metric in METRICS and change in CHANGES for metric, change in EXCEPTIONS)


# sums that stream: however the rows are cut, and as the functions of all rows say


def by_document_sums(w, parts):
    one, x = w.dictionary(), torch.tensor(w.x, dtype=torch.float32)
    found = [
        metrics.document_sums(one, x[p], np.zeros(len(p), int), 1, mean=torch.tensor(w.mean))
        for p in parts
    ]
    done = metrics.finish({name: sum(f[name] for f in found) for name in found[0]})
    firings = sum(f["firings"] for f in found)
    return {
        **done,
        "classes": rarity.density_classes(firings, B)["dead"],
        "dense": rarity.density_classes(firings, B)["dense"],
    }


def by_support_sums(w, parts):
    found = [recovery.support_sums(w.codes[p], w.features[p]) for p in parts]
    return recovery.support({name: sum(f[name] for f in found) for name in found[0]})


def by_token_sums(w, parts):
    d = w.losses[1] - w.losses[0]
    found = [importance.token_sums(d[p][None], w.label[p][None]) for p in parts]
    return importance.finish({name: sum(f[name] for f in found)[:, None] for name in found[0]})


STREAMED = [by_document_sums, by_support_sums, by_token_sums]


@pytest.mark.parametrize("stream", STREAMED)
@given(seed=st.integers(0, 99))
@settings(max_examples=8)
def test_how_rows_are_cut_does_not_matter(stream, seed):
    w, own = world(seed), np.random.default_rng(seed)
    whole = stream(w, [np.arange(B)])
    cuts = np.sort(own.choice(np.arange(1, B), 3, replace=False))
    parts = [own.permutation(p) for p in np.split(own.permutation(B), cuts)]
    for name, value in stream(w, parts).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-5, err_msg=name)
    if stream is by_document_sums:
        for name, metric in (
            ("l0", "l0"),
            ("fvu", "fvu"),
            ("gamma", "shrinkage, centred"),
            ("gamma_raw", "shrinkage"),
            ("norm_ratio", "norm_ratio, centred"),
            ("dead", "dead"),
        ):
            np.testing.assert_allclose(whole[name][0], METRICS[metric](w), rtol=1e-4, err_msg=name)


# what only a model can show: importance


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load(str(tiny_models.make(tmp_path_factory.mktemp("invariances") / "llama", "llama")))


def taken_out(model, one):
    own = np.random.default_rng(0)
    tokens = torch.from_numpy(own.integers(0, 250, (4, 8)))
    sums = importance.importance_sums(
        model,
        Site.parse("blocks.1.hook_resid_pre"),
        one,
        range(one.width),
        tokens,
        np.zeros(4, int),
        1,
    )
    return importance.finish(sums)


def test_importance_does_not_depend_on_how_latents_are_written(model):
    g = torch.Generator().manual_seed(0)
    W = torch.nn.functional.normalize(torch.randn(1, 16, 24, generator=g), dim=-1)
    bias, zero = torch.full((1, 16), -0.3), torch.zeros(1, 24)
    one = Dictionary(W.mT.contiguous(), bias, W, zero, ReLU(), b_pre=zero)
    factor = torch.logspace(-2, 2, 16)
    scaled = replace(one, W_enc=one.W_enc * factor, b_enc=bias * factor, W_dec=W / factor[:, None])
    turned = replace(one, W_enc=one.W_enc.flip(2), W_dec=W.flip(1))
    taken = taken_out(model, one)
    for other, back in ((scaled, slice(None)), (turned, slice(None, None, -1))):
        for name, value in taken_out(model, other).items():
            np.testing.assert_allclose(value[back], taken[name], rtol=1e-4, atol=2e-5, err_msg=name)
