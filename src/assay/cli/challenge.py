"""`assay challenge`: what was given out, and what an answer reaches, then what was planted."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from assay.cli import printing
from assay.cli.explain import show as table
from assay.core.errors import AssayError
from assay.verbs.challenge import Answered, Given, Kind, answered, plant_challenge
from assay.verbs.explain import Trials


def run_challenge(
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
        return plant_challenge(folder, root, seed, kind)
    if answer is None:
        raise AssayError(
            f"which answer? assay challenge score {folder} {folder / 'my_explanation.toml'}"
        )
    if kind is not None:
        raise AssayError(
            "--kind says what a new challenge is to be; the key of this one knows what it is"
        )
    return answered(folder, answer, root, trials, 1000 if seed is None else seed)


def show(outcome: Given | Answered) -> None:
    """Print what was done."""
    _show_new(outcome) if isinstance(outcome, Given) else _scored(outcome)


def _show_new(challenge: Given) -> None:
    """Print where a challenge is, and what to do next."""
    printing.say(f"Challenge {challenge.name} is in {challenge.folder}; begin with its README.md.")
    printing.say(f"What was planted is sealed: {challenge.key}. Do not look.")
    printing.say("Write your answer into its my_explanation.toml, then:")
    print(f"assay challenge score {challenge.folder} {challenge.folder}/my_explanation.toml")


def _scored(outcome: Answered) -> None:
    """Print an answer's table, and then what was planted."""
    table(outcome.found)
    print()
    times = (
        f"{outcome.before} answer{'s'[: outcome.before != 1]} had been scored before, and what was "
        "planted shown: this one is not blind."
    )
    printing.say(
        f"Challenge {outcome.challenge}: "
        f"{times if outcome.before else 'the first answer, scored blind.'}"
    )
    printing.say(
        f"Planted was {outcome.planted.kind}, from seed {outcome.planted.seed}; its explanation "
        f"reaches {outcome.planted.quality.estimate:.3f}:"
    )
    print()
    print(outcome.planted.explanation)
