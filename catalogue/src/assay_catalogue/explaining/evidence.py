"""Explanations of a feature: by its inputs, by the tokens that it promotes, or by both, each with
the activation that it expects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.features.effects import largest
from assay_catalogue.explaining.rule import ABSENT, Positions, Rule, show_token
from assay_catalogue.explaining.scoring import distinct, logistic


@dataclass(frozen=True)
class InputExplanation:
    """A rule about the token and those before it, and the mean activation on each of its leaves."""

    rule: Rule
    means: tuple[float, ...]
    """Training mean of the activation where no conjunction is true, then where the first one is
    that is true."""

    def words(self, decode: Callable[[int], str]) -> str:
        """Say the rule."""
        return f"fires where {self.rule.words(decode)}"

    def scores(self, text: Positions) -> Float[np.ndarray, " row"]:
        """The mean activation of the leaf that each position is in."""
        return np.array(self.means)[self.rule.leaves(text)]


@dataclass(frozen=True)
class OutputExplanation:
    """The tokens that a feature promotes; it is expected where one of them comes next."""

    promoted: tuple[int, ...]

    def words(self, decode: Callable[[int], str]) -> str:
        """Say what is promoted."""
        return (
            "makes "
            + ", ".join(f"“{show_token(decode(t))}”" for t in self.promoted)
            + " likelier next"
        )

    def scores(self, text: Positions) -> Float[np.ndarray, " row"]:
        """Whether a promoted token comes next: q(t) under the text itself, which contains no
        feature."""
        return (np.isin(text.following, self.promoted) & (text.following != ABSENT)).astype(float)


@dataclass(frozen=True)
class BothExplanation:
    """A rule about what came before and the tokens that come next, weighed by a logistic
    regression."""

    inside: InputExplanation
    outside: OutputExplanation
    weights: tuple[float, float, float]
    """Of the rule's expectation and of a promoted token next, and the intercept."""

    def words(self, decode: Callable[[int], str]) -> str:
        """Say both."""
        return f"{self.inside.words(decode)}, and {self.outside.words(decode)}"

    def scores(self, text: Positions) -> Float[np.ndarray, " row"]:
        """The log-odds of a firing at each position."""
        a, b, c = self.weights
        return a * self.inside.scores(text) + b * self.outside.scores(text) + c


def both_explanation(
    inside: InputExplanation,
    outside: OutputExplanation,
    text: Positions,
    fires: Bool[np.ndarray, " row"],
) -> BothExplanation:
    """Two explanations weighed on these rows, by a logistic regression of firing on what each
    expects."""
    return BothExplanation(
        inside, outside, weighed(inside.scores(text), outside.scores(text), fires)
    )


def weighed(
    a: Float[np.ndarray, " row"], b: Float[np.ndarray, " row"], fires: Bool[np.ndarray, " row"]
) -> tuple[float, float, float]:
    """Weights of two scores, and an intercept, by a logistic regression of firing on both; equal
    rows are counted, not repeated."""
    (of_a, at_a), (of_b, at_b) = distinct(a), distinct(b)
    cell, cell_index = distinct(at_a * len(of_b) + at_b)
    yes = np.bincount(cell_index, fires, minlength=len(cell))
    cells = np.stack([of_a[cell // len(of_b)], of_b[cell % len(of_b)]], 1)
    x, y, z = logistic(cells, yes, np.bincount(cell_index, minlength=len(cell)) - yes).tolist()
    return x, y, z


def input_explanation(
    rule: Rule | None, text: Positions, value: Float[np.ndarray, " row"]
) -> InputExplanation:
    """A rule with the means of its leaves on these rows; no rule has one leaf, and a leaf without
    rows the mean of all."""
    rule = rule or Rule(())
    leaf, leaves = rule.leaves(text), len(rule.conjunctions) + 1
    rows = np.bincount(leaf, minlength=leaves)
    means = np.bincount(leaf, value, minlength=leaves) / np.maximum(rows, 1)
    return InputExplanation(
        rule, tuple(np.where(rows > 0, means, value.mean() if len(value) else 0.0).tolist())
    )


def promoted(
    weights: Float[np.ndarray, "feature v"], count: int
) -> Int[np.ndarray, "feature count"]:
    """The tokens of greatest weight for each feature, falling; ties by token id."""
    return largest(weights, count)
