"""Examples and cards against naive loops over a dense toy."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from assay.core.measures import from_tensors, measures, one_run, stack, to_tensors
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay_catalogue.features import card

SEQUENCES, LENGTH, FEATURES, VOCABULARY, WIDTH = 60, 12, 7, 30, 5


@dataclass(frozen=True, kw_only=True)
class Toy(Spec):
    width: int = WIDTH


@pytest.fixture
def toy():
    """Dense activations [row, feature], the text they stand on (position 0 left out), and the same
    in chunks of 100 rows."""
    r = np.random.default_rng(0)
    tokens = r.integers(VOCABULARY, size=(SEQUENCES, LENGTH))
    sequence, position = (
        a.reshape(-1)
        for a in np.meshgrid(np.arange(SEQUENCES), np.arange(1, LENGTH), indexing="ij")
    )
    dense = np.maximum(r.normal(-0.5, 1, (len(sequence), FEATURES)), 0).astype(np.float32)
    dense[:, 3] = 0  # a dead feature
    dense[30:, 4] = 0  # one that fires too rarely to be drawn
    return dense, card.Text(tokens, sequence, position), chunks(dense, 100)


def chunks(dense, size):
    out = []
    for a in range(0, len(dense), size):
        row, feature = np.nonzero(dense[a : a + size])
        out.append((row + a, feature, dense[a : a + size][row, feature]))
    return out


@pytest.mark.parametrize("size", [7, 100, 10_000])
def test_top_examples_are_one_per_sequence_and_equal_a_naive_search(toy, size):
    dense, text, _ = toy
    kept = card.nothing(FEATURES)
    for row, feature, value in chunks(dense, size):
        kept = card.keep(kept, feature, row, value, value, 5, text.sequence)
    found = card.table(kept, np.arange(FEATURES), 5)
    for f in range(FEATURES):
        best = {}
        for row in np.flatnonzero(dense[:, f]):
            s = text.sequence[row]
            if s not in best or dense[row, f] > dense[best[s], f]:
                best[s] = row
        naive = sorted(best.values(), key=lambda row: (-dense[row, f], row))[:5]
        assert [row for row in found[f] if row >= 0] == naive


def test_the_even_sample_is_even_and_does_not_depend_on_the_chunks(toy):
    dense, _, _ = toy
    samples = []
    for size in (50, 1000):
        kept = card.nothing(FEATURES)
        for row, feature, value in chunks(dense, size):
            kept = card.keep(kept, feature, row, value, card.sampling_priority(feature, row, 3), 16)
        samples.append(card.table(kept, np.arange(FEATURES), 16))
    assert np.array_equal(*samples)
    numbers = card.sampling_priority(np.full(20_000, 5), np.arange(20_000), 1)
    share = np.histogram(numbers, 10, (0, 1))[0] / 20_000
    assert (
        np.abs(share - 0.1).max() < 0.01
    )  # three standard deviations of a tenth are .0064; the maximum of ten gets more room
    assert (
        abs(
            np.corrcoef(numbers, card.sampling_priority(np.full(20_000, 5), np.arange(20_000), 2))[
                0, 1
            ]
        )
        < 0.03
    )


def test_quarters_split_a_sample_by_value():
    values = np.array([5.0, 1, 8, 2, 7, 3, 6, 4])
    assert [sorted(values[p].tolist(), reverse=True) for p in card.quarters(values, 2)] == [
        [8, 7],
        [6, 5],
        [4, 3],
        [2, 1],
    ]


def test_windows_stop_at_the_ends_of_their_sequence(toy):
    _, text, _ = toy
    row = int(np.flatnonzero((text.sequence == 2) & (text.position == 3))[0])
    places = card.windows(text, np.array([row, -1]))
    inside = places[0][places[0] >= 0]
    assert np.array_equal(text.tokens.reshape(-1)[inside], text.tokens[2, 0:9])
    assert (places[1] == -1).all()


@pytest.fixture
def arm(toy):
    """Card measures of the toy, through a spec and back from tensors as the store would return
    them."""
    _, text, firings = toy
    r = np.random.default_rng(2)
    named, coords = card.measurements(
        firings,
        text,
        strings=lambda t: f"<{t}>\n",
        documents=[f"file{s // 3}.py" for s in range(SEQUENCES)],
        decoder=r.normal(size=(FEATURES, WIDTH)),
        unembedding=r.normal(size=(WIDTH, VOCABULARY)),
        norm=None,
        seed=1000,
    )
    specs = (Toy(seed=1000),)
    return stack(
        specs,
        [from_tensors(*to_tensors(one_run(measures(Runs(specs), coords=coords, **named), 0)))],
    )


def test_cards_from_stored_measures_show_the_dense_truth(toy, arm):
    dense, text, _ = toy
    made = card.cards(arm, 1000, count=3, source="toy/site")
    assert {c.index for c in made} == {0, 1, 2, 5, 6}  # not the dead one, not the rare one
    assert [c.drawn for c in made] == [True] * 3 + [False] * 2
    for c in made:
        column = dense[:, c.index]
        assert c.address == f"toy/site/{c.index}"
        assert c.firings == (column > 0).sum() == sum(c.counts)
        assert c.density == pytest.approx((column > 0).mean())
        assert c.maximum == pytest.approx(column.max())
        peaks = [e.activations[e.at] for e in c.top]
        assert peaks == sorted(peaks, reverse=True)
        assert peaks[0] == pytest.approx(column.max(), rel=1e-3)
        assert c.purity == pytest.approx(
            max(Counter(e.tokens[e.at] for e in c.top).values()) / len(c.top)
        )
        for e in c.top + sum((g.examples for g in c.groups), ()):
            assert len(e.tokens) == min(e.position, 10) + 1 + min(LENGTH - 1 - e.position, 5)
            assert e.at == min(e.position, 10)
            firing = np.flatnonzero(
                (text.position == e.position) & np.isclose(column, e.activations[e.at], rtol=1e-3)
            )
            assert any(_agrees(e, row, column, text) for row in firing)
        assert len(c.promoted) == len(c.suppressed) == 10
        assert c.promoted[0][1] >= c.promoted[-1][1] >= c.suppressed[-1][1]


def _agrees(e, row, column, text):
    """Whether the example is the context of `row`: every token, and the feature's activation on
    each (0 where left out)."""
    s, p = text.sequence[row], text.position[row]
    span = range(max(0, p - 10), min(LENGTH, p + 6))
    where = {int(text.position[k]): column[k] for k in np.flatnonzero(text.sequence == s)}
    return e.tokens == tuple(f"<{text.tokens[s, q]}>\n" for q in span) and np.allclose(
        e.activations, [where.get(q, 0) for q in span], rtol=1e-3
    )


def test_chunks_are_joined_until_they_are_large_and_nothing_is_lost():
    parts = [(np.arange(n), np.full(n, n), np.full(n, 0.5)) for n in (3, 4, 5, 1)]
    joined = list(card._larger(parts, least=6))
    assert [len(row) for row, _, _ in joined] == [7, 6]
    assert np.array_equal(
        np.concatenate([f for _, f, _ in joined]), np.concatenate([f for _, f, _ in parts])
    )


def test_the_draw_depends_on_the_seed_alone_and_an_arm_without_cards_has_none(arm):
    firings = np.full(500, 50)
    assert np.array_equal(card.draw(firings, 7), card.draw(firings * 2, 7))
    assert not np.array_equal(card.draw(firings, 7), card.draw(firings, 8))
    assert 3 not in card.draw(np.array([50, 50, 50, 19]), 0)
    assert card.cards(arm.drop_vars("card_token"), 0) == []
