"""A planted corpus: what each kind of document is, and what selectors of it find and cost."""

import itertools
import math

import numpy as np
import pytest

from assay.core.errors import SpecError
from assay_catalogue.worlds.memory import corpus as world
from assay_catalogue.worlds.memory import selectors

CORPUS = world.plant(7)


def test_every_kind_has_its_documents():
    assert CORPUS.seen.sum() == 1024 and len(CORPUS.tokens) == 1024 + 48
    for kind, n in {**world.PLANTED, **world.UNSEEN}.items():
        assert CORPUS.of(kind).sum() == n
    assert CORPUS.tokens.min() >= 0 and CORPUS.tokens.max() < world.SYMBOLS


@pytest.mark.parametrize("kind", ["predictable", "background", "unseen predictable"])
def test_the_common_source_has_twelve_successors_for_each_symbol(kind):
    text = CORPUS.tokens[CORPUS.of("predictable", "background", "unseen predictable")]
    pairs = {(a, b) for doc in text for a, b in itertools.pairwise(doc)}
    assert max(sum(a == s for a, _ in pairs) for s in range(world.ORDINARY)) == world.SUCCESSORS
    own = {(a, b) for doc in CORPUS.tokens[CORPUS.of(kind)] for a, b in itertools.pairwise(doc)}
    assert own <= pairs


@pytest.mark.parametrize("k", world.COPIES)
def test_a_near_duplicate_differs_in_one_token_from_a_common_string(k):
    text = CORPUS.tokens[CORPUS.of(f"{k} copies")]
    if k == 2:
        assert (text[0] != text[1]).sum() in (1, 2)
        return
    common = np.array([np.bincount(column).argmax() for column in text.T])
    assert ((text != common).sum(1) <= (1 if k > 4 else 2)).all()


def test_the_topic_shares_symbols_and_no_literal():
    own, source = (
        CORPUS.tokens[CORPUS.of("topic")],
        CORPUS.tokens[CORPUS.of("predictable", "background")],
    )
    assert len(np.unique(own)) <= world.TOPIC
    after = {(a, b) for doc in own for a, b in itertools.pairwise(doc)}
    assert max(sum(a == s for a, _ in after) for s in np.unique(own)) <= world.TOPIC_SUCCESSORS
    assert not after & {(a, b) for doc in source for a, b in itertools.pairwise(doc)}
    times = {}
    for doc in own:
        for literal in {tuple(doc[i : i + 4]) for i in range(29)}:
            times[literal] = times.get(literal, 0) + 1
    assert max(times.values()) <= world.SHARED


def test_the_rule_is_addition_without_carry_in_symbols_of_its_own():
    for doc in CORPUS.tokens[CORPUS.of("rule")]:
        for a, plus, b, equals, c, end in doc[:30].reshape(5, 6):
            assert (plus, equals, end) == (world.PLUS, world.EQUALS, world.END)
            assert (a - world.DIGITS + b - world.DIGITS) % 10 == c - world.DIGITS
    assert CORPUS.tokens[~CORPUS.of("rule")].max() < world.DIGITS


def test_corpora_of_other_seeds_are_others_and_of_one_seed_the_same():
    np.testing.assert_array_equal(CORPUS.tokens, world.plant(7).tokens)
    assert (CORPUS.tokens != world.plant(8).tokens).mean() > 0.5


def test_too_few_documents_are_one_line():
    with pytest.raises(SpecError, match="at least 512 documents"):
        world.plant(0, 100)


def test_counts_of_pairs_are_those_of_a_loop():
    found = world.bigrams(CORPUS.tokens[:3]).reshape(3, world.SYMBOLS, world.SYMBOLS)
    naive = np.zeros_like(found)
    for i, doc in enumerate(CORPUS.tokens[:3]):
        for a, b in itertools.pairwise(doc):
            naive[i, a, b] += 1
    np.testing.assert_array_equal(found, naive)


@pytest.mark.parametrize("length", [4, 10, 12])
def test_literals_are_equal_where_texts_are(length):
    codes, texts = world.literals(CORPUS.tokens, length), {}
    for doc, row in zip(CORPUS.tokens[:300].tolist(), codes[:300].tolist(), strict=True):
        for i, code in enumerate(row):
            assert texts.setdefault(code, doc[i : i + length]) == doc[i : i + length]


