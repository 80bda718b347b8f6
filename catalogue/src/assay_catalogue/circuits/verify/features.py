"""Features: directions that an explanation names at one place, with when each is on, held to those
that were planted there.

Formula: quality = least of recovery, activity, causal use and implementation · 2^(−size/numbers in
the model). Named and planted features are matched one to one by |cosine|; what is left over on
either side counts 0. Recovery is the mean matched cosine on a scale from that of as many random
directions, 0, to 1. Activity is the mean F1. Causal use: the direction is put out, and the change
of the logits is held to the one foretold with the variable at 0, as 2 Σ a·b / Σ (a² + b²).
Implementation is E3."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core import rng
from assay.core.errors import ModelError, SpecError
from assay.core.heavy import torch
from assay.core.intervals import Means
from assay.dictionaries.measuring.recovery import cosines, matching, mcc, mcc_chance, mcc_matched
from assay_catalogue.circuits.explanation import Explanation, Place, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import controls, implementing
from assay_catalogue.circuits.verify.chance import share
from assay_catalogue.circuits.verify.rivals import Rivals
from assay_catalogue.circuits.verify.score import Effort, Row, Score, Table, attempted, row
from assay_catalogue.subjects.parts import Part
from assay_catalogue.worlds.algorithms.task import has_answer

PARTS = ("recovery", "activity", "causal use", "E3 implementation", "short")
MOST = 64
"""Most features of one answer."""
FULLY = Effort()


@dataclass(frozen=True, eq=False)
class Known:
    """What was planted."""

    site: Part
    """Where the features are."""
    rows: Float[np.ndarray, "n d"]
    """Their directions in the stream."""
    on: Callable[[Int[np.ndarray, "b s"]], Bool[np.ndarray, "b s n"]]
    """Where they are on."""
    room: int
    """Dimensions that they and their decoys share."""


@dataclass(frozen=True, eq=False)
class Named:
    """An explanation's features."""

    program: Program
    """All it says but where: values and logits."""
    names: tuple[str, ...]
    rows: Float[np.ndarray, "f d"]
    size: int
    """Names and numbers that it takes to write it down."""

    @classmethod
    def of(cls, explanation: Explanation, problem: Problem, site: Part) -> Named:
        """Read the features that are named. Raises: SpecError or ModelError, one line that names
        the place."""
        places_by_name = {v.name: v.at for v in explanation.variables if v.at}
        d = problem.params["W_E"].shape[-1]
        for name, places in places_by_name.items():
            plain = Place(site, along=places[0].along)
            if len(places) > 1 or places[0] != plain or len(plain.along) != 1:
                raise SpecError(
                    f"{explanation.source}: variable {name}: a feature is one direction at one "
                    f'place, at = "{site}" and along = [[…]] with {d} '
                    f"numbers, got {' and '.join(map(str, places))}"
                )
            if not np.isfinite(plain.along).all():
                raise SpecError(
                    f"{explanation.source}: variable {name}: a direction has numbers that are "
                    "not finite"
                )
            try:
                plain.check(problem.params, problem.task.length)
            except ModelError as e:
                raise ModelError(f"{explanation.source}: variable {name}: {e}") from None
        if len(places_by_name) > MOST:
            raise SpecError(
                f"{explanation.source}: it names {len(places_by_name)} features; at most "
                f"{MOST} are scored"
            )
        if explanation.matter or explanation.weights:
            raise SpecError(
                f"{explanation.source}: it has {'matter' if explanation.matter else 'weights'}; "
                "an answer about features has none"
            )
        # Without places: whether a direction holds its variable is judged here, and not by the
        # rules for circuits.
        program = Program(
            dataclasses.replace(
                explanation,
                variables=tuple(
                    dataclasses.replace(v, at=(), reads=None) for v in explanation.variables
                ),
            ),
            problem,
        )
        rows = np.array([places[0].along[0] for places in places_by_name.values()]).reshape(-1, d)
        return cls(
            program,
            tuple(places_by_name),
            rows,
            program.size + len(places_by_name) * (1 + d) * (explanation.size is None),
        )


