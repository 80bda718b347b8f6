"""Models of a study, opened once: unchanged, untrained, with changed weights, or with the change
between two models shuffled."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float

from assay.ask.tables import DType, Model, Plain, Weights
from assay.core.bench import Bench
from assay.core.errors import AssayError, DataError, nearest
from assay.core.heavy import torch
from assay.core.nouns import counted
from assay.core.spec import Spec
from assay.subjects import folder as folders
from assay.subjects import sizes
from assay.subjects.adapters import BETWEEN
from assay.subjects.pretrained import Pretrained, load, shared
from assay.subjects.sizes import read_sizes
from assay.subjects.untrained import redrawn
from assay.train import rng

DIM = "checkpoint"
"""The dimension of the checkpoints of a training."""


def states(model: Model) -> tuple[str, ...]:
    """The models that a table opens: its checkpoints, or the named one, once for each change of its
    weights."""
    return model.checkpoints or (model.like or model.name,) * max(1, len(changes(model)))


def changes(model: Model) -> tuple[Weights, ...]:
    """The changes of a model's weights: one, in a sweep one for each level, or ()."""
    if model.weights is None:
        return ()
    return model.weights if isinstance(model.weights, tuple) else (model.weights,)


def at(model: Model, state: int) -> Model:
    """A model at one level of the sweep of its weights."""
    if not model.sweep:
        return model
    return msgspec.structs.replace(model, weights=changes(model)[state], sweep={})


def only(model: Model, sweep: Mapping[str, tuple[Plain, ...]]) -> Model:
    """A model restricted to some levels of the sweep of its weights."""
    if not model.sweep:
        return model
    pairs = zip(itertools.product(*model.sweep.values()), changes(model), strict=True)
    selected = {*itertools.product(*(sweep[name] for name in model.sweep))}
    selected_changes = tuple(change for levels, change in pairs if levels in selected)
    return msgspec.structs.replace(model, weights=selected_changes, sweep=sweep)


def check(model: Model) -> None:
    """Refuse a table that names no model, or names it in several ways. Raises: DataError."""
    ways = [w for w in ("name", "like", "checkpoints") if getattr(model, w)]
    if len(ways) != 1:
        got = " and ".join(ways) or "none of them"
        raise DataError(f"give one of name, like and checkpoints for a model, got {got}")
    _check_changes(model)
    if model.base and not model.name:
        raise DataError("a base belongs to the name of an adapter's folder")
    if model.like and (model.dtype or model.device):
        raise DataError("an untrained twin has dtype and device of the model that it is like")
    if len(set(model.checkpoints)) != len(model.checkpoints):
        raise DataError("the checkpoints are states of one training, each of them once")


def _check_changes(model: Model) -> None:
    """Refuse changes of weights that change nothing, or whose number differs from the levels.
    Raises: DataError."""
    every = changes(model)
    count = math.prod(map(len, model.sweep.values())) if model.sweep else min(1, len(every))
    if every and not model.name:
        raise DataError("weights changes those of the model under name, and this one has no name")
    if len(every) != count:
        raise DataError(
            f"weights has {counted(len(every), 'change')}, the sweep {counted(count, 'level')}: "
            'write slots, as in { swap = ["{layer}", "{layer+1}"] }, or one change for each level'
        )
    for w in every:
        if w.from_ and not w.of:
            raise DataError(
                "from takes some weights of another model: write { from = "
                f'"{w.from_}", of = "layers.9" }}, or name that model itself for all of them'
            )
        if w.swap and (w.blocks or (w.swap[0] == w.swap[1] and not model.sweep)):
            raise DataError("swap is of two different blocks, such as [10, 11], in place of blocks")
    if every and all(w == Weights(of=w.of, per=w.per, group=w.group) for w in every):
        raise DataError(
            "weights changes nothing here: write { round = 3 }, { bits = 4 }, "
            "{ swap = [10, 11] }, or a scale other than 1, as { scale = 0.9 }"
        )


def levels(model: Model) -> dict[str, list[Plain]]:
    """The dimension of checkpoints with its levels: the steps if all names end in one, such as
    ./step-100, otherwise the names, without the parent folders; or the levels of the sweep of its
    weights. Empty for any other model."""
    if not model.checkpoints:
        return {name: [*values] for name, values in model.sweep.items()}
    steps = [re.search(r"(\d+)/?$", name) for name in model.checkpoints]
    numbers = [int(m[1]) for m in steps if m]
    if len(set(numbers)) == len(model.checkpoints):
        return {DIM: [*numbers]}
    short = [PurePath(name).name for name in model.checkpoints]
    return {DIM: [*(short if len(set(short)) == len(short) else model.checkpoints)]}


