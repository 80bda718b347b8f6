"""What a user's own functions do wrong is told in one line with file and line; what a training
leaves behind keeps nobody waiting."""

import pytest

from acceptance.test_checked import PARTS, TEXT
from assay.cli.main import main

LINE = 1 + TEXT.splitlines().index("    {measured}")
"""Where what `measure` does stands in the file; the line after next but two is what `broken`
returns."""


def told(tmp_path, capsys, *, verb="run", how=("--executor", "inline"), **parts):
    """Exit code and what the command said of an experiment with these parts."""
    (tmp_path / "count.py").write_text(TEXT.format(**{**PARTS, **parts}))
    code = main([verb, str(tmp_path / "count.py"), "--root", str(tmp_path / "s"), *how])
    return code, capsys.readouterr().err


def refused(tmp_path, capsys, **parts):
    """The last line of what the command said of an experiment that it refused."""
    code, err = told(tmp_path, capsys, **parts)
    assert code == 2 and "Traceback" not in err, err
    return err.splitlines()[-1]


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize("what", ["inputs", "cost"])
@pytest.mark.parametrize(
    ("answer", "says"),
    {
        "1 / 0": "count.py line {at}: {what}= raised ZeroDivisionError: division by zero",
        "given.absent": "count.py line {at}: {what}= raised AttributeError",
        "None": "{what}= must return",
        "{'model': 3}": "{what}= must return",
        "7": "{what}= must return",
    }.items(),
)
def test_a_mistake_before_training_is_one_line(tmp_path, capsys, verb, what, answer, says):
    code, err = told(tmp_path, capsys, answer=answer, more=f", {what}=broken", verb=verb)
    assert code == 2, err
    assert says.format(what=what, at=LINE + 4) in err, err
    assert err.count("\n") == 1, err
    assert not list((tmp_path / "s").glob("runs/*/*"))


@pytest.mark.parametrize(
    "loss",
    ['state["x"].sum()', 'state["x"].sum().reshape(1)', 'state["x"][:, None]', 'state["x"][:2]'],
)
def test_a_loss_that_is_not_one_number_for_each_run_says_what_it_should_be(tmp_path, capsys, loss):
    code, err = told(tmp_path, capsys, loss=loss)
    assert code in (2, 3), err
    assert "one number for each of 3 runs" in err, err
    assert "Traceback" not in err, err


SET = "return xr.Dataset({{{}: ({}, {})}})".format
WRONG = {
    "nothing": (
        "return None",
        "must return a Dataset, which assay.core.measures makes, got nothing",
    ),
    "an array": ('return xr.DataArray([1.0, 2, 3], dims="run")', "got DataArray"),
    "no measure": ("return xr.Dataset()", "returned a Dataset without a measure"),
    "no runs": (
        SET('"x"', '"seed"', "[1.0, 2, 3]"),
        "must return one row for each of 3 runs; measure 'x' has seed 3",
    ),
    "one number": ("return right(runs, trained).assign(y=3.0)", "measure 'y' has no dims"),
    "too few runs": ("return right(runs, trained).isel(run=slice(2))", "measure 'x' has run 2"),
    "objects": (
        SET('"x"', '"run"', "np.array([1, None, 3], object)"),
        "must return real numbers of at most 64 bits; measure 'x' is object",
    ),
    "words": (SET('"x"', '"run"', '["a", "b", "c"]'), "measure 'x' is <U1"),
    "long doubles": (SET('"x"', '"run"', "np.ones(3, np.longdouble)"), "measure 'x' is float128"),
    "one dim twice": (
        SET('"x"', '("run", "f", "f")', "np.ones((3, 2, 2))"),
        "gave measure 'x' the dim 'f' twice",
    ),
    "a dim of two words": (
        SET('"x"', '("run", "a b")', "np.ones((3, 2))"),
        "the dim 'a b' twice or with a space in it",
    ),
    "no name": (SET('""', '"run"', "np.ones(3)"), "called a measure ''"),
    "half a character": (SET('"\\ud800"', '"run"', "np.ones(3)"), "called a measure '�'"),
    "a name of the file's format": (
        SET('"__metadata__"', '"run"', "np.ones(3)"),
        "a name that is taken or cannot be stored",
    ),
    "a name of xarray's": (
        SET('"sum"', '"run"', "np.ones(3)"),
        "called a measure 'sum', a name that is taken",
    ),
    "a field's name": (
        'return xr.Dataset({"seed": ("run", np.ones(3))})',
        "called a measure 'seed', a name that is taken",
    ),
    "strange levels": (
        'return right(runs, trained).assign_coords(f=("f", [b"a", b"b"]))',
        "gave 'f' levels that are neither texts nor numbers",
    ),
    "no level": (
        'return right(runs, trained).assign_coords(f=("f", [1.0, np.nan]))',
        "gave 'f' levels that are neither texts nor numbers",
    ),
}
RAISED = {
    "an error": ("1 / 0", "raised ZeroDivisionError: division by zero"),
    "in a helper": (
        "import beside; beside.helper()",
        "raised IndexError: list index out of range (in helper, beside.py line 2)",
    ),
    "several lines": ('raise ValueError("one\\ntwo")', "raised ValueError: one"),
    "half a character": ('raise ValueError("\\ud800")', "raised ValueError: �"),
    "the end": ("sys.exit(0)", "raised SystemExit: 0"),
    "no Exception": ('raise type("Odd", (BaseException,), {})("x")', "raised Odd: x"),
    "without end": (
        "return measure(runs, trained, bench)",
        "raised RecursionError: maximum recursion depth exceeded",
    ),
    "no Python": ('eval("1 +")', "raised SyntaxError: invalid syntax"),
    "no memory": ("raise MemoryError", "raised MemoryError: no message"),
}


