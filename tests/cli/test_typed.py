"""Hints: the command in a hint runs as it stands, wherever `assay` is not on PATH, for a store and
a file of one's own."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from assay.cli import typed
from assay.cli.main import main

CALL = re.compile(r"(?:run: |Type: |Next: |fool it: |pages: |Verdicts: )(.+)")


def called(
    words: list[str], folder: Path, path: str = "/usr/bin:/bin"
) -> subprocess.CompletedProcess[str]:
    """What a shell without `assay` on its PATH gets."""
    env = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))),
    }
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)


def test_every_hint_on_the_way_runs_as_it_is_printed(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "assay"]
    made = called([*program, "new", "my-claim"], tmp_path)
    [following] = CALL.findall(made.stdout)
    assert shlex.split(following)[:3] == program
    (tmp_path / "deep").mkdir()
    (tmp_path / "my_claim.py").rename(tmp_path / "deep/my_claim.py")
    small = ["--preset", "smoke", "--root", "my store"]
    absent = called([*program, "show", "deep/my_claim.py", *small], tmp_path)
    [following] = CALL.findall(absent.stderr)
    for _ in range(2):  # the run, and then whatever it says to type next
        ran = called(shlex.split(following), tmp_path)
        assert ran.returncode == 0, f"{following}: {ran.stderr}"
        following = (CALL.findall(ran.stdout) or [following])[-1]
    planned = called([*program, "plan", "deep/my_claim.py", *small], tmp_path)
    [following] = CALL.findall(planned.stdout)
    assert called(shlex.split(following), tmp_path).returncode == 0, following


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (["show", "superpositon", "1"], "show superposition 1"),
        (["shwo", "superposition"], "show superposition"),
        (["check", "superposition", "--recrod"], "check superposition --record"),
        (["show", "superposition", "--arm", "linera"], "show superposition --arm linear"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_whole_command(
    words: list[str], right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.rstrip().endswith(f"Type: {typed.program()} {right}")


def test_only_commands_are_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed, "program", lambda: ".venv/bin/assay")
    told = typed.runnable(
        "`assay doctor` mends src/assay cli; next: assay run x; Assay runs; .venv/bin/assay show x"
    )
    assert told == (
        "`.venv/bin/assay doctor` mends src/assay cli; next: .venv/bin/assay run x; Assay "
        "runs; .venv/bin/assay show x"
    )
