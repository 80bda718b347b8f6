"""What `assay train-lm` prints: a row for each run, then what to know of them."""

from __future__ import annotations

from collections.abc import Sequence

from assay.cli import printing
from assay.verbs.train_lm import VARIED, TrainedLm, TrainedLms


def show(trained_lms: TrainedLms) -> None:
    """Print the losses of each run and where it lies; what differs between runs has a column."""
    differ = [
        name for name in VARIED[1:] if len({getattr(run, name) for run in trained_lms.runs}) > 1
    ]
    numbers = ("seed", *differ, "parameters", "training loss", "held-out loss")
    table = printing.grid("folder", *numbers, right=numbers)
    for run in trained_lms.runs:
        varied = [str(run.seed), *(f"{getattr(run, name):g}" for name in differ)]
        table.add_row(
            run.folder,
            *varied,
            f"{run.parameters:,}",
            *(_nats(loss) for loss in (run.loss, run.held_out)),
        )
    printing.draw(table)
    print()
    if trained_lms.windows:
        printing.say(
            f"Losses in nats a token of {trained_lms.vocab:,}; held out: {trained_lms.windows:,} "
            "windows "
            f"of the validation part.{_curve(trained_lms.runs)}"
        )
    for note in trained_lms.notes:
        printing.say(note)
    if trained_lms.found:
        print("trained before: nothing was run")


def _nats(loss: float | None) -> str:
    return "–" if loss is None else f"{loss:.3f}"


def _curve(runs: Sequence[TrainedLm]) -> str:
    """How the first run's held-out loss fell, in words."""
    points = [
        (row["step"], row["held_out"]) for row in runs[0].curve if row["held_out"] is not None
    ]
    return (
        f" The first run's by step: {', '.join(f'{step:,}: {loss:.2f}' for step, loss in points)}."
        if points
        else ""
    )