def located(folder: Path, name: str) -> str:
    """The folder of a model relative to the study, if the name is a path."""
    parts = name.split(BETWEEN)
    return BETWEEN.join(
        str(folder / part) if part.startswith(("./", "../")) else part for part in parts
    )


def named(model: Model) -> Model:
    """Join an adapter's folder and its base to one name."""
    if not model.base:
        return model
    return msgspec.structs.replace(model, name=f"{model.name}{BETWEEN}{model.base}", base="")


OPEN = 2
"""How many models stay open."""


@lru_cache(maxsize=OPEN)
def opened(name: str, device: str, fingerprint: str, dtype: DType = "") -> Pretrained:
    """A model, ready to run; the last few stay open."""
    return shared(name, device, dtype or "float32")


def as_it_is(name: str, device: str, table: Model) -> Pretrained:
    """Open the model of a folder with the device, precision, weight change and BOS setting of its
    table."""
    about = name, table.device or device, folders.find(name).fingerprint
    if not (change := changes(table)):
        return beginning(opened(*about, table.dtype), table.bos)
    return beginning(_reweighted(*about, table.dtype, change[0]), table.bos)


def key_suffix(table: Model) -> str:
    """What a table's BOS setting, precision and weight change add to the model's hash."""
    words = "" if table.bos is None else f" bos {table.bos}"
    words += f" {table.dtype}" if table.dtype else ""
    return f"{words} {reweighted_in_words(table)}" if table.weights else words


@lru_cache(maxsize=1)
def _reweighted(
    name: str, device: str, fingerprint: str, dtype: DType, weights: Weights
) -> Pretrained:
    """A model with changed weights; the last one stays open."""
    return _changed_by(weights, load(name, device, dtype or "float32", apart=True))


def _changed_by(weights: Weights, model: Pretrained) -> Pretrained:
    """Change the weights of a model in memory. Raises: DataError for blocks of different shapes."""
    order = _order(weights, model.layers)
    moved = {n: source for n, source in enumerate(order) if n != source}
    states = {n: deepcopy(model.blocks[n].state_dict()) for n in {*moved.values()}}
    for n, source in moved.items():
        try:
            model.blocks[n].load_state_dict(states[source])
        except RuntimeError as e:
            raise DataError(f"blocks {n} and {source} of {model.name} have other shapes") from e
    # GPT-2 has its output channels last
    modules = model.model.named_modules()
    transposed = {name for name, module in modules if type(module).__name__ == "Conv1D"}
    source_weights = dict(model.model.named_parameters())
    if other := weights.from_:
        donor = opened(other, str(model.device), folders.find(other).fingerprint, model.dtype)
        source_weights = dict(donor.model.named_parameters())
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if is_of(weights.of, name):
                weight.copy_(source_weights[name])
                weight *= weights.scale
                if weights.round is not None:
                    weight.copy_(torch.round(weight, decimals=weights.round))
                if weights.bits is not None and weight.dim() == 2:
                    out_last = name.removesuffix(".weight") in transposed
                    weight.copy_(
                        _quantised(weight.mT if out_last else weight, weights, name, out_last)
                    )
    return model


def _order(weights: Weights, layers: int) -> list[int]:
    """The block that runs at each place. Raises: DataError for an unknown block."""
    order = [*(weights.blocks or range(layers))]
    if weights.swap and max(weights.swap) < layers:
        first, second = weights.swap
        order[first], order[second] = second, first
    if len(order) != layers or max(*order, *(weights.swap or ())) >= layers:
        raise DataError(
            f"the model has blocks 0 to {layers - 1}: swap names two of them, and blocks has "
            f"{layers} numbers, one for each place"
        )
    return order


def is_of(part: str, name: str) -> bool:
    """Whether a weight belongs to a part, by its name; "layers.1" is block 1 and not block 10."""
    end = r"(?!\d)" if part[-1:].isdecimal() else ""
    return re.search(re.escape(part) + end, name) is not None


def _quantised(
    weight: Float[torch.Tensor, "out in"], weights: Weights, name: str, out_last: bool
) -> torch.Tensor:
    """Round a matrix to the nearest values of so many bits, and return it as it is stored. Raises:
    DataError."""
    count, width = weight.shape
    size = {"channel": width, "group": weights.group, "tensor": count * width}[weights.per]
    if (count * width if weights.per == "tensor" else width) % size:
        raise DataError(f"{name} has {width} weights a channel, which {size} do not divide")
    grouped, bound = weight.reshape(-1, size), 2 ** ((weights.bits or 2) - 1)
    scale = grouped.abs().amax(1, keepdim=True).clamp_min(1e-30) / (bound - 1)
    rounded = (grouped / scale).round().clamp(-bound, bound - 1) * scale
    rounded = rounded.reshape(count, width)
    return rounded.mT if out_last else rounded


