"""Probes read what was planted, and nothing of the label that reaches a judged prompt by another
way is counted as read: tokens, groups, chance."""

import dataclasses
import json
from collections import Counter

import msgspec
import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score

import tiny_models
from assay.ask import missing
from assay.ask.checks import uneven_in_words
from assay.ask.measure import probe_fits, probe_tasks, probes, prompts
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.tokenized import prompt
from assay.ask.tables import Model, Probe, Prompts
from assay.core.errors import AssayError, DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.features.linear_probe import INNER, folds
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects.folder import find
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay.subjects.untrained import redrawn

SEEDS = np.arange(8)
WORDS = ("add", "sum", "class", "Point", "return", "def", "the", "of", "and", "self")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("tiny") / "model", "llama")


def rows(count, **columns):
    """Rows whose texts are all different and say nothing of their labels."""
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(WORDS, 6)) + f" {i}" for i in draw.permutation(count)]
    return [
        {"text": text, **{name: values[i] for name, values in columns.items()}}
        for i, text in enumerate(texts)
    ]


HALVES = ["yes", "no"] * 12
EIGHTY = rows(80, label=["yes", "no"] * 40)


def a_task(folder, table_rows, control="", **fields):
    split = fields.pop("split", "")
    source = prompts.load(Prompts(rows=tuple(table_rows), split=split), folder)
    site = {"site": "blocks.{layer}.hook_resid_post", "sweep": {"layer": (0, 1)}}
    table = Probe(name="truth", **{**site, **fields})
    return ProbeTask(Model(name=str(folder)), table, source, control=control)


def measured(task, folder, seeds=SEEDS):
    named, coords = probes.measure(task, seeds, folder, "cpu", False, lambda done, total: None)
    return {name: array for name, (_, array, _) in named.items()}, coords


def plant(monkeypatch, x):
    """Have sites of layer 1 hold x, and those of layer 0 noise."""
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=x.shape))

    def planted(model, key, some, sites, place):
        return [torch.from_numpy(x) if site.layer else noise for site in sites]

    monkeypatch.setattr(probes, "all_activations", planted)


