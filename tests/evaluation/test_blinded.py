"""examples/blinded.py on two indexes of a tiny model: the table to fill in does not show the arms,
and `assay judge` reads what is joined."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from test_evaluating import plain

import assay
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


def test_a_person_scores_blindly_and_judge_reads_the_scores(folders, tmp_path):
    assert run(tmp_path, "write", *folders, "ratings.csv", "key.csv", "6").code == 0
    ratings, key = table(tmp_path / "ratings.csv"), table(tmp_path / "key.csv")
    assert set(ratings[0]) == {"item", "contexts", "score"}
    assert len(ratings) == len(key) == 18
    assert all(row["contexts"].count("⟦") >= 4 and not row["score"] for row in ratings)
    arms = [row["arm"] for row in key]
    assert arms != sorted(arms, key=["trained", "other", "other-again"].index), "they are mixed"
    features = {(row["arm"].removesuffix("-again"), row["feature"]) for row in key}
    assert len(features) == 18, "no feature twice"

    truth = {row["item"]: row["arm"] == "trained" for row in key}
    with (tmp_path / "ratings.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["item", "contexts", "score"])
        writer.writeheader()
        writer.writerows({**row, "score": float(truth[row["item"]])} for row in ratings)
    assert run(tmp_path, "join", "ratings.csv", "key.csv", "judged.csv").code == 0
    judged = assay.judge(
        tmp_path / "judged.csv",
        claim="trained.score - other.score > 0.2",
        unit="match",
        control="other-again",
        bounds=(-1, 1),
    )
    assert judged.verdict.estimate == 1 and judged.controls["other-again"].estimate == 0


def test_it_says_how_it_is_called(folders, tmp_path):
    assert "examples/blinded.py write" in run(tmp_path, "write").err
    short = run(tmp_path, "write", *folders, "ratings.csv", "key.csv", "1000")
    assert short.code == 1 and "features to draw from, and 2000 are needed" in short.err
    assert not list(tmp_path.iterdir())
