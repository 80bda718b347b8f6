"""Directions that are trained by patching them (DAS), that two texts give (ActAdd), and of heads
that are chosen, against a plain model of transformers."""

from functools import partial

import msgspec
import numpy as np
import pytest
import torch
from naive_asking import Naive, direction, intervention, make, measured, rows_of

from assay.ask.measure import activations, controls, das, directions, interventions, models, reads
from assay.ask.measure.directions import Learner
from assay.ask.tables import Read, Top
from assay.core.errors import DataError
from assay.subjects.site import Site

SITE = "blocks.1.hook_resid_pre"
NOUNS = ("add", "return", "class", "Point", "sum", "of", "def", "name", "list", "x")
KINDS = [
    {"noun": n, "verb": "a", "other": "b"} if i % 2 else {"noun": n, "verb": "b", "other": "a"}
    for i, n in enumerate(NOUNS)
]
TEXTS = {"text": "{noun} {verb} a", "corrupted": "{noun} {other} a"}
TRAINED = direction(das=" {other}", position="{verb}", steps=12, lr=0.1)


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("asked") / "llama", "llama")
    return folder, Naive(folder), models.opened(str(folder), "cpu", "")


@pytest.fixture(scope="module")
def shown():
    return rows_of(*KINDS, **TEXTS)


def learner(subject, shown):
    of = partial(activations.activations, subject[2], subject[2].fingerprint)
    return Learner(subject[2], shown, {"prompts": shown}, of, lambda name: None)


def along(naive, row, basis, other=None):
    """A change of `verb`'s stream towards that of the other text, within a basis alone."""
    text = f"{row['noun']} {row['verb']} a"
    pair = other or f"{row['noun']} {row['other']} a"
    at = len(naive.tokens(f"{row['noun']} {row['verb']}")) - 1
    there = naive.acts(pair, SITE)[len(naive.tokens(pair.rsplit(" ", 1)[0])) - 1]

    def change(x):
        x[0, at] += (there - x[0, at]) @ basis.T @ basis
        return x

    return text, {SITE: change}


@pytest.mark.parametrize("rank", [1, 3])
def test_a_patch_along_a_subspace_changes_nothing_else(subject, shown, rank):
    folder, naive, _ = subject
    table = msgspec.structs.replace(TRAINED, rank=rank, steps=2)
    basis = learner(subject, shown).vector(table, Site.parse(SITE), 0).reshape(rank, -1)
    np.testing.assert_allclose(basis @ basis.T, np.eye(rank), atol=1e-5)
    change = intervention(patch="corrupted", along="d", position="{verb}")
    got = measured(folder, shown, change, tables=(table,))[0]["one"][0]
    for number, i in zip(got, shown.halves()[1], strict=True):
        text, edits = along(naive, KINDS[i], basis)
        assert number == pytest.approx(naive.reads(text, edits)[0], abs=2e-4)


def test_the_loss_that_is_descended_is_that_of_the_other_answer(subject, shown):
    """By transformers, for each pair by itself; and its gradient by finite differences."""
    _, naive, model = subject
    rows, site = [0, 1, 4], Site.parse(SITE)
    answers = [shown.rows[i].fill(TRAINED.das) for i in rows]
    some = [shown.rows[i] for i in rows]
    pairs = das._pairs(model, TRAINED, site, some, answers, shown)
    basis = torch.nn.functional.normalize(torch.randn(1, model.folder.width(site)), dim=1)
    plain = []
    for i, answer in zip(rows, answers, strict=True):
        text, edits = along(naive, KINDS[i], basis)
        tokens = naive.tokens(text)
        after = naive.tokenizer.encode(answer, add_special_tokens=False)
        logs = naive.logits([*tokens, *after], edits).log_softmax(-1)
        plain.append(sum(logs[len(tokens) - 1 + k, t] for k, t in enumerate(after)))
    moving = basis.clone().requires_grad_()
    with torch.enable_grad():
        loss = das._loss(model, site, pairs, [0, 1, 2], moving)
    assert float(loss.detach()) == pytest.approx(-float(sum(plain)) / len(rows), abs=1e-4)
    (slope,) = torch.autograd.grad(loss, [moving])
    step = 1e-2 * torch.nn.functional.normalize(slope, dim=1)
    ends = [float(das._loss(model, site, pairs, [0, 1, 2], basis + s * step)) for s in (1, -1)]
    assert (ends[0] - ends[1]) / 2 == pytest.approx(float((slope * step).sum()), rel=0.05)


