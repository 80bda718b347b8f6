"""Checks of docs/exercises-explanations.md: ablation, stand-ins, an explanation in a file,
scrubbing, what each measure overlooks, one number.

The truth comes from circuits that are written by hand, from costs in closed form, and from encoded
activations that tell where they come from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from exercises.answers import NotYet, as_numbers, called, right, same
from jaxtyping import Float, Int

from assay.core.errors import AssayError
from assay.core.heavy import torch
from assay.train import rng
from assay_catalogue.circuits import known
from assay_catalogue.circuits.files import parsed
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import ablation, implementing, scrubbing
from assay_catalogue.subjects.parts import Part, parts
from assay_catalogue.worlds.algorithms.built.redundant import redundant

Numbers = Float[np.ndarray, "..."]
Tokens = Int[np.ndarray, "n s"]


@dataclass(frozen=True, eq=False)
class Model:
    """A small transformer that was written by hand, with what each of its parts writes to the
    stream."""

    problem: Problem

    @property
    def parts(self) -> tuple[str, ...]:
        """Its parts in the order of a pass: embed, pos, heads such as a0.1 (block 0, head 1), MLPs
        such as m0."""
        return tuple(map(str, parts(self.problem.params)))

    def inputs(self, n: int = 200) -> Tokens:
        """Draw inputs of its task."""
        return self.problem.task.draw(0, 0, n)

    def writes(self, tokens: Tokens) -> dict[str, Float[np.ndarray, "n s d"]]:
        """Give what each part writes on these inputs."""
        return {str(part): x[0].numpy() for part, x in self.problem.run(tokens).wrote.items()}

    def goodness(
        self, tokens: Tokens, instead: Mapping[str, Numbers] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Measure how good its answers are, where some parts write something else: the mean
        log-probability of the right ones, in nats.

        Instead of what a part writes, [n, s, d], or one for all inputs, [1, s, d].
        """

        def put(new: Numbers) -> Callable[[torch.Tensor], torch.Tensor]:
            return lambda x: (
                torch.from_numpy(np.ascontiguousarray(new, float)).to(x).expand(x.shape[1:])[None]
            )

        written = {Part.parse(name): put(new) for name, new in (instead or {}).items()}
        return self.problem.goodness(self.problem.logits(tokens, written=written), tokens)


@cache
def copying() -> Model:
    """Build a model that names the token one place back: two heads copy it, and an MLP needs one of
    the two copies.

    All numbers of its tokens lie 1 above what they need be, and its neurons' biases take that out
    again; so zeros are nothing usual in it."""
    problem, circuit = known.problem("redundant"), redundant()
    params = {name: x.clone() for name, x in circuit.params.items()}
    params["W_E"][..., : len(circuit.task.tokens)] += 1
    params["b_in"] -= 2
    return Model(replace(problem, params=params))


@cache
def hidden() -> Model:
    """Build a model that repeats a list by induction, of two blocks with two heads each; which of
    them do it is to be found out."""
    problem = known.problem("induction")
    params = {name: x.clone() for name, x in problem.params.items()}
    params["W_QKV"][:, 0] = params["W_QKV"][:, 0].flip(-2)
    params["W_O"][:, 0] = params["W_O"][:, 0].flip(-3)
    return Model(replace(problem, params=params))


# 1 ------------------------------------------------------------------------------------------------


