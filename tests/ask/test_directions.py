"""Directions by the plain formulas, and what stands in their place in controls."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from naive_asking import Naive, direction, intervention, make, measured, rows_of

from assay.ask import checks
from assay.ask.measure import activations, controls, directions, measuring, models, neighbours
from assay.ask.measure.directions import Learner
from assay.ask.measure.tasks import Task
from assay.ask.model_study import ModelStudy
from assay.ask.tables import Model
from assay.ask.text import read
from assay.core.errors import DataError, ModelError
from assay.subjects.folder import find
from assay.subjects.site import Site

SITE = "blocks.1.hook_resid_pre"
WORDS = ["add", "return", "class", "Point", "sum", "of", "a and b", "def", "10", "2048", "x", "y"]
ROWS = [
    {"word": word, "tone": "good" if i % 2 else "bad", "end": "!" if i % 2 else "?!"}
    for i, word in enumerate(WORDS)
]


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("asked") / "llama", "llama")
    return folder, Naive(folder), models.opened(str(folder), "cpu", "")


@pytest.fixture(scope="module")
def learnt():
    """Prompts that are learned from alone, so that none of them is left out."""
    return rows_of(*ROWS, name="learnt", text="{word} is {end}")


def learner(subject, *sets):
    measured_set = rows_of({"t": "a b"}, text="{t}")
    return Learner(
        subject[2],
        measured_set,
        {p.table.name: p for p in (measured_set, *sets)},
        partial(activations.activations, subject[2], subject[2].fingerprint),
        lambda name: pytest.fail(f"{name} is no dictionary"),
    )


def acts(naive, rows, site=SITE, position=-1):
    return torch.stack([naive.acts(row.text, site)[position] for row in rows]).double()


def sampled(learnt, seed):
    rows = learnt.sample(range(len(ROWS)), seed, labelled=True, label="tone")
    return [learnt.rows[i] for i in rows]


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_difference_of_means_keeps_its_length_and_sees_its_seeds_rows(subject, learnt, seed):
    table = direction(prompts="learnt", label="tone", difference=("good", "bad"))
    got = learner(subject, learnt).vector(table, Site.parse(SITE), seed).double()
    rows = sampled(learnt, seed)
    x = acts(subject[1], rows)
    good = torch.tensor([r.columns["tone"] == "good" for r in rows])
    wanted = x[good].mean(0) - x[~good].mean(0)
    assert 4 <= len(rows) < len(ROWS) and 2 <= good.sum() <= len(rows) - 2
    np.testing.assert_allclose(got, wanted, atol=1e-5 * float(x.norm(dim=1).mean()))


def test_labels_are_compared_as_prompts_have_them(subject):
    """true and 3 of a table are "true" and "3" of a file."""
    rows = rows_of(
        *({"t": w, "yes": i % 2 == 0, "n": i % 3} for i, w in enumerate(WORDS)),
        name="learnt",
        text="{t} =",
    )
    of = learner(subject, rows)
    for label, pair in (("yes", (True, False)), ("n", (2, 0))):
        table = direction(prompts="learnt", label=label, difference=pair, position="{t}", site=SITE)
        assert float(of.vector(table, Site.parse(SITE), 0).norm()) > 0
        assert float(of.shuffled(table, Site.parse(SITE), 0).norm()) > 0


def test_a_probe_is_ridge_and_a_component_the_largest_spread(subject, learnt):
    of, site = learner(subject, learnt), Site.parse(SITE)
    rows = sampled(learnt, 3)
    x = acts(subject[1], rows)
    y = torch.tensor([r.columns["tone"] == "good" for r in rows])
    centred, sign = x - x.mean(0), torch.where(y, 1.0, -1.0).double()
    table = direction(prompts="learnt", label="tone", probe=("good", "bad"))
    penalty = 0.1 * float((centred**2).sum(1).mean())
    gram = centred.T @ centred + penalty * torch.eye(x.shape[1]).double()
    wanted = torch.linalg.solve(gram, centred.T @ (sign - sign.mean()))
    got = of.vector(table, site, 3).double()
    assert float(got @ wanted / wanted.norm()) == pytest.approx(1, abs=1e-5)
    assert float(got.norm()) == pytest.approx(1, abs=1e-5)
    table = direction(prompts="learnt", component=2)
    rows = [learnt.rows[i] for i in learnt.sample(range(len(ROWS)), 3)]
    x = acts(subject[1], rows)
    values, vectors = torch.linalg.eigh((x - x.mean(0)).T @ (x - x.mean(0)))
    got = of.vector(table, site, 3).double()
    assert abs(float(got @ vectors[:, -2])) == pytest.approx(1, abs=1e-3)
    assert values[-2] > 0


def of_activations(x):
    """A learner from prompts whose activations are these numbers."""
    rows = rows_of(*ROWS, name="learnt", text="{word} is {end}")
    known = {"learnt": rows}
    return Learner(None, rows_of({"t": "a"}, text="{t}"), known, lambda *_: x, None)


def test_a_mean_is_that_of_its_seeds_rows(subject, learnt):
    table = direction(prompts="learnt", mean=True)
    got = learner(subject, learnt).vector(table, Site.parse(SITE), 3).double()
    rows = [learnt.rows[i] for i in learnt.sample(range(len(ROWS)), 3)]
    assert torch.allclose(got, acts(subject[1], rows).mean(0), atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gemma3_text"])
def test_a_function_vector_is_the_mean_of_what_heads_write_and_steers_so(kind, tmp_path, learnt):
    """By the output projection of each head's part alone; Gemma norms what attention writes."""
    folder = make(tmp_path / kind, kind)
    naive = Naive(folder)
    heads = {0: [2], 1: [0, 3]}
    config, blocks = naive.model.config, naive.model.model.layers
    sums = []
    rows = [learnt.rows[i] for i in learnt.sample(range(len(ROWS)), 0)]
    for row in rows:
        total = 0
        for layer, numbers in heads.items():
            z = naive.acts(row.text, f"blocks.{layer}.attn.hook_z")[-1]
            part = torch.zeros_like(z)
            part[numbers] = z[numbers]
            project = blocks[layer].self_attn.o_proj
            written = project(part.flatten())
            if kind == "gemma3_text":
                norm = blocks[layer].post_attention_layernorm
                whole = project(z.flatten())
                scale = (whole.pow(2).mean() + config.rms_norm_eps).sqrt()
                written = written / scale * (1 + norm.weight)
            total = total + written.detach()
        sums.append(total)
    vector = torch.stack(sums).mean(0)
    table = direction(site="", prompts="learnt", mean=True, heads=("0.2", "1.0", "1.3"))
    change = intervention(add="d", site=SITE, position=-1, strength=2.0)
    shown = rows_of({"t": "a b"}, {"t": "sum of"}, text="{t} =")
    got = measured(folder, shown, change, tables=(table,), sources=(learnt,))[0]["one"][0]

    def add(at):
        def change(x):
            x[:, at] += 2 * vector
            return x

        return change

    for row, number in zip(shown.rows, got, strict=True):
        last = len(naive.tokens(row.text)) - 1
        assert number == pytest.approx(naive.reads(row.text, {SITE: add(last)})[0], abs=3e-4)


