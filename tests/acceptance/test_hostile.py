"""Files that somebody else wrote, and command lines that nobody meant: an answer or one line,
nothing written, nothing that hangs.

A short form runs always; `pytest -m slow tests/acceptance` tries 5,000.
"""

import contextlib
import io
import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny_models
from assay.cli.main import main
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from damage import harm, limited

DATA = Path(__file__).parents[1] / "fixtures" / "formats"
ROWS = (
    f"{arm},{seed},{0.2 + 0.01 * seed + 0.1 * (arm == 'relu')}"
    for arm in ("gated", "relu", "none")
    for seed in range(8)
)
TABLE = "\n".join(["arm,seed,fvu", *ROWS])
CLAIM = ("--claim", "gated.fvu - relu.fvu < -0.02", "--about", "gated")
CLAIM += ("--unit", "seed", "--control", "none")
ODD = (
    None,
    True,
    False,
    -1,
    0,
    1,
    3,
    7,
    1.5,
    1e308,
    2**31,
    2**63,
    10**9,
    10**30,
    float("nan"),
    "",
    "3",
    "x" * 5_000,
    [],
    [1],
    {},
    {"a": 1},
    "eager",
    "gelu",
    "relu",
    "\x1b[31m",
    "/dev/zero",
    "kernels/attention",
    "float64",
    [[]],
    "../..",
)
WORDS = (
    "list",
    "plan",
    "run",
    "show",
    "verify",
    "judge",
    "report",
    "export",
    "doctor",
    "--remove",
    "evaluate",
    "--json",
    "--root",
    "s",
    "--preset",
    "smoke",
    "default",
    "--set",
    "seed=0:3",
    "seed=5:1",
    "lr=1e400",
    "steps=-1",
    "=",
    "x=",
    "=x",
    "5m",
    "1e30h",
    "-1m",
    "--claim",
    "a.b < 1",
    "a.b <",
    "((((",
    "--unit",
    "--control",
    "table.csv",
    "nowhere.csv",
    "superposition",
    "walk.py",
    "é.py",
    "..",
    "/nowhere/x",
    "",
    " ",
    "\x1b[2J",
    "[/bold]",
    "--out",
    "--executor",
    "inline",
    "-h",
    "--",
    "-",
    "0",
    "%s",
    "{}",
    "a" * 3_000,
    "--threads",
    "--device",
    "cuda:7",
)


