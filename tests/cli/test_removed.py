"""A verb that an earlier version had answers with what to use instead."""

from assay.cli import removed
from assay.cli.main import main


def test_a_verb_of_before_says_what_to_type(capsys):
    renamed = removed.RENAMED.items()
    said = {old: f"is now called {new}; type: assay {new} 'a b'" for old, new in renamed}
    said |= {verb: f"was removed; {text}" for verb, text in removed.VERBS.items()}
    for verb, text in said.items():
        assert main([verb, "a b"]) == 2
        printed = capsys.readouterr()
        assert (printed.out, printed.err) == ("", f"assay {verb} {text}\n")
