"""Outcomes: whether what a library answered is right, wrong, another documented definition, or not
offered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assay.conformance.vectors import Vector

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
    """Which documented definition, or why it is not offered."""


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
    reasons = "; ".join(dict.fromkeys(why)) if outcome != "wrong" else ""
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
