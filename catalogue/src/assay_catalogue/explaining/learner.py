"""The offline explainer: a rule grown greedily on contexts of a feature, and stopped by contexts of
other files.

Each step adds a conjunction of one or two conditions, whichever raises F1 most on the training
rows; it is taken if F1 rises on the validation rows as well. A set of tokens grows one at a time as
long as F1 rises: for a first condition by the token that raises it most, for a second one by FOIL's
gain, or a token that stands nearly everywhere would be taken first. "Among the last 16" opens a
conjunction with one token alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError
from assay_catalogue.explaining.rule import PLACES, Condition, Place, Positions, Rule, f1

BEAM = 4
"""First conditions for which a second one is sought."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a rule may say."""

    names: int = 10
    """Token ids, or names of kinds, in all of it: K."""
    conjunctions: int = 3
    conditions: int = 2
    """In one conjunction."""
    places: tuple[Place, ...] = PLACES
    """Where conditions may look."""


LIMITS = Limits()


def learn(
    text: Positions,
    fires: Bool[np.ndarray, " row"],
    validation: Bool[np.ndarray, " row"],
    limits: Limits = LIMITS,
    kinds: Mapping[str, tuple[int, ...]] | None = None,
) -> Rule | None:
    """A rule for where a feature fires; None where it fires nowhere or everywhere, or no rule helps
    on the validation rows.

    `validation` marks the rows that say when to stop; they should be of other files than the rest.
    `kinds` are sets of tokens that cost one name each; without them a rule names tokens alone.

    Raises: DataError where the three do not have one length.
    """
    return Split(text, validation).learn(fires, limits, kinds)


@dataclass(frozen=True, eq=False)
class Split:
    """Positions on which rules grow, and those that say when to stop: for many features of one
    text, what stands where is looked up once.

    Raises: DataError where the two do not have one length.
    """

    text: Positions
    validation: Bool[np.ndarray, " row"]

    def __post_init__(self) -> None:
        if len(self.text) != len(self.validation):
            raise DataError(
                f"{len(self.text)} positions and {len(self.validation)} validation marks; "
                "both need one length"
            )

    @cached_property
    def parts(self) -> tuple[_Part, _Part]:
        """(what rules grow on, what says when to stop)."""
        return _Part(self.text.of(~self.validation)), _Part(self.text.of(self.validation))

    def learn(
        self,
        fires: Bool[np.ndarray, " row"],
        limits: Limits = LIMITS,
        kinds: Mapping[str, tuple[int, ...]] | None = None,
    ) -> Rule | None:
        """A rule for where a feature fires, as `learn` gives it."""
        if len(fires) != len(self.text):
            raise DataError(
                f"{len(self.text)} positions and {len(fires)} answers; both need one length"
            )
        train, held = (
            _Rows(part, fires[rows])
            for part, rows in zip(self.parts, (~self.validation, self.validation), strict=True)
        )
        return _grown(train, held, limits, kinds or {})


