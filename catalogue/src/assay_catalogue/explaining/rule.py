"""Rules: which tokens a feature fires on, said so exactly that anybody can check it, and how such a
sentence fares without its quotes.

A rule is an OR of conjunctions, a conjunction an AND of conditions, a condition "the token so many
places back is one of these", or "one of these is among the last 16 tokens".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError

Place = Literal[0, -1, -2, -3, -4, "recent"]
PLACES: tuple[Place, ...] = (0, -1, -2, -3, -4, "recent")
"""Where a condition looks: at the token itself, one to four before it, or at all of the last
`RECENT`."""
RECENT = 16
"""Tokens that count as recent, the current one among them."""
ABSENT = -1
"""Stands for a token before the window's start, or after its end."""
_SPOKEN = {
    0: "the token",
    -1: "the one before it",
    -2: "the second before it",
    -3: "the third before it",
    -4: "the fourth before it",
}


def show_token(token: str) -> str:
    """A token as it can be read in a sentence: line breaks and tabs as marks, blanks as they
    are."""
    return token.replace("\n", "⏎").replace("\t", "⇥").replace("“", '"').replace("”", '"')


@dataclass(frozen=True, eq=False)
class Positions:
    """Tokens of windows of text at which a feature is looked at: what stands there, before it and
    after it."""

    tokens: Int[np.ndarray, "window s"]
    keep: Bool[np.ndarray, "window s"]
    """Which positions count; the others are still context."""
    chosen: Int[np.ndarray, "row"] | None = None
    """Flat numbers of the rows, if not all that are kept."""

    def __post_init__(self) -> None:
        if self.tokens.shape != self.keep.shape or self.tokens.ndim != 2:
            raise DataError(
                f"tokens {self.tokens.shape} and the mask of positions {self.keep.shape} need "
                "one shape [window, s]"
            )

    @cached_property
    def row(self) -> Int[np.ndarray, "row"]:
        """Flat numbers of the positions into [window, s], ascending."""
        return np.flatnonzero(self.keep) if self.chosen is None else self.chosen

    def __len__(self) -> int:
        return len(self.row)

    def of(self, rows: Bool[np.ndarray, "row"]) -> Positions:
        """Some of these positions."""
        return replace(self, chosen=self.row[rows])

    def shifted(self, by: int) -> Int[np.ndarray, "row"]:
        """The token so many places further on at each row; ABSENT beyond the window."""
        s = self.tokens.shape[1]
        inside = (self.row % s + by >= 0) & (self.row % s + by < s)
        return np.where(
            inside, self.tokens.ravel()[np.where(inside, self.row + by, 0)], ABSENT
        ).astype(np.int32)

    @cached_property
    def largest(self) -> int:
        """The greatest token id of the windows."""
        return int(self.tokens.max(initial=0))

    @cached_property
    def following(self) -> Int[np.ndarray, "row"]:
        """The next token of the text."""
        return self.shifted(1)

    @cached_property
    def _seen(self) -> dict[Place, Int[np.ndarray, "row any"]]:
        return {}

    def at(self, place: Place) -> Int[np.ndarray, "row any"]:
        """The tokens that a condition at this place looks at; of equal ones among the recent,
        ABSENT for all but one."""
        if place not in self._seen:
            if place == "recent":
                last = np.stack([self.shifted(-i) for i in range(RECENT)], 1)
                last.sort(axis=1)
                last[:, 1:][last[:, 1:] == last[:, :-1]] = ABSENT
                self._seen[place] = last
            else:
                self._seen[place] = self.shifted(place)[:, None]
        return self._seen[place]


@dataclass(frozen=True)
class Condition:
    """One of these tokens stands at this place; `kind` is their common name, if they have one."""

    place: Place
    tokens: tuple[int, ...]
    kind: str = ""

    def __post_init__(self) -> None:
        if self.place not in PLACES:
            raise DataError(
                f"a condition looks at one of {', '.join(map(str, PLACES))}, got {self.place!r}"
            )

    @property
    def cost(self) -> int:
        """How many names it takes to say it: its tokens, or 1 for a kind."""
        return 1 if self.kind else len(self.tokens)

    def holds(
        self, text: Positions, among: Int[np.ndarray, " some"] | None = None
    ) -> Bool[np.ndarray, " row"]:
        """Where it is true: at all rows, or at those named."""
        tokens = text.at(self.place) if among is None else text.at(self.place)[among]
        return members(self.tokens, text.largest)[tokens].any(1)

    def words(self, decode: Callable[[int], str]) -> str:
        """Say it, tokens in quotes."""
        *first, last = (f"“{show_token(decode(t))}”" for t in self.tokens)
        what = self.kind or (f"{', '.join(first)} or {last}" if first else last)
        return (
            f"{what} is among the last {RECENT} tokens"
            if self.place == "recent"
            else f"{_SPOKEN[self.place]} is {what}"
        )