def said(*words):
    """Exit code, standard output and standard error of a command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(words))
        except SystemExit as e:
            code = e.code
    return code, out.getvalue(), err.getvalue()


def wrong(code, err, codes=(0, 2, 3)):
    """What no answer may look like; empty where all is well."""
    if code not in codes or "Traceback" in err:
        return f"exit code {code}: {err[-300:]}"
    # what was assumed is said before the work, so before what stops it
    if code == 2 and sum(not x.startswith("warning: ") for x in err.strip().splitlines()) > 1:
        return f"more than a line: {err[-300:]}"
    return "a terminal's code" if "\x1b" in err else ""


def settings_changed(path, rng):
    """One value of a settings file by one that it never has; what cannot be parsed is harmed in
    another way."""
    try:
        values = json.loads(path.read_text())
        keys = sorted(values)
        value = ODD[int(rng.integers(len(ODD)))]
        values[keys[int(rng.integers(len(keys)))] if rng.random() < 0.9 else "new"] = value
        path.write_text(json.dumps(values))
        return f"settings {value!r}"[:60]
    except (ValueError, TypeError):
        return harm(path, rng)


def imported(tmp_path, seed):
    """What one harmed dictionary of another library led to."""
    rng = np.random.default_rng([12, seed])
    fixtures = sorted(
        {
            p.parent
            for p in DATA.rglob("*")
            if p.suffix in (".json", ".safetensors", ".pt", ".npz") and "expected" not in p.parts
        }
    )
    fixture = fixtures[int(rng.integers(len(fixtures)))]
    here = tmp_path / f"d{seed}"
    shutil.copytree(fixture, here)
    files = sorted(p for p in here.iterdir() if p.is_file())
    victim = files[int(rng.integers(len(files)))]
    how = (
        settings_changed(victim, rng)
        if victim.suffix == ".json" and rng.random() < 0.7
        else harm(victim, rng)
    )
    out = tmp_path / f"o{seed}.safetensors"
    code, _, err = said("export", str(here), "--format", "assay", "--out", str(out))
    found = wrong(code, err) or ("written although refused" if code and out.exists() else "")
    if not code:
        assert out.exists()
        again, _, err = said(
            "export", str(out), "--format", "assay", "--out", str(tmp_path / f"p{seed}.safetensors")
        )
        found = found or wrong(again, err) or ("cannot be read again" if again else "")
    shutil.rmtree(here)
    return f"import {fixture.relative_to(DATA)}/{victim.name}", how, found


def judged(tmp_path, seed):
    """What one harmed table led to."""
    rng = np.random.default_rng([13, seed])
    path = tmp_path / f"t{seed}.csv"
    path.write_text(TABLE)
    how = harm(path, rng)
    code, _, err = said("judge", str(path), *CLAIM)
    return "judge", how, wrong(code, err)


def typed(tmp_path, seed):
    """What one command line that nobody meant led to."""
    rng = np.random.default_rng([14, seed])
    words = [WORDS[int(i)] for i in rng.integers(len(WORDS), size=int(rng.integers(1, 7)))]
    if words[0] in ("run", "evaluate") and "smoke" not in words:
        words[0] = "plan"  # a preset of full size would only be slow
    code, _, err = said(*words)
    return " ".join(words)[:200], "typed", wrong(code, err, codes=(0, 1, 2, 3))


SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 3,
}


def plain_dictionary(path):
    """A dictionary for the second block of the model of `world`."""
    draw = torch.Generator().manual_seed(0)
    W = torch.nn.functional.normalize(torch.randn(1, 40, 32, generator=draw), dim=-1)
    site = ("blocks.1.hook_resid_post",)
    Dictionary(
        0.6 * W.mT, torch.full((1, 40), -0.2), W, torch.zeros(1, 32), ReLU(), sites=site
    ).save(path)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model as a folder, a text, activations, and a dictionary that fits all
    of them."""
    home = tmp_path_factory.mktemp("whole")
    tiny_models.make(home / "model", "llama", bos_token_id=3, **SIZES)
    shutil.copytree(home / "model", home / "shards")
    tensors = load_file(home / "shards/model.safetensors")
    (home / "shards/model.safetensors").unlink()
    files = {
        name: f"model-{1 + i % 2:05d}-of-00002.safetensors"
        for i, name in enumerate(sorted(tensors))
    }
    for file in set(files.values()):
        save_file(
            {n: t for n, t in tensors.items() if files[n] == file},
            home / "shards" / file,
            metadata={"format": "pt"},
        )
    (home / "shards/model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": files})
    )
    tiny_models.write_texts(home / "texts", 4, lambda i: 6)
    plain_dictionary(home / "d.safetensors")
    return home


def made(path, rng):
    """Something that is no file, in the place of a file; what it is."""
    kind = ("pipe", "zeros", "loop", "folder")[int(rng.integers(4))]
    path.unlink()
    {
        "pipe": os.mkfifo,
        "zeros": lambda p: p.symlink_to("/dev/zero"),
        "loop": lambda p: p.symlink_to(p),
        "folder": Path.mkdir,
    }[kind](path)
    return kind


