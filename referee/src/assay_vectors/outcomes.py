"""Outcomes: whether what a library answered is right, wrong, another documented definition, or not
offered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assay_vectors.vectors import WHOLE, Vector

Kind = Literal["right", "wrong", "another documented definition", "not offered"]
KINDS: tuple[Kind, ...] = ("right", "another documented definition", "wrong", "not offered")
SIGNS = {"right": "●", "another documented definition": "◐", "wrong": "✕", "not offered": "–"}
"""Outcome → its sign in a table."""

_MISSING = object()


@dataclass(frozen=True)
class Outcome:
    """What one library made of one vector; `got` and `expected` have one entry for each case."""

    id: str
    passed: bool
    """True only where it is right."""
    outcome: Kind
    got: tuple[Any, ...]
    expected: tuple[Mapping[str, Any], ...]
    source: str
    why: str = ""
    """Which documented definition, which known mistake, or why it is not offered."""


def judge(vector: Vector, answers: Sequence[Mapping[str, Any]]) -> Outcome:
    """The outcome of a vector from the answers to its cases, in their order.

    Right where every case is; another documented definition where every case is right or agrees
    with an alternative; wrong where any case is neither, or raised; else not offered, where any
    case is not."""
    kinds: list[str] = []
    got: list[Any] = []
    why: list[str] = []
    for case, answer in zip(vector.cases, answers, strict=True):
        if "error" in answer:
            kinds.append("wrong")
            got.append({"raised": answer["error"]})
        elif "value" not in answer:
            kinds.append("not offered")
            got.append(None)
            why.append(str(answer.get("not_offered", "no answer")))
        else:
            value = answer["value"]
            value = value if isinstance(value, Mapping) else {}
            kind, reason = _compare(vector, case.expected, value)
            kinds.append(kind)
            got.append({name: value.get(name) for name in case.expected})
            why += [reason] if reason else []
    outcome = next(
        kind
        for kind in ("wrong", "not offered", "another documented definition", "right")
        if kind in kinds
    )
    expected = tuple(case.expected for case in vector.cases)
    reasons = _mistake(vector, got[0]) if outcome == "wrong" else "; ".join(dict.fromkeys(why))
    return Outcome(
        vector.id, outcome == "right", outcome, tuple(got), expected, vector.source, reasons
    )  # type: ignore[arg-type]


def _compare(
    vector: Vector, expected: Mapping[str, Any], got: Mapping[str, Any]
) -> tuple[Kind, str]:
    if missing := [name for name in expected if name not in got]:
        return "not offered", f"no {', '.join(missing)}"
    if all(_agrees(value, got[name], vector.tolerance) for name, value in expected.items()):
        return "right", ""
    for other in vector.alternatives:
        if all(
            _agrees(value, got[name], vector.tolerance) for name, value in other.expected.items()
        ):
            return "another documented definition", f"{other.definition} ({other.source})"
    return "wrong", ""


def _mistake(vector: Vector, got: Any) -> str:
    """The mistake that a vector is there for, where the first case came out as by it."""
    same = isinstance(got, Mapping) and vector.mistaken.keys() <= got.keys()
    same = same and all(_agrees(v, got[k], vector.tolerance) for k, v in vector.mistaken.items())
    return vector.catches if vector.mistaken and same else ""


def _agrees(expected: Any, got: Any, tolerance: float) -> bool:
    """Same shape; numbers within tolerance of the largest expected one, everything else equal."""
    pairs = list(_leaves(expected, got))
    if any(a is _MISSING for a, _ in pairs):
        return False
    largest = max((abs(a) for a, _ in pairs if _number(a)), default=0.0) or 1.0
    return all(
        abs(a - b) <= tolerance * largest
        if _number(a) and _number(b)
        else type(a) is type(b) and a == b
        for a, b in pairs
    )


def _leaves(a: Any, b: Any) -> list[tuple[Any, Any]]:
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [
            pair for element, other in zip(a, b, strict=True) for pair in _leaves(element, other)
        ]
    return [(_MISSING, b)] if isinstance(a, list) or isinstance(b, list) else [(a, b)]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def to_text(value: Any) -> str:
    """A quantity in a few characters: numbers to six digits, long arrays cut."""
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


def wrong_cases(got: Sequence[Any], expected: Iterable[Any]) -> tuple[str, str]:
    """What was given and what is right, in the cases that differ in print; equal expectations are
    said once."""
    pairs = [
        (to_text(g), to_text(e))
        for g, e in zip(got, expected, strict=True)
        if to_text(g) != to_text(e)
    ]
    right = list(dict.fromkeys(e for _, e in pairs))
    return "; ".join(dict.fromkeys(g for g, _ in pairs)), "; ".join(right)


def report(vector: Vector, outcome: Outcome) -> str:
    """What a library's maintainer needs to see: what was given, what is right, by which definition
    and why, and lines of NumPy that show it."""
    got, right = wrong_cases(outcome.got, outcome.expected)
    named = "this is what comes of" if outcome.why else "there to catch"
    lines = [
        f"{vector.id} {vector.title}",
        f"  got      {got or to_text(outcome.got[0])}",
        f"  right    {right or to_text(outcome.expected[0])}, within {vector.tolerance:g} of it",
        f"  {named}: {vector.catches}",
        f"  defined  {vector.definition}",
        f"  derived  {vector.derivation}",
        f"  source   {vector.source}",
    ]
    if outcome.outcome == "another documented definition":
        lines[3] = f"  follows  {outcome.why}"
    return "\n".join([*lines, "  reproduce", *(f"    {line}" for line in reproduction(vector))])


def reproduction(vector: Vector, case: int = 0) -> list[str]:
    """Lines of a script that holds one case's inputs, works out what is asked for, where a few
    lines of NumPy do, and prints it beside what is right."""
    inputs, expected = vector.cases[case].inputs, vector.cases[case].expected
    lines = ["import numpy as np"]
    lines += [f"{name} = {_code(value, name)}" for name, value in inputs.items()]
    lines += vector.numpy
    right = ", ".join(f"{name} {to_text(value)}" for name, value in expected.items())
    return [*lines, f"print({', '.join(expected)})  # {right}" if vector.numpy else f"# {right}"]


def _code(value: Any, name: str = "") -> str:
    """A value as Python, lists as arrays where NumPy can hold them."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_code(part, key)}" for key, part in value.items()) + "}"
    if not isinstance(value, list):
        return repr(value)
    leaf: Any = value
    while isinstance(leaf, list):
        leaf = next(iter(leaf), 0)
    if isinstance(leaf, Mapping | str):
        return "[" + ", ".join(_code(part) for part in value) + "]"
    return f"np.array({value}{'' if isinstance(leaf, bool) or name in WHOLE else ', float'})"
