"""Targets: each one against the model's own sites and logits, normalised as said, side by side for
the same tokens."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from assay.core.errors import DataError, SpecError
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay_catalogue.data.targets import NEEDS, TargetSpec, targets
from tiny_models import make

ALL = tuple(NEEDS)


@pytest.fixture(scope="module")
def made(tmp_path_factory, plain_bench):
    folder = tmp_path_factory.mktemp("targets")
    model = make(folder / "model", "gpt2", tie_word_embeddings=False, n_inner=40)
    text = folder / "text"
    text.mkdir()
    for i in range(40):
        (text / f"{i:02}.py").write_text(
            "\n".join(f"x{i} = {j} * {i} + y_{j % 7}" for j in range(80))
        )
    spec = TargetSpec(
        subject=str(model),
        layer=2,
        targets=ALL,
        corpus=str(text),
        windows=24,
        context=16,
        dtype="float32",
    )
    bench = plain_bench(folder / "store")
    train = targets(spec, bench)
    return (
        model,
        spec,
        bench,
        train,
        targets(spec.replace(part="test", windows=0), bench, like=train),
    )


def test_each_target_is_what_the_model_computes(made):
    folder, _, _, train, _ = made
    model = load(str(folder))
    sites = {
        kind: Site(kind, 2)
        for kind in ("mlp_post", "mlp_out", "resid_post", "attn_out", "resid_pre")
    }
    tokens = torch.from_numpy(train.harvests["attn_out"].tokens[:3].astype(np.int64))
    clean = model.run(tokens, capture=list(sites.values()))
    rows = np.arange(3 * 16)
    raw = train.raw(rows)
    for name, kind in (
        ("act", "mlp_post"),
        ("update", "mlp_out"),
        ("post", "resid_post"),
        ("attn", "attn_out"),
        ("resid", "resid_pre"),
    ):
        wanted = clean.acts[sites[kind]].flatten(0, 1)
        torch.testing.assert_close(
            raw[name], wanted, rtol=5e-3, atol=5e-3 * float(wanted.abs().max()), msg=name
        )  # stored as float16
    without = model.run(tokens, edits={sites["mlp_out"]: torch.zeros_like}).logits
    difference = (clean.logits - without).flatten(0, 1)
    difference = difference - difference.mean(1, keepdim=True)
    np.testing.assert_allclose(raw["logit-exact"].norm(dim=1), difference.norm(dim=1), rtol=2e-2)
    o, x = clean.acts[sites["mlp_out"]].flatten(0, 1), clean.acts[sites["resid_post"]].flatten(0, 1)
    sigma = x.var(1, unbiased=False, keepdim=True).add(1e-5).sqrt()
    ln, head = model.model.transformer.ln_f, model.model.lm_head.weight
    frozen = (o - o.mean(1, keepdim=True)) / sigma * ln.weight @ head.T
    np.testing.assert_allclose(
        raw["logit"].norm(dim=1), (frozen - frozen.mean(1, keepdim=True)).norm(dim=1), rtol=2e-2
    )


def test_normalised_rows_have_mean_0_and_square_d(made):
    train = made[3]
    x = train.rows(train.kept)
    for name in ALL:
        np.testing.assert_allclose(x[name].mean(0), 0, atol=2e-3)
        assert float(x[name].square().sum(1).mean()) == pytest.approx(train.width(name), rel=1e-3)
    assert {name: train.width(name) for name in ALL} == {"act": 40, **dict.fromkeys(ALL[1:], 24)}


def test_another_part_is_normalised_as_the_training_part(made):
    train, test = made[3], made[4]
    assert {test.files[d] for d in np.unique(test.document)}.isdisjoint(
        train.files[d] for d in np.unique(train.document)
    )
    rows = test.kept[:5]
    np.testing.assert_allclose(
        test.rows(rows)["act"],
        (test.raw(rows)["act"] - torch.from_numpy(train.mean("act"))) * train.scale("act"),
    )


def test_a_batch_holds_all_targets_of_the_same_rows_each_once_an_epoch(made):
    train = made[3]
    batches = train.batches(np.array([5, 5]), 32)
    per_epoch = len(train.kept) // 32
    seen, everything = (
        Counter(row.numpy().tobytes() for row in x)
        for x in (
            torch.cat([batches(step)["act"] for step in range(per_epoch)]),
            train.rows(train.kept)["act"],
        )
    )
    assert sum(seen.values()) == 32 * per_epoch and seen <= everything
    act, update = batches(0)["act"], batches(0)["update"]
    raw = act / train.scale("act") + torch.from_numpy(train.mean("act"))
    torch.testing.assert_close(
        update, train.normalise("update", train.readout.update(raw)), atol=1e-3, rtol=1e-3
    )
    assert not torch.equal(batches(0)["act"], batches(per_epoch)["act"])
    torch.testing.assert_close(batches(3)["logit"], train.batches(np.array([5]), 32)(3)["logit"])


def test_moments_are_worked_out_once(made, monkeypatch):
    _, spec, bench, train, _ = made
    from assay_catalogue.data.targets import Targets, _opened

    _opened.cache_clear()
    monkeypatch.setattr(Targets, "measure_moments", lambda self: pytest.fail("again"))
    assert targets(spec, bench).scale("post") == train.scale("post")


def test_bad_requests_are_told_in_one_line(made):
    with pytest.raises(SpecError, match="must be one of 'act', 'update'"):
        TargetSpec(targets=("acts",))
    with pytest.raises(DataError, match="names none"):
        TargetSpec(targets=())
    with pytest.raises(DataError, match="one seed at a time"):
        made[3].batches(np.array([1, 2]), 8)
    with pytest.raises(DataError, match="larger than"):
        made[3].batches(np.array([1]), 10**6)
