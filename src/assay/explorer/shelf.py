"""Shelf: small models of which there are pages, by name; each is computed when a page asks, and
kept for a while."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from assay.circuits import known
from assay.circuits.explanation import Explanation
from assay.circuits.files import load
from assay.circuits.picture.contents import Picture, scored, take
from assay.circuits.problem import Problem
from assay.circuits.verify.score import Effort, table
from assay.core.errors import AssayError
from assay.explorer.problems import UNKNOWN
from assay.explorer.problems import Problem as NoPage

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
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise AssayError(f"{path.name} cannot be read: {error.strerror}") from error
