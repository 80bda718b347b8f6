"""Score: everything that is measured of one explanation, part by part, each with its interval; and
beside it the four controls.

Formula: quality = least of E1, E2, E3 and E4 · 2^(−size/numbers in the model); without E4 where the
model does not fail. A part that is left out counts 0, so that no failed part can be bought off, and
a table of the model itself is not worth more than half. Of a model that does no better than an
answer that reads nothing there is nothing to explain: E1 and E2 are undefined, and quality is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np

from assay.core.errors import AssayError
from assay.core.intervals import Means, interval
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import ablation, adversarial, controls, implementing, scrubbing
from assay_catalogue.circuits.verify.chance import NOTHING
from assay_catalogue.circuits.verify.interchange import Interchanged, interchanged
from assay_catalogue.circuits.verify.rivals import Rivals, rivals

_Factor = tuple[Mapping[str, np.ndarray], Callable[[Means], np.ndarray]]
PARTS = ("E1 ablation", "E2 scrubbing", "E3 implementation", "E4 adversarial", "short")


@dataclass(frozen=True, kw_only=True)
class Effort:
    """On how much an explanation is tried."""

    inputs: int = 1000
    """Inputs of the task on which it is tested; the units of its intervals."""
    resamples: int = scrubbing.RESAMPLES
    """Inputs that are scrubbed, each anew, in whole rounds of these inputs."""
    candidates: int = adversarial.CANDIDATES
    """Inputs among which failing ones are looked for."""


@dataclass(frozen=True)
class Row:
    """One number with its interval over inputs; NaN where there is none, and then why; also why it
    is 0, where that can be said."""

    name: str
    estimate: float
    low: float
    high: float
    why: str = ""


@dataclass(frozen=True, eq=False)
class Score:
    """What one explanation reaches."""

    name: str
    quality: Row
    parts: tuple[Row, ...]
    """E1 to E4, and how short it is."""
    details: tuple[Row, ...] = ()
    """What the parts are made of."""
    size: int = 0
    worst: tuple[str, ...] = ()
    """The pieces called irrelevant that hurt most when they are taken away together."""
    apart: tuple[str, ...] = ()
    """The named pieces whose removal tells the model and what was kept apart most."""
    alone: Mapping[str, float] | None = None
    """What each named piece costs when it alone is taken from the model."""
    errors: Mapping[str, float] | None = None
    """Where the logits' squared error comes from."""
    differ: tuple[implementing.Worst, ...] = ()
    """Inputs on which the explanation's logits are furthest off."""
    factor: float = np.nan
    """By which its logits, multiplied, come nearest to the model's; NaN where there are none."""
    corrected: float = np.nan
    """What E3 would then be, weights of its own apart."""
    cost: float = np.nan
    """What the worst of irrelevant pieces cost together: a share of what all cost."""
    refused: str = ""
    """Why it could not be held to this model at all."""


@dataclass(frozen=True, eq=False)
class Table:
    """An explanation and its controls."""

    own: Score
    controls: Mapping[str, Score]
    """By what they are: another, shuffled, empty, whole."""
    interchange: tuple[Interchanged, ...]
    rivals: Rivals

    @property
    def ranked(self) -> bool:
        """Whether its interval is above that of every control."""
        return all(self.own.quality.low > c.quality.high for c in self.controls.values())


def score(
    explanation: Explanation, problem: Problem, seed: int = 1000, effort: Effort = Effort()
) -> Score:
    """Test one explanation against its model on held-out inputs. Raises: SpecError or ModelError if
    it cannot be applied to the model."""
    program = Program(explanation, problem)
    tokens = problem.task.draw(seed, 0, effort.inputs, held_out=True)
    cut = ablation.ablated(program, tokens, seed)
    scrub = scrubbing.scrubbed(program, tokens, seed, effort.resamples)
    implementation = (
        implementing.implemented(program, tokens)
        if program.answers or explanation.weights
        else None
    )
    tried = (
        adversarial.tried(program, seed, effort.inputs, effort.candidates)
        if program.answers or explanation.fails is not None
        else None
    )
    short = 2.0 ** (-program.size / problem.size)
    e1 = row(PARTS[0], cut.terms, ablation.faithful)
    e2 = row(PARTS[1], scrub.terms, scrubbing.faithful)
    e2 = replace(e2, why=e2.why or scrub.short)
    e3 = (
        row(PARTS[2], implementation.terms, implementing.faithful)
        if implementation
        else Row(PARTS[2], 0, 0, 0, "it says nothing about the logits")
    )
    e4, counts = _fourth(tried)
    # Terms, not finished scores: quality is taken anew from resampled means of all of them at once,
    # since its parts share inputs and so vary together.
    factors: list[_Factor] = [(cut.terms, ablation.faithful), (scrub.terms, scrubbing.faithful)]
    factors += [(implementation.terms, implementing.faithful)] if implementation else []
    details = [
        row(f"E1 {f.__name__}", cut.terms, f)
        for f in (ablation.keep, ablation.remove, ablation.complete)
    ]
    details += [
        row("E2 recovered", scrub.terms, scrubbing.recovered),
        row("E2 of shuffled variables", scrub.terms, scrubbing.floor),
    ]
    read = scrub.distinguished
    details.append(Row("E2 values distinguished", read, read, read))
    if implementation:
        details += [row("E3 same answer", implementation.terms, itemgetter("agree"))]
    if tried and tried.terms and "random" in tried.terms:
        details += [
            row(f"E4 errors, {kind}", {kind: x}, itemgetter(kind))
            for kind, x in tried.terms.items()
        ]
    quality = _quality(factors, bool(implementation), e4 if counts else None, short)
    return Score(
        explanation.name,
        replace(quality, why=e1.why or quality.why),
        (e1, e2, e3, e4, Row(PARTS[4], short, short, short)),
        tuple(details),
        program.size,
        cut.worst,
        cut.apart,
        cut.alone,
        implementation.decomposition if implementation else None,
        implementation.worst if implementation else (),
        implementation.factor if implementation else np.nan,
        implementation.corrected if implementation else np.nan,
        cut.cost,
    )


