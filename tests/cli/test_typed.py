"""Hints: the command in a hint runs as it stands, wherever `assay` is not on PATH, for a store and
a file of one's own."""

import os
import re
import shlex
import sys

import pytest

from assay.cli import terminal as typed
from assay.cli.main import main

PROGRAM = [sys.executable, "-m", "assay"]
CALL = re.compile(r"(?:run: |Type: |Next: |fool it: |pages: |Verdicts: )(.+)")


def test_every_hint_on_the_way_runs_as_it_is_printed(tmp_path, commands, monkeypatch):
    def called(words):
        """What a shell without `assay` on its PATH gets from `python -m assay …`."""
        assert words[:3] == PROGRAM
        monkeypatch.setattr(sys, "orig_argv", words)
        if words[3] == "run":  # in the words of this process alone
            words = [*words, "--executor", "inline"]
        return commands.run(words[3:], tmp_path, {**os.environ, "PATH": "/usr/bin:/bin"})

    made = called([*PROGRAM, "new", "my-claim"])
    [following] = CALL.findall(made.out)
    (tmp_path / "deep").mkdir()
    (tmp_path / "my_claim.py").rename(tmp_path / "deep/my_claim.py")
    small = ["--preset", "smoke", "--root", "my store"]
    absent = called([*PROGRAM, "show", "deep/my_claim.py", *small])
    [following] = CALL.findall(absent.err)
    for _ in range(2):  # the run, and then whatever it says to type next
        ran = called(shlex.split(following))
        assert ran.code == 0, f"{following}: {ran.err}"
        following = (CALL.findall(ran.out) or [following])[-1]
    planned = called([*PROGRAM, "plan", "deep/my_claim.py", *small])
    [following] = CALL.findall(planned.out)
    assert called(shlex.split(following)).code == 0, following


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (["show", "superpositon", "1"], "show superposition 1"),
        (["shwo", "superposition"], "show superposition"),
        (["verify", "superposition", "--recrod"], "verify superposition --record"),
        (["list", "superposition", "--arm", "linera"], "list superposition --arm linear"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_whole_command(words, right, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err.rstrip().endswith(f"Type: {typed.program()} {right}")


def test_only_commands_are_rewritten(monkeypatch):
    monkeypatch.setattr(typed, "program", lambda: ".venv/bin/assay")
    told = typed.runnable(
        "`assay doctor` mends src/assay cli; next: assay run x; Assay runs; .venv/bin/assay show x"
    )
    assert told == (
        "`.venv/bin/assay doctor` mends src/assay cli; next: .venv/bin/assay run x; Assay "
        "runs; .venv/bin/assay show x"
    )
