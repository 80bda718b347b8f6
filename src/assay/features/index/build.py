"""Build an index: firings on disk → tables, one block of features at a time; what a kill leaves is
gone on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.features import effects
from assay.features.index import blocks, relations, schema
from assay.features.index.about import About
from assay.features.index.blocks import Text
from assay.features.index.firings import Firings
from assay.features.index.schema import BINS, MATCHED, RANKS

Arrays = dict[str, np.ndarray]
LOGITS = 128 * 49_152
"""Logits of features that are made at once; ranks and histograms take several times as much."""
TABLES = ("features", "contexts", "logits", "neighbours", "feature_tokens")


@dataclass(frozen=True, eq=False)
class Directions:
    """What is known of a dictionary's features without any text, in the coordinates of the raw
    activations."""

    decoder: Float[np.ndarray, "f d"]
    unembedding: Float[np.ndarray, "d vocabulary"] | None = None
    """The final norm's weight folded in; None where the decoder does not write to the residual
    stream."""
    seeds: Mapping[str, Float[np.ndarray, "g d"]] = field(default_factory=dict)
    """Decoder rows of other dictionaries of the same site, by name."""


def build(
    folder: Path,
    shards: Sequence[Path],
    directions: Directions,
    about: About,
    *,
    words: Callable[[Sequence[int]], Sequence[str]],
    vocabulary: int,
    documents: Sequence[str],
    ablated: Mapping[str, np.ndarray] | None = None,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> About:
    """Write the tables of an index into a folder, and what it is of; parts that are there already
    are kept.

    `ablated` are columns of `features` for some of them, `feature` among them. `tick` hears of
    features that are done.

    Raises: DataError where shards, dictionary and vocabulary do not fit together.
    """
    firings = Firings.of(shards)
    whole = _Whole(firings, _text(firings, vocabulary), directions, ablated)
    width, parts = len(directions.decoder), folder / "parts"
    for number, (first, end) in enumerate(firings.blocks(width)):
        if not schema.has_part(parts, "features", number):  # written last of a block's
            whole.write_block(parts, number, first, end)
        tick(end, width)
    tokens = np.arange(vocabulary)
    of_tokens: dict[str, schema.Values] = {"token": tokens.astype(np.int32)}
    of_tokens |= {"text": list(words(tokens.tolist())), "count": whole.text.counts}
    schema.write_part(parts, "tokens", 0, of_tokens)
    numbers = np.arange(len(documents), dtype=np.int32)
    schema.write_part(parts, "documents", 0, {"document": numbers, "name": list(documents)})
    for table in (*TABLES, "tokens", "documents"):
        schema.join(parts, table, folder / f"{table}.parquet")
    np.save(folder / "decoder.npy", whole.unit.astype(np.float16))
    np.save(folder / "windows.npy", firings.tokens)
    np.save(folder / "window_document.npy", firings.document)
    completed = replace(
        about,
        tokens=whole.text.rows,
        windows=len(firings.tokens),
        context=firings.tokens.shape[1],
        documents=len(np.unique(firings.document)),
        gradients=firings.has_effects,
        l0=firings.count / max(1, whole.text.rows),
        correlation_tokens=whole.acts.rows,
        seeds=tuple(directions.seeds),
        ablated=0 if ablated is None else len(ablated["feature"]),
    )
    for part in sorted(parts.rglob("*"), reverse=True):
        part.unlink() if part.is_file() else part.rmdir()
    parts.rmdir()
    completed.write(folder)
    return completed


def _text(firings: Firings, vocabulary: int) -> Text:
    if firings.tokens.max(initial=0) >= vocabulary:
        raise DataError(
            f"the text has token {firings.tokens.max()}, the vocabulary ends at {vocabulary - 1}"
        )
    counts = np.bincount(firings.tokens[firings.kept], minlength=vocabulary)
    return Text(firings.tokens, firings.document, firings.kept, counts)


@dataclass(frozen=True, eq=False)
class _Whole:
    """What all blocks of an index are made from."""

    firings: Firings
    text: Text
    directions: Directions
    ablated: Mapping[str, np.ndarray] | None

    @cached_property
    def unit(self) -> Float[np.ndarray, "f d"]:
        """Decoder rows of length 1."""
        return relations.unit(self.directions.decoder)

    @cached_property
    def seeds(self) -> list[np.ndarray]:
        """Decoder rows of length 1 of other dictionaries."""
        return [relations.unit(rows) for rows in self.directions.seeds.values()]

    @cached_property
    def acts(self) -> relations.Activations:
        """What correlations are worked out from; not made where every block is there already."""
        return relations.activations(self.firings, len(self.directions.decoder))

    def write_block(self, parts: Path, number: int, first: int, end: int) -> None:
        """Write the tables of features `first` to `end` − 1."""
        block, features, unit = self.firings.block(first, end), end - first, self.unit
        columns: Arrays = blocks.numbers(block, first, features, self.text)
        token_table, of_token = blocks.by_token(block, first, features, self.text)
        listed, purity = blocks.contexts(block, first, features, self.text)
        columns |= of_token | {"purity": purity}
        columns["class"] = np.array(blocks.classes(columns["density"]))
        decoder = self.directions.decoder[first:end].astype(np.float64)
        columns["decoder_norm"] = np.linalg.norm(decoder, axis=1)
        near = [relations.correlated(self.acts, first, end)]
        if len(unit) <= relations.LARGEST:
            rows, nearest = relations.by_direction(unit, first, end)
            near.append(rows)
            columns |= nearest
        if self.seeds:
            columns |= relations.of_seeds(unit[first:end], self.seeds, MATCHED)
        if self.ablated is not None:
            columns |= _spread(self.ablated, first, end)
        table, of_logits = _logits(self.directions, first, end)
        schema.write_part(parts, "contexts", number, _trimmed(listed))
        schema.write_part(parts, "feature_tokens", number, token_table)
        schema.write_part(parts, "neighbours", number, relations.concatenate_tables(near))
        schema.write_part(parts, "logits", number, table)
        schema.write_part(parts, "features", number, columns | of_logits)


def _trimmed(listed: Mapping[str, np.ndarray]) -> dict[str, schema.Values]:
    inside = listed["tokens"] >= 0
    ragged = ("tokens", "activations", "effects")
    return {
        name: schema.Ragged.of(value, inside) if name in ragged else value
        for name, value in listed.items()
    }


def _logits(directions: Directions, first: int, end: int) -> tuple[Arrays, Arrays]:
    """Rows of `logits`, and the column `logit_histogram`; nothing where the dictionary does not
    write to the residual stream."""
    chunks: list[Arrays] = []
    spread: list[np.ndarray] = []
    if directions.unembedding is not None:
        count = min(RANKS, directions.unembedding.shape[1])
        size = max(1, min(128, LOGITS // directions.unembedding.shape[1]))
        for a in range(first, end, size):
            b = min(a + size, end)
            logits = effects.direct_logits(directions.decoder[a:b], directions.unembedding, None)
            ids, values = effects.extremes(logits, count)
            spread.append(effects.histogram(logits, BINS))
            shape = ids.shape
            chunks.append(
                {
                    "feature": np.broadcast_to(np.arange(a, b)[:, None, None], shape)
                    .ravel()
                    .astype(np.int32),
                    "sign": np.broadcast_to(np.array([1, -1])[:, None], shape)
                    .ravel()
                    .astype(np.int32),
                    "rank": np.broadcast_to(np.arange(count), shape).ravel().astype(np.int32),
                    "token": ids.ravel().astype(np.int32),
                    "logit": values.ravel().astype(np.float64),
                }
            )
    empty: Arrays = {
        "feature": np.zeros(0, np.int32),
        "sign": np.zeros(0, np.int32),
        "rank": np.zeros(0, np.int32),
        "token": np.zeros(0, np.int32),
        "logit": np.zeros(0),
    }
    return relations.concatenate_tables([empty, *chunks]), {
        "logit_histogram": np.concatenate(spread)
    } if spread else {}


def _spread(ablated: Mapping[str, np.ndarray], first: int, end: int) -> Arrays:
    """Columns of some features as columns of all in a block: NaN, or −1 for counts, where a feature
    was not asked."""
    numbers: Int[np.ndarray, " n"] = np.asarray(ablated["feature"])
    inside = (numbers >= first) & (numbers < end)
    columns: Arrays = {}
    for name, value in ablated.items():
        if name != "feature":
            column = np.full(end - first, -1 if value.dtype.kind in "iu" else np.nan, value.dtype)
            column[numbers[inside] - first] = value[inside]
            columns[name] = column
    return columns