@dataclass(frozen=True)
class Rule:
    """An OR of conjunctions of conditions."""

    conjunctions: tuple[tuple[Condition, ...], ...]

    @property
    def cost(self) -> int:
        """How many token ids or names of kinds it takes."""
        return sum(c.cost for conjunction in self.conjunctions for c in conjunction)

    @property
    def tokens(self) -> tuple[int, ...]:
        """Every token that it names by itself, each once."""
        return tuple(
            sorted(
                {
                    t
                    for conjunction in self.conjunctions
                    for c in conjunction
                    if not c.kind
                    for t in c.tokens
                }
            )
        )

    def leaves(self, text: Positions) -> Int[np.ndarray, " row"]:
        """The number of the first conjunction that is true at each row, from 1; 0 where none is."""
        leaf = np.zeros(len(text), np.int8)
        for number in range(len(self.conjunctions), 0, -1):
            rows = np.arange(len(text))
            for condition in self.conjunctions[number - 1]:
                rows = rows[condition.holds(text, rows)]
            leaf[rows] = number
        return leaf

    def words(self, decode: Callable[[int], str]) -> str:
        """Say it in a sentence, tokens in quotes."""
        return "; or ".join(
            " and ".join(c.words(decode) for c in conjunction) for conjunction in self.conjunctions
        )

    def without_quotes(self) -> Rule:
        """What is left to check once every quoted token is taken out of its words: conditions on
        named kinds alone; often nothing."""
        remaining = [tuple(c for c in conjunction if c.kind) for conjunction in self.conjunctions]
        return Rule(tuple(conjunction for conjunction in remaining if conjunction))


def members(tokens: tuple[int, ...], largest: int) -> Bool[np.ndarray, " token"]:
    """Whether each id up to the text's largest is one of these, ABSENT (the last entry) never."""
    table = np.zeros(max(largest, *tokens, 0) + 2, bool)
    table[list(tokens)] = True
    return table


def f1(
    true: Float[np.ndarray, "..."] | float,
    false: Float[np.ndarray, "..."] | float,
    positives: float,
) -> Float[np.ndarray, "..."]:
    """Precision and recall as one number.

    Formula: 2 TP / (TP + FP + P), P all that are positive; 0 without any
    """
    denominator = np.asarray(true, float) + np.asarray(false, float) + positives
    return np.divide(
        2 * np.asarray(true, float),
        denominator,
        out=np.zeros(np.shape(denominator)),
        where=denominator > 0,
    )


def rule_f1(rule: Rule | None, text: Positions, fires: Bool[np.ndarray, " row"]) -> float:
    """How well a rule tells where a feature fires; 0 for no rule."""
    if rule is None:
        return 0.0
    predicted = rule.leaves(text) > 0
    return float(
        f1(float((predicted & fires).sum()), float((predicted & ~fires).sum()), float(fires.sum()))
    )


def kinds(vocabulary: list[str]) -> Mapping[str, tuple[int, ...]]:
    """Tokens by what they look like, under names that survive when quotes are taken out; those that
    some token has."""
    looks: dict[str, Callable[[str], bool]] = {
        "a line break": lambda t: "\n" in t,
        "blank space": lambda t: bool(t) and not t.strip(),
        "a number": lambda t: t.strip().isdigit(),
        "an opening bracket": lambda t: t.strip()[-1:] in {"(", "[", "{"},
        "a closing bracket": lambda t: t.strip()[:1] in {")", "]", "}"},
        "a quotation mark": lambda t: t.strip()[-1:] in {"'", '"'},
        "in capitals": lambda t: t.strip().isalpha() and t.strip().isupper(),
        "the start of a word": lambda t: len(t) > 1 and t[0] == " " and t[1:].isalpha(),
        "a piece of a word": lambda t: t.isalpha(),
        "a sign": lambda t: bool(t.strip()) and not any(c.isalnum() for c in t),
    }
    ids_by_kind = {
        name: tuple(i for i, t in enumerate(vocabulary) if looks_so(t))
        for name, looks_so in looks.items()
    }
    return {name: ids for name, ids in ids_by_kind.items() if ids}
