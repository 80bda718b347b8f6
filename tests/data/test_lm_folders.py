"""Small language models as folders: `load` reads them, a training resumes to the same weights, and
another one is refused."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from assay.core.errors import SpecError
from assay.core.spec import grid
from assay.data.checkpoint import Alone
from assay.data.lm import LmSpec, train_folders
from assay.subjects.pretrained import load

EXAMPLE = Path(__file__).parents[2] / "examples/small_model.py"
LINES = "".join(
    f"def f{i}(a, b):\n    return a * {i} + b  # the sum of {i} terms\n\n" for i in range(30)
)
LLAMA = {"norm": "rms", "positions": "rotary", "gated": True, "activation": "silu", "tied": True}


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text").mkdir()
    for i in range(30):
        Path(f"text/part-{i:02}.py").write_text(LINES.replace("sum", f"sum of {i}"))
    size = {"d": 16, "heads": 2, "m": 24, "context": 32, "vocab": 300}
    return LmSpec(corpus="text", steps=20, batch=8, warm=5, **size)


@pytest.mark.parametrize("kind", [{}, LLAMA], ids=["gpt2", "llama"])
def test_each_run_is_a_model_folder_that_tells_its_losses(small, kind):
    specs = grid(small.replace(**kind), seed=(1, 2), decay=(0.0, 0.5))
    folders = train_folders(specs, Path("lms"))
    assert sorted(folder.name for folder in folders) == [
        "seed-1-decay-0",
        "seed-1-decay-0.5",
        "seed-2-decay-0",
        "seed-2-decay-0.5",
    ]
    assert {path.name for path in Path("lms").iterdir()} == {
        *(folder.name for folder in folders),
        "text",
        "training.json",
    }
    for folder in folders:
        about = json.loads((folder / "assay.json").read_text())
        assert [row["step"] for row in about["evaluations"]] == [1, 4, 16, 20]
        assert about["evaluations"][0]["loss"] == pytest.approx(math.log(300), abs=0.1)
        assert about["held_out"] < math.log(300) - 0.2
        model = load(str(folder))
        tokens = torch.tensor([model.encode(LINES)[:32]])
        assert float(model.losses(tokens).mean()) < math.log(300)


def test_a_training_that_was_stopped_resumes_to_the_same_weights(small, monkeypatch):
    specs, steps = grid(small, seed=(0, 1)), []
    train_folders(specs, Path("whole"))
    monkeypatch.setattr(Alone, "due", lambda self: True)

    def interrupted(done, total):
        steps.append(done)
        if len(steps) == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_folders(specs, Path("broken"), progress=interrupted)
    assert not Path("broken/seed-0").exists()
    folders = train_folders(specs, Path("broken"), progress=interrupted)
    assert steps == [*range(1, 10), *range(9, 21)]
    for folder in folders:
        file = folder / "model.safetensors"
        assert file.read_bytes() == (Path("whole") / folder.name / file.name).read_bytes()
    assert not Path("broken/training.safetensors").exists()
    assert train_folders(specs, Path("broken"), progress=interrupted) == folders
    assert len(steps) == 21, "what is done is not trained again"


def test_a_folder_with_something_else_in_it_is_refused(small):
    Path("full").mkdir()
    Path("full/mine.txt").write_text("x")
    with pytest.raises(SpecError, match="full has another training run or other files"):
        train_folders([small], Path("full"))
    train_folders([small], Path("lms"))
    with pytest.raises(SpecError, match="lms has another training run"):
        train_folders([small.replace(lr=1e-4)], Path("lms"))


def test_what_cannot_be_trained_is_refused(small):
    with pytest.raises(SpecError, match="no model folder can hold a decoder with norm=rms"):
        train_folders([small.replace(norm="rms")], Path("lms"))
    assert not Path("lms").exists()
    with pytest.raises(SpecError, match="a batch of 100000 windows is more than"):
        train_folders([small.replace(batch=100_000)], Path("lms"))
    assert len(train_folders([small], Path("lms"))) == 1, "the text alone is no other training"


def test_a_run_that_diverged_has_no_folder(small):
    folders = train_folders(grid(small, lr=(1e-3, 1e30)), Path("lms"))
    assert [folder.name for folder in folders] == ["seed-0-lr-0.001"]
    assert not Path("lms/seed-0-lr-1e+30").exists()


def test_a_text_that_is_too_small_holds_nothing_out(small):
    Path("few").mkdir()
    Path("few/part-02.py").write_text(LINES * 3)
    (folder,) = train_folders([small.replace(corpus="few")], Path("lms"))
    assert json.loads((folder / "assay.json").read_text())["held_out"] is None


@pytest.mark.thorough
def test_the_example_runs(small):
    words = [sys.executable, str(EXAMPLE), "out", "text", "--steps", "3", "--seeds", "2"]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.returncode == 0
    assert "out/seed-1: " in ran.stdout
    assert "held out" in ran.stdout
    load("out/seed-1")
    other = subprocess.run([*words, "--llama"], capture_output=True, text=True)
    assert other.returncode == 2 and len(other.stderr.splitlines()) == 1
