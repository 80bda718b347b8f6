"""What is measured of a model that was trained on a problem: how often it is right, and what
explanations of it reach.

Beside our explanation of each model stand a plausible rival, one that is half right, and ours with
its variables at other parts; of every other model, the controls that hardly ever pass too: our
explanation of another model of the same problem, ours shuffled, an empty one, and the whole model
over again. The first of these needs a donor: another model, trained alike on a seed of its own. So
no two units share a model, and what is measured of one does not depend on which others are trained
beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np

from assay.core.bench import Bench
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.solving.solver import Monthly, Solver
from assay_catalogue.circuits.verify import controls, rivals
from assay_catalogue.circuits.verify.score import Effort, Score, attempted, score
from assay_catalogue.worlds.algorithms.task import has_answer

EVIDENCE = ("E1", "E2", "E3", "E4")
PARTS = (*EVIDENCE, "short")
OURS, RIVAL, HALF_RIGHT = "ours", "rival", "half-right"
ANOTHER, MOVED = "another", "moved"
EVERY_OTHER = (ANOTHER, "shuffled", "empty", "whole")
"""Controls that are scored of models with an even seed alone, and have no number for others."""
CONTROLS = (MOVED, *EVERY_OTHER)
DONOR = 1_000_000
"""A model's donor has its seed plus this."""


def explanations(monthly: Monthly) -> tuple[str, ...]:
    """Name all explanations that are scored: where those of all models name the same parts, that of
    another is no control, and there is nowhere to move ours to."""
    controls = [kind for kind in CONTROLS if not (monthly.same and kind in (ANOTHER, MOVED))]
    return (OURS, RIVAL, HALF_RIGHT, *controls)


def measuring(
    monthly: Monthly, which: tuple[str, ...]
) -> Callable[[Runs[Solver], Trained, Bench], xr.Dataset]:
    """Make the measure of an arm: how often its models are right, and what these explanations of
    them reach."""

    def measure(runs: Runs[Solver], trained: Trained, bench: Bench) -> xr.Dataset:
        s = runs.shared
        tensors = trained.to(
            "cpu"
        ).tensors  # explanations are held against small models, and in NumPy
        params = {name: tensors[name] for name in monthly.shape(s).parameters()}
        problems = [monthly.problem(s, params, i) for i in range(len(runs))]
        coords: dict[str, tuple] = {"position": tuple(range(problems[0].task.length))}
        values = _solved(runs, problems)
        if which:
            coords |= {"explanation": which, "part": PARTS}
            values |= _explained(monthly, runs, problems, which, bench)
        return measures(runs, coords=coords, **values)

    return measure


def _solved(runs: Runs[Solver], problems: list[Problem]) -> dict[str, tuple[str, np.ndarray, str]]:
    """How often answers are right at each position, and what chance the model gives them, each run
    on held-out inputs of its own seed.

    `known` is the share right where an answer can be known at all; `least` is the cross-entropy of
    the exact predictor where answers are drawn."""
    rows = []
    for spec, problem in zip(runs.specs, problems, strict=True):
        tokens = problem.task.draw(spec.seed, 0, spec.tested, held_out=True)
        logits = problem.logits(tokens)
        answers, chances = problem.answers(tokens)
        where = has_answer(answers.numpy())
        log_probs = problem.told(_tensor(logits), tokens).numpy()
        # Where answers are drawn the exact predictor says which of them can be known.
        best = logits if chances is None else np.log(np.maximum(chances.numpy(), 1e-300))
        sure = where & (problem.named(best) >= 0)
        missed = problem.missed(logits, tokens)
        n = where.sum(0)
        # Half an answer right and half wrong beside those counted: a share of exactly 1 is infinite
        # on the claims' scale, log(1 − share).
        right = np.where(n > 0, ((~missed & where).sum(0) + 0.5) / (n + 1), np.nan)
        chance = np.where(n > 0, (np.exp(log_probs) * where).sum(0) / n.clip(min=1), np.nan)
        wrong = (missed.any(1).sum() + 0.5) / (len(tokens) + 1)
        known = ((~missed & sure).sum() + 0.5) / (sure.sum() + 1)
        least = (
            0.0
            if problem.task.chances is None
            else _mean(-problem.told(_tensor(best), tokens).numpy(), where)
        )
        rows.append((right, chance, wrong, known, _mean(-log_probs, where), least))
    columns = [np.array(x) for x in zip(*rows, strict=True)]
    right, chance, *rest = columns
    of_runs = dict(zip(("wrong", "known", "nats", "least"), rest, strict=True))
    units = {"wrong": "share of inputs", "known": "share", "nats": "nats", "least": "nats"}
    return {
        "right": ("run position", right, "share"),
        "chance": ("run position", chance, "probability"),
        **{name: ("run", x, units[name]) for name, x in of_runs.items()},
    }


