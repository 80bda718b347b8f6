"""Planted worlds for eval-schedule: accuracies along training in which its claims hold, fail, and
are made vacuous by their controls.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from named_claims import claim_of
from planted_arms import planted_arms

from assay.cli.main import main
from assay.core.bench import Unkept
from assay.core.claims import Exact
from assay.core.estimates import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments.eval_schedule import claims as eval_schedule
from assay_catalogue.experiments.eval_schedule import experiment
from assay_catalogue.experiments.eval_schedule.method import Schedule, train
from assay_catalogue.worlds.modular.replays import replays

TRAINED = [arm for arm, a in experiment.arms.items() if a.train]
STEPS = Schedule().checkpoints


@dataclass(frozen=True)
class World:
    """Per arm: the checkpoint from which abilities are there, until which, how long they rise; what
    a lock leaves, and what is seen."""

    since: dict = field(default_factory=lambda: {"main": 21, "fleeting": 21, "memorising": 99})
    until: dict = field(default_factory=lambda: {"main": 99, "fleeting": 25, "memorising": 99})
    rising: int = 1
    """Checkpoints before it at which an open ability is between 0.1 and 0.9."""
    left: float = 0.03
    """Accuracy that a lock leaves."""
    late: int = 0
    """Checkpoints by which evaluations see abilities later than they exist."""
    taught: float = 0.02
    """Accuracy of what never learned to add, fine-tuned."""
    few: float = 0.25
    """Accuracy after fine-tuning on too few examples."""
    full: float = 0.95

    def arms(self) -> dict:
        return planted_arms(experiment, lambda arm, stream: self.measures(arm))

    def measures(self, arm: str):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        steps = runs.shared.checkpoints
        at = np.arange(len(steps))
        since, until = self.since[arm], self.until[arm]

        def curve(late, rise, low):
            here = (at >= since + late) & (at < until)
            y = np.where(here, self.full, low)
            y = np.where((at >= since + late - rise) & (at < since + late), 0.3, y)
            y = np.where(rise & (at >= until) & (at < until + 6), 0.3, y)  # what passes goes slowly
            return np.repeat(y[None], len(runs), 0) + noise

        noise = 1e-3 * np.arange(len(runs))[:, None]

        never = self.taught if arm == "memorising" else 0.02
        locked = np.where((at >= since) & (at < until), self.left, 0.03)
        named = {}
        for half, late in (("truth", 0), ("seen", self.late)):
            named[f"open_{half}"] = curve(late, self.rising, 0.02)
            named[f"locked_{half}"] = np.repeat(locked[None], len(runs), 0) + noise
            named[f"scant_{half}"] = np.full((len(runs), len(at)), self.few) + noise
            named[f"unlocked_{half}"] = curve(late, 0, never)
        variables = {
            name: ("run step", values, "share of unseen pairs") for name, values in named.items()
        }
        return measures(
            runs, coords={"step": steps}, power=("run", np.ones(len(runs)), "1"), **variables
        )


WORLD = World()


def since(**arms):
    return replace(WORLD, since=WORLD.since | arms)


# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Fine-tuning brings out": (
        replace(WORLD, until=WORLD.until | {"main": 30}),
        {
            "too-few": replace(WORLD, few=0.9),
            "memorising": replace(WORLD, taught=0.9),
            "no-tuning": replace(WORLD, left=0.9),
        },
    ),
    "An ability comes without warning": (
        replace(WORLD, rising=9),
        {"dense": replace(WORLD, rising=0)},
    ),
    "An ability that passes": (
        replace(WORLD, until=WORLD.until | {"fleeting": 99}),
        {
            "fleeting-closer": replace(WORLD, until=WORLD.until | {"fleeting": 22}),
            "fleeting-dense": replace(WORLD, late=4),  # gone before any evaluation sees it
            "main": replace(WORLD, until=WORLD.until | {"main": 24}),
        },
    ),
}


@pytest.mark.parametrize("start", CASES)
def test_an_ability_that_never_comes_decides_nothing(start):
    verdict = judge(
        claim_of(experiment, start), replace(WORLD, since=dict.fromkeys(WORLD.since, 99)).arms()
    ).verdict
    assert verdict.outcome == "undecided"


def test_theorems_come_out_and_are_the_vectors_of_the_schedule():
    exact = [verify(e, WORLD.arms()) for e in experiment.claims if isinstance(e, Exact)]
    assert [v.outcome for v in exact] == ["exact"] * len(exact) and len(exact) == 6
    [rows] = [v.value for v in exact if v.exact.text.startswith("Four histories")]
    assert rows == [2, 4, 6, 8, 3, 6, 9, 12, 2, 4, 6, 2, 4, 6]


def test_a_replayed_schedule_is_a_loop_over_checkpoints():
    for ratio in (2.0, 4.0, 8.0):
        mask = replays(STEPS, ratio)
        for start in (0, 5, 23):
            anchor, wanted = STEPS[start], {STEPS[start], STEPS[-1]}
            for step in STEPS[start:]:
                if step >= ratio * anchor:
                    anchor = step
                    wanted.add(step)
            assert {s for s, yes in zip(STEPS, mask[start], strict=True) if yes} == wanted


def test_how_late_an_ability_is_found_by_hand():
    arm = WORLD.arms()["main"]
    there = eval_schedule.exists(arm, "unlocked")
    assert (there == STEPS[21]).all() and STEPS[21] == 608
    found = eval_schedule.find_step(arm, "unlocked").isel(run=0).values
    # begun at 16, evaluations follow at 64, 256 and 1024; begun at 19 at 76, 304 and 1216; at 38,
    # at 152 and 608
    assert found[[0, 1, 5]].tolist() == [1024, 1216, 608] and found[22] == STEPS[22]
    assert (found >= 608).all() and (found < 4 * 608).all()


def test_a_seen_ability_that_comes_and_goes_is_caught_from_half_of_the_starts():
    arms = WORLD.arms()
    np.testing.assert_allclose(
        eval_schedule.caught(arms["fleeting"], {}), 12 / 24
    )  # 4 checkpoints of 8 to fourfold
    np.testing.assert_allclose(eval_schedule.caught(arms["fleeting"], {}, 0.5), 1.0)
    np.testing.assert_allclose(eval_schedule.caught(arms["fleeting"], {}, 1.5), 8 / 24)


def trained(seeds, **fields):
    return train(Runs([Schedule(seed=s, steps=64, **fields) for s in seeds]), Unkept())


@pytest.mark.parametrize("fields", [{}, {"turn": 0.5}, {"labels": "random"}])
def test_a_run_alone_is_the_run_among_others(fields):
    together, alone = trained((3, 4, 5), **fields), trained((5,), **fields)
    np.testing.assert_allclose(alone.history["loss"][0], together.history["loss"][2], rtol=1e-5)
    for name, x in alone.tensors.items():
        torch.testing.assert_close(
            x[0], together.tensors[name][2], rtol=0, atol=0.02
        )  # shares of some 75 pairs: one may tip


def test_two_stages_are_the_first_and_then_other_labels():
    def losses(**fields):
        done = train(Runs([Schedule(seed=3, **fields)]), Unkept())
        return done, done.history["loss"]

    (one, alone), (two, both) = losses(steps=32), losses(steps=64, turn=0.5)
    assert two.steps[: len(one.steps)].tolist() == one.steps.tolist() and two.steps[-1] == 64
    np.testing.assert_allclose(both[:, : len(one.steps)], alone, rtol=1e-5)
    assert both[0, len(one.steps)] > 2 * alone[0, -1]  # random labels are news
    assert two.tensors["open_truth"].shape == (1, len(Schedule(steps=64).checkpoints))


@pytest.mark.slow
def test_networks_that_add_are_unlocked_and_those_that_memorised_are_not():
    runs = [Schedule(seed=s, steps=1_024) for s in (3, 4)]
    adding, noise = (
        train(Runs([s.replace(labels=labels) for s in runs]), Unkept()).tensors
        for labels in ("sums", "random")
    )
    for half in ("truth", "seen"):
        assert (adding[f"open_{half}"][:, -1] > 0.9).all() and (
            adding[f"locked_{half}"][:, -1] < 0.1
        ).all()
        assert (adding[f"unlocked_{half}"][:, -1] > 0.6).all() and (
            noise[f"unlocked_{half}"] < 0.15
        ).all()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            "ratio=1",
            "ratio is how many times compute grows until an evaluation is due, above 1, got 1",
        ),
        ("ratio=0.5", "above 1, got 0.5"),
        ("ratio=8", "Schedule.ratio is for arms to set: leave it at 4.0, got 8.0"),
        ("months=0", "above 0, got 0"),
        ("months=-3", "above 0, got -3"),
        ("drawn_compute=1,2,3,2.5,4,5,6", "row 4: compute shrinks from 3 to 2.5"),
        ("drawn_compute=1,2", "one history, got 7 and 2 rows"),
        ("drawn_months=0,1,2,1.5,3,4,5", "row 4: time goes back, from 2 to 1.5"),
        ("steps=8", "steps must be at least 16"),
        ("share=1", "Schedule.share must be above 0 and below 1, got 1"),
        ("turn=0", "Schedule.turn must be above 0 and at most 1, got 0"),
        ("turn=0.5", "turn is for arms to set"),
        ("labels=random", "labels is for arms to set"),
        ("p=33", "33"),
        ("lock=0", "lock must be at least 1"),
        ("tuning_lr=0", "Schedule.tuning_lr must be positive, got 0"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_trained(given, told, capsys, tmp_path):
    code = main(
        [
            "run",
            "eval-schedule",
            "--preset",
            "smoke",
            "--set",
            given,
            "--root",
            str(tmp_path / "store"),
            "--executor",
            "inline",
        ]
    )
    err = capsys.readouterr().err
    assert code == 2 and told in err and err.strip().count("\n") == 0, err
    assert not list((tmp_path / "store").glob("runs/*"))
