"""Find a small model by its name, and describe it part by part: what each part adds, what its
ablation costs, and where heads attend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.errors import Command, DataError, ModelError, nearest
from assay.core.plain import plain
from assay.lab import catalogue
from assay.lab.store.runs import Job
from assay.lab.store.store import Store
from assay.verbs.parts import AnswerPart, Table
from assay_catalogue.circuits import heads, known
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.files import load
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.solving.solver import Monthly
from assay_catalogue.worlds.algorithms.task import has_answer

FAMILY = "monthly-"
LOOKED = 200
"""Inputs on which right answers are counted."""
CLASSES, TEXT = 40, 300
"""How many classes are named, and how many letters of a text are printed."""
LOOKS = ("itself", "first", "before", "same token", "after the same")
"""Where a head may attend."""


@dataclass(frozen=True)
class Seen:
    """One part of a small model."""

    part: str
    direct: float
    """What it adds directly to the right answer's logit, minus the mean of the others."""
    alone: float | None
    """What ablating it costs, as a share of what ablating all parts costs."""
    joint: float | None
    """What ablating it costs after the one other part that makes it matter most is ablated."""
    partner: str
    """That other part; "" if it matters most alone."""
    looks: Mapping[str, float | None]
    """For a head: which share of its attention goes where."""
    asks: str
    finds: str
    share: float | None
    """For a head: the parts whose outputs, read by queries and by keys, distinguish keys most, and
    their share of the scores."""


@dataclass(frozen=True)
class Model:
    """A small model, part by part."""

    name: str
    model: str
    numbers: int
    task: str
    """The name of the task."""
    length: int
    """Tokens of an input."""
    asked: str
    """The positions at which an answer is read, in words; they are counted from 0."""
    classes: int
    called: tuple[str, ...]
    """The names of classes, counted from 0; if there are many, the first ones."""
    right: float
    """The share of its answers that are right."""
    parts: tuple[Seen, ...]
    left_out: tuple[str, ...]
    """What is left out, and why."""


def look(what: Path, root: Path) -> Model:
    """Describe the parts of a small model without scoring anything. The model is given by its name,
    an explanation of it, or a challenge's folder.

    Raises: DataError, SpecError or ModelError, in one line that names the place."""
    from assay_catalogue.circuits.challenge import folder

    if what.is_dir():
        return taken_apart(folder.opened(what), what.resolve().name)
    if what.suffix in (".toml", ".py"):
        explanation = load(what)
        problem = of_file(what, explanation, root).problem
        Program(explanation, problem)  # refuses one that does not fit
        return taken_apart(problem, explanation.of)
    return taken_apart(subject(str(what), root).problem, str(what))


def taken_apart(problem: Problem, name: str, seed: int = 0) -> Model:
    """Describe a model's task and what each of its parts contributes, on held-out inputs."""
    task, step, left_out = problem.task, heads.rows(problem), list[str]()
    listed: tuple[heads.Row, ...] = ()
    try:
        listed = heads.table(heads.against_averages(problem, seed), step)
    except DataError as e:
        left_out.append(f"the contributions of parts, because {e}.")
    if len(listed) > heads.PARTS:
        more, every = len(listed) - heads.PARTS, len(listed)
        left_out.append(f"{more:,} of {every:,} parts, those that cost least.")
    stream, n = (2, LOOKED) if step >= LOOKED else (0, heads.inputs(problem))
    held = task.draw(seed, stream, n, held_out=True)
    answers = task.answer(held)
    where = has_answer(answers)
    right = (problem.logits(held).argmax(-1) == answers) & where
    return Model(
        name=short(name or task.name, TEXT),
        model=built_of(problem),
        numbers=problem.size,
        task=short(task.name, TEXT),
        length=task.length,
        asked=short(positions_in_words(np.flatnonzero(where.any(0)).tolist()), TEXT),
        classes=problem.classes,
        called=tuple(short(x) for x in task.answers[: min(problem.classes, CLASSES)]),
        right=float(right.sum() / max(1, where.sum())),
        parts=tuple(
            Seen(
                r.part,
                r.direct,
                r.alone,
                r.joint,
                r.partner,
                {x.kind: known_or_none(x.share) for x in r.looks},
                r.asks,
                r.finds,
                r.share,
            )
            for r in (listed[i] for i in sorted(heads.costliest(listed)[: heads.PARTS]))
        ),
        left_out=tuple(left_out),
    )


def positions_in_words(positions: list[int]) -> str:
    """Write positions in words: 2 and 5 to 9."""
    runs: list[list[int]] = []
    for i in positions:
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    phrases = [str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs]
    return " and ".join(filter(None, [", ".join(phrases[:-1]), *phrases[-1:]]))


def built_of(problem: Problem) -> str:
    """Describe the architecture of a model."""
    p = problem.params
    _, layers, d, _, n, _ = p["W_QKV"].shape
    mlp = (
        f" and an MLP of {p['W_in'].shape[-1]:,} neurons ({problem.activation})"
        if "W_in" in p
        else ""
    )
    norm = "no norms" if "gain" not in p else "LayerNorm" if "bias" in p else "RMSNorm"
    places = "learned positions" if "W_pos" in p else "rotated queries and keys"
    return (
        f"{layers} block{'s'[: layers != 1]} of {n} head{'s'[: n != 1]}{mlp}; {d} directions, "
        f"{norm}, {places}"
    )


