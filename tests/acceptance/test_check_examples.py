"""The examples of `assay.check`, each in an environment of its own with the newest release of its
library: the same claim on the same small model gives the same numbers in all of them.

An environment takes minutes to make. Where ASSAY_ENVIRONMENTS names a folder that has
LIBRARY/bin/python, that is taken."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from assay.report.result_file import load

ROOT = Path(__file__).parents[2]
TORCH = "torch==2.13.0"
LINES = 40
EXAMPLES = sorted((ROOT / "examples/check").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_at_most_forty_lines(path):
    assert len(path.read_text().splitlines()) <= LINES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random Llama whose tokens are the words of the prompts."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = tmp_path_factory.mktemp("small") / "llama"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = (ROOT / "examples/capitals.csv").read_text().replace(",", " ")
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([text + "The capital of is " * 9], trainer)
    tokenizer.add_special_tokens(["<pad>"])
    whole = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")
    whole.save_pretrained(made)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    model = transformers.LlamaForCausalLM(config)
    for weight in model.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    model.save_pretrained(made)
    return made


def python(library, home):
    """The Python of an environment with the newest release of a library, and this tree."""
    if known := os.environ.get("ASSAY_ENVIRONMENTS"):
        return Path(known) / library / "bin/python"
    venv.create(home / library, with_pip=True)
    found = home / library / "bin/python"
    for words in ([TORCH], [library], [str(ROOT)]):
        subprocess.run([found, "-m", "pip", "install", "-q", *words], check=True)
    return found


def run(command, example, *words, home, code=""):
    """What an example saves."""
    out = home / f"{example}.assay"
    before = ["-c", code] if code else [ROOT / f"examples/check/{example}.py"]
    env = {
        k: v for k, v in os.environ.items() if k != "PYTHONPATH" or command == Path(sys.executable)
    }
    subprocess.run([command, *before, *map(str, words), out], cwd=home, env=env, check=True)
    return load(out)


@pytest.fixture(scope="module")
def plain(folder, tmp_path_factory):
    """The claim in plain transformers, in the tests' own environment."""
    home = tmp_path_factory.mktemp("plain")
    return run(Path(sys.executable), "with_transformers", folder, 1, home=home)


@pytest.mark.thorough
def test_plain_hooks_measure_what_transformers_gives(folder, plain):
    """Without the source the lead is that of the model as it is."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    encode = transformers.AutoTokenizer.from_pretrained(folder)
    rows = plain.rows[plain.rows["arm"] == "patch"]
    for row in rows.head(5).to_dict("records"):
        with torch.no_grad():
            ids = encode(f"The capital of {row['country']} is", return_tensors="pt").input_ids
            logits = model(ids).logits[0, -1]
        first = [encode(f" {row[c]}").input_ids[0] for c in ("city", "foil")]
        assert row["lead_before"] == pytest.approx(
            float(logits[first[0]] - logits[first[1]]), abs=1e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize("library", ["transformer-lens", "nnsight"])
def test_another_library_gives_the_same_numbers(library, folder, plain, tmp_path):
    name = f"with_{library.replace('-', '_')}"
    v = run(python(library, tmp_path), name, folder, 1, home=tmp_path)
    assert list(v.rows["arm"]) == list(plain.rows["arm"])
    for number in ("lead_before", "lead_after"):
        np.testing.assert_allclose(v.rows[number], plain.rows[number], atol=1e-4)
    assert v.outcome == plain.outcome


SAE = """
import sys, torch
from sae_lens import StandardSAE, StandardSAEConfig
from sae_lens.saes.sae import SAEMetadata
torch.manual_seed(0)
where = SAEMetadata(hook_name="blocks.1.hook_resid_pre")
sae = StandardSAE(StandardSAEConfig(d_in=24, d_sae=64, metadata=where))
sae.W_dec.data = torch.randn(64, 24) / 24**0.5
sae.W_enc.data = sae.W_dec.data.T.contiguous()
sae.save_model(sys.argv[1])
"""


@pytest.mark.slow
def test_a_random_latent_is_no_more_than_others(folder, tmp_path):
    command = python("sae-lens", tmp_path)
    subprocess.run([command, "-c", SAE, tmp_path / "sae"], check=True)
    v = run(command, "with_sae_lens", folder, tmp_path / "sae", 7, home=tmp_path)
    assert v.outcome != "holds" and v.controls["latents"].draws == 4


MOCK = f"""
import runpy, sys
import tiktoken
from inspect_ai import model
class Words:
    def encode(self, text, **more):
        return text.split()
tiktoken.get_encoding = tiktoken.encoding_for_model = lambda name: Words()  # else from a network
def answer(messages, *_):
    french = "Answer in French, in one word." in [m.text for m in messages if m.role == "system"]
    word = messages[-1].text.split()[-1].strip("?")
    return model.ModelOutput.from_content("mock", WORDS[word] if french else word)
WORDS = dict(dog="chien", cat="chat", house="maison", bread="pain", water="eau", milk="lait",
    tree="arbre", sea="mer", moon="lune", sun="soleil", king="roi", door="porte", hand="main",
    snow="neige")
get = model.get_model
model.get_model = lambda name: get("mockllm/model", custom_outputs=answer)
sys.argv = ["with_inspect.py", *sys.argv[1:]]
runpy.run_path({str(ROOT / "examples/check/with_inspect.py")!r})
"""


@pytest.mark.slow
def test_a_system_prompt_that_a_model_obeys_word_by_word_holds(tmp_path):
    command = python("inspect-ai", tmp_path)
    v = run(command, "with_inspect", "mock", home=tmp_path, code=MOCK)
    assert v.outcome == "holds" and v.estimate == 1
    assert {"words", "length"} <= set(v.controls)
