"""Experiments as values: what is refused when they are built, how arms get their specs, how headers
are read."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from assay.core.claims import Claim
from assay.core.errors import ExperimentError
from assay.core.experiment import Arm, Experiment, read_header
from assay.core.figures import Figure, summary
from assay.core.judging import judge
from assay.core.spec import Spec, grid
from assay.lab.judge.result import with_derived

SPECS = grid(Spec(), seed=(1, 2))


def experiment(**arms):
    return Experiment(arms=arms, measure=None, claims=(), smoke=SPECS, default=SPECS, full=SPECS)


def train(runs, bench):
    raise AssertionError


def test_what_cannot_be_run_is_refused():
    with pytest.raises(ExperimentError, match='called "main"'):
        experiment(other=Arm(train))
    with pytest.raises(ExperimentError, match="is not an arm"):
        experiment(main=Arm(train, after="nobody"))
    claim = Claim(
        text="c < 1",
        value=lambda arm, arms: arm.c,
        high=1,
        must_fail=("flt",),
        threshold_from="theory",
        source="none",
    )
    with pytest.raises(
        ExperimentError,
        match=r"claim 'c < 1' names arm 'flt', which is not an arm; did you mean flat\?",
    ):
        dataclasses.replace(experiment(main=Arm(train), flat=Arm(train)), claims=(claim,))
    with pytest.raises(ExperimentError, match="exactly one"):
        Arm()
    with pytest.raises(ExperimentError, match="no preset 'quick'"):
        experiment(main=Arm(train)).preset("quick")


GOOD = (
    '"""A title.\n\nPaper: P, section, 2020\nClaim: c < 1\nBaselines: b\n  more of it\nCost: 1 '
    'minute\n"""\n'
)


def test_the_header_is_read_without_importing(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(GOOD + "raise RuntimeError")
    header = read_header(path)
    assert header.title == "A title"
    assert header.paper == "P, section, 2020"
    assert header.baselines == "b more of it"


@pytest.mark.parametrize(
    "text, words",
    [
        ("x = 1", "no header"),
        (GOOD.replace("Claim:", "Claims:"), "unknown header key Claims"),
        (GOOD.replace("Cost: 1 minute\n", ""), "lacks Cost"),
        ("def (", "line 1 is not a Python file"),
    ],
)
def test_a_bad_header_says_what_is_wrong(tmp_path, text, words):
    path = tmp_path / "x.py"
    path.write_text(text)
    with pytest.raises(ExperimentError, match=words):
        read_header(path)


def test_figures_refuse_columns_that_are_not_there():
    from assay.core.errors import ClaimError

    with pytest.raises(ClaimError, match="one length"):
        Figure("t", {"x": [1, 2], "y": [1]}, "line", x="x", y="y")
    with pytest.raises(ClaimError, match="lacks"):
        Figure("t", {"x": [1]}, "line", x="x", y="z")


def test_summary_is_students_interval():
    """n = 3, mean 2, s = 1, t(2, .975) = 4.302653: half-width 4.302653/√3."""
    mean, low, high = summary([1.0, 2.0, 3.0])
    assert (mean, low, high) == pytest.approx((2, 2 - 2.484138, 2 + 2.484138), abs=1e-5)


def test_what_was_learned_in_an_arm_reaches_the_judge_trained_or_derived():
    def measured(level):
        x = level + np.arange(8) / 100
        return xr.Dataset({"x": ("run", x)}, coords={"seed": ("run", np.arange(8))})

    e = experiment(
        main=Arm(train),
        none=Arm(train),
        frozen=Arm(train, learned=("head",)),
        mixed=Arm(derive=lambda arms: arms["main"] - 0.2, learned=()),
    )
    claim = Claim(
        text="x is above 1",
        value=lambda arm, arms: arm.x,
        low=1.0,
        must_fail=("none",),
        credits="body",
        threshold_from="theory: 1",
        source="here",
    )
    levels = {"main": 2.0, "none": 0.0, "frozen": 1.5}
    judged = judge(claim, with_derived(e, {name: measured(x) for name, x in levels.items()}))
    assert judged.verdict.reason == "frozen, mixed satisfy it too, unlearned"
    assert {name: v.lacks for name, v in judged.also.items()} == {"frozen": True, "mixed": True}
    with pytest.raises(ExperimentError, match=r"learned=\('head',\)"):
        Arm(train, learned="head")
