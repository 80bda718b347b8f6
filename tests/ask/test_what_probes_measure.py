"""Heads, MLPs, and the measures of probes that a statement has to name."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, mean_absolute_error, root_mean_squared_error
from test_probes import SEEDS, STUDY, a_task, lab, measured, plant, rows, study, tiny  # noqa: F401

from assay.ask.measure import probe_fits, probe_networks, probe_tasks, probes
from assay.core.errors import DataError
from assay.lab import catalogue
from assay.subjects.pretrained import load


def test_a_probe_of_heads_reads_what_goes_into_the_output_matrix(tiny):  # noqa: F811
    """In transformers, the input of o_proj is the heads' outputs one behind the other."""
    task = a_task(
        tiny,
        rows(24, label=["yes", "no"] * 12),
        site="",
        heads=("{block}.{head}",),
        sweep={"block": (0, 2), "head": (0, 3)},
    )
    probe_tasks.check(task)
    inputs = probes._Reader(task, task.rows, tiny, "cpu").inputs(
        probe_tasks.every_point(task.table), None
    )
    model = load(str(tiny))
    seen = {}
    for block in (0, 2):
        model.model.model.layers[block].self_attn.o_proj.register_forward_pre_hook(
            lambda module, args, block=block: seen.update({block: args[0][0, -1].view(4, -1)})
        )
    for place, row in enumerate([*task.learned, *task.rows]):
        text = task.source.rows[row].text
        with torch.no_grad():
            model.model(torch.tensor([model.encode(text)]))
        for got, (block, head) in zip(inputs, [(0, 0), (0, 3), (2, 0), (2, 3)], strict=True):
            torch.testing.assert_close(got[place], seen[block][head], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"site": "", "heads": ("0.1", "1.1")}, "heads of one block, got 0.1, 1.1"),
        ({"heads": ("0.1",), "site": "hook_embed"}, "heads are in place of a site"),
        ({"site": "", "heads": ("0.{head}",)}, "nothing fills {head}"),
    ],
)
def test_heads_that_no_probe_reads_are_refused(tiny, fields, words):  # noqa: F811
    with pytest.raises(DataError, match=words):
        probe_tasks.check(a_task(tiny, rows(24, label=["yes", "no"] * 12), sweep={}, **fields))


def test_an_mlp_reads_an_exclusive_or_that_no_linear_probe_can(tiny, monkeypatch):  # noqa: F811
    draw = np.random.default_rng(3)
    signs = np.tile([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], (50, 1))
    x = signs + 0.2 * draw.normal(size=(200, 2))
    plant(monkeypatch, x)
    labels = np.where(signs.prod(1) > 0, "yes", "no").tolist()
    by_kind = {
        kind: measured(
            a_task(tiny, rows(200, label=labels), kind=kind, sweep={"layer": (1,)}), tiny, SEEDS[:1]
        )[0]["accuracy"].mean()
        for kind in ("mlp", "ridge", "logistic")
    }
    assert by_kind["mlp"] > 0.95
    # a line has three corners at most
    assert max(by_kind["ridge"], by_kind["logistic"]) < 0.8
    numbers = (signs.prod(1) * (1 + signs[:, 0] / 2)).tolist()  # -1.5, -0.5, 0.5, 1.5
    task = a_task(tiny, rows(200, label=numbers), kind="mlp", sweep={"layer": (1,)})
    values, _ = measured(task, tiny, SEEDS[:1])
    assert values["error"].sum() < 0.2 * values["variance"].sum()


