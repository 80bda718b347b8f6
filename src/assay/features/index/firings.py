"""Firings on disk: where a dictionary's features are on, shard by shard of the text, each shard
sorted by feature.

All of an index follows from them. So a text can grow by shards, a build that was killed goes on,
and memory holds the firings of one block of features at a time, however many features and tokens
there are.

One pass of a model over windows of text: where features are on, and to first order what each
firing is worth to the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.sums import (
    NOT_FINITE,
    outlier_limit,
    select_positions,
    switched_on,
)
from assay.features.effects import loss_gradient, of_one_unit
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

WIDTH = 2048
"""Features in a block."""
FIRINGS = 8_000_000
"""Firings in a block, about, so that memory does not grow with the text."""


@dataclass(frozen=True, eq=False)
class Block:
    """The firings of some features over all shards, by feature and then by row; row = window ·
    context + position."""

    feature: Int[np.ndarray, " n"]
    row: Int[np.ndarray, " n"]
    value: Float[np.ndarray, " n"]
    effect: Float[np.ndarray, " n"] | None
    """Rise of the loss of all later tokens to first order, in nats, if this firing were taken
    out."""

    @cached_property
    def strongest(self) -> Int[np.ndarray, " n"]:
        """Places by feature, strongest first, ties by row."""
        size = np.float32(np.inf).view(np.uint32) - self.value.astype(np.float32).view(
            np.uint32
        )  # bits of floats above 0 rise with them
        return np.argsort((self.feature.astype(np.uint64) << np.uint64(32)) | size, kind="stable")


def write(
    folder: Path,
    *,
    feature: Int[np.ndarray, " n"],
    row: Int[np.ndarray, " n"],
    value: Float[np.ndarray, " n"],
    tokens: Int[np.ndarray, "w s"],
    document: Int[np.ndarray, " w"],
    keep: Bool[np.ndarray, "w s"],
    effect: Float[np.ndarray, " n"] | None = None,
) -> None:
    """Write one shard of whole windows; rows count from its start.

    What is not above 0 is no firing. Raises: DataError for firings where nothing is kept.
    """
    on = value > 0
    if not keep.ravel()[row[on]].all():
        raise DataError("a shard has firings at tokens that are not kept")
    order = np.flatnonzero(on)[np.lexsort((row[on], feature[on]))]
    small = np.uint16 if tokens.size <= 2**16 else np.uint32
    arrays = {
        "feature": feature[order].astype(np.uint32),
        "row": row[order].astype(small),
        "value": value[order].astype(np.float32),
    }
    arrays |= {
        "tokens": tokens.astype(np.int32),
        "document": document.astype(np.int32),
        "kept": keep.astype(bool),
    }
    if effect is not None:
        arrays["effect"] = effect[order].astype(np.float32)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


@dataclass(frozen=True, eq=False)
class Firings:
    """The shards of one text in order; one of them is in memory at a time."""

    shards: tuple[Path, ...]

    @classmethod
    def of(cls, shards: Sequence[Path]) -> Firings:
        """The shards of these folders. Raises: DataError where there is none, or where they hold
        windows of unlike length."""
        firings = cls(tuple(shards))
        if not firings.shards:
            raise DataError("an index needs at least one shard of firings")
        lengths = {tokens.shape[1] for tokens in firings._tokens}
        if len(lengths) > 1:
            raise DataError(f"the shards of one text have windows of {sorted(lengths)} tokens")
        return firings

    @cached_property
    def _tokens(self) -> list[np.ndarray]:
        return [_open(shard, "tokens") for shard in self.shards]

    @cached_property
    def tokens(self) -> Int[np.ndarray, "w s"]:
        """The text."""
        return np.concatenate(self._tokens)

    @cached_property
    def document(self) -> Int[np.ndarray, " w"]:
        """The document of each window."""
        return np.concatenate([_open(shard, "document") for shard in self.shards])

    @cached_property
    def kept(self) -> Bool[np.ndarray, "w s"]:
        """The tokens that count."""
        return np.concatenate([_open(shard, "kept") for shard in self.shards])

    @cached_property
    def count(self) -> int:
        """Firings in all."""
        return sum(len(_open(shard, "feature")) for shard in self.shards)

    def counts(self, features: int) -> Int[np.ndarray, " f"]:
        """Firings of each feature."""
        return np.sum(
            [np.bincount(_open(shard, "feature"), minlength=features) for shard in self.shards],
            axis=0,
        )

    @cached_property
    def has_effects(self) -> bool:
        """Whether every shard has first-order effects."""
        return all((shard / "effect.npy").exists() for shard in self.shards)

    @cached_property
    def _starts(self) -> list[int]:
        sizes = [tokens.size for tokens in self._tokens]
        return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int).tolist()

    def blocks(self, width: int) -> Iterator[tuple[int, int]]:
        """Where blocks begin and end: at most `WIDTH` features and `FIRINGS` firings, or one
        feature that fires more often."""
        starts = np.concatenate([[0], np.cumsum(self.counts(width))])
        end = 0
        while (first := end) < width:
            reach = int(np.searchsorted(starts, starts[first] + FIRINGS, "right")) - 1
            end = min(max(reach, first + 1), first + WIDTH, width)
            yield first, end

    def block(self, first: int, end: int) -> Block:
        """The firings of features `first` to `end` − 1."""
        parts: list[tuple[np.ndarray, ...]] = []
        for shard, start in zip(self.shards, self._starts, strict=True):
            feature = _open(shard, "feature")
            a, b = np.searchsorted(feature, np.array([first, end], feature.dtype))
            names = ("row", "value", *(["effect"] if self.has_effects else []))
            row, *others = (
                _open(shard, name)[a:b].copy() for name in names
            )  # a view would hold the whole shard
            parts.append((feature[a:b].astype(np.int32), row.astype(np.int64) + start, *others))
        columns = [np.concatenate(part) for part in zip(*parts, strict=True)]
        order = np.argsort(
            columns[0], kind="stable"
        )  # shards follow each other in rows, so rows stay in order
        feature, row, value, *effect = (column[order] for column in columns)
        return Block(feature, row, value, effect[0] if effect else None)

    def rows(
        self, mask: Bool[np.ndarray, "tokens"]
    ) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Feature, row and value of all firings at the asked rows, in the order in which they lie
        on disk."""
        parts = []
        for shard, start, tokens in zip(self.shards, self._starts, self._tokens, strict=True):
            row = _open(shard, "row")
            hits = np.flatnonzero(mask[start : start + tokens.size][row])
            parts.append(
                (
                    _open(shard, "feature")[hits],
                    row[hits].astype(np.int64) + start,
                    _open(shard, "value")[hits],
                )
            )
        feature, row, value = (np.concatenate(part) for part in zip(*parts, strict=True))
        return feature, row, value


