"""The bar turns away what it is there to turn away: superposition, with one thing taken from it at
a time."""

import copy
import dataclasses
from types import SimpleNamespace

import committed
import pytest
import test_catalogue_bar as bar

from assay.core.claims import Exact, Finding
from assay.core.experiment import Arm
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import recording
from assay.lab.lab import Lab
from assay.lab.records import records
from assay.verbs.new import write_experiment

NAME = "superposition"
JUDGED = (
    bar.test_every_claim_is_complete,
    bar.test_every_claim_was_judged_on_enough_units_against_its_controls,
    bar.test_no_verdict_rests_on_an_interval_without_width,
    bar.test_a_claim_is_unspecific_where_a_control_passes_or_what_is_credited_was_not_learned,
    bar.test_skewed_units_are_judged_on_a_log_scale,
    bar.test_intervals_of_such_units_were_measured_to_contain_the_truth,
    bar.test_most_claims_get_an_answer_and_the_others_say_what_is_missing,
)
"""What the bar asks of an experiment that has a record, wherever its file lies."""
FOUND = catalogue.find(NAME)
RECORD = records.read(NAME, FOUND.origin)


@pytest.fixture
def entry(monkeypatch):
    """Puts another experiment, record or planted module in the place of superposition's."""

    def put(experiment=FOUND, record=RECORD, module=None):
        monkeypatch.setattr(catalogue, "find", lambda name: experiment)
        monkeypatch.setattr(bar, "committed", lambda name: (experiment, record))
        if module is not None:
            monkeypatch.setattr(committed, "planted", lambda name: module)
            monkeypatch.setattr(bar, "planted", lambda name: module)
        monkeypatch.setattr(
            bar, "cases", committed.cases.__wrapped__
        )  # not what the other tests have cached
        monkeypatch.setattr(bar, "violations", committed.violations.__wrapped__)

    return put


def claims(**changes):
    """The experiment with its first claim changed."""
    first, *others = FOUND.claims
    return dataclasses.replace(FOUND, claims=(dataclasses.replace(first, **changes), *others))


def verdict(**changes):
    """The record with its first verdict changed."""
    record = copy.deepcopy(RECORD)
    record["verdicts"][0] |= changes
    return record


def cases(change):
    """The planted module with the first of its CASES changed."""
    module = committed.planted(NAME)
    start, (removed, passing) = next(iter(module.CASES.items()))
    return SimpleNamespace(
        WORLD=module.WORLD, CASES={**module.CASES, start: change(module.WORLD, removed, passing)}
    )


def theorems(*kinds):
    """The experiment with nothing but its statements of these kinds."""
    return dataclasses.replace(FOUND, claims=tuple(c for c in FOUND.claims if isinstance(c, kinds)))


def theorem_cases(**named):
    """The planted module with these worlds for exact statements instead of its CASES."""
    return SimpleNamespace(WORLD=committed.planted(NAME).WORLD, CASES=named)


def figures(**changes):
    """The experiment with its first figure changed."""
    return dataclasses.replace(
        FOUND, figures=lambda arms: [dataclasses.replace(FOUND.figures(arms)[0], **changes)]
    )


