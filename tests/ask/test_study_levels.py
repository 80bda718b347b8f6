"""Columns as levels, examples before a prompt, probes judged at another site, changed weights,
models that begin as others end, and reads between two models: by the tiny models themselves."""

import numpy as np
import pytest
import torch
import transformers
from naive_models import Naive, measured  # noqa: F401
from test_study_asks import folder  # noqa: F401 (a fixture)

from assay.ask.measure import measuring, models, prompts, training
from assay.ask.measure.tasks import Task
from assay.ask.measure.tokenized import prompt
from assay.ask.tables import Model, Prompts, Read, Train, Weights
from assay.core.errors import DataError, ExperimentError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects.site import Site

ROWS = tuple({"a": a, "b": b} for a, b in (("red", "one"), ("blue", "two"), ("good", "six")))


def loaded(**table):
    return prompts.load(Prompts(**table), None)


def test_shots_put_the_next_rows_before_each_and_count_as_levels():
    some = loaded(text="{a} is", rows=ROWS, shots=(0, 2), example="{a} is {b}.\n")
    assert [r.text for r in some.rows[:4]] == [
        "red is",
        "blue is two.\ngood is six.\nred is",
        "blue is",
        "good is six.\nred is one.\nblue is",
    ]
    assert some.rows[1].spans == {"a": len("blue is two.\ngood is six.\nred")}
    assert some.dims() == {"shots": [0, 2]} and some.unit == "row"
    assert [*dict.fromkeys(some.units(range(6)))] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"shots": (0, 1)}, "belong together"),
        ({"shots": (0, 3), "example": "{a}"}, "fewer than the 3 rows"),
        ({"levels": "b"}, "as unit, write another column"),
        ({"levels": "b", "unit": "a"}, "'red' has no row with b = 'two'"),
    ],
)
def test_levels_that_could_not_be_compared_are_refused(table, why):
    with pytest.raises(DataError, match=why):
        loaded(text="{a} is", rows=ROWS, **table)


def test_numbers_of_levels_are_those_of_their_rows(tmp_path):
    naive = Naive(tmp_path / "m", "llama")
    words = ["red", "blue", "good", "bad", "one", "two"]
    rows = [{"w": w, "n": n, "text": f"the {w}{' and' * n} it"} for w in words for n in (1, 3)]
    some = loaded(rows=tuple(rows), levels="n", unit="w")
    read = Read(name="x", log_prob=" good")
    task = Task(Model(name=str(naive.folder)), some, (read,))
    got, coords = measuring.measure(task, np.array([0]), tmp_path, "cpu", False, lambda d, t: None)
    dims, array, _ = got["x"]
    assert dims == "run n w" and coords["n"] == [1, 3] and coords["w"] == words
    alone = Task(task.model, loaded(rows=tuple(rows)), (read,))
    plain, _ = measuring.measure(alone, np.array([0]), tmp_path, "cpu", False, lambda d, t: None)
    each = plain["x"][1][0].reshape(len(words), 2).T
    np.testing.assert_allclose(array[0], each, atol=1e-6)


def test_weights_are_rounded_and_scaled_where_their_names_say(tmp_path):
    naive = Naive(tmp_path / "m", "llama")
    table = Model(name=str(naive.folder), weights=Weights(round=1, scale=0.5, of="layers.1.mlp"))
    plain = models.as_it_is(table.name, "cpu", Model(name=table.name))
    other = models.as_it_is(table.name, "cpu", table)
    changed = 0
    for (name, x), (_, y) in zip(
        plain.model.named_parameters(), other.model.named_parameters(), strict=True
    ):
        expected = torch.round(x * 0.5, decimals=1) if "layers.1.mlp" in name else x
        assert torch.equal(y, expected)
        changed += "layers.1.mlp" in name
    assert changed == 3 and models.key_suffix(table) != models.key_suffix(Model(name=table.name))
    four = Model(name=table.name, weights=Weights(bits=4, per="group", group=8, of="layers.1.mlp"))
    rounded = dict(models.as_it_is(table.name, "cpu", four).model.named_parameters())
    for name, x in plain.model.named_parameters():
        if "layers.1.mlp" in name:
            for row, other in zip(x.reshape(-1, 8), rounded[name].reshape(-1, 8), strict=True):
                levels = (row.abs().max() / 7) * torch.arange(-8, 8)
                nearest = (row[:, None] - levels).abs().min(1).values
                torch.testing.assert_close((row - other).abs(), nearest, atol=1e-6, rtol=0)
        else:
            assert torch.equal(x, rounded[name])
    with pytest.raises(DataError, match=r"no weight of .* has 'layer.9'"):
        models.check_weights(
            Model(name=table.name, weights=Weights(scale=2, of="layer.9")), plain.folder
        )


