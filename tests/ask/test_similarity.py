"""Similarities are those that NumPy gives of the activations and the patterns of plain passes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from naive_models import Naive, measured, task, texts
from test_study_asks import folder, planned, study  # noqa: F401 (a fixture)

from assay.ask.measure import measuring, reads
from assay.ask.tables import Intervention, Read
from assay.core.errors import DataError

ROWS = ({"a": "add", "b": "class", "c": "Point"}, {"a": "return", "b": "name", "c": "list"})
TEXT, PAIR, OTHER = "def {a} x", "in {b}: x y", "the {a} of {c}"
LONG = "def {a} x in {b}: x y"
SITE = "blocks.{n}.hook_resid_pre"


def shown(**fields):
    return texts(*ROWS, text=TEXT, corrupted=PAIR, **fields)


def of(how, x, y):
    if how == "distance":
        return np.sqrt(((x - y) ** 2).sum())
    if how == "correlation":
        return np.corrcoef(x, y)[0, 1]
    return x @ y / np.sqrt((x @ x) * (y @ y))


@pytest.mark.parametrize("how", ["cosine", "correlation", "distance"])
def test_two_texts_are_compared_at_each_block(naive, how):
    swept = {"similarity": how, "site": SITE, "sweep": {"n": (1, 2)}}
    every = [
        Read(name="pair", **swept),
        Read(name="other", other_text=OTHER, **swept),
        Read(name="slot", other_text=OTHER, position="{a}", **swept),
        Read(name="mean", position="mean", **swept),
    ]
    found = measured(naive, shown(), every)
    begin = len(naive.opening) or 1
    for p, row in enumerate(ROWS):
        acts = [naive.run(naive.ids(t.format(**row)))[1] for t in (TEXT, PAIR, OTHER)]
        ends = [len(naive.ids(t)) - 1 for t in (f"def {row['a']}", f"the {row['a']}")]
        for k, n in enumerate((1, 2)):
            one, pair, other = (x[n] for x in acts)
            expected = {
                "pair": of(how, one[-1], pair[-1]),
                "other": of(how, one[-1], other[-1]),
                "slot": of(how, one[ends[0]], other[ends[1]]),
                "mean": of(how, one[begin:].mean(0), pair[begin:].mean(0)),
            }
            for name, value in expected.items():
                assert found[name][k, p] == pytest.approx(value, abs=2e-4), (name, n)


@pytest.mark.parametrize("how", ["cosine", "correlation", "distance"])
def test_two_sites_are_compared_on_the_same_prompt(naive, how):
    about = {"similarity": how, "site": SITE, "other_site": SITE.replace("{n}", "{m}")}
    levels = {"n": (0, 1, 2), "m": (1, 2)}
    every = [
        Read(name="last", sweep=levels, **about),
        Read(name="slot", sweep=levels, position="{a}", **about),
        Read(name="mean", sweep=levels, position="mean", **about),
    ]
    found = measured(naive, shown(), every)
    begin = len(naive.opening) or 1
    for p, row in enumerate(ROWS):
        acts = naive.run(naive.ids(TEXT.format(**row)))[1]
        end = len(naive.ids(f"def {row['a']}")) - 1
        for i, j in np.ndindex(3, 2):
            x, y = acts[i], acts[levels["m"][j]]
            assert found["last"][i, j, p] == pytest.approx(of(how, x[-1], y[-1]), abs=2e-4)
            assert found["slot"][i, j, p] == pytest.approx(of(how, x[end], y[end]), abs=2e-4)
            mean = of(how, x[begin:].mean(0), y[begin:].mean(0))
            assert found["mean"][i, j, p] == pytest.approx(mean, abs=2e-4)


def cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    norm = np.linalg.norm
    return norm(x.T @ y) ** 2 / norm(x.T @ x) / norm(y.T @ y)


def test_the_cka_of_two_sites_is_over_tokens_or_over_prompts(naive):
    """Also of sites of different widths, and of one site with and without a change."""
    wide = "blocks.1.mlp.hook_post"
    other = {"site": SITE.format(n=1), "other_site": SITE.format(n=2)}
    rows = (*ROWS, {"a": "x", "b": "y", "c": "z"}, {"a": "list", "b": "b", "c": "c"})
    prompts = texts(*rows, text=LONG)
    some = [
        Read(name="tokens", cka=True, **other),
        Read(name="prompts", across="cka", **other),
        Read(name="wide", across="cka", site=SITE.format(n=1), other_site=wide),
        Read(name="means", across="cka", position="mean", **other),
        Read(name="itself", across="cka", site=SITE.format(n=2)),
    ]
    ids = [naive.ids(LONG.format(**row)) for row in rows]
    acts = [naive.run(x)[1] for x in ids]
    begin = len(naive.opening) or 1
    found = measured(naive, prompts, some)
    for p, x in enumerate(acts):
        assert found["tokens"][p] == pytest.approx(cka(x[1][begin:], x[2][begin:]), abs=2e-4)
    x, y = (np.stack([a[n][-1] for a in acts]) for n in (1, 2))
    assert found["prompts"].mean() == pytest.approx(cka(x, y), abs=1e-4)
    x, y = (np.stack([a[n][begin:].mean(0) for a in acts]) for n in (1, 2))
    assert found["means"].mean() == pytest.approx(cka(x, y), abs=1e-4)
    assert 0 < found["wide"].mean() < 1 and found["itself"].mean() == pytest.approx(1)

    def cut(x):  # what enters block 1 is set to zero at the last token
        x[:, -1] = 0
        return x

    zero = Intervention(name="cut", ablate="zero", site=SITE.format(n=1), position=-1)
    found = measured(naive, prompts, some[1:2] + some[-1:], zero)
    changed = [naive.run(x, cut, 1)[1] for x in ids]
    x, y = (np.stack([a[2][-1] for a in side]) for side in (changed, acts))
    assert found["itself"].mean() == pytest.approx(cka(x, y), abs=1e-4)
    assert np.isnan(found["prompts"]).all()  # nothing is left in front of block 1


def rsa(x, y):
    pairs = [*itertools.combinations(range(len(x)), 2)]
    sides = [[of("correlation", z[i], z[j]) for i, j in pairs] for z in (x, y)]
    return scipy.stats.spearmanr(*sides).statistic


WORDS = ("add", "x", "return", "class", "name", "Point", "list", "y")
MANY = [{"a": a, "b": b, "c": c} for a, b, c in zip(WORDS, WORDS[3:], WORDS[2:], strict=False)]


def stacked(naive, text, place=-1, rows=MANY):
    """What enters block 1 on all rows, in the plain way."""
    return np.stack([naive.run(naive.ids(text.format(**row)))[1][1][place] for row in rows])


@pytest.mark.parametrize(("how", "number"), [("cka", cka), ("rsa", rsa)])
def test_two_texts_arrange_the_prompts_alike(llama, how, number):
    """By another text of the rows, at the same site or at another one, or by another table of
    prompts, each row with its own."""
    site = SITE.format(n=1)
    some = [
        Read(name="text", across=how, site=site, other_text=OTHER),
        Read(name="both", across=how, site=site, other_text=OTHER, other_site=SITE.format(n=2)),
        Read(name="itself", across=how, site=site),
    ]
    prompts, other = (texts(*MANY, text=t, name=t) for t in (LONG, OTHER))
    found = measured(llama, prompts, some)
    x, y = stacked(llama, LONG), stacked(llama, OTHER)
    assert found["text"].mean() == pytest.approx(number(x, y), abs=1e-4)
    assert found["itself"].mean() == pytest.approx(1)
    later = np.stack([llama.run(llama.ids(OTHER.format(**row)))[1][2][-1] for row in MANY])
    assert found["both"].mean() == pytest.approx(number(x, later), abs=1e-4)

    def across_tables(stands_in):
        about = replace(task(llama, prompts, some[2:]), than=other, stands_in=stands_in)
        args = np.array([1000]), llama.folder, "cpu", False, lambda *_: None
        return measuring.measure(about, *args)[0]["itself"][1].mean()

    assert across_tables("") == pytest.approx(number(x, y), abs=1e-4)
    assert abs(across_tables("unrelated") - number(x, y)) > 0.1


def test_two_models_arrange_the_prompts_alike(llama, tmp_path):
    gpt2 = Naive(tmp_path / "gpt2", "gpt2")
    read = Read(name="order", across="rsa", site=SITE.format(n=1))
    prompts = texts(*MANY, text=LONG)
    about = replace(task(gpt2, prompts, [read]), less=task(llama, prompts, []).model)
    args = np.array([1000]), gpt2.folder, "cpu", False, lambda *_: None
    found = measuring.measure(about, *args)[0]["order"][1]
    expected = rsa(stacked(gpt2, LONG), stacked(llama, LONG))
    assert found.mean() == pytest.approx(expected, abs=1e-4)


def test_another_text_of_what_compares_no_texts_is_refused():
    read = Read(name="it", across="cosine", site=SITE.format(n=1), other_text=OTHER)
    with pytest.raises(DataError, match='other_text is for across = "cka" or "rsa"'):
        reads.check(read)


def test_in_the_control_of_two_sites_another_prompt_is_at_the_first(llama):
    read = Read(
        name="near", similarity="cosine", site=SITE.format(n=0), other_site=SITE.format(n=2)
    )
    about = replace(task_of(llama, read), stands_in="unrelated")
    named, _ = measuring.measure(
        about, np.array([1000]), llama.folder, "cpu", False, lambda *_: None
    )
    acts = [llama.run(llama.ids(TEXT.format(**row)))[1] for row in ROWS]
    swapped = [of("cosine", acts[1 - p][0][-1], acts[p][2][-1]) for p in range(2)]
    assert named["near"][1][0] == pytest.approx(swapped, abs=1e-4)


def test_under_a_change_the_other_text_is_read_without_it(llama):
    """So a patch of the whole stream makes the prompt what the other text is."""
    patch = Intervention(name="patched", patch="corrupted", site=SITE.format(n=1), position=-1)
    near = Read(name="near", similarity="cosine", site=SITE.format(n=1))
    assert measured(llama, shown(), [near], patch)["near"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("how", ["cosine", "correlation", "distance"])
def test_heads_are_compared_by_what_they_attend_to(naive, how):
    every = [
        Read(name="two", similarity=how, heads=("1.0", "1.2"), position="all"),
        Read(name="three", similarity=how, heads=("0.0", "1.1", "2.2"), position="all"),
        Read(name="last", similarity=how, heads=("1.0", "1.2")),
    ]
    found = measured(naive, shown(), every)
    for p, row in enumerate(ROWS):
        patterns = naive.run(naive.ids(TEXT.format(**row)))[2]
        pairs = [(n, k) for n in range(1, patterns.shape[-1]) for k in range(n + 1)]
        whole = [[[x[n, k] for n, k in pairs] for x in block] for block in patterns]
        whole = np.array(whole)
        some = [whole[n, n] for n in range(3)]
        expected = {
            "two": of(how, whole[1, 0], whole[1, 2]),
            "three": np.mean([of(how, x, y) for x, y in itertools.combinations(some, 2)]),
            "last": of(how, patterns[1][0, -1], patterns[1][2, -1]),
        }
        for name, value in expected.items():
            assert found[name][p] == pytest.approx(value, abs=2e-4), name


def test_other_heads_of_the_block_stand_in(llama):
    """Each draw compares two different heads of the block, and draws differ."""
    read = Read(name="two", similarity="cosine", heads=("1.0", "1.1"), position="all")
    about = replace(task_of(llama, read), stands_in="heads")
    seeds = np.arange(1000, 1012)
    tick = lambda *_: None  # noqa: E731 (an argument)
    named, _ = measuring.measure(about, seeds, llama.folder, "cpu", False, tick)
    patterns = llama.run(llama.ids(TEXT.format(**ROWS[0])))[2][1]
    flat = [[x[n, k] for n in range(1, x.shape[0]) for k in range(n + 1)] for x in patterns]
    pairs = [of("cosine", *map(np.array, two)) for two in itertools.combinations(flat, 2)]
    numbers = named["two"][1][:, 0]
    assert all(min(abs(x - y) for y in pairs) < 1e-4 for x in numbers)
    assert len({*np.round(numbers, 4)}) > 1


def task_of(naive, read):
    return task(naive, shown(), [read])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"site": SITE.format(n=1), "heads": ("1.0", "1.1")}, "give one of these"),
        ({"heads": ("1.0", "1.0")}, "two heads or more that are different"),
        ({"heads": ("1.0", "1.1"), "position": 0}, "the first token attends to itself alone"),
        ({"heads": ("1.0", "1.1"), "position": "mean"}, 'or several, or "all"'),
        ({"site": SITE.format(n=1), "position": "all"}, 'or several, or "mean"'),
        (
            {"site": SITE.format(n=1), "other_site": "blocks.1.mlp.hook_post"},
            "different numbers of dimensions.*linear CKA",
        ),
    ],
)
def test_what_has_no_similarity_is_refused(llama, fields, words):
    read = Read(name="alike", similarity="cosine", **fields)
    reads.check(read)
    with pytest.raises(DataError, match=words):
        measured(llama, shown(), [read])


def test_other_sites_that_say_nothing_are_refused():
    at = {"site": SITE.format(n=1), "other_site": SITE.format(n=1)}
    for fields in ({"similarity": "cosine"}, {"cka": True}, {"across": "cka"}):
        with pytest.raises(DataError, match="other_site is another site than"):
            reads.check(Read(name="it", **fields, **at))
    with pytest.raises(DataError, match="other_site is another site than"):
        reads.check(Read(name="it", across="cosine", site="hook_embed", other_site=at["site"]))


SIMILAR = """
[[prompts]]
text = "{country} by {who}"
corrupted = "{other} by {who}"
file = "capitals.csv"
unit = "prompt"
[[read]]
name = "near"
similarity = "cosine"
site = "blocks.1.hook_resid_pre"
[[read]]
name = "layers"
across = "cka"
site = "blocks.0.hook_resid_pre"
other_site = "blocks.2.hook_resid_pre"
[[read]]
name = "far"
similarity = "distance"
other_text = "{who} of {country}"
site = "blocks.1.hook_resid_pre"
"""


@pytest.mark.parametrize(
    ("holds", "controls"),
    [
        ("main.near > 0.5", ["untrained", "unrelated"]),
        ("main.near < 0.5", ["untrained"]),
        ("main.layers > 0.5", ["untrained", "unrelated"]),
        ("main.layers < 0.5", ["untrained"]),
        ("main.far < 3", ["untrained", "unrelated"]),
        ("main.far > 3", ["untrained"]),
        ("main.near - 0.1 * main.far > 0", ["untrained"]),
    ],
)
def test_another_rows_text_is_a_control_where_texts_are_said_to_be_alike(folder, holds, controls):  # noqa: F811
    (claim,) = planned(folder, f"alike {holds[5:8]}", SIMILAR, holds).claims
    assert sorted(claim.must_fail) == sorted(f"main/{name}" for name in controls)
