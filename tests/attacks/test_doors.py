"""Every way in for a file that somebody else wrote: what is no file, or holds too much, is one line
that says how to raise the limit."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_hostile import CLAIM, DATA, TABLE, limited, plain_dictionary, said

import tiny_models

TRIED = ("evaluate", "d.safetensors", "--text", "texts", "--model", "model", "--root", "store")
DOORS = {
    "a table": ("table.csv", ("judge", "table.csv", *CLAIM)),
    "events": ("events.csv", ("due", "events.csv")),
    "weights": ("d.safetensors", ("import", "d.safetensors", "--out", "new.safetensors")),
    "weights to export": ("d.safetensors", ("export", "d.safetensors", "--out", "new")),
    "weights to evaluate": ("d.safetensors", TRIED),
    "weights to look at": (
        "d.safetensors",
        ("look", "a text", "--dictionary", "d.safetensors", "--model", "model", "--root", "store"),
    ),
    "settings": ("sae/cfg.json", ("import", "sae", "--out", "new.safetensors")),
    "weights beside settings": (
        "sae/sae_weights.safetensors",
        ("import", "sae", "--out", "new.safetensors"),
    ),
    "a torch file": ("it.pt", ("import", "it.pt", "--out", "new.safetensors")),
    "an npz file": ("params.npz", ("import", "params.npz", "--out", "new.safetensors")),
    "activations": (
        "acts.safetensors",
        ("evaluate", "d.safetensors", "--acts", "acts.safetensors", "--root", "store"),
    ),
    "activations to try": (
        "acts.safetensors",
        ("import", "d.safetensors", "--acts", "acts.safetensors", "--out", "new.safetensors"),
    ),
    "a model's settings": ("model/config.json", TRIED),
    "a model's other settings": ("model/generation_config.json", TRIED),
    "a model's index": ("model/model.safetensors.index.json", TRIED),
    "a model's origin": ("model/assay.json", TRIED),
    "a model's tokenizer": ("model/tokenizer.json", TRIED),
    "a model's weights": ("model/model.safetensors", TRIED),
    "a text": ("texts/a.txt", TRIED),
    "an experiment": ("walk.py", ("plan", "./walk.py", "--root", "store")),
    "a record": ("records/walk.json", ("plan", "./walk.py", "--root", "store")),
}
"""The file that is another thing, and the command that reads it."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder in which every command of DOORS finds what it needs."""
    home = tmp_path_factory.mktemp("whole")
    sizes = {"hidden_size": 32, "intermediate_size": 64}
    tiny_models.make(home / "model", "llama", bos_token_id=3, **sizes)
    plain_dictionary(home / "d.safetensors")
    save_file({"acts": torch.randn(300, 32)}, home / "acts.safetensors")
    shutil.copytree(DATA / "saelens/standard", home / "sae")
    (home / "texts").mkdir()
    (home / "texts/a.txt").write_text("x = 1\n" * 40)
    shutil.copy(Path(__file__).parents[1] / "lab/walk.py", home / "walk.py")
    (home / "records").mkdir()
    return home


ENDLESS = ("a table", "weights", "a text")
"""Where a device without an end is tried as well as a pipe; core refuses both in one place."""
TRIES = [(door, "pipe") for door in DOORS] + [(door, "device") for door in ENDLESS]


@pytest.mark.parametrize(("door", "kind"), TRIES)
def test_what_never_ends_is_one_line_at_every_door(whole, tmp_path, monkeypatch, door, kind):
    place, words = DOORS[door]
    here = tmp_path / "h"
    shutil.copytree(whole, here)
    monkeypatch.chdir(here)
    Path(place).unlink(missing_ok=True)
    os.mkfifo(place) if kind == "pipe" else Path(place).symlink_to("/dev/zero")
    before = files(here)
    with limited(20):
        code, _, err = said(*words)
    assert code == 2 and len(err.splitlines()) == 1 and "Traceback" not in err, (code, err)
    assert files(here) == before, "something was written"


def files(folder):
    """Everything in a folder but the bytecode that Python writes beside an experiment's file."""
    return sorted(p for p in folder.rglob("*") if "__pycache__" not in p.parts)


def test_a_table_over_a_limit_is_refused_with_the_flag_named_and_read_with_it(tmp_path):
    header, *rows = TABLE.splitlines()
    lines = [
        header + "".join(f",c{i}" for i in range(1_000)),
        *(row + ",0" * 1_000 for row in rows),
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    code, _, err = said("judge", str(tmp_path / "t.csv"), *CLAIM)
    assert (
        code == 2
        and "has 1,003 columns; at most 1,000 are read: --limits 2 or ASSAY_LIMITS=2 raises that"
        in err
    )
    assert said("judge", str(tmp_path / "t.csv"), *CLAIM, "--limits", "2")[0] == 0


def test_units_that_cross_to_more_than_a_machine_holds_are_refused(tmp_path):
    rows = [f"{arm},{i},{i},0.1" for arm in ("gated", "relu", "none") for i in range(4_000)]
    (tmp_path / "t.csv").write_text("\n".join(["arm,seed,doc,fvu", *rows]))
    code, _, err = said("judge", str(tmp_path / "t.csv"), *CLAIM, "--unit", "doc")
    assert (
        code == 2
        and "has 16,000,000 combinations of seed and doc; at most 10,000,000 are read: --limits 2"
        in err
    )


def test_what_a_model_claims_over_a_limit_is_refused_and_then_held_against_its_weights(
    whole, tmp_path, monkeypatch
):
    here = tmp_path / "h"
    shutil.copytree(whole, here)
    monkeypatch.chdir(here)
    config = Path("model/config.json").read_text()
    Path("model/config.json").write_text(
        config.replace('"num_hidden_layers": 3', '"num_hidden_layers": 1001')
    )
    code, _, err = said(*TRIED)
    assert (
        code == 2
        and (
            "config.json has 1,001 num_hidden_layers; at most 1,000 are read: --limits 2 or "
            "ASSAY_LIMITS=2"
        )
        in err
    )
    code, _, err = said(*TRIED, "--limits", "2")
    assert (
        code == 2
        and "the weights in model lack layers.3.mlp.down_proj.weight, which its config.json claims"
        in err
    )


@pytest.mark.parametrize("times", ["0", "-3", "1.5", "many"])
def test_a_number_of_limits_that_is_none_is_one_line(tmp_path, times):
    code, _, err = said("due", str(tmp_path / "none.csv"), "--limits", times)
    assert code == 2 and len(err.splitlines()) == 1 and "imits" in err
