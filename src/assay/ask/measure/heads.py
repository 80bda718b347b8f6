"""Heads and neurons: how they are written, and checks that a model has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from assay.core.errors import DataError
from assay.subjects.folder import ModelFolder
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes


def heads_by_layer(heads: Sequence[str]) -> list[tuple[int, list[int]]]:
    """The layers of heads such as "9.6", with the numbers of the heads. Raises: DataError."""
    by_layer: dict[int, list[int]] = {}
    for head in dict.fromkeys(heads):
        layer, number = head_of(head)
        by_layer.setdefault(layer, []).append(number)
    return sorted(by_layer.items())


def head_of(text: str) -> tuple[int, int]:
    """Layer and number of a head such as "9.6". Raises: DataError."""
    layer, dot, number = text.partition(".")
    if not (dot and layer.isdecimal() and number.isdecimal()):
        raise DataError(
            'a head is written LAYER.HEAD, such as "9.6" or, in a sweep, "{layer}.{head}"; '
            f"got {text!r}"
        )
    return int(layer), int(number)


def check_heads(name: str, layer: int | None, numbers: Iterable[int] | None, count: int) -> None:
    """Refuse heads that a block does not have. Raises: DataError."""
    for number in numbers or ():
        if number >= count:
            raise DataError(
                f"{name!r}: block {layer} has heads 0 to {count - 1}, got {layer}.{number}"
            )


def checked_heads(
    name: str, kind: str, heads: Iterable[str], folder: ModelFolder
) -> list[tuple[int, int]]:
    """Layer and number of each head. Raises: DataError, ModelError for a head that the model lacks
    at sites of this kind."""
    pairs, count = [head_of(head) for head in heads], read_sizes(folder.config)["h"]
    for layer, head in pairs:
        folder.check(Site(kind, layer))
        check_heads(name, layer, [head], count)
    return pairs


def check_neurons(name: str, site: Site, numbers: Sequence[int], folder: ModelFolder) -> None:
    """Refuse neurons that a site does not have. Raises: DataError, ModelError."""
    width = folder.width(site)
    for n in (min(numbers), max(numbers)):
        if not 0 <= n < width:
            raise DataError(f"{name}: {site} has neurons 0 to {width - 1:,}, got {n:,}")
