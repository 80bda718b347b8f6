"""Design: the largest part of a preset that fits into a time, against a naive loop over all parts;
what was chosen is gone on with."""

import dataclasses
import math

import numpy as np
import pytest

from assay.cli.progress import Display
from assay.core.claims import Claim
from assay.core.compute import Range
from assay.core.errors import AssayError, ExperimentError, SpecError
from assay.core.experiment import Arm, Cost, Experiment
from assay.core.fit import Group, fit
from assay.core.measures import measures
from assay.core.spec import PerRun, Spec, changed, grid
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.plan.design import design
from assay.lab.plan.forecast import forecast
from assay.lab.plan.preset import override
from assay.lab.work.events import Saved
from assay.verbs.run import lines


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draw(Spec):
    heads: PerRun[float] = 0.0
    noise: PerRun[float] = 1.0
    kind: str = ""


def train(runs, bench):
    import torch

    drawn = [
        np.random.default_rng(s).normal(h, n)
        for s, h, n in zip(runs.seeds, runs.each("heads"), runs.each("noise"), strict=True)
    ]
    return fit(
        [Group(runs, {"x": torch.tensor(drawn)}, lambda state, batch, at: state["x"] * 0)],
        lambda at: None,
        steps=1,
        bench=bench,
    )[0]


def measure(runs, trained, bench):
    return measures(runs, x=("run", trained.tensors["x"], "heads"))


def claim(**more):
    usual = {
        "text": "x is at least 0.5 more than b's",
        "value": lambda arm, arms: arm.x - arms["b"].x,
        "low": 0.5,
        "must_fail": ("none",),
    }
    return Claim(**usual | {"threshold_from": "theory", "source": "here"} | more)


def made(claims=None, per_run=10.0, **more):
    """Four arms, of which the claim names two and reads a third; a run takes `per_run`
    CPU-seconds."""
    small = grid(Draw(heads=9.0), noise=(0.1, 0.2, 0.4), seed=range(1000, 1020))
    arms = {
        "main": Arm(train),
        "none": Arm(train, specs=changed(heads=0.0)),
        "b": Arm(train, specs=changed(heads=0.0, kind="b")),
        "beside": Arm(train, specs=changed(heads=1.0, kind="c")),
        "sum": Arm(derive=lambda arms: arms["beside"]),
    }
    usual = {"measure": measure, "claims": claims or (claim(where={"noise": 0.1}),), "name": "draw"}
    usual |= {"smoke": small[:2], "default": small, "full": small}
    return Experiment(
        arms=arms, **usual | {"cost": lambda runs: Cost(cpu_seconds=per_run * len(runs))} | more
    )


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "of-designs", Inline())


def fitted(lab, experiment, preset, text):
    return design(lab.store, experiment, preset, text, 1)


def middle(lab, experiment, *sets):
    """Seconds by the clock of these sets, as `assay plan` tells them."""
    found = forecast(
        lab.plan(experiment, override(experiment, "default", sets)), experiment, 1, claims=False
    )
    return found.command[0].middle


@pytest.mark.parametrize("seeds", [6, 7, 13, 19])
def test_so_many_seeds_as_a_loop_over_all_numbers_of_them_finds(lab, seeds):
    e = made(claims=(claim(),))  # no where: every value of the sweep is asked
    time = middle(lab, e, f"seed=1000:{1000 + seeds}") + 1
    naive = max(n for n in range(6, 21) if middle(lab, e, f"seed=1000:{1000 + n}") <= time)
    found = fitted(lab, e, override(e), f"{time}s")
    assert found.seeds == naive == seeds and found.preset.sets == (f"seed=1000:{1000 + seeds}",)
    assert len(found.chosen.plan.rows) == 4 * 3 * seeds and len(found.whole.plan.rows) == 240
    assert found.preset.specs == tuple(s for s in e.default if s.seed < 1000 + seeds)
    told = lines(found, f"{time}s")
    assert len(told) == 2 and f"{seeds} of 20 seeds" in told[0]
    # an interval of n units by Student's t against that of 20: t(n−1) √(20/n) / t(19), tabulated
    # values at 97.5 %
    t = {5: 2.570582, 6: 2.446912, 12: 2.178813, 18: 2.100922, 19: 2.093024}
    assert found.wider == pytest.approx(t[seeds - 1] / t[19] * math.sqrt(20 / seeds), rel=1e-5)