def test_a_literal_costs_the_logarithm_of_how_many_there_are():
    small = world.Corpus(CORPUS.tokens[:40], CORPUS.kind[:40])
    texts = {
        tuple(doc[i : i + n])
        for doc in small.tokens.tolist()
        for n in range(4, 13)
        for i in range(33 - n)
    }
    assert selectors.literal_bits(small) == pytest.approx(math.log2(len(texts)))


def test_unions_of_literals_select_what_contains_them():
    family = CORPUS.of("topic")
    found = selectors.unions(CORPUS, family, 14, 51)
    sizes = [s.chosen.sum() for s in found]
    assert (
        sizes == sorted(sizes)
        and max(sizes) <= 51
        and all(selectors.inside(s.chosen, family) >= selectors.PURE for s in found)
    )
    assert [s.bits for s in found] == pytest.approx(
        [(i + 1) * selectors.literal_bits(CORPUS) + math.log2(i + 1) for i in range(len(found))]
    )
    assert (found[0].chosen & family).sum() <= world.SHARED  # no literal is in more
    text = CORPUS.tokens[found[0].chosen].tolist()
    first = {tuple(text[0][i : i + 4]) for i in range(29)}
    assert any(all(list(x) in [doc[i : i + 4] for i in range(29)] for doc in text) for x in first)


def test_two_literals_find_nearly_every_near_duplicate():
    family = CORPUS.of("32 copies")
    found = selectors.unions(CORPUS, family, 2, 51)
    precision, recall = [
        [f(s) for s in found]
        for f in (lambda s: family[s.chosen].mean(), lambda s: s.chosen[family].mean())
    ]
    assert min(precision) >= 0.95 and recall[0] >= 0.8 and recall[1] >= 0.95


def test_symbols_find_the_topic_and_never_too_much():
    family = CORPUS.of("topic")
    for k in (1, 2, 3):
        chosen = selectors.bag(CORPUS, family, k, 51)
        assert chosen.bits == 10 * k and chosen.chosen.sum() <= 51
        assert not chosen.chosen.any() or selectors.inside(chosen.chosen, family) >= selectors.PURE
    assert selectors.bag(CORPUS, family, 3, 51).chosen[family].mean() >= 0.5
    assert selectors.bag(CORPUS, family, 3, 0).chosen.sum() == 0


def test_one_symbol_selects_most_of_the_rule_that_the_budget_allows():
    family = CORPUS.of("rule")
    found = selectors.one_symbol(CORPUS, family, 51)
    naive = 0
    for symbol in range(world.SYMBOLS):
        for times in range(1, 33):
            chosen = (CORPUS.tokens == symbol).sum(1)[:1024] >= times
            if 0 < chosen.sum() <= 51 and family[:1024][chosen].mean() >= 0.8:
                naive = max(naive, (chosen & family[:1024]).sum())
    assert (found.chosen & family).sum() == naive > 30 and found.bits == 10


def test_a_symbol_without_a_budget_removes_the_whole_rule():
    found = selectors.containing(CORPUS, world.PLUS)
    np.testing.assert_array_equal(found.chosen, CORPUS.of("rule"))
    assert found.chosen.sum() > 51 and found.bits == 10


@pytest.mark.parametrize(
    ("share", "bits"),
    [([0.1, 0.6, 0.9], 20.0), ([0.5, 0.6, 0.9], 10.0), ([0.1, np.nan, 0.2], 99.0)],
)
def test_the_cheapest_selector_that_does_half_of_the_damage(share, bits):
    assert selectors.least_bits(np.array([10.0, 20.0, 30.0]), np.array(share), 99.0) == bits


def test_selectors_do_not_look_at_what_is_never_trained_on():
    unseen = CORPUS.of("unseen unique")
    for s in (
        *selectors.unions(CORPUS, CORPUS.of("unique"), 3, 51),
        selectors.bag(CORPUS, CORPUS.of("rule"), 2, 64),
    ):
        assert not s.chosen[unseen].any()
