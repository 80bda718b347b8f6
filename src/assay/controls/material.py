"""Things made of text and of training: patches, spans, texts, trainings, dictionaries."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count as numbers
from typing import Any

import numpy as np

from assay.controls import picks, vectors
from assay.controls.things import FEW, Maker, Thing
from assay.errors import DataError
from assay.train import rng


def column(values: Any, rows: Sequence[Any]) -> list[Any]:
    """A value for each prompt: a list, or the column of that name. Raises: DataError
    (unknown-column, wrong-length)."""
    if isinstance(values, str):
        for i, row in enumerate(rows):
            if not isinstance(row, Mapping) or values not in row:
                raise DataError("unknown-column", f"no column `{values}`", f"prompt {i + 1}")
        return [row[values] for row in rows]
    if len(values) != len(rows):
        raise DataError("wrong-length", f"{len(values)} values for {len(rows)} prompts")
    return list(values)


@dataclass(frozen=True, eq=False, repr=False)
class Patch(Thing):
    """What is put into each prompt: a list, or the column that has it.

    Attributes:
        others: what unrelated prompts have; by default what the other prompts have.
    """

    others: Sequence[Any] | None = None
    kind, by_prompt = "patch", True

    def bound(self, rows: Sequence[Any]) -> Patch:
        """With the column looked up."""
        return replace(self, value=column(self.value, rows))

    def near(self, count: int) -> Mapping[str, Maker]:
        """Parts of prompts with another part."""
        pool = [(_key(x), x) for x in (self.value if self.others is None else self.others)]
        free = [[x for key, x in pool if key != own] for own in map(_key, self.value)]

        def unrelated(k: int) -> list[Any]:
            return [x[picks.pick(k, "check.unrelated", i, len(x))] for i, x in enumerate(free)]

        return {"unrelated": unrelated} if all(free) else {}


def _key(x: Any) -> Any:
    """What tells two parts apart."""
    is_array = vectors.is_tensor(x) or isinstance(x, np.ndarray)
    return (tuple(x.shape), vectors.as_numpy(x).tobytes()) if is_array else repr(x)


@dataclass(frozen=True, eq=False, repr=False)
class Span(Thing):
    """Words of each prompt that are deleted: a list, or the column that has them. Once bound, its
    value is the texts without them; in a draw as many words elsewhere are deleted.

    Attributes:
        of: the column of the texts, or a list of them; prompts that are texts need none.
        cuts: once bound, the words of each text, and from where to where its span goes.
    Raises: DataError (no-span, where a text does not have it once; no-room for another).
    """

    of: Any = "text"
    cuts: Sequence[tuple[list[str], int, int]] = field(default=(), repr=False)
    kind, by_prompt = "span", True

    def bound(self, rows: Sequence[Any]) -> Span:
        """With the texts of these prompts."""
        if self.cuts:
            return self
        texts = list(rows) if all(isinstance(row, str) for row in rows) else column(self.of, rows)
        pairs = zip(texts, column(self.value, rows), strict=True)
        cuts = [_find(text, span, f"prompt {i + 1}") for i, (text, span) in enumerate(pairs)]
        return replace(self, value=[_without(*cut) for cut in cuts], cuts=cuts)

    def near(self, count: int) -> Mapping[str, Maker]:
        """Other spans, anywhere."""
        return {"span": lambda k: [self._elsewhere(k, i) for i in range(len(self.cuts))]}

    def _elsewhere(self, k: int, i: int) -> str:
        (words, start, stop), own = self.cuts[i], self.value[i]
        n = stop - start
        free = [s for s in range(len(words) - n + 1) if s + n <= start or s >= stop]
        texts = [x for x in (_without(words, s, s + n) for s in free) if x != own]
        if not texts:
            raise DataError("no-room", f"no other {n} words can be deleted", f"prompt {i + 1}")
        return texts[picks.pick(k, "controls.span", i, len(texts))]


def _find(text: str, span: str, at: str) -> tuple[list[str], int, int]:
    words, part = re.findall(r"\s*\S+\s*", text), span.split()
    plain, n = [w.strip() for w in words], len(part)
    starts = [s for s in range(len(plain) - n + 1) if part and plain[s : s + n] == part]
    if len(starts) != 1:
        raise DataError("no-span", f"{span!r} is in its text {len(starts)} times, not once", at)
    return words, starts[0], starts[0] + n


def _without(words: Sequence[str], start: int, stop: int) -> str:
    text = "".join([*words[:start], *words[stop:]])
    return text if stop < len(words) else text.rstrip()


@dataclass(frozen=True, eq=False, repr=False)
class Text(Thing):
    """A text that is put before the prompts.

    Attributes:
        others: other texts, which are cut or repeated to as many words.
        paraphrases: other wordings of the same.
    """

    others: Sequence[str] = ()
    paraphrases: Sequence[str] = ()
    kind = "text"

    def near(self, count: int) -> Mapping[str, Maker]:
        """Other orders, texts and wordings."""
        near: dict[str, Maker] = {}
        if len({*self.value.split()}) > 1:
            near["words"] = (picks.reordered(self.value, k) for k in range(count or FEW))
        if self.others:
            near["length"] = [picks.with_as_many_words(x, self.value) for x in self.others]
        return near | ({"paraphrase": self.paraphrases} if self.paraphrases else {})


@dataclass(frozen=True, eq=False, repr=False)
class Training(Thing):
    """What a training gave, such as an adapter; `Training.of` can repeat it for controls."""

    kind, tries = "training", 2

    @classmethod
    def of(
        cls,
        train: Callable[[Any, Any], Any],
        examples: Sequence[Any],
        labels: Sequence[Any],
        *,
        other: tuple[Sequence[Any], Sequence[Any]] | None = None,
    ) -> Training:
        """Train on examples and labels; for controls on shuffled labels, and on something else.
        Raises: DataError (wrong-length)."""
        for x, y in ((examples, labels), *([other] if other else [])):
            if len(x) != len(y) or not len(x):
                raise DataError("wrong-length", f"{len(x)} examples have {len(y)} labels")
        makers: dict[str, Maker] = {}
        if any(y != labels[0] for y in labels):
            makers["shuffled"] = lambda k: train(examples, _shuffled(labels, k))
        if other:
            x, y = ([part[i % len(part)] for i in range(len(labels))] for part in other)
            makers["other-text"] = lambda k: train(x, y)
        return cls(train(examples, labels), makers=makers)


def _shuffled(labels: Sequence[Any], k: int) -> list[Any]:
    """The labels in another order, in which one at least has changed."""
    seeds, own = np.array([k]), list(labels)
    orders = (rng.permutation(seeds, "check.labels", i, len(own))[0] for i in numbers())
    return next(x for x in ([own[j] for j in order] for order in orders) if x != own)


class Dictionary(Thing):
    """A sparse dictionary; `makers` has the dictionaries that stand in."""

    kind = "dictionary"