def kept(answer: Callable[[Model, Tokens, Collection[str]], float]) -> None:
    """Check what is left where only named parts are kept, on two models. Raises: NotYet."""
    named_parts = {
        hidden(): (("embed", "pos", "a1.0"), ("embed", "pos", "a0.1", "a1.0")),
        copying(): (
            ("embed", "pos", "a0.0", "m0"),
            ("embed", "pos", "a0.0", "a0.1"),
            ("embed", "pos", "a0.0", "a0.1", "m0"),
        ),
    }
    cases: list[tuple[Model, tuple[str, ...]]] = [
        (model, x) for model, several in named_parts.items() for x in several
    ]
    shares = []
    for model, names in cases:
        tokens = model.inputs(60)
        due = _measure_share(model, tokens, names, "mean")

        def wrong(
            model: Model = model,
            tokens: Tokens = tokens,
            names: Sequence[str] = names,
            due: float = due,
        ) -> dict[str, float]:
            other_parts = [p for p in model.parts if p not in names]
            full, remaining_goodness = (
                model.goodness(tokens).mean(),
                _without(model, tokens, other_parts, "mean"),
            )
            return {
                "zeros stand in for what is not named; its mean over inputs is to": _measure_share(
                    model, tokens, names, "zero"
                ),
                "the mean is to be over inputs alone, each position its own": _measure_share(
                    model, tokens, names, "one"
                ),
                (
                    "this takes away what is named; it is to be kept, and the rest taken away"
                ): _measure_share(model, tokens, other_parts, "mean"),
                (
                    "that is goodness in nats; a share is due: 0 with every part ablated, 1 for "
                    "the whole"
                ): remaining_goodness,
                (
                    "the share is of what the whole has above nothing, (kept − none)/(full − none)"
                ): remaining_goodness / full,
                "that is the share that is lost": 1 - due,
            }

        same(
            called(answer, model, tokens, names),
            due,
            f"kept(…, {{{', '.join(names)}}})",
            wrong,
            1e-6,
        )
        shares.append(due)
    right(
        "kept",
        (
            f"The copying model with one head of two: {shares[2]:.2f}; without its neurons: "
            f"{shares[3]:.2f}"
        ),
    )


def _without(model: Model, tokens: Tokens, parts: Collection[str], how: str) -> float:
    """Give the goodness where parts give their mean over inputs, one mean for all positions, or
    zeros."""
    clean = model.writes(tokens)
    replacement = {
        "mean": lambda x: x.mean(0, keepdims=True),
        "zero": lambda x: 0 * x[:1],
        "one": lambda x: 0 * x[:1] + x.mean((0, 1)),
    }[how]
    return float(model.goodness(tokens, {p: replacement(clean[p]) for p in parts}).mean())


def _measure_share(model: Model, tokens: Tokens, names: Collection[str], how: str) -> float:
    nothing = _without(model, tokens, model.parts, how)
    return (_without(model, tokens, [p for p in model.parts if p not in names], how) - nothing) / (
        model.goodness(tokens).mean() - nothing
    )


# 2 ------------------------------------------------------------------------------------------------

Cost = Callable[[Collection[str]], float]


def stand_ins(answer: Callable[[Cost, Sequence[str]], list[tuple[str, str]]]) -> None:
    """Check which pairs of parts stand in for each other, on costs in closed form and on a model.
    Raises: NotYet."""

    def either(gone: Collection[str]) -> float:
        return float({"a", "b"} <= {*gone} or "c" in gone)

    def both(gone: Collection[str]) -> float:
        return float(bool({"a", "b"} & {*gone}))

    def added(gone: Collection[str]) -> float:
        return 0.6 * len({"a", "b", "c"} & {*gone})

    def partly(gone: Collection[str]) -> float:
        return 0.1 * len({"a", "b"} & {*gone}) + 0.7 * ({"a", "b"} <= {*gone}) + 0.2 * ("d" in gone)

    model = copying()
    tokens = model.inputs(
        1_000
    )  # of fewer, means are so uneven that wrong answers come out sure of themselves
    full, nothing = model.goodness(tokens).mean(), _without(model, tokens, model.parts, "mean")

    def real(gone: Collection[str]) -> float:
        return float((full - _without(model, tokens, gone, "mean")) / (full - nothing))

    four = ("a", "b", "c", "d")
    for name, cost, members, due in (
        ("a or b suffices, c is needed", either, four, [("a", "b")]),
        ("a and b are needed", both, four, []),
        ("costs add up", added, four, []),
        ("a and b, most of it", partly, four, [("a", "b")]),
        ("the copying model", real, model.parts, [("a0.0", "a0.1")]),
    ):
        pairs = list(itertools.combinations(members, 2))
        single = {p: cost([p]) for p in members}
        wrong = {
            (
                "parts that cost nothing alone may be idle; what tells is that both together cost "
                "something"
            ): [(p, q) for p, q in pairs if max(single[p], single[q]) < 0.5],
            "a pair may cost much because one of the two does: take off what each costs alone": [
                (p, q) for p, q in pairs if cost([p, q]) >= 0.5
            ],
            "take off both single costs, not the larger one alone": [
                (p, q) for p, q in pairs if cost([p, q]) - max(single[p], single[q]) >= 0.5
            ],
            "one of the two costing nothing is no sign": [
                (p, q) for p, q in pairs if min(single[p], single[q]) < 0.5
            ],
            (
                "pairs that cost less together than apart share one task, as two steps do; asked "
                "for are those that cost more"
            ): [(p, q) for p, q in pairs if single[p] + single[q] - cost([p, q]) >= 0.5],
        }
        result = called(answer, cost, members)
        try:
            answer_pairs = [tuple(map(str, pair)) for pair in result]
        except TypeError:
            raise NotYet(
                f"stand_ins: expected a list of pairs, got {type(result).__name__}"
            ) from None
        if {frozenset(x) for x in answer_pairs} == {frozenset(x) for x in due} and len(
            answer_pairs
        ) == len(due):
            continue
        words = next(
            (
                w
                for w, x in wrong.items()
                if {*map(frozenset, x)} == {*map(frozenset, answer_pairs)}
            ),
            f"got {answer_pairs}, expected {due}",
        )
        raise NotYet(f"stand_ins where {name}: {words}")
    single_cost, together = max(real(["a0.0"]), real(["a0.1"])), real(["a0.0", "a0.1"])
    right(
        "stand_ins",
        (
            f"Of the copying model's heads either alone costs {single_cost:.2f}, both cost "
            f"{together:.2f}"
        ),
    )