def labelled(count, d=12, size=1.5, noise=1.0):
    """Labels of equal share, and activations with a direction that tells them apart."""
    draw = np.random.default_rng(2)
    sign = np.tile([1, -1], count // 2)
    direction = draw.normal(size=d)
    x = noise * draw.normal(size=(count, d))
    return ["yes" if s > 0 else "no" for s in sign], x + size * sign[:, None] * direction


@pytest.mark.parametrize(
    "kind",
    [
        *("ridge", "logistic", "sparse"),
        *(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("attention", "mlp")),
    ],
)
def test_a_probe_of_permuted_labels_is_at_chance(tiny, monkeypatch, kind):
    labels, x = labelled(120, d=30, size=0.5)
    plant(monkeypatch, x)
    tokens = torch.from_numpy(np.repeat(x[:, None], 2, 1))
    ids = [[0, 1]] * 120
    if kind == "attention":
        order = order_of(a_task(tiny, rows(120, label=labels)))
        plant_tokens(monkeypatch, tokens[order], ids)
    task = a_task(tiny, rows(120, label=labels), "permuted", kind=kind, sweep={"layer": (1,)})
    seeds = SEEDS[:1] if kind in ("attention", "mlp") else SEEDS
    values, _ = measured(task, tiny, seeds)
    assert abs(values["accuracy"].mean() - 0.5) < 0.08
    task = a_task(tiny, rows(120, label=labels), kind=kind, sweep={"layer": (1,)})
    assert measured(task, tiny, seeds)[0]["accuracy"].mean() > 0.85


def order_of(task):
    return [*task.learned, *task.rows]


def plant_tokens(monkeypatch, x, ids):
    monkeypatch.setattr(probes._Reader, "_tokens", lambda self, model, points: [x for _ in points])
    monkeypatch.setattr(probes._Reader, "ids", lambda self, table: ids)


def test_permuted_labels_keep_their_number_and_follow_no_label():
    draw = np.random.default_rng(3)
    label = draw.choice(3, 90, p=[0.6, 0.3, 0.1])
    train = np.sort(draw.permutation(90)[:60])
    every = [probe_fits.shuffled_rows(label, train, train, seed, 0) for seed in range(20)]
    for whose in every:
        assert sorted(whose) == sorted(train)
        table = np.zeros((3, 3))
        np.add.at(table, (label[train], label[whose]), 1)
        expected = np.outer(table.sum(1), table.sum(0)) / 60
        assert abs(table - expected).max() <= 2
    assert len({tuple(whose) for whose in every}) == 20


def test_permuted_labels_of_groups_stay_whole():
    group = np.repeat(np.arange(12), 5)
    label = np.repeat(np.tile([0, 1], 6), 5)
    whose = probe_fits.shuffled_rows(label, np.arange(60), group, 0, 0)
    given = label[whose].reshape(12, 5)
    assert (given == given[:, :1]).all()
    assert given[:, 0].sum() == 6
    assert given[::2, 0].sum() == 3  # half of each label's groups have the other one


def test_permuted_labels_lean_neither_way_where_they_cannot_be_halved():
    """Of 13 rows of each label 6 or 7 have the other one, in as many deals as not."""
    label = np.repeat([0, 1], 13)
    changed = [
        int(
            (
                label[probe_fits.shuffled_rows(label, np.arange(26), np.arange(26), 0, deal)]
                != label
            ).sum()
        )
        for deal in range(probe_fits.DEALS)
    ]
    assert sorted(changed) == [12, 12, 14, 14]


def test_what_groups_have_in_common_is_not_read(tiny, monkeypatch):
    """Each group has a vector of its own and a label that was drawn for it: a probe that may see
    others of the same group knows them, one that may not knows nothing."""
    draw = np.random.default_rng(4)
    group = np.repeat(np.arange(40), 6)
    labels = np.array(["yes", "no"] * 20)[draw.permutation(40)][group].tolist()
    x = 3 * draw.normal(size=(40, 200))[group] + 0.1 * draw.normal(size=(240, 200))
    plant(monkeypatch, x)
    columns = rows(240, label=labels, book=[f"book {g}" for g in group])
    loose = measured(a_task(tiny, columns), tiny)[0]["accuracy"][:, 1]
    strict, coords = measured(a_task(tiny, columns, split="book"), tiny)
    assert loose.mean() > 0.95
    assert abs(strict["accuracy"][:, 1].mean() - 0.5) < 0.12
    assert len(coords["book"]) == 20


def naive(x, y, task, seed, models, predict, loss):
    """The same probe by scikit-learn: scaled by the learning half, tuned by folds of whole groups
    of what the seed learns from."""
    from sklearn.preprocessing import StandardScaler

    z = StandardScaler().fit(x[task.learned]).transform(x)
    train = np.array(task.source.sample(task.learned, seed, labelled=bool(task.classes)))
    inner = folds(np.array(task.source.groups(train)), INNER, seed)
    losses = np.zeros(len(models(z, train)))
    for k in range(INNER):
        rest, judged = train[inner != k], train[inner == k]
        for i, model in enumerate(models(z, rest)):
            losses[i] += loss(y[judged], predict(model.fit(z[rest], y[rest]), z[judged]))
    best = models(z, train)[losses.argmin()].fit(z[train], y[train])
    return predict(best, z[task.rows])


def test_ridge_is_that_of_scikit_learn(tiny, monkeypatch):
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score

    draw = np.random.default_rng(5)
    x = draw.normal(size=(90, 40)) * draw.uniform(0.1, 9, 40) + 5
    y = 100 + x @ draw.normal(size=40) + 10 * draw.normal(size=90)
    plant(monkeypatch, x)
    task = a_task(tiny, rows(90, label=y.tolist()), sweep={"layer": (1,)})
    values, _ = measured(task, tiny)

    def models(z, train):
        mean = np.square(z[train] - z[train].mean(0)).sum(1).mean()
        return [Ridge(r * mean) for r in probe_fits.RIDGES]

    for seed in SEEDS[:3]:
        expected = naive(
            x, y, task, seed, models, lambda m, z: m.predict(z), lambda a, b: ((a - b) ** 2).sum()
        )
        error, variance = (values[name][seed, 0] for name in ("error", "variance"))
        np.testing.assert_allclose(error, (y[task.rows] - expected) ** 2, rtol=1e-6)
        np.testing.assert_allclose(
            1 - error.sum() / variance.sum(), r2_score(y[task.rows], expected), rtol=1e-9
        )


@pytest.mark.parametrize("labels", [2, 3])
def test_logistic_is_that_of_scikit_learn(tiny, monkeypatch, labels):
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    draw = np.random.default_rng(6)
    index = draw.integers(0, labels, 120)
    x = draw.normal(size=(120, 8)) + 1.2 * draw.normal(size=(labels, 8))[index]
    plant(monkeypatch, x)
    names = [f"kind {i}" for i in index]
    task = a_task(tiny, rows(120, label=names), kind="logistic", sweep={"layer": (1,)})
    values, _ = measured(task, tiny)

    def models(z, train):
        plain = [LogisticRegression(C=c, tol=1e-10, max_iter=5000) for c in probe_fits.STRENGTHS]
        return plain if labels == 2 else [OneVsRestClassifier(model) for model in plain]

    for seed in SEEDS[:2]:
        odds = naive(
            x,
            index,
            task,
            seed,
            models,
            lambda m, z: np.log(m.predict_proba(z)),
            lambda y, logs: -logs[np.arange(len(y)), y].sum(),
        )
        right = index[task.rows]
        np.testing.assert_allclose(
            values["log_prob"][seed, 0], odds[np.arange(len(right)), right], atol=2e-3
        )
        assert (values["accuracy"][seed, 0] == (odds.argmax(1) == right)).all()


@pytest.mark.parametrize("labels", [2, 3])
def test_a_difference_of_means_is_scikit_learns_nearest_centroid(tiny, monkeypatch, labels):
    from sklearn.neighbors import NearestCentroid

    draw = np.random.default_rng(7)
    index = draw.integers(0, labels, 90)
    x = (
        draw.normal(size=(90, 8)) * draw.uniform(0.1, 9, 8)
        + 2 * draw.normal(size=(labels, 8))[index]
    )
    plant(monkeypatch, x)
    names = [f"kind {i}" for i in index]
    task = a_task(tiny, rows(90, label=names), kind="difference", sweep={"layer": (1,)})
    values, _ = measured(task, tiny)
    for seed in SEEDS[:3]:
        train = task.source.sample(task.learned, seed, labelled=True)
        guess = NearestCentroid().fit(x[train], index[train]).predict(x[task.rows])
        assert (values["accuracy"][seed, 0] == (guess == index[task.rows])).all()
        assert 0.4 < values["accuracy"][seed, 0].mean() < 1


@pytest.mark.parametrize("kind", ["ridge", "logistic", "sparse"])
def test_alone_is_as_within_the_batch(tiny, kind):
    columns = rows(60, label=["yes", "no"] * 30)
    for control in ("", "bag", "untrained"):
        task = a_task(tiny, columns, control, kind=kind)
        together, _ = measured(task, tiny, SEEDS[:3])
        single, _ = measured(task, tiny, SEEDS[2:3])
        for name in together:
            np.testing.assert_array_equal(single[name][0], together[name][2])
        alone = a_task(tiny, columns, control, kind=kind, sweep={"layer": (1,)})
        one_layer, _ = measured(alone, tiny, SEEDS[:3])
        for name in together:
            np.testing.assert_allclose(one_layer[name][:, 0], together[name][:, 1], atol=1e-6)


def test_the_untrained_twin_is_that_of_the_seed(tiny):
    task = a_task(tiny, rows(24, label=HALVES), "untrained")
    reader = probes._Reader(task, task.rows, tiny, "cpu")
    points = probe_tasks.every_point(task.table)
    first = [x.clone() for x in reader.inputs(points, 3)]
    reader.inputs(points, 4)
    model = load(str(tiny))
    before = model.run(torch.tensor([model.encode("def")]), capture=[Site("resid_post", 1)])
    again = load(str(tiny)).run(
        torch.tensor([model.encode("def")]), capture=[Site("resid_post", 1)]
    )
    torch.testing.assert_close(before.acts, again.acts)  # the opened one is as it was
    twin = redrawn(load(str(tiny)), 3)
    for place, (some, row) in enumerate([(task.learned, 0), (task.rows, 5)]):
        text = task.source.rows[some[row]].text
        acts = twin.run(
            torch.tensor([twin.encode(text)]), capture=[Site("resid_post", n) for n in (0, 1)]
        ).acts
        index = row + place * len(task.learned)
        for n in (0, 1):
            torch.testing.assert_close(
                first[n][index], acts[Site("resid_post", n)][0, -1], atol=1e-5, rtol=1e-4
            )


def test_attention_finds_the_token_that_carries_the_label(tiny, monkeypatch):
    """One token of eight, anywhere, has the sign of the label on one axis and a mark on another;
    the others have signs of their own."""
    draw = np.random.default_rng(7)
    labels = ["yes", "no"] * 60
    x = draw.normal(size=(120, 8, 6))
    x[..., 0] = 3 * draw.choice([-1, 1], size=(120, 8))
    place = draw.integers(0, 8, 120)
    x[np.arange(120), place, 0] = np.tile([3, -3], 60)
    x[np.arange(120), place, 1] = 6
    columns = rows(120, label=labels)
    order = order_of(a_task(tiny, columns))
    plant_tokens(monkeypatch, torch.from_numpy(x[order]), [[0] * 8] * 120)
    task = a_task(tiny, columns, kind="attention", sweep={"layer": (1,)})
    attended = measured(task, tiny, SEEDS[:3])[0]["accuracy"].mean()
    plant(monkeypatch, x.mean(1))
    task = a_task(tiny, columns, kind="logistic", sweep={"layer": (1,)})
    averaged = measured(task, tiny, SEEDS[:3])[0]["accuracy"].mean()
    assert attended > 0.9
    assert averaged < attended - 0.1


def test_a_bag_knows_no_token_behind_the_probe(tiny):
    """The label stands in the last words, which nothing at the slot before them can know."""
    words = {"yes": "zzzz", "no": "qqqq"}
    labels = ["yes", "no"] * 30
    source = [
        {"name": text["text"], "end": words[label], "label": label}
        for text, label in zip(rows(60), labels, strict=True)
    ]
    table = Prompts(rows=tuple(source), text="{name} {end}")
    loaded = prompts.load(table, tiny)
    at = {}
    for position in (-1, "{name}"):
        probe = Probe(name="truth", site="blocks.1.hook_resid_post", position=position)
        task = ProbeTask(Model(name=str(tiny)), probe, loaded, control="bag")
        at[position] = measured(task, tiny)[0]["accuracy"].mean()
    assert at[-1] > 0.95
    assert abs(at["{name}"] - 0.5) < 0.15


@pytest.mark.parametrize(
    ("columns", "fields", "words"),
    [
        ({"label": ["yes"] * 24}, {}, "nothing to tell apart"),
        ({"label": ["yes"] + ["no"] * 23}, {}, "no row with label = 'yes'"),
        ({"label": [f"name {i}" for i in range(24)]}, {}, "24 different texts"),
        ({"label": list(range(24))}, {"kind": "logistic"}, "is a number"),
        ({"label": HALVES}, {"kind": "rigde"}, "ridge"),
        ({"label": HALVES}, {"sweep": {"layers": (1, 2)}}, "layer"),
        ({"label": HALVES}, {"site": "", "sweep": {}}, "needs a site"),
        (
            {"label": HALVES},
            {"site": "blocks.1.attn.hook_pattern", "sweep": {}},
            "no vector for a token",
        ),
        ({"label": ["yes", "no"] * 4}, {}, "takes 6 or more: write"),
        ({"label": HALVES, "text": ["same"] * 24}, {}, "repeat a text"),
        (
            {
                "label": ["yes", "yes", "no", "no"] * 6,
                "text": [f"thing {k // 2} came{'!' * (k % 2)}" for k in range(24)],
            },
            {},
            "in another spelling",
        ),
        (
            {"label": HALVES, "text": [f"{k} is {'no' if k % 2 else 'yes'}" for k in range(24)]},
            {},
            "the label itself is a word",
        ),
    ],
)
def test_what_no_probe_could_show_is_refused(tiny, columns, fields, words):
    count = len(columns["label"])
    table_rows = [
        {**row, **{k: v[i] for k, v in columns.items()}} for i, row in enumerate(rows(count))
    ]
    with pytest.raises((DataError, AssayError)) as caught:
        probe_tasks.check(a_task(tiny, table_rows, **fields))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_probe_at_a_token_up_to_which_all_prompts_are_the_same_is_refused(tiny):
    """A model reads from left to right, so it has the same activations there in every prompt."""
    table = Prompts(rows=tuple(rows(24, label=HALVES)), text="Once {text}", name="facts")
    loaded, folder = prompts.load(table, tiny), find(str(tiny))
    opening = prompt(folder, loaded.rows[0]).opening
    for place in (opening, -1):
        probe = Probe(name="truth", site="blocks.1.hook_resid_post", position=place)
        task = ProbeTask(Model(name="x"), probe, loaded)
        if place == opening:
            with pytest.raises(DataError, match="all prompts have the same tokens up to"):
                probe_tasks.check_prompts(task, folder)
        else:
            probe_tasks.check_prompts(task, folder)


def test_a_label_that_stands_in_the_prompt_is_refused_unless_behind_the_probe(tiny):
    table = Prompts(rows=tuple(rows(24, label=HALVES)), text="{text} is {label}", name="facts")
    loaded = prompts.load(table, tiny)
    shown = Probe(name="truth", site="blocks.1.hook_resid_post")
    with pytest.raises(DataError, match="in every prompt, the label itself is a word"):
        probe_tasks.check(ProbeTask(Model(name="x"), shown, loaded))
    few = msgspec.structs.replace(shown, controls=("permuted",))
    with pytest.raises(DataError, match="is in the prompt"):
        probe_tasks.check(ProbeTask(Model(name="x"), few, loaded))
    numbers = Prompts(rows=tuple(rows(24, label=[*range(24)])), text="{text} is {label}")
    task = ProbeTask(Model(name="x"), shown, prompts.load(numbers, tiny))
    # whether it is still known there may be asked: `bag` reads it, too
    probe_tasks.check(task)
    assert "{label} is in the prompt; bag and embedding" in probe_tasks.remarks(task)[0]
    before = Probe(name="truth", site="blocks.1.hook_resid_post", position="{text}")
    probe_tasks.check(ProbeTask(Model(name="x"), before, loaded))


def test_labels_whose_column_is_not_called_label_are_counted_where_halves_differ(tiny):
    kinds = ["object", "living"] * 20
    task = a_task(tiny, rows(40, kind=kinds), label="kind")
    counts = {kind: [kinds[i] for i in task.rows].count(kind) for kind in kinds}
    assert counts["object"] != counts["living"], "else the rows show nothing"
    said = uneven_in_words(task)
    assert all(f"{n} of “{kind}”" in said for kind, n in counts.items())
    named = a_task(tiny, rows(40, label=kinds))
    assert [kinds[i] for i in named.rows].count("object") == 10
    assert not uneven_in_words(named)


def test_a_column_that_says_the_label_has_to_be_split_by(tiny):
    cities = [f"city {i % 20}" for i in range(80)]
    source = [
        {**row, "city": city, "label": "north" if int(city[5:]) % 2 else "south"}
        for row, city in zip(rows(80), cities, strict=True)
    ]
    probe = Probe(name="truth", site="blocks.1.hook_resid_post")

    def checked(split, text="{city} {text}"):
        table = Prompts(rows=tuple(source), text=text, split=split)
        probe_tasks.check(ProbeTask(Model(name="x"), probe, prompts.load(table, tiny)))

    with pytest.raises(DataError, match='write split = "city"'):
        checked("")
    checked("city")
    source = [{**row, "text": f"{row['city']} {row['text']}"} for row in source]
    with pytest.raises(DataError, match='write split = "city"'):
        checked("", text="{text}")
    checked("city", text="{text}")
    for i, row in enumerate(source):  # which no text shows
        row["city"] = f"number {i % 20}"
    checked("", text="{text}")


def test_what_fills_written_texts_is_found_in_the_half_that_is_judged(tiny):
    """Twenty names in four sentences: of a half, some names have one sentence alone."""
    sentences = ("we met {} there", "the letter for {} came", "now {} went home", "so {} slept")
    named = [(f"name{k}", text) for k in range(20) for text in sentences]
    table = [{"text": t.format(n), "who": n, "label": "ab"[int(n[4:]) % 2]} for n, t in named]
    task = a_task(tiny, table)
    whole = prompts.shared(task.prompts, range(80))
    half = prompts.shared(task.prompts, task.rows)
    assert len({*whole["filling"]}) == 20 and len({*whole["wording"]}) == 4
    assert min(Counter(half["filling"]).values()) == 1, "else the rows show nothing"
    assert half["filling"] == [whole["filling"][i] for i in task.rows]
    known = prompts.load(task.prompts.table, tiny, "-")
    assert [*prompts.shared(known, range(80))] == ["who", "wording"], "names are one factor"


def test_columns_of_the_text_that_say_the_label_are_named(tiny):
    """`place` says the label everywhere, `tone` in 72 of 80 rows; values of `city`
    are new where they are judged, and `end` is behind the probe."""
    labels = ["no", "yes"] * 40
    source = [
        {
            **row,
            "city": f"city {i % 20}",
            "label": label,
            "place": f"{label} {i % 3}",
            "tone": "up" if (label == "yes") != (i // 20 == 3 and i % 10 < 4) else "down",
            "end": label,
        }
        for i, (row, label) in enumerate(zip(rows(80), labels, strict=True))
    ]

    def said(text, **fields):
        table = Prompts(rows=tuple(source), text=text, split="city")
        probe = Probe(name="truth", site="blocks.1.hook_resid_post", position="{text}", **fields)
        return probe_tasks.giving(ProbeTask(Model(name="x"), probe, prompts.load(table, tiny)))

    alone = "{place} alone determines label in every judged row: a probe can read the place instead"
    most = "rows whose label is not that of most rows with the same place (now 0 of "
    same = f"{alone}; to rule this out, add {most}"
    assert said("{city} {place} {text} {end}").startswith(same)
    assert said("{city} {text} {end}") == ""
    assert said("{city} {tone} {place} {text}", folds=5) == (
        "{tone} alone determines label in 72 of 80 rows, and {place} alone determines label in "
        "every judged row: a probe can read them instead"
    )
    for row in source:
        row["text"] += " now" * (row["label"] == "yes")
    word = "the word “now” alone predicts label with an AUROC of 1.00: a probe can read it instead"
    assert said("{city} {text} {end}") == word


def test_a_column_that_two_tables_share_and_that_says_the_label_is_refused_in_either_way(tiny):
    """A split by it cannot help, since each table is used whole."""
    many = [{**row, "city": f"city {i % 20}"} for i, row in enumerate(rows(160))]
    many = [{**row, "label": "north" if int(row["city"][5:]) % 2 else "south"} for row in many]

    def checked(split, new):
        judged = [{**row, "city": new + row["city"]} for row in many[80:]]
        text, probe = (
            "{city} {text}",
            Probe(name="truth", site="blocks.1.hook_resid_post", prompts="a", test="b"),
        )
        a = prompts.load(Prompts(name="a", rows=tuple(many[:80]), text=text, split=split), tiny)
        b = prompts.load(Prompts(name="b", rows=tuple(judged), text=text), tiny)
        probe_tasks.check(ProbeTask(Model(name="x"), probe, a, b))

    for split in ("", "city"):
        with pytest.raises(DataError, match="give the two tables different values of city"):
            checked(split, "")
        checked(split, "new ")


STUDY = """\
question = "Is the weather read?"
seeds = "0:8"

[[model]]
name = "./model"

[[prompts]]
file = "rows.jsonl"

[[probe]]
name = "truth"
site = "blocks.{layer}.hook_resid_post"
sweep = { layer = [0, 2] }

[[claim]]
text = "The label is read"
holds = "truth.accuracy[layer=2] > 0.8"
"""


def study(tiny, table_rows, text=STUDY):
    path = tiny.parent / "asks.toml"
    path.write_text(text)
    (tiny.parent / "rows.jsonl").write_text("\n".join(map(json.dumps, table_rows)))
    return str(path)


def found(tiny, table_rows, text=STUDY):
    return catalogue.find(study(tiny, table_rows, text))


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "store", Inline())


def test_a_label_that_tokens_carry_is_unspecific(tiny, lab):
    draw = np.random.default_rng(9)
    labels = ["yes", "no"] * 40
    table_rows = [
        {"text": f"{row['text']} {draw.choice(WORDS)} {'zzzz' if x == 'yes' else 'qqqq'}"}
        | {"label": x}
        for row, x in zip(rows(80), labels, strict=True)
    ]
    whole = found(tiny, table_rows)
    assert set(whole.arms) == {
        "main",
        *(f"truth{c}" for c in ("", "/bag", "/embedding", "/places", "/untrained", "/permuted")),
    }
    (claim,) = whole.claims
    assert claim.units == ("prompt",)
    assert claim.natural == (0, 1) and claim.bounds is None
    assert 0.5 <= claim.empty < 0.6
    assert set(claim.near) == set(claim.must_fail)
    verdict = lab.run(whole).judged[0].verdict
    assert verdict.outcome == "unspecific"
    assert "truth/bag" in verdict.reason


def test_an_undecided_probe_names_the_seeds_that_decide_it(tiny, lab):
    """Of n that are all right, the lower limit of 95% is 0.025^(1/n): 0.63 of 8, 0.805 of 17."""
    assert 0.025 ** (1 / 16) < 0.8 < 0.025 ** (1 / 17)
    table_rows = rows(76, label=["yes", "no"] * 38, pair=[i // 2 for i in range(76)])
    for row in table_rows:
        row["text"] += " zzzz" if row["label"] == "yes" else " qqqq"
    text = STUDY.replace("[[probe]]", 'split = "pair"\n[[probe]]')
    more = 'seeds = "1000000:1000017", which cost a probe next to nothing more'
    result = lab.run(found(tiny, table_rows, text))
    assert result.judged[0].outcome == "undecided"
    assert any(more in note for note in result.notes)
    enough = found(tiny, table_rows, text.replace("0:8", "1000000:1000017"))
    assert lab.run(enough).judged[0].outcome == "unspecific"
    gaps = missing.of_claims(found(tiny, table_rows, text))
    assert any(more in gap.text for gap in gaps)


def test_what_only_the_order_of_tokens_says_is_read_beyond_them(tiny, lab):
    """Both labels have the same tokens, in another order."""
    draw = np.random.default_rng(10)
    table_rows = []
    for i in draw.permutation(200):
        first, second = draw.choice(WORDS[:8], 2, replace=False)
        label = "no" if len(table_rows) % 2 else "yes"
        pair = f"of return {first} class" if label == "yes" else f"of class {first} return"
        table_rows.append({"text": f"{pair} {second} and self {i} :", "label": label})
    text = STUDY.replace("sweep", 'controls = ["bag", "embedding", "permuted"]\nsweep').replace(
        "layer = [0, 2]", "layer = [2]"
    )
    text = text.replace("> 0.8", "> 0.65")
    result = lab.run(found(tiny, table_rows, text))
    verdict = result.judged[0].verdict
    assert verdict.outcome == "holds", verdict.reason


def test_a_number_is_regressed_and_its_r2_is_a_ratio_of_sums(tiny, lab):
    """How often a word is in a prompt: a bag knows it exactly."""
    draw = np.random.default_rng(11)
    table_rows = []
    for i in range(80):
        count = int(draw.integers(0, 7))
        words = draw.permutation([*["zzzz"] * count, *draw.choice(WORDS, 8 - count)])
        table_rows.append({"text": " ".join([*words, str(i)]), "label": count})
    text = STUDY.replace("truth.accuracy[layer=2] > 0.8", "truth.r2 > 0.5")
    text = text.replace("blocks.{layer}.hook_resid_post", "hook_embed")
    text = text.replace("sweep = { layer = [0, 2] }", 'position = "mean"')
    result = lab.run(found(tiny, table_rows, text))
    verdict = result.judged[0].verdict
    assert verdict.outcome == "unspecific"
    assert "truth/bag" in verdict.reason


FOLDS = STUDY.replace("sweep", "folds = 5\nsweep")


def test_folds_are_the_unit_and_their_interval_allows_for_what_they_share(tiny, lab):
    """Mean ± t s √(1/k + n_test/n_train) of the folds' own accuracies (Nadeau and Bengio 2003)."""
    table_rows = rows(60, label=["yes", "no"] * 30)
    text = FOLDS.replace("> 0.8", "> 0.2")
    result = lab.run(found(tiny, table_rows, text))
    (judged,) = result.judged
    x = result.arms["truth"]["accuracy"].sel(layer=2)
    assert x.dims == ("run", "fold") and (x == x[0]).all()  # whatever the seed
    half = stats.t.ppf(0.975, 4) * np.sqrt(1 / 5 + 1 / 4) * x.values[0].std(ddof=1)
    assert judged.n == {"fold": 5}
    assert judged.estimate == pytest.approx(x.values[0].mean())
    assert (judged.low, judged.high) == pytest.approx(
        (judged.estimate - half, judged.estimate + half)
    )
    assert "1.5 times as wide as that of independent units" in judged.warning
    assert judged.natural == (0, 1)


def test_folds_learn_from_all_other_groups_and_judge_each_once(tiny, monkeypatch):
    """A group is a point far from all others, its label a coin: nothing of it can be learned."""
    group = np.repeat(np.arange(20), 6)
    labels = np.where(np.random.default_rng(4).permutation(20) % 2, "yes", "no")[group]
    x = 9 * np.random.default_rng(5).normal(size=(20, 40))[group]
    plant(monkeypatch, x + 0.01 * np.random.default_rng(6).normal(size=x.shape))
    columns = rows(120, label=labels.tolist(), city=[str(g) for g in group])
    task = a_task(tiny, columns, split="city", folds=5, sweep={"layer": (1,)})
    probe_tasks.check(task)
    judged = [row for _, held in task.parts for row in held]
    assert sorted(judged) == [*range(120)] and task.levels == [*"12345"]
    for learned, held in task.parts:
        assert not {*group[learned]} & {*group[held]}
        assert len(learned) + len(held) == 120
    values, coords = measured(task, tiny, SEEDS[:2])
    assert coords["fold"] == [*"12345"] and abs(values["accuracy"].mean() - 0.5) < 0.25
    labels, x = labelled(120, size=3)
    plant(monkeypatch, x)
    task = a_task(tiny, rows(120, label=labels), folds=5, sweep={"layer": (1,)})
    assert measured(task, tiny, SEEDS[:2])[0]["accuracy"].mean() > 0.98


@pytest.mark.parametrize(
    ("columns", "fields", "words"),
    [
        ({"label": ["yes", "no"] * 20}, {"folds": 3}, "a verdict needs 5 or more"),
        ({"label": ["yes", "no"] * 20, "city": [str(i % 8) for i in range(40)]},
         {"folds": 10, "split": "city"}, "10 folds need as many values of city, and there are 8"),
        ({"label": ["yes"] * 3 + ["no"] * 37}, {"folds": 5}, "no row with label = 'yes'"),
    ],
)  # fmt: skip
def test_folds_that_decide_nothing_are_refused(tiny, columns, fields, words):
    with pytest.raises(DataError, match=words):
        probe_tasks.check(a_task(tiny, rows(40, **columns), **fields))


def test_the_auroc_of_a_probe_is_scikit_learns(tiny, monkeypatch):
    """Also of groups of unequal sizes, of which no part is the AUROC of its own rows, and of
    folds, of which each is."""
    labels, x = labelled(120, size=0.25)
    plant(monkeypatch, x)
    group = np.sqrt(np.arange(120)).astype(int)
    labels = np.array(labels)[np.random.default_rng(1).permutation(120)].tolist()
    kept = {}
    scores = probe_fits.Learning.scores
    monkeypatch.setattr(
        probe_fits.Learning,
        "scores",
        lambda self, *a, **k: kept.setdefault(tuple(self.judged), (self, scores(self, *a, **k)))[1],
    )
    for fields in ({"split": "city"}, {"folds": 5}):
        kept.clear()
        columns = rows(120, label=labels, city=[str(g) for g in group])
        task = a_task(tiny, columns, sweep={"layer": (1,)}, **fields)
        values, _ = measured(dataclasses.replace(task, asked=("auroc",)), tiny, SEEDS[:1])
        truth = [
            roc_auc_score(learning.index[learning.count :] == 1, got[0, :, 1])
            for learning, got in kept.values()
        ]
        got = values["auroc"][0, 0]
        np.testing.assert_allclose(got if "folds" in fields else [got.mean()], truth, atol=1e-9)


def test_scores_that_differ_by_rounding_alone_are_ties_in_an_auroc(tiny):
    """They are rounded upwards with one label, and downwards with the other."""
    labels = ["no", "yes"] * 30
    task = a_task(tiny, rows(60, label=labels), folds=5)
    learning = probe_fits.Learning(task, task.rows, *task.parts[0])
    y = learning.index[learning.count :]
    apart = torch.tensor(1e-13 * (2.0 * y - 1))
    for size in (1.0, 1e-4, 1e6):
        score = size * (0.25 + apart)
        (areas,) = learning._areas(torch.stack([-score, score], -1)[None])
        assert areas.mean() == pytest.approx(0.5, abs=1e-12)


def test_a_statement_has_the_auroc_measured_and_it_is_at_a_half_by_chance(tiny, lab):
    plain = found(tiny, EIGHTY)
    text = STUDY.replace("truth.accuracy[layer=2]", "truth.auroc[layer=2]")
    whole = found(tiny, EIGHTY, text)
    (claim,) = whole.claims
    assert claim.empty == 0.5 and claim.natural == (0, 1) and claim.bounds is None
    names = ("accuracy", "balanced_accuracy", "margin")
    assert {*lab.run(plain, "smoke").arms["truth"].data_vars} - {"diverged"} == {*names}
    arms = lab.run(whole).arms
    assert {*arms["truth"].data_vars} - {"diverged"} == {*names, "auroc"}
    assert abs(float(arms["truth/permuted"]["auroc"].mean()) - 0.5) < 0.1
    assert float(arms["main"]["auroc"].mean()) == 0.5


@pytest.mark.parametrize(
    "condition",
    [
        "max(truth.auroc, over=layer) > 0.9",
        "first(truth.auroc > 0.9, over=layer) < 2",
        "share(truth.auroc[layer=2] > 0.9) > 0.5",
        "max(truth.auroc - 'truth/bag'.auroc, over=layer) > 0",
    ],
)
def test_no_unit_has_an_auroc_of_its_own(tiny, condition):
    text = STUDY.replace("truth.accuracy[layer=2] > 0.8", condition)
    with pytest.raises(AssayError, match=r"is one number of all units.*write mean"):
        found(tiny, EIGHTY, text)


def test_an_auroc_of_a_probe_and_one_of_a_read_are_in_one_condition_or_in_two_claims(tiny):
    """On other prompts than each other they are two claims, which the refusal says."""
    more = '[[read]]\nname = "says"\nentropy = true\n[[read]]\nname = "yes"\n'
    text = STUDY.replace("[[claim]]", f'{more}column = ["label", "yes"]\n\n[[claim]]')
    both = "mean(truth.auroc[layer=2]) - auroc(main.says, main.yes) > 0"
    with pytest.raises(AssayError, match="write a claim of each"):
        found(tiny, EIGHTY, text.replace("truth.accuracy[layer=2] > 0.8", both))
    for alone in ("mean(truth.auroc[layer=2]) > 0.5", "auroc(main.says, main.yes) > 0.5"):
        found(tiny, EIGHTY, text.replace("truth.accuracy[layer=2] > 0.8", alone))


CHANGED = STUDY.replace("[[claim]]", '''
[[intervene]]
name = "cut"
ablate = "zero"
site = "blocks.2.hook_mlp_out"

[[probe]]
name = "after"
site = "blocks.2.hook_resid_post"
intervention = "cut"

[[probe]]
name = "between"
site = "blocks.2.hook_resid_mid"

[[claim]]''')  # fmt: skip


def test_under_a_change_a_probe_reads_what_the_changed_model_has(tiny, lab):
    """Without what its MLP adds, a block hands on what it has before its MLP."""
    text = CHANGED.replace("truth.accuracy[layer=2]", "after.accuracy + 0 * between.accuracy")
    arms = lab.run(found(tiny, EIGHTY, text)).arms
    assert np.array_equal(arms["after"]["accuracy"], arms["between"]["accuracy"])
    plain = lab.run(found(tiny, EIGHTY)).arms["truth"]["accuracy"].sel(layer=2)
    assert not np.array_equal(arms["after"]["accuracy"], plain)


@pytest.mark.parametrize(
    ("holds", "controls"),
    [
        ("after.accuracy > 0.7", {"bag", "embedding", "places", "untrained", "permuted"}),
        ("after.auroc < 0.6", {"layer"}),
        ("between.accuracy - after.accuracy > 0.1", {"layer"}),
        ("between.accuracy - after.accuracy < 0.1",
         {"bag", "embedding", "places", "untrained", "permuted"}),
    ],
)  # fmt: skip
def test_that_less_can_be_read_has_the_controls_of_the_change(tiny, holds, controls):
    text = CHANGED.replace("truth.accuracy[layer=2] > 0.8", holds)
    (claim,) = found(tiny, EIGHTY, text).claims
    assert claim.of == "after"
    assert {c.partition("/")[2] for c in claim.must_fail} == controls


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('intervention = "cut"', 'intervention = "cat"', "no intervention 'cat'; did you mean cut"),
        ('ablate = "zero"', 'ablate = "zero"\nsweep = { position = [0, 1] }', "has a sweep"),
        ('intervention = "cut"', 'intervention = "cut"\nkind = "attention"', "model as it is"),
    ],
)
def test_a_change_under_which_no_probe_can_read_is_refused(tiny, before, after, words):
    text = CHANGED.replace("truth.accuracy[layer=2]", "after.accuracy").replace(before, after)
    with pytest.raises(AssayError, match=words) as e:
        found(tiny, EIGHTY, text)
    assert "line" in str(e.value)


def test_other_prompts_are_judged_that_share_no_group_with_those_learned_from(tiny, monkeypatch):
    labels, x = labelled(120)
    both = rows(120, label=labels)
    first = prompts.load(Prompts(name="a", rows=tuple(both[:60])), tiny)
    second = prompts.load(Prompts(name="b", rows=tuple(both[60:])), tiny)
    at = {first.digest: x[:60], second.digest: x[60:]}
    monkeypatch.setattr(
        probes,
        "all_activations",
        lambda model, key, some, sites, place: [torch.from_numpy(at[some.digest]) for _ in sites],
    )
    probe = Probe(name="truth", site="blocks.1.hook_resid_post", prompts="a", test="b")
    task = ProbeTask(Model(name=str(tiny)), probe, first, second)
    probe_tasks.check(task)
    values, coords = measured(task, tiny)
    assert values["accuracy"].mean() > 0.98
    assert len(coords["prompt"]) == 60
    with pytest.raises(DataError, match="have the same text"):
        probe_tasks.check(ProbeTask(Model(name=str(tiny)), probe, first, first))


def test_the_codes_of_a_dictionary_are_read_in_place_of_activations(tiny, monkeypatch):
    """One latent of 32 fires for one label; nothing else of the activations says it."""
    draw = np.random.default_rng(12)
    W = torch.from_numpy(draw.normal(size=(1, 24, 32))).float()
    dictionary = Dictionary(W, torch.zeros(1, 32), W.mT.contiguous(), torch.zeros(1, 24), ReLU())
    dictionary.save(tiny.parent / "codes.safetensors")
    labels, x = labelled(120, d=24, size=0.0)
    x += np.where(np.array(labels) == "yes", 3.0, 0.0)[:, None] * W[0, :, 5].numpy()
    plant(monkeypatch, x.astype(np.float32))
    task = a_task(
        tiny,
        rows(120, label=labels),
        kind="sparse",
        dictionary="codes.safetensors",
        sweep={"layer": (1,), "k": (1, 4)},
    )
    named, _ = probes.measure(task, SEEDS, tiny.parent, "cpu", False, lambda a, b: None)
    accuracy = named["accuracy"][1]
    assert accuracy.shape == (8, 1, 2, 60)
    assert accuracy.mean() > 0.95


# places -------------------------------------------------------------------------------------------


def orders(count):
    """Rows of two words in one or the other order, each pair in both, behind fillers of any
    number."""
    draw = np.random.default_rng(5)
    fillers = [
        [" ".join(draw.choice(WORDS[4:], n)), i] for i, n in enumerate(draw.integers(1, 5, count))
    ]
    return [
        {"text": f"{filler} {i} {first} and {second}", "label": label, "pair": str(i)}
        for filler, i in fillers
        for first, second, label in (("add", "sum", "yes"), ("sum", "add", "no"))
    ]


def test_an_order_of_words_is_read_off_their_places_and_no_bag_could(tiny):
    """Whether one of two words comes first stands at a place from the end, with no model."""
    whole = {"split": "pair", "sweep": {"layer": (0,)}, "position": "mean"}
    task = a_task(tiny, orders(30), "places", **whole)
    assert measured(task, tiny)[0]["accuracy"].mean() > 0.95
    folder = load(str(tiny), "cpu").folder
    assert probe_tasks.at_chance(task, folder) == {"bag", "embedding"}
    last = a_task(tiny, orders(30), **{**whole, "position": -1})
    assert probe_tasks.at_chance(last, folder) == {"bag"}
    labels = ["yes", "no"] * 30
    assert not probe_tasks.at_chance(a_task(tiny, rows(60, label=labels)), folder)


def test_a_probe_that_is_right_in_every_row_has_exactly_1_in_every_unit(tiny, tmp_path):
    """So that its interval is the exact one of Clopper and Pearson, whatever rows a unit has: six
    times a sixth of 1 is less than 1."""
    table = [
        {"text": f"{i} {n} {word}", "label": label, "pair": str(i)}
        for i in range(12)
        for n in range(3)
        for word, label in (("add", "yes"), ("sum", "no"))
    ]
    task = a_task(tiny, table, split="pair", site="blocks.0.hook_resid_pre", sweep={}, position=-1)
    assert {*measured(task, tiny)[0]["accuracy"].ravel()} == {1.0}
    path = tmp_path / "sure.toml"
    toml = ", ".join("{" + ", ".join(f'{k} = "{v}"' for k, v in r.items()) + "}" for r in table)
    path.write_text(
        f"""
question = "Does it know the last word?"
[[model]]
name = "{tiny}"
[[prompts]]
split = "pair"
rows = [{toml}]
[[probe]]
name = "word"
site = "blocks.0.hook_resid_pre"
position = -1
controls = ["permuted"]
[[claim]]
text = "It tells the last word"
holds = "word.accuracy > 0.9"
threshold = "plan: nine of ten"
"""
    )
    [v] = Lab(tmp_path / "store", Inline()).run(catalogue.find(str(path))).judged
    assert (v.outcome, v.reason) == ("undecided", "interval straddles")
    assert (v.low, v.high) == pytest.approx((0.025 ** (1 / min(v.n.values())), 1.0))
    assert "about 36 seeds and 36 pairs in all" in v.price.text  # .025^(1/35) is below .9


def test_a_control_at_chance_by_construction_is_not_counted_as_beaten(tiny, tmp_path):
    table = ", ".join(
        "{" + ", ".join(f"{k} = {json.dumps(v)}" for k, v in row.items()) + "}"
        for row in orders(30)
    )
    path = tmp_path / "order.toml"
    path.write_text(
        f"""
question = "Does it know the order?"
[[model]]
name = "{tiny}"
[[prompts]]
split = "pair"
rows = [{table}]
[[probe]]
name = "order"
site = "blocks.1.hook_resid_post"
position = "mean"
[[claim]]
text = "It tells which word came first"
holds = "order.accuracy > 0.6"
threshold = "plan: above chance"
"""
    )
    result = Lab(tmp_path / "store", Inline()).run(catalogue.find(str(path)))
    names = {*result.judged[0].controls}
    assert names == {"order/places", "order/untrained", "order/permuted"}
    assert any("order/bag, order/embedding: prompts of every label" in n for n in result.notes)


@pytest.mark.parametrize("mixed", [False, True])
def test_groups_of_one_label_are_split_so_that_both_halves_have_the_same_share(tmp_path, mixed):
    """Of groups that have both labels, each half has as many of the two anyway."""
    rows = [
        {"text": f"{n} {k}", "city": str(n), "label": "ab"[(n % 5 == 0) if not mixed else k]}
        for n in range(40)
        for k in range(2)
    ]
    shown = prompts.load(Prompts(rows=tuple(rows), text="{text}", split="city"), tmp_path)
    learned, measured_rows = shown.halves()
    for half in (learned, measured_rows):
        labels = shown.column("label", half)
        assert labels.count("b") == (len(half) // 2 if mixed else len(half) // 5)
    assert {*shown.column("city", learned)}.isdisjoint(shown.column("city", measured_rows))
