"""The studies of the folder examples: short, accepted as they stand, and run from end to end on
tiny random models of as many blocks and heads as those that they name."""

import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

import tiny_models
from assay.lab import catalogue
from assay.lab.executors import Inline
from assay.lab.lab import Lab
from assay.subjects import fetch

EXAMPLES = Path(__file__).parents[2] / "examples"
STUDIES = sorted(path.name for path in EXAMPLES.glob("*.toml"))
LLAMA = {
    "hidden_size": 36,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
GEMMA = {
    "hidden_size": 32,
    "num_hidden_layers": 18,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
    "sliding_window": 16,
    "layer_types": ["sliding_attention", "full_attention"] * 9,
    "bos_token_id": 2,
    "tie_word_embeddings": True,
}


def save_words(folder):
    """Writes a tokenizer to which every word of the examples is one token; returns their number."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    text = " ".join(p.read_text() for p in sorted(EXAMPLES.iterdir())) + " yes no is are"
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = {w for w, _ in byte_level.pre_tokenize_str(text)}
    words |= {w for w, _ in byte_level.pre_tokenize_str(re.sub(r"\W+", " ", text))}
    letters = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "?"]
    vocab = {w: i for i, w in enumerate(dict.fromkeys([*letters, *sorted(words)]))}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="?"))
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(vocab)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folders that stand in for smollm2 and gemma3-270m."""
    parent = tmp_path_factory.mktemp("examples")
    vocab = save_words(parent)
    made = {}
    for name, kind, sizes in (("smollm2", "llama", LLAMA), ("gemma3-270m", "gemma3_text", GEMMA)):
        sizes = {**sizes, "vocab_size": vocab, "max_position_embeddings": 128}
        made[name] = tiny_models.make(parent / name, kind, **sizes)
        shutil.copy(parent / "tokenizer.json", made[name])
    return made


@pytest.fixture
def named(tiny, monkeypatch):
    monkeypatch.setattr(fetch.PackagedModel, "find", lambda packaged: tiny[packaged.name])


def tables(name):
    return tomllib.loads((EXAMPLES / name).read_text())


def test_there_are_twelve_of_at_most_25_lines():
    assert len(STUDIES) >= 12
    for name in STUDIES:
        lines = (line.strip() for line in (EXAMPLES / name).read_text().splitlines())
        assert sum(bool(line) and not line.startswith("#") for line in lines) <= 25, name


def test_they_ask_both_models_in_every_table_and_state_each_threshold_as_planned():
    studies = [tables(name) for name in STUDIES]
    asked = {m.get("name") for study in studies for m in study["model"]}
    assert {"smollm2", "gemma3-270m"} <= asked
    used = {table for study in studies for table in study}
    assert used >= {"direction", "intervene", "read", "probe", "diff", "train", "claim", "estimate"}
    done = {key for study in studies for table in study.get("intervene", ()) for key in table}
    assert done >= {"add", "project_out", "ablate", "patch"}
    claims = [claim for study in studies for claim in study.get("claim", ())]
    assert all(claim["threshold"].startswith("plan: ") for claim in claims)


@pytest.mark.parametrize("name", STUDIES)
def test_an_example_is_accepted_and_every_number_is_there(named, tmp_path, name):
    lab = Lab(tmp_path, Inline())
    plan = lab.plan(catalogue.find(str(EXAMPLES / name)))
    assert plan.missing
    result = lab.run(catalogue.find(str(EXAMPLES / name)), preset="smoke")
    assert not result.failed, result.failed
    study = tables(name)
    assert len(result.judged) == len(study.get("claim", ()))
    assert len(result.findings) == len(study.get("estimate", ()))
    for arm, numbers in result.arms.items():
        for measure, values in numbers.data_vars.items():
            assert np.isfinite(values).all(), (arm, measure)
