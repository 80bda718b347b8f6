"""Every study in examples runs, as it stands, on tiny random models under the names that it asks.

The truth is the studies' own text: each claim has an outcome and each estimate a number."""

import json
import os
import tomllib
from pathlib import Path

import numpy as np
import pytest

import stand_ins

EXAMPLES = Path(__file__).parents[2] / "examples"
STUDIES = sorted(EXAMPLES.glob("*.toml"))
CACHED = {"smollm2": "smollm2-b179c9523d0e", "gemma3-270m": "gemma3-270m-a5fd3b62230a"}
"""The folder of each model in the model cache."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """One store for all, in a folder that is a model cache too."""
    root = tmp_path_factory.mktemp("examples")
    made = stand_ins.make(root, [path for path in EXAMPLES.iterdir() if path.is_file()])
    for name, folder in made.items():
        folder.rename(root / CACHED[name])
    return root


@pytest.fixture(autouse=True)
def rehearsed(root, monkeypatch):
    """Studies of tiny models are rehearsed like those that take minutes."""
    monkeypatch.setitem(os.environ, "ASSAY_CACHE", str(root))
    monkeypatch.setattr("assay.ask.contents.LONG", 0.0)
    monkeypatch.setattr("assay.ask.model_study.LOADING", 0.0)


def test_there_are_fourteen():
    assert len(STUDIES) == 14


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_an_example_runs(path, root, capsys):
    from assay.cli.main import main

    words = ["--preset", "smoke", "--executor", "inline", "--json", "--root", str(root / "store")]
    assert main(["run", str(path), *words]) == 0
    said, study = json.loads(capsys.readouterr().out), tomllib.loads(path.read_text())
    outcomes = [verdict["outcome"] for verdict in said["verdicts"]]
    assert len(outcomes) == len(study.get("claim", ()))
    assert {*outcomes} <= {"holds", "fails", "undecided", "unspecific"}
    assert len(said["findings"]) == len(study.get("estimate", ()))
    estimates = np.hstack([(f["curve"] or f)["estimate"] for f in said["findings"]] or [0.0])
    assert np.isfinite(estimates).all()
