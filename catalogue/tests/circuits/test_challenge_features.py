"""Planted features: written and read as planted, scored as a naive loop scores them, and no answer
that is wrong scores as well."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.core.errors import DataError, ModelError, SpecError
from assay_catalogue.circuits.challenge import folder
from assay_catalogue.circuits.challenge.planted import plant
from assay_catalogue.circuits.files import parsed
from assay_catalogue.circuits.verify.features import score, table
from assay_catalogue.circuits.verify.score import Effort
from assay_catalogue.subjects.parts import Part
from assay_catalogue.verbs import challenge
from assay_catalogue.worlds.algorithms.built import crowded

LITTLE = Effort(inputs=100, resamples=100, candidates=100)
M0 = Part("mlp", 0)


@functools.cache
def made(seed=1):
    return plant(seed, "features")


@functools.cache
def reached(seed=1):
    one = made(seed)
    return table(one.explained(), one.explained(rival=True), one.problem, one.features, 7, LITTLE)


def scored(explanation, seed=1):
    return score(explanation, made(seed).problem, made(seed).features, 7, LITTLE)


def located(explanation):
    return [v for v in explanation.variables if v.at]


def changed(explanation, **how):
    """An explanation in which each feature's variable was changed."""
    return dataclasses.replace(
        explanation,
        variables=tuple(
            dataclasses.replace(v, **{k: f(v) for k, f in how.items()}) if v.at else v
            for v in explanation.variables
        ),
    )


def test_what_is_written_is_the_sum_of_features_that_are_on_and_logits_add_up():
    """On every pair of tokens, by a loop that knows only the rules: who is on, which directions add
    up, which logits are raised."""
    of = np.random.default_rng(3)
    drawn = crowded.crowd(of, tokens=13, read=6, decoys=2, room=6, classes=5, back=2)
    circuit = crowded.crowded(drawn, 8, of)
    rows = crowded.directions(drawn, circuit.shape.d, 8)
    tokens = np.array([[a, 0, b, a, 1, b, b, a] for a, b in itertools.product(range(13), repeat=2)])
    from assay_catalogue.circuits.problem import Problem

    problem = Problem(circuit.task, circuit.params)
    seen = problem.run(tokens)
    for row, at in itertools.product(range(0, len(tokens), 7), range(2, 8)):
        on = [
            drawn.here[f, tokens[row, at]] and drawn.before[f, tokens[row, at - 2]]
            for f in range(8)
        ]
        np.testing.assert_allclose(
            seen.wrote[M0][0, row, at],
            sum((rows[f] for f in range(8) if on[f]), np.zeros(circuit.shape.d)),
            atol=1e-9,
        )
        logits = drawn.offsets + sum((drawn.raises[f] for f in range(6) if on[f]), np.zeros(5))
        np.testing.assert_allclose(seen.logits[0, row, at], logits, atol=1e-8)
        assert circuit.task.answer(tokens)[row, at] == logits.argmax()


def test_there_are_more_features_than_dimensions_and_no_neuron_is_one():
    for seed in (1, 2):
        one = made(seed)
        rows = one.features.rows
        assert (
            one.circuit.task.name.startswith("crowded")
            and np.linalg.matrix_rank(rows, tol=1e-6) == one.features.room < len(rows) + 2
        )
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-9)
        neurons = one.problem.params["W_out"][0, 0].numpy()
        neurons = neurons / np.linalg.norm(neurons, axis=1, keepdims=True)
        tokens = one.problem.task.draw(0, 0, 200)
        asked = one.problem.task.answer(tokens) >= 0
        fires, on = (
            one.problem.run(tokens).neurons[0][0].numpy()[asked] > 0,
            one.features.on(tokens)[asked],
        )
        f1 = 2 * (fires.T.astype(float) @ on) / np.maximum(fires.sum(0)[:, None] + on.sum(0), 1)
        assert np.minimum(np.abs(neurons @ rows.T), f1).max() < 0.8, (
            "of so many one points along a feature by chance; none is on with it"
        )


