"""The frozen list: exact labels, balance, equal lengths, no text twice, words of the test that
training never saw, and its hash."""

import ast
import builtins
import re
from functools import cache

import numpy as np
import pytest
from scipy.stats import rankdata

from assay.core import rng
from assay.core.errors import DataError
from assay.data import concepts
from assay.data.concepts import CONCEPTS, texts
from assay.data.templates import NAMES, Draw

SIZES = (64, 32, 64, 24)


@cache
def made(name):
    return texts(next(c for c in CONCEPTS if c.name == name), SIZES)


def auroc(score, label):
    ranks = rankdata(score)
    yes, no = label.sum(), (~label).sum()
    return (ranks[label].sum() - yes * (yes + 1) / 2) / (yes * no)


EACH = pytest.mark.parametrize("name", [c.name for c in CONCEPTS])


def test_the_list_is_frozen():
    assert concepts.fingerprint()[:16] == "3aeef2f608a34a93", (
        "this is another list: give its experiment fresh seeds"
    )
    assert len(CONCEPTS) == 24 == len({c.name for c in CONCEPTS})


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
    seen = [
        {
            w
            for x, p in zip(t.text, t.part, strict=True)
            if p == part
            for w in re.findall(r"[a-z]+", x)
        }
        & set(NAMES)
        for part in (0, 1, 2)
    ]
    if name != "unparsable":  # where a letter of a name may be lost
        fixed = set.intersection(*seen)  # words of the templates themselves
        assert not (seen[0] - fixed) & (seen[2] - fixed) and not (seen[0] - fixed) & (
            seen[1] - fixed
        )


def told(name, count=40):
    """(text, label) of every family of a concept, shifted ones included, as families make them:
    with nothing around them."""
    concept = next(c for c in CONCEPTS if c.name == name)
    draw = Draw(rng.generator(7, f"test.{name}"))
    made = [family(draw) for family in (*concept.families, *concept.shifted) for _ in range(count)]
    return [
        (text, label)
        for pair in made
        if pair
        for text, label in zip(pair, (True, False), strict=True)
    ]


def parses(text):
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def test_code_that_does_not_parse_does_not_and_the_other_does():
    t = made("unparsable")
    assert [parses(x) for x in t.text] == (~t.label).tolist()


CODE = [
    c.name for c in CONCEPTS if not c.prose and c.name not in ("unparsable", "hard-coded-secret")
]


@pytest.mark.parametrize("name", CODE)
def test_other_code_parses_whatever_its_label(name):
    assert all(parses(x) for x in made(name).text)


@EACH
def test_what_stands_around_a_text_says_nothing_of_its_label(name):
    t = made(name)
    marks = CODE_MARKS if name in (*CODE, "unparsable", "hard-coded-secret") else PROSE_MARKS
    around = np.array([bool(marks.search(x)) for x in t.text])
    assert around[t.label].mean() == around[~t.label].mean()
    assert 0.3 < around.mean() <= 1


CODE_MARKS = re.compile(r"^# |\n# |^pass\n|\npass$|About the|assert True")
PROSE_MARKS = re.compile(
    r"See the |This is about|There are \d+ notes|Thank you\.|More on sheet|Well\."
)


def names(tree, kind):
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}


def test_an_unused_argument_is_unused():
    for text, label in told("misused-variable"):
        function = next(
            n
            for n in ast.walk(ast.parse(text))
            if isinstance(n, ast.FunctionDef | ast.Lambda | ast.ListComp)
        )
        if isinstance(function, ast.ListComp):
            given, body = {n.id for n in function.generators[0].target.elts}, function.elt
        else:
            given = {a.arg for a in function.args.args}
            body = function.body if isinstance(function, ast.Lambda) else function.body[0]
        read = {n.id for n in ast.walk(body) if isinstance(n, ast.Name)} & given
        assert (len(read) < len(given)) == label, text


def test_an_undefined_name_is_defined_nowhere():
    for text, label in told("undefined-name"):
        tree = ast.parse(text)
        bound = names(tree, ast.Store) | {
            a.arg for n in ast.walk(tree) if isinstance(n, ast.arguments) for a in n.args
        }
        bound |= {
            a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
        } | set(dir(builtins))
        assert bool(names(tree, ast.Load) - bound) == label, text


