"""Challenges: a disguise leaves the function, the planted explanation is as good as before it, and
no answer of another seed is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.core.errors import DataError, ModelError, SpecError
from assay.subjects.decoder import forward
from assay_catalogue.circuits import known
from assay_catalogue.circuits.challenge import folder
from assay_catalogue.circuits.challenge.planted import names, plant
from assay_catalogue.circuits.files import parsed
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.score import Effort, score
from assay_catalogue.verbs import puzzle as challenge

SMALL = Effort(inputs=100, resamples=100, candidates=1_000)
KINDS = pytest.mark.parametrize("kind", names())
CIRCUITS = pytest.mark.parametrize("kind", known.names())
SOME = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.thorough)
        if kind in ("brackets", "induction", "sorting")
        else kind
        for kind in known.names()
    ],
)


@KINDS
@pytest.mark.parametrize("seed", [1, 2])
def test_a_disguise_leaves_the_function(kind, seed):
    made = plant(seed, kind, noise=0)
    tokens = made.circuit.task.draw(3, 0, 40)
    plain, _ = forward(made.circuit.params, torch.from_numpy(tokens), made.circuit.shape.activation)
    told, _ = forward(
        made.problem.params,
        torch.from_numpy(made.disguised.tokens[tokens]),
        made.problem.activation,
    )
    assert torch.allclose(
        told[..., torch.from_numpy(made.disguised.answers)], plain, rtol=0, atol=1e-5
    )
    right = made.problem.task.answer(made.disguised.tokens[tokens])
    where = right >= 0
    assert (right[where] == made.disguised.answers[made.circuit.task.answer(tokens)[where]]).all()


@KINDS
def test_names_places_and_weights_are_others(kind):
    made, again, other = plant(1, kind), plant(1, kind), plant(2, kind)
    assert (
        all(torch.equal(x, again.problem.params[name]) for name, x in made.problem.params.items())
        and made.answer == again.answer
    )
    assert made.answer != other.answer
    x = made.problem.params["W_QKV"]
    assert x.shape[4] > made.circuit.shape.heads and x.shape[2] > made.circuit.shape.d
    assert all(x.ne(0).all() or x.eq(0).all() for x in made.problem.params.values()), (
        "a zero would tell what is idle"
    )
    assert not {*made.problem.task.tokens} & {"START", "END", "SEP", "=", "("}


def test_places_move():
    tokens = {tuple(plant(seed, "modular_sum").disguised.tokens[:5]) for seed in range(8)}
    heads = {plant(seed, "redundant").disguised.heads[0] for seed in range(12)}
    assert len(tokens) > 5 and len(heads) > 3


@KINDS
@pytest.mark.parametrize("seed", [1, 2])
def test_with_its_noise_it_still_answers_right(kind, seed):
    problem = plant(seed, kind).problem
    tokens = problem.task.draw(5, 0, 500, held_out=True)
    assert problem.wrong(problem.logits(tokens), tokens).sum() == 0


@SOME
def test_the_planted_explanation_is_as_good_as_without_the_disguise(kind):
    made = plant(4, kind)
    own = score(made.explained(), made.problem, 7, SMALL)
    before = Problem(made.circuit.task, made.circuit.params, made.circuit.shape.activation)
    plain = score(parsed(made.plain.encode(), Path("plain")), before, 7, SMALL)
    # E1 gives pieces what they are on other inputs, drawn piece by piece: with 100 inputs that
    # alone moves it by some hundredths
    for told, was, off in zip(own.parts[:3], plain.parts[:3], (0.1, 0.02, 0.02), strict=True):
        assert told.estimate == pytest.approx(was.estimate, abs=off)
    assert own.quality.estimate > 0.85 and np.isnan(own.parts[3].estimate)


@pytest.mark.parametrize(
    "kind",
    [
        "modular_sum",
        "two_hops",
        *(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("brackets", "redundant")),
    ],
)
def test_a_remembered_answer_of_another_seed_scores_low(kind):
    made = plant(4, kind)
    reached = []
    for seed in range(10, 14):
        try:
            reached.append(
                score(plant(seed, kind).explained(), made.problem, 7, SMALL).quality.estimate
            )
        except (ModelError, SpecError):  # it names what this model does not have
            reached.append(0)
    assert np.mean(reached) < 0.3


def test_the_rival_fits_and_is_worse():
    for kind in known.names():
        made = plant(3, kind)
        Program(made.explained(rival=True), made.problem)
    made = plant(3, "modular_sum")
    assert score(made.explained(rival=True), made.problem, 7, SMALL).quality.estimate < 0.1


@pytest.fixture
def given(tmp_path):
    return challenge.plant_challenge(
        tmp_path / "puzzle", tmp_path / "store", seed=5, kind="modular_sum"
    )


def test_a_folder_says_nothing_of_the_answer(given, tmp_path):
    texts = "".join(
        (tmp_path / "puzzle" / name).read_text()
        for name in ("README.md", "config.json", "my_explanation.toml", "challenge.json")
    )
    assert not [
        word
        for word in (*names(), "induction", "modul", "remainder", "sum", '"seed"', 'salt"')
        if word in texts
    ]
    assert {p.name for p in (tmp_path / "puzzle").iterdir()} == {*given.files} and {
        p.name for p in tmp_path.iterdir()
    } == {"puzzle", "store"}


def test_a_folder_opens_as_the_model_that_was_planted(given, tmp_path):
    problem, made = folder.opened(tmp_path / "puzzle"), plant(5, "modular_sum").problem
    tokens = problem.task.draw(0, 0, 50)
    assert np.array_equal(problem.logits(tokens), made.logits(tokens))
    assert np.array_equal(problem.task.answer(tokens), made.task.answer(tokens)), (
        "it answers right, so its own answers are the right ones"
    )
    assert json.loads((tmp_path / "puzzle/config.json").read_text())["asked"] == [2]


def test_the_hash_binds_kind_seed_salt_and_files(given, tmp_path):
    key, scored = folder.read(
        tmp_path / "store/challenges" / f"{given.name}.json", given.commitment
    )
    assert key.commitment == given.commitment and (key.kind, key.seed, scored) == (
        "modular_sum",
        5,
        [],
    )
    for changed in (
        {"seed": 6},
        {"kind": "sorting"},
        {"salt": "0"},
        {"files": {**key.files, "config.json": "0"}},
    ):
        assert dataclasses.replace(key, **changed).commitment != given.commitment
    again = challenge.plant_challenge(
        tmp_path / "again", tmp_path / "store", seed=5, kind="modular_sum"
    )
    assert again.commitment != given.commitment, (
        "a salt keeps seeds from being tried against the hash"
    )
    assert (tmp_path / "again/model.safetensors").read_bytes() == (
        tmp_path / "puzzle/model.safetensors"
    ).read_bytes()


def test_seeds_of_the_operating_system_differ(tmp_path):
    found = [
        challenge.plant_challenge(tmp_path / name, tmp_path / "store", kind="two_hops")
        for name in "ab"
    ]
    seeds = [
        json.loads((tmp_path / "store/challenges" / f"{one.name}.json").read_text())["seed"]
        for one in found
    ]
    assert seeds[0] != seeds[1] and min(seeds) > 1000


@pytest.mark.parametrize("name", folder.SEALED)
def test_an_edited_folder_is_refused(given, tmp_path, name):
    path, key = (
        tmp_path / "puzzle" / name,
        folder.read(tmp_path / "store/challenges" / f"{given.name}.json", given.commitment)[0],
    )
    data = path.read_bytes()
    path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    with pytest.raises(DataError, match=f"{name} was changed"):
        folder.unsealed(tmp_path / "puzzle", key)


def test_a_key_that_was_edited_or_is_another_challenges_is_refused(given, tmp_path):
    path = tmp_path / "store/challenges" / f"{given.name}.json"
    path.write_text(path.read_text().replace('"seed": 5', '"seed": 6'))
    with pytest.raises(DataError, match="not the key of this challenge"):
        folder.read(path, given.commitment)


def test_what_a_version_plants_otherwise_is_not_scored(given, tmp_path, monkeypatch):
    key, _ = folder.read(tmp_path / "store/challenges" / f"{given.name}.json", given.commitment)
    monkeypatch.setattr(folder, "plant", lambda seed, kind: plant(seed + 1, kind))
    with pytest.raises(DataError, match="another version"):
        folder.unsealed(tmp_path / "puzzle", key)


def test_a_folder_that_is_none_is_one_line(tmp_path, given):
    with pytest.raises(DataError, match="no file"):
        folder.sealed(tmp_path)
    config = tmp_path / "puzzle/config.json"
    config.write_text('{"decoder": {"layers": 1}}')
    with pytest.raises(DataError, match="is not the configuration of a challenge"):
        folder.opened(tmp_path / "puzzle")


def test_an_unknown_kind_is_told():
    with pytest.raises(SpecError, match="did you mean sorting"):
        plant(0, "sortin")


def test_kinds_of_the_command_are_those_that_can_be_planted():
    from typing import get_args

    assert get_args(challenge.Kind) == names() == known.names()


def test_the_model_is_one_of_the_decoders(given, tmp_path):
    problem = folder.opened(tmp_path / "puzzle")
    assert isinstance(problem, Problem) and problem.size == sum(
        x.numel() for x in problem.params.values()
    )