@pytest.mark.filterwarnings("ignore:Duplicate dimension names")
@pytest.mark.parametrize("name", WRONG)
def test_measures_that_cannot_be_used_are_told_before_anything_is_stored(tmp_path, capsys, name):
    measured, says = WRONG[name]
    last = refused(tmp_path, capsys, measured=measured)
    assert f"count.py line {LINE - 1}: measure= " in last and says in last, last
    assert not list((tmp_path / "s").glob("runs/*/*"))


@pytest.mark.parametrize("name", RAISED)
def test_what_a_measure_raises_is_one_line_with_its_place(tmp_path, capsys, monkeypatch, name):
    (tmp_path / "beside.py").write_text("def helper():\n    return [1, 2][5]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    measured, says = RAISED[name]
    last = refused(tmp_path, capsys, measured=measured)
    assert f"count.py line {LINE}: measure= {says}" in last, last
    assert not list((tmp_path / "s").glob("runs/*/*"))


@pytest.mark.parametrize(
    ("says", "parts"),
    {
        "train= must return what fit gives for its group, a Trained, got nothing": {
            "arm": "lambda runs, bench: None"
        },
        "train= must return what fit gives for its group, a Trained, got list": {
            "arm": "lambda runs, bench: [train(runs, bench)]"
        },
        "train= must return a list with a Trained for each of 1 arms, got nothing": {
            "arm": "Joint(lambda ensembles, bench: None)"
        },
        "train= must return a list with a Trained for each of 1 arms, got list": {
            "arm": "Joint(lambda ensembles, bench: [])"
        },
        "figures= must return a list of Figures, got nothing": {
            "more": ", figures=lambda arms: None"
        },
        "figures= must return a list of Figures, got list": {"more": ", figures=lambda arms: [3]"},
        "figures= raised KeyError: 'absent'": {"more": ", figures=lambda arms: arms['absent']"},
        "figures= raised SystemExit: 0": {"more": ", figures=lambda arms: sys.exit(0)"},
        "cards= must return a list of cards, got int": {"more": ", cards=lambda arms: 7"},
        "cards= raised ZeroDivisionError: division by zero": {"more": ", cards=lambda arms: 1 / 0"},
    }.items(),
)
def test_every_function_of_an_experiment_is_named_with_file_and_line(tmp_path, capsys, parts, says):
    last = refused(tmp_path, capsys, **parts)
    assert "count.py line " in last and says in last, last


def test_a_statement_that_cannot_be_computed_names_its_place(tmp_path, capsys):
    claim = 'Finding(text="x", value=lambda arms: arms["main"].x / [1 / 0]),'
    last = refused(tmp_path, capsys, claim=claim)
    assert "'x' cannot be computed: ZeroDivisionError" in last, last
    assert f"(count.py line {LINE + 8})" in last, last


@pytest.mark.parametrize(
    "does",
    [
        'sys.exit("gone")',
        pytest.param("raise KeyboardInterrupt", marks=pytest.mark.thorough),
        pytest.param('raise type("Odd", (BaseException,), {})("x")', marks=pytest.mark.thorough),
    ],
)
def test_what_training_raises_ends_no_worker(tmp_path, capsys, does):
    code, err = told(tmp_path, capsys, left=does, how=())
    assert code == 3, err
    assert "one group of count crashed, arm main" in err, err
    assert "count.py line " in err, err
    assert "Traceback" not in err, err
