"""Speed: what is kept of one machine is not used on another, and predictions scale by ratios worked
out by hand."""

import dataclasses
import json

import numpy as np
import pytest

from assay.core.compute import Range
from assay.core.experiment import Arm, Cost, Experiment
from assay.core.fit import Group, fit
from assay.core.measures import measures
from assay.core.spec import Spec, grid
from assay.lab import records, speed, times
from assay.lab.executors import Inline
from assay.lab.forecast import forecast, survey
from assay.lab.lab import Lab
from assay.lab.speed import Piece, Speed


def measured(**pieces: float) -> Speed:
    """This machine, at so many milliseconds a piece of work."""
    cpu, torch = speed.machine()
    return Speed(
        cpu,
        1,
        torch,
        "2026-11-22T01:00:00+00:00",
        {name: Piece(ms, ms) for name, ms in pieces.items()},
    )


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cache" / "speed.json"


def test_what_is_kept_of_this_machine_is_found_again(file):
    assert speed.load_speed(file=file) is None
    first, second = measured(a=1.5, b=2.0), measured(a=3.0)
    speed.keep(first, file)
    assert speed.load_speed(file=file) == first
    speed.keep(second, file)
    assert speed.load_speed(file=file) == second, "measured once more"


@pytest.mark.parametrize("other", [{"cpu": "another processor"}, {"torch": "1.0"}, {"threads": 2}])
def test_what_was_measured_elsewhere_is_not_used(file, other):
    speed.keep(dataclasses.replace(measured(a=1.0), **other), file)
    assert speed.load_speed(file=file) is None
    mine = measured(a=7.0)
    speed.keep(mine, file)
    assert speed.load_speed(file=file) == mine


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 1}'])
def test_a_damaged_file_tells_nothing_and_is_written_anew(file, text):
    file.parent.mkdir()
    file.write_text(text)
    assert speed.load_speed(file=file) is None
    speed.keep(measured(a=1.0), file)
    assert speed.load_speed(file=file) == measured(a=1.0)


def test_two_machines_are_compared_by_the_pieces_that_both_have():
    now = measured(a=2.0, b=8.0, only_here=5.0)
    found = speed.compared(now, {"a": 1.0, "b": 2.0, "only there": 9.0})
    assert found.low == pytest.approx(2) and found.high == pytest.approx(4), (
        "twice and four times: √8, times or divided by √2"
    )
    alike = speed.compared(now, {"a": 1.0, "b": 4.0})
    assert alike.middle == pytest.approx(2) and alike.high / alike.middle == pytest.approx(
        speed.HOURS
    ), "never more certain than that"
    assert speed.compared(now, {}) is None and speed.compared(None, {"a": 1.0}) is None


def test_the_disk_says_nothing_of_training():
    name = speed.FILES[0]
    assert speed.compared(
        measured(**{"a": 1.0, name: 90.0}), {"a": 1.0, name: 1.0}
    ).middle == pytest.approx(1)
    assert speed.compared(measured(**{name: 90.0}), {name: 1.0}) is None


def test_a_piece_of_work_is_done_once_to_warm_up_and_at_least_once_more():
    done = []
    piece = speed.timed(lambda: done.append(1), 0.0)
    assert len(done) == 2 and 0 <= piece.min_ms <= piece.median_ms


# plans --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toss(Spec):
    steps: int = 1


def train(runs, bench):
    import torch

    return fit(
        [Group(runs, {"x": torch.zeros(len(runs))}, lambda state, batch, at: state["x"] * 0)],
        lambda at: None,
        steps=1,
        bench=bench,
    )[0]


def measure(runs, trained, bench):
    return measures(runs, x=("run", np.zeros(len(runs)), "1"))


runs = grid(Toss(), seed=range(1000, 1010))
experiment = Experiment(
    arms={"main": Arm(train)},
    measure=measure,
    claims=(),
    smoke=runs[:2],
    default=runs,
    full=runs,
    name="toss-again",
)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "store", Inline())


