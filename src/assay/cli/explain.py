"""`assay explain`: the table of an explanation's parts, beside its controls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from assay.cli import printing
from assay.core.errors import AssayError
from assay.verbs.explain import Explained, Hard, Line, Ours, check, ours


def done(what: Literal["check", "show"], file: str, hard: Hard, rival: bool, root: Path) -> Explained | Ours:
    """Score an explanation or give one of ours. Raises: AssayError where what was typed does not go together, and what the verbs raise."""
    if what == "show":
        return ours(file, root, rival=rival)
    if rival:
        raise AssayError("--rival goes with show; what is checked is the file that is named")
    return check(Path(file), hard, root)


def show(found: Explained | Ours) -> None:
    """Print what an explanation reaches, what its controls do, and what would help it; one of ours as its file."""
    if isinstance(found, Ours):
        print(found.toml, end="")
        return
    kinds = [c.kind for c in found.controls]
    table = printing.grid("", "yours", "interval", *kinds, right=("yours", "interval", *kinds))
    for i, own in enumerate((*found.parts, found.quality)):
        others = [[*c.parts, c.quality][i] for c in found.controls]
        table.add_row(own.name, _number(own.estimate), _interval(own), *(_number(x.estimate) for x in others))
    printing.say(f"{found.name}, of {found.of}: {found.size} names and numbers for a model of {found.numbers:,} numbers.")
    if found.code:
        printing.say("The file is code, and was run.")
    print()
    printing.draw(table)
    print()
    for line in (*found.parts, *found.details):
        if line.why or line in found.details:
            printing.say(f"{line.name}: {line.why or f'{_number(line.estimate)} {_interval(line)}'}")
    for x in found.exchanged:
        learned = f"learned directions {_number(x.learned)}, for nothing {_number(x.unfounded)}"
        what = f"{_number(x.right)} of changed answers as foretold ({x.pairs} pairs; {learned})"
        printing.say(f"{x.variable} exchanged: {what if x.pairs else 'no answer was to change'}")
    n = found.as_good
    if any(n.values()):
        printing.say(f"As good: {n['sets']} of {n['sets tried']} other sets of as many pieces, {n['homes']} of {n['homes tried']} other homes.")
    if found.worst:
        printing.say(f"Called irrelevant, and hurts most: {', '.join(found.worst)}.")
    for text in found.differ[:3]:
        printing.say(f"Furthest off: {text}.")
    for c in found.controls:
        if c.refused:
            printing.say(f"The control {c.kind} does not fit the model: {c.refused}")
    printing.say("It is better than every control." if found.ranked else f"It is not better than every control: {_above(found)}.")


def _above(found: Explained) -> str:
    """The controls that are as good."""
    low = found.quality.low or 0.0
    named: Sequence[str] = [c.kind for c in found.controls if (c.quality.high or 0.0) >= low]
    return ", ".join(named)


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def _interval(line: Line) -> str:
    return "" if line.low is None else f"{_number(line.low)} – {_number(line.high)}"
