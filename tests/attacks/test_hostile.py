"""Files that somebody else wrote, and command lines that nobody meant: an answer or one line, nothing written, nothing that hangs.

A short form runs always; `pytest -m slow tests/attacks` tries 5,000.
"""

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from damage import harm

from assay.cli.main import main

DATA = Path(__file__).parents[1] / "fixtures" / "formats"
ROWS = (f"{arm},{seed},{0.2 + 0.01 * seed + 0.1 * (arm == 'relu')}" for arm in ("gated", "relu", "none") for seed in range(8))
TABLE = "\n".join(["arm,seed,fvu", *ROWS])
CLAIM = ("--claim", "gated.fvu - relu.fvu < -0.02", "--unit", "seed", "--control", "none")
SETTINGS = (
    None, True, -1, 0, 1.5, 1e308, float("nan"), float("inf"), 10**30, "", "x" * 5_000, "\x1b[31m", [], [1], {}, {"a": []}, "../..", "/dev/zero",
    "relu", [["a"]],
)  # fmt: skip
WORDS = (
    "list", "plan", "run", "show", "check", "judge", "report", "remove", "import", "export", "doctor", "due", "evaluate", "--json", "--root", "s",
    "--preset", "smoke", "default", "--set", "seed=0:3", "seed=5:1", "lr=1e400", "steps=-1", "=", "x=", "=x", "--budget", "5m", "1e30flop", "-1m",
    "--claim", "a.b < 1", "a.b <", "((((", "--unit", "--control", "table.csv", "nowhere.csv", "superposition", "walk.py", "é.py", "..", "/nowhere/x",
    "", " ", "\x1b[2J", "[/bold]", "--out", "--executor", "inline", "-h", "--", "-", "0", "%s", "{}", "a" * 3_000, "--threads", "--device", "cuda:7",
)  # fmt: skip


def said(*words):
    """Exit code, standard output and standard error of a command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(words))
        except SystemExit as e:
            code = e.code
    return code, out.getvalue(), err.getvalue()


def wrong(code, err, codes=(0, 2, 3)):
    """What no answer may look like; empty where all is well."""
    if code not in codes or "Traceback" in err:
        return f"exit code {code}: {err[-300:]}"
    if code == 2 and err.strip().count("\n"):
        return f"more than a line: {err[-300:]}"
    return "a terminal's code" if "\x1b" in err else ""


def settings_changed(path, rng):
    """One value of a settings file by one that it never has; what cannot be parsed is harmed in another way."""
    try:
        values = json.loads(path.read_text())
        keys = sorted(values)
        value = SETTINGS[int(rng.integers(len(SETTINGS)))]
        values[keys[int(rng.integers(len(keys)))] if rng.random() < 0.9 else "new"] = value
        path.write_text(json.dumps(values))
        return f"settings {value!r}"[:60]
    except (ValueError, TypeError):
        return harm(path, rng)


def imported(tmp_path, seed):
    """What one harmed dictionary of another library led to."""
    rng = np.random.default_rng([12, seed])
    fixtures = sorted({p.parent for p in DATA.rglob("*") if p.suffix in (".json", ".safetensors", ".pt", ".npz") and "expected" not in p.parts})
    fixture = fixtures[int(rng.integers(len(fixtures)))]
    here = tmp_path / f"d{seed}"
    shutil.copytree(fixture, here)
    files = sorted(p for p in here.iterdir() if p.is_file())
    victim = files[int(rng.integers(len(files)))]
    how = settings_changed(victim, rng) if victim.suffix == ".json" and rng.random() < 0.7 else harm(victim, rng)
    out = tmp_path / f"o{seed}.safetensors"
    code, _, err = said("import", str(here), "--out", str(out))
    found = wrong(code, err) or ("written although refused" if code and out.exists() else "")
    if not code:
        assert out.exists()
        again, _, err = said("import", str(out), "--out", str(tmp_path / f"p{seed}.safetensors"))
        found = found or wrong(again, err) or ("cannot be read again" if again else "")
    shutil.rmtree(here)
    return f"import {fixture.relative_to(DATA)}/{victim.name}", how, found


def judged(tmp_path, seed):
    """What one harmed table led to."""
    rng = np.random.default_rng([13, seed])
    path = tmp_path / f"t{seed}.csv"
    path.write_text(TABLE)
    how = harm(path, rng)
    code, _, err = said("judge", str(path), *CLAIM)
    return "judge", how, wrong(code, err)


def typed(tmp_path, seed):
    """What one command line that nobody meant led to."""
    rng = np.random.default_rng([14, seed])
    words = [WORDS[int(i)] for i in rng.integers(len(WORDS), size=int(rng.integers(1, 7)))]
    if words[0] in ("run", "evaluate") and "smoke" not in words:
        words[0] = "plan"  # a preset of full size would only be slow
    code, _, err = said(*words)
    return " ".join(words)[:200], "typed", wrong(code, err, codes=(0, 1, 2, 3))


KINDS = (imported, imported, judged, typed)


def told(tmp_path, seeds, monkeypatch):
    """What went wrong, a line each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text(TABLE)
    shutil.copy(Path(__file__).parents[1] / "lab" / "walk.py", tmp_path / "walk.py")
    found = [(KINDS[seed % len(KINDS)](tmp_path, seed), seed) for seed in seeds]
    return "\n".join(f"seed {seed}: {what}, {how}: {why}" for (what, how, why), seed in found if why)


def test_hostile_input(tmp_path, monkeypatch):
    assert not (wrong := told(tmp_path, range(120), monkeypatch)), wrong


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("block", range(20))
def test_five_thousand_hostile_inputs(tmp_path, monkeypatch, block):
    assert not (wrong := told(tmp_path, range(250 * block + 1000, 250 * block + 1250), monkeypatch)), wrong
