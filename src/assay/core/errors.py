"""Everything that goes wrong because of what a user gave us, each as one line of advice.

AssayError                 exit code 2 unless said otherwise
├── SpecError              a field that does not exist, has the wrong type or an impossible value
│   └── HeldError          a field that arms set, or several values where arms make others of one
├── ExperimentError        no such experiment, arm or preset; a file that is no experiment
├── ClaimError             a statement that cannot be judged: unknown term, lost units, control that
compares itself ├── DataError              a table, text folder or activation file that cannot be
used ├── ModelError             a model that is missing, broken, or lacks the site asked for
├── StoreError             a store that is newer, damaged, read-only or full
│   └── DamageError        bytes of the store that are not as they were written
├── EngineError            Ray or SLURM is missing, refuses, or does not answer
└── RunError               training crashed or diverged beyond the limit; exit code 3
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

from assay import errors


@dataclass(frozen=True)
class Argument:
    """An argument that an error names: `--control NAME` where it is typed, `control: ["NAME"]`
    where a program sends it."""

    name: str
    value: str | tuple[str, ...] = ""
    """The value that would be right; a tuple where a request has a list."""
    option: str = ""
    """Where the option has another name: --set of `sets`."""

    def __str__(self) -> str:
        values = [self.value] if isinstance(self.value, str) else self.value
        option = self.option or f"--{self.name.replace('_', '-')}"
        return " ".join(filter(None, (option, *values)))

    def request(self) -> str:
        """Write it as a request has it."""
        return f"{self.name}: {json.dumps(self.value)}" if self.value else self.name


@dataclass(frozen=True)
class Command:
    """A run that would fix an error: `assay run NAME --set steps=10` where it is typed."""

    experiment: str
    preset: str = "default"
    sets: tuple[str, ...] = ()

    def __str__(self) -> str:
        preset = [] if self.preset == "default" else ["--preset", self.preset]
        sets = [word for text in self.sets for word in ("--set", shlex.quote(text))]
        return " ".join(["assay run", self.experiment, *preset, *sets])

    def request(self) -> str:
        """Write it as a request has it."""
        given = {"experiment": self.experiment, "preset": self.preset, "sets": list(self.sets)}
        named = (f"{k}={json.dumps(v)}" for k, v in given.items() if v not in ("default", []))
        return f"run({', '.join(named)})"


@dataclass(frozen=True)
class Operator:
    """Advice for the person who runs the program, of no use to clients of a server."""

    advice: str

    def __str__(self) -> str:
        """Write it as it is typed, with the sign that parts it from what is wrong."""
        return self.advice

    def request(self) -> str:
        """Write it for a program that asked."""
        return f"; for the operator of the server: {self.advice.lstrip(':;,. ')}"


Piece = str | Argument | Command | Operator


class AssayError(errors.AssayError):
    """Base of all errors that a user can cause or fix; `exit_code` is what the command line ends
    with. Each is also one of `assay.errors`, so that who catches that one catches both.

    It is data until a door writes it: what is wrong as text, and between that what mends it, as
    values that are typed one way and sent another way."""

    exit_code = 2
    others: tuple[str, ...] = ()
    """Further mistakes that were seen at once, a line each."""

    def __init__(self, *pieces: Piece):
        Exception.__init__(self, *pieces)

    def __str__(self) -> str:
        """Write it for users who type commands; invisible characters are spelled out."""
        return visible("".join(map(str, self.args)))

    def request(self) -> str:
        """Write it for a program that sends requests."""
        return visible("".join(p.request() if hasattr(p, "request") else str(p) for p in self.args))


def request_of(error: errors.AssayError) -> str:
    """Write an error for a program that sends requests, whichever of the two kinds it is."""
    return error.request() if isinstance(error, AssayError) else str(error)


def visible(text: str) -> str:
    """Write characters that cannot be seen, or look like a space, as <U+FEFF>; line ends and tabs
    stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"<U+{ord(c):04X}>" for c in text)


@contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """Raise what the body raises with other words in the place of these, such as the folder of a
    store, which is nothing to who asks from elsewhere."""
    try:
        yield
    except AssayError as error:
        error.args = tuple(_renamed(piece, names) for piece in error.args)
        error.others = tuple(substitute(line, names) for line in error.others)
        raise


def _renamed(piece: Piece, names: Mapping[str, str]) -> Piece:
    if isinstance(piece, Command):
        return replace(piece, experiment=str(_renamed(piece.experiment, names)))
    if isinstance(piece, Operator):
        return Operator(str(_renamed(piece.advice, names)))
    return substitute(piece, names) if isinstance(piece, str) else piece


def substitute(text: str, names: Mapping[str, str]) -> str:
    """Put other words in the place of these, the longest first."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, names[name])
    return text


class SpecError(AssayError, errors.SpecError):
    """A spec field is unknown, of the wrong type, or has an impossible value."""


class HeldError(SpecError):
    """A field was set, or given several values, that arms set or make others of."""

    def __init__(self, message: str, field: str = "", values: int = 1) -> None:
        super().__init__(message)
        self.field, self.values = field, values


class ExperimentError(AssayError):
    """An experiment, arm or preset does not exist, or its file is not an experiment."""


class ClaimError(AssayError, errors.ClaimError):
    """A statement cannot be judged on the measures it was given."""


class DataError(AssayError, errors.DataError):
    """A table, text folder or activation file cannot be used."""


class ModelError(AssayError, errors.ModelError):
    """A model is missing or broken, or lacks the site asked for."""


class StoreError(AssayError, errors.StoreError):
    """The store cannot be read or written as it is."""


class DamageError(StoreError):
    """Bytes in a folder of the store are not as they were written; `folder` can be built again."""

    def __init__(self, folder: Path, why: str):
        super().__init__(
            why,
            Operator(
                "; `assay doctor --clean` removes what is damaged, and the same command builds it "
                "again"
            ),
        )
        self.folder, self.why = folder, why


class EngineError(AssayError):
    """Ray or SLURM is missing, refuses, or does not answer."""


class RunError(AssayError, errors.RunError):
    """Training crashed, or more runs diverged than a verdict allows."""

    exit_code = 3


MANY = 60
"""So many names are listed at most: all experiments, arms and fields that there are, but not a
million columns."""


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of an error sentence: the closest known name, or a list of them when none is close,
    of the first where they are very many."""
    words = sorted(names)
    near = (
        [n for n in words if abs(len(n) - len(name)) <= len(name)] if len(words) > MANY else words
    )
    # of three letters one that is wrong is a third
    cutoff = 0.5 if len(name) <= 3 else 0.65
    close = get_close_matches(name, near[: 100 * MANY], n=1, cutoff=cutoff)
    more = f" … ({len(words):,} in all)" if len(words) > MANY else ""
    return (
        f"did you mean {close[0]}?"
        if close
        else f"known: {', '.join(words[:MANY]) or 'none'}{more}"
    )


def nearest_beside(path: Path, ends: tuple[str, ...] = ("",)) -> str:
    """The path in the same folder whose name, extension apart, is closest to one that does not
    exist, as a question; of those with one of these ends. "" when none is close."""
    try:
        others = sorted(p.name for p in path.parent.iterdir() if p.name[:1] != "." and p != path)
    except OSError:
        return ""
    names = [name for name in others if name.endswith(ends)]
    # of equal stems, the one whose whole name is closest
    names.sort(key=lambda name: SequenceMatcher(None, name, path.name).ratio())
    stems = {Path(name).stem: name for name in names}
    close = get_close_matches(path.stem, stems, n=1, cutoff=0.75)
    return f"did you mean {path.parent / stems[close[0]]}?" if close else ""
