"""Direct attributions and the final norm's bias make the lead: the logits are transformers' own,
the bias term is written out from the model's weights."""

import json

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from assay.cli.main import main

WORDS = ["the", "cat", "dog", "sat", "ran", "on", "a", "mat", "yes", "no"]
TEXTS = ["the cat sat on a", "a dog ran on the mat", "the dog sat"]
LAYERS = 2
STUDY = """question = "Do direct attributions add up to the lead?"
[[model]]
name = "./model"
[[prompts]]
text = "{shown}"
slots = { shown = SHOWN }
[[read]]
name = "lead"
logit = [" yes", " no"]
[[read]]
name = "parts"
direct = [" yes", " no"]
sites = SITES
[[estimate]]
text = "The lead"
value = "main.lead"
[[estimate]]
text = "What the parts contribute"
value = "main.parts"
"""


def make_model(folder):
    """A random GPT-2 whose final norm and unembedding have what a trained one has: every parameter
    is far from where it starts."""
    config = transformers.GPT2Config(
        vocab_size=len(WORDS),
        n_embd=16,
        n_layer=LAYERS,
        n_head=2,
        n_positions=16,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    draw = torch.Generator().manual_seed(5)
    for weight in model.parameters():
        weight.data.add_(0.3 * torch.randn(weight.shape, generator=draw))
    model.save_pretrained(folder)
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="a"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.save(str(folder / "tokenizer.json"))
    return model


def test_parts_and_bias_make_the_lead(tmp_path, monkeypatch, capsys):
    model = make_model(tmp_path / "model")
    sites = ["hook_embed", "hook_pos_embed"]
    sites += [f"blocks.{n}.hook_{kind}_out" for n in range(LAYERS) for kind in ("attn", "mlp")]
    study = STUDY.replace("SHOWN", json.dumps(TEXTS)).replace("SITES", json.dumps(sites))
    (tmp_path / "study.toml").write_text(study)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "study.toml", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    lead, parts = (torch.tensor(f["points"]) for f in findings)
    yes, no = WORDS.index("yes"), WORDS.index("no")
    tokens = [[WORDS.index(word) for word in text.split()] for text in TEXTS]
    with torch.no_grad():
        last = [model(torch.tensor([ids])).logits[0, -1] for ids in tokens]
        bias = model.transformer.ln_f.bias @ (model.lm_head.weight[yes] - model.lm_head.weight[no])
    assert lead.tolist() == pytest.approx([float(x[yes] - x[no]) for x in last], abs=1e-5)
    assert abs(float(bias)) > 0.1
    assert (parts + bias).tolist() == pytest.approx(lead.tolist(), abs=1e-5)
