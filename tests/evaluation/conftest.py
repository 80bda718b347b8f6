"""A tiny model with a BOS token, and texts of two kinds."""

import sys
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import tiny_models
from assay.evaluation import evaluate, summary


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("evaluated") / "model", "llama", bos_token_id=3)


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    return tiny_models.write_texts(tmp_path_factory.mktemp("texts"), 24, lambda i: 2 + i % 3)


@pytest.fixture
def believed(monkeypatch):
    """Gives shares of a model of random weights, too, for what they are computed from."""
    monkeypatch.setattr(summary, "guessing", lambda loss, vocabulary: [])


@pytest.fixture
def measured(model, texts, tmp_path):
    """Evaluate dictionaries on windows of the texts, as far as nothing else is asked for."""
    return partial(evaluate, model=model, text=texts, root=tmp_path, tokens=300, context=12)
