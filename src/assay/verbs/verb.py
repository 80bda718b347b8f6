"""Verb: a function that can be typed, what it answers, as a result and in words, and what it may
ask of the door where it was typed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from assay.verbs.options import Output
from assay.verbs.parts import AnswerPart

Result = TypeVar("Result", covariant=True)


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