def test_an_endless_loop_changes_nothing_that_it_waits_for():
    for text, label in told("endless-loop"):
        (loop,) = ast.parse(text).body
        waits = names(loop.test, ast.Load)
        touched = set().union(*(names(n, ast.Store) for n in loop.body))
        for n in ast.walk(ast.Module(loop.body, [])):
            if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name):
                touched.add(n.value.id)
        assert bool(waits & touched) != label, text


def dead(block):
    ends = [
        i
        for i, n in enumerate(block)
        if isinstance(n, ast.Return | ast.Raise | ast.Break | ast.Continue)
    ]
    never = any(
        isinstance(n, ast.If | ast.While) and isinstance(n.test, ast.Constant) and not n.test.value
        for n in block
    )
    inner = [b for n in block for b in (getattr(n, "body", None),) if b]
    return bool(ends and ends[0] < len(block) - 1) or never or any(dead(b) for b in inner)


def test_dead_code_stands_behind_an_end_or_a_false_condition():
    for text, label in told("dead-code"):
        assert dead(ast.parse(text).body) == label, text


def test_mixed_types_stop_python_and_others_do_not():
    for text, label in told("mixed-types"):
        stopped = False
        try:
            exec(text, {"print": lambda *_: None})
        except TypeError:
            stopped = True
        assert stopped == label, text


def test_a_result_is_lost_where_it_is_a_statement_of_its_own():
    changes = {"sort", "reverse"}
    for text, label in told("lost-result"):
        alone = [n.value for n in ast.parse(text).body if isinstance(n, ast.Expr)][
            : 1 if label else None
        ]
        lost = any(
            isinstance(v, ast.BinOp)
            or (
                isinstance(v, ast.Call)
                and (
                    v.func.attr in {"strip", "replace"} - changes
                    if isinstance(v.func, ast.Attribute)
                    else v.func.id in {"sorted", "max", "reversed"}
                )
            )
            for v in alone
        )
        assert lost == label, text


def test_a_mutable_default_is_a_list_or_a_dictionary():
    for text, label in told("mutable-default"):
        function = next(
            n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.Lambda)
        )
        mutable = any(
            isinstance(d, ast.List | ast.Dict) or (isinstance(d, ast.Call) and d.func.id == "list")
            for d in function.args.defaults
        )
        assert mutable == label, text


def test_a_query_that_can_be_changed_is_no_constant():
    for text, label in told("sql-injection"):
        (statement,) = ast.parse(text).body
        query = statement.value.args[0] if isinstance(statement, ast.Expr) else statement.value
        query = query.elts[0] if isinstance(query, ast.Tuple) else query
        assert isinstance(query, ast.Constant) != label, text


def test_false_sums_are_false():
    for text, label in told("false-sum"):
        a, b, c = map(int, re.findall(r"\d+", text))
        assert (c not in (a + b, b + a)) == label if " - " not in text else (c != a - b) == label, (
            text
        )


def test_what_ends_before_it_begins_has_the_larger_number_first():
    for text, label in told("reversed-order"):
        first, second = map(int, re.findall(r"\d+", text))
        assert (first > second) == label, text


def test_a_contradiction_is_about_one_thing():
    for text, label in told("contradiction"):
        found = [w for w in re.findall(r"[a-z]+", text) if w in NAMES]
        about = text.startswith("Only the") and "passed" in text
        if text.startswith("Only the"):
            assert about != label, text
        else:
            assert (len(set(found)) < len(found)) == label, text


def test_an_index_past_the_end_raises_and_another_does_not():
    for text, label in told("off-by-one"):
        name = re.search(r"len\((\w+)\)", text).group(1)
        code = re.sub(
            r"if (\w+) (<=?) len\((\w+)\): return .*",
            r"for \1 in range(9):\n    if \1 \2 len(\3): \3[\1]",
            text,
        )
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
    lonely = concepts.Concept(
        "lonely", "", "", (lambda d: ("yes", "no!"),), (lambda d: ("a", "b"),)
    )
    with pytest.raises(DataError, match="gives only 0 pairs of equal length"):
        texts(lonely, (2, 2, 2, 2))
