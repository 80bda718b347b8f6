"""A training loop of one's own as an experiment: called once for each arm and seed, kept, judged as
the same numbers are in a table, and refused in one line where it returns what nobody can judge."""

import numpy as np
import pytest

import assay
from acceptance.test_measured import LOOP, loop
from assay.cli.main import main
from assay.core.errors import AssayError, ClaimError, ExperimentError, SpecError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

__all__ = ["loop"]

CLAIM = "main.y - control.y > 0.5"


def judged(path):
    return Lab(path.parent / "store", Inline()).run(catalogue.find(str(path)))


def calls(path):
    log = path.with_name("calls")
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def test_each_arm_and_seed_is_called_once_and_never_again(loop):
    result = judged(loop)
    expected = [f"{s} {x}" for x in (1.0, 0.0, 3.0) for s in range(1000, 1006)]
    assert sorted(calls(loop)) == sorted(expected)
    drawn = [np.random.default_rng(s).normal() for s in range(1000, 1006)]
    y = result.arms["steep"].y
    assert y.values.tolist() == pytest.approx([3 + 0.4 * x for x in drawn], abs=1e-15)
    path = result.arms["steep"].path
    assert (path.dims, path.attrs["units"]) == (("run", "step"), "m")
    assert path.values.tolist() == [[0, 3, 6]] * 6
    judged(loop)
    assert calls(loop) == []


@pytest.mark.parametrize(
    "old, new",
    [("y > 0.5", "y > 0.6"), ("NOISE = 0.1", "NOISE = 0.2"), ("slope * at / 2", "slope * at / 4")],
)
def test_after_an_edit_it_is_called_again(loop, old, new):
    judged(loop)
    calls(loop)
    assert old in LOOP
    loop.write_text(LOOP.replace(old, new))
    judged(loop)
    assert len(calls(loop)) == 18


def test_ctrl_c_costs_the_run_that_it_met(loop):
    stopped = LOOP.replace('"a") as log:', '"a") as log:\n        stop(seed, slope)').replace(
        "NOISE =",
        "def stop(seed, slope):\n    import pathlib\n    if (seed, slope) == (1003, 0) and not "
        "pathlib.Path('go').exists():\n        raise KeyboardInterrupt\n\nNOISE =",
    )
    loop.write_text(stopped)
    with pytest.raises(KeyboardInterrupt):
        judged(loop)
    first = calls(loop)
    assert 0 < len(first) < 18
    loop.with_name("go").write_text("")
    judged(loop)
    rest = calls(loop)
    assert len(first) + len(rest) == 18 and not set(first) & set(rest)


def test_arms_that_a_claim_does_not_name_are_its_controls(loop):
    experiment = catalogue.find(str(loop))
    assert [c.must_fail for c in experiment.claims] == [("control", "steep"), ("steep",)]
    outcomes = [j.verdict.outcome for j in judged(loop).judged]
    assert outcomes == ["unspecific", "unspecific"]  # what is steep satisfies both


def test_a_claim_says_more_as_in_a_study(loop):
    more = '"control": ["control"], "also": {"steep": "rival: steeper"}, "text": "It lifts"'
    text = LOOP.replace('"text": "It lifts"', more)
    loop.write_text(text.replace("main.y - control.y > 0.5", "main.y > 0.5"))
    claim = catalogue.find(str(loop)).claims[1]
    assert claim.text == "It lifts"
    assert claim.must_fail == ("control",)
    assert list(claim.also) == ["steep"]


def test_fields_are_those_of_the_function_and_main_lends_them_to_other_arms():
    @assay.measured(
        arms={"main": {"width": 8, "sizes": [1, 2]}, "shuffled": {"shuffled": True}},
        claims=["main.y > 0"],
        seeds=[5, 7],
    )
    def run(seed: int, width: int = 4, lr: float = 1, shuffled=False, sizes=(), name=None):
        return {"y": 1.0}

    assert [s.seed for s in run.default] == [5, 7]
    (spec, _) = run.specs_of("shuffled", run.default)
    assert spec.width == 8
    assert spec.lr == 1.0
    assert spec.shuffled
    assert spec.sizes == (1, 2)
    assert spec.name is None
    assert isinstance(spec.lr, float)
    with pytest.raises(SpecError, match="width"):
        spec.replace(width=0.5)


