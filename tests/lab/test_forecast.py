"""Forecast: times from the record by runs, groups and steps; FLOP by a benchmark; what a budget
buys; several as one."""

import dataclasses
import json

import numpy as np
import pytest

from assay.core.claims import Claim
from assay.core.compute import Range, budget
from assay.core.experiment import Arm, Cost, Experiment
from assay.core.fit import Group, fit
from assay.core.measures import measures
from assay.core.power import MOST
from assay.core.spec import PerRun, Spec, changed, grid
from assay.lab import records, times
from assay.lab.executors import Inline
from assay.lab.forecast import forecast, survey
from assay.lab.lab import Lab
from assay.lab.preset import override


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toss(Spec):
    heads: PerRun[float] = 0.0
    width: int = 1
    steps: int = 100


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


def test_the_recorded_runs_cost_what_was_recorded(monkeypatch):
    recorded(monkeypatch)
    assert times.as_recorded(experiment, {"main": small}) == {"main": Range(24, 24)}
    more = grid(Toss(heads=1.0), seed=range(24))
    assert times.as_recorded(experiment, {"main": more}) == {"main": Range(48, 48)}, (
        "twice the runs in twice the groups"
    )


def test_fewer_steps_and_runs_lie_between_two_bounds(monkeypatch):
    recorded(monkeypatch)
    quarter = grid(Toss(heads=1.0, steps=25), seed=range(12))
    assert times.as_recorded(experiment, {"main": quarter}) == {
        "main": Range(24 * 0.25, 24 * (times.FIXED + (1 - times.FIXED) / 4))
    }
    both = times.as_recorded(experiment, {"main": quarter[:2]})[
        "main"
    ]  # training by runs or groups; a fifth measuring, by runs
    assert both.low == pytest.approx(24 / 6 / 4)
    assert both.high == pytest.approx(24 * (times.FIXED / 6 + (1 - times.FIXED) / 3 / 4))
    longer = times.as_recorded(
        experiment, {"main": grid(Toss(heads=1.0, steps=400), seed=range(2))}
    )["main"]
    assert longer.low == pytest.approx(
        24 / 6 * (times.FIXED + (1 - times.FIXED) * 4)
    ) and longer.high == pytest.approx(24 / 3 * 4)
    two = small[:2]  # of three groups of four seeds, one with two
    assert times.as_recorded(experiment, {"main": two})["main"].low == pytest.approx(4)
    assert times.as_recorded(experiment, {"main": two})["main"].high == pytest.approx(24 / 3), (
        "a group may cost the same with two seeds in it"
    )


def test_other_fields_and_other_arms_are_unknown(monkeypatch):
    recorded(monkeypatch, arms=("main",))
    assert (
        times.as_recorded(
            experiment, {"main": grid(Toss(heads=1.0, width=2), seed=range(2)), "none": small}
        )
        == {}
    )
    assert times.as_recorded(experiment, {"main": grid(Toss(heads=0.3), seed=range(12))}) == {
        "main": Range(24, 24)
    }
    assert times.as_recorded(
        experiment, {"main": grid(Toss(heads=1.0, width=0), seed=range(12))}
    ) == {"main": Range(0, 24)}, "at most"


def test_unknown_says_unknown(lab):
    told = forecast(lab.plan(experiment, "full"), experiment)
    assert (told.cpu, told.command, told.flop, told.memory, told.times_from) == (
        None,
        None,
        None,
        None,
        "unknown",
    )
    assert (told.claims[0].expected, told.claims[0].why) == ("unknown", "nothing is measured yet")
    bought = forecast(lab.plan(experiment), experiment, budget=budget("5m"))
    assert bought.bought is None and "unknown" in bought.notes[0]


def test_flop_become_seconds_by_a_benchmark_that_is_told(lab, monkeypatch):
    monkeypatch.setattr("assay.core.compute.measured", lambda seconds=2.0: 1e9)
    stated = dataclasses.replace(experiment, cost=lambda runs: Cost(flop=1e9 * len(runs)))
    told = forecast(lab.plan(stated), stated)
    assert (told.flop, told.rate) == (Range(24e9, 24e9), 1e9)
    assert told.cpu == Range(24 / times.REACHED.high, 24 / times.REACHED.low)
    assert forecast(lab.plan(stated), stated, budget=budget("1e10flop")).bought.range == Range(
        5, 5
    ), "2e9 a seed, in two arms"
    assert (
        "states no FLOP"
        in forecast(lab.plan(experiment), experiment, budget=budget("1e10flop")).notes[0]
    )


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


