"""Regimes: where the length of a text changes the model itself. Rope with other frequencies beyond
a length ("longrope", "dynamic") turns every position of a longer text otherwise, the first too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Regime = tuple[int, ...]


def regime(config: Any, length: int) -> Regime:
    """Give what is the same for texts that share a model: of each kind of layer whose rope knows
    lengths 0 for a short text, 1 for one beyond, or the length itself where each has its own.

    Args:
        config: of a model of transformers, as it was loaded.
        length: tokens of a text.
    """
    stated = getattr(config, "rope_parameters", None) or {}
    kinds = [v for v in stated.values() if isinstance(v, Mapping)] or [stated]
    return tuple(_of_one(config, kind, length) for kind in kinds if _knows_lengths(kind))


def _knows_lengths(rope: Mapping[str, Any]) -> bool:
    kind = str(rope.get("rope_type", ""))
    return kind == "longrope" or "dynamic" in kind


def _of_one(config: Any, rope: Mapping[str, Any], length: int) -> int:
    if rope["rope_type"] == "longrope":
        return int(length > rope["original_max_position_embeddings"])
    return length if length > config.max_position_embeddings else 0