# 3 ------------------------------------------------------------------------------------------------


def explanation(answer: Callable[[], str]) -> None:
    """Check an explanation of the hidden induction circuit, written as TOML. Raises: NotYet."""
    scores = _scored(called(answer), hidden(), "explanation")
    if scores.keep < 0.95:
        raise NotYet(
            f"explanation: kept alone, what it names does {scores.keep:.2f} of the work; a "
            "part that does it is not named (E1)"
        )
    if scores.e1 < 0.95:
        gone = ", ".join(scores.apart) or "what it names"
        raise NotYet(
            f"explanation: E1 is {scores.e1:.2f}: without {gone} the model does not lose what "
            "it ought to"
        )
    if scores.e3 < 0.95:
        raise NotYet(
            f"explanation: E3 is {scores.e3:.2f}: its answer is the model's on "
            f"{scores.agree:.2f} of inputs; look at answer, is and margin"
        )
    if scores.e2 < 0.95:
        raise NotYet(
            f"explanation: E2 is {scores.e2:.2f}: what has one value of a variable cannot be "
            "exchanged; look at is, at and reads"
        )
    right(
        "explanation",
        (
            f"E1 {scores.e1:.2f}, E2 {scores.e2:.2f}, E3 {scores.e3:.2f}, quality "
            f"{scores.quality:.2f}, in {scores.size} names and numbers"
        ),
    )


@dataclass(frozen=True)
class _Scored:
    """What `assay score-circuit check` measures, without E4: no model here ever errs."""

    keep: float
    e1: float
    apart: tuple[str, ...]
    e2: float
    e3: float
    agree: float
    size: int
    quality: float
    program: Program


def _scored(text: Any, model: Model, what: str) -> _Scored:
    """Score an explanation in TOML against a model. Raises: NotYet where it is none, or does not
    fit."""
    if not isinstance(text, str):
        raise NotYet(f"{what}: expected the text of a TOML file, got {type(text).__name__}")
    try:
        program = Program(parsed(text.encode(), Path(what)), model.problem)
        tokens = model.problem.task.draw(1, 0, 60, held_out=True)
        cut, scrub = (
            ablation.ablated(program, tokens, 1),
            scrubbing.scrubbed(program, tokens, 1, 120),
        )
        implementation = (
            implementing.implemented(program, tokens).terms if program.answers else None
        )
    except AssayError as error:
        raise NotYet(str(error)) from None
    if implementation is None:
        raise NotYet(f"{what}: it has no answer, so it says nothing of the logits (E3)")
    ablated, scrubbed, own_terms = (
        {name: np.array(x.mean()) for name, x in terms.items()}
        for terms in (cut.terms, scrub.terms, implementation)
    )
    e1, e2, e3 = (
        float(ablation.faithful(ablated)),
        float(scrubbing.faithful(scrubbed)),
        float(implementing.faithful(own_terms)),
    )
    worth = min(e1, e2, e3) * 2 ** (-program.size / model.problem.size)
    return _Scored(
        float(ablation.keep(ablated)),
        e1,
        cut.apart,
        e2,
        e3,
        float(own_terms["agree"]),
        program.size,
        worth,
        program,
    )


