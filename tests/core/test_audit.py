"""What an audit lists of claims: planted averages, idle controls and idle arms, each told from its
neighbour that is none."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import xarray as xr

from assay.core.audit import averaged, doubts, unlearned
from assay.core.claims import Claim
from assay.core.experiment import Arm, Experiment
from assay.core.spec import PerRun, Spec
from assay.core.stats import ratio

SEEDS, KINDS = 8, ["rare", "ordinary", "dead-weight"]


def arm(level, seed=0):
    """Measures that vary over kinds, moments and documents, of numbers that no two levels share."""
    of = np.random.default_rng(seed)
    slope = level + of.normal(size=(SEEDS, 3, 2))
    named = {
        "slope": (("run", "kind", "moment"), slope),
        "seen": (("run", "kind"), slope[:, :, 0] > 0),
        "error": (("run", "document"), of.uniform(1, 2, (SEEDS, 5))),
        "size": (("run", "document"), of.uniform(1, 2, (SEEDS, 5))),
        "angle": ("run", of.normal(size=SEEDS)),
        "zero": ("run", np.zeros(SEEDS)),
    }
    return xr.Dataset(
        named, coords={"seed": ("run", np.arange(SEEDS)), "kind": KINDS, "moment": ["half", "end"]}
    )


ARMS = {"main": arm(-3.0), "control": arm(0.0, 1), "other": arm(0.0, 2)}


def claim(value, text="slopes are steep", **more):
    given = {
        "high": -0.9,
        "must_fail": ("control",),
        "threshold_from": "plan: here",
        "source": "here",
    }
    return Claim(text=text, value=value, **(given | more))


def only(x):
    """A measure as units of seeds."""
    return x.swap_dims(run="seed")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (lambda a, o: only(a.slope.sel(kind="rare", moment="end")), {}),
        (lambda a, o: only(a.slope.sel(kind="rare").mean("moment")), {"moment": ("slope",)}),
        (
            lambda a, o: only(a.slope.mean(["kind", "moment"])),
            {"kind": ("slope",), "moment": ("slope",)},
        ),
        (lambda a, o: only(a.slope.sel(moment="end")).median("kind"), {"kind": ("slope",)}),
        (lambda a, o: only(a.seen.sum("kind")) * 1.0, {"kind": ("seen",)}),
        (
            lambda a, o: only(a.slope.max(["kind", "moment"])),
            {"kind": ("slope",), "moment": ("slope",)},
        ),
        (
            lambda a, o: only(
                a.slope.sel(kind="rare", moment="end") - a.slope.sel(kind="rare", moment="half")
            ),
            {},
        ),
        (
            lambda a, o: only(
                a.slope.sel(moment="half").sel(kind=["rare", "ordinary"]).mean("kind")
            ),
            {},
        ),  # chosen levels: not seen
        (
            lambda a, o: (
                only(a.slope.sel(moment="end").mean("kind"))
                - only(o["other"].slope.sel(moment="end")).mean("kind")
            ),
            {"kind": ("slope",)},
        ),
        (
            lambda a, o: only((a.error * a["size"]).sum("document") / a["size"].sum("document")),
            {"document": ("error", "size")},
        ),
    ],
)
def test_dimensions_over_which_all_levels_are_alike_are_told_with_their_measures(value, found):
    assert averaged(claim(value), ARMS) == found


def test_what_the_sentence_names_and_what_is_a_unit_is_not_told():
    over = claim(
        lambda a, o: only(a.slope.mean(["kind", "moment"])),
        "the mean over Kinds and moments is steep",
    )
    assert averaged(over, ARMS) == {}
    crossed = claim(lambda a, o: only(a.error), units=("seed", "document"))
    assert averaged(crossed, ARMS) == {}
    by_terms = claim(
        lambda a, o: {"e": only(a.error.sum("document")), "v": only(a["size"].sum("document"))},
        statistic=ratio("e", "v"),
    )
    assert averaged(by_terms, ARMS) == {"document": ("error", "size")}


@dataclass(frozen=True, kw_only=True)
class Walk(Spec):
    """A run that trains for some steps."""

    steps: int = 100
    frozen: str = ""
    penalty: PerRun[float] = 0.1


def fields(**given):
    """An arm whose runs have these fields."""
    return Arm(
        train=lambda runs, bench: None, specs=lambda specs: tuple(s.replace(**given) for s in specs)
    )


ARM = {
    "main": Arm(train=lambda runs, bench: None),
    "control": fields(penalty=0.2),
    "other": fields(steps=50),
    "untrained": fields(steps=90),
    "start": fields(steps=0),
    "half-learned": fields(frozen="decoder"),
    "mixed": Arm(derive=lambda arms: arms["main"]),
}
EXPERIMENT = Experiment(
    arms=ARM,
    measure=lambda runs, trained, bench: None,
    claims=(),
    smoke=(Walk(seed=0),),
    default=(Walk(seed=0), Walk(seed=1)),
    full=(Walk(seed=0),),
)


def test_arms_that_learn_less_are_told_by_their_fields_not_by_their_names():
    assert {name: unlearned(EXPERIMENT, name) for name in ARM} == {
        "main": "",
        "control": "",
        "other": "",
        "untrained": "",
        "start": "steps = 0",
        "half-learned": "frozen = decoder",
        "mixed": "derived",
    }
    listed = doubts(
        claim(
            lambda a, o: only(a.angle),
            high=9,
            also=dict.fromkeys(("other", "start", "mixed"), "rival: it may"),
        ),
        EXPERIMENT,
        ARMS,
    )
    assert [d.what for d in listed if d.about == "also"] == [
        "may hold for start (steps = 0), mixed (derived) as well; what was learned there is unsaid"
    ]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (lambda a, o: only(a.slope.sel(kind="rare", moment="end")), []),
        (lambda a, o: only(a.angle.where(a.angle > 99)), ["control control has no number"]),
        (
            lambda a, o: only(a.angle * 0),
            [
                (
                    "control control is 0 in every unit, with any measures that were tried: it "
                    "cannot pass"
                )
            ],
        ),
        (
            lambda a, o: only(
                a.slope.sel(kind="rare", moment="end") * (a.slope.mean(["kind", "moment"]) < -1)
            ),
            ["control control is 0 in every unit: its interval has no width"],
        ),
        (
            lambda a, o: only(a.slope.sel(kind="rare", moment="end") * a.attrs.get("trusted", 1.0)),
            [
                (
                    "control control fails even with the numbers of main, with which the claim "
                    "holds: it cannot pass"
                )
            ],
        ),
    ],
)
def test_controls_that_decide_nothing_are_told(value, told):
    arms = {**ARMS, "main": ARMS["main"].assign_attrs(trusted=1.0)}
    asked = claim(value, "the slope of the rare kind at the end is steep, over kinds and moments")
    if "fails even" in " ".join(
        told
    ):  # its value asks what an arm is called, as through a table of constants by arm
        asked = replace(asked, value=lambda a, o: value(a, o) * (0.01 if "main" in o else 1.0))
    assert [d.what for d in doubts(asked, EXPERIMENT, arms) if d.about == "control"] == told