def test_a_time_buys_seeds(lab, monkeypatch):
    recorded(monkeypatch, cost=5.0)
    monkeypatch.setattr("assay.lab.forecast.recorded", lambda experiment, record: {})
    told = forecast(lab.plan(experiment), experiment, workers=2, budget=budget("106s"))
    each = 10 * times.MACHINE
    assert told.bought.range == Range(
        (100 * 2) // each.high, ((106 - times.STARTING.low) * 2) // each.low
    )
    assert (told.bought.seeds, told.bought.chosen, told.bought.runs) == (
        20,
        "seed=1000:1020",
        40,
    ), "√(16 · 25), of two arms"
    assert told.bought.command == times.command(Range(200, 200), 2)


def test_what_is_stored_is_not_bought_again(lab, monkeypatch):
    lab.run(experiment)
    stated = dataclasses.replace(experiment, cost=lambda runs: Cost(flop=1e9 * len(runs)))
    told = forecast(lab.plan(stated), stated, budget=budget("1e10flop"))
    assert (
        told.bought.range == Range(17, 17)
        and told.bought.runs == 10
        and told.bought.chosen == "seed=1000:1017"
    )
    assert told.bought.flop == Range(1e10, 1e10)
    assert (told.claims[0].units, told.command[0]) == (17, times.STARTING), (
        "and the plan itself needs nothing"
    )


def test_nobody_needs_a_million_seeds(lab, monkeypatch):
    lab.run(experiment)
    stated = dataclasses.replace(experiment, cost=lambda runs: Cost(flop=1e3 * len(runs)))
    bought = forecast(lab.plan(stated), stated, budget=budget("1e15flop")).bought
    assert (bought.seeds, bought.whole, bought.chosen) == (MOST, False, f"seed=1000:{1000 + MOST}")


def test_several_as_one_count_shared_artefacts_once(lab, monkeypatch):
    recorded(monkeypatch)
    alike = [
        dataclasses.replace(
            experiment, name=n, cost=lambda runs: Cost(bytes=100, artefacts={"harvest": 90})
        )
        for n in "ab"
    ]
    parts = [forecast(lab.plan(e), e, claims=False) for e in alike]
    clock, cpu, disk = survey(parts, 2)
    assert disk == sum(p.plan.disk for p in parts) - 90
    one, both = times.command(Range(48, 48), 2), times.command(Range(96, 96), 2)
    assert one[0].low < both[0].low < clock.low and both[1].low < cpu.low
    unknown = forecast(lab.plan(experiment, "full"), experiment, claims=False)
    assert survey([*parts, unknown], 2)[:2] == (None, None)


def test_the_benchmark_is_stored_with_the_result_and_not_made_again(lab, monkeypatch):
    stated = dataclasses.replace(experiment, cost=lambda runs: Cost(flop=1e9))
    monkeypatch.setattr(times, "measured", lambda: 1.5e9)
    assert lab.run(stated).provenance["flop_per_cpu_second"] == 1.5e9
    monkeypatch.setattr(times, "measured", lambda: 7.0)
    assert lab.run(stated).provenance["flop_per_cpu_second"] == 1.5e9
    assert (
        "flop_per_cpu_second"
        not in lab.run(dataclasses.replace(experiment, name="silent")).provenance
    )


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
    assert (
        told.spread_from.startswith("nothing, since its record no longer fits")
        and told.claims[0].expected == "unknown"
    )


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
    assert (now.units, now.half_width is not None, now.fewest) == (
        6,
        True,
        None,
    ) and "seeds do not buy its units, pairs" in now.why
    assert (more.units, more.half_width, more.expected) == (None, None, "unknown")


def paired(x):
    return x.coarsen(run=2).mean().drop_vars([str(c) for c in x.coords]).rename(run="pair")