def test_training_finds_the_direction_that_is_planted(tmp_path):
    """In a model whose answer hangs on one direction of the stream, it is that direction. With the
    answers of other pairs the other answer is not to be preferred: of a stream ±p a patch along v
    leaves ±(p − 2 (p · v) v), whose share of p changes its sign if (p · v)² is above a half."""
    folder = make(tmp_path / "planted", "llama", num_hidden_layers=2)
    naive = Naive(folder)
    blocks = naive.model.model.layers
    planted = torch.zeros(naive.model.config.hidden_size)
    planted[3] = 1.0
    for block in blocks:  # the last token's stream goes through as it is
        for part in (block.self_attn.o_proj, block.mlp.down_proj):
            torch.nn.init.zeros_(part.weight)
    words = {w: naive.tokenizer.encode(f" {w}", add_special_tokens=False) for w in "ab"}
    head = naive.model.get_output_embeddings()
    table = naive.model.get_input_embeddings()
    with torch.no_grad():
        head.weight.copy_(torch.zeros_like(head.weight))
        for word, sign in (("a", 1.0), ("b", -1.0)):
            (token,) = words[word]
            head.weight[token] = -0.5 * sign * planted
            table.weight[token] = sign * planted
    naive.model.save_pretrained(folder)
    rows = rows_of(
        *({**row, "text": f"{row['noun']} {row['verb']}"} for row in KINDS),
        name="learnt",
        text="{noun} {verb}",
        corrupted="{noun} {other}",
    )
    model = models.opened(str(folder), "cpu", "")
    of = Learner(model, rows_of({"t": "a"}, text="{t}"), {"learnt": rows}, None, None)
    # each verb is followed by the other one
    table = direction(prompts="learnt", das=" {verb}", steps=100, lr=0.1)
    shares = {}
    for kind in (of.vector, of.shuffled):
        found = [kind(table, Site.parse(SITE), seed) for seed in range(3)]
        shares[kind.__name__] = [abs(float(v @ planted)) for v in found]
    assert shares["vector"] == pytest.approx([1] * 3, abs=0.05)
    assert max(shares["shuffled"]) < 0.5**0.5 + 0.1


def test_as_many_answers_of_other_pairs_are_the_same_as_chance_has_it():
    for answers, kept in (("is", "are") * 4, 4), (tuple("abcdefgh"), 0):
        for seed in range(3):
            order = das._order(answers, np.array([seed]))
            assert sorted(order) == [*range(8)]
            assert sum(answers[k] == a for k, a in zip(order, answers, strict=True)) == kept


def test_seeds_repeat_and_differ(subject, shown):
    of, table = learner(subject, shown), msgspec.structs.replace(TRAINED, steps=3)
    directions._trained.clear()
    first = of.vector(table, Site.parse(SITE), 1)
    directions._trained.clear()
    assert torch.equal(first, of.vector(table, Site.parse(SITE), 1))
    assert not torch.allclose(first, of.vector(table, Site.parse(SITE), 2))


@pytest.mark.parametrize("rank", [1, 2])
def test_what_stands_in_for_a_trained_subspace(subject, shown, rank):
    folder = subject[0]
    table = msgspec.structs.replace(TRAINED, rank=rank, steps=3)
    change = intervention(patch="corrupted", along="d", position="{verb}")
    names = [c.name for c in controls.of_intervention(change, (table,))]
    assert names == ["random", "shuffled", "layer", "unrelated"]
    got = {c: measured(folder, shown, change, control=c, tables=(table,))[0] for c in ("", *names)}
    for name in names:
        assert not np.allclose(got[""]["one"], got[name]["one"]), name


