"""Missing: what a study's author has not said: what cannot be done without, and what is taken in its place."""

from __future__ import annotations

from dataclasses import dataclass

from assay.core.errors import AssayError, ExperimentError, SpecError
from assay.core.reasons import GIVEN
from assay.core.spec import Spec
from assay.lab import catalogue
from assay.lab.preset import spelled
from assay.studies.text import Text

FRESH = 1_000_000
"""The first of the seeds that a study gets which names none: no entry of the catalogue is judged on these."""
SEVERAL = 6
"""Fewer units of a kind decide nothing."""


@dataclass(frozen=True)
class Missing:
    """Something that is not said."""

    where: str
    """The field, such as `claim 1: control`."""
    text: str
    """What to write, and where."""
    default: str | None
    """What is taken in its place; None where nothing can be."""
    each: bool = False
    """Whether it decides how many runs there are, so that what it costs can be told by the seed."""


def essential(text: Text) -> list[Missing]:
    """What has to be said before anything can run."""
    study, found = text.study, list[Missing]()
    if not study.question.strip():
        found.append(_lack(text, "question", 'write question = "…", in one sentence', "question"))
    if not study.experiment:
        found.append(_lack(text, "experiment", 'write [[experiment]] and name = "…"; assay list has the names', "experiment"))
    if not study.claim:
        found.append(_lack(text, "claim", 'write [[claim]] with text, holds and control, such as holds = "main.gamma > 0.98"', "claim"))
    for i, said in enumerate(study.claim):
        if not said.holds.strip():
            found.append(_lack(text, f"claim {i + 1}: holds", 'write holds = "…", a comparison such as "main.fvu < 0.2"', "claim", i))
        if not said.control:
            others = _arms(text)
            told = f"; arms that could stand for one: {', '.join(others)}" if others else ""
            found.append(_lack(text, f"claim {i + 1}: control", f'write control = ["…"], an arm for which it must fail{told}', "claim", i))
    return found


def assumed(text: Text) -> list[Missing]:
    """What may be left out, and what is taken in its place."""
    study, found = text.study, list[Missing]()
    if not study.seeds and any("seed" not in {*p.fields, *p.paired} for p in study.experiment):
        told = f"{FRESH}:{FRESH + len(seeds(text))}, which no entry of the catalogue is judged on"
        found.append(Missing("seeds", f'write seeds = "{FRESH}:{FRESH + SEVERAL}", say', told, each=True))
    if not study.budget:
        found.append(Missing("budget", 'write budget = "10m" to refuse what takes longer', "none: it takes what it takes"))
    of_claims = (
        ("threshold", 'write threshold = "plan: …", or "paper: …", "pilot: …"', f"{GIVEN}, so it is confirming"),
        ("near", 'write near = { ARM = "what it would explain" } for the strongest control', "no control is called near"),
        ("published", 'write published = { number = …, source = "…" }', "new: nobody prints this number"),
    )
    for i, said in enumerate(study.claim):
        silent = {"threshold": not said.threshold, "near": not said.near, "published": said.published == "new" and not said.source}
        found += [Missing(f"claim {i + 1}: {name}", how, default) for name, how, default in of_claims if silent[name]]
    return found


def seeds(text: Text) -> tuple[int, ...]:
    """The seeds of a study; where it names none, as many fresh ones as its first experiment has. Raises: ExperimentError."""
    said = text.study.seeds
    if said != "" and said != []:
        try:
            values = spelled(Spec(), "seed", list(said) if not isinstance(said, str) else said)
        except SpecError as e:
            raise ExperimentError(f"{text.at('seeds')}: {e}") from None
        return tuple(int(v) for v in values)
    part = text.study.experiment[0]
    try:
        count = len({s.seed for s in catalogue.find(part.name).preset(part.preset)})
    except AssayError:
        count = SEVERAL
    return tuple(range(FRESH, FRESH + max(count, SEVERAL)))


def _lack(text: Text, where: str, how: str, *at: str | int) -> Missing:
    return Missing(where, f"{text.at(*at)}: {where} is not said; {how}", None)


def _arms(text: Text) -> tuple[str, ...]:
    """The arms of the first experiment but main, where it can be found."""
    try:
        return tuple(name for name in catalogue.find(text.study.experiment[0].name).arms if name != "main")
    except (AssayError, IndexError):
        return ()
