"""Places in the sentences of an experiment are filled from the specs of each preset."""

import dataclasses

import pytest

from assay.core import Arm, Claim, Exact, Experiment, PerRun, Spec, changed, grid
from assay.core.errors import ExperimentError, SpecError
from assay.lab.plan.preset import apply_preset, override


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sized(Spec):
    k: PerRun[int] = 16
    rate: float = 3e-5


def made(note="", frozen=None, **of):
    arms = {
        "main": Arm(lambda runs, bench: None, note=note),
        "double": Arm(lambda runs, bench: None, specs=changed(k=32)),
        "of-{double.k}": Arm(derive=lambda arms: arms["double"]),
    }
    about = Claim(
        text="At {main.k} more than at {double.k:w}, at {main.rate}",
        value=lambda a, b: a,
        low=0.0,
        must_fail=("of-{double.k}",),
        threshold_from="plan: none",
        source="none",
    )
    claims = (
        about,
        Exact(
            text="x_{i} is {{1}}, not {0}", value=lambda arms: 0, expected=0, tolerance=0, source=""
        ),
    )
    return Experiment(
        arms=arms,
        measure=lambda *_: None,
        claims=claims,
        smoke=grid(Sized(k=4)),
        default=grid(Sized()),
        full=grid(Sized(), k=(8, 64)),
        frozen=frozen or {},
        name="sized",
        **of,
    )


def test_places_are_filled_for_each_preset_and_other_braces_stay():
    experiment = made(
        "{half} of {main.k#:w run|runs}", sizes={"half": lambda sizes: sizes("main", "k")[0] // 2}
    )
    assert experiment.claims[0].text == "At 16 more than at thirty-two, at 3e-5"
    assert list(experiment.arms)[2] == "of-32"
    full = apply_preset(experiment, override(experiment, "full"))
    assert full.claims[0].text == "At 8 and 64 more than at thirty-two, at 3e-5"
    assert full.arms["main"].note == "4 of two runs"
    assert apply_preset(full, override(experiment, "smoke")).arms["main"].note == "2 of one run"
    assert experiment.claims[1].text == full.claims[1].text == "x_{i} is {{1}}, not {0}"


def test_places_that_nothing_fills_are_refused_in_one_line():
    for note, says in (
        ("{mian.k}", "main"),
        ("{main.kk}", "no field kk"),
        ("{of-32.k}", "not an arm that trains"),
    ):
        with pytest.raises(ExperimentError, match=says):
            made(note)
    with pytest.raises(SpecError, match="only 1 of k"):
        made("{main.k[1]}")
    with pytest.raises(ExperimentError, match="only a derived arm's name has places"):
        dataclasses.replace(
            made(), arms={**made().arms, "at-{main.k}": Arm(lambda runs, bench: None)}
        )
    with pytest.raises(ExperimentError, match="frozen names k, which differs between presets"):
        made(frozen={"k": "the title"})