@pytest.mark.parametrize(
    ("why", "table", "change"),
    [
        ("can only be patched", {"rank": 2}, {"add": "d"}),
        ("along names the direction", {}, {"along": "d", "patch": "other", "heads": ("1.0",)}),
    ],
)
def test_a_subspace_that_is_not_patched_is_refused(why, table, change):
    tables = (msgspec.structs.replace(TRAINED, **table),)
    with pytest.raises(DataError, match=why):
        interventions.check(intervention(**change), tables)


def test_directions_that_cannot_be_are_refused():
    for why, fields in {
        "rank belongs to das, and it has mean": {"mean": True, "rank": 2},
        "das patches one token": {"das": " a", "position": "mean"},
        "one of them is empty": {"activation": ("a", "")},
        "minus itself is 0": {"activation": ("a", "a")},
        "top of a direction chooses heads": {
            "mean": True,
            "site": "",
            "top": Top(n=1, of="latents"),
        },
    }.items():
        with pytest.raises(DataError, match=why):
            directions.check(direction(**fields))
    with pytest.raises(DataError, match="is not one direction, but several"):
        wide = direction(activation="a", position="all")
        reads.check(Read(name="it", projection="d"), (wide,))


# of two texts -------------------------------------------------------------------------------------


def plain_rows(naive, text, most):
    space = naive.tokenizer.encode(" ", add_special_tokens=False)[-1]
    tokens = naive.tokens(text)
    kept = []
    naive.logits(tokens + [space] * (most - len(tokens)), {SITE: lambda x: kept.append(x[0]) or x})
    return kept[0]


def test_two_texts_are_added_token_by_token(subject):
    folder, naive, _ = subject
    shown = rows_of({"t": "sum of all"}, {"t": "a"}, text="{t}")
    first, second = "return a", "class"
    most = max(len(naive.tokens(t)) for t in (first, second))
    added = plain_rows(naive, first, most) - plain_rows(naive, second, most)
    table = direction(activation=(first, second), position="all")
    got = measured(folder, shown, intervention(add="d", strength=3), tables=(table,))[0]["one"][0]

    def change(x):
        n = min(len(added), x.shape[1])
        x[0, :n] += 3 * added[:n]
        return x

    for number, row in zip(got, shown.rows, strict=True):
        n = len(naive.tokens(row.text))
        answers = naive.tokenizer.encode(" a", add_special_tokens=False)
        assert n >= len(added) or len(answers) == 1
        assert number == pytest.approx(naive.reads(row.text, {SITE: cut(change, n)})[0], abs=3e-4)


def cut(change, n):
    """The change of the prompt's own tokens alone."""

    def of(x):
        return torch.cat([change(x[:, :n]), x[:, n:]], 1)

    return of


def test_the_activation_of_a_text_is_that_of_its_last_token_or_the_mean(subject):
    naive = subject[1]
    of, site = learner(subject, rows_of({"t": "a"}, text="{t}")), Site.parse(SITE)
    one = of.vector(direction(activation="sum of all"), site, 0)
    acts = naive.acts("sum of all", SITE)
    assert torch.allclose(one, acts[-1], atol=1e-5)
    mean = of.vector(direction(activation="sum of all", position="mean"), site, 0)
    assert torch.allclose(mean, acts[1:].mean(0), atol=1e-5)


@pytest.mark.parametrize("position", [-1, "all"])
def test_what_stands_in_for_two_texts_is_as_long(subject, position):
    folder = subject[0]
    shown = rows_of({"t": "sum of all"}, {"t": "a b"}, text="{t}")
    table = direction(activation=("return a", "class"), position=position)
    change = intervention(add="d", strength=3)
    names = [c.name for c in controls.of_intervention(change, (table,))]
    assert names == ["random", "tokens"]
    got = {c: measured(folder, shown, change, control=c, tables=(table,))[0] for c in ("", *names)}
    assert not np.allclose(got[""]["one"], got["random"]["one"])
    assert not np.allclose(got[""]["one"], got["tokens"]["one"])


# heads that are chosen ----------------------------------------------------------------------------
