"""Recurring words: planted divisions are found, whatever is around them, and independent sentences
have none."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest

import assay
from assay.core.recurring import divisions, place_of_shared

TOWNS = ("Leeds", "Turin", "Ghent", "Porto")
OPENINGS = """Yesterday|After lunch|My aunt says|Two of us|Nobody knew|In spring|Once again|At dawn
As a rule|By the way|Some weeks ago|With luck|On Monday|Later|People here|Even so|For years|Half
Our guide|In the end|By train|Every time|This year|Long ago""".replace("\n", "|").split("|")
CLOSINGS = """it rained|I slept|we sang|it closed|they left|I wrote|he cooked|she ran|dogs bark
cars stop|bells ring|we pay|they talk|I read|it snows|we wait|he fell|she won|they met|it froze
we ate|I lost|he came|it broke""".replace("\n", "|").split("|")


def sentences(seed):
    """Give 24 sentences of which each names one of four towns, and the number of its town."""
    draw = np.random.default_rng(seed)
    of = draw.permutation(np.arange(24) % 4)
    around = zip(draw.permutation(OPENINGS), of, draw.permutation(CLOSINGS), strict=True)
    return [f"{before}, near {TOWNS[k]}, {after}." for before, k, after in around], of


def same(a, b):
    return len({*zip(a, b, strict=True)}) == len({*a}) == len({*b})


@pytest.mark.parametrize("seed", range(5))
def test_the_words_of_a_division_are_found_between_words_that_are_all_different(seed):
    texts, of = sentences(seed)
    assert any(way == "word" and same(x, of) for way, x in divisions(texts))


def test_the_texts_of_a_group_have_a_word_that_no_other_text_has():
    draw, groups = np.random.default_rng(0), 0
    for _ in range(20):
        slots = ("abc", "defgh", "ijklmnop", "aeiou")
        texts = [" ".join(str(draw.choice([*slot])) for slot in slots) for _ in range(30)]
        words = [{*text.split()} for text in texts]
        for of in (x for way, x in divisions(texts) if way == "word"):
            for k in np.flatnonzero(np.bincount(of) > 1):
                inside = [w for w, x in zip(words, of, strict=True) if x == k]
                outside = [w for w, x in zip(words, of, strict=True) if x != k]
                assert set.intersection(*inside).difference(*outside)
                groups += 1
    assert groups


def test_independent_words_divide_no_texts():
    draw = np.random.default_rng(0)
    vocabulary = [f"w{i}" for i in range(2000)]
    usual = 1 / np.arange(1, 2001)
    for _ in range(20):
        texts = [" ".join(draw.choice(vocabulary, 12, p=usual / usual.sum())) for _ in range(80)]
        assert not divisions(texts)


def test_names_are_divided_by_each_part_that_recurs_whichever_end_it_is_counted_from():
    runs, steps = ("run7", "run9", "run12"), ("a=1", "a=2")
    grid = [*itertools.product(runs, steps, range(3))]
    names = [f"/ckpts{'/old' * (i % 2)}/{run}/{a}/seed{i}.pt" for i, (run, a, _) in enumerate(grid)]
    for of in ([run for run, _, _ in grid], [a for _, a, _ in grid]):
        assert any(way.endswith(" part") and same(x, of) for way, x in divisions(names))


def test_names_whose_parts_are_all_alike_or_all_different_are_not_divided():
    assert not divisions([f"runs/seed_{i}.pt" for i in range(12)])


def test_the_type_of_files_is_no_part_that_takes_the_place_of_a_word():
    """Of readme.txt, it would be the second part, as is `tables` of ask-tables.txt."""
    assert not divisions(["readme.txt", *(f"page{i}-part{i}.txt" for i in range(11))])
    topics = ["law", "law", "sea", "sea", "sea", "law"] * 2
    names = [f"{topic}{'-old' * (i % 4 == 0)}-{i}.txt" for i, topic in enumerate(topics)]
    assert any(way == "first part" and same(of, topics) for way, of in divisions(names))


def test_one_outlier_that_is_a_group_by_itself_makes_no_groups_of_the_others():
    of = np.repeat(range(10), [6, 5, 4, 3, 1, 1, 1, 1, 1, 1])
    names = [f"topic{x}-{i}" for i, x in enumerate(of)]
    rows = table(names, (2.0,), np.zeros(24, int))
    rows.loc[23, "y"] += 40
    judged = assay.judge(rows, claim="mine.y - base.y > 0", unit="prompt", about="mine")
    assert not [note for note in judged.notes if "first part" in note]


def test_beginnings_of_a_few_words_divide_texts_though_their_words_recur_elsewhere():
    texts, _ = sentences(0)
    of = np.arange(24) % 3
    ends = ("Is it true that", "Is it likely that", "They often say that")
    pairs = zip(of, texts, strict=True)
    asked = [f"{ends[k]} {text} {ends[(k + i) % 3]}" for i, (k, text) in enumerate(pairs)]
    assert any(way == "beginning" and same(x, of) for way, x in divisions(asked))


def test_the_place_of_a_shared_word_is_that_of_the_word():
    texts, of = sentences(0)
    own = [text for text, k in zip(texts, of, strict=True) if k == 2]
    others = [text for text in texts if text not in own]
    assert place_of_shared(own, others) == [text.index("Ghent") for text in own]


def table(texts, effects, of):
    draw = np.random.default_rng(1)
    base = draw.normal(size=len(texts))
    mine = base + np.array(effects)[of] + draw.normal(0, 0.1, len(texts))
    ids = [f"q{i}" for i in range(len(texts))]
    rows = {"arm": ["mine"] * len(ids) + ["base"] * len(ids), "prompt": ids * 2, "text": texts * 2}
    return pd.DataFrame({**rows, "y": [*mine, *base]})


def test_a_claim_that_is_true_of_one_town_only_is_undecided_and_shows_the_town():
    texts, of = sentences(0)
    about = {"claim": "mine.y - base.y > 0.5", "unit": "prompt", "about": "mine"}
    judgement = assay.judge(table(texts, (2.0, 0.35, 1.3, 0.8), of), **about)
    assert judgement.verdict.outcome == "undecided"
    (note,) = [n for n in judgement.notes if "4 words of text" in n]
    first, second = (re.findall(r"\w+", x) for x in re.search("“(.*?)” and “(.*?)”", note).groups())
    assert {*TOWNS} & {*first} & {*second}
    alike = assay.judge(table(texts, (1.1, 1.1, 1.1, 1.1), of), **about)
    assert alike.verdict.outcome == "holds"


def test_a_claim_about_seeds_of_few_checkpoints_is_undecided_though_only_a_path_names_them():
    of = np.arange(25) % 5
    paths = [f"/ckpts/run{7 + 3 * k}/step_20000/ft_seed{i}.pt" for i, k in enumerate(of)]
    about = {"claim": "mine.y - base.y > 0.5", "unit": "prompt", "about": "mine"}
    rows = table(paths, (0.2, 0.3, 1.6, 1.2, 0.9), of)
    judgement = assay.judge(rows, **about)
    assert judgement.verdict.outcome == "undecided"
    assert any("5 second parts of text" in note for note in judgement.notes)


def test_dates_are_divided_by_days_and_never_by_the_seconds_of_a_day():
    """Rows that were written at 2 seconds of each of 3 minutes of 2 days."""
    times = [f"2024-05-{d}T10:0{m}:0{s}" for d in (10, 11) for m in range(3) for s in range(2)]
    ((way, of),) = divisions(times)
    assert way == "day" and of.tolist() == [0] * 6 + [1] * 6