def reweighted_in_words(table: Model) -> str:
    """Describe the changes of a model's weights, at each level of a sweep; "" if there are none."""
    return "; ".join(_in_words(w) or "unchanged" for w in changes(table))


def _in_words(w: Weights) -> str:
    """Describe a change of weights; "" if there is none."""
    ways = [f"from {_identified(w.from_)}"] if w.from_ else []
    ways += [f"times {w.scale:g}"] if w.scale != 1 else []
    ways += [f"rounded to {w.round} decimals"] if w.round is not None else []
    each = f"{w.group} weights" if w.per == "group" else w.per
    ways += [f"rounded to {w.bits} bits, a scale for each {each}"] if w.bits else []
    words = (
        [f"{f'those of {w.of}' if w.of else 'all'} weights {' and '.join(ways)}"] if ways else []
    )
    words += [f"blocks {w.swap[0]} and {w.swap[1]} swapped"] if w.swap else []
    words += [f"blocks in the order {', '.join(map(str, w.blocks))}"] if w.blocks else []
    return ", ".join(words)


def _identified(name: str) -> str:
    """A model's name with the beginning of its hash, if it is available."""
    with suppress(AssayError):
        return f"{PurePath(name).name} ({folders.find(name).content[:8]})"
    return PurePath(name).name


def elsewhere(table: Model, layers: int) -> Model | None:
    """Move a change of weights a third of the model away, at each level of a sweep; None if it
    names no single block, and swaps no two."""
    moved = [_elsewhere(w, layers) for w in changes(table)]
    if not moved or None in moved:
        return None
    weights: Any = tuple(moved) if table.sweep else moved[0]
    return msgspec.structs.replace(table, weights=weights)