def test_other_heads_stand_in_for_those_of_a_function_vector(subject, learnt):
    of = learner(subject, learnt)
    table = direction(site="", prompts="learnt", mean=True, heads=("0.2", "1.0"))
    for seed in range(8):
        same = of.other_heads(table, seed, anywhere=False).heads
        assert len(same) == 2
        assert {h[0] for h in same} <= {"0", "1"}
        assert not {*same} & {*table.heads}
        assert not {*of.other_heads(table, seed, anywhere=True).heads} & {*table.heads}
    names = [c.name for c in controls.of_intervention(intervention(add="d", site=SITE), [table])]
    assert names == ["random", "heads"]


@pytest.mark.parametrize(
    "fields",
    [
        {"mean": True, "heads": ("0.1",)},
        {"unembedding": " a", "site": "", "heads": ("0.1",)},
        {"mean": True, "site": "", "heads": ("0.1",), "position": "mean"},
    ],
)
def test_heads_are_in_place_of_a_site_and_at_one_token(fields):
    with pytest.raises(DataError, match="heads are in place of a site"):
        directions.check(direction(**fields))


def test_a_component_points_the_same_way_in_every_seed():
    """Though its largest entry is now positive and now negative."""
    along = torch.tensor([1.0, -1.0, 0, 0, 0, 0, 0, 0]) / 2**0.5
    both = 0
    for data in range(10):
        draw = torch.Generator().manual_seed(data)
        x = 50 * torch.randn(len(ROWS), 1, generator=draw) * along
        of = of_activations(x + 3 * torch.randn(len(ROWS), 8, generator=draw))
        table = direction(prompts="learnt", component=1)
        vectors = torch.stack([of.vector(table, Site.parse(SITE), seed) for seed in range(12)])
        assert float((vectors @ vectors.T).min()) > 0.9
        both += len({int(v.abs().argmax()) for v in vectors}) > 1
    assert both > 1