def test_taking_a_feature_out_by_hand_does_what_was_planted():
    """The direction put out in a pass of the disguised model lowers exactly the logits that its
    rule raises, wherever it is on."""
    one = made()
    tokens = one.problem.task.draw(5, 0, 60)
    on, asked = one.features.on(tokens), one.problem.task.answer(tokens) >= 0
    clean = one.problem.run(tokens)
    raises = parsed(one.answer.encode(), Path("planted")).logits
    for i, row in enumerate(one.features.rows):
        line = torch.from_numpy(row)
        along = clean.wrote[M0][0] @ line
        rest = along[torch.from_numpy(asked & ~on[..., i])].mean()
        gone = one.problem.logits(
            tokens,
            written={M0: lambda x, line=line, rest=rest: x - ((x @ line) - rest)[..., None] * line},
        )
        moved = (gone - clean.logits[0].numpy())[asked]
        by = np.array(
            [sum(float(x) for x in re.findall(rf"(\d+) \* feature{i}\b", rule)) for rule in raises]
        )
        np.testing.assert_allclose(
            moved, -1.0 * on[asked][:, i, None] * by, atol=2.0
        )  # of 50 to 150; noise on the weights is what is left


@pytest.mark.parametrize("seed", [1, 2])
def test_the_planted_answer_scores_near_one_and_better_than_every_control(seed):
    found = reached(seed)
    assert all(x.estimate > 0.97 for x in found.own.parts) and found.own.quality.estimate > 0.97
    assert found.ranked and list(found.controls) == [
        "another",
        "shuffled",
        "empty",
        "random",
        "tokens",
    ]
    assert (
        found.controls["empty"].quality.estimate == 0
        and found.controls["shuffled"].quality.estimate < 0.1
    )
    assert all(found.controls[kind].quality.estimate < 0.6 for kind in ("random", "tokens"))


def test_a_score_is_that_of_a_naive_loop():
    """Of two features found, one along a direction that is somewhat off and one on too often,
    worked out one number at a time."""
    one = made()
    full, tokens = one.explained(), one.problem.task.draw(7, 0, 100, held_out=True)
    kept = located(full)[:2]
    d = len(kept[0].at[0].along[0])
    off = (
        np.array(kept[0].at[0].along[0])
        + 0.3 * np.random.default_rng(0).standard_normal(d) / d**0.5
    )
    first = dataclasses.replace(
        kept[0], at=(dataclasses.replace(kept[0].at[0], along=(tuple(off),)),)
    )
    second = dataclasses.replace(kept[1], rule=f"({kept[1].rule}) or token == 0")
    others = [v for v in full.variables if not v.at]
    answer = dataclasses.replace(
        full,
        variables=(*others, first, second),
        logits=tuple("feature0 - feature1" for _ in full.logits),
    )
    found = scored(answer)
    n, rows = len(one.features.rows), one.features.rows
    cosines = [abs(off @ rows[0]) / np.linalg.norm(off), 1.0]
    detail = {x.name: x.estimate for x in found.details}
    assert detail["matched cosine"] == pytest.approx(sum(cosines) / n, abs=1e-3)
    assert found.parts[0].estimate == pytest.approx(
        max(
            0,
            (detail["matched cosine"] - detail["matched cosine of random directions"])
            / (1 - detail["matched cosine of random directions"]),
        )
    )
    hits, asked = [0.0, 0.0], one.problem.task.answer(tokens) >= 0
    on = one.features.on(tokens)
    said = [on[..., 0], on[..., 1] | (tokens == 0)]
    for i in range(2):
        both = sum(bool(a and b) for a, b in zip(on[..., i][asked], said[i][asked], strict=True))
        hits[i] = 2 * both / (int(on[..., i][asked].sum()) + int(said[i][asked].sum()))
    assert found.parts[1].estimate == pytest.approx(sum(hits) / n)
    assert found.parts[2].estimate == 0, "all logits are foretold to move alike, which is no change"


@pytest.mark.thorough
def test_each_likely_mistake_costs():
    one = made()
    right, best = one.explained(), reached().own.quality.estimate
    features = located(right)
    less = dataclasses.replace(
        right,
        variables=tuple(v for v in right.variables if v is not features[0]),
        logits=tuple(re.sub(r" \+ \d+ \* feature0\b", "", x) for x in right.logits),
    )
    extra = dataclasses.replace(features[0], name="again", at=features[1].at)
    mistakes = {
        "one is missing": less,
        "one too many": dataclasses.replace(right, variables=(*right.variables, extra)),
        "always on": changed(right, rule=lambda v: "1"),
        "never on": changed(right, rule=lambda v: "0"),
        "no logits": dataclasses.replace(right, logits=None),
        "logits of another scale": dataclasses.replace(
            right, logits=tuple(f"3 * ({x})" for x in right.logits)
        ),
        "the directions read": one.explained(rival=True),
    }
    found = {name: scored(answer).quality.estimate for name, answer in mistakes.items()}
    assert all(x < best - 0.03 for x in found.values()), found
    assert found["never on"] == found["no logits"] == 0


