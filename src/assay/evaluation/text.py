"""The text of an evaluation: windows, each whole document in one shard, and which of them also have
their losses ablated.

The text of an index: windows in an order that more tokens only make longer, so that what was
read stays read.

What evaluating one dictionary on text will do: where it reads and writes, on which windows, and
what was assumed. Nothing is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from assay.core.errors import DataError, ModelError
from assay.core.spec import Spec
from assay.data.corpus import Corpus, Windows
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.fitting import LOADED_WITH
from assay.evaluation import file_statements
from assay.evaluation.setting import (
    CentredSiteSpec,
    EvaluationSiteSpec,
    EvaluationTextSpec,
    Part,
    ReadingSetting,
    Setting,
)
from assay.evaluation.sources import Source
from assay.subjects.folder import ModelFolder
from assay.subjects.site import Site
from assay.train import rng

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
    `names` are their paths, and `offset` is where each window starts in its document, in tokens."""

    tokens: Int[np.ndarray, "window s"]
    document: Int[np.ndarray, " window"]
    offset: Int[np.ndarray, " window"]
    shard: Int[np.ndarray, " window"]
    spare: Int[np.ndarray, "spare s"]
    """The windows that constants come from."""
    names: tuple[str, ...]

    @property
    def starts(self) -> list[str]:
        """Where the windows of each document start, such as "0 256"."""
        of = (np.sort(self.offset[self.document == i]) for i in range(len(self.names)))
        return [" ".join(map(str, offsets)) for offsets in of]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return int(self.shard[-1]) + 1

    @property
    def held_back(self) -> int:
        """Number of windows that constants come from and in which nothing is measured; 0 of a text
        that has but one window."""
        is_measured = np.array_equal(self.spare, self.tokens)
        return 0 if is_measured else len(self.spare)

    @property
    def context(self) -> int:
        """Tokens in a window."""
        return int(self.tokens.shape[1])

    def of(self, shard: int) -> slice:
        """Which windows are one shard's."""
        a, b = np.searchsorted(self.shard, [shard, shard + 1])
        return slice(int(a), int(b))

    def ablated(self, tokens: int) -> Bool[np.ndarray, " window"]:
        """Evenly spread windows with about so many tokens in all."""
        share = min(1.0, tokens / self.tokens.size)
        return np.diff(np.floor(share * np.arange(len(self.tokens) + 1) + 1e-9)) > 0


def cut(corpus: Corpus, folder: ModelFolder, spec: EvaluationTextSpec) -> dict[str, np.ndarray]:
    """The windows of a part of a corpus, those that are measured and the spare ones, and the
    numbers of their documents in it.

    Raises: DataError when the part has no window; ModelError when a BOS is wanted and the model has
    none."""
    first = [*folder.beginning(spec.bos)]
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
    lead = np.tile(np.array(first, np.int32), (total, 1))
    tokens = np.concatenate([lead, windows.tokens], 1)
    _, first_index, back = np.unique(windows.document[used], return_index=True, return_inverse=True)
    # documents in the order in which their first window was drawn
    rank = np.argsort(np.argsort(first_index))[back]
    order = np.argsort(rank, kind="stable")
    return {
        "tokens": tokens[used][order],
        "document": rank[order].astype(np.int32),
        "offset": windows.offset[used][order],
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
            f"no document of {part} has {length} tokens, the longest has {longest}; use "
            f"--context {longest + spec.context - length}"
        ) from error
    return windows


def read(path: Path, corpus: Corpus) -> Text:
    """The windows that `cut` gave, in shards, from the folder where each array is a file."""
    parts = ("tokens", "document", "offset", "number", "spare")
    tokens, document, offset, number, spare = (np.load(path / f"{name}.npy") for name in parts)
    return Text(
        tokens,
        document,
        offset,
        shards(document, tokens.shape[1]),
        spare,
        tuple(corpus.documents[i].path for i in number),
    )


