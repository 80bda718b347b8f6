"""The text of an index: windows in an order that more tokens only make longer, so that what was
read stays read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from assay.core import rng
from assay.core.errors import DataError
from assay.core.spec import Spec
from assay.data.corpus import Corpus
from assay.evaluation.setting import Part
from assay.subjects.folder import ModelFolder, bos_token

ROUND = 2
"""Windows that each document gives before any document gives more."""
SHARD = 8192
"""Tokens in a shard, about: what a kill can lose."""


@dataclass(frozen=True, kw_only=True)
class IndexTextSpec(Spec):
    """The windows of one part of a text for one tokenizer, as many as anybody asks for."""

    model: str
    corpus: str
    part: Part
    context: int
    bos: bool
    version: int = 1


@dataclass(frozen=True, eq=False)
class IndexWindows:
    """Windows, and the document of the corpus that each is from."""

    tokens: Int[np.ndarray, "w s"]
    document: Int[np.ndarray, "w"]


def windows(corpus: Corpus, folder: ModelFolder, spec: IndexTextSpec, count: int) -> IndexWindows:
    """The first `count` windows, or all there are; those of a smaller count are the first of a
    larger one.

    Documents come in an order drawn by the seed, again and again; each time each gives its next
    `ROUND` windows, drawn by the seed as well.

    Raises: DataError when no document is as long as a window; ModelError when a BOS is wanted and
    the model has none."""
    first = [bos_token(folder)] if spec.bos else []
    rows, numbers = [], []
    for number, window in _draw_windows(corpus, folder, spec, spec.context - len(first)):
        rows.append(np.concatenate([np.array(first, np.int32), window]))
        numbers.append(number)
        if len(rows) == count:
            break
    if not rows:
        raise DataError(
            f"no document of the {spec.part} part of {corpus.name} has {spec.context} tokens; "
            "say --context with fewer"
        )
    return IndexWindows(np.stack(rows).astype(np.int32), np.array(numbers, np.int32))


def _draw_windows(
    corpus: Corpus, folder: ModelFolder, spec: IndexTextSpec, length: int
) -> Iterator[tuple[int, np.ndarray]]:
    numbers = np.array(corpus.part(spec.part if spec.part != "auto" else "all"), np.int64)
    order = (
        numbers[
            rng.permutation(np.array([spec.seed]), "index.documents", 0, len(numbers))[0]
        ].tolist()
        if len(numbers)
        else []
    )
    cut: dict[int, np.ndarray] = {}
    start = 0
    while order:
        for number in order:
            if number not in cut:
                ids = np.asarray(folder.tokenizer.encode(corpus.text(number)), np.int32)
                whole = ids[: len(ids) // length * length].reshape(-1, length)
                cut[number] = whole[
                    rng.permutation(np.array([spec.seed]), "index.windows", number, len(whole))[0]
                ]
            for window in cut[number][start : start + ROUND]:
                yield number, window
        start += ROUND
        order = [number for number in order if len(cut[number]) > start]


def shard_windows(context: int) -> int:
    """Windows in a shard."""
    return max(1, SHARD // context)
