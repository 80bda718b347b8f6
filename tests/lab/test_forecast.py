"""Forecast: times from the record by runs and steps; and how many seeds fit into a time."""

import dataclasses
import json

import numpy as np
import pytest

from assay.core.claims import Claim
from assay.core.compute import Range
from assay.core.experiment import Arm, Experiment
from assay.core.fit import Group, fit
from assay.core.measures import measures
from assay.core.spec import PerRun, Spec, changed, grid
from assay.lab.engines import Inline
from assay.lab.forecast import forecast
from assay.lab.lab import Lab
from assay.lab.plan import plan as planning
from assay.lab.plan.preset import override
from assay.lab.records import records
from assay.lab.work.worker import Workbench


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toss(Spec):
    heads: PerRun[float] = 0.0
    width: int = 1
    steps: int = 100
    biased: bool = False


def train(runs, bench):
    import torch

    def step(state, batch, at):
        return state["x"] * 0

    x = torch.tensor(
        [
            np.random.default_rng(s).normal(h)
            for s, h in zip(runs.seeds, runs.each("heads"), strict=True)
        ]
    )
    return fit([Group(runs, {"x": x}, step)], lambda at: None, steps=1, bench=bench)[0]


def measure(runs, trained, bench):
    return measures(runs, x=("run", trained.tensors["x"], "1"))


claim = Claim(
    text="x is at least 0.5",
    value=lambda arm, arms: arm.x,
    low=0.5,
    must_fail=("none",),
    threshold_from="theory",
    source="here",
)
small = grid(Toss(heads=1.0), seed=range(1000, 1012))
experiment = Experiment(
    arms={"main": Arm(train), "none": Arm(train, specs=changed(heads=0.0))},
    measure=measure,
    claims=(claim,),
    smoke=small[:2],
    default=small,
    full=grid(Toss(heads=1.0, width=9), seed=range(12)),
    name="toss",
)


def recorded(monkeypatch, arms=("main", "none"), cost=2.0):
    """A record of twelve seeds of each arm at so many CPU-seconds a run."""
    specs = [json.loads(s.to_json()) for s in small]
    own = [{"seed": s.pop("seed")} for s in specs]
    held = {"shared": specs[0], "specs": own}
    record = {
        "cost": dict.fromkeys(arms, cost),
        "arms": dict.fromkeys(arms, held),
        "verdicts": [],
        "preset": "default",
    }
    monkeypatch.setattr(records, "read", lambda name, origin="", **head: record)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "s", Inline())


def planned(lab, specs):
    """CPU-seconds of runs of main and none at these specs, and where from."""
    plan = lab.plan(dataclasses.replace(experiment, smoke=specs), "smoke")
    return plan.cpu_seconds, plan.cost_from


def test_other_numbers_of_runs_and_steps_are_a_ratio_of_the_record(lab, monkeypatch):
    recorded(monkeypatch)
    assert lab.plan(experiment).per_run == {"main": 2.0, "none": 2.0}
    more = grid(Toss(heads=1.0), seed=range(24))
    scaled = "the record, scaled by steps"
    assert planned(lab, more) == (96.0, "the record")
    for steps in (25, 400):  # a twentieth of a run is not training
        cpu, _ = planned(lab, grid(Toss(heads=1.0, steps=steps), seed=range(12)))
        assert cpu == pytest.approx(48 * (0.05 + 0.95 * steps / 100))
    less = planned(lab, grid(Toss(heads=1.0, width=0), seed=range(12)))
    assert less == (48.0, scaled), "smaller fields are not counted"
    larger = planned(lab, grid(Toss(heads=1.0, width=2), seed=range(2)))
    between = 8 * (0.05 + 0.95 * 2**0.5)
    assert larger == (pytest.approx(between), scaled), "between no effect and twice"
    flipped = planned(lab, grid(Toss(heads=1.0, biased=True), seed=range(12)))
    assert flipped == (48.0, scaled)
    largest = planned(lab, grid(Toss(heads=1.0, width=5), seed=range(2)))
    assert largest == (None, "unknown")


def test_what_is_recorded_is_told_for_the_machine_that_stored_runs_were_made_on(lab, monkeypatch):
    recorded(monkeypatch)
    monkeypatch.setattr(Workbench, "about", lambda self: {"cpu_seconds": 6.0})
    lab.run(experiment, override(experiment, "default", ["seed=1000:1004"]))
    plan = lab.plan(experiment)
    assert plan.per_run == {"main": 6.0, "none": 6.0}, "three times as long as recorded"
    assert (plan.cpu_seconds, plan.cost_from) == (8 * 2 * 6.0, "the record")


