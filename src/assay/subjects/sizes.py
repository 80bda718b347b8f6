"""Sizes: which architecture and sizes a model's config.json claims, and whether its weights have
them, before anything is made as large as it says. The parts of a decoder that has no file in
`architectures/` are found by structure: a guess, which `pretrained.load` proves on the weights."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import DataError, ModelError
from assay.core.heavy import torch
from assay.subjects import architectures
from assay.subjects.architectures import Architecture, Place, known, read_by, returned_by
from assay.subjects.site import KINDS

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
        **{x: size(known_sizes) for x, size in architecture.follow.items() if x not in known_sizes},
        **known_sizes,
    }


def check(config: Mapping[str, Any], where: Path) -> None:
    """Raise ModelError for an architecture without hooks, and for a size that is missing, no whole
    number from 1 up, or too large."""
    kind, types = config.get("model_type"), architectures.known()
    try:
        architecture = architecture_of(config)
    except ModelError as error:
        raise ModelError(
            f"{where.parent} holds a model of type {str(kind)[:40]}: {error}; Assay knows "
            f"{', '.join(types)}, and other models of the same structure"
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
                f"{where}: {name} must be a whole number of at least 1, got {str(size)[:40]}"
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
    if architecture.promised > (count := sum(map(math.prod, shapes.values()))):
        raise ModelError(
            f"the weights in {where} are {count:,} numbers, its config.json claims "
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


SIZES = {
    "layers": "num_hidden_layers",
    "d": "hidden_size",
    "m": "intermediate_size",
    "h": "num_attention_heads",
    "kv": "num_key_value_heads",
    "e": "head_dim",
    "v": "vocab_size",
    "positions": "max_position_embeddings",
}
"""transformers' common names; a type may keep them under others in config.json, which its class
knows."""
BETWEEN = "where it lies in such a block, only a file in architectures/ could say"


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """Give the architecture that a config.json means: that of a file, or what can be found. Raises:
    ModelError where that is none."""
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise ModelError(f'model_type must be a text such as "llama", got {str(kind)[:40]}')
    if kind not in known():
        return by_structure(json.dumps(dict(config), sort_keys=True, default=str))
    architecture = known()[kind]
    other = architecture.otherwise(config) if architecture.otherwise else None
    return other or architecture


@lru_cache(maxsize=8)
def by_structure(text: str) -> Architecture:
    """Find the parts of a model in the modules that transformers would build for a config, given as
    JSON, without any weight.

    Raises: ModelError for a type that transformers does not know as a decoder, or whose blocks are
    not made of attention and an MLP.
    """
    import transformers

    config = json.loads(text)
    kind = str(config.get("model_type"))[:40]
    if "auto_map" in config:
        raise ModelError(
            "it brings code of its own (auto_map in its config.json), which Assay never runs"
        )
    try:
        settings = transformers.AutoConfig.for_model(**config)
        if settings.num_hidden_layers > 1000 or max(_given(settings).values()) > 100_000_000:
            raise ValueError("a size in it is larger than that of any known model")
        with torch.device("meta"):  # modules without weights: whatever the size, no memory
            model: Any = transformers.AutoModelForCausalLM.from_config(settings)
    except Exception as error:
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise ModelError(f"transformers builds no decoder from its config.json ({why})") from error
    base, d = model.base_model, settings.hidden_size
    lists = [
        (name, child)
        for name, child in base.named_children()
        if isinstance(child, torch.nn.ModuleList) and len(child) == settings.num_hidden_layers
    ]
    norms = [name for name, child in base.named_children() if _is_norm(child, d)]
    if not lists or not norms or not lists[0][1]:
        raise ModelError("no list of blocks with a norm after it can be found")
    blocks, block = lists[0][0], lists[0][1][0]
    names = {letter: settings.attribute_map.get(name, name) for letter, name in SIZES.items()}
    alike = {type(b).__name__ for b in lists[0][1]}
    if len(alike) > 1:
        raise ModelError(f"its blocks are of several kinds, {', '.join(sorted(alike))}")
    return Architecture(
        name=kind,
        sizes={letter: name for letter, name in names.items() if hasattr(settings, name)},
        follow=_following(settings),
        prefix=f"{model.base_model_prefix}.",
        stored={},
        tied=bool(settings.tie_word_embeddings),
        blocks=blocks,
        final_norm=norms[-1],
        sites=_sites(block, settings, d),
        layer_norm=isinstance(getattr(base, norms[-1]), torch.nn.LayerNorm),
        absent=dict.fromkeys(KINDS, BETWEEN),
        guesses=tuple(candidates(block, d)),
        promised=sum(weight.numel() for weight in model.parameters()),
        traits=("found by structure",),
    )


def candidates(block: torch.nn.Module, d: int) -> Iterator[tuple[str, str]]:
    """Yield pairs of modules whose outputs may be what attention and MLP write to the stream: their
    last matrices, or norms behind them."""
    attention, mlp = _halves(block)
    norms = [n for n, child in block.named_children() if _is_norm(child, d)]
    for a in [*_last(block, attention, d), *norms]:
        for b in [*_last(block, mlp, d), *norms]:
            if a != b:
                yield a, b


def _sites(block: torch.nn.Module, settings: Any, d: int) -> dict[str, Place]:
    attention, mlp = _halves(block)
    if not attention or not mlp:
        raise ModelError("its blocks are not made of attention and an MLP")
    a, b = next(candidates(block, d))
    sites: dict[str, Place] = {"resid_pre": read_by("")}
    heads = getattr(settings, "num_attention_heads", 0)
    width = heads * (getattr(settings, "head_dim", None) or d // max(heads, 1))
    if a != attention and _inputs(block.get_submodule(a)) == width:
        sites["z"] = read_by(a)
    sites |= {"attn_out": returned_by(a), "mlp_in": read_by(mlp)}
    if b != mlp:
        sites |= _within(block, mlp, b, getattr(settings, "intermediate_size", None))
    return {**sites, "mlp_out": returned_by(b), "resid_post": returned_by("")}


def _within(block: torch.nn.Module, mlp: str, last: str, m: int | None) -> dict[str, Place]:
    """Place what the MLP's last matrix reads and, where there is one such matrix, what its
    non-linearity reads."""
    if m is None or _inputs(block.get_submodule(last)) != m:
        return {}
    first = [
        f"{mlp}.{name}"
        for name, child in block.get_submodule(mlp).named_modules()
        if _outputs(child) == m and f"{mlp}.{name}" != last
    ]
    gates = [name for name in first if "gate" in name] or (first if len(first) == 1 else [])
    sites = {"mlp_pre": returned_by(gates[0])} if gates else {}
    return {**sites, "mlp_post": read_by(last)}


def _halves(block: torch.nn.Module) -> tuple[str, str]:
    """Name a block's attention, which is the child that reads a mask, and its MLP, the other child
    with matrices."""
    children = [
        (n, c) for n, c in block.named_children() if any(p.ndim > 1 for p in c.parameters())
    ]
    attention = [
        n
        for n, c in children
        if any("mask" in name for name in inspect.signature(c.forward).parameters)
    ]
    others = [n for n, _ in children if n not in attention]
    return (attention[0] if attention else "", others[-1] if others else "")


def _last(block: torch.nn.Module, half: str, d: int) -> list[str]:
    """Name the matrices of a half that write as many numbers as the stream has, the last first, and
    the half itself."""
    inside = [
        f"{half}.{name}"
        for name, child in block.get_submodule(half).named_modules()
        if name and _outputs(child) == d
    ]
    return [*reversed(inside), half]


def _outputs(module: torch.nn.Module) -> int | None:
    # nf: GPT-2's Conv1D, which keeps its matrix input first
    return getattr(module, "out_features", getattr(module, "nf", None))


def _inputs(module: torch.nn.Module) -> int | None:
    return getattr(module, "in_features", getattr(module, "nx", None))


def _is_norm(module: torch.nn.Module, d: int) -> bool:
    weight = getattr(module, "weight", None)
    return (
        "norm" in type(module).__name__.lower()
        and isinstance(weight, torch.Tensor)
        and weight.shape == (d,)
    )


def _following(settings: Any) -> dict[str, Any]:
    """Sizes that config.json may leave out, as transformers fills them in."""
    return {letter: (lambda sizes, size=size: size) for letter, size in _given(settings).items()}


def _given(settings: Any) -> dict[str, int]:
    given = {letter: getattr(settings, name, None) for letter, name in SIZES.items()}
    return {letter: size for letter, size in given.items() if type(size) is int}


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
