"""Every way in for a file that somebody else wrote: what never ends or is no file is one line, and
nothing is written."""

import csv
import datetime
import json
import os
import shlex
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

import registration
import tiny_models
from acceptance.test_hostile import CLAIM as TABLE_CLAIM
from acceptance.test_hostile import DATA, plain_dictionary, said
from damage import limited
from forks import typed

CLAIM = shlex.join(TABLE_CLAIM)
TRIED = "evaluate d.safetensors --text texts --model model --root store"
ASKED = "--prompts p.txt --holds 'effect > 3'"
CHECKS = f"""check h.py:f --about "Text('be loud')" {ASKED}"""


def asked(study):
    """The command that runs one of the studies of registration.py."""
    return f"run {study}.toml --root store --executor inline"


DOORS = {
    "a table": ("table.csv", f"judge table.csv {CLAIM}"),
    "weights": ("d.safetensors", "export d.safetensors --format assay --out new.safetensors"),
    "weights to export": ("d.safetensors", "export d.safetensors --out new"),
    "weights to evaluate": ("d.safetensors", TRIED),
    "weights to look at": (
        "d.safetensors",
        "features 'a text' --dictionary d.safetensors --model model --root store",
    ),
    "settings": ("sae/cfg.json", "export sae --format assay --out new.safetensors"),
    "weights beside settings": (
        "sae/sae_weights.safetensors",
        "export sae --format assay --out new.safetensors",
    ),
    "a torch file": ("it.pt", "export it.pt --format assay --out new.safetensors"),
    "an npz file": ("params.npz", "export params.npz --format assay --out new.safetensors"),
    "a model's settings": ("model/config.json", TRIED),
    "a model's other settings": ("model/generation_config.json", TRIED),
    "a model's index": ("model/model.safetensors.index.json", TRIED),
    "a model's origin": ("model/assay.json", TRIED),
    "a model's tokenizer": ("model/tokenizer.json", TRIED),
    "a model's weights": ("model/model.safetensors", TRIED),
    "a text": ("texts/a.txt", TRIED),
    "an experiment": ("walk.py", "plan ./walk.py --root store"),
    "a record": ("records/walk.json", "plan ./walk.py --root store"),
    "a study": ("read.toml", asked("read")),
    "prompts": ("q.csv", asked("read")),
    "prompts as lines": ("q.jsonl", asked("lines")),
    "prompts that are learned from": ("learned.csv", asked("direction")),
    "prompts of a probe": ("learned.csv", asked("probe")),
    "lessons of a model": ("learned.csv", asked("tuned")),
    "texts of a dictionary": ("texts/0.txt", asked("dictionary")),
    "a chat template": ("tiny/chat_template.jinja", asked("chat")),
    "an adapter": ("lora/adapter_model.safetensors", asked("adapter")),
    "an adapter's settings": ("lora/adapter_config.json", asked("adapter")),
    "a base's weights": ("tiny/model.safetensors", asked("adapter")),
    "a base's tokenizer": ("tiny/tokenizer.json", asked("tuned")),
    "a base's settings": ("tiny/config.json", asked("chat")),
    "a dictionary of a study": ("dict.safetensors", asked("feature")),
    "code of a study": ("own.py", asked("borrowed")),
    "a frozen study": ("frozen.prereg.json", "verify frozen.prereg.json"),
    "what was frozen of a study": ("read.prereg.json", asked("read")),
    "a bundle": ("bundle.zip", "verify bundle.zip"),
    "a log": ("samples_x.jsonl", f"judge samples_x.jsonl {CLAIM}"),
    "a log of Inspect": ("log.eval", f"judge log.eval {CLAIM}"),
    "prompts of a check": ("p.txt", CHECKS),
    "a function to check": ("h.py", CHECKS),
    "a vector": ("v.npy", f"""check h.py:f --about "Vector('v.npy')" {ASKED}"""),
    "activations to learn from": (
        "acts.npy",
        f"""check h.py:f --about "Vector.learned('acts.npy', 'labels.npy')" {ASKED}""",
    ),
    "labels to learn from": (
        "labels.npy",
        f"""check h.py:f --about "Vector.learned('acts.npy', 'labels.npy')" {ASKED}""",
    ),
}
"""The file that is another thing, and the command that reads it."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder in which every command of DOORS finds what it needs."""
    home = tmp_path_factory.mktemp("whole")
    sizes = {"hidden_size": 32, "intermediate_size": 64}
    tiny_models.make(home / "model", "llama", bos_token_id=3, **sizes)
    plain_dictionary(home / "d.safetensors")
    shutil.copytree(DATA / "saelens/standard", home / "sae")
    registration.make(home)
    (home / "texts/a.txt").write_text("x = 1\n" * 40)
    shutil.copy(Path(__file__).parents[1] / "lab/walk.py", home / "walk.py")
    (home / "records").mkdir()
    # as many as are not warned of, of which no two share a word
    lines = (f"{i} x,{i} y,{i} z, {i % 7}, {(i + 3) % 7},note {i}" for i in range(24))
    (home / "q.csv").write_text("\n".join(("a,b,c,good,bad,unused", *lines, "")))
    text = (home / "read.toml").read_text()
    rows = csv.DictReader((home / "q.csv").open())
    (home / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (home / "lines.toml").write_text(text.replace("q.csv", "q.jsonl"))
    (home / "p.txt").write_text(
        "\n".join("xx" * n for n in (5, 11, 2, 8, 12, 1, 9, 4, 7, 3, 10, 6))
    )
    (home / "h.py").write_text("f = lambda w, ps: [len(p) * (1 + (w == 'be loud')) for p in ps]\n")
    np.save(home / "acts.npy", np.random.default_rng(0).normal(size=(30, 4)))
    np.save(home / "labels.npy", np.arange(30) % 2)
    return home


KINDS = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "full": lambda path: path.symlink_to("/dev/full"),
    "null": lambda path: path.symlink_to("/dev/null"),
    "loop": lambda path: path.symlink_to(path.name),
    "gone": lambda path: path.symlink_to("nowhere"),
    "folder": Path.mkdir,
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    "hole": lambda path: path.open("w").truncate(2**42),
}
"""What is in a file's place: some never end, others are no file, or one of four terabytes of
nothing."""
ENDLESS = ("a table", "weights", "a text")
"""Where a device without an end is tried as well as a pipe; core refuses both in one place."""
TRIES = [(door, "pipe") for door in [*DOORS][:21]] + [(door, "device") for door in ENDLESS]
EVERY = [(door, kind) for door in DOORS for kind in KINDS]
OF_DAY = registration.of_day(EVERY, datetime.date.today().toordinal(), 3)
OPTIONAL = ("a model's other settings", "a model's index", "a model's origin", "a record", "a text")
OPTIONAL += ("texts of a dictionary", "what was frozen of a study")
"""Where no file, a link to none, or a folder is as good: what is not there is not read."""