def test_what_one_arm_takes_is_unknown_where_the_record_lacks_it(lab, monkeypatch):
    recorded(monkeypatch, arms=("main",))
    plan = lab.plan(experiment)
    times = planning.command_times(plan, experiment)
    assert (plan.per_run, plan.cpu_seconds, times) == ({"main": 2.0}, None, None)


def test_times_of_these_runs_are_off_by_less_than_those_of_others(lab, monkeypatch):
    recorded(monkeypatch)
    monkeypatch.setattr("assay.lab.forecast.recorded", lambda experiment, record: {})
    told = forecast(lab.plan(experiment), experiment, workers=2)
    start = planning.START
    clock, cpu = start + 48 / 2, start + 48
    assert told.command == (Range(clock / 1.25, clock * 1.25), Range(cpu / 1.25, cpu * 1.25))
    smoke = forecast(lab.plan(experiment, "smoke"), experiment)
    assert smoke.command[0] == Range((start + 8) / 1.25, (start + 8) * 1.25)
    longer = override(experiment, "default", ["steps=200"])
    more = forecast(lab.plan(experiment, longer), experiment).command[0]
    twice = start + 48 * (0.05 + 0.95 * 2)
    assert (more.low, more.high) == pytest.approx((twice / 2, twice * 2))


def test_a_command_opens_what_its_workers_share_once(lab, monkeypatch):
    class Model:
        def size(self):
            return 1e9

    recorded(monkeypatch)
    plan = lab.plan(experiment)
    alone, shared = (
        planning.command_times(plan, dataclasses.replace(experiment, shared=model))
        for model in (None, Model())
    )
    for before, after in zip(alone, shared, strict=True):
        assert after.low - before.low == pytest.approx(1e9 * planning.OPENING / 1.25)


def test_runs_that_share_steps_with_fewer_take_longer():
    """Of 16 runs a group, a run costs a sixteenth of a group; by itself it costs from as much to 16
    times as much, and the middle of the two is 4."""
    many = grid(Toss(), heads=(0.2, 0.4, 0.6, 0.8), seed=range(8))
    one = grid(Toss(heads=0.2), seed=range(8))
    assert planning.alone(many, one, 4, 1) == 4.0
    assert planning.alone(many, one, 4, 4) == 2.0
    assert planning.alone(one, many, 4, 4) == 1.0  # more do not take less


def test_unknown_says_unknown(lab):
    told = forecast(lab.plan(experiment, "full"), experiment)
    assert (told.command, told.memory, told.plan.cost_from) == (None, None, "unknown")
    assert told.claims[0].expected == "unknown"
    assert told.claims[0].why == "nothing is measured yet"


def test_stored_seeds_are_the_pilot_of_more(lab):
    lab.run(experiment)
    wider = override(experiment, "default", ["seed=1000:1048"])
    few, many = (
        forecast(lab.plan(experiment, p), experiment).claims[0] for p in ("default", wider)
    )
    assert (few.units, many.units) == (12, 48)
    result = lab.judge(experiment).judged[0].verdict
    by_t = (result.t_high - result.t_low) / 2
    assert by_t < few.half_width < 1.25 * by_t, "the hull, which decides, contains Student's t"
    assert 0.42 < many.half_width / few.half_width < 0.5, (
        "half, and a little less of Student's t and of the hull"
    )
    assert forecast(lab.plan(experiment, wider), experiment).spread_from == "12 stored seeds"


def test_a_record_that_no_longer_fits_is_no_reason_to_stop(lab, monkeypatch):
    recorded(monkeypatch)
    record = {
        **records.read("toss"),
        "arms": {
            "main": {
                "shared": {"gone": 1},
                "specs": [{}],
                "measures": {"coords": {}, "variables": {}},
            }
        },
    }
    monkeypatch.setattr(records, "read", lambda name, origin="", **head: record)
    told = forecast(lab.plan(experiment), experiment)
    assert told.spread_from.startswith("nothing: its record no longer fits")
    assert told.claims[0].expected == "unknown"


def test_units_that_seeds_do_not_buy_have_their_width_where_nothing_changes(lab):
    pairs = dataclasses.replace(
        claim, text="pairs of seeds", units=("pair",), value=lambda arm, arms: paired(arm.x)
    )
    both = dataclasses.replace(experiment, claims=(pairs,))
    lab.run(both)
    now, more = (
        forecast(lab.plan(both, p), both).claims[0]
        for p in ("default", override(both, "default", ["seed=1000:1024"]))
    )
    assert now.units == 6
    assert now.half_width is not None
    assert now.fewest is None
    assert "its units are pairs" in now.why
    assert (more.units, more.half_width, more.expected) == (None, None, "unknown")


def paired(x):
    return x.coarsen(run=2).mean().drop_vars([str(c) for c in x.coords]).rename(run="pair")
