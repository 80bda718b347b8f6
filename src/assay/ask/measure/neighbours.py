"""Neighbours: the other head, layer or row that takes the place of one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from assay.controls.picks import pick
from assay.core.errors import DataError


def another(number: int, count: int, seed: int) -> int:
    """Give another number below `count`, each in turn as seeds go on. Raises: DataError if there is
    none."""
    if count < 2:
        raise DataError("a block has only one head, so no other can replace it; name controls")
    return (number + 1 + seed % (count - 1)) % count


def far(layer: int, layers: int) -> list[int]:
    """Give the layers a third of the model away: the earlier first, unless it is the first block.
    Raises: DataError if there is no other layer."""
    if layers < 2:
        raise DataError(f"the model has {layers} layer; name other controls")
    return [n for n in by_distance(layer, layers) if abs(n - layer) == max(1, layers // 3)]


def by_distance(layer: int, layers: int) -> list[int]:
    """Give every other layer, sorted by how near it is to a third of the model away; of two equal
    ones the earlier first, unless it is the first block."""
    step = max(1, layers // 3)
    others = [n for n in range(layers) if n != layer]
    return sorted(others, key=lambda n: (abs(abs(n - layer) - step), n == 0))


def third_away(layer: int, free: Iterable[int], layers: int, size: Callable[[int], float]) -> int:
    """Choose the free layer that is nearest to a third of the model away, earlier or later,
    whichever has the larger `size`, so that a dead layer is not chosen. Raises: DataError if none
    is free."""
    step, near = max(1, layers // 3), dict[bool, int]()
    for n in sorted(sorted(free), key=lambda n: abs(abs(n - layer) - step)):
        near.setdefault(n < layer, n)
    if not near:
        raise DataError("too few other layers are free; name fewer, or other controls")
    return max(sorted(near.values()), key=size)


def partners(names: Sequence[Hashable], seed: int, stream: str) -> list[int]:
    """Draw for each row another row with another name. Raises: DataError if there is none."""
    chosen = []
    for i, name in enumerate(names):
        others = [k for k, other in enumerate(names) if other != name]
        if not others:
            raise DataError("all rows are the same, so nothing can be taken from another one")
        chosen.append(others[pick(seed, stream, i, len(others))])
    return chosen