# 4 ------------------------------------------------------------------------------------------------


def scrub(answer: Callable[[Numbers, Numbers, np.random.Generator], Numbers]) -> None:
    """Check causal scrubbing of one part, on activations that tell where they come from and on the
    copying model. Raises: NotYet."""
    generator = rng.generator(6, "exercises.scrub")
    n, s, rounds = 60, 5, 40
    values = generator.integers(4, size=(n, s)).astype(float)
    values[0] = 9.0  # nobody shares these
    rows, columns = np.indices((n, s))
    writes = np.stack([rows, columns], -1).astype(float)
    donors = np.empty((rounds, n, s), int)
    for i in range(rounds):
        activations = as_numbers(
            called(answer, writes, values, rng.generator(i, "exercises.donors")),
            writes.shape,
            "scrub",
        )
        donors[i] = _donors(activations, values)
    shared = donors[:, 1:]
    if (shared == rows[1:]).all():
        raise NotYet(
            "scrub: every input keeps what it wrote itself; others share its value and are to "
            "be drawn as well"
        )
    if (donors == donors[0]).all():
        raise NotYet(
            "scrub: every call draws the same inputs; draw them from the generator that is given"
        )
    if all(
        len({*round_donors[values[:, 0] == v, 0].tolist()}) == 1
        for round_donors in donors
        for v in range(4)
    ):
        raise NotYet(
            "scrub: all inputs of a value are given one and the same; draw for each input by itself"
        )
    most = max(
        float((shared[:, values[1:, t] == v, t] == d).mean()) * (values[:, t] == v).sum()
        for t in range(s)
        for v in range(4)
        for d in np.flatnonzero(values[:, t] == v)
    )
    if most > 3:
        raise NotYet(
            "scrub: some inputs are drawn far more often than others; each that shares the "
            "value is to be as likely"
        )
    right("scrub", _of_the_copies(answer))


def _donors(activations: Numbers, values: Numbers) -> Int[np.ndarray, "n s"]:
    """Read from encoded activations which input each comes from. Raises: NotYet where it is one
    that may not be."""
    who = activations[..., 0].round().astype(int).clip(0, len(values) - 1)
    t = np.arange(values.shape[1])
    if (activations[..., 0] != who).any():
        raise NotYet("scrub: activations are to be exchanged, not mixed or changed")
    if (activations[..., 1] != t).any():
        raise NotYet(
            "scrub: an activation is to be put in at the position where it stood, in another input"
        )
    if (values[who, t] != values).any():
        i, position = (int(x) for x in np.argwhere(values[who, t] != values)[0])
        whole = bool((who == who[:, :1]).all())
        why = (
            "this takes whole inputs that agree at one position; draw for each position by itself"
            if whole
            else "draw among those that share it"
        )
        raise NotYet(
            f"scrub: at input {i}, position {position} the value is {values[i, position]:g}, and "
            f"{values[who[i, position], position]:g} where it was drawn: {why}"
        )
    return who