def short(text: str, most: int = 24) -> str:
    """Shorten a text from outside, with � in place of control characters."""
    whole = plain(text)
    return whole if len(whole) <= most else whole[: most - 1] + "…"


def words(model: Model) -> Iterator[AnswerPart]:
    """Report what each part of a model contributes, and where its heads attend."""
    yield (
        f"{model.name}: {model.model}; {model.numbers:,} parameters. {100 * model.right:.1f}% "
        "of its answers are right."
    )
    where = f"position{'s' if ' ' in model.asked else ''} {model.asked}"
    yield (
        f"The task is {model.task}: inputs have {model.length} tokens, and the answer is read "
        f"at {where}, counted from 0."
    )
    classes = ", ".join(f"{i} is {name}" for i, name in enumerate(model.called))
    more = " …" if model.classes > len(model.called) else ""
    yield f"It has {model.classes:,} classes: {classes}{more}."
    yield ""
    numbers = ("adds", "alone", "jointly", *LOOKS)
    rows = [
        (
            p.part,
            f"{p.direct:.2f}",
            share(p.alone),
            share(p.joint),
            *(share(p.looks[kind]) if p.looks else "" for kind in LOOKS),
            ""
            if p.share is None
            else f"{p.asks or 'biases'} × {p.finds or 'biases'} {share(p.share)}",
        )
        for p in model.parts
    ]
    yield Table(("part", *numbers, "asks × finds"), rows, right=numbers)
    yield ""
    yield (
        "Adds: what a part adds directly to the right answer's logit, minus the others' mean. "
        "Alone: what ablating it costs, as a share of what ablating all parts costs. Jointly: the "
        "same after ablating the one other part that makes it matter most. The other columns show "
        "where a head attends, as shares of its attention, and whose outputs it compares."
    )
    for why in model.left_out:
        yield f"Left out: {why}"


def share(value: float | None) -> str:
    """Write a share; a dash where there is none."""
    return "—" if value is None else f"{value:.2f}"


def known_or_none(value: float) -> float | None:
    """Return a number, or None if it is not finite."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Subject:
    """A model, and the explanations of it that are shipped."""

    problem: Problem
    rival: Callable[[], Explanation]
    """A plausible but wrong one; for a folder, an explanation of another model."""
    own: Callable[[], Explanation] | None = None
    """Our explanation, if there is one."""


def subject(model_name: str, root: Path, base_folder: Path = Path()) -> Subject:
    """Find the model of an explanation: `induction`, `monthly-palindromes`,
    `monthly-palindromes/22062`, or a folder next to its file.

    Raises: ModelError if there is no such model, with the command that trains it; DataError for a
    folder that cannot be opened."""
    if model_name in known.names():
        return Subject(
            known.problem(model_name),
            lambda: known.rival(model_name),
            lambda: known.explained(model_name),
        )
    name, _, seed = model_name.partition("/")
    if name in trained():
        return _trained(name, seed, root)
    if (base_folder / model_name).is_dir():
        return _folder(base_folder / model_name)
    raise ModelError(
        f"no circuit, trained model or folder is called {model_name!r}; "
        f"{nearest(model_name, [*known.names(), *trained()])}"
    )


def of_file(file: Path, explanation: Explanation, root: Path) -> Subject:
    """Find the model of the explanation in this file. Raises: as `subject`, in a line that names
    the file."""
    try:
        return subject(explanation.of, root, file.parent)
    except (DataError, ModelError) as e:
        raise type(e)(f"{file}: of: {e}") from None


def trained() -> tuple[str, ...]:
    """The entries of the catalogue whose models are explained."""
    return tuple(entry.name for entry in catalogue.entries() if entry.name.startswith(FAMILY))


def _job(name: str, seed: int | None) -> Job:
    """The run of a seed, by default of the first that is judged."""
    experiment = catalogue.find(name)
    spec = experiment.default[0]
    return Job(name, experiment.version, "main", spec if seed is None else spec.replace(seed=seed))


def _trained(name: str, seed: str, root: Path) -> Subject:
    """The stored model of a seed, by default of the first that is judged."""
    if seed and not seed.isdecimal():
        raise ModelError(f"{name}/{seed}: a seed has to follow the slash, as in {name}/22062")
    experiment = catalogue.find(name)
    monthly: Monthly = catalogue.load_module(experiment.origin).monthly
    job = _job(name, int(seed) if seed else None)
    spec: Any = job.spec
    judged = spec in experiment.default
    stored = Store(root).get(job.key, name)
    if stored is None or not stored.has_params:
        raise ModelError(
            f"no model of {name}{f' with seed {seed}' if seed else ''} is stored in {root}; "
            "train it with: ",
            Command(name, sets=() if judged else (f"seed={seed}",)),
        )
    problem = monthly.problem(spec, stored.trained().tensors)
    return Subject(problem, lambda: monthly.rival(problem), lambda: monthly.explanation(problem))


def _folder(folder: Path) -> Subject:
    """A model in the format of a challenge's folder, without its seal."""
    from assay_catalogue.circuits.challenge.folder import SEAL, opened

    if (folder / SEAL).exists():
        raise DataError(
            f"{folder} is a challenge; score an answer to it with: assay puzzle score "
            f"{folder} ANSWER.toml"
        )
    return Subject(opened(folder), lambda: known.explained("induction"))