def test_decay_and_warm_up_are_those_of_adamw(tmp_path):
    naive = Naive(tmp_path / "m", "gpt2")
    source = loaded(text="the {a} is {b}", rows=ROWS)
    usual = Train(name="t", of="m", prompts="p", steps=3, batch=3, lr=0.01)
    table = Train(name="t", of="m", prompts="p", steps=3, batch=3, lr=0.01, decay=0.5, warmup=1)
    keys = {training.key(training.spec(t, str(naive.folder), source)) for t in (usual, table)}
    assert len(keys) == 2
    assert "decay" not in training.spec(usual, str(naive.folder), source).to_json()
    (tmp_path / "out").mkdir()
    training.train(
        table, str(naive.folder), source, None, "cpu", tmp_path / "out", lambda d, t: None
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(naive.folder, dtype=torch.float32)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.5)
    texts = [naive.ids(row.text) for row in source.rows]
    gradients = []
    for lr in (0.005, 0.01 * 2 / 3, 0.01 / 3):
        losses = []
        for ids in texts:
            x = torch.tensor([ids])
            logs = model(x).logits[0, :-1].log_softmax(-1)
            losses.append(-logs[range(len(ids) - 1), x[0, 1:]])
        loss = torch.cat(losses).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
        optimiser.param_groups[0]["lr"] = lr
        optimiser.step()
    trained = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    before, got = (dict(m.named_parameters()) for m in (naive.model.float(), trained))
    compared = 0
    for name, expected in model.named_parameters():
        # Adam moves a weight by its rate whatever the size of its gradient, so that where this is
        # rounding alone the sign of the step is chance, which differs between processors
        clear = torch.stack([g[name].abs() > 1e-4 for g in gradients]).all(0)
        torch.testing.assert_close(got[name][clear], expected[clear], atol=2e-4, rtol=1e-3)
        assert not clear.any() or float((expected - before[name])[clear].abs().max()) > 0.005
        compared += int(clear.sum())
    assert compared > 1000


STUDY = """
question = "Is it so?"
seeds = "1000000:1000006"
[[model]]
name = "./planted"
{tables}
[[read]]
name = "{kind}"
{read}
site = "blocks.2.hook_resid_pre"
[[prompts]]
text = "the {{thing}} was {{adjective}} and it is"
file = "moods.csv"
[[estimate]]
text = "How alike"
value = "{value}"
"""


def run(folder, name, **about):  # noqa: F811
    path = folder / f"{name}.toml"
    path.write_text(STUDY.format(**about))
    return Lab(folder / "store", Inline()).run(catalogue.find(str(path)))


def test_cka_is_that_of_the_activations_of_both_models(folder):  # noqa: F811
    tables = """[[model]]
name = "./tuned"
label = "tuned"
[[diff]]
name = "apart"
models = ["main", "tuned"]"""
    result = run(
        folder, "alike", tables=tables, kind="alike", read="cka = true", value="apart.alike"
    )
    arm = result.arms["apart"]["alike"].isel(run=0).values
    both = [models.as_it_is(str(folder / n), "cpu", Model(name=n)) for n in ("planted", "tuned")]
    some = prompts.load(
        Prompts(text="the {thing} was {adjective} and it is", file="moods.csv"), folder
    )
    site, got = Site("resid_pre", 2), []
    for row in some.rows[:3]:
        ids = torch.tensor([prompt(both[0].folder, row).tokens])
        x, y = (m.run(ids, capture=[site]).acts[site][0, 1:].double() for m in both)
        x, y = x - x.mean(0), y - y.mean(0)
        cross, ours, theirs = ((a.T @ b).norm() ** 2 for a, b in ((x, y), (x, x), (y, y)))
        got.append(float(cross / (ours * theirs).sqrt()))
    np.testing.assert_allclose(arm[:3], got, rtol=1e-4)


def test_a_model_may_begin_as_another_one_ends(folder):  # noqa: F811
    tables = """
[[prompts]]
name = "texts"
text = "the {thing} is {adjective}"
file = "moods.csv"
[[train]]
name = "once"
of = "./planted"
prompts = "texts"
steps = 2
lr = 0.01
[[train]]
name = "twice"
of = "once"
prompts = "texts"
steps = 2
lr = 0.01
seed = 1
"""
    path = folder / "again.toml"
    text = STUDY.format(
        tables=tables, kind="length", read="norm = true", value="twice.length - once.length"
    )
    path.write_text(text)
    whole = catalogue.find(str(path))
    result = Lab(folder / "store", Inline()).run(whole)
    assert result.arms["twice"]["length"].shape == result.arms["once"]["length"].shape
    assert not np.allclose(result.arms["twice"]["length"], result.arms["once"]["length"])


def test_a_probe_may_be_judged_at_another_site(folder):  # noqa: F811
    probe = """
question = "Does it lie there as well?"
seeds = "1000000:1000006"
[[model]]
name = "./planted"
[[prompts]]
text = "the {{thing}} was {{adjective}} and it is"
file = "moods.csv"
[[probe]]
name = "mood"
site = "blocks.2.hook_resid_pre"
{more}
controls = []
[[estimate]]
text = "How often it is right"
value = "mood.accuracy"
"""
    numbers = {}
    for name, more in (
        ("same", ""),
        ("named", 'test_site = "blocks.2.hook_resid_pre"'),
        ("early", 'test_site = "hook_embed"'),
    ):
        path = folder / f"probe_{name}.toml"
        path.write_text(probe.format(more=more))
        result = Lab(folder / "store", Inline()).run(catalogue.find(str(path)))
        numbers[name] = result.arms["mood"]["accuracy"].values
    np.testing.assert_array_equal(numbers["same"], numbers["named"])
    assert numbers["same"].mean() > numbers["early"].mean() + 0.2
    path.write_text(probe.format(more='test_site = "blocks.2.mlp.hook_post"'))
    with pytest.raises(ExperimentError, match=r"numbers a token, and .* has"):
        catalogue.find(str(path))
