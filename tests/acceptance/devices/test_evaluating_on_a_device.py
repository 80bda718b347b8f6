"""`assay evaluate` and indexes on a device: the numbers of the CPU, from text and
through the model's gradients."""

import numpy as np
import pytest
import torch

import tiny_models
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.evaluation.evaluating import evaluate
from assay.train import rng

D, F, SITE = 24, 16, "blocks.1.hook_resid_pre"


def drawn(name, *shape):
    return torch.from_numpy(rng.normal(np.array([9]), name, 0, shape)[0])


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory):
    path = tmp_path_factory.mktemp("dictionaries") / "one.safetensors"
    parts = [
        drawn("W_enc", 1, D, F),
        0.1 * drawn("b_enc", 1, F),
        drawn("W_dec", 1, F, D),
        0.1 * drawn("b_dec", 1, D),
    ]
    Dictionary(*parts, ReLU(), sites=(SITE,)).save(path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("models") / "llama", "llama", bos_token_id=3)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return tiny_models.write_texts(tmp_path_factory.mktemp("texts"), 12, lambda i: 2 + i % 3)


def estimates(found):
    return {name: m.get("estimate") for name, m in found.dictionaries[0]["measures"].items()}


def test_an_evaluation_on_text(dictionary, model, texts, device, near, tmp_path):
    def told(where):
        asked = {"tokens": 120, "ablation_tokens": 60, "context": 12}
        return estimates(
            evaluate(
                dictionary,
                model=model,
                text=texts,
                root=tmp_path / str(where),
                device=str(where),
                **asked,
            )
        )

    near(told(device), told("cpu"), 1e-3)
