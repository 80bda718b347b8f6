"""`assay challenge`: what was given out, and what an answer reaches, then what was planted."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from assay.cli import printing
from assay.cli.explain import show as table
from assay.core.errors import AssayError
from assay.verbs.challenge import Answered, Given, Kind, answered, given
from assay.verbs.explain import Trials


def done(
    what: Literal["new", "score"],
    folder: Path,
    answer: Path | None,
    seed: int | None,
    kind: Kind | None,
    trials: Trials,
    root: Path,
) -> Given | Answered:
    """Make a challenge or score an answer to one. Raises: AssayError where what was typed does not
    go together, and what the verbs raise."""
    if what == "new":
        if answer is not None:
            raise AssayError(
                f"a new challenge has no answer yet, got {answer}; scoring one is assay "
                f"challenge score {folder} {answer}"
            )
        return given(folder, root, seed, kind)
    if answer is None:
        raise AssayError(
            f"which answer? assay challenge score {folder} {folder / 'my_explanation.toml'}"
        )
    if kind is not None:
        raise AssayError(
            "--kind says what a new challenge is to be; the key of this one knows what it is"
        )
    return answered(folder, answer, root, trials, 1000 if seed is None else seed)


def show(found: Given | Answered) -> None:
    """Print what was done."""
    _given(found) if isinstance(found, Given) else _scored(found)


def _given(found: Given) -> None:
    """Print where a challenge is, and what to do next."""
    printing.say(f"Challenge {found.name} is in {found.folder}; begin with its README.md.")
    printing.say(f"What was planted is sealed: {found.key}. Do not look.")
    printing.say("Write your answer into its my_explanation.toml, then:")
    print(f"assay challenge score {found.folder} {found.folder}/my_explanation.toml")


def _scored(found: Answered) -> None:
    """Print an answer's table, and then what was planted."""
    table(found.found)
    print()
    times = (
        f"{found.before} answer{'s'[: found.before != 1]} had been scored before, and what was "
        "planted shown: this one is not blind."
    )
    printing.say(
        f"Challenge {found.challenge}: "
        f"{times if found.before else 'the first answer, scored blind.'}"
    )
    printing.say(
        f"Planted was {found.planted.kind}, from seed {found.planted.seed}; its explanation "
        f"reaches {found.planted.quality.estimate:.3f}:"
    )
    print()
    print(found.planted.explanation)
