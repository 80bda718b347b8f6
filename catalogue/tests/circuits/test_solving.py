"""Models that are trained on a problem: what is measured of them against naive loops, alone and
together, and found again by name."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import math

import numpy as np
import pytest
import torch
import xarray as xr

from assay.cli.main import main
from assay.core import Runs, grid
from assay.core.bench import Unkept
from assay.core.claims import Claim
from assay.core.errors import DataError, SpecError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay_catalogue.circuits import known
from assay_catalogue.circuits.challenge.folder import SEAL, files
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.files import parsed, written
from assay_catalogue.circuits.solving import scored
from assay_catalogue.circuits.solving.statements import enriched, lead, quality, share, solved
from assay_catalogue.circuits.verify.score import Effort, score
from assay_catalogue.experiments import monthly_caesar, monthly_first_unique, monthly_maximum
from assay_catalogue.verbs.small_model import subject

FIRST = monthly_first_unique.FirstUnique(
    layers=2, heads=2, d=12, e=6, letters=3, length=6, steps=30, batch=16, tested=100
)


@pytest.fixture(scope="module")
def trained():
    """Two models of first unique, hardly trained, so that they are right here and wrong there."""
    runs = Runs(grid(FIRST, seed=(3, 4)))
    return runs, monthly_first_unique.monthly.train(runs, Unkept())


def test_a_run_alone_is_the_run_among_others(trained):
    runs, both = trained
    alone = monthly_first_unique.monthly.train(Runs(runs.specs[1:]), Unkept())
    for name, value in alone.tensors.items():
        torch.testing.assert_close(value[0], both.tensors[name][1], rtol=1e-4, atol=1e-6)


def test_shares_right_are_those_of_a_naive_loop(trained):
    runs, both = trained
    task = monthly_first_unique.monthly.task(FIRST)
    found = scored.measuring(monthly_first_unique.monthly, ())(runs, both, Unkept())
    for i, spec in enumerate(runs.specs):
        tokens = task.draw(spec.seed, 0, 100, held_out=True)
        answers = task.answer(tokens)
        logits = monthly_first_unique.monthly.problem(spec, both.tensors, i).logits(tokens)
        hits, chance, wrong = np.zeros(6), np.zeros(6), 0
        for row, answer in zip(logits, answers, strict=True):
            for at in range(6):
                p = np.exp(row[at]) / np.exp(row[at]).sum()
                hits[at] += p.argmax() == answer[at]
                chance[at] += p[answer[at]] / 100
            wrong += any(row[at].argmax() != answer[at] for at in range(6))
        np.testing.assert_allclose(found["right"][i], (hits + 0.5) / 101)
        np.testing.assert_allclose(found["chance"][i], chance, rtol=1e-6)
        assert (
            float(found["wrong"][i]) == pytest.approx((wrong + 0.5) / 101) and 0 < hits.sum() < 600
        )


def test_the_shift_of_a_text_is_measured_against_the_exact_predictor():
    """Models that were never trained lie far above it; as logits, its own logarithms lie on it."""
    spec = monthly_caesar.Caesar(layers=1, heads=1, d=8, e=8, length=12, steps=0, tested=100)
    runs = Runs(grid(spec, seed=(0, 1)))
    found = scored.measuring(monthly_caesar.monthly, ())(
        runs, monthly_caesar.monthly.train(runs, Unkept()), Unkept()
    )
    tokens = monthly_caesar.monthly.task(spec).draw(0, 0, 100, held_out=True)
    chances = monthly_caesar.monthly.task(spec).chances(tokens)
    entropy = [-sum(p * math.log(p) for p in row if p > 0) for row in chances.reshape(-1, 26)]
    assert float(found["least"][0]) == pytest.approx(sum(entropy) / len(entropy))
    assert float((found["nats"] - found["least"]).min()) > 1


def test_what_is_without_positions_never_gets_any():
    spec = dataclasses.replace(FIRST, placed=False, seed=3)
    done = monthly_first_unique.monthly.train(Runs([spec]), Unkept())
    assert not done.tensors["W_pos"].any() and done.tensors["W_E"].any()


def test_the_values_of_the_claims_by_hand():
    from assay.core.measures import measures

    coords = {"explanation": (scored.OURS, scored.HALF_RIGHT), "part": scored.PARTS}
    reached = np.array(
        [
            [[0.9, 0.7, 0.8, np.nan, 0.5], [0.1, 0, 0, 0, 1]],
            [[0.9, 0.7, 0.8, 0.3, 0.5], [0.1, 0, 0, 0, 1]],
            np.full((2, 5), np.nan),
        ]
    )
    arm = measures(
        Runs(grid(FIRST, seed=(3, 4, 5))),
        coords=coords,
        quality=("run explanation", np.array([[0.6, 0.1], [0.5, 0.4], [np.nan] * 2]), "share"),
        reached=("run explanation part", reached, "share"),
        failing=("run", np.array([0.5, np.nan, 0.5]), "share"),
        wrong=("run", np.array([0.05, 0.05, 0.005]), "share"),
    )
    np.testing.assert_allclose(lead(arm, {}), [0.8 * 0.5 - 0.025, 0.675 * 0.5 - 0.025, np.nan])
    np.testing.assert_allclose(enriched(arm), [math.log(10), 0, np.nan])
    np.testing.assert_array_equal(share(quality, low=0.55)(arm, {}), [1, 0, np.nan])
    np.testing.assert_array_equal(share(lead, high=0.35)(arm, {}), [0, 1, np.nan])


def test_of_models_that_did_not_learn_the_problem_nothing_is_judged():
    """Six of twelve runs solve it, which is half of them, and five, which is not."""
    asked = solved("are right", lambda arm, arms: arm.quality, "made up", low=0.9)
    for many, met in ((6, True), (5, False)):
        main = xr.Dataset({"quality": ("run", np.repeat([0.95, 0.5], [many, 12 - many]))})
        assert asked.gate.met(main) is met
        assert float(asked.share.value({"main": main}).mean()) == many / 12
    claims = [c for c in monthly_maximum.experiment.claims if isinstance(c, Claim)]
    assert [[gate.name for gate in c.gates] for c in claims] == 2 * [["solved"]]


def test_half_of_the_models_have_the_controls_that_hardly_ever_pass():
    """Those of an even seed, whoever is beside them; each derived arm reads them in our place."""
    monthly, experiment = monthly_first_unique.monthly, monthly_first_unique.experiment
    s = FIRST.replace(steps=2, tried=100, resamples=100, candidates=100)
    runs = Runs(grid(s, seed=(3, 4)))
    which = scored.explanations(monthly)
    main = scored.measuring(monthly, which)(runs, monthly.train(runs, Unkept()), Unkept())
    for kind in which:
        missing = [kind in ("another", "shuffled", "empty", "whole"), False]
        assert main.quality.sel(explanation=kind).isnull().values.tolist() == missing
        if kind != scored.OURS:
            arm = experiment.arms[kind].derive({"main": main})
            np.testing.assert_array_equal(
                quality(arm, {}), main.quality.sel(explanation=kind), err_msg=kind
            )


@pytest.mark.parametrize("name", known.names())
@pytest.mark.parametrize("rival", [False, True])
def test_an_explanation_that_is_written_reads_back_as_the_same(name, rival, tmp_path):
    one = known.rival(name) if rival else known.explained(name)
    again = parsed(written(one).encode(), tmp_path / "again.toml")
    assert dataclasses.replace(again, source=one.source) == one or _plain(again) == _plain(one)


def _plain(e: Explanation) -> tuple:
    return (
        e.of,
        e.name,
        e.leaves_out,
        tuple((v.name, v.rule, v.at, v.reads) for v in e.variables),
        e.matter,
        e.answer,
        e.margin,
        e.logits,
        e.reads,
        e.fails,
    )


def test_a_function_is_not_written_as_data():
    with pytest.raises(SpecError, match="answer is a function"):
        written(Explanation(of="induction", name="mine", answer=lambda token: token))


@pytest.mark.thorough
def test_a_model_that_was_trained_is_explained_by_its_name(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = monthly_maximum.experiment.smoke[0].replace(steps=200)
    seeds = tuple(
        small.replace(seed=seed)
        for seed in monthly_maximum.experiment.default[0].replace().seed + np.arange(2)
    )
    only = dataclasses.replace(catalogue.find("monthly-maximum"), default=seeds)
    arms = {"main": only.arms["main"]}
    monkeypatch.setattr(
        monthly_maximum,
        "experiment",
        dataclasses.replace(monthly_maximum.experiment, default=seeds),
    )
    Lab(tmp_path / "assay-store", executor=Inline()).run(
        dataclasses.replace(only, arms=arms, claims=(), figures=lambda arms: []), "default"
    )
    assert main(["score-circuit", "show", "monthly-maximum"]) == 0
    text = capsys.readouterr().out
    assert text.startswith('of = "monthly-maximum"\n') and "[variables.largest]" in text
    (tmp_path / "mine.toml").write_text(text)
    assert (
        main(
            [
                "score-circuit",
                "check",
                "mine.toml",
                "--inputs",
                "100",
                "--resamples",
                "100",
                "--candidates",
                "5000",
            ]
        )
        == 0
    )
    assert "monthly-maximum" in capsys.readouterr().out
    assert main(["score-circuit", "show", f"monthly-maximum/{seeds[1].seed}", "--rival"]) == 0
    assert f'of = "monthly-maximum/{seeds[1].seed}"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("monthly-maximum", "train it with: assay run monthly-maximum"),
        ("monthly-maximum/5", "train it with: assay run monthly-maximum --set seed=5"),
        ("monthly-maximum/five", "a seed has to follow the slash"),
        ("monthly-maximun", "did you mean monthly-maximum?"),
    ],
)
def test_what_is_not_there_is_one_line(of, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["score-circuit", "show", of]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_folder_beside_the_file_is_a_model_and_a_challenge_is_not_scored_here(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    problem = known.problem("redundant")
    for name, data in files(problem, 0).items():
        (folder / name).write_bytes(data)
    found = subject("model", tmp_path / "store", tmp_path)
    tokens = problem.task.draw(0, 0, 50)
    np.testing.assert_allclose(found.problem.logits(tokens), problem.logits(tokens))
    assert found.own is None
    (folder / SEAL).write_text("{}")
    with pytest.raises(DataError, match="assay puzzle score"):
        subject("model", tmp_path / "store", tmp_path)


def test_every_model_has_a_donor_and_no_two_have_the_same():
    """Of all nine problems: a donor is what training alone gives, on the seed a million further
    on."""
    for name in (
        "caesar",
        "digit_sum",
        "distinct",
        "first_unique",
        "maximum",
        "palindromes",
        "running_sum",
        "sorted_list",
        "trigrams",
    ):
        module = importlib.import_module(f"assay_catalogue.experiments.monthly_{name}")
        runs = Runs(
            [
                spec.replace(steps=2, seed=spec.seed + i)
                for i, spec in enumerate(module.experiment.smoke[:1] * 3)
            ]
        )
        given = scored.donors(module.monthly, runs, Unkept())
        assert len(given) == 3
        models = [x.params["W_E"] for x in given] + [
            *module.monthly.train(runs, Unkept()).tensors["W_E"].split(1)
        ]
        assert all(not torch.equal(a, b) for a, b in itertools.combinations(models, 2)), name
        alone = module.monthly.train(
            Runs([runs.specs[2].replace(seed=runs.specs[2].seed + 1_000_000)]), Unkept()
        )
        same = given[2].params["W_E"], alone.tensors["W_E"]
        torch.testing.assert_close(*same, rtol=1e-4, atol=1e-6)


@pytest.mark.thorough
def test_what_another_reaches_is_the_score_of_the_explanation_of_a_model_s_own_donor():
    """Two runs in a group: each is explained by what its own donor shows, trained here by
    itself."""
    monthly = monthly_first_unique.monthly
    runs = Runs(grid(FIRST.replace(tried=100, resamples=100, candidates=100), seed=(4, 6)))
    trained = monthly.train(runs, Unkept())
    reached = scored.measuring(monthly, (scored.OURS, "another"))(
        runs, trained, Unkept()
    ).reached.sel(explanation="another", part="E3")
    for i, spec in enumerate(runs.specs):
        donor = monthly.problem(
            spec, monthly.train(Runs([spec.replace(seed=spec.seed + 1_000_000)]), Unkept()).tensors
        )
        problem = monthly.problem(spec, trained.tensors, i)
        own = score(
            monthly.explanation(donor),
            problem,
            spec.seed,
            Effort(inputs=100, resamples=100, candidates=100),
        )
        assert float(reached[i]) == pytest.approx(own.parts[2].estimate, abs=1e-3)
