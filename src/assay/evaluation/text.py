"""The text of an evaluation: windows, each whole document in one shard, and which of them also have
their losses ablated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from assay.core.errors import DataError
from assay.data.corpus import Corpus, Windows
from assay.evaluation.setting import EvaluationTextSpec
from assay.subjects.folder import ModelFolder, bos_token, most_tokens

SHARD = 4096
"""Tokens in a shard, about: what a kill can lose. A document is never divided, so that a shard is a
unit of a jackknife."""
LEAST_SHARDS = 24
"""A shorter text is cut into so many shards, where it has the documents."""
DOCUMENTS = 100
"""No document gives more than its share of this many, where the text has enough: documents are the
units of intervals."""
CONSTANTS = 32
"""Windows, at most, for what is worked out beforehand: the mean, donors, the limit for outliers.
They are not measured."""


@dataclass(frozen=True, eq=False)
class Text:
    """Windows in the order of their shards. `document` numbers the measured documents from 0;
    `names` are their paths."""

    tokens: Int[np.ndarray, "window s"]
    document: Int[np.ndarray, "window"]
    shard: Int[np.ndarray, "window"]
    spare: Int[np.ndarray, "spare s"]
    """The windows that constants come from."""
    names: tuple[str, ...]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return int(self.shard[-1]) + 1

    @property
    def context(self) -> int:
        """Tokens in a window."""
        return int(self.tokens.shape[1])

    def of(self, shard: int) -> slice:
        """Which windows are one shard's."""
        a, b = np.searchsorted(self.shard, [shard, shard + 1])
        return slice(int(a), int(b))

    def ablated(self, tokens: int) -> Bool[np.ndarray, "window"]:
        """Evenly spread windows with about so many tokens in all."""
        share = min(1.0, tokens / self.tokens.size)
        return np.diff(np.floor(share * np.arange(len(self.tokens) + 1) + 1e-9)) > 0


def cut(corpus: Corpus, folder: ModelFolder, spec: EvaluationTextSpec) -> dict[str, np.ndarray]:
    """The windows of a part of a corpus, those that are measured and the spare ones, and the
    numbers of their documents in it.

    Raises: DataError when the part has no window; ModelError when a BOS is wanted and the model has
    none."""
    first = [bos_token(folder)] if spec.bos else []
    count = max(1, spec.tokens // spec.context)
    windows = _draw_windows(
        corpus, folder, spec, spec.context - len(first), count + CONSTANTS, -(-count // DOCUMENTS)
    )
    total = len(windows.tokens)
    spare = (
        min(CONSTANTS, total - count)
        if total > count
        else min(CONSTANTS, max(1, total // 16))
        if total > 1
        else 0
    )
    used = np.arange(min(count, total - spare))
    lead = np.full((total, len(first)), first[0] if first else 0, np.int32)
    tokens = np.concatenate([lead, windows.tokens], 1)
    _, first_index, back = np.unique(windows.document[used], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first_index))[
        back
    ]  # documents in the order in which their first window was drawn
    order = np.argsort(rank, kind="stable")
    return {
        "tokens": tokens[used][order],
        "document": rank[order].astype(np.int32),
        "number": windows.document[used][np.sort(first_index)],
        "spare": tokens[total - spare :] if spare else tokens[:1],
    }


def _draw_windows(
    corpus: Corpus,
    folder: ModelFolder,
    spec: EvaluationTextSpec,
    length: int,
    count: int,
    per_file: int,
) -> Windows:
    """So many windows, or all there are; at most `per_file` from one document where that leaves
    enough."""
    encode = folder.tokenizer.encode
    try:
        windows = corpus.windows(
            encode,
            spec.part,
            context=length,
            count=count,
            per_file=per_file,
            seed=spec.seed,
            fewer=True,
        )
        if len(windows.tokens) < count:  # too short a text to leave any of it out
            windows = corpus.windows(
                encode, spec.part, context=length, count=count, seed=spec.seed, fewer=True
            )
    except DataError as error:
        part = f"the {spec.part} part of {corpus.name}" if spec.part != "all" else corpus.name
        longest = max((len(encode(corpus.text(i))) for i in corpus.part(spec.part)), default=0)
        if not longest or longest >= length:
            raise DataError(
                f"{part} has no documents to evaluate on" if not longest else str(error)
            ) from error
        raise DataError(
            f"no document of {part} has {length} tokens, the longest has {longest}; say "
            f"--context {longest + spec.context - length}"
        ) from error
    return windows


def read(path: Path, corpus: Corpus) -> Text:
    """The windows that `cut` gave, in shards, from the folder where each array is a file."""
    tokens, document, number, spare = (
        np.load(path / f"{name}.npy") for name in ("tokens", "document", "number", "spare")
    )
    return Text(
        tokens,
        document,
        shards(document, tokens.shape[1]),
        spare,
        tuple(corpus.documents[i].path for i in number),
    )


def shards(document: Int[np.ndarray, "window"], context: int) -> Int[np.ndarray, "window"]:
    """The shard of each window, for windows in the order of their documents; shards are of about
    equal size, none is empty."""
    count = np.bincount(document)
    shard_count = min(len(count), max(LEAST_SHARDS, -(-len(document) * context // SHARD)))
    before = np.cumsum(count) - count
    _, shard = np.unique(before * shard_count // len(document), return_inverse=True)
    return shard[document]


def check_context(folder: ModelFolder, context: int, explicit: bool) -> None:
    """Refuse windows with more positions than the model reads. Raises: DataError."""
    most = most_tokens(folder)
    if context > most:
        where = "--context" if explicit else "the dictionary's file"
        raise DataError(
            f"{folder.name} reads at most {most} tokens at once, {where} asks for {context}; "
            f"say --context {most}"
        )
