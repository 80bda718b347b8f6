"""Files damaged at random: every one is read, or refused by one line; nothing else ever comes
out."""

import json
import random
import shutil
from pathlib import Path

import pytest

from assay.core.errors import DataError
from assay.dictionaries.formats import load

ROOT = Path(__file__).parents[1] / "fixtures/formats"
PEERS = sorted(p.name for p in ROOT.iterdir() if p.is_dir() and p.name not in ("expected", "make"))
WEIGHTS = [
    p
    for peer in PEERS
    for p in sorted((ROOT / peer).rglob("*"))
    if p.suffix in (".safetensors", ".pt", ".pth", ".npz")
]
SETTINGS = (
    "saelens/checkpoint_batchtopk_scaled/cfg.json",
    "saelens/old_topk/cfg.json",
    "sparsify/groupmax/layers.3/cfg.json",
    "dictionary_learning/batchtopk/config.json",
    "llama_scope/residual/Llama3_1-8B-Base-L3R-8x/hyperparams.json",
    "llama_scope/distilled/800M-Slimpajama-0-OpenR1-Math-220k/L3R/config.json",
)
ODD = (None, [], {}, "x", -1, 0, True, float("inf"), float("nan"), 3.5, 10**30, [1], {"a": 1})


def one_line_or_read(path):
    try:
        load(path)
    except DataError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
        return False
    return True


def test_bytes_changed_or_cut_off(tmp_path):
    chance, read = random.Random(0), []
    for file in WEIGHTS:
        folder = tmp_path / "it"
        shutil.copytree(file.parent, folder)
        data = file.read_bytes()
        for _ in range(5):
            new = bytearray(data)
            if chance.random() < 0.2:
                del new[chance.randrange(len(new)) :]
            else:
                where = (
                    len(new) if chance.random() < 0.3 else min(len(new), 1500)
                )  # headers and opcodes lie in front
                for _ in range(chance.choice((1, 1, 2, 5))):
                    new[chance.randrange(where)] = chance.randrange(256)
            (folder / file.name).write_bytes(new)
            read.append(one_line_or_read(folder / file.name))
        shutil.rmtree(folder)
    assert 0.05 < sum(read) / len(read) < 0.95, "damage that always or never matters tests little"


def places(values, above=()):
    for name, value in values.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from places(value, (*above, name))


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_any_kind(name, tmp_path):
    file = ROOT / name
    folder = tmp_path / "it"
    shutil.copytree(file.parent, folder)
    for place in places(json.loads(file.read_text())):
        for odd in ODD:
            config = inner = json.loads(file.read_text())
            for part in place[:-1]:
                inner = inner[part]
            inner[place[-1]] = odd
            (folder / file.name).write_text(json.dumps(config))
            one_line_or_read(folder)
