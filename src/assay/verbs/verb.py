"""Verb: a function that can be typed, with what it answers, as a result and as words, lines and
tables, which a door gives colours and widths; and what it may ask of the door."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from assay.core.compute import Range
from assay.core.results import ResultData
from assay.verbs.options import Output

Result = TypeVar("Result", covariant=True)


@dataclass(frozen=True)
class Shaded:
    """A text in parts, each shaded by a share from 0 to 1: how strongly something is on there."""

    parts: Sequence[str]
    shares: Sequence[float]


Cell: TypeAlias = str | tuple[str, str] | Shaded | Sequence["Cell"]
"""What stands in a table: a text; one with what comes after it and matters less; or several, below
each other."""


@dataclass(frozen=True)
class Line:
    """A line that is copied or read by programs, such as a path: it is never broken."""

    text: str


@dataclass(frozen=True)
class Aside:
    """A line beside the answer, for whoever watches."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows below the names of columns."""

    columns: Sequence[str]
    rows: Iterable[Sequence[Cell]]
    right: Sequence[str] = ()
    """Columns of numbers, by name."""
    wide: Mapping[str, int] = field(default_factory=dict)
    """Columns that share the room which the others leave, each with its share."""
    narrow: Mapping[str, int] = field(default_factory=dict)
    """Columns that are broken after so many characters."""
    headless: bool = False
    """Whether the names of columns are left out."""


@dataclass(frozen=True)
class InFull:
    """The statements of a result, with all that is known of each."""

    data: ResultData


AnswerPart: TypeAlias = str | Line | Aside | Table | ResultData | InFull
"""A part of an answer: a sentence, which may be broken into lines, a line, a table, or verdicts."""


@dataclass(frozen=True)
class Answer(Generic[Result]):
    """What a verb answers: a result, which is printed as JSON, the same in words, and an exit
    code."""

    result: Result | None
    """What is printed as JSON; None where it was answered before, or nothing was done."""
    words: Iterable[AnswerPart] = ()
    code: int = 0


class Door(Protocol):
    """Where a verb was typed, for what cannot wait until it has answered."""

    json: bool
    """Whether answers are read by a program."""
    attended: bool
    """Whether somebody can be asked."""

    @property
    def width(self) -> int:
        """Characters in a line."""

    def bar(self, name: str, unit: str) -> Any:
        """Begin a bar, called with (done, total); `say` prints a line above it."""

    def stages(self, name: str) -> Any:
        """Begin a bar for each stage of an index, called with (stage, done, total)."""

    def measuring(self) -> Any:
        """Begin the bar of an evaluation; `watch` takes what is known before its end."""

    def run(self, name: str) -> AbstractContextManager[Any]:
        """Begin to show the events of a run."""

    def aside(self, text: str) -> None:
        """Print a line beside the answer."""

    def asks(self, question: str) -> bool:
        """Ask whoever is there for yes or no."""

    def answer(self, answer: Answer[Any]) -> None:
        """Print an answer before the verb ends."""

    def speaking(self) -> AbstractContextManager[Any]:
        """Leave standard output to a protocol that is spoken on it."""

    def open(self, address: str) -> None:
        """Show a page in the browser."""


@dataclass(frozen=True)
class Call:
    """A verb with what was typed for it, not yet begun."""

    begin: Callable[[Door], Answer[Any]]
    json: bool


@dataclass(frozen=True)
class Described:
    """What a verb answers, by which function, and the JSON schema of its result."""

    answers: str
    function: Callable[..., Answer[Any]]
    results: Callable[[], Any] | None = None
    """Gives the type of results, where the function's annotation does not have it."""


def verb(
    answers: str, results: Callable[[], Any] | None = None
) -> Callable[[Callable[..., Answer[Any]]], Callable[..., Call]]:
    """Make a function a verb: it takes what the function takes, but for a `door`, and `--json`.

    `results` gives the type of its results; it stands in the function's annotation, unless that
    would load much.
    """

    def decorate(function: Callable[..., Answer[Any]]) -> Callable[..., Call]:
        @functools.wraps(function)
        def call(*args: Any, output: Output = Output(), **kwargs: Any) -> Call:  # noqa: B008
            def begin(door: Door) -> Answer[Any]:
                return function(*args, **kwargs, **({"door": door} if asks_door else {}))

            return Call(begin, output.json)

        signature = inspect.signature(function, eval_str=True)
        typed = [p for p in signature.parameters.values() if p.name != "door"]
        asks_door = len(typed) < len(signature.parameters)
        how = inspect.Parameter(
            "output", inspect.Parameter.KEYWORD_ONLY, default=Output(), annotation=Output
        )
        call.__signature__ = signature.replace(parameters=[*typed, how])  # type: ignore[attr-defined]
        call.described = Described(answers, function, results)  # type: ignore[attr-defined]
        return call

    return decorate


def duration(seconds: float) -> str:
    """Write a time as it is read aloud: `8 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def lasting(seconds: Range) -> str:
    """Write the middle of a range of times as people say it, in the digits that an estimate has:
    minutes to tens of seconds, from ten minutes on whole ones."""
    about = seconds.middle
    step = 1 if about < 60 else 10 if about < 600 else 60
    return f"about {duration(round(about / step) * step)}"


def megabytes(count: float) -> str:
    """Write a number of bytes in MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def batch(arms: Sequence[str], seeds: str) -> str:
    """Name what trains together so that two batches can be told apart: "main, relu and 3 more (seed
    1001)"."""
    names = ", ".join(arms) if len(arms) <= 3 else f"{', '.join(arms[:2])} and {len(arms) - 2} more"
    return f"{names} ({seeds})" if seeds else names
