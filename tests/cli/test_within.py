"""`assay run --within`: what was given up is told on standard error, nothing that fits is one line
and exit code 2, and the result names it."""

import json
from pathlib import Path

import pytest

from assay.cli.main import main
from assay.verbs.new import write_experiment

OWN = ("own.py", "--set", "steps=100")
"""Five times as long as the smoke preset, so that what that took tells how long it is."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment whose smoke preset is stored, so that its times are known."""
    there = tmp_path_factory.mktemp("within")
    write_experiment("own", there)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(there)
        assert main(["run", "own.py", "--preset", "smoke", "--executor", "inline"]) == 0
    return there


def ended(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(words)
    return code, *capsys.readouterr()


def test_what_does_not_fit_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    for words, why in [
        (("run", *OWN, "--within", "0.01s"), "own does not fit into 0.01s: "),
        (("run", "own.py", "--within", "5m"), "how long a run of own takes is unknown here"),
        (("run", "own.py", "--within", "8h@h200"), "a budget is a time here"),
        (("run", "own.py", "--within", "soon"), "a budget is a time"),
        (("run", "catalogue", "--within", "5m"), "--within chooses for one experiment"),
    ]:
        code, out, err = ended(capsys, *words)
        assert (code, out, len(err.splitlines())) == (2, "", 1) and why in err


def test_fewer_seeds_run_and_the_result_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    code, out, err = ended(
        capsys, "plan", *OWN, "--set", "seed=1000:1006", "--executor", "inline", "--json"
    )
    low, high = json.loads(out)["command_seconds"]
    text = f"{(low * high) ** 0.5 + 1e-6}s"  # the middle of what six seeds take
    code, out, err = ended(capsys, "run", *OWN, "--within", text, "--executor", "inline", "--json")
    assert (
        code == 0
        and "6 of 8 seeds" in err
        and "that costs: intervals over seeds about 1.3 times as wide" in err
    )  # t(5)/t(7) √(8/6) = 1.255
    first = json.loads(out)
    assert (
        first["verdicts"][0]["n"] == {"seed": 6}
        and f"chosen to fit {text}" in first["verdicts"][0]["scope"]
    )
    code, out, err = ended(capsys, "run", *OWN, "--within", text, "--executor", "inline", "--json")
    assert (
        "as chosen on" in err
        and json.loads(out)["provenance"]["keys"] == first["provenance"]["keys"]
    )
    code, out, err = ended(capsys, "show", *OWN, "--set", "seed=1000:1006", "--json")
    assert json.loads(out)["verdicts"] == first["verdicts"]
