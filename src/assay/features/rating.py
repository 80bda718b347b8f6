"""Blinded rating: does what a feature fires on have one meaning, judged by someone who does not
know whose feature it is. What is shown, what is answered, and what all answers come to."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from assay.core import rng, stats
from assay.core.errors import DataError
from assay.core.heavy import scipy
from assay.core.intervals import Interval, Means, Statistic, interval
from assay.core.spec import canonical_json
from assay.features.index.reader import Index

RAREST, COMMONEST = 20, 0.25
"""Firings that a feature needs to be shown at all, and the share of tokens above which it is on too
often to be shown by contexts."""


@dataclass(frozen=True)
class Passage:
    """A piece of text, and how strongly the feature is on at each token, as a share of its
    maximum."""

    tokens: tuple[str, ...]
    shades: tuple[float, ...]
    at: int
    """Place of the token at which it fires."""


@dataclass(frozen=True)
class Item:
    """A feature to be rated. Only its passages are shown; the rest is for whoever counts."""

    arm: str
    match: int
    """Features of all arms with one number have about the same density."""
    feature: int
    passages: tuple[Passage, ...]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what is shown, and of nothing else."""
        return hashlib.sha256(
            canonical_json([[p.tokens, p.shades, p.at] for p in self.passages]).encode()
        ).hexdigest()


def shuffled(
    arms: Mapping[str, tuple[Index, Sequence[int]]], passages: int, seed: int
) -> tuple[Item, ...]:
    """Lay out the features of all arms, as many of each, in an order drawn by the seed."""
    items = [
        Item(arm, match, number, _passages(index, number, passages))
        for arm, (index, numbers) in arms.items()
        for match, number in enumerate(numbers)
    ]
    order = rng.generator(seed, "rating/order").permutation(len(items))
    return tuple(items[i] for i in order)


def chosen(index: Index, count: int, seed: int) -> list[int]:
    """Draw features evenly by how often they fire, one from each of `count` equally large groups.
    Raises: DataError for too few."""
    firings, density = (index.columns((name,))[name] for name in ("firings", "density"))
    fit = np.flatnonzero((firings >= RAREST) & (density <= COMMONEST))
    if len(fit) < count:
        raise DataError(
            f"{index.about.name} has {len(fit)} features with {RAREST} firings or more and a "
            f"density of at most {COMMONEST:g}; "
            f"asked for {count}: say fewer --features, or index more tokens"
        )
    groups = np.array_split(fit[np.argsort(density[fit], kind="stable")], count)
    draw = rng.generator(seed, "rating/features")
    return [int(draw.choice(group)) for group in groups]


def matched(index: Index, density: Float[np.ndarray, " n"]) -> list[int]:
    """Find a feature of another dictionary for each density: the assignment with the least sum of
    |log ratios|. Raises: DataError."""
    columns = index.columns(("firings", "density"))
    fit = np.flatnonzero(
        (columns["firings"] >= min(RAREST, columns["firings"].max(initial=0)))
        & (columns["density"] > 0)
    )
    if len(fit) < len(density):
        raise DataError(
            f"{index.about.name} has {len(fit)} features that fire often enough, and "
            f"{len(density)} are to be rated"
        )
    distances = np.abs(np.log(density)[:, None] - np.log(columns["density"][fit])[None])
    rows, places = scipy.optimize.linear_sum_assignment(distances)
    numbers: Int[np.ndarray, " n"] = fit[places[np.argsort(rows)]]
    return [int(number) for number in numbers]


