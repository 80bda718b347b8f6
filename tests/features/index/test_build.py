"""Tables of an index against naive loops over the arrays that it was made from."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from assay.core.errors import DataError
from assay.features import effects
from assay.features.index import blocks, build, firings, relations
from assay.features.index.reader import Index
from assay.features.index.schema import AFTER, BEFORE, TABLES
from simulated import VOCABULARY, about, made


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return made(tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module")
def index(one):
    return Index(one.folder)


def test_numbers_of_a_feature_are_those_of_its_activations(one, index):
    rows = one.kept.sum()
    for k in (1, 3, 17):
        found = index.feature(k).numbers
        on = one.acts[..., k][one.acts[..., k] > 0].astype(np.float64)
        assert found["firings"] == len(on)
        assert found["density"] == pytest.approx(len(on) / rows, abs=1e-12)
        assert found["maximum"] == pytest.approx(on.max())
        assert found["mean"] == pytest.approx(on.mean())
        assert found["documents"] == sum(
            (one.acts[one.document == d][..., k] > 0).any() for d in set(one.document)
        )
        assert found["histogram"] == np.histogram(on, 50, (0, on.max()))[0].tolist()
        effect = one.effects[..., k].astype(np.float64).sum()
        assert found["gradient_total"] == pytest.approx(effect / rows)
        assert found["gradient_active"] == pytest.approx(effect / len(on))
        decoder = one.directions.decoder[k].astype(np.float64)
        assert found["decoder_norm"] == pytest.approx(np.linalg.norm(decoder))


def test_the_first_order_interval_is_the_jackknifes(one, index):
    """Leaving out a document at a time gives nearly the same half-width: both linearise one
    ratio."""
    for k in (1, 3, 17):
        effect = np.array(
            [one.effects[one.document == d][..., k].astype(np.float64).sum() for d in range(12)]
        )
        count = np.array([(one.acts[one.document == d][..., k] > 0).sum() for d in range(12)])
        left_out = (effect.sum() - effect) / (count.sum() - count)
        half = stats.t.ppf(0.975, 11) * np.sqrt(11 / 12 * ((left_out - left_out.mean()) ** 2).sum())
        found = index.feature(k).numbers
        assert (found["gradient_high"] - found["gradient_low"]) / 2 == pytest.approx(half, rel=0.1)
        assert (found["gradient_high"] + found["gradient_low"]) / 2 == pytest.approx(
            found["gradient_active"]
        )


def test_a_feature_that_never_fires_is_dead_and_has_no_numbers(index):
    found = index.feature(0)
    assert found.numbers["class"] == "dead"
    assert found.numbers["density"] == 0
    assert found.numbers["firings"] == 0
    assert all(
        found.numbers[name] is None for name in ("mean", "purity", "token", "gradient_active")
    )
    assert found.contexts == () and found.tokens == ()
    assert found.promoted  # it still has a direction


def test_top_contexts_are_the_strongest_firings_of_each_window(one, index):
    for k in (1, 3, 17):
        of_window = one.acts[..., k].max(1)
        strongest = np.argsort(-of_window, kind="stable")[:20]
        strongest = strongest[of_window[strongest] > 0]
        found = index.contexts(k, "top")
        assert [c.window for c in found] == strongest.tolist()
        for c in found:
            assert c.position == one.acts[c.window, :, k].argmax()
            assert c.value == pytest.approx(one.acts[c.window, c.position, k])
            low = max(0, c.position - BEFORE)
            high = min(one.tokens.shape[1], c.position + AFTER + 1)
            assert c.ids == tuple(one.tokens[c.window, low:high])
            assert c.tokens[c.at] == f"<{one.tokens[c.window, c.position]}>"
            assert c.activations == pytest.approx(one.acts[c.window, low:high, k])
            assert c.effects == pytest.approx(one.effects[c.window, low:high, k])
            assert c.document == f"text {one.document[c.window]}.py"


def test_even_contexts_are_evenly_spaced_by_rank(one, index):
    values = np.sort(one.acts[..., 1][one.acts[..., 1] > 0])[::-1]
    found = index.contexts(1, "even")
    assert len(found) == 40
    places = ((np.arange(40) + 0.5) * len(values) / 40).astype(int)
    assert [c.value for c in found] == pytest.approx(values[places])
    assert [c.share for c in found] == pytest.approx(1 - places / len(values))


def test_tokens_that_a_feature_fires_on(one, index):
    on = one.tokens[one.acts[..., 1] > 0]
    counts = np.bincount(on, minlength=VOCABULARY)
    everywhere = np.bincount(one.tokens[one.kept], minlength=VOCABULARY)
    found = index.feature(1)
    for row in found.tokens:
        assert row["firings"] == counts[row["token"]]
        assert row["share"] == pytest.approx(counts[row["token"]] / len(on))
        assert row["recall"] == pytest.approx(counts[row["token"]] / everywhere[row["token"]])
    assert [row["firings"] for row in found.tokens] == sorted(counts, reverse=True)[:5]
    assert found.numbers["token"] == counts.argmax()


def test_correlations_are_numpys(one, index):
    rows = one.acts[one.kept].astype(np.float64)
    expected = np.corrcoef(rows[:, 1:].T)
    found = [row for row in index.feature(3).neighbours if row["kind"] == "feature"]
    order = [k + 1 for k in np.argsort(-expected[2], kind="stable") if k != 2][:5]
    assert [row["other"] for row in found] == order
    for row in found:
        other = rows[:, row["other"]]
        assert row["pearson"] == pytest.approx(expected[2, row["other"] - 1], abs=1e-9)
        assert row["cosine"] == pytest.approx(
            rows[:, 3] @ other / np.linalg.norm(rows[:, 3]) / np.linalg.norm(other), abs=1e-6
        )


def test_correlations_of_features_that_seldom_fire_together_are_numpys(monkeypatch):
    """Where few others are on with a feature, the rest is ordered by its negative correlations; in
    chunks of any size."""
    import scipy.sparse

    rng = np.random.default_rng(3)
    acts = rng.exponential(1, (50, 12)) * (rng.random((50, 12)) < 0.05)
    acts[:, 4] = 0
    on = acts.any(0)
    expected = np.corrcoef(np.where(on, acts, rng.random((50, 12))).T) * on * on[:, None]
    np.fill_diagonal(expected, -np.inf)
    firing = relations.Activations(scipy.sparse.csc_matrix(acts))
    for cells in (1, 30, 1000):
        monkeypatch.setattr(relations, "CELLS", cells)
        found = relations.correlated(firing, 0, 12)
        some = np.flatnonzero(on)
        assert found["feature"].tolist() == np.repeat(some, 5).tolist()
        assert found["pearson"] == pytest.approx(
            np.sort(expected[some], axis=1)[:, :-6:-1].ravel(), abs=1e-12
        )
        assert found["pearson"] == pytest.approx(
            expected[found["feature"], found["other"]], abs=1e-12
        )


def test_blocks_hold_no_more_firings_than_they_may(one, monkeypatch):
    firing = firings.Firings.of(sorted(one.folder.parent.glob("shard*")))
    each = (one.acts > 0).sum((0, 1))
    assert firing.counts(40).tolist() == each.tolist()
    monkeypatch.setattr(firings, "FIRINGS", 200)
    ends = list(firing.blocks(40))
    assert ends[0][0] == 0 and ends[-1][1] == 40
    assert all(end == first for (_, end), (first, _) in pairwise(ends))
    assert all(0 < each[a:b].sum() <= 200 or b == a + 1 for a, b in ends)
    assert len(ends) > 3


def test_nearest_rows_antipodes_and_seeds(one, index):
    rows = one.directions.decoder / np.linalg.norm(one.directions.decoder, axis=1, keepdims=True)
    cosine = rows @ rows.T - 2 * np.eye(len(rows)) * 0
    np.fill_diagonal(cosine, 0)
    two, three = index.feature(2).numbers, index.feature(3).numbers
    assert (two["antipode"], three["antipode"]) == (3, 2)
    assert two["nearest"] == 3
    assert two["nearest_cosine"] == pytest.approx(-1, abs=1e-5)
    for k in (5, 9):
        assert index.feature(k).numbers["nearest"] == np.abs(cosine[k]).argmax()
    other = one.directions.seeds["other"] / np.linalg.norm(
        one.directions.seeds["other"], axis=1, keepdims=True
    )
    found = index.feature(7).numbers
    assert found["seed_cosines"][0] == pytest.approx((other @ rows[7]).max(), abs=1e-6)
    assert index.about.seeds == ("other", "third")


def test_twins_point_the_same_way_and_others_only_fire_together(tmp_path):
    """Features 9 and 8 are alike in direction, 12 and 11 in when they fire, 14 has the direction
    of one that is dead, and 16 and 15 fire together, but rarely."""
    copies = [("decoder", 9, 8), ("acts", 12, 11), ("decoder", 14, 0), ("acts", 16, 15)]
    one = made(tmp_path, copies=copies, rarely=15)
    twins, together = set(), set()
    for i, j in np.ndindex(40, 40):
        a, b = (
            one.directions.decoder[k] / np.linalg.norm(one.directions.decoder[k]) for k in (i, j)
        )
        x, y = (one.acts[..., k][one.kept] for k in (i, j))
        if i != j and x.any() and y.any():
            twins |= {i} if a @ b > 0.9 else set()
            often = min((x > 0).sum(), (y > 0).sum()) >= 20
            together |= {i} if np.corrcoef(x, y)[0, 1] >= 0.9 and often else set()
    assert (twins, together) == ({8, 9}, {11, 12})
    found = Index(one.folder).summary
    assert (found["twins"], found["together"]) == (2, 2)


def test_logits_are_the_decoder_through_the_unembedding(one, index):
    logits = one.directions.decoder[4] @ one.directions.unembedding
    found = index.feature(4)
    assert [t for t, _ in found.promoted] == [
        f"<{i}>" for i in np.argsort(-logits, kind="stable")[:10]
    ]
    assert [v for _, v in found.suppressed] == pytest.approx(np.sort(logits)[:10], abs=1e-4)
    counts = found.numbers["logit_histogram"]
    assert sum(counts) == len(logits)
    # one on an edge may lie on either side
    assert np.abs(np.array(counts) - np.histogram(logits, 50)[0]).sum() <= 2
    assert found.logit_edges == pytest.approx(np.histogram_bin_edges(logits, 50), abs=1e-4)


def test_logits_that_are_all_equal_are_in_one_bin():
    assert effects.histogram(np.array([[0.0, 0, 0], [1, 2, 3]], np.float32), 4).tolist() == [
        [3, 0, 0, 0],
        [1, 0, 1, 1],
    ]


def test_blocks_of_any_width_give_the_same_tables(one, tmp_path, monkeypatch):
    monkeypatch.setattr(firings, "WIDTH", 16)
    again = made(tmp_path)
    assert len(list(again.folder.glob("*.parquet"))) == len(TABLES)
    a, b = Index(one.folder), Index(again.folder)
    # matrix products of other shapes round otherwise, in the seventh digit
    for table in TABLES:
        order = (
            ", ".join(
                name
                for name in ("feature", "kind", "sign", "rank")
                if name in {c.name for c in TABLES[table]}
            )
            or "ALL"
        )
        first, second = (x.query(f"SELECT * FROM {table} ORDER BY {order}") for x in (a, b))
        assert len(first) == len(second)
        for one_row, other in zip(first, second, strict=True):
            assert all(_near(one_row[name], other[name]) for name in one_row)


def _near(a, b):
    if a is None or b is None or isinstance(a, str):
        return a == b
    return a == pytest.approx(b, rel=1e-5, abs=1e-6)


def test_a_build_that_was_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(firings, "WIDTH", 16)
    whole = made(tmp_path / "whole")
    blocks_done = []

    def stop(done, total):
        blocks_done.append(done)
        if len(blocks_done) == 2:
            raise KeyboardInterrupt

    folder = tmp_path / "stopped"
    folder.mkdir()
    shards = sorted((tmp_path / "whole").glob("shard*"))
    given = {
        "words": lambda ids: [f"<{i}>" for i in ids],
        "vocabulary": VOCABULARY,
        "documents": [f"text {i}.py" for i in range(12)],
    }
    with pytest.raises(KeyboardInterrupt):
        build.build(folder, shards, whole.directions, about(40), tick=stop, **given)
    assert not (folder / "about.json").exists()
    read = []
    block = firings.Firings.block
    monkeypatch.setattr(
        firings.Firings, "block", lambda self, a, b: read.append((a, b)) or block(self, a, b)
    )
    build.build(folder, shards, whole.directions, about(40), **given)
    assert read == [(32, 40)]  # the first two blocks were there
    for file in whole.folder.glob("*.parquet"):
        assert (folder / file.name).read_bytes() == file.read_bytes()


def test_ablated_columns_stand_beside_their_features_only(one, tmp_path):
    folder = tmp_path / "ablated"
    folder.mkdir()
    shards = sorted(one.folder.parent.glob("shard*"))
    given = {
        "feature": np.array([3, 8]),
        "importance": np.array([0.5, -0.1]),
        "ablated_firings": np.array([7, 0]),
    }
    build.build(
        folder,
        shards,
        one.directions,
        about(40),
        words=lambda ids: [""] * len(ids),
        vocabulary=VOCABULARY,
        documents=["a"] * 12,
        ablated=given,
    )
    index = Index(folder)
    assert [index.feature(k).numbers["importance"] for k in (2, 3, 8)] == [None, 0.5, -0.1]
    assert [index.feature(k).numbers["ablated_firings"] for k in (2, 3, 8)] == [None, 7, 0]
    assert index.about.ablated == 2


def test_classes_in_words():
    assert blocks.classes(np.array([0, 1e-6, 1e-5, 1e-3, 0.1, 0.11])) == [
        "dead",
        "ultra-rare",
        "rare",
        "ordinary",
        "ordinary",
        "dense",
    ]


def test_firings_at_tokens_that_do_not_count_are_refused(tmp_path):
    with pytest.raises(DataError, match="not kept"):
        firings.write(
            tmp_path,
            feature=np.array([0]),
            row=np.array([0]),
            value=np.array([1.0]),
            tokens=np.zeros((1, 4), int),
            document=np.zeros(1, int),
            keep=np.array([[False, True, True, True]]),
        )