def test_of_tokens_and_of_two_tokens(subject):
    _, naive, _ = subject
    ids = [naive.tokenizer.encode(t, add_special_tokens=False)[0] for t in (" a", " b")]
    head, embedding = naive.model.lm_head.weight, naive.model.model.embed_tokens.weight
    gain = naive.model.model.norm.weight
    wanted = {
        ("unembedding", " a"): head[ids[0]] * gain,
        ("unembedding", (" a", " b")): (head[ids[0]] - head[ids[1]]) * gain,
        ("embedding", (" a", " b")): embedding[ids[0]] - embedding[ids[1]],
    }
    for (way, texts), row in wanted.items():
        table = direction(**{way: texts})
        got = learner(subject).vector(table, Site.parse(SITE), 0)
        torch.testing.assert_close(got, (row / row.norm()).detach())
    for way, row in {"unembedding": (head * gain).mean(0), "embedding": embedding.mean(0)}.items():
        table = direction(mean_row=way)  # of its own length
        got = learner(subject).vector(table, Site.parse(SITE), 0)
        torch.testing.assert_close(got, row.detach())


# what stands in their place -----------------------------------------------------------------------


def test_shuffled_labels_leave_nothing_of_the_true_direction():
    """Of activations that are their label and nothing else, exactly nothing is left; of those with
    noise as well the noise alone."""
    tone = torch.tensor([1.0 if r["tone"] == "good" else -1.0 for r in ROWS])
    noise = torch.randn(len(ROWS), 8, generator=torch.Generator().manual_seed(0))
    for way in ("difference", "probe"):
        table = direction(prompts="learnt", label="tone", **{way: ("good", "bad")})
        for size in (0.0, 1.0):
            x = size * noise
            x[:, 0] = 100 * tone
            of = of_activations(x)
            got = torch.stack([of.shuffled(table, Site.parse(SITE), s) for s in range(16)])
            # which ridge makes smaller, not 0
            share = 1e-3 if way == "difference" else 1e-2
            assert float(got[:, 0].abs().max()) < share * max(1.0, float(got.norm(dim=1).min()))
            assert size == 0 or float(got.norm(dim=1).min()) > 0
            # a sign that means nothing cancels
            assert torch.equal(got[0::2], -got[1::2])


def test_random_tokens_are_never_those_that_are_named(subject):
    of = learner(subject)
    naive = subject[1]
    gain, head = naive.model.model.norm.weight, naive.model.lm_head.weight
    rows = (head * gain).detach()
    named = naive.tokenizer.encode(" a", add_special_tokens=False)[0]
    seen = set()
    for seed in range(20):
        got = of.tokens(direction(unembedding=" a"), seed)
        seen.add(int((rows - got).norm(dim=1).argmin()))
        assert float((rows - got).norm(dim=1).min()) < 1e-4
    assert named not in seen and len(seen) > 10
    pair = direction(unembedding=(" a", " b"))
    torch.testing.assert_close(of.tokens(pair, 4), -of.tokens(pair, 5))


@pytest.mark.parametrize(
    ("layer", "layers", "far"), [(15, 30, 5), (9, 12, 5), (3, 12, 7), (0, 2, 1), (1, 2, 0)]
)
def test_far_is_a_third_of_the_model_away_and_not_the_first_block(layer, layers, far):
    assert neighbours.by_distance(layer, layers)[0] == far


# refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"difference": ("good", "bad"), "component": 1}, "got difference and component"),
        ({"component": 1, "site": ""}, "needs a site at which it is learned"),
        ({"component": 1, "site": "blocks.1.attn.hook_z"}, "not have one vector for each token"),
    ],
    ids=str,
)
def test_a_direction_that_cannot_be_is_refused_as_it_is_read(table, why):
    with pytest.raises((DataError, ModelError), match=why):
        directions.check(direction(**table))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"difference": ("good", "bda")}, "no prompt has tone = 'bda'; did you mean bad"),
        ({"difference": ("good", "bad"), "prompts": "learn"}, "no prompts 'learn'"),
        ({"component": 30}, "prompts have no component 30"),
        ({"unembedding": " a and b"}, "' a and b' is . tokens; an unembedding is that of one"),
    ],
    ids=str,
)
def test_a_direction_that_these_prompts_do_not_give_is_refused_in_one_line(
    subject, learnt, table, why
):
    of = learner(subject, learnt)
    table = direction(**{"prompts": "learnt", "label": "tone"} | table)
    with pytest.raises((DataError, ModelError), match=why) as refused:
        of.vector(table, of.site(table), 0)
    assert "\n" not in str(refused.value)


