"""`assay train-lm`: a folder for each run that every other verb reads, a training that goes on
after Ctrl-C, and bad input in one line."""

from __future__ import annotations

import csv
import json
import math
import os
from pathlib import Path

import pytest
import torch

from assay.cli.main import main
from assay.data.checkpoint import Alone
from assay.data.lm import LmSpec
from assay.subjects.pretrained import load
from assay.verbs.train_lm import Design, Training, make_specs, train_lm

LINES = "".join(
    f"def f{i}(a, b):\n    return a * {i} + b  # the sum of {i} terms\n\n" for i in range(30)
)
SMALL = [
    "--d",
    "16",
    "--heads",
    "2",
    "--m",
    "24",
    "--context",
    "32",
    "--vocab",
    "300",
    "--batch",
    "8",
    "--steps",
    "20",
    "--warm",
    "5",
]
LLAMA = ["--norm", "rms", "--positions", "rotary", "--gated"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_ROOT", str(tmp_path / "store"))
    (tmp_path / "text").mkdir()
    for i in range(30):
        (tmp_path / f"text/part-{i:02}.py").write_text(LINES.replace("sum", f"sum of {i}"))


def run(capsys, *words: str, code: int = 0) -> tuple[str, str]:
    """What the command prints, with small sizes where the words say nothing else."""
    capsys.readouterr()
    usual = ["--text", "text", *SMALL]
    pairs = [
        word
        for name, value in zip(usual[::2], usual[1::2], strict=True)
        if name not in words
        for word in (name, value)
    ]
    ended = main(["train-lm", *pairs, *words])
    out, err = capsys.readouterr()
    assert ended == code, err
    return out, err


def test_options_begin_where_the_spec_does():
    (spec,) = make_specs(Design(), Training())
    assert spec == LmSpec()
    assert make_specs(Design(gated=True), Training())[0].activation == "silu"
    assert [(s.lr, s.seed) for s in make_specs(Design(), Training(seed=(1, 0), lr=(0.1, 0.2)))] == [
        (0.1, 0),
        (0.1, 1),
        (0.2, 0),
        (0.2, 1),
    ]


@pytest.mark.parametrize("kind", [[], [*LLAMA, "--tied"]], ids=["gpt2", "llama"])
def test_each_run_is_a_model_folder_and_the_table_tells_its_losses(capsys, kind):
    out, _ = run(
        capsys,
        "--out",
        "lms",
        "--seed",
        "1",
        "--seed",
        "2",
        "--decay",
        "0",
        "--decay",
        "0.5",
        *kind,
    )
    names = {"seed-1-decay-0", "seed-2-decay-0", "seed-1-decay-0.5", "seed-2-decay-0.5"}
    assert {p.name for p in Path("lms").iterdir()} == names | {"curves.csv", "training.json"}
    assert all(f"lms/{name}" in out for name in names)
    found = json.loads(
        run(
            capsys,
            "--out",
            "lms",
            "--seed",
            "1",
            "--seed",
            "2",
            "--decay",
            "0",
            "--decay",
            "0.5",
            *kind,
            "--json",
        )[0]
    )
    assert found["found"] and found["windows"] > 0
    for told in found["runs"]:
        model = load(told["folder"])
        assert told["parameters"] == sum(p.numel() for p in model.model.parameters())
        assert (
            told["curve"][0]["loss"] == pytest.approx(math.log(300), abs=0.1)
            and told["held_out"] < math.log(300) - 0.2
        )
        assert [row["step"] for row in told["curve"]] == [1, 4, 16, 20] and told["curve"][-1][
            "tokens"
        ] == 20 * 8 * 32
        about = json.loads(Path(told["folder"], "assay.json").read_text())
        assert about["held_out"] == told["held_out"] and about["evaluations"] == told["curve"]
    rows = [*csv.DictReader(Path("lms/curves.csv").read_text().splitlines())]
    assert len(rows) == 16 and {row["decay"] for row in rows} == {"0.0", "0.5"}


def test_other_verbs_read_what_it_writes(capsys, tmp_path):
    from assay.dictionaries import Dictionary, ReLU

    run(capsys, "--out", "lms", "--checkpoints", *LLAMA)
    assert [p.name for p in sorted(Path("lms/seed-0/checkpoints").iterdir())] == [
        f"step-{n:06}" for n in (1, 4, 16, 20)
    ]
    first, last = (
        load(f"lms/seed-0/{place}")
        for place in ("checkpoints/step-000001", "checkpoints/step-000020")
    )
    whole = load("lms/seed-0")
    tokens = torch.tensor([whole.encode(LINES)[:32]])
    assert (
        torch.equal(last.losses(tokens), whole.losses(tokens))
        and first.losses(tokens).mean() > whole.losses(tokens).mean()
    )
    W = torch.nn.functional.normalize(
        torch.randn(1, 24, 16, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    Dictionary(
        W.mT.contiguous(),
        torch.zeros(1, 24),
        W,
        torch.zeros(1, 16),
        ReLU(),
        sites=("blocks.0.hook_resid_post",),
    ).save("d.safetensors")
    common = ["--model", "lms/seed-0", "--json"]
    reading = ["--text", "text", "--tokens", "512", "--context", "16"]
    assert main(["evaluate", "d.safetensors", *common, *reading, "--ablation-tokens", "256"]) == 0
    assert main(["look", "def f1(a, b): return a", "--dictionary", "d.safetensors", *common]) == 0
    assert main(["index", "d.safetensors", *common, *reading, "--ablate", "2"]) == 0
    capsys.readouterr()


def test_a_training_goes_on_after_ctrl_c_to_the_same_weights(capsys, monkeypatch):
    whole = ["--out", "whole", "--seed", "0", "--seed", "1"]
    run(capsys, *whole)
    monkeypatch.setattr(Alone, "due", lambda self: True)
    steps = []

    def interrupted(done: int, total: int) -> None:
        steps.append(done)
        if len(steps) == 9:
            raise KeyboardInterrupt

    sizes = (
        Design(d=16, heads=2, m=24, context=32, vocab=300, text="text"),
        Training(steps=20, batch=8, warm=5, seed=(0, 1)),
    )
    for _ in range(2):
        try:
            found = train_lm(
                Path("broken"), *sizes, root=Path(os.environ["ASSAY_ROOT"]), progress=interrupted
            )
        except KeyboardInterrupt:
            assert not Path("broken/seed-0").exists()
    assert steps == [*range(1, 10), *range(9, 21)] and not found.found
    for seed in (0, 1):
        files = [
            Path(place, f"seed-{seed}/model.safetensors").read_bytes()
            for place in ("whole", "broken")
        ]
        assert files[0] == files[1]
    assert not Path("broken/training.safetensors").exists()


def test_text_that_is_too_small_to_hold_any_out_is_said(capsys, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    (few / "part-02.py").write_text(LINES * 3)
    out, _ = run(capsys, "--out", "lms", "--text", "few")
    assert "too small to hold any text out" in " ".join(out.split())
    assert (
        json.loads(run(capsys, "--out", "lms", "--text", "few", "--json")[0])["runs"][0]["held_out"]
        is None
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--norm", "rms"],
            "no model folder can hold a decoder with norm=rms, positions=learned, gated=false",
        ),
        (["--d", "18", "--heads", "4"], "d must be a multiple of heads"),
        (["--vocab", "100"], "vocab must be at least 257"),
        (["--lr", "0"], "lr must be"),
        (["--ratio", "1"], "above 1, got 1"),
        (["--batch", "100000"], "a batch of 100000 windows is more than"),
        (["--text", "nowhere"], "no corpus 'nowhere'"),
        (["--device", "cuda:9"], "--device cuda:9 is not here"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_bad_input_is_one_line_and_leaves_nothing(capsys, words, told):
    out, err = run(capsys, "--out", "lms", *words, code=2)
    assert told in err and err.count("\n") == 1 and not out
    assert not Path("lms").exists()


def test_a_folder_with_something_else_in_it_is_refused(capsys):
    Path("full").mkdir()
    Path("full/mine.txt").write_text("x")
    assert "full is not empty, and holds no training" in run(capsys, "--out", "full", code=2)[1]
    run(capsys, "--out", "lms")
    before = Path("lms/seed-0/model.safetensors").read_bytes()
    assert "lms holds another training" in run(capsys, "--out", "lms", "--lr", "1e-4", code=2)[1]
    assert Path("lms/seed-0/model.safetensors").read_bytes() == before


def test_a_run_that_diverged_has_no_folder(capsys):
    out, _ = run(capsys, "--out", "lms", "--lr", "1e-3", "--lr", "1e30")
    assert Path("lms/seed-0-lr-0.001").exists() and not Path("lms/seed-0-lr-1e+30").exists()
    assert "diverged: lower the learning rate" in " ".join(out.split())