def score(
    explanation: Explanation,
    problem: Problem,
    known: Known,
    seed: int = 1000,
    effort: Effort = FULLY,
) -> Score:
    """Hold features to those that were planted, on inputs that nothing was made from. Raises:
    SpecError or ModelError where it does not fit."""
    candidate = Named.of(explanation, problem, known.site)
    tokens = problem.task.draw(seed, 0, effort.inputs, held_out=True)
    n, f = len(known.rows), len(candidate.rows)
    # One to one, or one good direction could be named for every planted one.
    match = matching(known.rows, candidate.rows, one_to_one=True) if f else np.full(n, -1)
    pairs = [(i, int(k)) for i, k in enumerate(match) if k >= 0]
    # A mean over the larger number: features missed and features made up both count 0.
    most = max(n, f)
    cosine = float(mcc_matched(known.rows, candidate.rows)) * n / most if f else 0.0
    # Random directions in the dimensions that there are to guess in: the fewer these are, the
    # nearer one comes by luck.
    chance = mcc_chance(n, f, known.room, measure=mcc_matched)[0] * n / most if f else 0.0
    recovery = float(share(np.subtract(cosine, chance), np.subtract(1, chance)))
    on = _activity(candidate, known, pairs, tokens)
    used = _use(candidate, known, pairs, tokens)
    implementation = (
        implementing.implemented(candidate.program, tokens) if candidate.program.answers else None
    )
    activity, use = (
        partial(_mean, one=statistic, over=most, pairs=len(pairs))
        for statistic in (_f1, _agreement)
    )
    short = 2.0 ** (-candidate.size / problem.size)
    e3 = (
        row(PARTS[3], implementation.terms, implementing.faithful)
        if implementation
        else Row(PARTS[3], 0, 0, 0, "it says nothing about the logits")
    )
    rows = (
        Row(PARTS[0], recovery, recovery, recovery),
        row(PARTS[1], on, activity) if pairs else _nothing(PARTS[1]),
        row(PARTS[2], used, use) if pairs else _nothing(PARTS[2]),
        e3,
        Row(PARTS[4], short, short, short),
    )

    def quality(m: Means) -> np.ndarray:
        return (
            # Recovery is a number of directions alone: inputs do not vary it, so that it has no
            # part in the interval but as a bound.
            np.minimum(np.minimum.reduce([activity(m), use(m), implementing.faithful(m)]), recovery)
            * short
        )

    whole = (
        row("quality", {**on, **used, **implementation.terms}, quality)
        if pairs and implementation
        else Row("quality", 0, 0, 0)
    )
    details = _details(known, candidate, pairs, on, used, cosine, chance)
    return Score(
        explanation.name,
        whole,
        rows,
        details,
        candidate.size,
        errors=implementation.decomposition if implementation else None,
        differ=implementation.worst if implementation else (),
        factor=implementation.factor if implementation else np.nan,
        mended=implementation.mended if implementation else np.nan,
    )


def table(
    explanation: Explanation,
    other: Explanation,
    problem: Problem,
    known: Known,
    seed: int = 1000,
    effort: Effort = FULLY,
) -> Table:
    """Score features beside five controls; `other` is an explanation that sounds as good."""
    main_score = score(explanation, problem, known, seed, effort)
    against = {
        "another": lambda: other,
        "shuffled": lambda: shuffled(explanation, problem, known, seed),
        "empty": lambda: controls.empty(explanation),
        "random": lambda: at_random(explanation, known, seed),
        "tokens": lambda: by_token(problem, known, seed),
    }
    scored = {
        kind: attempted(make, lambda e: score(e, problem, known, seed, effort), PARTS)
        for kind, make in against.items()
    }
    return Table(main_score, scored, (), Rivals(0, 0, 0, 0))


def shuffled(explanation: Explanation, problem: Problem, known: Known, seed: int) -> Explanation:
    """Let each direction be another feature's, and all that is said be said of other inputs."""
    # Before places are taken off: the control is to count as long as what it was made from.
    size = Named.of(explanation, problem, known.site).size
    bare = dataclasses.replace(
        explanation,
        variables=tuple(dataclasses.replace(v, at=(), reads=None) for v in explanation.variables),
    )
    mixed = controls.shuffled(bare, problem, seed)
    indices = [i for i, v in enumerate(explanation.variables) if v.at]
    places = dict(
        zip(
            indices,
            # By one place round: no feature keeps its own, as a random order might let it.
            [explanation.variables[i].at for i in [*indices[1:], *indices[:1]]],
            strict=True,
        )
    )
    variables = tuple(
        dataclasses.replace(v, at=places.get(i, ())) for i, v in enumerate(mixed.variables)
    )
    return dataclasses.replace(mixed, variables=variables, size=size)


