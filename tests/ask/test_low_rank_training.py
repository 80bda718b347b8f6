"""Models of which a study trains some weights, or low-rank additions to their linear maps, against
a plain loop in torch."""

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from test_models_trained import STUDY, run

import tiny_models
from assay.ask.measure import training
from assay.ask.tables import Train
from assay.core.errors import AssayError

TEXTS = "def add(a, b):\n    return a + b\n" * 4


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def base(request, tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("adapted") / request.param, request.param)


@pytest.fixture
def trained(base, tmp_path):
    """The change of each weight by a training on a text."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.py").write_text(TEXTS)

    def train(**fields):
        about = {"steps": 1, "batch": 2, "context": 16, "lr": 1e-2} | fields
        table = Train(name="t", of="base", text=str(tmp_path / "texts"), **about)
        out = tmp_path / f"out {len([*tmp_path.iterdir()])}"
        out.mkdir()
        training.train(table, str(base), None, None, "cpu", out, lambda done, total: None)
        before, after = (load_file(p / "model.safetensors") for p in (base, out))
        texts = training._sequences(training.usual(table), training.folders.find(str(base)), None)
        batches = [
            [texts[i] for i in training._order(table, len(texts), n)] for n in range(about["steps"])
        ]
        return {name: after[name] - before[name] for name in before}, batches

    return train


def maps(network):
    """The linear maps of the blocks, by name, and whether the output is their first axis."""
    blocks = network.base_model.h if hasattr(network.base_model, "h") else network.base_model.layers
    inside = {id(m) for m in blocks.modules()}
    kinds = ("Linear", "Conv1D")
    return {
        name: (module, type(module).__name__ == "Linear")
        for name, module in network.named_modules()
        if id(module) in inside and type(module).__name__ in kinds
    }


def loss_of(network, batch):
    logits = network(input_ids=torch.tensor(batch)).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), torch.tensor(batch)[:, 1:].flatten()
    )


def test_lora_is_what_a_plain_loop_over_low_rank_weights_gives(base, trained):
    """After one step B is −lr · sign(∂L/∂W Aᵀ), as Adam's first step is; A is read off it. From
    this A a loop over W + α/r B A gives the same weights after four."""
    network = transformers.AutoModelForCausalLM.from_pretrained(base).eval()
    some = maps(network)
    first, batches = trained(rank=1)
    loss_of(network, batches[0]).backward()
    starts = {}
    for name, (module, output_first) in some.items():
        change, slope = first[f"{name}.weight"], module.weight.grad
        change, slope = (change, slope) if output_first else (change.T, slope.T)
        row = change[change.abs().sum(1).argmax()]
        assert row.abs().max() <= 1.001e-2 / row.numel() ** 0.5
        moved = (slope @ row).abs() > 1e-6
        expected = -torch.sign(slope @ row)[:, None] * row
        assert torch.allclose(change[moved], expected[moved], atol=2e-6)
        starts[name] = row / 1e-2
    others = {n for n, d in first.items() if d.abs().max() > 0} - {f"{n}.weight" for n in some}
    assert not others
    assert any(d.abs().max() > 0 for d in first.values())

    after, batches = trained(rank=1, steps=4, alpha=2)
    learned, whole = {}, {n: p.detach() for n, p in network.named_parameters()}
    for name, (module, output_first) in some.items():
        A = starts[name][None].clone().requires_grad_(True)
        high = module.weight.shape[0 if output_first else 1]
        learned[name] = A, torch.zeros(high, 1, requires_grad=True)
    optimiser = torch.optim.AdamW([p for ab in learned.values() for p in ab], weight_decay=0.0)
    for step, batch in enumerate(batches):
        added = {n: 2 * (B @ A) for n, (A, B) in learned.items()}
        weights = dict(whole)
        for name, (_, output_first) in some.items():
            low = added[name] if output_first else added[name].T
            weights[f"{name}.weight"] = whole[f"{name}.weight"] + low
        out = torch.func.functional_call(network, weights, (torch.tensor(batch),)).logits
        ids = torch.tensor(batch)[:, 1:].flatten()
        loss = torch.nn.functional.cross_entropy(out[:, :-1].flatten(0, 1), ids)
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / 4)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for ab in learned.values() for p in ab], 1.0)
        optimiser.step()
    for name, (A, B) in learned.items():
        expected = 2 * (B @ A).detach()
        change = after[f"{name}.weight"]
        change = change if some[name][1] else change.T
        assert torch.allclose(change, expected, atol=2e-5)


def test_only_the_named_weights_are_trained(base, trained):
    """Adam's first step moves each weight with a gradient by the rate."""
    blocks = "h" if base.name == "gpt2" else "layers"
    change, _ = trained(only=f"{blocks}.1.mlp", lr=1e-3)
    moved = {name for name, d in change.items() if d.abs().max() > 0}
    assert moved and all(f"{blocks}.1.mlp" in name for name in moved)
    assert max(float(change[n].abs().max()) for n in moved) == pytest.approx(1e-3, rel=1e-2)
    both, _ = trained(only=f"{blocks}.1.mlp", rank=2, lr=1e-2, steps=3)
    for name in (n for n, d in both.items() if d.abs().max() > 0):
        assert f"{blocks}.1.mlp" in name
        assert int(torch.linalg.matrix_rank(both[name], rtol=1e-3)) <= 2


def test_a_part_that_is_trained_has_the_same_training_elsewhere_as_control(tmp_path, monkeypatch):
    tiny_models.make(tmp_path / "base", "gpt2", n_layer=3)
    monkeypatch.chdir(tmp_path)
    text = STUDY.replace("lr = 3e-3", 'lr = 1e-2\nrank = 2\nonly = "h.0."')
    result = run(tmp_path, text)
    assert set(result.judged[0].controls) == {
        f"learned/{name}" for name in ("shuffled", "other-text", "layer")
    }
    here, there = (result.arms[f"learned{name}"].indeed for name in ("", "/layer"))
    assert not np.allclose(here, there)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ('only = "h.9"', "no weight of .* has 'h.9' in its name"),
        ("alpha = 8", "write the rank"),
        ("decay = { W_enc = 1 }", "all of its weights decay alike; write one number"),
    ],
)
def test_a_training_that_cannot_be_is_refused(tmp_path, monkeypatch, fields, told):
    tiny_models.make(tmp_path / "base", "gpt2")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssayError, match=told):
        run(tmp_path, STUDY.replace("lr = 3e-3", f"lr = 3e-3\n{fields}"))