@pytest.mark.parametrize(
    ("test", "put", "said"),
    [
        (
            bar.test_every_claim_is_complete,
            {"experiment": claims(published=None)},
            "does not say what is published",
        ),
        (bar.test_every_claim_is_complete, {"experiment": claims(source="")}, "names no source"),
        (
            bar.test_every_claim_is_complete,
            {"experiment": claims(near={})},
            "names no near control",
        ),
        (
            bar.test_every_claim_is_complete,
            {"experiment": claims(threshold_from="theory: 1, as the pilot has it")},
            "that a pilot had a part in starts with pilot:",
        ),
        (
            bar.test_every_claim_is_complete,
            {"experiment": theorems(Finding)},
            "at least one claim, or exact statements only",
        ),
        (
            bar.test_an_experiment_without_claims_says_so_wherever_it_is_listed,
            {"experiment": theorems(Exact)},
            "stands in the header",
        ),
        (
            bar.test_every_claim_and_every_control_has_its_planted_worlds,
            {"experiment": theorems(Exact), "module": theorem_cases()},
            "CASES lacks the exact statement 'The planted inputs have variance",
        ),
        (
            bar.test_every_theorem_of_an_experiment_without_claims_can_be_violated,
            {
                "experiment": theorems(Exact),
                "module": theorem_cases(The=committed.planted(NAME).WORLD),
            },
            "violated in its case; got exact and exact",
        ),
        (
            bar.test_no_verdict_rests_on_an_interval_without_width,
            {"record": verdict(low=2.0, high=2.0)},
            "the interval [2.0, 2.0]",
        ),
        (
            bar.test_no_verdict_rests_on_an_interval_without_width,
            {"record": verdict(p=0.0)},
            "has p = 0.0",
        ),
        (
            bar.test_no_verdict_rests_on_an_interval_without_width,
            {"record": verdict(near={})},
            "have no width, so none had a chance",
        ),
        (
            bar.test_a_claim_is_unspecific_where_a_control_passes_or_what_is_credited_was_not_learned,
            {"record": verdict(edition=1, also={"other": {"reason": None}})},
            "holds, and so does ['other']",
        ),
        (
            bar.test_a_claim_is_unspecific_where_a_control_passes_or_what_is_credited_was_not_learned,
            {
                "record": verdict(
                    edition=2,
                    outcome="unspecific",
                    also={"other": {"reason": None, "lacks": False}},
                )
            },
            "unspecific without an arm that satisfies it too",
        ),
        (
            bar.test_skewed_units_are_judged_on_a_log_scale,
            {
                "experiment": claims(bounds=None),
                "record": verdict(points=[1.0, 1.0, 1.1, 0.9, 1.0, 1.0, 1.0, 9.0]),
            },
            "scale='log'",
        ),
        (
            bar.test_intervals_of_such_units_were_measured_to_contain_the_truth,
            {
                "record": verdict(
                    bounds=None,
                    n={"seed": 8},
                    points=[1, 1, 1.1, 0.9, 1, 1, 1, 9],
                    low=1.0,
                    high=2.0,
                    range=[0.9, None],
                )
            },
            "8 units like log-normal units are covered in 88.5% of worlds",
        ),
        (
            bar.test_every_claim_is_complete,
            {"experiment": claims(threshold_from="a guess")},
            "threshold_from starts with",
        ),
        (
            bar.test_every_claim_is_complete,
            {"experiment": claims(threshold_from="pilot: as seen")},
            "names the pilot's seeds",
        ),
        (
            bar.test_every_claim_is_complete,
            {"experiment": dataclasses.replace(FOUND, scope="")},
            "says no scope",
        ),
        (
            bar.test_every_claim_is_complete,
            {
                "experiment": dataclasses.replace(
                    FOUND, arms={**FOUND.arms, "linear": Arm(FOUND.arms["linear"].train)}
                )
            },
            "arm linear has no note",
        ),
        (
            bar.test_its_header_says_what_a_run_costs,
            {"record": RECORD | {"cpu_seconds": 2 * RECORD["cpu_seconds"]}},
            "CPU-seconds, the record",
        ),
        (
            bar.test_it_fits_five_minutes_on_two_cores,
            {"record": RECORD | {"cpu_seconds": 551.0}},
            "551.0 CPU-seconds of 550",
        ),
        (
            bar.test_every_claim_was_judged_on_enough_units_against_its_controls,
            {"record": verdict(n={"seed": 5})},
            "every factor needs at least 6",
        ),
        (
            bar.test_every_claim_was_judged_on_enough_units_against_its_controls,
            {
                "record": verdict(
                    controls={arm: {"outcome": "undecided"} for arm in ("drawn", "linear")}
                )
            },
            "none of its controls fails",
        ),
        (
            bar.test_every_claim_was_judged_on_enough_units_against_its_controls,
            {"record": verdict(controls={"linear-again": {"outcome": "fails"}})},
            "the record judged ['linear-again']",
        ),
        (
            bar.test_most_claims_get_an_answer_and_the_others_say_what_is_missing,
            {
                "record": RECORD
                | {"verdicts": [{**v, "outcome": "undecided"} for v in RECORD["verdicts"]]}
            },
            "3 of 3 claims are undecided",
        ),
        (
            bar.test_most_claims_get_an_answer_and_the_others_say_what_is_missing,
            {
                "record": RECORD
                | {
                    "verdicts": [
                        *RECORD["verdicts"],
                        {**RECORD["verdicts"][0], "outcome": "undecided", "price": None},
                    ]
                }
            },
            "undecided without reason or price",
        ),
        (
            bar.test_its_figures_are_made_from_the_record_and_labelled,
            {"experiment": figures(y_title="")},
            "y_title names what y is",
        ),
        (
            bar.test_its_figures_are_made_from_the_record_and_labelled,
            {"experiment": figures(x_title="")},
            "x_title names what x is",
        ),
        (
            bar.test_its_figures_are_made_from_the_record_and_labelled,
            {"experiment": figures(title="Result")},
            "at least two words",
        ),
        (
            bar.test_every_claim_and_every_control_has_its_planted_worlds,
            {"module": cases(lambda world, removed, passing: (removed, {}))},
            "has worlds for [], its controls are ['drawn', 'linear']",
        ),
        (
            bar.test_without_its_effect_every_claim_fails,
            {"module": cases(lambda world, removed, passing: (world, passing))},
            "should fail without its effect; got holds",
        ),
        (
            bar.test_every_claim_holds_in_its_world_and_every_control_fails,
            {"module": cases(lambda world, removed, passing: (removed, removed, passing))},
            "should be 'holds' and its controls fail in WORLD; got {'main': 'fails'",
        ),
        (
            bar.test_every_other_control_can_pass_and_then_the_claim_is_unspecific,
            {
                "module": cases(
                    lambda world, removed, passing: (removed, {**passing, "linear": world})
                )
            },
            "linear should pass in its world",
        ),
    ],
)
def test_it_says_what_is_missing(entry, test, put, said):
    entry(**put)
    with pytest.raises(AssertionError) as e:
        test(NAME)
    assert said in str(e.value)


