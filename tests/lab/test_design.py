"""Design: the largest part of a preset that fits into a time, against a naive loop over all parts;
what was chosen is gone on with."""

import dataclasses
import math

import numpy as np
import pytest

from assay.cli.progress import Display
from assay.cli.within import lines
from assay.core.claims import Claim
from assay.core.compute import Range
from assay.core.errors import AssayError, ExperimentError, SpecError
from assay.core.experiment import Arm, Cost, Experiment
from assay.core.fit import Group, fit
from assay.core.measures import measures
from assay.core.spec import PerRun, Spec, changed, grid
from assay.lab import speed
from assay.lab.events import Saved
from assay.lab.executors import Inline
from assay.lab.forecast import forecast
from assay.lab.lab import Lab
from assay.lab.preset import override
from assay.verbs.within import fitted


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


@pytest.fixture(autouse=True)
def _no_bench(monkeypatch):
    monkeypatch.setattr(speed, "load_speed", lambda *a, **k: None)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "of-designs", Inline())


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
    assert found.seeds == naive == seeds and found.set == (f"seed=1000:{1000 + seeds}",)
    assert (
        found.runs == 4 * 3 * seeds
        and found.of_runs == 240
        and not found.left_out_arms
        and not found.left_out_values
    )
    assert found.choice.specs == tuple(s for s in e.default if s.seed < 1000 + seeds)
    told = lines(found)
    assert len(told) == 2 and f"{seeds} of 20 seeds" in told[0]
    # an interval of n units by Student's t against that of 20: t(n−1) √(20/n) / t(19), tabulated
    # values at 97.5 %
    t = {5: 2.570582, 6: 2.446912, 12: 2.178813, 18: 2.100922, 19: 2.093024}
    assert found.wider == pytest.approx(t[seeds - 1] / t[19] * math.sqrt(20 / seeds), rel=1e-5)


def test_all_of_it_where_it_fits_and_nothing_is_changed(lab):
    e = made()
    found = fitted(lab, e, override(e), "100h")
    assert (
        found.set == ()
        and found.preset == "default"
        and found.choice == override(e)
        and "all of it fits" in lines(found)[0]
    )
    assert fitted(lab, e, override(e), "100h").choice == override(e), "and so it stays"


def test_values_go_that_no_claim_asks_for_and_only_where_seeds_do_not_suffice(lab):
    e = made()
    six = middle(lab, e, "seed=1000:1006")
    found = fitted(lab, e, override(e), f"{six - 1}s")
    assert (
        found.set[0] == "noise=0.1"
        and found.left_out_values == {"noise": (0.2, 0.4)}
        and found.left_out_arms == ()
    )
    assert found.seeds > 6, "what the values cost buys seeds again"
    assert (
        middle(lab, e, *found.set)
        <= six - 1
        < middle(lab, e, "noise=0.1", f"seed=1000:{1001 + found.seeds}")
    )
    swept = made(claims=(claim(where={"noise": 0.1}), claim(text="y is at least 0.5")))
    with pytest.raises(
        ExperimentError,
        match=(
            r"draw does not fit into .*: with 6 seeds, which its "
            r"claims need, it takes about \d+ s"
        ),
    ):
        fitted(lab, swept, override(swept), f"{six - 1}s")  # the other claim reads them all


def test_arms_go_that_no_claim_names_or_reads_and_a_control_never(lab, monkeypatch):
    e = made()
    Lab(lab.store.root, Inline()).run(
        made(), override(e, "default", ["seed=0:6"])
    )  # so that what claims read is known
    e = made(default=tuple(s.replace(seed=s.seed - 1000) for s in e.default), per_run=1000.0)
    lab.remove("draw")
    shown = _measured(e, lab)
    monkeypatch.setattr("assay.lab.design.measured", lambda *a: shown)
    with_values = middle(lab, e, "noise=0.1", "seed=0:6")
    found = fitted(lab, e, override(e), f"{with_values - 1}s")
    assert found.left_out_arms == ("beside", "sum") and found.seeds >= 6
    assert {r.job.arm for r in lab.plan(e, found.choice).rows} == {"main", "none", "b"}
    with pytest.raises(ExperimentError, match="does not fit into 2000s"):
        fitted(lab, e, override(e), "2000s")


def _measured(e, lab):
    """The measures of every arm on six seeds, made where nobody else looks."""
    from assay.lab.result import load, with_derived

    there = Lab(lab.store.root.parent / "other", Inline())
    few = override(e, "default", ["seed=0:6"])
    there.run(e, few)
    return with_derived(e, load(there.plan(e, few)))


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
    found = fitted(lab, e, override(e), f"{middle(lab, e, 'seed=1000:1008') + 1}s")
    result = lab.run(e, found.choice)
    scope = result.judged[0].verdict.scope
    assert "changed: seed=1000:1008" in scope and f"chosen to fit {found.within}" in scope
    assert result.judged[0].verdict.n == {"seed": 8} and result.preset == found.preset != "default"


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
        again.choice == first.choice
        and again.since
        and not first.since
        and "as chosen on" in lines(again)[0]
    )
    assert fitted(lab, faster, override(faster), "9" + text).set == (), (
        "another time is another question"
    )
    file.write_text(
        file.read_text().replace("1010", "1003")
    )  # changed by hand: it counts as not there
    assert fitted(lab, faster, override(faster), text).set == ()
    lab.remove("draw")
    assert not (lab.store.root / "within" / "draw").exists()


def test_what_is_stored_costs_nothing(lab):
    e = made()
    lab.run(e, override(e, "default", ["seed=1000:1015"]))
    found = fitted(lab, e, override(e), "60s")
    assert found.seeds >= 15 and lab.plan(e, found.choice).missing == ()


def test_where_nothing_fits_nothing_is_written(lab):
    e = made(per_run=1e4)
    with pytest.raises(ExperimentError, match="nothing was run"):
        fitted(lab, e, override(e), "10s")
    assert not lab.store.root.exists()
    asked = [
        (made(cost=None), "10s", "takes is unknown here.*assay run draw --set seed=0$"),
        (e, "8h@h200", "a time on this machine"),
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