def test_all_of_it_where_it_fits_and_nothing_is_changed(lab):
    e = made()
    found = fitted(lab, e, override(e), "100h")
    assert (
        found.preset == override(e)
        and "all of it fits" in lines(found, "100h")[0]
        and lab.plan(e, found.preset).preset.within == ""
    )
    assert fitted(lab, e, override(e), "100h").preset == override(e), "and so it stays"


def test_never_fewer_seeds_than_claims_need(lab):
    e = made()
    six = middle(lab, e, "seed=1000:1006")
    with pytest.raises(
        ExperimentError,
        match=(
            r"draw does not fit into .*: with 6 seeds, which its "
            r"claims need, it takes about \d+ s"
        ),
    ):
        fitted(lab, e, override(e), f"{six - 1}s")
    assert fitted(lab, e, override(e), f"{six + 1}s").seeds == 6


def test_without_what_is_needed_is_refused(lab):
    e = made()
    for arm, why in [
        ("none", "names arm 'none'"),
        ("main", 'must be the arm called "main"'),
        ("bside", "did you mean"),
    ]:
        with pytest.raises(SpecError, match=f"without={arm}.*{why}"):
            override(e, "default", [f"without={arm}"])


def test_the_result_says_that_it_was_chosen_and_for_what(lab):
    e = made()
    text = f"{middle(lab, e, 'seed=1000:1008') + 1}s"
    found = fitted(lab, e, override(e), text)
    result = lab.run(e, found.preset)
    scope = result.judged[0].verdict.scope
    assert "changed: seed=1000:1008" in scope and f"chosen to fit {text}" in scope
    assert (
        result.judged[0].verdict.n == {"seed": 8}
        and result.preset == found.preset.title != "default"
    )


def test_a_command_that_is_repeated_takes_the_same_choice_even_where_the_speed_is_another_by_then(
    lab, monkeypatch
):
    e = made()
    text = f"{middle(lab, e, 'seed=1000:1010') + 1}s"
    first = fitted(lab, e, override(e), text)
    file = next((lab.store.root / "within" / "draw").glob("*.json"))
    faster = made(per_run=0.01)
    again = fitted(lab, faster, override(faster), text)
    assert (
        again.preset == first.preset
        and again.since
        and not first.since
        and "as chosen on" in lines(again, text)[0]
    )
    assert fitted(lab, faster, override(faster), "9" + text).preset == override(e), (
        "another time is another question"
    )
    # changed by hand: it counts as not there
    file.write_text(file.read_text().replace("1010", "1003"))
    assert fitted(lab, faster, override(faster), text).preset == override(e)
    lab.remove("draw")
    assert not (lab.store.root / "within" / "draw").exists()


def test_what_is_stored_costs_nothing(lab):
    e = made()
    lab.run(e, override(e, "default", ["seed=1000:1015"]))
    found = fitted(lab, e, override(e), "60s")
    assert found.seeds >= 15 and lab.plan(e, found.preset).missing == ()


def test_where_nothing_fits_nothing_is_written(lab):
    e = made(per_run=1e4)
    with pytest.raises(ExperimentError, match="nothing was run"):
        fitted(lab, e, override(e), "10s")
    assert not lab.store.root.exists()
    asked = [
        (made(cost=None), "10s", "takes is unknown here.*assay run draw --set seed=0$"),
        (e, "8h@h200", "a budget is a time here"),
    ]
    for unknown, text, why in asked:
        with pytest.raises(AssayError, match=why):
            fitted(lab, unknown, override(unknown), text)


def test_claims_over_other_units_than_seeds_need_all_of_them(lab):
    e = made(claims=(claim(units=("noise",)),))
    with pytest.raises(ExperimentError, match="as it is, since its claims need all of its seeds"):
        fitted(lab, e, override(e), f"{middle(lab, e) - 10}s")


def test_a_run_that_gets_late_says_so_once_and_again_when_it_gets_worse():
    display = Display("draw", within=100.0)
    display.total = 4

    def saved(left):
        display.note(Saved("g", ("main",), 1, 4, Range(left, left)))
        return display.late()

    assert saved(50.0) == ""
    assert "slower than planned: 3 min 20 s in all" in saved(200.0)
    assert saved(210.0) == "" and "5 min" in saved(300.0)
    calm = Display("draw")
    calm.note(Saved("g", ("main",), 1, 4, Range(1e6, 1e6)))
    assert calm.late() == ""
