"""`assay explain`: the table of an explanation's parts, beside its controls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from assay.cli import printing
from assay.core.errors import AssayError
from assay.verbs.explain import Explained, Hard, Line, Ours, check, ours
from assay.verbs.small_model import Model, look

_WORDS = """Adds: to the right answer's logit, less the mean of the others, by itself. Alone, jointly: what its absence costs, as a share of what
the absence of all costs; jointly, once the one other part is gone that makes it matter most. Then where a head looks, as shares of its
attention, and whose writing it compares."""  # noqa: E501

SEEN = 0.005
"""What is less is 0.00 as it is printed."""
LARGE = 0.05
"""A share of the logits' squared error that is worth mending."""


def run_explain(
    what: Literal["check", "show", "look"],
    file: str,
    hard: Hard,
    rival: bool,
    page: Path | None,
    root: Path,
) -> Explained | Ours | Model:
    """Score an explanation, give one of ours, or take a model apart.

    Raises: AssayError where what was typed does not go together, and what the verbs raise.
    """
    if rival and what != "show":
        raise AssayError("--rival goes with show; what is checked or looked at is what is named")
    if page is not None and what == "show":
        raise AssayError("--page goes with check and look; show prints a file")
    if what == "show":
        return ours(file, root, rival=rival)
    return check(Path(file), hard, root, page) if what == "check" else look(Path(file), root, page)


def show(outcome: Explained | Ours | Model) -> None:
    """Print what an explanation reaches, what its controls do, and what would help it; one of ours
    as its file; a model part by part."""
    if isinstance(outcome, Ours):
        print(outcome.toml, end="")
        return
    if isinstance(outcome, Model):
        parts(outcome)
        return
    kinds = [c.kind for c in outcome.controls]
    table = printing.grid("", "yours", "interval", *kinds, right=("yours", "interval", *kinds))
    for i, own_line in enumerate((*outcome.parts, outcome.quality)):
        control_lines = [[*c.parts, c.quality][i] for c in outcome.controls]
        table.add_row(
            own_line.name,
            _number(own_line.estimate),
            _interval(own_line),
            *(_number(x.estimate) for x in control_lines),
        )
    printing.say(
        f"{outcome.name}, of {outcome.of}: {outcome.size} names and numbers for a model of "
        f"{outcome.numbers:,} numbers."
    )
    if outcome.code:
        printing.say("The file is code, and was run.")
    print()
    printing.draw(table)
    print()
    if none := [p.name for p in outcome.parts if p.estimate == 0]:
        printing.say(
            f"Quality is 0 because {' and '.join(none)} {'is' if len(none) == 1 else 'are'} 0."
        )
    if outcome.quality.why:
        printing.say(f"Quality is 0: {outcome.quality.why}.")
    for line in (*outcome.parts, *(x for x in outcome.details if x.estimate is not None)):
        if line.why not in ("", outcome.quality.why) or line in outcome.details:
            printing.say(
                f"{line.name}: {line.why or f'{_number(line.estimate)} {_interval(line)}'}"
            )
    for x in outcome.exchanged:
        learned = f"learned directions {_number(x.learned)}, for nothing {_number(x.unfounded)}"
        what = f"{_number(x.right)} of changed answers as foretold ({x.pairs} pairs; {learned})"
        printing.say(f"{x.variable} exchanged: {what if x.pairs else 'no answer was to change'}")
    n = outcome.as_good
    if any(n.values()):
        sets = (
            f"{n['sets']} of {n['sets tried']} other sets of as many pieces"
            if n["sets tried"]
            else "no other set was tried"
        )
        homes = (
            f"{n['homes']} of {n['homes tried']} other homes"
            if n["homes tried"]
            else "no other home was tried"
        )
        printing.say(f"As good: {sets}; {homes}.")
    if outcome.worst and outcome.cost is not None:
        hurts = (
            f"Called irrelevant, and hurts most: {', '.join(outcome.worst)} ({outcome.cost:.2f} of "
            "what all cost)."
        )
        printing.say(hurts if outcome.cost >= SEEN else "Nothing you left out hurts.")
    _logits(outcome)
    for text in outcome.differ[:3]:
        printing.say(f"Furthest off: {text}.")
    for c in outcome.controls:
        if c.refused:
            printing.say(f"The control {c.kind} does not fit the model: {c.refused}")
    printing.say(
        "It is better than every control."
        if outcome.ranked
        else f"It is not better than every control: {_above(outcome)}."
    )
    if outcome.page:
        printing.say(f"The page is {outcome.page}.")


def _logits(outcome: Explained) -> None:
    """Print where the squared error of its logits comes from, and which factor would mend it."""
    if not outcome.errors or sum(outcome.errors.values()) < SEEN:
        return
    shares = ", ".join(f"{name} {share:.2f}" for name, share in outcome.errors.items())
    printing.say(f"The logits' squared error, as shares of the variance of the model's: {shares}.")
    if (
        outcome.factor is not None
        and outcome.mended is not None
        and outcome.factor > 0
        and outcome.errors["scale"] >= LARGE
    ):
        printing.say(
            f"Multiply your logits (or the margin) by about {outcome.factor:.2g}, and they have "
            f"{outcome.mended:.2f} of that variance."
        )


def parts(model: Model) -> None:
    """Print what each part of a model is worth, and where its heads look."""
    printing.say(
        f"{model.name}: {model.model}; {model.numbers:,} numbers. {100 * model.right:.1f} % "
        "of its answers are right."
    )
    classes = ", ".join(f"{i} is {name}" for i, name in enumerate(model.called))
    where = f"position{'s' if ' ' in model.asked else ''} {model.asked}"
    printing.say(
        f"The task is {model.task}: inputs of {model.length} tokens, an answer is asked for "
        f"at {where}, counted from 0."
    )
    printing.say(
        f"It has {model.classes:,} classes: "
        f"{classes}{' …' if model.classes > len(model.called) else ''}."
    )
    looks = ("itself", "first", "before", "same token", "after the same")
    table = printing.grid(
        "part",
        "adds",
        "alone",
        "jointly",
        *looks,
        "asks × finds",
        right=("adds", "alone", "jointly", *looks),
    )
    for p in model.parts:
        pair = (
            f"{p.asks or 'biases'} × {p.finds or 'biases'} {_share(p.share)}"
            if p.share is not None
            else ""
        )
        table.add_row(
            p.part,
            f"{p.direct:.2f}",
            _share(p.alone),
            _share(p.joint),
            *(_share(p.looks[k]) if p.looks else "" for k in looks),
            pair,
        )
    print()
    printing.draw(table)
    print()
    printing.say(_WORDS)
    for why in model.left_out:
        printing.say(f"Not told: {why}")
    printing.say(
        f"The page is {model.page}."
        if model.page
        else "With --page NAME.html there is a page of it."
    )


def _share(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"


def _above(outcome: Explained) -> str:
    """The controls that are as good."""
    low = outcome.quality.low or 0.0
    kinds: Sequence[str] = [c.kind for c in outcome.controls if (c.quality.high or 0.0) >= low]
    return ", ".join(kinds)


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def _interval(line: Line) -> str:
    return "" if line.low is None else f"{_number(line.low)} – {_number(line.high)}"
