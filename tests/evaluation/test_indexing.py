"""An index of a tiny model's features: activations, effects and importances are those of a naive
float64 forward pass."""

import shutil

import numpy as np
import pytest
from test_evaluating import own, plain

import tiny_models
from assay.core.errors import DataError, ModelError, SpecError
from assay.evaluation import indexing
from assay.evaluation.text import IndexTextSpec, windows
from assay.features.index import firings
from assay.features.index.reader import Index
from assay.subjects import folder as models

SITE = "blocks.1.hook_resid_post"
SMALL = {"tokens": 240, "context": 12, "ablate": 6, "ablate_windows": 8}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dictionaries")
    plain().save(folder / "one.safetensors")
    plain(seed=1).save(folder / "two.safetensors")
    return folder / "one.safetensors"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def found(model, texts, saved, store):
    return indexing.index(
        saved, model=model, text=texts, also=[saved.parent / "two.safetensors"], root=store, **SMALL
    )


@pytest.fixture(scope="module")
def naive(model, found, store):
    """Tokens, kept, codes and losses of every window, in float64."""
    tokens = np.asarray(found.windows).astype(np.int64)
    logits, acts = tiny_models.naive(model, tokens)
    limit = np.load(next((store / "artefacts" / "index-place").glob("*/limits.npy")))[0]
    length = np.linalg.norm(acts[SITE], axis=-1)
    keep = length <= limit
    keep[:, 0] = False
    first = length[: indexing.LIMIT_WINDOWS, 1:]
    assert limit == pytest.approx(6 * np.sort(first.ravel())[(first.size - 1) // 2], rel=1e-5)
    codes = own(plain())[0](acts[SITE]) * keep[..., None]
    return tokens, keep, codes, tiny_models.naive_loss(logits, tokens)


def _without(model, tokens, codes, k, at=None, share=1.0):
    """Losses with a feature taken out wherever it is on, or (share of it) at one position."""
    d = plain()
    row = (d.W_dec[0] / d.scale[0])[k].double().numpy()
    part = codes[..., k, None] * row
    if at is not None:
        part = part * (np.arange(codes.shape[1]) == at)[None, :, None] * share
    logits, _ = tiny_models.naive(model, tokens, {SITE: lambda x: x - part})
    return tiny_models.naive_loss(logits, tokens)


def test_firings_are_those_of_the_naive_dictionary(found, naive):
    _, keep, codes, losses = naive
    assert found.about.tokens == keep.sum()
    assert found.about.loss == pytest.approx(losses.mean(), rel=1e-5)
    for k in range(0, 48, 7):
        row = found.feature(k).numbers
        assert row["firings"] == (codes[..., k] > 0).sum()
        assert row["maximum"] == pytest.approx(codes[..., k].max(), rel=1e-4)
    assert found.about.l0 == pytest.approx((codes > 0).sum() / keep.sum())


def test_unexplained_variance(found, naive, model):
    tokens, keep, codes, _ = naive
    acts = tiny_models.naive(model, tokens)[1][SITE]
    x, hat = acts[keep], own(plain())[1](codes)[keep]
    assert found.about.fvu == pytest.approx(
        ((x - hat) ** 2).sum() / ((x - x.mean(0)) ** 2).sum(), rel=1e-4
    )


def test_the_loss_with_the_reconstruction_in_place(found, naive, model):
    tokens, keep, codes, _losses = naive
    hat = own(plain())[1](codes)
    logits, _ = tiny_models.naive(
        model, tokens, {SITE: lambda x: np.where(keep[..., None], hat, x)}
    )
    assert found.about.loss_spliced == pytest.approx(
        tiny_models.naive_loss(logits, tokens).mean(), rel=1e-4
    )


def test_first_order_effects_are_derivatives_of_the_naive_loss(found, naive, model):
    """The effect of a firing is the derivative of the loss by the share that is taken out: central
    differences of a thousandth."""
    tokens, _, codes, _ = naive
    checked = 0
    for k in (
        int(c["feature"])
        for c in found.query("SELECT feature FROM features WHERE firings > 3 LIMIT 4")
    ):
        for context in found.contexts(k, "top")[:2]:
            some = slice(context.window, context.window + 1)
            up, down = (
                _without(model, tokens[some], codes[some], k, context.position, share).sum()
                for share in (1e-3, -1e-3)
            )
            assert context.effects[context.at] == pytest.approx(
                (up - down) / 2e-3, rel=1e-3, abs=1e-5
            )
            checked += 1
    assert checked >= 6


def test_importance_is_that_of_a_forward_pass_without_the_feature(found, naive, model):
    tokens, _, codes, losses = naive
    rows = found.query("SELECT * FROM features WHERE importance IS NOT NULL")
    assert len(rows) == found.about.ablated == 6
    document = np.load(found.folder / "window_document.npy")
    for row in rows:
        k = row["feature"]
        on = (codes[..., k] > 0).any(1)
        nth = {w: int((on[:w] & (document[:w] == document[w])).sum()) for w in np.flatnonzero(on)}
        chosen = sorted(sorted(nth, key=lambda w: (nth[w], w))[:8])
        delta = _without(model, tokens[chosen], codes[chosen], k) - losses[chosen]
        active = codes[chosen][:, :-1, k] > 0
        assert row["ablated_firings"] == active.sum()
        assert row["importance"] == pytest.approx(delta[active].mean(), rel=1e-3, abs=1e-6)
        assert row["importance_total"] == pytest.approx(
            delta[active].mean() * row["density"], rel=1e-3, abs=1e-6
        )
        assert row["spill"] == pytest.approx(delta[~active].mean(), rel=1e-3, abs=1e-6)
        assert row["hit_share"] == pytest.approx((delta[active] > 0).mean())
        assert row["ablation_text"] == pytest.approx(delta.mean(), rel=1e-3, abs=1e-6)
        assert (
            row["importance_low"] is None
            or row["importance_low"] <= row["importance"] <= row["importance_high"]
        )


def test_more_tokens_read_only_what_is_new(found, model, texts, saved, store, monkeypatch):
    read = []
    one = firings.read
    monkeypatch.setattr(
        firings,
        "read",
        lambda at, tokens, **more: read.append(tokens.size) or one(at, tokens, **more),
    )
    monkeypatch.setattr("assay.evaluation.text.INDEX_SHARD", 120)
    first = indexing.index(saved, model=model, text=texts, root=store, **SMALL)
    assert sum(read) == 240
    read.clear()
    more = indexing.index(saved, model=model, text=texts, root=store, **(SMALL | {"tokens": 360}))
    assert sum(read) == 120
    assert np.array_equal(more.windows[:20], first.windows) and more.about.windows == 30
    read.clear()
    again = indexing.index(saved, model=model, text=texts, root=store, **SMALL)
    assert not read and again.folder == first.folder
    # where no number of ablations is asked for, the most complete index that is there is given
    asked = {n: v for n, v in SMALL.items() if "ablate" not in n}
    larger = indexing.index(saved, model=model, text=texts, root=store, **asked)
    assert not read and larger.folder == more.folder
    fewer = indexing.index(saved, model=model, text=texts, root=store, **(SMALL | {"ablate": 3}))
    assert fewer.summary["ablated"] == 3 and fewer.folder != first.folder
    # one shard or two, the text is the same
    a, b = (x.feature(3) for x in (found, first))
    assert a.numbers["firings"] == b.numbers["firings"]
    assert [c.window for c in a.contexts] == [c.window for c in b.contexts]


@pytest.mark.parametrize(
    "what", ["windows with features ablated", "windows with the reconstruction in place"]
)
def test_what_was_taken_out_before_a_kill_is_not_taken_out_again(
    found, model, texts, saved, tmp_path, monkeypatch, what
):
    from assay.features.index import ablations

    def stop(told, done, total):
        if told == what and done > total / 2:
            raise KeyboardInterrupt

    passes_run = []
    for name in ("importance_sums", "capture"):
        one = getattr(ablations, name)
        monkeypatch.setattr(
            ablations,
            name,
            lambda *given, one=one, **more: passes_run.append(1) or one(*given, **more),
        )
    options = {
        "model": model,
        "text": texts,
        "also": [saved.parent / "two.safetensors"],
        "root": tmp_path,
    }
    with pytest.raises(KeyboardInterrupt):
        indexing.index(saved, progress=stop, **options, **SMALL)
    before = len(passes_run)
    again = indexing.index(saved, **options, **SMALL)
    windows = len(again.windows)
    # each few windows once for each of both
    assert before and len(passes_run) <= 2 * -(-windows // ablations.STEP)
    columns = "importance, spill, gradient_sample"
    ours, whole = (
        x.query(f"SELECT {columns} FROM features WHERE importance IS NOT NULL ORDER BY feature")
        for x in (again, found)
    )
    for a, b in zip(ours, whole, strict=True):
        assert {k: v for k, v in a.items() if v is not None} == pytest.approx(
            {k: v for k, v in b.items() if v is not None}, rel=1e-5
        )
    assert again.about.loss_spliced == pytest.approx(found.about.loss_spliced, rel=1e-6)
    assert not list(again.folder.glob("parts"))


def test_without_gradients_nothing_is_said_of_effects(model, texts, saved, tmp_path):
    found = indexing.index(
        saved, model=model, text=texts, root=tmp_path, gradients=False, **(SMALL | {"ablate": 0})
    )
    row = found.feature(3)
    assert not found.about.gradients
    assert found.about.loss is None
    assert found.about.ablated == 0
    assert row.numbers["gradient_total"] is None
    assert row.contexts[0].effects is None
    assert row.numbers["importance"] is None


def test_windows_are_the_first_of_more_windows(model, texts):
    from assay.data import corpus

    folder, text = models.find(str(model)), corpus.load(str(texts))
    spec = IndexTextSpec(
        model=folder.fingerprint, corpus=text.fingerprint, part="all", context=12, bos=True
    )
    few, many = windows(text, folder, spec, 10), windows(text, folder, spec, 55)
    assert np.array_equal(few.tokens, many.tokens[:10])
    assert np.array_equal(few.document, many.document[:10])
    assert (many.tokens[:, 0] == 3).all()
    assert len(
        {(int(d), tuple(t)) for d, t in zip(many.document, many.tokens.tolist(), strict=True)}
    ) == len(many.tokens)
    encoded = folder.tokenizer.encode(text.text(int(many.document[0])))
    assert any(
        encoded[i : i + 11] == many.tokens[0, 1:].tolist() for i in range(0, len(encoded), 11)
    )


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"tokens": 0}, SpecError, "at least 1"),
        ({"ablate_windows": 1}, SpecError, "at least 2"),
        ({"context": 2}, SpecError, "at least 3"),
        ({"site": "blocks.9.hook_resid_post"}, ModelError, "3 blocks"),
        ({"site": "blocks.1.mlp.hook_post"}, DataError, "is this its model"),
        ({"context": 999}, DataError, "at most 64"),
    ],
)
def test_what_does_not_fit_is_one_line(model, texts, saved, tmp_path, options, error, words):
    with pytest.raises(error) as raised:
        indexing.index(saved, model=model, text=texts, root=tmp_path, **(SMALL | options))
    assert words in str(raised.value) and "\n" not in str(raised.value)
    assert not indexing.folders(indexing.Store(tmp_path))


@pytest.mark.parametrize("ask", [indexing.index, indexing.few_documents])
def test_a_dictionary_that_is_not_there_is_missed_before_the_model_is_read(ask, tmp_path):
    with pytest.raises(DataError, match="no file, folder or stored run 'nowhere'"):
        ask("nowhere", model="no-model", text="no text", root=tmp_path, tokens=240)


def test_an_index_has_no_path_from_the_root_and_finds_its_files_when_all_is_moved(
    model, texts, tmp_path
):
    (tmp_path / "here").mkdir()
    here = (tmp_path / "here").resolve()
    shutil.copytree(model, here / "model")
    plain().save(here / "one.safetensors")
    made = indexing.index(
        here / "one.safetensors", model=here / "model", text=texts, root=here / "store", **SMALL
    )
    assert str(here) not in (made.folder / "about.json").read_text()
    moved = here.rename(tmp_path / "there")
    about = Index(moved / made.folder.relative_to(here)).about
    assert about.source == str(moved / "one.safetensors")
    assert about.model == str(moved / "model")
