"""Ranges: the bounds in a field's annotation, told in words, and the refusal of a value outside
them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Gt, Le, Lt

from assay.core.errors import SpecError

_KINDS: dict[type, tuple[str, str, Callable[[Any, Any], bool]]] = {
    Ge: ("at least", "ge", operator.ge),
    Gt: ("above", "gt", operator.gt),
    Le: ("at most", "le", operator.le),
    Lt: ("below", "lt", operator.lt),
}


def within(value: Any, marks: Sequence[object], where: str) -> Any:
    """Give back a value that lies within the bounds among the marks; a text among them says why,
    such as "as errors are taken over chains".

    Raises: SpecError for a value outside them.
    """
    if marks and any(not holds(value, limit) for _, limit, holds in _bounds(marks)):
        why = "".join(f", {mark}" for mark in marks if isinstance(mark, str))
        raise SpecError(f"{where} must be {in_words(marks)}{why}, got {_short(value)}")
    return value


def in_words(marks: Sequence[object]) -> str:
    """Say the range that bounds leave: "at least 1", "positive", "from 0 to 1", "above 0 and at
    most 1"; "" where there is none."""
    limits = {word: _short(limit) for word, limit, _ in _bounds(marks)}
    if limits == {"above": "0"}:
        return "positive"
    if set(limits) == {"at least", "at most"}:
        return f"from {limits['at least']} to {limits['at most']}"
    return " and ".join(f"{word} {limit}" for word, limit in limits.items())


def _bounds(marks: Sequence[object]) -> Iterator[tuple[str, Any, Callable[[Any, Any], bool]]]:
    for mark in marks:
        if type(mark) in _KINDS:
            word, name, holds = _KINDS[type(mark)]
            yield word, getattr(mark, name), holds
        elif isinstance(mark, GroupedMetadata):  # Interval(ge=0, le=1) is Ge(0) and Le(1)
            yield from _bounds(tuple(mark))
        elif isinstance(mark, BaseMetadata):
            raise SpecError(
                "a spec's fields are bounded by Ge, Gt, Le, Lt and Interval, and by check(), "
                f"not by {mark!r}"
            )


def _short(value: object) -> str:
    return str(value).removesuffix(".0")