def _elsewhere(w: Weights, layers: int) -> Weights | None:
    """Move a change of weights a third of the model away; None if that is impossible."""
    if w.blocks or layers < 2:
        return None
    here, step = blocks_of(w), max(1, layers // 3)
    moves = [n for n in range(-max(here, default=0), layers) if not {*here} & {x + n for x in here}]
    moves = [n for n in moves if all(0 <= x + n < layers for x in here)]
    if not here or not moves:
        return None
    move = min(moves, key=lambda n: (abs(abs(n) - step), n < 0))
    if w.swap:
        return msgspec.structs.replace(w, swap=(w.swap[0] + move, w.swap[1] + move))
    return msgspec.structs.replace(w, of=_BLOCK.sub(str(here[0] + move), w.of, count=1))


_BLOCK = re.compile(r"(?<=\.)\d+(?=\.|$)")
"""The number of a block in a part of the names of weights."""


def blocks_of(w: Weights) -> tuple[int, ...]:
    """The block whose weights are changed, or the two that are swapped; () if a change names
    none."""
    block = _BLOCK.search(w.of)
    return w.swap or ((int(block[0]),) if block else ())


def check_weights(table: Model, folder: folders.ModelFolder) -> None:
    """Refuse a change of weights that the model lacks. Raises: DataError."""
    if not (changed := changes(table)):
        return
    shapes = folder.shapes()
    names = [n for n in shapes if n.endswith((".weight", ".bias"))]
    for w in changed:
        _order(w, folder.layers)
        affected = [name for name in names if is_of(w.of, name)]
        if names and not affected:
            raise DataError(
                f"no weight of {folder.name} has {w.of!r} in its name; {nearest(w.of, names)}"
            )
        source_shapes = folders.find(w.from_).shapes() if w.from_ else shapes
        for name in affected:
            if source_shapes.get(name) != shapes[name]:
                raise DataError(
                    f"{name} is {shapes[name]} in {folder.name} and {source_shapes.get(name)} in "
                    f"{PurePath(w.from_).name}; weights are taken from a model of the same shape"
                )
        if w.bits and w.per == "group":
            for name, shape in shapes.items():
                if is_of(w.of, name) and len(shape) == 2 and all(n % w.group for n in shape):
                    reason = f"{shape[0]} × {shape[1]}, which {w.group} do not divide"
                    raise DataError(f"{name} is {reason}")


@dataclass(frozen=True)
class AsTheyAre:
    """The unchanged models of a study, which workers of one machine share."""

    tables: tuple[Model, ...]
    folder: Path
    """The folder of the study."""

    def size(self) -> float:
        """Estimate the bytes of the models that are open at once; 0 for unavailable ones."""
        total = 0.0
        for name, table in self._first():
            with suppress(AssayError):
                folder = folders.find(name)
                each = 4 if table.dtype in ("", "float32") else 2
                total += each * sizes.weights(folder.config, folder.shapes())
        return total

    def open(self, device: str) -> None:
        """Open them so that `as_it_is` finds them. Raises: AssayError."""
        for name, table in self._first():
            as_it_is(name, device, table)

    def _first(self) -> Iterator[tuple[str, Model]]:
        names = [
            (located(self.folder, name), at(table, n))
            for table in self.tables
            if not table.like
            for n, name in enumerate(states(table))
        ]
        return iter(names[:OPEN])


def beginning(model: Pretrained, bos: bool | None) -> Pretrained:
    """A model with this BOS setting."""
    return model if bos is None else replace(model, folder=replace(model.folder, bos=bos))


@lru_cache(maxsize=2)
def _copy(name: str, device: str, fingerprint: str, place: int, dtype: DType = "") -> Pretrained:
    """A copy of a model whose weights will be changed, so that the opened one stays unchanged; one
    for each place."""
    return load(name, device, dtype or "float32", apart=True)


def untrained(
    name: str,
    seed: int,
    device: str,
    place: int = 0,
    bos: bool | None = None,
    dtype: DType = "",
    own_device: str = "",
    weights: Weights | None = None,
) -> Pretrained:
    """A model with weights drawn by the seed, and then changed; valid until the next call for this
    place."""
    fingerprint = folders.find(name).fingerprint
    model = redrawn(_copy(name, own_device or device, fingerprint, place, dtype), seed)
    return beginning(_changed_by(weights, model) if weights else model, bos)


def changed(first: Pretrained, second: Pretrained, seed: int, place: int = 0) -> Pretrained:
    """The first model with the shuffled change of weights to the second: rows and columns of each
    matrix are permuted, and entries of each vector; vocabulary axes stay.

    So every tensor changes by the same amount, a matrix with the same singular values, but
    elsewhere. Raises: DataError if the two have different weights by name or shape, or no weight
    differs."""
    copy = _copy(first.folder.name, str(first.device), first.fingerprint, place, first.dtype)
    ours, theirs = (dict(m.model.named_parameters()) for m in (first, second))
    if {n: p.shape for n, p in ours.items()} != {n: p.shape for n, p in theirs.items()}:
        raise DataError(
            f"{first.name} and {second.name} have not weights of the same names and shapes, so the "
            "change between them cannot be shuffled; name other controls"
        )
    moved, vocab = False, len(first.model.get_input_embeddings().weight)
    for k, (name, weight) in enumerate(copy.model.named_parameters()):
        change = theirs[name].detach() - ours[name].detach()
        moved = moved or bool(change.any())
        for axis, size in enumerate(change.shape):
            if size == vocab:  # rare tokens hardly change, and must not swap with common ones
                continue
            order = rng.permutation(np.array([seed]), f"ask.change.{axis}", k, size)[0]
            change = change.index_select(axis, torch.from_numpy(order.copy()).to(change.device))
        weight.data.copy_(ours[name] + change)
    if not moved:
        raise DataError(f"{first.name} and {second.name} have the same weights")
    return beginning(copy, second.folder.bos)


@dataclass(frozen=True, kw_only=True)
class RewrittenSpec(Spec):
    """A model whose weights are written to a folder; the seed draws the random part of the
    change."""

    model: str
    """Hash of the original models."""
    how: str


def rewritten(make: Callable[[], Pretrained], spec: RewrittenSpec, bench: Bench) -> str:
    """The folder of a model that is made in memory, written now or earlier."""
    return str(bench.artefact(spec, lambda path: write(make(), path, spec.how)))


def write(model: Pretrained, path: Path, name: str) -> None:
    """Write a model to a folder, with its other files."""
    from safetensors.torch import save_file

    shutil.copy(model.folder.path / "config.json", path / "config.json")
    folders.copy_beside(model.folder, path)
    weights = {n: p.detach().cpu().contiguous() for n, p in model.model.named_parameters()}
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    (path / "assay.json").write_text(json.dumps({"name": name}))


def same_tokens(first: str, second: str) -> bool:
    """Whether two models have the same vocabulary, as far as they are available."""
    with suppress(AssayError):
        ours, theirs = (folders.find(name).tokenizer.inner for name in (first, second))
        return bool(ours.get_vocab() == theirs.get_vocab())
    return True


def same_shape(first: str, second: str) -> bool:
    """Whether two models have weights of the same names and shapes, as far as they are
    available."""
    with suppress(AssayError):
        ours, theirs = (folders.find(name) for name in (first, second))
        same_kind = ours.architecture.name == theirs.architecture.name
        return same_kind and read_sizes(ours.config) == read_sizes(theirs.config)
    return True
