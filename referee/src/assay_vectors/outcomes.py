"""Comparing answers with the vectors: right, wrong, another documented definition, or
not offered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assay_vectors.vectors import Vector

Kind = Literal["right", "wrong", "another documented definition", "not offered"]
KINDS: tuple[Kind, ...] = (
    "right",
    "another documented definition",
    "wrong",
    "not offered",
)
SIGNS: Mapping[str, str] = {
    "right": "●",
    "another documented definition": "◐",
    "wrong": "✕",
    "not offered": "–",
}
"""Outcome → its sign in a table."""

WORST: tuple[Kind, ...] = (
    "wrong",
    "not offered",
    "another documented definition",
    "right",
)
"""The first kind that any case has is the outcome of a vector."""
_MISSING = object()


@dataclass(frozen=True)
class Outcome:
    """The result of one vector; `got` and `expected` have an entry for each case."""

    id: str
    passed: bool
    """True only if it is right."""
    outcome: Kind
    got: tuple[Any, ...]
    expected: tuple[Mapping[str, Any], ...]
    source: str
    why: str = ""
    """Which documented definition, which known mistake, or why it is not offered."""


def judge(vector: Vector, answers: Sequence[Mapping[str, Any]]) -> Outcome:
    """Compare the answers to a vector's cases, in their order.

    Right if every case is. Another documented definition if every case is right or
    agrees with an alternative. Wrong if any case is neither, or raised an error.
    Otherwise not offered, if any case is not."""
    kinds: list[Kind] = []
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
    outcome = next(kind for kind in WORST if kind in kinds)
    wrong = outcome == "wrong"
    return Outcome(
        vector.id,
        outcome == "right",
        outcome,
        tuple(got),
        tuple(case.expected for case in vector.cases),
        vector.source,
        _mistake(vector, got[0]) if wrong else "; ".join(dict.fromkeys(why)),
    )


def count(outcomes: Iterable[Outcome | str]) -> str:
    """Say how many outcomes there are of each kind, with their signs."""
    counts = Counter(getattr(outcome, "outcome", outcome) for outcome in outcomes)
    parts = (f"{SIGNS[kind]} {counts[kind]} {kind}" for kind in KINDS if counts[kind])
    return ", ".join(parts) or "no vectors"


def _compare(
    vector: Vector, expected: Mapping[str, Any], got: Mapping[str, Any]
) -> tuple[Kind, str]:
    if missing := [name for name in expected if name not in got]:
        return "not offered", f"no {', '.join(missing)}"
    if _all_agree(vector, expected, got):
        return "right", ""
    for other in vector.alternatives:
        if _all_agree(vector, other.expected, got):
            reason = f"{other.definition} ({other.source})"
            return "another documented definition", reason
    return "wrong", ""


def _mistake(vector: Vector, got: Any) -> str:
    """Return the mistake that a vector detects, if the first case has its result."""
    known = isinstance(got, Mapping) and vector.mistaken.keys() <= got.keys()
    same = known and _all_agree(vector, vector.mistaken, got)
    return vector.catches if vector.mistaken and same else ""


def _all_agree(vector: Vector, expected: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    return all(_agrees(value, got[name], vector.tolerance) for name, value in expected.items())


def _agrees(expected: Any, got: Any, tolerance: float) -> bool:
    """Whether shapes are the same, numbers are within the tolerance of the largest
    expected one, and everything else is equal."""
    pairs = list(_leaves(expected, got))
    if any(a is _MISSING for a, _ in pairs):
        return False
    largest = max((abs(a) for a, _ in pairs if _is_number(a)), default=0.0) or 1.0
    return all(
        abs(a - b) <= tolerance * largest
        if _is_number(a) and _is_number(b)
        else type(a) is type(b) and a == b
        for a, b in pairs
    )


def _leaves(a: Any, b: Any) -> list[tuple[Any, Any]]:
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        pairs = zip(a, b, strict=True)
        return [pair for element, other in pairs for pair in _leaves(element, other)]
    return [(_MISSING, b)] if isinstance(a, list) or isinstance(b, list) else [(a, b)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