def _open(shard: Path, name: str) -> np.ndarray:
    try:
        return np.load(shard / f"{name}.npy")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{shard / name}.npy is missing or damaged; build the index again"
        ) from error


CELLS = 2**26
"""Activations of features held at once: rows are encoded so many at a time that they are no
more."""
CHUNK = 16_384
"""Firings whose directions are held at once."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a dictionary reads and writes in a model, and which tokens count."""

    subject: Pretrained
    dictionary: Dictionary
    """One dictionary, on the model's device."""
    reads: Site
    writes: Site
    limits: tuple[float, float]
    """Lengths of activations above which a token does not count, where the dictionary reads and
    where it writes."""
    skip_first: int


@dataclass(frozen=True, eq=False)
class Windows:
    """What one pass over some windows found; rows count from their start."""

    feature: Int[np.ndarray, " n"]
    row: Int[np.ndarray, " n"]
    value: Float[np.ndarray, " n"]
    effect: Float[np.ndarray, " n"] | None
    """Rise of the loss of all later tokens, in nats and to first order, if the firing were taken
    out."""
    kept: Bool[np.ndarray, "w s"]
    sums: dict[str, float]
    """`loss` and `predictions`; `rows`, `error` and `square`, sums over kept rows and dimensions;
    `sum` is apart."""
    total: Float[np.ndarray, " d"]
    """Σ of the activations over kept rows."""


def limits(
    subject: Pretrained,
    reads: Site,
    writes: Site,
    tokens: Int[np.ndarray, "w s"],
    skip_first: int,
    outlier: float,
) -> tuple[float, float]:
    """Lengths above which an activation is an outlier at both sites: `outlier` medians of these
    windows. Raises: DataError."""
    trace = subject.run(
        torch.from_numpy(tokens.astype(np.int64)), capture=list({reads, writes}), logits=False
    )
    bounds = []
    for site in (reads, writes):
        x = trace.acts[site].flatten(2).float()[:, skip_first:]
        if not bool(x.isfinite().all()):
            raise DataError(
                f"the model's activations at {site} are not finite; try --dtype float32"
            )
        bounds.append(outlier_limit(x, outlier))
    return bounds[0], bounds[1]


