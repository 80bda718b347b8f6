"""SmolLM2's folder as other libraries open it: the special tokens are those of the model's own
tokenizer_config.json on the Hub, a padded batch is transformers against itself, one text at a
time."""

import json
import shutil

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from assay.subjects import chats
from assay.subjects.fetch import SMOLLM2
from assay.subjects.folder import find

pytestmark = pytest.mark.model
IDS = {"unk": 0, "bos": 1, "eos": 2, "pad": 2}
TEXTS = ["The capital of France is", "Hello", "def add(a, b):\n    return 12345 + b"]
FINGERPRINT = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CONTENT = "115e4717377842e7a7f0e62f101f414d1425ce012d2d01f5b5851a8b561d8a10"
TEMPLATE = "2aca2058208199bbb63317c24c226040401e389b3ff181502f40a0bd39c598f1"
CONFIG = "tokenizer_config.json"


@pytest.fixture(scope="module")
def folder():
    return SMOLLM2.find()


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def test_special_tokens_have_their_ids(tokenizer):
    assert {name: getattr(tokenizer, f"{name}_token_id") for name in IDS} == IDS
    assert tokenizer.model_max_length == 8192


def test_texts_are_cut_as_before(folder, tokenizer):
    """As tokenizer.json alone cuts them, so without a BOS."""
    alone = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = [*TEXTS, "", " héllo 日本 🙂\r\n\x00 ", "<|im_start|>user\nHi<|im_end|>"]
    assert tokenizer(texts).input_ids == [alone.encode(text).ids for text in texts]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_batch_has_the_logits_of_each_text(folder, tokenizer, side):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True, padding_side=side)
    with torch.no_grad():
        together = model(**batch).logits
        for row, text in enumerate(TEXTS):
            alone = model(**tokenizer(text, return_tensors="pt")).logits[0]
            assert torch.allclose(together[row][batch.attention_mask[row] > 0], alone, atol=2e-3)


def test_the_model_is_still_the_same():
    """Its hashes, from before the file was written."""
    found = find("smollm2")
    assert (found.fingerprint, found.content) == (FINGERPRINT, CONTENT)
    assert found.opening == ()
    template = chats.read(found.texts)
    assert (template.digest, template.bos) == (TEMPLATE, "")


def test_a_cached_folder_gets_the_file_once(folder, tmp_path, monkeypatch):
    copy = tmp_path / folder.name
    copy.mkdir()
    for path in folder.iterdir():
        if path.suffix == ".safetensors":
            (copy / path.name).symlink_to(path)
        elif path.name != CONFIG:
            shutil.copy(path, copy)
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    assert SMOLLM2.find() == copy
    assert json.loads((copy / CONFIG).read_text()) == json.loads((folder / CONFIG).read_text())
    written = (copy / CONFIG).stat().st_mtime_ns
    SMOLLM2.find()
    assert (copy / CONFIG).stat().st_mtime_ns == written
    (copy / CONFIG).write_text("{}")
    SMOLLM2.find()
    assert (copy / CONFIG).read_text() == "{}"