def _explained(
    monthly: Monthly,
    runs: Runs[Solver],
    problems: list[Problem],
    which: tuple[str, ...],
    bench: Bench,
) -> dict[str, tuple[str, np.ndarray, str]]:
    scores: list[dict[str, Score]] = []
    hosts = [spec for spec in runs.specs if _all(spec)] if ANOTHER in which else []
    donated = dict(zip(hosts, donors(monthly, Runs(hosts), bench) if hosts else [], strict=True))
    for i, (spec, problem) in enumerate(zip(runs.specs, problems, strict=True)):
        effort = Effort(inputs=spec.tried, resamples=spec.resamples, candidates=spec.candidates)
        # Worked out once, though several explanations are made of it; an exception is not cached,
        # and comes again where each is scored.
        ours = cache(partial(monthly.explanation, problem))
        ways = _ways(monthly, spec, problem, donated.get(spec, problem), ours)
        scores.append(
            {
                name: attempted(
                    ways[name], partial(score, problem=problem, seed=spec.seed, effort=effort)
                )
                for name in which
                if name not in EVERY_OTHER or _all(spec)
            }
        )
        bench.report(i + 1, len(problems), "models explained")

    def tabulate(measure: Callable[[Score], object], *shape: int) -> np.ndarray:
        missing = np.full(shape, math.nan)
        return np.array(
            [[measure(s[name]) if name in s else missing for name in which] for s in scores],
            dtype=np.float64,
        )

    return {
        "quality": ("run explanation", tabulate(lambda x: x.quality.estimate), "share"),
        "reached": (
            "run explanation part",
            tabulate(lambda x: [part.estimate for part in x.parts], len(PARTS)),
            "share",
        ),
        "failing": ("run", np.array([_failing(s[OURS]) for s in scores]), "share of inputs"),
        "written": ("run", np.array([float(s[OURS].size) for s in scores]), "names and numbers"),
    }


def _all(spec: Solver) -> bool:
    """Whether a model has all controls: by its seed, so that it does not matter which others are
    beside it."""
    return spec.seed % 2 == 0


def _ways(
    monthly: Monthly,
    spec: Solver,
    problem: Problem,
    donor: Problem,
    ours: Callable[[], Explanation],
) -> Mapping[str, Callable[[], Explanation]]:
    """Say how each explanation of a model is made."""
    return {
        OURS: ours,
        RIVAL: lambda: monthly.rival(problem),
        HALF_RIGHT: lambda: monthly.half_right(problem),
        ANOTHER: lambda: monthly.explanation(donor),
        MOVED: lambda: rivals.moved(ours(), problem, spec.seed),
        "shuffled": lambda: controls.shuffled(ours(), problem, spec.seed),
        "empty": lambda: controls.empty(ours()),
        "whole": lambda: controls.whole(ours(), problem),
    }


def donors(monthly: Monthly, runs: Runs[Solver], bench: Bench) -> list[Problem]:
    """Train another model for each of these: the same problem, the seed DONOR further on."""
    # So far on that no run of a study has it.
    its = Runs([spec.replace(seed=spec.seed + DONOR) for spec in runs.specs])
    trained = monthly.train(its, bench).to("cpu").tensors
    params = {name: trained[name] for name in monthly.shape(its.shared).parameters()}
    return [monthly.problem(its.shared, params, i) for i in range(len(its))]


def _failing(score: Score) -> float:
    """Errors on inputs that are said to fail; NaN where none are."""
    estimates = {row.name: row.estimate for row in score.details}
    return estimates.get("E4 errors, failing", math.nan)


def _mean(x: np.ndarray, where: np.ndarray) -> float:
    return float(x[where].mean())


def _tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x)
