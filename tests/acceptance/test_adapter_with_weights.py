"""A folder with whole weights and an adapter is what transformers makes of it: the logits are those
of AutoModelForCausalLM.from_pretrained, which applies the adapter to the folder's own weights."""

import json

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers

import assay
from assay.cli.main import main
from assay.core.errors import ModelError
from assay.subjects.folder import find

WORDS = ["the", "cat", "dog", "sat", "ran", "on", "a", "mat", "yes", "no"]
TEXTS = ["the cat sat on a", "a dog ran on the mat", "the dog sat"]
TOKENS = torch.tensor([[0, 1, 3, 5, 6]])
STUDY = """question = "Does the adapter count?"
[[model]]
name = "./both"
[[prompts]]
text = "{shown}"
slots = { shown = SHOWN }
[[read]]
name = "lead"
logit = [" yes", " no"]
[[estimate]]
text = "The lead"
value = "main.lead"
"""


def state(path, **settings):
    """Change settings of a file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.fixture
def both(tmp_path):
    """Whole weights and a LoRA of random matrices, which names a base that is nowhere."""
    folder = tmp_path / "both"
    torch.manual_seed(3)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 16}
    ids = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    config = transformers.LlamaConfig(vocab_size=len(WORDS), **sizes, **ids)
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder)
    targets = ["q_proj", "down_proj"]
    lora = LoraConfig(r=2, lora_alpha=6, target_modules=targets, task_type="CAUSAL_LM")
    tuned = get_peft_model(model, lora)
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            weight.data.normal_()
    tuned.save_pretrained(folder, save_embedding_layers=False)
    state(folder / "adapter_config.json", base_model_name_or_path="nobody/nothing")
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="a"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.save(str(folder / "tokenizer.json"))
    return folder


def logits(folder, tokens=TOKENS):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(tokens).logits


def without_adapter(folder):
    """The folder after its adapter was taken away."""
    for path in folder.glob("adapter_*"):
        path.unlink()
    return folder


def close(ours, theirs):
    return torch.allclose(ours, theirs, rtol=0, atol=1e-5)


def test_logits_are_those_of_transformers(both):
    model, theirs = assay.model(str(both)), logits(both)
    ours, key = model.run(TOKENS).logits, model.folder.fingerprint
    assert close(ours, theirs)
    plain = assay.model(str(without_adapter(both)))
    assert close(plain.run(TOKENS).logits, logits(both))
    assert not close(ours, logits(both))
    assert plain.folder.fingerprint != key


def leads(folder):
    ids = [torch.tensor([[WORDS.index(w) for w in text.split()]]) for text in TEXTS]
    last = [logits(folder, tokens)[0, -1] for tokens in ids]
    return [float(x[WORDS.index("yes")] - x[WORDS.index("no")]) for x in last]


def test_a_study_reads_the_adapted_model(both, monkeypatch, capsys):
    (both.parent / "study.toml").write_text(STUDY.replace("SHOWN", json.dumps(TEXTS)))
    monkeypatch.chdir(both.parent)
    assert main(["run", "study.toml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    points, adapted = found["findings"][0]["points"], leads(both)
    assert points == pytest.approx(adapted, abs=1e-5)
    assert found["provenance"]["inputs"]["model"] == find(str(both)).fingerprint
    plain = leads(without_adapter(both))
    assert max(abs(x - y) for x, y in zip(points, plain, strict=True)) > 0.1


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"peft_type": "IA3"}])
def test_what_is_not_applied_is_refused(both, settings):
    state(both / "adapter_config.json", **settings)
    with pytest.raises(ModelError):
        assay.model(str(both))


def test_an_adapter_on_an_adapted_base_is_refused(both, tmp_path):
    (tmp_path / "lora").mkdir()
    for path in both.glob("adapter_*"):
        (tmp_path / "lora" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ModelError):
        assay.model(f"{tmp_path / 'lora'} on {both}")
