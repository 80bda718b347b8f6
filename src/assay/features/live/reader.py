"""Reader: a model and a dictionary that read a text; Reading: tokens, losses and firings, with what
further questions start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.ablation import Passage, capture
from assay.dictionaries.measuring.sums import (
    NOT_FINITE,
    outlier_limit,
    select_positions,
    switched_on,
)
from assay.features.effects import of_one_unit
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

CHUNK = 8192
"""Firings whose directions are held at once."""


@dataclass(frozen=True, eq=False)
class Firings:
    """The features that are on, as parallel arrays ordered by position, then feature."""

    position: Int[np.ndarray, " n"]
    feature: Int[np.ndarray, " n"]
    value: Float[np.ndarray, " n"]
    """Activations, in the dictionary's units; below 0 only where its features have a sign."""

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, which: Int[np.ndarray, " m"] | Bool[np.ndarray, " n"] | slice) -> Firings:
        """Those at these places, or where this is True."""
        return Firings(self.position[which], self.feature[which], self.value[which])

    def at(self, position: int) -> Firings:
        """Those at one token."""
        return self[self.position == position]

    def of(self, feature: int) -> Firings:
        """Those of one feature."""
        return self[self.feature == feature]

    def columns(self, features: Sequence[int], length: int) -> Float[np.ndarray, "s k"]:
        """The activations of these features at every one of `length` tokens, 0 where off."""
        unique_features, back = np.unique(np.asarray(features, dtype=np.int64), return_inverse=True)
        out = np.zeros((length, len(unique_features)), np.float32)
        if len(unique_features):
            column = np.searchsorted(unique_features, self.feature).clip(
                max=len(unique_features) - 1
            )
            matches = unique_features[column] == self.feature
            out[self.position[matches], column[matches]] = self.value[matches]
        return out[:, back]