def shards(document: Int[np.ndarray, " window"], context: int) -> Int[np.ndarray, " window"]:
    """The shard of each window, for windows in the order of their documents; shards are of about
    equal size, none is empty."""
    count = np.bincount(document)
    shard_count = min(len(count), max(LEAST_SHARDS, -(-len(document) * context // SHARD)))
    starts = np.cumsum(count) - count
    _, shard = np.unique(starts * shard_count // len(document), return_inverse=True)
    return shard[document]


def check_context(folder: ModelFolder, context: int, explicit: bool) -> None:
    """Refuse windows with more positions than the model reads. Raises: DataError."""
    limit = folder.most_tokens
    if context > limit:
        where = "--context" if explicit else "the dictionary's file"
        raise DataError(
            f"{folder.name} reads at most {limit} tokens at once, {where} asks for {context}; "
            f"use --context {limit}"
        )


ROUND = 2
"""Windows that each document gives before any document gives more."""
INDEX_SHARD = 8192
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
    document: Int[np.ndarray, " w"]


def windows(corpus: Corpus, folder: ModelFolder, spec: IndexTextSpec, count: int) -> IndexWindows:
    """The first `count` windows, or all there are; those of a smaller count are the first of a
    larger one.

    Documents come in an order drawn by the seed, again and again; each time each gives its next
    `ROUND` windows, drawn by the seed as well.

    Raises: DataError when no document is as long as a window; ModelError when a BOS is wanted and
    the model has none."""
    first = [*folder.beginning(spec.bos)]
    rows, numbers = [], []
    for number, window in _draw_index_windows(corpus, folder, spec, spec.context - len(first)):
        rows.append(np.concatenate([np.array(first, np.int32), window]))
        numbers.append(number)
        if len(rows) == count:
            break
    if not rows:
        raise DataError(
            f"no document of the {spec.part} part of {corpus.name} has {spec.context} tokens; "
            "use --context with fewer"
        )
    return IndexWindows(np.stack(rows).astype(np.int32), np.array(numbers, np.int32))


def _draw_index_windows(
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
    return max(1, INDEX_SHARD // context)


CONTEXT, CONTEXT_UNKNOWN = 128, "its file does not say its context"


@dataclass(frozen=True, eq=False)
class Plan:
    """One dictionary with everything that is settled before the first pass."""

    source: Source
    site: EvaluationSiteSpec
    notes: tuple[str, ...]

    @property
    def text(self) -> EvaluationTextSpec:
        """The windows it is measured on."""
        assert self.site.of is not None
        return self.site.of


def plan(source: Source, setting: Setting, folder: ModelFolder, corpus: Corpus) -> Plan:
    """What evaluating this dictionary will do.

    Raises: DataError or ModelError where model and dictionary do not fit together, or it was
    trained on this text."""
    dictionary = source.dictionary
    reads, writes = sites(source.name, dictionary, setting, folder)
    chosen = choose_windows(source, setting, folder, corpus)
    notes = []
    text_spec = EvaluationTextSpec(
        seed=setting.seed,
        model=folder.fingerprint,
        corpus=corpus.fingerprint,
        part=chosen.part,
        tokens=setting.tokens,
        context=chosen.context,
        bos=chosen.bos,
    )
    centred = dictionary.per_token == "mean"
    if centred:  # its activations are, so that it need not do it
        notes.append(f"{LOADED_WITH}: center_writing_weights, so activations are less their mean")
        fit = source
        source = Source(fit.name, fit.sha256, lambda: replace(fit.read(), per_token=""))
    site = (CentredSiteSpec if centred else EvaluationSiteSpec)(
        seed=setting.seed,
        of=text_spec,
        site=str(reads),
        site_out=str(writes),
        dtype=setting.dtype,
        skip_first=setting.skip_first,
        outlier=setting.outlier,
        ablation_tokens=setting.ablation_tokens,
    )
    unread = file_statements.unread(dictionary.origin)
    return Plan(source, site, (*notes, *chosen.notes, *unread, chosen.why))


class ChosenWindows(NamedTuple):
    """Which windows of a text a dictionary is held to."""

    context: int
    bos: bool
    part: file_statements.Part
    notes: list[str]
    """What was assumed of context and BOS."""
    why: str
    """Why this part."""


def choose_windows(
    source: Source,
    setting: ReadingSetting,
    folder: ModelFolder,
    corpus: Corpus,
    *,
    trained_on: bool = False,
) -> ChosenWindows:
    """Choose context, BOS and part as the setting says, else as the dictionary's file does; with
    `trained_on` a part that the setting names may be one that the dictionary was trained on.

    Raises: DataError where the model reads fewer tokens, or it was trained on this text; ModelError
    when a BOS is wanted and the model has none."""
    origin = source.dictionary.origin
    stated = file_statements.of_text(origin)
    context = setting.context or stated.get("context_size")
    guessed = min(CONTEXT, folder.most_tokens)
    check_context(folder, context or guessed, setting.context is not None)
    bos, notes = file_statements.choose_bos(setting.bos, origin, folder)
    if not context:
        used = f"{guessed} tokens were used (--context), and if it was trained on shorter windows"
        notes = [f"{CONTEXT_UNKNOWN}; {used}, it may be worse at later positions", *notes]
    learned = file_statements.get_training_text(origin)
    names = stated.get("dataset", ""), stated.get("part", "")
    try:
        part, why = file_statements.choose(source.name, learned, corpus, setting.part, *names)
    except DataError as error:
        if setting.part == "auto" or not trained_on:
            raise
        why = "it was trained on some of this text: its features are shown where they were learned"
        part, why = setting.part, f"{why} ({error})"
    return ChosenWindows(context or guessed, bos, part, notes, why)


def sites(
    name: str, dictionary: Dictionary, setting: ReadingSetting, folder: ModelFolder
) -> tuple[Site, Site]:
    """Where the dictionary reads and writes in this model: as the setting says, else as its file
    does.

    Raises: DataError or ModelError where neither says, the model has no such site, or its width is
    another."""
    site_names = (setting.site,) if setting.site else dictionary.sites
    if len(site_names) > 1:
        raise DataError(
            f"{name} reads {len(site_names)} sites at once ({', '.join(site_names)}); only "
            "dictionaries of one site are evaluated"
        )
    if not site_names:
        raise DataError(
            f"{name} does not say where its activations come from; give --site, such "
            "as blocks.9.hook_resid_post"
        )
    reads = file_statements.site(name, site_names[0])
    out = setting.site_out or next(iter(dictionary.sites_out), "")
    writes = file_statements.site(name, out) if out else reads
    for site, width, does in (
        (reads, dictionary.W_enc.shape[1], "reads"),
        (writes, dictionary.W_dec.shape[-1], "writes"),
    ):
        try:
            model_width = folder.width(site)
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error
        if model_width != width:
            raise DataError(
                f"{name} {does} {width} numbers per token, {folder.name} has {model_width} at "
                f"{site}; is this its model and site?"
            )
    return reads, writes
