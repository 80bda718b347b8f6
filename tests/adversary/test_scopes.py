"""The scope of a verdict names what was set in the arms and runs that it reads, no more."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import xarray as xr

from assay.ask import planned as planning
from assay.core import Arm, Claim, Experiment, Spec, grid
from assay.core.errors import AssayError
from assay.lab.engines import Inline
from assay.lab.judge import result
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset, override, scope


@dataclass(frozen=True, kw_only=True)
class Place(Spec):
    place: str = "a plain"
    size: int = 8


def never(runs, bench):
    raise AssertionError("nothing is trained here")


def farther(specs):
    return tuple(s.replace(place="a hill", size=9) for s in specs)


def two_places(*claims):
    """An experiment whose arms lie at two places, and one derived from the farther."""
    arms = {
        "main": Arm(never),
        "far": Arm(never, specs=farther),
        "shifted": Arm(derive=lambda arms: arms["far"] + 1.0),
    }
    judged = grid(Place(), seed=range(1000, 1008))
    return Experiment(
        arms=arms,
        measure=never,
        claims=claims,
        scope="{place}, {size} steps wide",
        name="places",
        smoke=grid(Place(), seed=range(2)),
        default=judged,
        full=judged,
    )


def test_a_verdict_speaks_for_the_arms_that_it_reads_and_no_others():
    def claim(text, of, value, control):
        return Claim(
            text=text,
            of=of,
            value=value,
            low=0.5,
            unit="1",
            units=("seed",),
            must_fail=(control,),
            threshold_from="plan: half",
            source="us",
        )

    experiment = two_places(
        claim("near", "main", lambda arm, arms: arm.x, "far"),
        claim("both", "main", lambda arm, arms: arm.x - arms["far"].x, "shifted"),
        claim("derived", "shifted", lambda arm, arms: arm.x, "far"),
    )
    noise, seeds = np.random.default_rng(0).normal(0, 0.01, 8), np.arange(1000, 1008)
    arms = {
        name: xr.Dataset({"x": ("run", middle + noise)}, {"seed": ("run", seeds)})
        for name, middle in (("main", 1.0), ("far", 0.0))
    }
    preset = override(experiment)
    statements = result.judge_statements(
        experiment.claims,
        result.with_derived(experiment, arms),
        scope=lambda read, where: scope(experiment, preset, read, where),
    )
    hill = "over 8 seeds; a hill, 9 steps wide"
    assert {
        j.claim.text: (j.verdict.scope, *(c.scope for c in j.controls.values()))
        for j in statements.judged
    } == {
        "near": ("over 8 seeds; a plain, 8 steps wide", hill),
        "both": ("over 8 seeds; a plain and a hill, 8 and 9 steps wide", hill),
        "derived": (hill, hill),
    }


def test_runs_that_a_claim_leaves_out_do_not_show():
    experiment = two_places()
    wider = tuple(s.replace(size=64) for s in experiment.default)
    mixed = Preset("default", (*experiment.default, *wider))
    assert scope(experiment, mixed) == "a plain, 8 and 64 steps wide"
    assert scope(experiment, mixed, where={"size": 64}) == "a plain, 64 steps wide"


@pytest.mark.parametrize(
    ("words", "why"), [("{plaice}", "plaice"), ("{place", "brace"), ("{size:q}", "size")]
)
def test_a_sentence_that_cannot_be_filled_in_is_refused(words, why):
    with pytest.raises(AssayError, match=f"scope.*{why}"):
        replace(two_places(), scope=words)


def test_a_plan_speaks_for_the_arms_that_a_condition_compares(tmp_path):
    compared = Claim(
        text="nearer",
        condition="main.x - far.x > 0.5",
        value=lambda arm, arms: arm.x - arms["far"].x,
        low=0.5,
        unit="1",
        units=("seed",),
        must_fail=("shifted",),
        threshold_from="plan: half",
        source="us",
    )
    e = two_places(compared)
    planned = planning.plan(Lab(tmp_path, Inline()), e, override(e))
    assert planned.scope == "a plain and a hill, 8 and 9 steps wide"
