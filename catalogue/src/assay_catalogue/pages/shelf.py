"""Shelf: small models of which there are pages, by name; each is computed when a page asks, and
kept for a while."""

from __future__ import annotations

import functools
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from assay.explorer.problems import UNKNOWN
from assay.explorer.problems import Problem as NoPage
from assay_catalogue.circuits import known
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.files import load
from assay_catalogue.circuits.picture.contents import Picture, scored, take
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.verify.score import Effort, table
from assay_catalogue.pages import small_model

EFFORT: Mapping[str, int] = {"inputs": 150, "resamples": 300, "candidates": 5_000}
"""On how much an explanation is tried where a browser waits for it."""
KEPT = 16


@dataclass(frozen=True)
class Subject:
    """A small model that has a page."""

    name: str
    of: str
    """Where it comes from, in a few words."""
    make: Callable[[], tuple[Problem, Explanation | None, Explanation | None]]
    """Gives the model, its explanation, and one that sounds as good."""
    state: Hashable = None
    """What changes when it does."""
    ours: bool = False
    """Whether the explanation is ours, which whoever practises does not want to see unasked."""


def built() -> tuple[Subject, ...]:
    """List the circuits whose weights were written by hand."""
    return tuple(
        Subject(name, "weights written by hand", partial(_built, name), ours=True)
        for name in known.names()
    )


def explained(folder: Path) -> tuple[Subject, ...]:
    """List the explanations of a folder: its TOML files, which are data; Python files are code, and
    not run here."""
    paths = (p for p in sorted(folder.glob("*.toml")) if re.fullmatch(r"[\w-][\w.-]*", p.stem))
    return tuple(
        Subject(f"file-{p.stem}", p.name, partial(_explained, p), _changed(p)) for p in paths
    )


def trained(root: Path) -> Callable[[], tuple[Subject, ...]]:
    """Give what lists the models of monthly problems that a store holds, which explanations name as
    `monthly-palindromes/22062`."""
    subject_cache: dict[tuple[Any, ...], tuple[Subject, ...]] = {}

    def load_problem(name: str) -> tuple[Problem, Explanation | None, Explanation | None]:
        subject = small_model.subject(name, root)
        return subject.problem, subject.own() if subject.own else None, subject.rival()

    def listed() -> tuple[Subject, ...]:
        state = tuple(
            (str(p), _changed(p)) for p in sorted((root / "runs").glob(f"{small_model.FAMILY}*"))
        )
        if (
            state not in subject_cache
        ):  # which fields a model has to have is known to its experiment alone
            names = small_model.stored(root).items()
            subject_cache.clear()
            subject_cache[state] = tuple(
                Subject(
                    name.replace("/", "-"),
                    f"trained: {name.replace('/', ', seed ')}",
                    partial(load_problem, name),
                    key,
                    ours=True,
                )
                for name, key in names
            )
        return subject_cache[state]

    return listed


class Shelf:
    """The small models of one server."""

    def __init__(self, subjects: Callable[[], Sequence[Subject]] = built):
        self.subjects = subjects
        self._kept: OrderedDict[Hashable, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def picture(self, name: str, *, score: bool = False) -> Picture:
        """Give the picture of a model, with the scores of its explanation where that is asked for.

        Raises: the explorer's Problem for a name that is not there; AssayError for an explanation
        that cannot be read or does not fit."""
        subject = next((s for s in self.subjects() if s.name == name), None)
        if subject is None:
            raise NoPage(UNKNOWN, f"there is no small model {name[:60]!r}")
        key = (subject.name, subject.state)
        with self._lock:
            picture = self._kept.get((*key, True)) or self._kept.get((*key, score))
            if picture is not None:
                return picture
            problem, explanation, rival = subject.make()
            plain = self._kept.get((*key, False)) or take(problem, explanation, name=subject.name)
            self._keep((*key, False), plain)
            if not score or explanation is None or rival is None:
                return plain
            picture = scored(plain, table(explanation, rival, problem, effort=Effort(**EFFORT)))
            self._keep((*key, True), picture)
            return picture

    def _keep(self, key: Hashable, picture: Picture) -> None:
        self._kept[key] = picture
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)


def _built(name: str) -> tuple[Problem, Explanation, Explanation]:
    return known.problem(name), known.explained(name), known.rival(name)


def _explained(path: Path) -> tuple[Problem, Explanation, Explanation]:
    explanation = load(path)
    return known.problem(explanation.of), explanation, known.rival(explanation.of)


def _changed(path: Path) -> int:
    """Give when a file was last written, in nanoseconds; 0 where it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@functools.cache
def shelf(root: Path) -> Shelf:
    """Give the small models of a store: those built by hand, those of its monthly problems, and the
    explanations in the folder `explanations/` next to it."""
    models = trained(root)
    return Shelf(lambda: (*built(), *models(), *explained(root.resolve().parent / "explanations")))