def _of_the_copies(answer: Callable[..., Numbers]) -> str:
    """Scrub both copying heads by what they hold, and by what they do not, and tell what is left.
    Raises: NotYet."""
    model = copying()
    tokens = model.inputs(300)
    clean, full = model.writes(tokens), model.goodness(tokens).mean()
    before = np.concatenate([np.full((len(tokens), 1), -1), tokens[:, :-1]], 1).astype(float)

    def measure_lead(values: Numbers) -> float:
        heads = {
            h: called(answer, clean[h], values, rng.generator(i, "exercises.copies"))
            for i, h in enumerate(("a0.0", "a0.1"))
        }
        unread = -math.log(len(model.problem.task.answers))
        return float((model.goodness(tokens, heads).mean() - unread) / (full - unread))

    true, false = measure_lead(before), measure_lead(tokens.astype(float))
    if not (true > 0.99 and false < 0.5):
        raise NotYet(
            f"scrub: in the copying model {true:.2f} is left where heads are scrubbed by the "
            f"token before, {false:.2f} by the present one"
        )
    return (
        f"Scrubbed by the token before, the copying model keeps {true:.2f} of its lead over a "
        f"guess; by the present token {max(false, 0):.2f}"
    )


# 5 ------------------------------------------------------------------------------------------------


def mistaken(answer: Callable[[], str]) -> None:
    """Check an explanation that ablation and its own logits accept, and scrubbing refuses. Raises:
    NotYet."""
    scores = _scored(called(answer), copying(), "mistaken")
    e1, e2, e3, statement = scores.e1, scores.e2, scores.e3, scores.program.explanation
    if not any(v.at for v in statement.variables) or statement.matter:
        raise NotYet(
            "mistaken: it is to say what parts hold, by variables with a place each; `matter` "
            "says nothing that could be wrong"
        )
    if e1 < 0.95:
        raise NotYet(
            f"mistaken: E1 is {e1:.2f}, and is to accept it: name every part that matters, "
            "both copies among them"
        )
    if e3 < 0.95:
        raise NotYet(
            f"mistaken: E3 is {e3:.2f}, and is to accept it: the answer is to be the model's, "
            "by a wrong way"
        )
    if e2 > 0.2:
        raise NotYet(
            f"mistaken: E2 is {e2:.2f}, so scrubbing does not refuse it: what its variables "
            "hold is (nearly) true"
        )
    right("mistaken", f"E1 {e1:.2f}, E3 {e3:.2f}, but E2 {e2:.2f}: quality {scores.quality:.2f}")


# 6 ------------------------------------------------------------------------------------------------


def quality(answer: Callable[[list[float | None], int, int], float]) -> None:
    """Check that one number is made of four parts and a length, against worked values. Raises:
    NotYet."""
    for members, size, numbers, due in (
        ([1.0, 1.0, 1.0, 1.0], 1000, 1000, 0.5),
        ([1.0, 0.0, 1.0, 1.0], 10, 1000, 0.0),
        ([0.9, 0.5, 0.8, None], 100, 400, 0.5 * 2**-0.25),
        ([0.25, 1.0, 1.0, 0.25], 0, 1000, 0.25),
        ([1.0, 0.125, 1.0, None], 0, 10, 0.125),
    ):
        counted_parts = [p for p in members if p is not None]
        least, short = min(counted_parts), 2 ** (-size / numbers)
        wrong = {
            "an arithmetic mean lets a failed part be bought off; the least does not": sum(
                counted_parts
            )
            / len(counted_parts)
            * short,
            (
                "a geometric mean makes a lot of little: of parts .05, 1 and 1 it makes .37; take "
                "the least"
            ): math.prod(counted_parts) ** (1 / len(counted_parts)) * short,
            "a product counts what is weak again and again; take the least": math.prod(
                counted_parts
            )
            * short,
            "a part that does not count is left out; it is not 0": 0.0
            if None in members
            else math.nan,
            "how short it is is missing": least,
            "how short it is stands outside: it is no part": min(least, short),
            "how short it is is a power of 2, so that the model itself gets a half": least
            * math.exp(-size / numbers),
            "how short it is is 2^(−size/numbers), not 1 − size/numbers": least
            * (1 - size / numbers),
            "that is the best part; the weakest counts": max(counted_parts) * short,
        }
        what = f"quality({members}, {size}, {numbers})"
        same(called(answer, members, size, numbers), due, what, wrong, 1e-9)
    right(
        "quality",
        (
            "A table of the model itself, with all parts 1, gets a half; one part of 0 gets 0, "
            "however good the others are"
        ),
    )