@pytest.mark.thorough
def test_what_assay_new_writes_meets_the_bar(entry, tmp_path):
    experiment = catalogue.find(str(write_experiment("my-claim", tmp_path).path))
    lab = Lab(tmp_path / "store", executor=Inline())
    result = lab.run(experiment)
    entry(experiment=experiment, record=recording.make(experiment, result, lab.plan(experiment)))
    for test in JUDGED:
        test("my-claim")


def test_a_claim_without_a_case_is_named(entry):
    module = committed.planted(NAME)
    entry(module=SimpleNamespace(WORLD=module.WORLD, CASES=dict(list(module.CASES.items())[1:])))
    with pytest.raises(
        AssertionError, match=r"CASES lacks the claim 'At density 0.01 at least 1.5 features"
    ):
        bar.test_every_claim_and_every_control_has_its_planted_worlds(NAME)


def test_a_start_that_names_two_claims_is_turned_away(entry):
    module = committed.planted(NAME)
    entry(
        module=SimpleNamespace(
            WORLD=module.WORLD, CASES={"At density 0.01": next(iter(module.CASES.values()))}
        )
    )
    with pytest.raises(AssertionError, match=r"'At density 0.01' starts 2 claims"):
        bar.test_every_claim_and_every_control_has_its_planted_worlds(NAME)


def test_training_that_depends_on_its_neighbours_is_seen(entry, tmp_path, plain_bench):
    def leaky(runs, bench):
        done = FOUND.arms["main"].train(runs, bench)
        done.tensors["W"] *= 1 + 1e-3 * len(runs)
        return done

    entry(experiment=dataclasses.replace(FOUND, arms={**FOUND.arms, "main": Arm(leaky)}))
    with pytest.raises(AssertionError, match="tensor W: a run trained alone differs"):
        bar.test_the_same_key_gives_the_same_numbers_alone_or_among_others(
            NAME, tmp_path, plain_bench
        )


def test_training_that_is_not_a_function_of_its_key_is_seen(entry, tmp_path, plain_bench):
    import torch

    def careless(runs, bench):
        done = FOUND.arms["main"].train(runs, bench)
        done.tensors["W"] += 1e-6 * torch.rand(done.tensors["W"].shape)
        return done

    entry(experiment=dataclasses.replace(FOUND, arms={**FOUND.arms, "main": Arm(careless)}))
    with pytest.raises(AssertionError, match="trained twice from one key, the numbers differ"):
        bar.test_the_same_key_gives_the_same_numbers_alone_or_among_others(
            NAME, tmp_path, plain_bench
        )
