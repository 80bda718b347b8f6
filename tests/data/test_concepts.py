"""The frozen list: exact labels, balance, equal lengths, no text twice, words of the test that training never saw, and its hash."""

import ast
import re
from functools import cache

import numpy as np
import pytest
from scipy.stats import rankdata

from assay.core.errors import DataError
from assay.data import concepts
from assay.data.concepts import CONCEPTS, NAMES, texts

SIZES = (64, 32, 80, 80)


@cache
def made(name):
    return texts(next(c for c in CONCEPTS if c.name == name), SIZES)


def auroc(score, label):
    ranks = rankdata(score)
    yes, no = label.sum(), (~label).sum()
    return (ranks[label].sum() - yes * (yes + 1) / 2) / (yes * no)


EACH = pytest.mark.parametrize("name", [c.name for c in CONCEPTS])


def test_the_list_is_frozen():
    assert concepts.fingerprint()[:16] == "60ef2b70445a1fed", "this is another list: give its experiment a new version and fresh seeds"
    assert len(CONCEPTS) == 12 == len({c.name for c in CONCEPTS})


@EACH
def test_every_part_is_balanced_and_length_alone_says_nothing(name):
    t = made(name)
    assert len(set(t.text)) == len(t.text) == sum(SIZES), "a text stands twice"
    for part, size in enumerate(SIZES):
        here = t.part == part
        assert here.sum() == size and t.label[here].sum() == size // 2
        assert abs(auroc(np.array([len(x) for x in t.text])[here], t.label[here]) - 0.5) <= 0.05


@EACH
def test_another_length_can_be_matched_instead(name):
    tokens = lambda text: len(re.findall(r"\w+", text))  # noqa: E731
    t = texts(next(c for c in CONCEPTS if c.name == name), SIZES, length=tokens)
    for measure in (tokens, len):
        assert auroc(np.array([measure(x) for x in t.text]), t.label) == pytest.approx(0.5)


@EACH
def test_the_same_seed_gives_the_same_texts_and_another_one_others(name):
    concept = next(c for c in CONCEPTS if c.name == name)
    first, again, other = (texts(concept, (16, 8, 8, 8), seed) for seed in (0, 0, 1))
    assert first.text == again.text and first.text != other.text
    np.testing.assert_array_equal(first.label, again.label)


@EACH
def test_test_texts_have_names_that_training_never_saw(name):
    t = made(name)
    seen = [{w for x, p in zip(t.text, t.part, strict=True) if p == part for w in re.findall(r"[a-z]+", x)} & set(NAMES) for part in (0, 1, 2)]
    if name != "unparsable":  # where a letter of a name may be lost
        fixed = set.intersection(*seen)  # words of the templates themselves
        assert not (seen[0] - fixed) & (seen[2] - fixed) and not (seen[0] - fixed) & (seen[1] - fixed)


def parses(text):
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def test_code_that_does_not_parse_does_not_and_the_other_does():
    t = made("unparsable")
    assert [parses(x) for x in t.text] == (~t.label).tolist()


@pytest.mark.parametrize("name", ["misused-variable", "off-by-one", "dangerous-call", "unclosed-resource", "swallowed-exception", "wrong-docstring"])
def test_other_code_parses_whatever_its_label(name):
    assert all(parses(x) for x in made(name).text)


def test_an_unused_argument_is_unused():
    t = made("misused-variable")
    for text, label in zip(t.text, t.label, strict=True):
        function = next(n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.Lambda | ast.ListComp))
        if isinstance(function, ast.ListComp):
            given, body = {n.id for n in function.generators[0].target.elts}, function.elt
        else:
            given = {a.arg for a in function.args.args}
            body = function.body if isinstance(function, ast.Lambda) else function.body[0]
        read = {n.id for n in ast.walk(body) if isinstance(n, ast.Name)} & given
        assert (len(read) < len(given)) == label, text


def test_false_sums_are_false():
    t = made("false-sum")
    for text, label in zip(t.text, t.label, strict=True):
        a, b, c = map(int, re.findall(r"\d+", text))
        assert (c != (a - b if " - " in text else a + b)) == label, text


def test_an_index_past_the_end_raises_and_another_does_not():
    t = made("off-by-one")
    for text, label in zip(t.text, t.label, strict=True):
        name = re.search(r"len\((\w+)\)", text).group(1)
        code = re.sub(r"if (\w+) (<=?) len\((\w+)\): return .*", r"for \1 in range(9):\n    if \1 \2 len(\3): \3[\1]", text)
        code = re.sub(r"(while .*): \w+\((.*)\)$", r"i = 0\n\1:\n    \2; i += 1", code)
        code = re.sub(r"(for i in .*): \w+\((\w+\[.*\])\)$", r"\1: \2", code)
        raised = False
        try:
            exec(code, {name: [0] * 5})
        except IndexError:
            raised = True
        assert raised == label, text


def test_odd_sizes_and_lists_that_are_too_short_are_refused():
    with pytest.raises(DataError, match="must be even, got 3"):
        texts(CONCEPTS[0], (3, 2, 2, 2))
    lonely = concepts.Concept("lonely", "", "", (lambda d: ("yes", "no!"),), (lambda d: ("a", "b"),))
    with pytest.raises(DataError, match="gives only 0 pairs of equal length"):
        texts(lonely, (2, 2, 2, 2))
