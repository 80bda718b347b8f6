"""`assay train-dictionary`: a model is harvested while its dictionary trains; what comes out is
what one process makes of a plain loop over the model, also after a kill; bad input in one line."""

from __future__ import annotations

import json
import os
import re
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
from assay.core import rng
from assay.data.harvest import HarvestSpec, cut_text, dtype_of, windows_in
from assay.data.shards import ShardReader, Shards
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.selection import TopK
from assay.dictionaries.sharded.part import Part
from assay.dictionaries.sharded.ranks import Ranks
from assay.dictionaries.sharded.training import fit_sharded
from assay.dictionaries.training.losses import mse
from assay.dictionaries.training.train import Method as Trained
from assay.lab.store.store import Store
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay.verbs import train_dictionary
from assay.verbs.train_dictionary import PIECES, Method, Reading, sizes_of
from assay.verbs.train_lm import Desk

LINES = "".join(f"def f{i}(a, b):\n    return a * {i} + b\n" for i in range(30))
SITE = "blocks.1.hook_resid_post"
SIZES = {"steps": 120, "batch": 64, "width": 32, "seed": 4}
WORDS = ["train-dictionary", "model", SITE, "--text", "text", "--out", "out", "--k", "4"]
WORDS += ["--context", "32", "--tokens", "4096", "--buffer", "512"]
WORDS += [word for name, value in SIZES.items() for word in (f"--{name}", str(value))]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_ROOT", "store")
    (tmp_path / "text").mkdir()
    for i in range(80):  # enough for the test part to have some
        (tmp_path / f"text/part-{i:02}.py").write_text(LINES.replace("return", f"return {i} *"))
    tiny_models.make(tmp_path / "model", "llama", max_position_embeddings=128)


def wanted() -> dict[str, torch.Tensor]:
    """The model run over the text as it comes, rows kept and shuffled by plain loops, one fit."""
    spec = HarvestSpec(subject="model", site=SITE, corpus="text", windows=128, context=32)
    spec = spec.replace(seed=SIZES["seed"])
    desk = Desk(Store(Path("other")), "cpu", lambda *_: None)
    tokens = windows_in(cut_text(spec, desk)[1]).tokens
    model = load("model", "cpu", dtype_of(spec, desk))  # type: ignore[arg-type]
    site = Site.parse(SITE)
    passes = torch.from_numpy(tokens.astype(np.int64)).split(64)

    def run(tokens: torch.Tensor) -> torch.Tensor:
        acts = next(iter(model.run(tokens, capture=[site], logits=False).acts.values()))
        return acts.flatten(2).float()

    acts = [run(one) for one in passes]
    norms = torch.cat([x[:, 1:].double().norm(dim=-1).flatten() for x in acts[:16]])
    limit = 6 * float(np.median(norms.numpy()))
    blocks = [x[:, 1:][x[:, 1:].double().norm(dim=-1) <= limit].half() for x in acts]
    first = torch.cat(blocks[:16]).double()
    mean = first.mean(0)
    scale = (first.shape[1] / (first - mean).square().sum(1).mean()) ** 0.5
    total, rows, again = SIZES["steps"] * SIZES["batch"], [*blocks], 0
    while sum(map(len, rows)) < total:
        again += 1
        seeds = np.array([SIZES["seed"]])
        rows += [blocks[i] for i in rng.permutation(seeds, "stream.pass", again, len(blocks))[0]]
    stream, order = torch.cat(rows)[:total], []
    for window, start in enumerate(range(0, total, 512)):
        count = min(512, total - start)
        drawn = rng.permutation(np.array([SIZES["seed"]]), "shards.rows", window, count)[0]
        order += (start + drawn).tolist()

    def batches(step: int) -> torch.Tensor:
        its = order[step * SIZES["batch"] : (step + 1) * SIZES["batch"]]
        return (stream[its].float() - mean.float()) * float(scale)

    method = Trained(TopK(4), mse, SIZES["width"], lr=np.array([2e-3]), penalty=np.zeros(1))
    part = Part(Ranks.alone(), SIZES["width"])
    length = {"d": stream.shape[1], "steps": SIZES["steps"]}
    return dict(fit_sharded(part, method, batches, seed=SIZES["seed"], **length).tensors)


def assert_wanted() -> None:
    dictionary, expected = Dictionary.load("out/dictionary.safetensors"), wanted()
    expected["W_enc"] = expected["W_enc"].mT
    for name in ("W_enc", "W_dec", "b_enc", "b_dec"):
        assert torch.allclose(getattr(dictionary, name), expected[name], rtol=0, atol=1e-6), name
    assert dictionary.sites == (SITE,) and dictionary.origin["trained_on"]["part"] == "train"
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "dictionary.safetensors",
        "measured.json",
        "training.json",
    ]


@pytest.mark.thorough
def test_it_is_trained_once_on_a_text_that_is_gone_through_again(
    world: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_dictionary, "TELLS", 0.0)
    assert main([*WORDS, "--json"]) == 0
    printed = capsys.readouterr()
    assert "the first step comes after" in printed.err, "a harvest is silent"
    assert re.search(r"[\d,]+ of about [\d,]+ tokens read before the first step", printed.err)
    found = json.loads(printed.out)
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
def test_a_command_that_is_killed_resumes(world: None) -> None:
    """With all that it had started; the training goes on from where it was kept."""
    command = subprocess.Popen([sys.executable, "-m", "assay", *WORDS])
    end = time.monotonic() + 120
    while not list(Path("out").glob("step-*/manifest.json")):
        assert command.poll() is None and time.monotonic() < end
        time.sleep(0.001)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    assert not Path("out/dictionary.safetensors").exists()
    assert main(WORDS) == 0
    assert_wanted()


@pytest.mark.parametrize("steps", [1, 33, 2000, 2001])
@pytest.mark.parametrize("buffer", [100, 2**14, 2**18])
@pytest.mark.parametrize("batch", [2, 512, 4096])
def test_the_disk_holds_what_is_read_again_in_the_end(steps: int, buffer: int, batch: int) -> None:
    sizes = sizes_of(Method(steps=steps, batch=batch), Reading(buffer=buffer, ahead=1))
    lengths = [sizes["rows"]] * sizes["shards"]
    shards = Shards(4, lengths, lambda i, out: None, in_order=True, most=sizes["most"])
    ShardReader(shards, batch, window=sizes["window"]).check(steps, 32)
    assert sum(lengths) < steps * batch + sizes["rows"]


def test_the_disk_holds_three_buffers_at_the_usual_sizes() -> None:
    sizes = sizes_of(Method(steps=10_000, batch=4096), Reading())
    assert sizes == {"rows": 2**16, "shards": 625, "window": PIECES, "most": 3 * PIECES}


def test_bad_input_is_one_line(world: None, capsys: pytest.CaptureFixture[str]) -> None:
    for option, value, words in (
        ("--kind", "TopKK", "there is no kind 'TopKK'"),
        ("--kind", "ReLU", "other kinds take --penalty"),
        ("--buffer", "0", "--buffer, --ahead and --ranks"),
        ("--text", "nowhere", "no corpus 'nowhere'"),
        ("--steps", "0", "steps must be a whole number from 1 up"),
    ):
        words_before = WORDS if option not in WORDS else WORDS[: WORDS.index(option)]
        rest = WORDS[WORDS.index(option) + 2 :] if option in WORDS else []
        assert main([*words_before, *rest, option, value]) == 2
        error = capsys.readouterr().err.strip()
        assert words in error and len(error.splitlines()) == 1, error
        assert not Path("out").exists()
