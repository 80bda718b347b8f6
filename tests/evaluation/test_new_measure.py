"""A new measure is one value in the table and nothing else: an evaluation measures, bounds, defines
and prints it, and the docs list it."""

import naive_evaluation
import numpy as np
import pytest
import torch

import tiny_models
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring import measures
from assay.dictionaries.measuring.measures import FIRINGS, Measure
from assay.dictionaries.nonlinearity import ReLU
from assay.evaluation import evaluate
from assay.report import evaluations
from marks import kinds

COSINE = Measure(
    "cosine",
    "cosine",
    "1",
    "E[x̂·x] / √(E‖x̂‖² E‖x‖²)",
    "higher",
    ("dot_raw", "norm_raw", "square_raw"),
    lambda dot, norm, square: dot / (norm * square) ** 0.5,
    -1,
    1,
)
COMMON = Measure(
    "common",
    "common features",
    "share of features",
    "on for more than half of the tokens",
    "neither",
    FIRINGS,
    lambda firings, tokens: (firings > tokens / 2).mean(-1),
    high=1,
)


def test_one_value_in_the_table_is_a_new_measure(model, texts, tmp_path, monkeypatch):
    g = torch.Generator().manual_seed(0)
    W = torch.nn.functional.normalize(torch.randn(1, 9, 24, generator=g), dim=-1)
    site = "blocks.1.hook_resid_post"
    one = Dictionary(
        W.mT.contiguous(), torch.full((1, 9), -0.2), W, torch.zeros(1, 24), ReLU(), sites=(site,)
    )
    monkeypatch.setattr(measures, "TABLE", (*measures.TABLE, COSINE, COMMON))

    ask = {"tokens": 400, "context": 12, "outlier": 0, "skip_first": 0, "ablation_tokens": 0}
    found = evaluate(one, model=model, text=texts, root=tmp_path, **ask)
    (name,) = found
    tokens, _, _ = naive_evaluation.windows(tmp_path)
    rows = tiny_models.naive(model, tokens)[1][site].reshape(-1, 24)
    codes = np.maximum(rows @ W[0].double().numpy().T - np.float32(0.2), 0)
    guesses = codes @ W[0].double().numpy()
    wanted = (rows * guesses).sum() / np.sqrt((rows**2).sum() * (guesses**2).sum())
    got = found[name]["cosine"]
    assert got["estimate"] == pytest.approx(wanted, rel=1e-5)
    assert got["low"] < got["estimate"] < got["high"]
    assert found[name]["common"]["estimate"] == pytest.approx(((codes > 0).mean(0) > 0.5).mean())

    assert found.to_json()["definitions"]["cosine"] == {
        "unit": "1",
        "better": "higher",
        "formula": COSINE.formula,
    }
    assert set(found.to_pandas().measure) >= {"cosine", "common"}
    entry = found.dictionaries[0]["measures"]
    shown = {name: evaluations.row(name, measure) for name, measure in entry.items()}
    assert shown["cosine"].label == "cosine"
    assert shown["common"].unit == "of the features"
    assert COSINE.formula in evaluations.page(found.to_json(), found.figures)
    assert (
        "| `cosine` | cosine | E[x̂·x] / √(E‖x̂‖² E‖x‖²) | −1 to 1 | higher |"
        in kinds.measured().splitlines()
    )
