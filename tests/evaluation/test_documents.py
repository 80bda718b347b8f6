"""The table of an evaluation, a row for each dictionary and document: `judge` reads it, and its
verdicts rest on the numbers that the evaluation reports."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_models
from assay.ask.text import read
from assay.cli.main import main
from assay.core.errors import ExperimentError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.evaluation import evaluate
from assay.subjects import folder as models
from assay.verbs.evaluation_tables import judging

QUANTITIES = {
    "fvu": "mean({0}.error)/mean({0}.variance)",
    "l0": "mean({0}.active)/mean({0}.tokens)",
    "gamma": "mean({0}.norm)/mean({0}.dot)",
    "ce_increase": "(mean({0}.ce_spliced) - mean({0}.ce_clean))/mean({0}.predictions)",
}
"""Measures of the evaluation, and what they are of the columns of the table."""
ON = {"tokens": 600, "ablation_tokens": 300, "context": 16, "bos": True}


def disturbed(seed, noise, f=48):
    """A dictionary that reconstructs more or less well: features of random directions, with a
    decoder that was disturbed."""
    draw = torch.Generator().manual_seed(seed)
    W = torch.nn.functional.normalize(torch.randn(1, f, 24, generator=draw), dim=-1)
    off = noise * torch.randn(1, f, 24, generator=draw)
    site = "blocks.1.hook_resid_post"
    return Dictionary(
        0.6 * W.mT, torch.full((1, f), -0.2), W + off, torch.zeros(1, 24), ReLU(), sites=(site,)
    )


@pytest.fixture
def folder(model, texts, tmp_path, monkeypatch):
    """A folder with a model, a text and three dictionaries."""
    shutil.copytree(model, tmp_path / "model")
    shutil.copytree(texts, tmp_path / "texts")
    for name, seed, noise in (("mine", 0, 0.0), ("theirs", 0, 0.4), ("again", 1, 0.4)):
        disturbed(seed, noise).save(tmp_path / f"{name}.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


FILES = ("mine.safetensors", "theirs.safetensors", "again.safetensors")


def test_the_loss_of_a_document_is_that_of_the_windows_that_the_table_names(folder):
    found = evaluate(FILES[0], model="model", text="texts", outlier=1e9, **ON).documents
    of_model = models.find("model")
    for row in found.head(3).itertuples():
        ids = of_model.tokenizer.encode((folder / "texts" / row.document).read_text())
        starts = [int(start) for start in row.window_starts.split()]
        windows = np.array([[*of_model.beginning(True), *ids[a : a + 15]] for a in starts])
        loss = tiny_models.naive_loss(tiny_models.naive(folder / "model", windows)[0], windows)
        assert loss[:, 1:].sum() == pytest.approx(row.ce_clean, rel=1e-4)


def test_the_two_commands_that_replace_a_study_of_dictionaries(folder, capsys):
    on = ("--model", "model", "--text", "texts", "--tokens", "600", "--context", "16", "--bos")
    assert main(["evaluate", *FILES, *on, "--ablation-tokens", "300", "--out", "report"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    claim = (
        "mean(mine.error)/mean(mine.variance) - mean(theirs.error)/mean(theirs.variance) < -0.01"
    )
    words = ["judge", "report/documents.csv", "--unit", "document", "--control", "again"]
    words += ["--about", "mine"]
    assert f"assay {' '.join(words)} \\ --claim '{claim}'" in shown
    assert main([*words, "--claim", claim, "--expect", "holds"]) == 0


def test_a_command_that_could_decide_nothing_is_not_shown():
    def entry(name, l0, documents):
        return {
            "name": name,
            "documents": documents,
            "measures": {x: {"estimate": l0} for x in ("l0", "fvu")},
        }

    def shown(*entries):
        return [getattr(p, "text", p) for p in judging(Path("documents.csv"), entries)]

    assert shown(entry("a", 8.0, 60)) == shown(entry("a", 8.0, 60), entry("b", 60.0, 60)) == []
    (few,) = shown(entry("a", 8.0, 5), entry("b", 8.1, 5))
    assert "at least 6 documents are needed, and 5 were read" in few and "assay judge" not in few
    assert any("assay judge" in line for line in shown(entry("a", 8.0, 6), entry("b", 8.1, 6)))


def test_what_is_stored_gives_the_same_table(folder):
    first, second = (evaluate(FILES[0], model="model", text="texts", **ON) for _ in range(2))
    assert second.dictionaries[0]["cached"] and not first.dictionaries[0]["cached"]
    assert first.documents.equals(second.documents)
    assert list(first.documents.columns[:2]) == ["arm", "document"]


def test_an_evaluation_of_an_earlier_version_gains_its_table(folder):
    """Such a store has the numbers and the sums of shards, and no sums over documents."""
    first = evaluate(FILES[0], model="model", text="texts", **ON)
    shutil.rmtree(folder / "assay-store/artefacts/evaluation-documents")
    again = evaluate(FILES[0], model="model", text="texts", **ON)
    assert again.documents.equals(first.documents)
    assert again["mine"] == first["mine"]


def test_a_study_of_dictionaries_is_refused_with_the_command(folder):
    path = folder / "asks.toml"
    path.write_text(
        'question = "Which?"\n\n[[dictionary]]\nlabel = "mine"\npath = "my sae.safetensors"\n'
        'model = "./model"\ntext = "./texts"\n\n[[dictionary]]\npath = ["a", "b"]\n'
    )
    with pytest.raises(ExperimentError) as caught:
        read(path)
    said = str(caught.value)
    assert "\n" not in said and said.startswith(f"{path} line 3 column 1: ")
    assert "`assay evaluate`" in said and "docs/evaluate.md" in said