def table(
    explanation: Explanation,
    other: Explanation,
    problem: Problem,
    seed: int = 1000,
    effort: Effort = Effort(),
) -> Table:
    """Score an explanation beside its four controls, exchange its variables, and count rivals;
    `other` is an explanation of something else."""
    main_score = score(explanation, problem, seed, effort)
    program = Program(explanation, problem)
    tokens = problem.task.draw(seed, 1, 3 * min(effort.inputs, 300), held_out=True)
    against = {
        "another": lambda: other,
        "shuffled": lambda: controls.shuffled(explanation, problem, seed),
        "empty": lambda: controls.empty(explanation),
        "whole": lambda: controls.whole(explanation, problem),
    }
    swapped = tuple(
        interchanged(program, v.name, tokens, seed)
        for v in explanation.variables
        if v.at and program.answers
    )
    scores = {
        kind: attempted(make, lambda e: score(e, problem, seed, effort))
        for kind, make in against.items()
    }
    return Table(main_score, scores, swapped, rivals(program, tokens, seed))


def attempted(make: Callable[[], Explanation], scored: Callable[[Explanation], Score]) -> Score:
    """Score a control; one that cannot even be held to the model has 0 in everything, and says
    why."""
    try:
        return scored(make())
    except AssayError as e:
        # A control is to fail; that it cannot even be tried is the plainest way to.
        nothing = tuple(Row(name, 0, 0, 0, "it does not fit the model") for name in PARTS)
        return Score("refused", Row("quality", 0, 0, 0), nothing, refused=str(e))


def _fourth(tried: adversarial.Tried | None) -> tuple[Row, bool]:
    """E4, and whether it counts."""
    if tried is None:
        return Row(PARTS[3], 0, 0, 0, "it foretells nothing"), True
    if not tried.terms:
        return Row(PARTS[3], np.nan, np.nan, np.nan, tried.why), False
    return replace(row(PARTS[3], tried.terms, adversarial.predicted), why=tried.why), True


def _quality(factors: list[_Factor], whole: bool, e4: Row | None, short: float) -> Row:
    """The least of the parts times how short it is; E4, of other inputs, with its estimate."""
    # One part is 0 whatever is resampled, and so is the least of them.
    if not whole or (e4 is not None and e4.estimate == 0):
        return Row("quality", 0, 0, 0)
    terms = {
        # Parts have terms of the same name, such as `full`.
        f"{i}.{name}": x
        for i, (factor_terms, _) in enumerate(factors)
        for name, x in factor_terms.items()
    }

    def quality(m: Means) -> np.ndarray:
        parts = [
            f({name: m[f"{i}.{name}"] for name in factor_terms})
            for i, (factor_terms, f) in enumerate(factors)
        ]
        return np.minimum(np.minimum.reduce(parts), 1.0 if e4 is None else e4.estimate) * short

    quality_row = row("quality", terms, quality)
    return (
        quality_row
        if np.isfinite(quality_row.estimate)
        else replace(quality_row, estimate=0.0, low=0.0, high=0.0)
    )  # and why


def row(
    name: str, terms: Mapping[str, np.ndarray], statistic: Callable[[Means], np.ndarray]
) -> Row:
    """Give a statistic of means over inputs that lies between 0 and 1, with its interval, which is
    cut off there; and why if undefined."""
    bounds = interval(terms, statistic)
    if not np.isfinite(bounds.estimate):
        return Row(name, np.nan, np.nan, np.nan, NOTHING)
    return Row(
        name,
        bounds.estimate,
        # Where there is no interval, its NaN falls through: by the order of their arguments min and
        # max give 0 below and 1 above, so that no interval counts as the widest.
        max(0.0, min(bounds.low, bounds.estimate)),
        min(1.0, max(bounds.high, bounds.estimate)),
    )