def recorded(monkeypatch, **provenance):
    """A record of ten runs at 3 CPU-seconds each."""
    each = [json.loads(s.to_json()) for s in runs]
    held = {"shared": each[0], "specs": [{"seed": s["seed"]} for s in each]}
    record = {
        "cost": {"main": 3.0},
        "arms": {"main": held},
        "verdicts": [],
        "preset": "default",
        "provenance": provenance,
    }
    monkeypatch.setattr(records, "read", lambda name, origin="", **head: record)


def test_a_plan_scales_what_was_recorded_to_this_machine(lab, monkeypatch):
    recorded(monkeypatch, speed={"a": 1.0, "b": 10.0})
    speed.keep(measured(a=2.0, b=20.0))
    plan = lab.plan(experiment)
    assert plan.per_run["main"] == pytest.approx(6) and plan.cpu_seconds == pytest.approx(60), (
        "twice as slow here"
    )
    told = forecast(plan, experiment, claims=False)
    assert told.cpu.low == told.cpu.high == pytest.approx(60) and "assay bench" in told.times_from
    work = Range(60 / speed.HOURS, 60 * speed.HOURS)
    assert told.command[1].low == pytest.approx(times.STARTING.low + work.low)
    assert told.command[1].high == pytest.approx(times.STARTING.high + work.high), (
        "narrower than where nothing is known"
    )
    assert survey([told], 1)[1].high == pytest.approx(times.STARTING.high + work.high)
    smoke = forecast(lab.plan(experiment, "smoke"), experiment, claims=False)
    assert smoke.cpu.low == pytest.approx(12) and "assay bench" in smoke.times_from, (
        "two of ten runs"
    )


@pytest.mark.parametrize("here", [True, False])
def test_a_record_without_a_bench_or_a_machine_without_one_leaves_the_range_as_it_was(
    lab, monkeypatch, here
):
    recorded(monkeypatch, **({} if here else {"speed": {"a": 1.0}}))
    if here:
        speed.keep(measured(a=2.0))
    told = forecast(lab.plan(experiment), experiment, claims=False)
    assert told.cpu == Range(30, 30) and told.times_from == "the record"
    assert told.command == times.command(Range(30, 30), 1, times.MACHINE)


def test_a_result_says_how_fast_its_machine_is(lab):
    assert "speed" not in lab.run(experiment).provenance
    speed.keep(measured(a=2.0))
    assert lab.run(experiment).provenance["speed"] == {"a": 2.0}
    speed.keep(measured(a=3.0))
    assert lab.run(experiment).provenance["speed"] == {"a": 2.0}, "as it was when its runs were new"


def test_a_result_of_another_machine_does_not_get_this_one_s_speed(lab, monkeypatch):
    now = measured(a=2.0)
    monkeypatch.setattr(
        speed, "load_speed", lambda: dataclasses.replace(now, cpu="another processor")
    )
    assert "speed" not in lab.run(experiment).provenance


def test_flop_become_seconds_by_what_was_measured(lab, monkeypatch):
    monkeypatch.setattr(
        "assay.core.compute.measured", lambda seconds=2.0: pytest.fail("measured again")
    )
    speed.keep(measured(**{speed.PRODUCT: 10.0}))
    stated = dataclasses.replace(experiment, cost=lambda runs: Cost(flop=1e9))
    told = forecast(lab.plan(stated), stated, claims=False)
    assert (
        told.rate == pytest.approx(2 * 512**3 / 0.010)
        and told.times_from == "its FLOP and assay bench"
    )


def test_starting_takes_as_long_as_it_was_found_to_take(lab, monkeypatch):
    recorded(monkeypatch)
    assert (
        times.starting(2) == (times.STARTING, times.STARTING * 2.0)
        and forecast(lab.plan(experiment), experiment, claims=False).bench is None
    )
    speed.keep(measured(**{speed.STARTING: 2000.0}))
    each = times.STARTED * 2.0
    assert times.starting(2) == (each * 2.0, each * 3.0), (
        "by the clock one process after the other; CPU-seconds of all three"
    )
    told = forecast(lab.plan(experiment), experiment, workers=2, claims=False)
    assert told.bench == "2026-11-22T01:00:00+00:00"
    work = Range(30, 30) * times.MACHINE
    assert told.command == (each * 2.0 + work / 2.0, each * 3.0 + work)
