"""A verb or an option that an earlier version had answers with what to use instead."""

import pytest

from assay.cli import removed
from assay.cli.main import main
from assay.cli.printing import runnable


def test_a_renamed_verb_gives_the_whole_command(capsys: pytest.CaptureFixture[str]) -> None:
    for old, new in removed.RENAMED.items():
        assert main([old, "a b", "--json"]) == 2
        printed = capsys.readouterr()
        right = f"assay {old} is now called {new}; type: assay {new} 'a b' --json\n"
        assert (printed.out, printed.err) == ("", runnable(right))


TYPED = [([verb], text) for verb, text in removed.VERBS.items()]
TYPED += [
    ([verb, option], text)
    for verb, options in removed.OPTIONS.items()
    for option, text in options.items()
]


@pytest.mark.parametrize(("words", "text"), TYPED, ids=[" ".join(words) for words, _ in TYPED])
def test_it_says_what_to_use_instead(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    *before, last = words
    for typed in (words, [*words, "value"], [*before, f"{last}=value"] if before else words):
        assert main(typed) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err == runnable(f"assay {' '.join(words)} was removed; {text}\n")
