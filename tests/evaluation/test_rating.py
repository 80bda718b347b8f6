"""A whole rating on a tiny model: random directions fire as often as what they stand for, the order
hides the arms, results do not."""

from __future__ import annotations

import csv
import io
import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_evaluating import plain

import assay
from assay.cli import main
from assay.core import integrity
from assay.core.errors import AssayError, DataError
from assay.evaluation import indexing
from assay.evaluation.rating import begin
from assay.features.index.reader import Index
from assay.lab.store.store import Store
from assay.verbs.rate import Choice, tallied

SMALL = {"tokens": 1200, "context": 24, "ablate": 0}


@pytest.fixture(scope="module")
def at(tmp_path_factory, model, texts):
    folder = tmp_path_factory.mktemp("rating")
    for name, seed in (("one", 0), ("two", 1)):
        made = plain(seed=seed)
        replace(made, b_enc=made.b_enc - 0.8).save(folder / f"{name}.safetensors")
    indexing.index(
        folder / "one.safetensors",
        model=model,
        text=texts,
        root=folder / "store",
        gradients=False,
        **SMALL,
    )
    choice = Choice(against=(f"other={folder / 'two.safetensors'}",), features=6, contexts=4)
    return {
        "dictionary": str(folder / "one.safetensors"),
        "choice": choice,
        "model": str(model),
        "text": str(texts),
        "root": folder / "store",
    }


def begun(at, folder, rater="ann"):
    return rate(rater=rater, folder=folder, **at)


def rate(choice, **given):
    return begin(**given, **vars(choice))


def arm_of(at, folder):
    plan = json.loads((folder / "plan.json").read_text())
    return {name: Index(at["root"] / "artefacts/index" / key) for name, key in plan["arms"].items()}


def test_random_directions_fire_as_often_as_the_features_they_stand_for(at, tmp_path):
    session = begun(at, tmp_path / "r")
    arms = arm_of(at, tmp_path / "r")
    firings = {name: index.columns(("firings",))["firings"] for name, index in arms.items()}
    for item in session.items:
        partner = next(
            other for other in session.items if other.arm == "trained" and other.match == item.match
        )
        if item.arm.startswith("random"):
            assert abs(firings["random"][item.feature] - firings["trained"][partner.feature]) <= 1
    assert (
        len({(i.arm, i.feature) for i in session.items}) == 24
        and [i.arm for i in session.items].count("random-again") == 6
    )
    assert np.array_equal(arms["random"].windows, arms["trained"].windows), "the same text"
    rows = np.load(arms["random"].folder / "decoder.npy").astype(float)
    assert np.abs(rows @ rows.T - np.eye(12)).max() < 0.8, "no direction twice"


def test_nothing_that_is_kept_or_shown_says_whose_feature_it_is(at, tmp_path):
    session = begun(at, tmp_path / "r")
    plan = (tmp_path / "r/plan.json").read_text()
    places = {
        arm: [i for i, item in enumerate(session.items) if item.arm == arm]
        for arm in ("trained", "random", "random-again", "other")
    }
    assert json.loads(plan)["items"] == [item.hash for item in session.items]
    assert all(max(p) - min(p) > 6 for p in places.values()), "the arms are mixed"
    again = rate(
        rater="ann",
        folder=tmp_path / "s",
        **{**at, "choice": Choice(**{**vars(at["choice"]), "seed": 1})},
    )
    assert [i.arm for i in again.items] != [i.arm for i in session.items]
    assert all(0 <= s <= 1 for item in session.items for p in item.passages for s in p.shades)
    assert all(
        max(p.shades) > 0 and p.shades[p.at] > 0 for item in session.items for p in item.passages
    )


@pytest.mark.thorough
def test_the_table_goes_straight_into_judge(at, tmp_path):
    """Two raters who see the truth: trained has meaning, everything else has none; one of them errs
    once."""
    for rater in ("ann", "bob"):
        session = begun(at, tmp_path / "r", rater)
        for n, item in enumerate(session.items):
            right = 1.0 if item.arm == "trained" else 0.0
            session.answers.add(
                item.hash, 0.5 if rater == "bob" and n == 0 else right, "=1+1" if n == 1 else ""
            )
        assert not session.left and session.others_go_on == (rater == "none")
    found = tallied(tmp_path / "r", at["root"])
    assert found.raters == ("ann", "bob") and found.items == 24 and not found.left_out
    scores = {a["arm"]: a["mean"] for a in found.arms}
    assert list(scores) == ["trained", "random", "random-again", "other"]
    assert scores["trained"] > 0.9 and scores["random-again"] < 0.1
    assert 0.9 < found.agreement["alpha"] < 1 and found.agreement["low"] < found.agreement["alpha"]
    rows = list(csv.DictReader(io.StringIO(Path(found.table).read_text())))
    assert (
        len(rows) == 48
        and {r["rater"] for r in rows} == {"ann", "bob"}
        and "'=1+1" in {r["words"] for r in rows}
    )
    words = shlex.split(found.judge)
    assert words[:2] == ["assay", "judge"] and main.main(words[1:]) == 0
    claim = "mean(trained.score, over=rater) - mean(random.score, over=rater) > 0.1"
    judged = assay.judge(
        found.table, claim=claim, unit="match", control="random-again", bounds=(-1, 1)
    )
    assert judged.controls["random-again"].estimate < 0.1 and judged.verdict.estimate > 0.8
    with pytest.raises(DataError, match="arms were shown"):
        begun(at, tmp_path / "r").answers.add(session.items[0].hash, 1.0)


