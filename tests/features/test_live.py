"""A text read live: activations, attribution and ablation are those of naive float64 forward
passes, one firing at a time."""

from dataclasses import replace

import live_texts as lt
import numpy as np
import pytest

from assay.core.errors import DataError, ModelError
from assay.dictionaries.dictionary import Dictionary
from assay.features.live.ablation import ablate_features, attribute, reconstructed_loss
from assay.features.live.reader import Reader
from assay.subjects.site import Site

SITES = [
    (lt.SITE, None, ""),
    ("blocks.1.hook_resid_mid", None, "layer-norm"),
    ("blocks.0.hook_resid_mid", "blocks.0.hook_mlp_out", ""),
]
SITES += [("blocks.2.hook_resid_post", None, "")]


@pytest.fixture(params=SITES, ids=["stream", "normalised", "transcoder", "last"])
def read(request, folder, model):
    site, writes, per_token = request.param
    reader = lt.reader(model, site, writes, per_token)
    reading = reader.read(lt.TEXT)
    return reader, reading, lt.Naive(folder, reading.ids, site, writes, per_token)


def test_a_reading_has_the_tokens_losses_and_firings(read):
    reader, reading, naive = read
    assert "".join(reading.words) == lt.TEXT
    assert list(reading.ids) == reader.subject.encode(lt.TEXT)
    np.testing.assert_allclose(reading.loss, naive.loss, rtol=1e-4)
    assert reading.left_out == (0,)
    assert len(reading) == len(reading.keep) == len(naive.a)
    np.testing.assert_allclose(
        reading.firings.columns(range(lt.WIDTH), len(reading)), naive.a, atol=2e-5
    )
    position, feature = naive.a.nonzero()
    assert (reading.firings.position == position).all()
    assert (reading.firings.feature == feature).all()
    twice = reading.firings.columns([3, 1, 3], len(reading))
    assert (twice == reading.firings.columns(range(lt.WIDTH), len(reading))[:, [3, 1, 3]]).all()
    assert reading.firings.columns([], len(reading)).shape == (len(reading), 0)
    assert (reading.on == np.flatnonzero(naive.a.any(0))).all()
    assert lt.NEVER not in reading.on
    assert set(reading.firings.at(4).feature) == set(np.flatnonzero(naive.a[4]))
    assert len(reading.firings.of(lt.NEVER)) == 0


def test_attribution_is_the_slope_of_finite_differences(read):
    """Central differences in float64, one firing at a time, for the text and for one prediction."""
    reader, reading, naive = read
    whole, one = attribute(reader, reading), attribute(reader, reading, 7)
    small = 1e-4
    for i in range(0, len(reading.firings), 4):
        t, k = reading.firings.position[i], reading.firings.feature[i]
        part = small * naive.part(t, k)
        slope = (naive.losses(-part) - naive.losses(part)) / (2 * small)
        assert whole.value[i] == pytest.approx(slope.sum(), abs=2e-4, rel=1e-3)
        assert one.value[i] == pytest.approx(slope[7], abs=2e-4, rel=1e-3)
        assert t <= 7 or one.value[i] == 0
    assert whole.loss == pytest.approx(naive.loss.sum(), rel=1e-4)
    assert one.loss == pytest.approx(naive.loss[7], rel=1e-4)
    error = np.where(
        reading.keep[:, None],
        (reading.acts - reader.dictionary.reconstruct(reading.inputs)).double().numpy(),
        0,
    )
    for t in (0, 3):
        part = small * np.where(np.arange(len(error))[:, None] == t, error, 0)
        slope = (naive.losses(-part) - naive.losses(part)).sum() / (2 * small)
        assert whole.error[t] == pytest.approx(slope, abs=2e-4, rel=1e-3)


def test_the_features_that_matter_are_summed_and_ordered(model):
    reader = lt.reader(model)
    found = attribute(reader, reader.read(lt.TEXT))
    features, sums = found.by_feature()
    wanted = {
        k: found.value[found.firings.feature == k].sum() for k in np.unique(found.firings.feature)
    }
    assert dict(zip(features, sums, strict=True)) == pytest.approx(wanted)
    assert (np.diff(np.abs(sums)) <= 0).all()


def test_a_feature_taken_out_is_a_forward_pass_without_it(read):
    reader, reading, naive = read
    features = [int(k) for k in reading.on[:3]]
    found = ablate_features(reader, reading, features)
    for i, k in enumerate(features):
        wanted = naive.losses(-naive.feature(k)) - naive.loss
        np.testing.assert_allclose(found.delta[i], wanted, atol=3e-5)
        assert (found.delta[i, : np.flatnonzero(naive.a[:, k])[0]] == 0).all()
    assert found.feature.tolist() == features
    np.testing.assert_allclose(found.on(), found.delta.sum(1))
    np.testing.assert_allclose(found.on(7), found.delta[:, 7])


def test_a_set_is_taken_out_at_once(read):
    reader, reading, naive = read
    a, b = (int(k) for k in reading.on[:2])
    found = ablate_features(reader, reading, [[a, b], a])
    np.testing.assert_allclose(
        found.delta[0], naive.losses(-naive.feature(a) - naive.feature(b)) - naive.loss, atol=3e-5
    )
    assert found.feature.tolist() == [a, a]


def test_what_does_not_fire_changes_nothing_to_the_last_bit(read):
    reader, reading, _ = read
    assert (ablate_features(reader, reading, [lt.NEVER]).delta == 0).all()
    assert ablate_features(reader, reading, []).delta.shape == (0, len(reading) - 1)


