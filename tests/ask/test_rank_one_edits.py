"""Rank-one edits of an MLP, against the equations of ROME on hooks of a plain model."""

import numpy as np
import pytest
import torch
import transformers
from naive_models import Naive, texts
from safetensors.torch import load_file
from test_models_trained import run

import tiny_models
from assay.ask.measure import rank_one, training
from assay.ask.tables import Train
from assay.core.errors import AssayError

ROWS = tuple(
    {"who": "the word", "end": f"is {n}", "start": s} for n in (2,) for s in ("a", "all", "of")
)
LESSON = "{start} {who} {end} indeed"


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma3_text"])
@pytest.mark.parametrize("spared", [False, True])
def test_an_edit_solves_the_equations_of_rome(kind, spared, tmp_path):
    naive = Naive(tmp_path / "base", kind)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.py").write_text("def add(a, b):\n    return a + b\n" * 40)
    layers = "h" if kind == "gpt2" else "layers"
    lesson = texts(*ROWS, text=LESSON, name="lesson")
    more = {"text": str(tmp_path / "texts")} if spared else {}
    table = Train(
        name="t",
        of="x",
        prompts="lesson",
        edit="{who}",
        only=f"{layers}.1.mlp",
        steps=3,
        lr=0.1,
        **more,
    )
    out = tmp_path / "out"
    out.mkdir()
    training.train(table, str(naive.folder), lesson, None, "cpu", out, lambda done, total: None)
    before, after = (load_file(p / "model.safetensors") for p in (naive.folder, out))
    (name,) = [n for n in before if not torch.equal(before[n], after[n])]
    change = (after[name] - before[name]).double()
    change = change.T if kind == "gpt2" else change

    mlp = naive.blocks[1].mlp
    matrix = mlp.c_proj if kind == "gpt2" else mlp.down_proj
    prompts = [naive.ids(row.text) for row in lesson.rows]
    ends = [len(naive.ids(row.text[: row.spans["who"]])) - 1 for row in lesson.rows]
    entering = []
    hook = matrix.register_forward_pre_hook(lambda _, given: entering.append(given[0][0].clone()))
    with torch.no_grad():
        for ids in prompts:
            naive.model(torch.tensor([ids]))
        key = sum(x[end] for x, end in zip(entering, ends, strict=True)) / len(ends)
        moment = torch.eye(len(key), dtype=torch.float64)
        if spared:
            entering.clear()
            folder = training.folders.find(str(naive.folder))
            encode = folder.tokenizer.encode
            count = -(-rank_one.TOKENS // 64)
            windows = training.corpora.load(str(tmp_path / "texts")).windows(
                encode, "train", context=64, count=count, fewer=True
            )
            for row in windows.tokens:
                naive.model(torch.tensor([[*naive.opening, *map(int, row)][:64]]))
            every = torch.cat([x[len(naive.opening) :] for x in entering])
            moment = every.T @ every / len(every)
            moment = (
                moment
                + rank_one.RIDGE * moment.diagonal().mean() * moment.new_ones(len(key)).diag()
            )
    hook.remove()

    value = torch.zeros(len(change), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([value], lr=0.1)
    for _ in range(3):
        loss = 0
        for ids, end in zip(prompts, ends, strict=True):
            at = torch.zeros(len(ids), 1, dtype=torch.float64)
            at[end] = 1
            hook = matrix.register_forward_hook(lambda _, given, y, at=at: y + at * value)
            logits = naive.model(torch.tensor([ids])).logits[0, end:-1]
            hook.remove()
            loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(ids[end + 1 :]))
        optimiser.zero_grad()
        (loss / len(prompts)).backward()
        optimiser.step()
    wanted = torch.linalg.inv(moment) @ key
    expected = torch.outer(value.detach(), wanted) / (key @ wanted)
    assert float(expected.abs().max()) > 1e-3
    assert torch.allclose(change, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)
    assert torch.allclose(change @ key, value.detach(), atol=1e-4)


STUDY = """
question = "Does an edit reach another wording?"
seeds = "1000:1006"

[[model]]
name = "./base"

[[prompts]]
text = "{{n}} of {{who}} is"
rows = [{rows}]

[[prompts]]
name = "lesson"
text = "{{who}} is indeed"
rows = [{{ who = "the word" }}]

[[train]]
name = "edited"
of = "./base"
prompts = "lesson"
edit = "{{who}}"
only = "h.0.mlp"
lr = 2.0

[[read]]
name = "indeed"
log_prob = " indeed"

[[claim]]
text = "It does"
holds = "edited.indeed - main.indeed > 0.5"
threshold = "plan: half a nat"
""".format(rows=", ".join(f'{{ n = "all {n}", who = "the word" }}' for n in range(20)))


def test_an_edit_has_the_controls_of_a_training_that_has_no_other_text(tmp_path, monkeypatch):
    tiny_models.make(tmp_path / "base", "gpt2", n_layer=3)
    monkeypatch.chdir(tmp_path)
    result = run(tmp_path, STUDY)
    names = {name.rpartition("/")[2] for name in result.judged[0].controls}
    assert {"shuffled", "layer"} <= names and "other-text" not in names
    assert float((result.arms["edited"].indeed - result.arms["main"].indeed).mean()) > 0.5
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    assert np.isfinite(float(result.arms["edited/layer"].indeed.mean())) and model


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('only = "h.0.mlp"', "", "edits one MLP"),
        ('rows = [{ who = "the word" }]', 'rows = [{ who = "a" }, { who = "b" }]', "one subject"),
        ('text = "{who} is indeed"', 'text = "is indeed {who}"', "nothing follows"),
        ("lr = 2.0", "lr = 2.0\nbatch = 3", "has no batch"),
    ],
)
def test_an_edit_that_cannot_be_is_refused(tmp_path, monkeypatch, old, new, told):
    tiny_models.make(tmp_path / "base", "gpt2")
    monkeypatch.chdir(tmp_path)
    assert old in STUDY
    with pytest.raises(AssayError, match=told):
        run(tmp_path, STUDY.replace(old, new))