@pytest.mark.parametrize(
    ("returned", "words"),
    {
        "{}": "got dict",
        "{'y': float('nan')}": "returned a 'y' that is not finite",
        "{'y': np.array([1, np.inf])}": "returned 'y' with 1 dims and names 0 of them",
        "{'y': ('step', [1.0, np.inf])}": "returned a 'y' that is not finite",
        "{'y': ('step step', np.eye(2))}": "two dims of one name, step step",
        "{'y': 1j}": "which is not a number",
        "{'mean': 1.0}": "cannot be called 'mean'",
        "{'slope': 1.0}": "slope",
    }.items(),
)
def test_what_nobody_can_judge_is_refused_with_place_and_seed(loop, capsys, returned, words):
    begin = LOOP.index("    return {")
    loop.write_text(LOOP[:begin] + f"    return {returned}\n")
    with pytest.raises(ExperimentError, match=rf"slope\.py line \d+: run .*{words}.*seed 1000"):
        judged(loop)
    assert main(["run", "slope.py", "--executor", "inline"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "slope.py line" in last and "Traceback" not in last


@pytest.mark.parametrize(
    "returned, words",
    [
        ("{'y': 1.0} if seed % 2 else {'x': 1.0}", "has other measures"),
        ("{'y': ('step', np.ones(2 + seed % 2))}", r"has y of shape \[3\], another of \[2\]"),
    ],
)
def test_seeds_that_return_other_things_are_told_apart(loop, returned, words):
    begin = LOOP.index("    return {")
    loop.write_text(LOOP[:begin] + f"    return {returned}\n")
    with pytest.raises(ClaimError, match=words):
        judged(loop)


def two(seed, lr=0.1):
    return {"y": lr}


def any_fields(seed, **fields):
    return {"y": 1.0}


def no_default(seed, lr):
    return {"y": lr}


@pytest.mark.parametrize(
    "function, options, words",
    [
        (two, {"arms": {"off": {"ls": 0.0}}}, "arm off sets 'ls', .* did you mean lr?"),
        (two, {"arms": {"off": {"lr": 0.0}}, "claims": ["man.y > 1"]}, "did you mean main?"),
        (two, {"arms": {"off": {"lr": 0.0}}, "claims": "main.y > 1"}, "takes a list"),
        (two, {"claims": [{"holds": "main.y > 1", "contrl": ["off"]}]}, "contrl"),
        (two, {"arms": {"off": {"lr": 0.0}}, "claims": [{"holds": CLAIM}]}, "names arm 'control'"),
        (two, {}, "needs a control"),
        (any_fields, {}, "each field by name"),
        (no_default, {"arms": {"off": {"lr": 0.0}}}, "takes 'lr', for which main has no value"),
        (two, {"arms": {"off": {"lr": {}}}}, "lr is a number, .* got dict"),
        (print, {}, "takes a function"),
    ],
)
def test_what_makes_no_experiment_is_refused_before_it_is_called(function, options, words):
    with pytest.raises(AssayError, match=words):
        assay.measured(**({"claims": ["main.y > 0.5"]} | options))(function)


def test_two_experiments_in_a_file_need_the_name_that_counts(loop):
    second = LOOP[LOOP.index("@assay") :].replace("def run", "def again")
    loop.write_text(LOOP + "\n" + second)
    with pytest.raises(ExperimentError, match="it has 2 of other names"):
        catalogue.find(str(loop))
    loop.write_text(LOOP + "\nexperiment = run\n" + second)
    assert len(catalogue.find(str(loop)).arms) == 3
