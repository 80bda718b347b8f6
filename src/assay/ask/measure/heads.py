"""Heads: how they are written, and which layer each is in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from assay.core.errors import DataError


def heads_by_layer(heads: Sequence[str]) -> list[tuple[int, list[int]]]:
    """Each layer of some heads such as "9.6", with their numbers there. Raises: DataError."""
    by_layer: dict[int, list[int]] = {}
    for head in dict.fromkeys(heads):
        layer, number = head_of(head)
        by_layer.setdefault(layer, []).append(number)
    return sorted(by_layer.items())


def head_of(text: str) -> tuple[int, int]:
    """Layer and number of a head such as "9.6". Raises: DataError."""
    layer, dot, number = text.partition(".")
    if not (dot and layer.isdecimal() and number.isdecimal()):
        raise DataError(f'a head is written LAYER.HEAD, such as "9.6"; got {text!r}')
    return int(layer), int(number)


def check(name: str, layer: int | None, numbers: Iterable[int] | None, count: int) -> None:
    """Refuse heads that a block of so many does not have. Raises: DataError."""
    for number in numbers or ():
        if number >= count:
            raise DataError(
                f"{name!r}: block {layer} has heads 0 to {count - 1}, got {layer}.{number}"
            )