def at_random(explanation: Explanation, known: Known, seed: int) -> Explanation:
    """Keep all that is said, and put each direction anywhere among the planted ones' dimensions."""
    generator = rng.generator(seed, "circuits.features.random")

    def put(place: Place) -> Place:
        return dataclasses.replace(
            place,
            along=(tuple(map(float, generator.standard_normal(len(known.rows)) @ known.rows)),),
        )

    variables = tuple(
        dataclasses.replace(v, at=tuple(map(put, v.at))) for v in explanation.variables
    )
    return dataclasses.replace(
        explanation, name=f"{explanation.name}, along random directions", variables=variables
    )


def by_token(problem: Problem, known: Known, seed: int) -> Explanation:
    """Name single tokens in place of features: what is written at a token less what is at others,
    of as many tokens as features were planted.

    Only what lies in the planted features' dimensions is taken, which flatters it: whoever does not
    know them has what distracts as well."""
    tokens = problem.task.draw(seed, 0, 1000)
    asked_for = has_answer(problem.task.answer(tokens))
    run = problem.run(tokens)
    wrote, logits, token = (
        run.wrote[known.site][0].numpy()[asked_for],
        run.logits[0].double().numpy()[asked_for],
        tokens[asked_for],
    )
    # X⁺X is the orthogonal projection on the span of the rows, which need be neither orthogonal nor
    # of length 1.
    wrote = wrote @ np.linalg.pinv(known.rows) @ known.rows
    unique_tokens = np.unique(token)
    differ = np.array(
        [wrote[token == t].mean(0) - wrote[token != t].mean(0) for t in unique_tokens]
    )
    chosen = np.argsort(-np.linalg.norm(differ, axis=1))[: len(known.rows)]
    inputs = np.column_stack([np.ones(len(token)), *(token == unique_tokens[i] for i in chosen)])
    # The best that its tokens can say of the logits, so that it fails by what it names and not for
    # want of a fit.
    weights = np.linalg.lstsq(inputs, logits, rcond=None)[0]

    def single(i: int) -> Variable:
        return Variable(
            f"token{unique_tokens[i]}",
            f"token == {unique_tokens[i]}",
            (Place(known.site, along=(tuple(map(float, differ[i])),)),),
        )

    variables = tuple(map(single, chosen))
    rules = tuple(
        " + ".join(
            [f"{c[0]:.4g}", *(f"{x:.4g} * {v.name}" for x, v in zip(c[1:], variables, strict=True))]
        )
        for c in weights.T
    )
    return Explanation(
        of="challenge",
        name="a feature for each of the tokens that differ most",
        variables=variables,
        logits=rules,
    )


def _activity(
    candidate: Named, known: Known, pairs: list[tuple[int, int]], tokens: Int[np.ndarray, "b s"]
) -> dict[str, Float[np.ndarray, " b"]]:
    """Of each pair, at how many places both are on, and each of them, input by input."""
    where = has_answer(candidate.program.problem.task.answer(tokens))
    truly, values = known.on(tokens), candidate.program.values(tokens)
    out: dict[str, np.ndarray] = {}
    for j, (i, k) in enumerate(pairs):
        true, predicted = truly[..., i] & where, (values[candidate.names[k]] > 0) & where
        out |= {
            f"{j}.f1.both": (true & predicted).sum(1) * 1.0,
            f"{j}.f1.all": true.sum(1) + predicted.sum(1) * 1.0,
        }
    return out


