"""A verb that an earlier version had answers with what to use instead."""

import pytest

from assay.cli import removed
from assay.cli.main import main
from assay.cli.terminal import runnable


def test_a_renamed_verb_gives_the_whole_command(capsys: pytest.CaptureFixture[str]) -> None:
    for old, new in removed.RENAMED.items():
        assert main([old, "a b", "--json"]) == 2
        printed = capsys.readouterr()
        right = f"assay {old} is now called {new}; type: assay {new} 'a b' --json\n"
        assert (printed.out, printed.err) == ("", runnable(right))


def test_it_says_what_to_use_instead(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, text in removed.VERBS.items():
        for typed in ([verb], [verb, "value"]):
            assert main(typed) == 2
            printed = capsys.readouterr()
            assert printed.out == ""
            assert printed.err == runnable(f"assay {verb} was removed; {text}\n")