@dataclass(frozen=True, eq=False)
class Reading:
    """One text as model and dictionary read it."""

    ids: tuple[int, ...]
    """Token ids, a BOS and the token that was put behind the text included."""
    words: tuple[str, ...]
    """The text of each token by itself."""
    loss: Float[np.ndarray, " s-1"]
    """At each position, the loss of predicting the next token, nats."""
    keep: Bool[np.ndarray, " s"]
    """Where features count: elsewhere none is on, and none is taken out or set."""
    firings: Firings
    """Where features count."""
    uncounted: Firings
    """What is on where none counts, such as at attention sinks: to be shown apart, never ranked or
    changed."""
    limits: tuple[float, float] = field(repr=False)
    """Lengths of activations above which a position is left out, where the dictionary reads and
    where it writes."""
    passage: Passage = field(repr=False)
    """The text as one window, with its activations."""
    final: Float[torch.Tensor, "s d"] = field(repr=False)
    """What the unembedding reads."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def left_out(self) -> tuple[int, ...]:
        """The positions where no feature counts."""
        return tuple(int(i) for i in np.flatnonzero(~self.keep))

    @property
    def inputs(self) -> Float[torch.Tensor, "s d_in"]:
        """What the dictionary reads."""
        return (self.passage.acts if self.passage.inputs is None else self.passage.inputs)[0]

    @property
    def acts(self) -> Float[torch.Tensor, "s d"]:
        """The activations where the dictionary writes."""
        return self.passage.acts[0]

    def cut(self, length: int) -> Reading:
        """Its first `length` tokens: in a causal model nothing later matters to them. Which of them
        count stays as it was."""
        source = self.passage
        inputs, before = (
            None if x is None else x[:, :length] for x in (source.inputs, source.before)
        )
        passage = Passage(
            source.tokens[:, :length],
            source.acts[:, :length],
            source.keep[:, :length],
            inputs,
            before,
        )
        firings, uncounted = (
            each[each.position < length] for each in (self.firings, self.uncounted)
        )
        return Reading(
            self.ids[:length],
            self.words[:length],
            self.loss[: max(0, length - 1)],
            self.keep[:length],
            firings,
            uncounted,
            self.limits,
            passage,
            self.final[:length],
        )

    @cached_property
    def on(self) -> Int[np.ndarray, " k"]:
        """The features that fire anywhere, by number."""
        return np.unique(self.firings.feature)


@dataclass(frozen=True, eq=False)
class Reader:
    """A model and a dictionary of one of its sites, and how they read a text: the rules of
    `evaluate` and `look`.

    Raises: DataError for several dictionaries, one on another device than the model, or one of
    another width than its site; ModelError for a site that the model lacks, or a BOS that it has
    not."""

    subject: Pretrained
    dictionary: Dictionary
    """One dictionary, run axis of length 1."""
    reads: Site
    """Where the dictionary takes its input."""
    writes: Site | None = None
    """Where its reconstruction belongs; None: where it reads."""
    bos: bool = False
    """Whether the model's BOS token is put before the text."""
    skip_first: int = 1
    """Positions at the start where no feature counts."""
    outlier: float = 6.0
    """Activations longer than this many medians of the text do not count either; 0: all do."""
    most: int | None = None
    """Tokens that a text may have, BOS included; None: as many as the model reads."""

    def __post_init__(self) -> None:
        dictionary, subject = self.dictionary, self.subject
        if len(dictionary) != 1:
            raise DataError(
                f"a text is read with one dictionary, got {len(dictionary)} runs; take one: "
                "dictionary[0]"
            )
        if dictionary.W_enc.device != subject.device:
            raise DataError(
                f"the dictionary is on {dictionary.W_enc.device}, the model on {subject.device}; "
                "move it: dictionary.to(subject.device)"
            )
        for site, width, does in (
            (self.reads, dictionary.W_enc.shape[1], "reads"),
            (self.target, dictionary.W_dec.shape[-1], "writes"),
        ):
            if (site_width := subject.width(site)) != width:
                raise DataError(
                    f"the dictionary {does} {width} numbers per token, {subject.name} has "
                    f"{site_width} at {site}"
                )
        subject.folder.beginning(self.bos)
        if self.skip_first < 0 or self.outlier < 0:
            raise DataError(
                f"skip_first and outlier must be at least 0, got {self.skip_first} and "
                f"{self.outlier:g}"
            )

    @property
    def target(self) -> Site:
        """Where the reconstruction belongs."""
        return self.reads if self.writes is None else self.writes

    @property
    def limit(self) -> int:
        """Tokens that a text may have, BOS included."""
        model_limit = self.subject.folder.most_tokens
        return model_limit if self.most is None else min(self.most, model_limit)

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, with a BOS where that is the rule. Raises: DataError for more
        than the limit."""
        ids = [*self.subject.folder.beginning(self.bos), *self.subject.encode(text)]
        if len(ids) > self.limit:
            raise DataError(
                f"the text has {len(ids)} tokens, at most {self.limit} are read; shorten it"
            )
        return ids

    def read(self, text: str, next_id: int | None = None) -> Reading:
        """Run the model on a text and encode it.

        `next_id` is the id of a token put behind the text, so that its prediction at the text's
        last token can be asked about; no feature counts at that token itself. One pass of the
        model over the text.

        Raises: DataError for more tokens than the limit, or a text that leaves nothing to predict
        or no position that counts."""
        return self.read_ids(self.encode(text), next_id)

    def read_ids(self, ids: Sequence[int], next_id: int | None = None) -> Reading:
        """Run the model on token ids, which begin with a BOS where that is the rule; otherwise as
        `read`."""
        whole = [*(int(i) for i in ids), *([] if next_id is None else [int(next_id)])]
        if len(whole) < self.skip_first + 2:
            raise DataError(
                f"the text has length {len(whole)} in tokens; give at least "
                f"{self.skip_first + 2}, so that there is something to predict"
            )
        if len(whole) > self.limit:
            raise DataError(
                f"the text has {len(whole)} tokens, at most {self.limit} are read; shorten it"
            )
        subject = self.subject
        tokens = torch.tensor([whole], device=subject.device)
        passage, trace = capture(subject, self.target, tokens, None, self.reads)
        inputs = passage.acts if passage.inputs is None else passage.inputs
        limits = self.outlier_limits(inputs[:, : len(ids)], passage.acts[:, : len(ids)])
        keep = select_positions(inputs, passage.acts, limits, self.skip_first)
        keep[:, len(ids) :] = False
        if not bool(keep.any()):
            raise DataError(
                f"all {len(ids)} tokens are left out, with skip_first {self.skip_first} and "
                f"outlier {self.outlier:g}"
            )
        codes = self.codes(inputs[0])
        position, feature = codes.nonzero(as_tuple=True)
        value = codes[position, feature].float()
        if not bool(value.isfinite().all()):
            raise DataError(NOT_FINITE)
        everywhere = Firings(position.cpu().numpy(), feature.cpu().numpy(), value.cpu().numpy())
        counts = keep[0].cpu().numpy()
        assert trace.final is not None
        return Reading(
            tuple(whole),
            tuple(subject.folder.tokenizer.pieces(whole)),
            trace.loss()[0].double().cpu().numpy(),
            counts,
            everywhere[counts[everywhere.position]],
            everywhere[~counts[everywhere.position]],
            limits,
            passage,
            trace.final[0],
        )

    def codes(self, inputs: Float[torch.Tensor, "b d_in"]) -> Float[torch.Tensor, "b f"]:
        """Activations of every feature, 0 where it is off."""
        codes = self.dictionary.encode(inputs)
        return codes * switched_on(self.dictionary, codes)

    def outlier_limits(
        self, inputs: Float[torch.Tensor, "w s d_in"], acts: Float[torch.Tensor, "w s d"]
    ) -> tuple[float, float]:
        """Lengths above which an activation is an outlier, where the dictionary reads and writes:
        of this text alone."""
        first, second = (
            outlier_limit(x[:, self.skip_first :], self.outlier)
            if x.shape[1] > self.skip_first
            else float("inf")
            for x in (inputs, acts)
        )
        return first, second

    def parts(self, reading: Reading, firings: Firings) -> Float[torch.Tensor, "n d"]:
        """What each of these firings adds to the reconstruction at its position."""
        if not len(firings):
            return reading.acts[:0]
        position, feature, value = (
            torch.from_numpy(a).to(self.subject.device)
            for a in (firings.position, firings.feature, firings.value)
        )
        return value[:, None] * of_one_unit(self.dictionary, feature, reading.inputs[position])
