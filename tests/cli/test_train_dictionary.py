"""`assay train-dictionary`: what comes out is what a plain loop over the model gives, also after a
kill; bad input in one line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_models
from assay.cli.main import main
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.data.harvest import HarvestSpec, cut_text, dtype_of, windows_in
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.selection import TopK
from assay.dictionaries.training.losses import mse
from assay.dictionaries.training.train import Method as Trained
from assay.dictionaries.training.train import fit_dictionaries
from assay.lab.store.desk import Desk
from assay.lab.store.store import Store
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay.train import rng

LINES = "".join(f"def f{i}(a, b):\n    return a * {i} + b\n" for i in range(30))
SITE = "blocks.1.hook_resid_post"
SIZES = {"steps": 120, "batch": 64, "width": 32, "seed": 4}
WORDS = ["train-dictionary", "model", SITE, "--text", "text", "--out", "out", "--k", "4"]
WORDS += ["--context", "32", "--tokens", "4096"]
WORDS += [word for name, value in SIZES.items() for word in (f"--{name}", str(value))]


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_ROOT", "store")
    (tmp_path / "text").mkdir()
    for i in range(80):  # enough for the test part to have some
        (tmp_path / f"text/part-{i:02}.py").write_text(LINES.replace("return", f"return {i} *"))
    tiny_models.make(tmp_path / "model", "llama", max_position_embeddings=128)


def wanted():
    """The model run over the text as it comes, rows kept and shuffled by plain loops, one fit."""
    spec = HarvestSpec(subject="model", site=SITE, corpus="text", windows=128, context=32)
    spec = spec.replace(seed=SIZES["seed"])
    desk = Desk(Store(Path("other")), "cpu", lambda *_: None)
    tokens = windows_in(cut_text(spec, desk)[1]).tokens
    model = load("model", "cpu", dtype_of(spec, desk))
    site = Site.parse(SITE)
    passes = torch.from_numpy(tokens.astype(np.int64)).split(64)

    def run(tokens):
        acts = next(iter(model.run(tokens, capture=[site], logits=False).acts.values()))
        return acts.flatten(2).float()

    acts = torch.cat([run(one) for one in passes]).half()
    norms = acts.double().norm(dim=-1)
    kept = norms <= 6 * np.median(norms[:, 1:].numpy().astype(np.float32))
    kept[:, 0] = False
    rows, exact = acts[kept].float(), acts[kept].double()
    mean = exact.mean(0)
    scale = (exact.shape[1] / (exact - mean).square().sum(1).mean()) ** 0.5
    per_epoch = len(rows) // SIZES["batch"]

    def batches(step):
        epoch, i = divmod(step, per_epoch)
        order = rng.permutation(np.array([SIZES["seed"]]), "harvest.batches", epoch, len(rows))[0]
        its = order[i * SIZES["batch"] : (i + 1) * SIZES["batch"]]
        return (rows[its] - mean.float()) * float(scale)

    method = Trained(TopK(4), mse, SIZES["width"], lr=np.array([2e-3]), penalty=np.zeros(1))
    runs = Runs([Spec(seed=SIZES["seed"])])
    length = {"d": rows.shape[1], "steps": SIZES["steps"]}
    return dict(fit_dictionaries([(runs, method)], batches, **length)[0].tensors)


def assert_wanted():
    dictionary, expected = Dictionary.load("out/dictionary.safetensors"), wanted()
    for name in ("W_enc", "W_dec", "b_enc", "b_dec"):
        assert torch.allclose(getattr(dictionary, name), expected[name], rtol=0, atol=1e-6), name
    assert dictionary.sites == (SITE,)
    assert dictionary.origin["trained_on"]["part"] == "train"
    names = {"dictionary.safetensors", "training.json"}
    assert {path.name for path in Path("out").iterdir()} == names


@pytest.mark.thorough
def test_it_is_trained_once_on_a_text_that_is_gone_through_again(world, capsys):
    assert main([*WORDS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["vectors"], found["l0"], found["found"]) == (7680, 4, False)
    assert found["times"] == 7680 / (128 * 31)
    assert_wanted()
    assert main(WORDS) == 0
    assert "trained before" in capsys.readouterr().out
    assert main([*WORDS, "--lr", "0.1"]) == 2
    assert "another training" in capsys.readouterr().err
    evaluate = "evaluate out/dictionary.safetensors --model model --text text --tokens 1024"
    assert main(evaluate.split()) == 0


@pytest.mark.thorough
def test_a_command_that_is_killed_resumes(world):
    """The training resumes from where it was kept."""
    environment = {**os.environ, "ASSAY_CHECKPOINT_SECONDS": "0"}
    command = subprocess.Popen([sys.executable, "-m", "assay", *WORDS], env=environment)
    end = time.monotonic() + 120
    while not Path("out/training.safetensors").exists():
        assert command.poll() is None and time.monotonic() < end
        time.sleep(0.001)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    assert not Path("out/dictionary.safetensors").exists()
    assert main(WORDS) == 0
    assert_wanted()


@pytest.mark.thorough
def test_another_text_under_the_same_name_is_refused(world):
    assert main(WORDS) == 0
    for path in Path("text").iterdir():
        path.write_text(path.read_text().replace("return", "return 2 *"))
    # in a process of its own, as this one has read the text
    again = subprocess.run([sys.executable, "-m", "assay", *WORDS], capture_output=True, text=True)
    assert again.returncode == 2 and "another training run" in again.stderr


def test_bad_input_is_one_line(world, capsys):
    for option, value, words in (
        ("--kind", "TopKK", "there is no kind 'TopKK'"),
        ("--kind", "ReLU", "other kinds take --penalty"),
        ("--text", "nowhere", "no corpus 'nowhere'"),
        ("--context", "129", "reads at most 128 tokens at once, --context asks for 129; use"),
        ("--steps", "0", "steps must be a whole number of at least 1"),
    ):
        words_before = WORDS if option not in WORDS else WORDS[: WORDS.index(option)]
        rest = WORDS[WORDS.index(option) + 2 :] if option in WORDS else []
        assert main([*words_before, *rest, option, value]) == 2
        error = capsys.readouterr().err.strip()
        assert words in error and len(error.splitlines()) == 1, error
        assert not Path("out").exists()
