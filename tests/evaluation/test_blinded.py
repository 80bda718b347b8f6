"""examples/blinded.py on two indexes of a tiny model: the table to fill in does not show the arms,
and `assay judge` reads what is joined."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from test_evaluating import plain

from assay.evaluation import indexing
from forks import program

EXAMPLE = Path(__file__).parents[2] / "examples/blinded.py"


@pytest.fixture(scope="module")
def folders(tmp_path_factory, model, texts):
    folder = tmp_path_factory.mktemp("blinded")
    indexes = []
    for name, seed in (("one", 0), ("two", 1)):
        made = plain(seed=seed)
        replace(made, b_enc=made.b_enc - 0.8).save(folder / f"{name}.safetensors")
        indexes.append(
            indexing.index(
                folder / f"{name}.safetensors",
                model=model,
                text=texts,
                root=folder / "store",
                gradients=False,
                tokens=1200,
                context=24,
                ablate=0,
            )
        )
    return [str(index.folder) for index in indexes]


def run(folder, *words):
    return program(EXAMPLE, words, folder)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_says_how_it_is_called(folders, tmp_path):
    assert "examples/blinded.py write" in run(tmp_path, "write").err
    short = run(tmp_path, "write", *folders, "ratings.csv", "key.csv", "1000")
    assert short.code == 1 and "features to draw from, and 2000 are needed" in short.err
    assert not list(tmp_path.iterdir())