def test_a_rating_that_was_not_blinded_is_never_shown_as_one(at, tmp_path):
    session = begun(at, tmp_path / "r")
    for item in session.items:
        session.answers.add(item.hash, 0.0)
    path = tmp_path / "r/ann.jsonl"
    path.write_text(path.read_text().replace('"score":0.0', '"score":1.0', 1))
    with pytest.raises(DataError, match=r"no blinded rating \(ann.jsonl: line 2 was changed"):
        tallied(tmp_path / "r", at["root"])
    assert not (tmp_path / "r/ratings.csv").exists()
    with pytest.raises(DataError, match=r"line 2 was changed.*Name another"):
        begun(at, tmp_path / "r")


def test_answers_that_were_not_blinded_are_left_out_of_the_others(at, tmp_path):
    session = begun(at, tmp_path / "r")
    session.answers.add(session.items[0].hash, 0.0)
    path = tmp_path / "r/ann.jsonl"
    path.write_text(path.read_text().replace('"score":0.0', '"score":1.0', 1))
    other = begun(at, tmp_path / "r", "bob")
    (tmp_path / "r/cid.jsonl").write_text('{"item": "x", "score": 1.0}\n')  # brought from elsewhere
    other.answers.add(other.items[0].hash, 1.0)
    found = tallied(tmp_path / "r", at["root"])
    assert (
        found.raters == ("bob",)
        and set(found.left_out) == {"ann.jsonl", "cid.jsonl"}
        and found.agreement is None
    )
    assert [arm["mean"] for arm in found.arms if not arm["answers"]] == [None] * 3
    with pytest.raises(DataError, match="arms were shown"):
        begun(at, tmp_path / "r", "bob")


def test_a_changed_plan_is_refused(at, tmp_path):
    begun(at, tmp_path / "r")
    path = tmp_path / "r/plan.json"
    plan = json.loads(path.read_text())
    plan["items"].reverse()
    path.write_text(json.dumps(plan))
    with pytest.raises(DataError, match="were changed"):
        begun(at, tmp_path / "r")
    with pytest.raises(AssayError, match="has a rating with seed 0"):
        rate(
            rater="ann",
            folder=tmp_path / "r",
            **{**at, "choice": Choice(**{**vars(at["choice"]), "seed": 1})},
        )
    path.write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        tallied(tmp_path / "r", at["root"])


@pytest.mark.parametrize("against", ["frozen", "Frozen=x", "random=x", "frozen="])
def test_arms_need_a_name(at, tmp_path, against):
    with pytest.raises(AssayError, match="NAME=DICTIONARY"):
        rate(
            rater="ann",
            folder=tmp_path / "r",
            **{**at, "choice": Choice(against=(against,), features=6)},
        )


def test_an_arm_of_another_text_would_be_known_by_it(at, tmp_path, model):
    folder = tmp_path / "words"
    folder.mkdir()
    for i in range(12):
        (folder / f"{i}.py").write_text("x = 1\n" * 40)
    other = at["root"].parent / "two.safetensors"
    found = indexing.index(
        other,
        model=model,
        text=folder,
        root=at["root"],
        part="all",
        gradients=False,
        tokens=96,
        context=24,
        ablate=0,
    )
    (found.folder / "about.json").write_text(
        (found.folder / "about.json").read_text().replace('"name": "two"', '"name": "elsewhere"')
    )
    # as if it had been written so
    (found.folder / integrity.NOTE).write_bytes(integrity.described(found.folder))
    address = Index(found.folder).about.address
    with pytest.raises(AssayError, match="another text"):
        rate(
            rater="ann",
            folder=tmp_path / "r",
            **{**at, "choice": Choice(against=(f"other={address}",), features=6, contexts=4)},
        )


@pytest.mark.thorough
def test_in_the_terminal(at, tmp_path, capsys, monkeypatch):
    """Answers by keys; back; words; quit and go on; nothing on the screen names an arm until the
    end."""
    folder, choice = tmp_path / "r", at["choice"]
    words = [
        "rate",
        at["dictionary"],
        "--against",
        choice.against[0],
        "--features",
        "6",
        "--contexts",
        "4",
        "--model",
        at["model"],
    ]
    words += ["--text", at["text"], "--root", str(at["root"]), "--folder", str(folder)]
    monkeypatch.setattr("sys.stdin", io.StringIO("1\nb\n3\n2 about loops\nx\nq\n"))
    assert main.main(words) == 0
    shown = capsys.readouterr().out
    assert "22 of 24 left" in shown and "answered before: 1" in shown
    assert "⟦" in shown and not any(
        arm in shown for arm in ("trained", "random", "other", "density")
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("3\n" * 22))
    assert main.main(words) == 0
    shown = capsys.readouterr().out
    assert "random-again" in shown and "assay judge" in shown and "one rater" in shown
    kept = [json.loads(line) for line in (folder / "me.jsonl").read_text().splitlines()]
    assert (
        [k.get("score") for k in kept[1:4]] == [1.0, 0.0, 0.5]
        and kept[3]["words"] == "about loops"
        and kept[-1]["shown"]
    )
    assert main.main([*words, "--results", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arms"][0]["arm"] == "trained"


def test_an_index_is_found_by_address_and_by_file(at):
    store = Store(at["root"])
    by_file = indexing.known(at["dictionary"], store)
    assert indexing.known(by_file.about.address, store).folder == by_file.folder
    firings = indexing.firings_of(by_file, store)
    assert firings.count == by_file.query("SELECT sum(firings) AS n FROM features")[0]["n"]