def test_of_the_last_prediction_alone_the_effects_are_the_same(read):
    reader, reading, _ = read
    features = [int(k) for k in reading.on]
    for asked in (features, [features[:2], features], [lt.NEVER]):
        for random in (None, 0):
            found = ablate_features(reader, reading, asked, random=random)
            last = ablate_features(reader, reading, asked, last=True, random=random)
            # log-probabilities near -6, whose last bit in float32 is 5e-7
            np.testing.assert_allclose(last.on(), found.delta[:, -1], atol=4e-6)


def test_the_reconstruction_has_the_loss_of_a_spliced_pass(read):
    reader, reading, naive = read
    new = reader.dictionary.reconstruct(reading.inputs).double().numpy()
    add = np.where(reading.keep[:, None], new - naive.acts, 0)
    np.testing.assert_allclose(reconstructed_loss(reader, reading), naive.losses(add), atol=3e-5)


def test_a_token_behind_the_text_is_asked_about_and_has_no_features(model):
    reader = lt.reader(model)
    plain, asked = reader.read(lt.TEXT), reader.read(lt.TEXT, next_id=17)
    assert asked.ids == (*plain.ids, 17) and asked.left_out == (0, len(plain))
    assert asked.limits == pytest.approx(plain.limits, rel=1e-5)
    np.testing.assert_allclose(asked.loss[:-1], plain.loss, rtol=1e-5)
    assert (asked.firings.feature == plain.firings.feature).all()
    assert (asked.firings.position == plain.firings.position).all()
    assert attribute(reader, asked, len(plain) - 1).loss == pytest.approx(asked.loss[-1])


def test_a_text_that_is_cut_is_read_the_same(model):
    reader = lt.reader(model)
    whole = reader.read(lt.TEXT)
    cut = whole.cut(9)
    np.testing.assert_allclose(
        attribute(reader, cut, 7).value,
        attribute(reader, whole, 7).value[: len(cut.firings)],
        atol=1e-5,
    )
    assert len(cut) == 9 and cut.ids == whole.ids[:9] and (cut.firings.position < 9).all()


def test_the_rules_of_what_counts(folder, model):
    first = lt.reader(model, bos=True, skip_first=3, outlier=1.05).read(lt.TEXT)
    assert first.ids[0] == 3 and list(first.ids[1:]) == model.encode(lt.TEXT)
    x = lt.Naive(folder, first.ids).x
    length = np.linalg.norm(x, axis=1)
    after = np.sort(length[3:])
    keep = (np.arange(len(x)) >= 3) & (length <= 1.05 * after[(len(after) - 1) // 2])
    assert first.left_out == tuple(np.flatnonzero(~keep))
    assert 3 < len(first.left_out) < len(x)
    assert np.isin(first.firings.position, np.flatnonzero(keep)).all()
    everywhere = lt.Naive(folder, first.ids, skip_first=0).a
    assert np.isin(first.uncounted.position, first.left_out).all()
    assert len(first.cut(2).uncounted) == (everywhere[:2] > 0).sum()
    both = first.firings.columns(range(lt.WIDTH), len(first)) + first.uncounted.columns(
        range(lt.WIDTH), len(first)
    )
    np.testing.assert_allclose(both, everywhere, rtol=1e-4, atol=2e-5)
    assert lt.reader(model, skip_first=0, outlier=0).read(lt.TEXT).left_out == ()


def test_features_with_a_sign(folder, model):
    from assay.dictionaries.selection import AbsTopK

    reader = Reader(model, replace(lt.dictionary(), nonlinearity=AbsTopK(3)), Site.parse(lt.SITE))
    reading = reader.read(lt.TEXT)
    below = reading.firings[reading.firings.value < 0]
    assert len(below) and len(reading.firings) == 3 * (len(reading) - 1)
    naive = lt.Naive(folder, reading.ids)
    row = 1.5 / 0.7 * lt.dictionary().W_enc[0].mT.double().numpy()
    k = int(below.feature[0])
    found = ablate_features(reader, reading, [k])
    add = np.zeros_like(naive.acts)
    some = reading.firings.of(k)
    add[some.position] = -some.value[:, None] * row[k]
    np.testing.assert_allclose(found.delta[0], naive.losses(add) - naive.loss, atol=3e-5)


def test_what_does_not_fit_is_refused(model):
    reader = lt.reader(model, most=20)
    reading = reader.read(lt.TEXT)
    with pytest.raises(DataError, match="tokens, at most 20 are read"):
        reader.read(3 * lt.TEXT)
    with pytest.raises(DataError, match="at most 64 are read"):
        lt.reader(model).read(9 * lt.TEXT)
    with pytest.raises(DataError, match="the text has length 1 in tokens; give at least 3"):
        reader.read("x")
    with pytest.raises(
        DataError, match=r"tokens are left out, with skip_first 1 and outlier 0\.01"
    ):
        lt.reader(model, outlier=0.01).read(lt.TEXT)
    with pytest.raises(
        DataError, match=f"made at tokens 0 to {len(reading) - 2}, got {len(reading) - 1}"
    ):
        attribute(reader, reading, len(reading) - 1)
    with pytest.raises(DataError, match="numbered 0 to 11, got 12"):
        ablate_features(reader, reading, [12])
    with pytest.raises(DataError, match="got an empty set"):
        ablate_features(reader, reading, [[]])
    with pytest.raises(DataError, match="got 2 runs"):
        Reader(model, Dictionary.join([lt.dictionary()] * 2), Site.parse(lt.SITE))
    with pytest.raises(DataError, match="reads 24 numbers per token"):
        lt.reader(model, "blocks.1.mlp.hook_post")
    with pytest.raises(ModelError, match="has 3 blocks"):
        lt.reader(model, "blocks.7.hook_resid_pre")
    with pytest.raises(DataError, match="at least 0, got -1"):
        lt.reader(model, skip_first=-1)