def _passages(index: Index, number: int, count: int) -> tuple[Passage, ...]:
    """Half of the passages are the feature's strongest, the others evenly spaced through its
    firings, strongest first."""
    contexts = index.contexts(number)
    top = [c for c in contexts if c.kind == "top"][: (count + 1) // 2]
    top_places = {(c.window, c.position) for c in top}
    even = [c for c in contexts if c.kind == "even" and (c.window, c.position) not in top_places]
    n_even = min(count - len(top), len(even))
    spaced = [even[int((i + 0.5) * len(even) / n_even)] for i in range(n_even)]
    maximum = max((c.value for c in contexts), default=1.0)
    return tuple(
        Passage(c.tokens, tuple(round(max(0.0, a) / maximum, 2) for a in c.activations), c.at)
        for c in (*top, *spaced)
    )


MEANINGS: Mapping[float, str] = {1.0: "one meaning", 0.5: "partly", 0.0: "no meaning"}
"""Scores and what they say."""
Line = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a rater said of an item."""

    score: float
    words: str


class Answers:
    """The answers of one rater to one plan, kept in a file.

    Each line has the hash of the line before it, of the plan at the start. Lines that do not fit,
    and answers that came after the arms were shown, count in nothing. The hash has no secret: it
    shows accidents and idle edits, not a forger."""

    def __init__(self, path: Path, plan: str, rater: str):
        self.path, self.rater, self._plan = path, rater, plan
        self._last = hashlib.sha256(canonical_json([plan, rater]).encode()).hexdigest()
        self.answers: dict[str, Answer] = {}
        """By the hash of the item; of several answers to one the last counts."""
        self.fault = ""
        """Why this is no blinded rating; empty where it is one."""
        self.shown = False
        """Whether the arms were shown, after which nothing counts."""
        self._whole = 0
        if path.exists():
            self._read()

    def _read(self) -> None:
        data = self.path.read_bytes()
        self._whole = data.rfind(b"\n") + 1  # what follows was being written at a kill
        for number, raw in enumerate(data[: self._whole].splitlines()):
            try:
                line = json.loads(raw)
                chain = line.pop("chain")
            except (ValueError, KeyError, AttributeError, TypeError):
                self.fault = f"line {number + 1} is none that assay rate writes"
                return
            if number == 0 and (line.get("plan") != self._plan or line.get("rater") != self.rater):
                self.fault = "it belongs to another plan or rater"
                return
            if chain != self._chain(line):
                self.fault = f"line {number + 1} was changed, or a line before it"
                return
            self._take(line, chain)

    def add(self, item: str, score: float, words: str = "") -> None:
        """Keep an answer. Raises: DataError where nothing counts any more."""
        if score not in MEANINGS:
            raise DataError(f"a score is {', '.join(f'{s:g}' for s in MEANINGS)}, got {score}")
        self._add({"item": item, "score": score, "words": words})

    def show_arms(self) -> None:
        """Note that the arms are known from now on."""
        if not self.shown and not self.fault:
            self._add({"shown": True})

    def _add(self, line: Line) -> None:
        if self.fault or self.shown:
            raise DataError(
                f"{self.path}: {self.fault or 'the arms were shown'}; answers no longer count"
            )
        with self.path.open("ab") as file:
            file.truncate(self._whole)
            if not self._whole:
                self._write(file, {"plan": self._plan, "rater": self.rater})
            self._write(file, line)

    def _write(self, file: Any, line: Line) -> None:
        chain = self._chain(line)
        data = canonical_json({**line, "chain": chain}).encode() + b"\n"
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        self._whole += len(data)
        self._take(line, chain)

    def _chain(self, line: Line) -> str:
        return hashlib.sha256(f"{self._last}{canonical_json(line)}".encode()).hexdigest()

    def _take(self, line: Line, chain: str) -> None:
        self._last = chain
        if line.get("shown"):
            self.shown = True
        elif "item" in line:
            if self.shown:
                self.fault = "it has answers from after the arms were shown"
                return
            self.answers[line["item"]] = Answer(line["score"], line["words"])


def alpha(scores: Float[np.ndarray, "item rater"]) -> float:
    """Measure agreement on an interval scale: 1 where raters always agree, 0 where they agree as if
    answers were dealt out by chance.

    NaN is no answer; items with fewer than two answers count in nothing. NaN where all answers are
    equal, or too few.

    Formula: α = 1 − D_o / D_e, with n answers to items that have m ≥ 2, D_o = Σ_items Σ_{i≠j} (v_i
    − v_j)² / (m − 1) / n and D_e = Σ_{i≠j} (v_i − v_j)² / (n (n − 1)) over all pairs of answers
    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011
    """
    terms = _terms(scores)
    if not len(terms["answers"]):
        return float("nan")
    return float(
        _alpha(len(terms["answers"]))(
            {name: term.mean(keepdims=True) for name, term in terms.items()}
        )[0]
    )


def alpha_interval(scores: Float[np.ndarray, "item rater"]) -> Interval:
    """Give alpha an interval over items, as `core.intervals` makes it."""
    terms = _terms(scores)
    return interval(terms, _alpha(len(terms["answers"])))


def _terms(scores: Float[np.ndarray, "item rater"]) -> dict[str, Float[np.ndarray, " item"]]:
    """What alpha needs of each item: sums over its answers."""
    known = scores[np.isfinite(scores).sum(1) >= 2]
    answers = np.isfinite(known).sum(1).astype(float)
    total, square = np.nansum(known, 1), np.nansum(known**2, 1)
    return {
        "answers": answers,
        "sum": total,
        "square": square,
        "apart": 2 * (answers * square - total**2) / (answers - 1),
    }


def _alpha(items: int) -> Statistic:
    def statistic(m: Means) -> np.ndarray:
        n = items * m["answers"]
        expected = 2 * (n * items * m["square"] - (items * m["sum"]) ** 2) / (n * (n - 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            estimate = 1 - m["apart"] / m["answers"] / expected
        return np.where(expected > 1e-12, estimate, np.nan)

    return statistic


@dataclass(frozen=True)
class Counted:
    """What raters said, by arm."""

    arms: tuple[Mapping[str, Any], ...]
    """arm, mean score, low, high, features, answers; None where there is no number."""
    agreement: Mapping[str, float | None] | None
    """Krippendorff's alpha, low, high; None with one rater."""
    rows: tuple[Mapping[str, Any], ...]
    """One for each answer, as a table for `assay judge` has them."""


def counted(
    items: Sequence[Item], arms: Sequence[str], answers: Mapping[str, Mapping[str, Answer]]
) -> Counted:
    """Count the answers of raters, given by the hash of the item; arms in this order, and intervals
    over features."""
    scores = np.full((len(items), len(answers)), np.nan)
    rows = []
    for i, item in enumerate(items):
        labels = {"arm": item.arm, "match": item.match, "feature": item.feature}
        for j, (rater, of_rater) in enumerate(answers.items()):
            if (answer := of_rater.get(item.hash)) is not None:
                scores[i, j] = answer.score
                rows.append(labels | {"rater": rater, "score": answer.score, "words": answer.words})
    results = []
    for arm in arms:
        some = scores[[i for i, item in enumerate(items) if item.arm == arm]]
        some = some[np.isfinite(some).any(1)]
        mean = interval({"value": np.nanmean(some, 1) if len(some) else np.empty(0)}, stats.mean)
        counts = {"features": len(some), "answers": int(np.isfinite(some).sum())}
        results.append({"arm": arm, **_limits("mean", mean), **counts})
    several = len(answers) > 1 and (np.isfinite(scores).sum(1) > 1).sum() > 1
    rows.sort(key=lambda r: (arms.index(r["arm"]), r["match"], r["rater"]))
    agreement = _limits("alpha", alpha_interval(scores)) if several else None
    return Counted(tuple(results), agreement, tuple(rows))


def _limits(name: str, x: Interval) -> dict[str, float | None]:
    values = {name: x.estimate, "low": x.low, "high": x.high}
    return {k: v if math.isfinite(v) else None for k, v in values.items()}