def _use(
    candidate: Named, known: Known, pairs: list[tuple[int, int]], tokens: Int[np.ndarray, "b s"]
) -> dict[str, Float[np.ndarray, " b"]]:
    """Of each pair, how the logits change when its direction is put out, and how they were foretold
    to, as sums over places."""
    program, problem = candidate.program, candidate.program.problem
    if not program.answers:
        # So that each pair counts 0, and every other part of the score is still given.
        return {
            f"{j}.use.{x}": np.zeros(len(tokens))
            for j in range(len(pairs))
            for x in ("both", "all")
        }
    where = has_answer(problem.task.answer(tokens))
    clean = problem.run(tokens)
    before, program_logits, values = (
        clean.logits[0].double().numpy(),
        program.logits(tokens),
        program.values(tokens),
    )
    out: dict[str, np.ndarray] = {}
    for j, (_, k) in enumerate(pairs):
        name = candidate.names[k]
        # Of length 1, since whoever names a direction need not know its scale.
        line = torch.from_numpy(candidate.rows[k] / np.linalg.norm(candidate.rows[k])).to(
            clean.wrote[known.site]
        )
        projections = (clean.wrote[known.site][0] @ line).numpy()
        off = where & (values[name] <= 0)
        # Put out is what the direction reads where the variable is off, not 0: other features and
        # biases leave something along it.
        rest = float(projections[off].mean()) if off.any() else 0.0

        def put_out(x: torch.Tensor, line: torch.Tensor = line, rest: float = rest) -> torch.Tensor:
            return x - ((x @ line) - rest)[..., None] * line

        changed = (
            _centred(problem.logits(tokens, written={known.site: put_out}) - before)
            * where[..., None]
        )
        foretold = (
            _centred(program.logits(tokens, {name: np.zeros(tokens.shape)}) - program_logits)
            * where[..., None]
        )
        out |= {
            # 2ab/(a² + b²) is 1 only for a = b: unlike a correlation it minds the size of the
            # change.
            f"{j}.use.both": 2 * (changed * foretold).sum((1, 2)),
            f"{j}.use.all": (changed**2 + foretold**2).sum((1, 2)),
        }
    return out


def _f1(m: Means, j: int) -> np.ndarray:
    return _over(2 * m[f"{j}.f1.both"], m[f"{j}.f1.all"])


def _agreement(m: Means, j: int) -> np.ndarray:
    return _over(m[f"{j}.use.both"], m[f"{j}.use.all"])


def _over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A ratio from 0 to 1; 0 where there is nothing."""
    b = np.asarray(b, dtype=np.float64)
    return np.clip(np.divide(a, b, out=np.zeros_like(b), where=b > 0), 0, 1)


def _mean(m: Means, one: Callable[[Means, int], np.ndarray], over: int, pairs: int) -> np.ndarray:
    """The mean over pairs, where what was left unmatched counts 0."""
    return np.sum([one(m, j) for j in range(pairs)], axis=0) / over


def _details(
    known: Known,
    candidate: Named,
    pairs: list[tuple[int, int]],
    on: Mapping[str, np.ndarray],
    used: Mapping[str, np.ndarray],
    cosine: float,
    chance: float,
) -> tuple[Row, ...]:
    """How alike directions are before chance is taken away, and each pair by itself."""
    n, f = len(known.rows), len(candidate.rows)
    largest = float(mcc(known.rows, candidate.rows)) if f else 0.0
    rows = [
        Row("features", f, f, f, f"{f} named, {n} planted"),
        Row("matched cosine", cosine, cosine, cosine),
        Row("matched cosine of random directions", chance, chance, chance),
        Row("largest cosine (MMCS)", largest, largest, largest),
    ]
    cosine_table = abs(np.asarray(cosines(known.rows, candidate.rows))) if f else np.zeros((n, 0))
    means = {name: x.mean() for name, x in {**on, **used}.items()}
    for j, (i, k) in enumerate(pairs):
        note = (
            f"cosine {cosine_table[i, k]:.3f}, F1 {float(_f1(means, j)):.3f}, used as foretold "
            f"{float(_agreement(means, j)):.3f}"
        )
        rows.append(
            Row(
                candidate.names[k], cosine_table[i, k], cosine_table[i, k], cosine_table[i, k], note
            )
        )
    return tuple(rows)


def _nothing(name: str) -> Row:
    return Row(name, 0, 0, 0, "no feature is named")


def _centred(x: Float[np.ndarray, "b s c"]) -> Float[np.ndarray, "b s c"]:
    return x - x.mean(-1, keepdims=True)
