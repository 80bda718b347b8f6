"""Verb: a function that can be typed, what it answers, as a result and in words, what it may ask of
the door where it was typed, and the options that verbs share: a store, an experiment with its
preset, an executor."""

from __future__ import annotations

import functools
import inspect
import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, Protocol, TypeVar

from cyclopts import Group, Parameter

from assay.lab import catalogue
from assay.verbs.parts import AnswerPart

if TYPE_CHECKING:
    from assay.core.experiment import Experiment
    from assay.lab.lab import Lab
    from assay.lab.plan.preset import Preset

# the options that verbs share ---------------------------------------------------------------------


Bare = Parameter(
    negative="", show_default=False
)  # no --no-… and --empty-… twins, no [default: False]
Flat = Parameter(name="*")  # the fields of a dataclass as options, each by its own name
MORE = Group("More options", sort_key=50)
"""Options that --help leaves out and --help-all shows."""
More = Parameter(group=MORE)
About = Parameter(group=Group("What the claim is about (give one)", sort_key=10))
Flag = Annotated[bool, Bare]


def _refuse_option(type_: Any, value: str) -> None:
    """Refuse the next option as a formula. Raises: ValueError."""
    if value.startswith("--"):
        raise ValueError(f"needs a value, got the option {value}")


Formula = Annotated[str, Parameter(allow_leading_hyphen=True, validator=_refuse_option)]
"""A claim or a quantity, which may begin with a minus sign."""
Several = Annotated[tuple[str, ...], Bare]
Name = Annotated[
    str,
    Parameter(
        help="The name of an experiment (`assay list`), or the path of a study (.toml or .md) or "
        "of an experiment (.py)."
    ),
]
Outcome = Literal["holds", "fails", "unspecific", "undecided"]
Expected = Annotated[
    Outcome | None, Parameter(help="Exit with 1 unless every claim has this outcome.")
]
Device = Annotated[str, Parameter(help="Where the model runs: cpu, cuda, cuda:1.")]
A_MODEL = "smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch)"
A_TEXT = "stdlib (Python code), docs (English docstrings), or a folder of text files"
Model = Annotated[str, Parameter(help=f"{A_MODEL}.")]
Text = Annotated[str, Parameter(help=f"{A_TEXT}.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """How a verb prints."""

    json: Flag = False
    """Print one JSON object on standard output, and progress on standard error."""
    schema: Annotated[Flag, More] = False
    """Print the JSON schema of that object, and run nothing."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How a text is read; what is not given comes from each dictionary's own file."""

    context: Annotated[int | None, More] = None
    """Tokens in a window, including a BOS; 128 if the file does not say."""
    bos: Annotated[bool | None, More] = None
    """Whether each window starts with the model's BOS token. By default as in the dictionary's
    file, or as the model's tokenizer does."""
    skip_first: Annotated[int, More] = 1
    """Positions at the start of each window that are left out."""
    outlier: Annotated[float, More] = 6.0
    """Activations longer than this many times the median are left out too; 0: none."""
    part: Annotated[Literal["auto", "all", "train", "validation", "test"], More] = "auto"
    """The part of the text; files are split by the hash of their path. auto: the test part if the
    dictionary was trained on this text, otherwise all."""
    site_out: Annotated[str, More] = ""
    """The site that a transcoder reconstructs."""
    dtype: Annotated[Literal["float32", "bfloat16"], More] = "float32"
    """The number format in which the model computes."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Place:
    """Where results are kept."""

    root: Annotated[Path, Parameter(env_var="ASSAY_ROOT")] = Path("assay-store")
    """The store: the folder in which runs and results are kept."""

    @property
    def options(self) -> str:
        """What to type after a verb to use the same store, with a space before it; "" where it is
        the usual one."""
        usual = Path(os.environ.get("ASSAY_ROOT") or "assay-store")
        return "" if self.root == usual else f" --root {shlex.quote(str(self.root))}"

    def lab(self) -> Lab:
        """Make a lab on the store, for reading."""
        from assay.lab.engines import Inline
        from assay.lab.lab import Lab

        return Lab(self.root, Inline())


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which runs are meant."""

    preset: str = "default"
    """smoke takes seconds and only checks that everything works; default takes minutes on two
    cores. Some experiments have others, such as docs, the same claims on another text."""
    set: Several = ()
    """field=value: change a field. The result is stored next to the default one. Repeatable. Some
    fields take several values (penalty=0.1,0.3) or a range (seed=1000:1016); assay list NAME shows
    the fields."""
    each: Annotated[Flag, More] = False
    """Judge each claim of a study by itself. By default, if several claims ask for the same
    quantity along a sweep, their intervals hold for all of them at once."""

    def of(self, name: str) -> tuple[Experiment, Preset]:
        """Find the experiment of this name or file, and its preset with the fields that were
        set."""
        from assay.lab.plan.preset import override

        experiment = catalogue.find(name)
        if self.each:
            from assay.lab.judge import families

            experiment = families.each(experiment)
        preset = override(experiment, self.preset, self.set)
        return experiment.sized(preset.specs), preset

    def another(self, name: str, preset: str, sets: Sequence[str]) -> tuple[Experiment, Preset]:
        """Find the same of another preset, with other fields set."""
        return replace(self, preset=preset, set=tuple(sets)).of(name)


HERE, DEFAULT = Place(), Choice()
"""What verbs go by where nothing was typed."""


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
    """Whether a user can be asked."""

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
        """Print a line in addition to the answer."""

    def asks(self, question: str) -> bool:
        """Ask the user for yes or no."""

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
    """Make a function a verb: it takes the function's options, except a `door`, and `--json`.

    `results` gives the type of its results, where the function's annotation does not, since that
    would load much.
    """

    def decorate(function: Callable[..., Answer[Any]]) -> Callable[..., Call]:
        @functools.wraps(function)
        def call(*args: Any, output: Output = Output(), **kwargs: Any) -> Call:
            def begin(door: Door) -> Answer[Any]:
                place = signature.bind_partial(*args, **kwargs).arguments.get("place", HERE)
                catalogue.STORE.set(place.root)
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