def read(place: Place, tokens: Int[np.ndarray, "w s"], *, gradients: bool) -> Windows:
    """Run the model on windows, and with `gradients` back again; without, the run ends at the last
    site that is read.

    Formula: effect = −a_k(t) d_k · ∂(Σ CE)/∂x_t, x the activations where the dictionary writes
    Source: attribution patching, Nanda 2023

    Raises: DataError for features that are not finite.
    """
    ids = torch.from_numpy(tokens.astype(np.int64)).to(place.subject.device)
    inputs, acts, slope, sums = _passed(place, ids, gradients)
    keep = select_positions(inputs, acts, place.limits, place.skip_first)
    x, y, rows = inputs[keep], acts[keep], keep.flatten().nonzero()[:, 0]
    slope = None if slope is None else slope[keep]
    dictionary, error = place.dictionary, 0.0
    parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    effects: list[torch.Tensor] = []
    for a, codes in _codes(dictionary, x):
        some = slice(a, a + len(codes))
        row, feature = codes.nonzero(as_tuple=True)
        value = codes[row, feature]
        missed = y[some] - dictionary.decode(codes, x[some])
        error += float(missed.double().square().sum())
        parts.append((feature, row + a, value))
        if slope is not None:
            effects.append(_effect(dictionary, feature, row + a, value, x, slope))
    feature, row, value = (torch.cat([part[i] for part in parts]) for i in range(3))
    if not bool(value.isfinite().all()):
        raise DataError(NOT_FINITE)
    effect = torch.cat(effects).cpu().numpy() if gradients else None
    sums |= {"rows": float(len(x)), "error": error, "square": float(y.double().square().sum())}
    return Windows(
        feature.cpu().numpy(),
        rows[row].cpu().numpy(),
        value.float().cpu().numpy(),
        effect,
        keep.cpu().numpy(),
        sums,
        y.double().sum(0).cpu().numpy(),
    )


def _passed(
    place: Place, ids: Int[torch.Tensor, "w s"], gradients: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, dict[str, float]]:
    """The activations where the dictionary reads and where it writes; with `gradients` also the
    slope of the summed loss in the latter, that loss, and its predictions."""
    leaf: list[torch.Tensor] = []

    def watched(x: torch.Tensor) -> torch.Tensor:
        leaf.append(x.detach().clone().requires_grad_())
        return leaf[0]

    with nullcontext() if gradients else torch.no_grad():
        trace = place.subject.run(
            ids,
            capture=list({place.reads, place.writes}),
            logits=gradients,
            edits={place.writes: watched} if gradients else {},
            gradients=gradients,
        )
    inputs, acts = (
        trace.acts[site].detach().flatten(2).float() for site in (place.reads, place.writes)
    )
    if not gradients:
        return inputs, acts, None, {}
    upstream, loss = loss_gradient(trace)
    assert trace.final is not None
    slope = torch.autograd.grad(trace.final, leaf[0], upstream)[0].flatten(2).float()
    return inputs, acts, slope, {"loss": loss, "predictions": float(ids[:, 1:].numel())}


def _codes(
    dictionary: Dictionary, x: Float[torch.Tensor, "b d_in"]
) -> Iterator[tuple[int, Float[torch.Tensor, "c f"]]]:
    """Activations of rows, some at a time, each with the number of its first row."""
    size = max(1, CELLS // dictionary.width)
    for a in range(0, max(1, len(x)), size):
        codes = dictionary.encode(x[a : a + size])
        yield a, codes * switched_on(dictionary, codes)


def _effect(
    dictionary: Dictionary,
    feature: Int[torch.Tensor, " n"],
    row: Int[torch.Tensor, " n"],
    value: Float[torch.Tensor, " n"],
    x: Float[torch.Tensor, "b d_in"],
    slope: Float[torch.Tensor, "b d"],
) -> Float[torch.Tensor, " n"]:
    out = torch.empty_like(value)
    for a in range(0, len(feature), CHUNK):
        part = slice(a, a + CHUNK)
        rows = row[part]
        out[part] = -value[part] * torch.linalg.vecdot(
            of_one_unit(dictionary, feature[part], x[rows]), slope[rows]
        )
    return out