def _grown(
    train: _Rows, held: _Rows, limits: Limits, kinds: Mapping[str, tuple[int, ...]]
) -> Rule | None:
    """The rule that grows as long as F1 rises on both."""
    if any(rows.fires.all() or not rows.fires.any() for rows in (train, held)):
        return None
    rule, covered, best = Rule(()), np.zeros(len(train.text), bool), 0.0
    for _ in range(limits.conjunctions):
        current_f1 = train.f1(covered)
        grown = sorted(
            _conjunctions(train, covered, limits, limits.names - rule.cost, kinds),
            key=lambda candidate: -candidate[0],
        )
        for score, conjunction, rows in grown[
            :2
        ]:  # the second best is tried where the best was luck
            longer = Rule((*rule.conjunctions, conjunction))
            if score > current_f1 and (valid := held.f1(longer.leaves(held.text) > 0)) > best:
                rule, best, covered = longer, valid, covered.copy()
                covered[rows] = True
                break
        else:
            break
    return rule if rule.conjunctions else None


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows of a text, whatever fires on them."""

    text: Positions

    @cached_property
    def counts(self) -> dict[Place, Int[np.ndarray, " token"]]:
        """How many of the rows each token is seen in, by place, as far as somebody asked."""
        return {}


class _Rows:
    """Rows to count over: what stands where, and whether the feature fires."""

    def __init__(self, part: _Part, fires: Bool[np.ndarray, " row"]):
        self.text, self.fires, self.positives = part.text, fires, int(fires.sum())
        self.vocabulary, self._all = part.text.largest + 1, part.counts

    def f1(self, covered: Bool[np.ndarray, " row"]) -> float:
        true = int((covered & self.fires).sum())
        return float(f1(true, int(covered.sum()) - true, self.positives))

    def count(
        self, place: Place, rows: Int[np.ndarray, " some"] | None = None
    ) -> Int[np.ndarray, " token"]:
        """How many rows each token is seen in, at this place."""
        if rows is None:
            if place not in self._all:
                self._all[place] = self.count(place, np.arange(len(self.text)))
            return self._all[place]
        return np.bincount(self.text.at(place)[rows].ravel() + 1, minlength=self.vocabulary + 1)[1:]


def _conjunctions(
    train: _Rows,
    covered: Bool[np.ndarray, " row"],
    limits: Limits,
    names: int,
    kinds: Mapping[str, tuple[int, ...]],
) -> Iterator[tuple[float, tuple[Condition, ...], Int[np.ndarray, " some"]]]:
    """Conjunctions that may come next: F1 of the rule with each, the conjunction, and the rows that
    it adds."""
    if names < 1:
        return
    before, true = np.flatnonzero(covered), int((covered & train.fires).sum())
    base = (true, len(before) - true)
    uncovered = np.flatnonzero(train.fires & ~covered)
    firsts: list[tuple[float, Condition]] = []
    for place in limits.places:
        hits = train.count(place, uncovered)
        misses = train.count(place) - train.count(place, before) - hits
        most = 1 if place == "recent" else names
        firsts += _sets(place, hits, misses, base, train.positives, sorted({1, most}), kinds)
    firsts.sort(key=lambda candidate: -candidate[0])
    for score, first in firsts[:BEAM]:
        rows = np.flatnonzero(~covered)
        rows = rows[first.holds(train.text, rows)]
        yield score, (first,), rows
        if limits.conditions > 1 and names > first.cost:
            yield from _seconds(train, first, rows, base, names - first.cost, limits, kinds)


def _seconds(
    train: _Rows,
    first: Condition,
    rows: Int[np.ndarray, " some"],
    base: tuple[int, int],
    names: int,
    limits: Limits,
    kinds: Mapping[str, tuple[int, ...]],
) -> Iterator[tuple[float, tuple[Condition, ...], Int[np.ndarray, " some"]]]:
    """The best second condition at each other place, among the rows where the first one is true."""
    fires = train.fires[rows]
    for place in (p for p in limits.places if p != first.place):
        if place == "recent":
            best = _recent(train, rows, fires, base, names)
        else:
            hits = train.count(place, rows[fires])
            sets = _sets(
                place,
                hits,
                train.count(place, rows) - hits,
                base,
                train.positives,
                [names],
                kinds,
                float(fires.mean()),
            )
            best = max(sets, key=lambda f: f[0], default=None)
        if best is not None:
            yield best[0], (first, best[1]), rows[best[1].holds(train.text, rows)]


def _sets(
    place: Place,
    hits: Int[np.ndarray, " token"],
    misses: Int[np.ndarray, " token"],
    base: tuple[int, int],
    positives: int,
    sizes: Sequence[int],
    kinds: Mapping[str, tuple[int, ...]],
    prior: float = 0.0,
) -> list[tuple[float, Condition]]:
    """The set of tokens at one place that is grown one by one as long as F1 rises, at each largest
    size, and every kind.

    With `prior`, the share of firing rows without the condition, the next token is the one of the
    greatest gain."""
    out: list[tuple[float, Condition]] = []
    chosen: list[int] = []
    best, (true, false) = 0.0, base
    remaining = hits > 0
    for _ in range(sizes[-1]):
        score = np.where(remaining, f1(true + hits, false + misses, positives), 0.0)
        token = int((_gain(hits, misses, prior) * remaining if prior else score).argmax())
        if score[token] <= best:
            break
        best, remaining[token] = float(score[token]), False
        true, false = true + int(hits[token]), false + int(misses[token])
        chosen.append(token)
        if len(chosen) in sizes:
            out.append((best, Condition(place, tuple(sorted(chosen)))))
    if chosen and len(chosen) not in sizes:
        out.append((best, Condition(place, tuple(sorted(chosen)))))
    if place != "recent":
        for name, ids in kinds.items():
            known = [t for t in ids if t < len(hits)]
            score_of = float(
                f1(base[0] + int(hits[known].sum()), base[1] + int(misses[known].sum()), positives)
            )
            out.append((score_of, Condition(place, ids, name)))
    return out


def _recent(
    train: _Rows,
    rows: Int[np.ndarray, " some"],
    fires: Bool[np.ndarray, " some"],
    base: tuple[int, int],
    names: int,
) -> tuple[float, Condition] | None:
    """The set of tokens one of which is among the last 16: grown one by one, each counted where no
    earlier one is."""
    chosen: list[int] = []
    best, (true, false), open_ = 0.0, base, np.ones(len(rows), bool)
    for _ in range(names):
        hits = train.count("recent", rows[open_ & fires])
        misses = train.count("recent", rows[open_ & ~fires])
        score = np.where(hits > 0, f1(true + hits, false + misses, train.positives), 0.0)
        token = int(_gain(hits, misses, float(fires.mean())).argmax())
        if score[token] <= best:
            break
        best, chosen = float(score[token]), [*chosen, token]
        true, false = true + int(hits[token]), false + int(misses[token])
        open_ &= ~Condition("recent", (token,)).holds(train.text, rows)
    return (best, Condition("recent", tuple(sorted(chosen)))) if chosen else None


def _gain(
    hits: Int[np.ndarray, " token"], misses: Int[np.ndarray, " token"], prior: float
) -> Float[np.ndarray, " token"]:
    """What each token gains as a condition.

    Formula: hits · log(precision / prior), at least 0
    Source: Quinlan 1990, Learning Logical Definitions from Relations (FOIL)
    """
    precision = hits / np.maximum(hits + misses, 1)
    return np.maximum(hits * np.log(np.maximum(precision, 1e-300) / max(prior, 1e-300)), 0.0)