def reheaded(path, rng):
    """The header of a safetensors file with one value that it never has; the tensors stay."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    name = sorted(header)[int(rng.integers(len(header)))]
    odd = ODD[int(rng.integers(len(ODD)))]
    if isinstance(header[name], dict) and "shape" in header[name]:
        key = ("dtype", "shape", "data_offsets", "name")[int(rng.integers(4))]
        kinds = ("F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "F4", "C64")
        if key == "name":
            header[f"{name}.b"] = header.pop(name)
        elif key == "dtype" and rng.random() < 0.7:
            header[name]["dtype"] = kinds[int(rng.integers(len(kinds)))]
        elif key == "shape" and rng.random() < 0.5:
            header[name]["shape"] = header[name]["shape"][::-1]
        else:
            header[name][key] = odd
    else:
        header[name] = odd
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    return "header"


def number(path, rng):
    """One number of a safetensors file by one that no training leaves."""
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    at = start + 4 * int(rng.integers((len(data) - start) // 4))
    data[at : at + 4] = np.float32(
        (np.nan, np.inf, -np.inf, 3e38, -1e30, 1e-45)[int(rng.integers(6))]
    ).tobytes()
    path.write_bytes(bytes(data))
    return "number"


def harmed(path, rng):
    """One harm to one file, of the sort that its kind calls for; its name."""
    chance = rng.random()
    if chance < 0.1:
        return made(path, rng)
    if path.suffix == ".json" and chance < 0.7:
        return settings_changed(path, rng)
    if path.suffix == ".safetensors" and chance < 0.7:
        return reheaded(path, rng) if chance < 0.45 else number(path, rng)
    return harm(path, rng)


def evaluated(tmp_path, seed, world, victims, words):
    """What evaluating on one harmed file led to: an answer, or one line and nothing written."""
    rng = np.random.default_rng([16, seed])
    here = tmp_path / f"e{seed}"
    here.mkdir()
    for name in {Path(v).parts[0] for v in (*victims, "d.safetensors")}:
        (shutil.copytree if (world / name).is_dir() else shutil.copy)(world / name, here / name)
    victim = here / victims[int(rng.integers(len(victims)))]
    how = harmed(victim, rng)
    with contextlib.chdir(here):
        code, _, err = said(
            "evaluate", "d.safetensors", *words, "--root", "store", "--out", "report"
        )
    # what overflows only on these activations is found while measuring, and the windows of the text
    # stay for the next try
    there = [
        here / "report",
        *(here / "store").rglob("result.json"),
        *([] if "not finite on" in err else [here / "store"]),
    ]
    found = wrong(code, err) or (
        f"written although refused: {err}" if code and any(p.exists() for p in there) else ""
    )
    shutil.rmtree(here)
    return f"evaluate {victim.relative_to(here)}", how, found


ON_TEXT = (
    "--text",
    "texts",
    "--tokens",
    "300",
    "--context",
    "16",
    "--ablation-tokens",
    "32",
    "--model",
)


def on_model(tmp_path, seed, world):
    """A model whose folder was harmed."""
    name = "shards" if seed % 3 else "model"
    files = [f"{name}/{p.name}" for p in sorted((world / name).iterdir())]
    return evaluated(
        tmp_path,
        seed,
        world,
        [*files, f"{name}/config.json", f"{name}/config.json"],
        (*ON_TEXT, name),
    )


def on_text(tmp_path, seed, world):
    """A text, or the dictionary, that was harmed."""
    return evaluated(
        tmp_path,
        seed,
        world,
        ["texts/t0.py", "texts/t1.py", "d.safetensors", "d.safetensors"],
        (*ON_TEXT, str(world / "model")),
    )


KINDS = (
    imported,
    imported,
    judged,
    typed,
    on_model,
    imported,
    on_text,
    judged,
    typed,
    on_model,
    imported,
    on_model,
    imported,
    judged,
    typed,
    on_text,
    imported,
    on_model,
    imported,
    on_text,
)
GROWTH = 512 * 2**20
"""Bytes by which memory may grow over a block of cases: what is imported for the first time, and
nothing that a file claims."""


def told(tmp_path, world, seeds, monkeypatch):
    """What went wrong, a line each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text(TABLE)
    shutil.copy(Path(__file__).parents[1] / "lab" / "walk.py", tmp_path / "walk.py")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = []
    for seed in seeds:
        kind = KINDS[seed % len(KINDS)]
        with limited(30):
            found.append(
                (kind(tmp_path, seed, world) if kind in WITH_WORLD else kind(tmp_path, seed), seed)
            )
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    lines = [f"seed {seed}: {what}, {how}: {why}" for (what, how, why), seed in found if why]
    return "\n".join(
        [*lines, *([f"memory grew by {grown / 2**20:.0f} MiB"] if grown > GROWTH else [])]
    )


WITH_WORLD = (on_model, on_text)


@pytest.mark.parametrize(
    "seeds", [range(25), pytest.param(range(25, 120), marks=pytest.mark.thorough)], ids=str
)
def test_hostile_input(tmp_path, world, monkeypatch, seeds):
    assert not (wrong := told(tmp_path, world, seeds, monkeypatch)), wrong


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("block", range(20))
def test_five_thousand_hostile_inputs(tmp_path, world, monkeypatch, block):
    assert not (
        wrong := told(tmp_path, world, range(250 * block + 1000, 250 * block + 1250), monkeypatch)
    ), wrong