def test_sign_and_length_of_a_direction_and_the_order_of_features_make_no_difference():
    one = made()
    right = one.explained()
    told = changed(
        right,
        at=lambda v: (
            dataclasses.replace(v.at[0], along=(tuple(-3.7 * x for x in v.at[0].along[0]),)),
        ),
    )
    told = dataclasses.replace(told, variables=told.variables[::-1])
    for a, b in zip(scored(told).parts, reached().own.parts, strict=True):
        assert a.estimate == pytest.approx(b.estimate, abs=1e-9)


def test_many_random_directions_buy_nothing():
    one, of = made(), np.random.default_rng(0)
    d = one.problem.params["W_E"].shape[-1]
    rows = of.standard_normal((64, d)).round(3).tolist()
    lines = "".join(
        f'[variables.x{i}]\nat = "m0"\nalong = [{row}]\nis = "token == {i % 10}"\n'
        for i, row in enumerate(rows)
    )
    answer = parsed(
        f'of = "challenge"\n{lines}[logits]\nare = ["x0", "0", "0", "0", "0"]'.encode(),
        Path("many"),
    )
    assert scored(answer).quality.estimate < 0.05


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[variables.x]\nat = "a0.0"\nalong = [[1.0]]\nis = "1"', 'at = "m0"'),
        ('[variables.x]\nat = "m0"\nis = "1"', "along"),
        ('[variables.x]\nat = "m0@3"\nalong = [[1.0]]\nis = "1"', "one direction at one place"),
        ('[variables.x]\nat = "m0[3]"\nis = "1"', "one direction at one place"),
        (
            '[variables.x]\nat = ["m0", "m0"]\nalong = [[1.0]]\nis = "1"',
            "one direction at one place",
        ),
        ('[variables.x]\nat = "m0"\nalong = [[1.0]]\nis = "1"', "a direction has 1 number"),
        ('[variables.x]\nat = "m0"\nalong = [[nan]]\nis = "1"', "not finite"),
        ('[variables.x]\nis = "no_such"', "is no variable"),
        ('matter = ["m1"]', "matter"),
        ('[logits]\nare = ["1"]', "classes"),
    ],
)
def test_what_does_not_fit_is_one_line(text, said):
    with pytest.raises((SpecError, ModelError), match=re.escape(said)) as e:
        scored(parsed(f'of = "challenge"\n{text}'.encode(), Path("mine.toml")))
    assert len(str(e.value).splitlines()) == 1 and "mine.toml" in str(e.value)


def test_too_many_features_are_refused():
    lines = "".join(f'[variables.x{i}]\nat = "m0"\nalong = [[1.0]]\nis = "1"\n' for i in range(65))
    with pytest.raises((SpecError, ModelError)):
        scored(parsed(f'of = "challenge"\n{lines}'.encode(), Path("mine.toml")))


def test_a_seed_plants_the_same_again_and_another_something_else():
    a, again, b = made(1), plant(1, "features"), made(2)
    assert a.answer == again.answer and all(
        torch.equal(x, again.problem.params[name]) for name, x in a.problem.params.items()
    )
    assert a.answer != b.answer
    try:
        assert scored(b.explained(), 1).quality.estimate < 0.5
    except (ModelError, SpecError):  # a stream of another width
        assert a.problem.params["W_E"].shape != b.problem.params["W_E"].shape


@pytest.fixture
def given(tmp_path):
    return challenge.plant_challenge(
        tmp_path / "puzzle", tmp_path / "store", seed=1, kind="features"
    )


def test_the_folder_says_where_and_not_what_and_its_seal_binds(given, tmp_path):
    at = tmp_path / "puzzle"
    assert json.loads((at / "config.json").read_text())["features"] == "m0"
    texts = "".join(
        (at / name).read_text() for name in ("README.md", "config.json", "challenge.json")
    )
    planted = [
        re.sub(r"\s+", " ", line)
        for line in made().answer.splitlines()
        if line.startswith("is = ") and "last" not in line
    ]
    assert not [rule for rule in planted if rule in texts] and '"seed"' not in texts
    key, _ = folder.read(tmp_path / "store/challenges" / f"{given.name}.json", given.commitment)
    again, problem = folder.unsealed(at, key)
    assert (
        again.answer == made().answer
        and score(again.explained(), problem, again.features, 7, LITTLE).quality.estimate > 0.97
    )
    opened = folder.opened(at)
    tokens = opened.task.draw(0, 0, 50)
    assert np.array_equal(opened.task.answer(tokens), made().problem.task.answer(tokens))
    path = at / "config.json"
    path.write_text(path.read_text().replace('"m0"', '"m1"'))
    with pytest.raises(DataError, match="was changed"):
        folder.unsealed(at, key)
