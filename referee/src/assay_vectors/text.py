"""Outcomes as text, for terminals, pytest and files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from assay_vectors.outcomes import SIGNS, Outcome
from assay_vectors.vectors import INTEGERS, Vector

WIDTH = 100
"""Columns of a line, except for lines of code."""


def summary(vector: Vector, outcome: Outcome) -> Iterator[str]:
    """Show an outcome in one line, with what came out and what is right below it where
    they differ."""
    title = f"{SIGNS[outcome.outcome]} {vector.id:<4} {vector.title}"
    if outcome.outcome in ("right", "not offered"):
        why = f" ({outcome.why})" if outcome.why else ""
        yield from wrap(f"{title}{why}", WIDTH, subsequent_indent=" " * 7)
        return
    got, right = differences(outcome.got, outcome.expected)
    yield from wrap(title, WIDTH, subsequent_indent=" " * 7)
    yield from _field("got", got, 7)
    yield from _field("right", right, 7)
    if outcome.why:
        name = "mistake" if outcome.outcome == "wrong" else "follows"
        yield from _field(name, outcome.why, 7)


def report(vector: Vector, outcome: Outcome) -> str:
    """Show what came out, what is right, by which definition and why, and lines of
    NumPy that reproduce it."""
    got, right = differences(outcome.got, outcome.expected)
    got = got or values(outcome.got)
    right = right or values(outcome.expected)
    other = outcome.outcome == "another documented definition"
    mistaken = outcome.outcome == "wrong" and outcome.why
    fields = {
        "got": f"nothing ({outcome.why})" if outcome.outcome == "not offered" else got,
        "right": f"{right}, within {vector.tolerance:g}",
        **({"follows": outcome.why} if other else {}),
        "mistake" if mistaken else "detects": vector.catches,
        "defined": vector.definition,
        "derived": vector.derivation,
        "source": vector.source,
    }
    lines = [f"{vector.id} {vector.title}"]
    for name, text in fields.items():
        lines += _field(name, text, 2)
    if not other:
        for alternative in vector.alternatives:
            text = f"{alternative.definition} ({alternative.source}): "
            lines += _field("or", text + to_text(dict(alternative.expected)), 2)
    code = (f"    {line}" for line in reproduction(vector))
    return "\n".join([*lines, "  reproduce", *code])


def _field(name: str, text: str, indent: int) -> list[str]:
    start = f"{' ' * indent}{name:<9}"
    after = " " * len(start)
    return wrap(text, WIDTH, initial_indent=start, subsequent_indent=after)


def to_text(value: Any) -> str:
    """Write a quantity in a few characters: numbers to six digits, long arrays cut."""
    if isinstance(value, Mapping):
        return ", ".join(
            str(part) if name == "raised" else f"{name} {to_text(part)}"
            for name, part in value.items()
        )
    if isinstance(value, list):
        text = "[" + ", ".join(to_text(part) for part in value) + "]"
        return text if len(text) <= 60 else text[:57] + " …]"
    if value is None:
        return "undefined"
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


def values(cases: Iterable[Any]) -> str:
    """Write the quantities of all cases, equal ones once."""
    return "; ".join(dict.fromkeys(map(to_text, cases)))


def differences(got: Sequence[Any], expected: Iterable[Any]) -> tuple[str, str]:
    """Write what came out and what is right, in the cases where these differ in
    print."""
    pairs = [
        (to_text(g), to_text(e))
        for g, e in zip(got, expected, strict=True)
        if to_text(g) != to_text(e)
    ]
    wrong, right = (dict.fromkeys(pair[i] for pair in pairs) for i in (0, 1))
    return "; ".join(wrong), "; ".join(right)


def reproduction(vector: Vector, case: int = 0) -> list[str]:
    """Write a script with the inputs of one case, the lines of NumPy that compute its
    quantities, if there are any, and a last line that prints them next to the right
    ones."""
    inputs, expected = vector.cases[case].inputs, vector.cases[case].expected
    lines = ["import numpy as np"]
    lines += [f"{name} = {_code(value, name)}" for name, value in inputs.items()]
    lines += vector.numpy
    right = ", ".join(f"{name} {to_text(value)}" for name, value in expected.items())
    last = f"print({', '.join(expected)})  # {right}" if vector.numpy else f"# {right}"
    return [*lines, last]


def _code(value: Any, name: str = "") -> str:
    """Write a value as Python, lists as arrays if NumPy can hold them."""
    if isinstance(value, Mapping):
        parts = (f"{key!r}: {_code(part, key)}" for key, part in value.items())
        return "{" + ", ".join(parts) + "}"
    if not isinstance(value, list):
        return repr(value)
    leaf: Any = value
    while isinstance(leaf, list):
        leaf = next(iter(leaf), 0)
    if isinstance(leaf, Mapping | str):
        return "[" + ", ".join(_code(part) for part in value) + "]"
    kind = "" if isinstance(leaf, bool) or name in INTEGERS else ", float"
    return f"np.array({value}{kind})"
