"""Sizes: what a model's config.json may claim, and whether its weights have it, before anything is
made as large as it says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import DataError, ModelError
from assay.subjects import architectures
from assay.subjects.structure import architecture_of

MOST = {"layers": 1_000, "positions": 100_000_000}
"""The largest sizes that are read; known models have 126 blocks, ten million positions and widths
of 53,248."""
WIDEST = 1_000_000


def read_sizes(config: Mapping[str, Any]) -> dict[str, int]:
    """Give the sizes of a model by their letters, with those that follow from others; what
    transformers alone knows is left out."""
    architecture = architecture_of(config)
    known_sizes = {
        letter: config[name]
        for letter, name in architecture.sizes.items()
        if config.get(name) is not None
    }
    width = {"e": known_sizes["d"] // known_sizes["h"]} if "h" in known_sizes else {}
    return {
        **width,
        **{letter: size(known_sizes) for letter, size in architecture.follow.items()},
        **known_sizes,
    }


def check(config: Mapping[str, Any], where: Path) -> None:
    """Raise ModelError for an architecture without hooks, and for a size that is missing, no whole
    number from 1 up, or too large."""
    kind, known = config.get("model_type"), architectures.known()
    try:
        architecture = architecture_of(config)
    except ModelError as error:
        raise ModelError(
            f"{where.parent} holds a model of type {str(kind)[:40]}: {error}; Assay knows "
            f"{', '.join(known)}, and finds its way in others that are built alike"
        ) from error
    names = architecture.sizes
    if absent := [
        names[letter]
        for letter in architecture.needed
        if not isinstance(config.get(names[letter]), int)
    ]:
        raise ModelError(f"{where} lacks the number {', '.join(absent)}")
    for letter, name in names.items():
        size = config.get(name)
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise ModelError(
                f"{where}: {name} must be a whole number from 1 up, got {str(size)[:40]}"
            )
        with told_of_a_model():
            foreign.within(size or 0, MOST.get(letter, WIDEST), where, name)
    if read_sizes(config).get("e", 1) < 1:
        raise ModelError(
            f"{where}: {names['d']} must be at least {names['h']}, got {config[names['d']]} "
            f"and {config[names['h']]}"
        )


def check_stored(
    config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], where: Path, mend: str
) -> None:
    """Raise ModelError where the stored weights have other sizes than config.json claims:
    transformers would make what it claims."""
    sizes, architecture = read_sizes(config), architecture_of(config)
    if architecture.promised > (held := sum(map(math.prod, shapes.values()))):
        raise ModelError(
            f"the weights in {where} are {held:,} numbers, its config.json claims "
            f"{architecture.promised:,}; {mend}"
        )
    if not architecture.stored:
        return
    stored = {name.removeprefix(architecture.prefix): list(shape) for name, shape in shapes.items()}
    embedding = next(name for name, letters in architecture.stored.items() if letters == "v d")
    if config.get("tie_word_embeddings", architecture.tied) and "lm_head.weight" in stored:
        stored.setdefault(
            embedding, stored["lm_head.weight"]
        )  # one tensor has two names; a file may keep either
    for pattern, letters in architecture.stored.items():
        expected_shape = [_product(factor.split("·"), sizes) for factor in letters.split()]
        for name in (
            [pattern.replace("*", str(i)) for i in range(sizes["layers"])]
            if "*" in pattern
            else [pattern]
        ):
            if name not in stored:
                raise ModelError(
                    f"the weights in {where} lack {name}, which its config.json claims; {mend}"
                )
            if None not in expected_shape and stored[name] != expected_shape:
                raise ModelError(
                    f"cannot load {where}: {name} is {stored[name]}, its config.json claims "
                    f"{expected_shape}; {mend}"
                )


def weights(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> int:
    """Count a model's weights.

    What files may hold besides is left out: masks, which have four axes, and the second name of an
    embedding that is the unembedding too.
    """
    twice = config.get("tie_word_embeddings", architecture_of(config).tied)
    return sum(
        math.prod(shape)
        for name, shape in shapes.items()
        if len(shape) < 4 and not (twice and name.endswith(("lm_head.weight", "embed_out.weight")))
    )


def check_memory(
    config: Mapping[str, Any],
    shapes: Mapping[str, Sequence[int]],
    bytes_each: int,
    free: float,
    where: str,
) -> None:
    """Raise ModelError where a model's weights alone take more bytes than are free."""
    numbers = weights(config, shapes)
    if numbers * bytes_each > free:
        raise ModelError(
            f"{where} takes {numbers * bytes_each / 1e9:,.1f} GB ({numbers:,} weights of "
            f"{bytes_each} bytes), {free / 1e9:,.1f} GB are free"
        )


def _product(letters: Sequence[str], sizes: Mapping[str, int]) -> int | None:
    """Multiply two sizes; None for what config.json leaves to transformers."""
    factors = [sizes.get(letter) for letter in letters]
    return None if None in factors else int(factors[0] * (factors[1] if len(factors) > 1 else 1))  # type: ignore[operator]


@contextmanager
def told_of_a_model() -> Iterator[None]:
    """Turn the door's DataError into a ModelError of the same text."""
    try:
        yield
    except DataError as error:
        raise ModelError(str(error)) from error