def test_where_all_prompts_look_alike_another_position_is_named(subject):
    """Before the first block a token is all that there is, and here the last one is the same."""
    of = learner(subject, rows_of(*ROWS, name="learnt", text="{word} is"))
    table = direction(
        site="blocks.0.hook_resid_pre", prompts="learnt", label="tone", difference=("good", "bad")
    )
    message = r'length 0: .* look alike to blocks.0.hook_resid_pre at position -1; .*"\{word\}"'
    with pytest.raises(DataError, match=message):
        of.vector(table, of.site(table), 0)
    texts = [{"text": f"{row['word']} is", "tone": row["tone"]} for row in ROWS]
    of = learner(subject, rows_of(*texts, name="learnt"))
    component = direction(site="hook_embed", prompts="learnt", component=1)
    for each in (table, component):
        with pytest.raises(DataError, match=r"they differ at position -\d: write position = -"):
            of.vector(each, of.site(each), 0)


def test_too_few_rows_of_a_label_are_counted(subject):
    few = rows_of(*ROWS[:4], name="learnt", text="{word} is {end}")
    of = learner(subject, few)
    table = direction(prompts="learnt", label="tone", difference=("good", "bad"))
    with pytest.raises(DataError, match=r"'good' has 1 of the rows .* give each label 6 or more"):
        of.shuffled(table, Site.parse(SITE), 0)
    here = rows_of(*ROWS[:2], text="{word} is {end}")
    table = direction(label="tone", difference=("good", "bad"))
    with pytest.raises(
        DataError, match=r"no prompt to learn from has .*: all that have it, 1, are measured"
    ):
        measured(subject[0], here, intervention(add="d"), tables=(table,))


def test_groups_that_lack_a_label_are_filled_up(subject):
    """Whole groups are drawn, here each of one label."""
    rows = rows_of(
        *({**r, "group": r["tone"] + r["word"][0]} for r in ROWS), split="group", name="learnt",
        text="{word} is {end}",
    )  # fmt: skip
    of = learner(subject, rows)
    table = direction(prompts="learnt", label="tone", difference=("good", "bad"))
    for seed in range(12):
        examples = of.examples(table, Site.parse(SITE), seed)
        assert {*examples.labels} == {"good", "bad"}


def test_on_other_prompts_a_direction_is_that_of_the_first_ones(subject, tmp_path):
    folder, naive, _ = subject
    for name, words in (("one", WORDS), ("two", [f"{word} 7" for word in WORDS])):
        lines = [f"{w} is {r['end']},{r['tone']}" for w, r in zip(words, ROWS, strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))
    (tmp_path / "s.toml").write_text(
        f'question = "?"\n[[model]]\nname = "{folder}"\n[[prompts]]\nfile = "one.csv"\n[[prompts]]'
        f'\nname = "other"\nfile = "two.csv"\n[[direction]]\nname = "tone"\nsite = "{SITE}"\n'
        'difference = ["good", "bad"]\n[[read]]\nname = "along"\nprojection = "tone"\n[[claim]]\n'
        'text = "?"\nholds = "other.along > 1"\nthreshold = "plan"\n'
    )
    task = ModelStudy(read(tmp_path / "s.toml")).by_label["other"].task
    numbers, _ = measuring.measure(task, np.array([3]), tmp_path, "cpu", False, lambda *_: None)
    first = task.made_for
    rows = [first.rows[i] for i in first.sample(first.halves()[0], 3, labelled=True)]
    good, bad = (acts(naive, [r for r in rows if r.columns["label"] == t]) for t in ("good", "bad"))
    vector = good.mean(0) - bad.mean(0)
    expected = acts(naive, task.prompts.rows) @ vector / vector.norm()
    np.testing.assert_allclose(numbers["along"][1][0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "texts", "position", "which"),
    [
        ("llama", (" a", " b"), "all", "its first vector is read at the first token"),
        ("llama", (" a", " b"), -1, "this is read at the first token"),
        ("llama", "x y", 0, "this is read at the first token"),
        ("llama", ("x a", "x b"), -1, ""),
        ("llama", ("x a", "x b"), "mean", ""),
        ("gemma3_text", (" a", " b"), "all", ""),  # which reads a BOS
    ],
)
def test_a_plan_says_where_the_activation_of_a_text_is_that_of_a_first_token(
    tmp_path, kind, texts, position, which
):
    folder = find(str(make(tmp_path / kind, kind)))
    table = direction(activation=texts, position=position)
    task = Task(
        Model(name="m"), rows_of({"t": "a"}, text="{t}"), (), intervention(add="d"), "", (table,)
    )
    said = [*checks.sinks_of_texts(task, folder)]
    if kind == "llama" and position == "all":
        longer = direction(activation=(" a", "x y"), position="mean")
        (line,) = checks.sinks_of_texts(replace(task, directions=(longer,)), folder)
        assert "is filled up with spaces" in line
    assert len(said) == bool(which)
    assert all(line.startswith(f"d: without a BOS, {which}") for line in said)
