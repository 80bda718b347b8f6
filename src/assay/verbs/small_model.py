"""A small model taken apart: what each of its parts adds and costs, and where heads look; as
numbers, and as a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from assay.lab.store import atomic
from assay.verbs.options import writable_file
from assay.verbs.words import Part, Table

LOOKS = ("itself", "first", "before", "same token", "after the same")
"""Where a head may look."""


@dataclass(frozen=True)
class Seen:
    """One part of a small model."""

    part: str
    direct: float
    """What it adds to the right answer's logit, less the mean of the others, through no later
    part."""
    alone: float | None
    """What its absence costs, as a share of what the absence of all costs."""
    joint: float | None
    """What it costs once the one other part is gone that makes it matter most."""
    partner: str
    """That other part; "" where it matters most alone."""
    looks: Mapping[str, float | None]
    """Of a head: which share of its attention goes where."""
    asks: str
    finds: str
    share: float | None
    """Of a head: whose writing tells keys apart most, read by queries and by keys, and which share
    of it that is."""


@dataclass(frozen=True)
class Model:
    """A small model taken apart."""

    name: str
    model: str
    numbers: int
    task: str
    """What the task is called."""
    length: int
    """Tokens of an input."""
    asked: str
    """At which of its positions an answer is asked for, in words; they are counted from 0."""
    classes: int
    called: tuple[str, ...]
    """The names of classes, counted from 0; of very many the first."""
    right: float
    """Share of its answers that are right."""
    parts: tuple[Seen, ...]
    left_out: tuple[str, ...]
    """What is not told, and why."""
    page: Path | None
    """The page that was written."""


def look(what: Path, root: Path, page: Path | None = None) -> Model:
    """Take a small model apart without scoring anything: by its name, an explanation's, or that of
    a challenge's folder.

    Raises: DataError, SpecError or ModelError, one line that names the place; AssayError where the
    page cannot be written."""
    from assay.circuits.challenge import folder
    from assay.circuits.files import load
    from assay.circuits.picture.contents import take
    from assay.verbs.explained import of_file, subject

    writable_page(page)
    explanation, spoiler = None, False
    if what.is_dir():
        problem, name = folder.opened(what), what.resolve().name
    elif what.suffix in (".toml", ".py"):
        explanation = load(what)
        problem, name = of_file(what, explanation, root).problem, explanation.of
    else:
        name = str(what)
        model_subject = subject(name, root)
        problem, explanation = (
            model_subject.problem,
            model_subject.own() if model_subject.own else None,
        )
        spoiler = explanation is not None
    picture = take(problem, explanation, name=name)
    if page is not None:
        from assay.explorer import circuit

        write(page, circuit.render_standalone(picture, spoiler=spoiler))
    parts = tuple(
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
        for r in picture.parts
    )
    return Model(
        picture.name,
        picture.model,
        picture.size,
        picture.task,
        picture.length,
        picture.asked,
        picture.classes,
        picture.called,
        picture.right,
        parts,
        picture.left_out,
        page,
    )


def words(model: Model) -> Iterator[Part]:
    """Tell what each part of a model is worth, and where its heads look."""
    yield (
        f"{model.name}: {model.model}; {model.numbers:,} numbers. {100 * model.right:.1f} % "
        "of its answers are right."
    )
    where = f"position{'s' if ' ' in model.asked else ''} {model.asked}"
    yield (
        f"The task is {model.task}: inputs of {model.length} tokens, an answer is asked for "
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
        "Adds: to the right answer's logit, less the mean of the others, by itself. Alone, "
        "jointly: what its absence costs, as a share of what the absence of all costs; jointly, "
        "once the one other part is gone that makes it matter most. Then where a head looks, as "
        "shares of its attention, and whose writing it compares."
    )
    for why in model.left_out:
        yield f"Not told: {why}"
    page = f"The page is {model.page}." if model.page else ""
    yield page or "With --page NAME.html there is a page of it."


def share(value: float | None) -> str:
    """Write a share; a dash where there is none."""
    return "—" if value is None else f"{value:.2f}"


def writable_page(page: Path | None) -> None:
    """Refuse a page that cannot be written, before anything is computed. Raises: AssayError."""
    if page is not None:
        writable_file(page.absolute(), "--page")


def write(page: Path, html: str) -> None:
    """Write a page, whole or not at all."""
    page.absolute().parent.mkdir(parents=True, exist_ok=True)
    atomic.write(page, html.encode("utf-8", "replace"))


def known_or_none(value: float) -> float | None:
    """Give a number back, and None for one that is not finite."""
    return value if math.isfinite(value) else None