@pytest.mark.parametrize(("door", "kind"), [*dict.fromkeys(TRIES + OF_DAY)])
def test_what_never_ends_is_one_line_at_every_door(whole, tmp_path, monkeypatch, door, kind):
    assert not (wrong := tried(whole, tmp_path / "h", monkeypatch, door, kind)), wrong


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("door", DOORS)
def test_no_door_takes_what_is_no_file(whole, tmp_path, monkeypatch, door):
    found = {kind: tried(whole, tmp_path / kind, monkeypatch, door, kind) for kind in KINDS}
    assert not (wrong := {kind: why for kind, why in found.items() if why}), wrong


def tried(whole, here, monkeypatch, door, kind):
    """What was wrong with how a command ended that was to read what is no file; "" where nothing
    was."""
    place, words = DOORS[door]
    shutil.copytree(whole, here)
    monkeypatch.chdir(here)
    Path(place).unlink(missing_ok=True)
    KINDS[kind](Path(place))
    before = files(here)
    with limited(20):
        code, _, err = said(*typed(words))
    if code == 0 and door in OPTIONAL and kind in ("gone", "loop", "folder"):
        return ""
    if code != 2 or len(err.splitlines()) != 1 or "Traceback" in err:
        return f"exit code {code}: {err[-300:]}"
    new = [str(p.relative_to(here)) for p in files(here) if p not in before]
    return f"it wrote {', '.join(new[:5])}" if new else ""


def files(folder):
    """Everything in a folder but the bytecode that Python writes beside an experiment's file."""
    return sorted(p for p in folder.rglob("*") if "__pycache__" not in p.parts)
