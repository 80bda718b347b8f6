"""`assay train-dictionary MODEL --showcase`: a dictionary that is opened by its name, a training
that resumes after Ctrl-C with the same weights, and bad input in one line."""

import pytest
import torch

import assay
import tiny_models
from assay.cli.main import main
from assay.dictionaries.training import showcase
from assay.evaluation.sources import find
from assay.lab.store.store import Store

LINES = "".join(f"def f{i}(a, b):\n    return a * {i} + b\n" for i in range(30))


@pytest.fixture(autouse=True)
def spec(tmp_path, monkeypatch):
    """The recipe of "small", a model with random weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_ROOT", "store")
    (tmp_path / "text").mkdir()
    for i in range(30):
        (tmp_path / f"text/part-{i:02}.py").write_text(LINES.replace("return", f"return {i} *"))
    small = showcase.ShowcaseSpec(
        subject=str(tiny_models.make(tmp_path / "model", "llama", max_position_embeddings=128)),
        corpus=str(tmp_path / "text"),
        layer=1,
        windows=4,
        width=32,
        k=4,
        batch=64,
        steps=12,
    )
    monkeypatch.setattr(showcase, "RECIPES", {"small": small})
    return small


def run(capsys, *words):
    capsys.readouterr()
    code = main(list(words))
    return (code, *capsys.readouterr())


def test_it_is_trained_once_and_opened_by_its_name(capsys):
    code, out, _ = run(capsys, "train-dictionary", "small", "--showcase")
    assert code == 0 and "assay serve showcase/small" in out and "before" not in out
    code, out, _ = run(capsys, "train-dictionary", "small", "--showcase")
    assert code == 0 and "trained before" in out

    one = assay.load("showcase/small", root="store")
    (source,) = find(["showcase/small"], Store("store"))
    assert source.name == "showcase/small"
    assert torch.equal(source.dictionary.W_dec, one.W_dec)
    assert one.sites == ("blocks.1.hook_resid_pre",) and one.W_dec.shape[1] == 32
    x = torch.randn(50, one.W_enc.shape[1], generator=torch.Generator().manual_seed(0))
    assert ((one.encode(x) > 0).sum(1) <= 4).all()
    assert one.origin["trained_on"]["part"] == "train"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train-dictionary", "small"), "needs a site"),
        (("train-dictionary", "small", "--showcase", "--k", "9"), "leave the others out"),
        (("train-dictionary", "smal", "--showcase"), "no showcase of 'smal'; did you mean small"),
        (
            ("evaluate", "showcase/small", "--model", "small", "--text", "docs"),
            "to train it: assay train-dictionary small --showcase",
        ),
    ],
)
def test_what_is_not_there_is_said_in_one_line(capsys, words, said):
    code, out, err = run(capsys, *words)
    assert code == 2 and not out and said in " ".join(err.split())
