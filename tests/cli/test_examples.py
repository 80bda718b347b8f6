"""The example on each help page: every command of it is one that the program takes, and the cheap
ones are run in a shell."""

import os
import shlex
import subprocess

import pytest

from assay.cli.main import app, example

VERBS = [name for name in app if not name.startswith("-")]


def commands_of(verb):
    return [
        shlex.split(line)[1:]
        for line in example(verb).splitlines()
        if line.strip().startswith("assay ")
    ]


@pytest.mark.parametrize("verb", VERBS)
def test_an_example_is_taken_as_it_is_typed(verb):
    assert verb in [words[0] for words in commands_of(verb)], "an example of this very verb"
    assert all(len(line) <= 80 for line in example(verb).splitlines()), (
        "a line that breaks cannot be copied"
    )
    for words in commands_of(verb):
        app.parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("verb", ["list", "new"])
def test_an_example_runs(verb, commands, tmp_path):
    for words in commands_of(verb):
        if words[0] != "run":
            ended = commands.run(words, tmp_path, os.environ)
            assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("verb", ["check", "judge"])
def test_an_example_writes_a_file_in_a_shell_and_reads_it(verb, commands, tmp_path):
    lines = example(verb).replace("\\\n", " ").splitlines()[1:]
    plain = "\n".join(line for line in lines if not line.strip().startswith("assay "))
    subprocess.run(["sh", "-e", "-c", plain], cwd=tmp_path, check=True)
    for words in commands_of(verb):
        if words[0] != "run":
            ended = commands.run(words, tmp_path, os.environ)
            assert (ended.code, ended.err) == (0, "")
            if verb == "check" or "--claim" in words:
                assert "holds" in ended.out