@pytest.mark.parametrize("odds", [True, False])
def test_the_mlps_of_a_batch_are_each_that_of_a_plain_loop(odds):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 40, 5, generator=draw, dtype=torch.float64)
    y = torch.eye(3, dtype=torch.float64)[torch.randint(0, 3, (40,), generator=draw)]
    y = y if odds else 100 + 7 * torch.randn(40, 1, generator=draw, dtype=torch.float64)
    train, held = np.arange(28), np.arange(28, 40)
    got = probe_networks.mlp(x, [5, 5], y, train, held, 3, odds=odds)
    first, second = (
        torch.from_numpy(probe_networks.rng.normal(np.array([3]), "ask.mlp", k, (size, 32))[0])
        for k, size in enumerate((128, y.shape[1]))
    )
    z = (y - y[train].mean(0)) / y[train].std(0, correction=0)
    for s, decay in enumerate(probe_networks.DECAYS):
        for p in range(2):
            net = torch.nn.Sequential(
                torch.nn.Linear(5, 32), torch.nn.ReLU(), torch.nn.Linear(32, y.shape[1])
            ).double()
            with torch.no_grad():
                net[0].weight.copy_(first[:5].T * (2 / 5) ** 0.5)
                net[2].weight.copy_(second / 32**0.5)
                net[0].bias.zero_()
                net[2].bias.zero_()
            adam = torch.optim.Adam(net.parameters(), lr=0.01)
            for _ in range(150):
                adam.zero_grad()
                out = net(x[p, train])
                if odds:
                    loss = torch.nn.functional.cross_entropy(out, y[train].argmax(1))
                else:
                    loss = ((out - z[train]) ** 2).mean() / 2
                squares = (net[0].weight ** 2).sum() + (net[2].weight ** 2).sum()
                (loss + decay / 2 * squares).backward()
                adam.step()
            out = net(x[p, held]).detach()
            scale, shift = y[train].std(0, correction=0), y[train].mean(0)
            expected = out.log_softmax(-1) if odds else out * scale + shift
            torch.testing.assert_close(got[s, p], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("fields", [{"split": "city"}, {"folds": 5}])
def test_f1_and_errors_are_scikit_learns(tiny, monkeypatch, numbers, fields):  # noqa: F811
    """Also of groups of unequal sizes, and of folds, of which each has its own."""
    draw = np.random.default_rng(8)
    index = draw.choice(3, 120, p=[0.5, 0.3, 0.2])
    x = draw.normal(size=(120, 6)) + 0.7 * draw.normal(size=(3, 6))[index]
    plant(monkeypatch, x)
    group = np.sqrt(np.arange(120)).astype(int)
    labels = (20 + 3 * x[:, 0] + draw.normal(size=120)).tolist() if numbers else [*"abc"]
    labels = labels if numbers else [labels[i] for i in index]
    kept = {}
    scores = probe_fits.Learning.scores
    monkeypatch.setattr(
        probe_fits.Learning,
        "scores",
        lambda self, *a, **k: kept.setdefault(tuple(self.judged), (self, scores(self, *a, **k)))[1],
    )
    columns = rows(120, label=labels, city=[str(g) for g in group])
    task = a_task(tiny, columns, sweep={"layer": (1,)}, **fields)
    task = dataclasses.replace(task, asked=("f1", "mae", "rmse"))
    values, _ = measured(task, tiny, SEEDS[:1])
    for name, score in (
        ("rmse", root_mean_squared_error) if numbers else ("f1", f1_score),
        *([("mae", mean_absolute_error)] if numbers and "folds" in fields else []),
    ):
        macro = {} if numbers else {"average": "macro"}
        truth = [
            score(
                learning.y[learning.count :, 0] if numbers else learning.index[learning.count :],
                got[0, :, 0] if numbers else got[0].argmax(-1),
                **macro,
            )
            for learning, got in kept.values()
        ]
        got = values[name][0, 0]
        np.testing.assert_allclose(got if "folds" in fields else [got.mean()], truth, atol=1e-9)


def test_a_code_is_as_long_as_what_each_part_costs(tiny, monkeypatch):  # noqa: F811
    """A bit a label where nothing is known, and the first part alone where all is known of the
    rest; 64 training groups make parts of 4, 4, 8, 16 and 32."""
    task = a_task(tiny, rows(192, label=["yes", "no"] * 96), kind="logistic", sweep={"layer": (1,)})
    learning = probe_fits.Learning(task, task.rows, task.learned, task.rows)
    assert len(learning._train(0)) == 64
    knows = {1 / 16: 0.5, 1 / 8: 0.8, 1 / 4: 0.9, 1 / 2: 1.0}
    for chances, bits in (
        (dict.fromkeys(knows, 0.5), 1.0),
        (dict.fromkeys(knows, 1.0), 4 / 64),
        (knows, (4 + 4 - 8 * np.log2(0.8) - 16 * np.log2(0.9)) / 64),
    ):

        def scores(self, seed, *, shuffled, deal, share, chances=chances):
            p = chances[share]
            right = self.y[self.count :][None].bool()
            true, other = torch.tensor([[p], [max(1 - p, 1e-300)]], dtype=torch.float64).log()
            return torch.where(right, true, other)

        monkeypatch.setattr(probe_fits.Learning, "scores", scores)
        got = learning.code_length(0, shuffled=False, deal=0)
        np.testing.assert_allclose(got, np.full((1, 96), bits), rtol=1e-12)


def test_a_share_of_the_training_groups_is_learned_from(tiny, monkeypatch):  # noqa: F811
    labels = ["yes", "no"] * 60
    task = a_task(tiny, rows(120, label=labels), kind="logistic", sweep={"layer": (1,)})
    plant(monkeypatch, np.random.default_rng(0).normal(size=(120, 4)))
    seen = []
    tuned = probe_fits.Learning._tuned
    monkeypatch.setattr(
        probe_fits.Learning,
        "_tuned",
        lambda self, fit, y, train, *a, **k: (
            seen.append({*train}),
            tuned(self, fit, y, train, *a, **k),
        )[1],
    )
    task = dataclasses.replace(task, asked=("code_length",))
    values, _ = measured(task, tiny, SEEDS[:1])
    whole, *parts = seen
    assert [len(part) for part in parts] == [2, 5, 10, 20] and len(whole) == 40
    assert all(a < b for a, b in zip(parts, [*parts[1:], whole], strict=True))
    assert values["code_length"].mean() > 0.95  # noise tells nothing of two labels


def test_a_study_names_a_measure_and_its_controls_have_it_too(tiny, lab):  # noqa: F811
    text = STUDY.replace("sweep = { layer = [0, 2] }", "sweep = { block = [0, 2], head = [1, 3] }")
    text = text.replace('site = "blocks.{layer}.hook_resid_post"', 'heads = ["{block}.{head}"]')
    text = text.replace("[[claim]]", 'kind = "logistic"\n[[claim]]', 1)
    text = text.replace("truth.accuracy[layer=2]", "truth.f1[block=2, head=3]")
    text += '\n[[estimate]]\ntext = "bits"\nvalue = "truth.code_length[block=2, head=3]"\n'
    whole = catalogue.find(study(tiny, rows(80, label=["yes", "no"] * 40), text))
    claim = whole.claims[0]
    assert claim.empty == 0.5 and claim.natural == (0, 1)
    found = lab.run(whole, "smoke").arms
    names = {"accuracy", "balanced_accuracy", "f1", "log_prob", "code_length"}
    for arm in ("truth", "truth/bag", "truth/untrained", "truth/permuted"):
        assert {*found[arm].data_vars} - {"diverged"} == names
    assert found["truth"]["f1"].dims == ("run", "block", "head", "prompt")
