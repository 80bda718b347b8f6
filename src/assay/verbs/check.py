"""Check: a claim about what a function in the user's own file measures, with near controls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import structs

from assay.core import foreign
from assay.core.errors import DataError
from assay.core.expression import parse
from assay.core.results import Judged
from assay.report.statements import unexpected
from assay.verbs.parts import AnswerPart, Aside, Line, Table
from assay.verbs.verb import Answer, Bare, Expected, Flag, Flat, More, Several, verb

if TYPE_CHECKING:
    from assay.checking.result import Check

Numbers = Annotated[Path | None, Bare]
LARGEST = 2**30
"""Bytes of an array of numbers."""


@dataclass(frozen=True, kw_only=True)
class Credited:
    """What is credited."""

    vector: Numbers = None
    """What the claim is about: a vector in an .npy file."""
    acts: Annotated[Numbers, More] = None
    """Activations, [row, d], from which the vector is learned, with --labels; an .npy file."""
    labels: Annotated[Numbers, More] = None
    """A label for each row of --acts, of two kinds; an .npy file."""
    elsewhere: Annotated[Numbers, More] = None
    """The activations of the same rows at another layer, for the control layer."""
    around: Annotated[Numbers, More] = None
    """Activations that show which dimensions a random vector should fill."""
    heads: str = ""
    """What the claim is about: heads as LAYER.HEAD, separated by commas; needs --of."""
    neurons: Annotated[str, More] = ""
    """What the claim is about: neurons as LAYER.NEURON or numbers; needs --of."""
    latents: Annotated[str, More] = ""
    """What the claim is about: numbers of latents; needs --of."""
    layer: int | None = None
    """What the claim is about: a layer. Needs --others: other layers, or how many there are."""
    site: Annotated[str, More] = ""
    """What the claim is about: a site; needs --others."""
    position: Annotated[str, More] = ""
    """What the claim is about: a token's position; needs --others."""
    source: str = ""
    """What the claim is about: the source of a patch, a column of the prompts."""
    text: str = ""
    """What the claim is about: a prompt or a system text."""
    feature: Annotated[str, More] = ""
    """What the claim is about: a feature; needs --of."""
    edge: Annotated[str, More] = ""
    """What the claim is about: an edge as SOURCE.TARGET; needs --of."""
    of: str = ""
    """The pool from which controls are taken: a count, LAYERSxHEADS such as 12x12, or a
    comma-separated list."""
    norms: Annotated[Numbers, More] = None
    """A size for each member of the pool, by which controls are matched; an .npy file."""
    rates: Annotated[Numbers, More] = None
    """How often each member of the pool is active, by which controls are matched; an .npy file."""
    others: str = ""
    """Other layers, sites or positions, separated by commas."""
    other_text: Annotated[Several, More] = ()
    """Another text, cut or repeated to the length of --text."""
    paraphrase: Annotated[Several, More] = ()
    """Another wording of --text."""

    def read(self) -> dict[str, Any]:
        """Read what is credited, as the arguments of `assay.check`. Raises: DataError."""
        pairs = bool(self.heads or self.neurons or self.edge)
        arrays = {name: getattr(self, name) for name in ("norms", "rates", "around")}
        return {
            "vector": self._vector(),
            "heads": _items(self.heads, pairs=True),
            "neurons": _items(self.neurons, pairs=True),
            "latents": _items(self.latents),
            "layer": self.layer,
            "site": self.site or None,
            "position": _one(self.position),
            "source": self.source or None,
            "text": self.text or None,
            "feature": _one(self.feature),
            "edge": None if not self.edge else _items(self.edge, pairs=True)[0],
            "of": _pool(self.of, pairs=pairs),
            "others": list(self.other_text) or _others(self.others),
            "paraphrases": list(self.paraphrase) or None,
            **{n: None if path is None else _array(path) for n, path in arrays.items()},
        }

    def _vector(self) -> Any:
        """Read the vector, or learn it from activations and labels; None where neither is given."""
        from assay.checking.credited import direction

        if self.acts is None and self.labels is None:
            if self.elsewhere is not None:
                raise DataError("--elsewhere needs --acts and --labels, which the vector is from")
            return None if self.vector is None else _array(self.vector)
        if self.acts is None or self.labels is None or self.vector is not None:
            raise DataError("a vector is read from --vector, or learned from --acts and --labels")
        apart = None if self.elsewhere is None else _array(self.elsewhere)
        return direction(_array(self.acts), _array(self.labels), elsewhere=apart)


def _array(path: Path) -> np.ndarray:
    """The numbers in an .npy file. Raises: DataError."""
    try:
        return np.asarray(np.load(foreign.regular(path, "an .npy file", LARGEST)))
    except (ValueError, EOFError) as e:
        raise DataError(f"{path} is not an .npy file of numbers: {e}") from e


def _one(text: str) -> Any:
    if not text:
        return None
    return int(text) if text.lstrip("-").isdecimal() else text


def _items(text: str, *, pairs: bool = False) -> Any:
    """What is listed with commas: numbers, LAYER.NUMBER pairs, or names; None of nothing."""
    if not text:
        return None
    parts = [part.strip() for part in text.split(",")]
    if pairs and all("." in p and p.replace(".", "", 1).isdecimal() for p in parts):
        return [tuple(map(int, p.split("."))) for p in parts]
    return [_one(p) for p in parts]


def _pool(text: str, *, pairs: bool) -> Any:
    count, cross, each = text.partition("x")
    if cross and count.isdecimal() and each.isdecimal():
        return (int(count), int(each))
    return int(text) if text.isdecimal() else _items(text, pairs=pairs)


def _others(text: str) -> Any:
    return int(text) if text.isdecimal() else _items(text)


NOTHING = Credited()


@verb("the verdict on a claim about what your function measures")
def check(
    function: str,
    /,
    *,
    prompts: Path | None = None,
    holds: str = "",
    sentence: str = "",
    credited: Annotated[Credited, Flat] = NOTHING,
    also: Annotated[str, More] = "",
    control: Annotated[Several, More] = (),
    draws: Annotated[int, More] = 4,
    unit: Annotated[Several, More] = (),
    bounds: Annotated[tuple[float, float] | None, Bare, More] = None,
    fresh: Annotated[Flag, More] = False,
    no_ledger: Annotated[Flag, More] = False,
    save: Annotated[Path | None, More] = None,
    expect: Expected = None,
) -> Answer[Judged]:
    """Judge a claim about what your own function measures, in any library. Assay calls the function
    with the thing that the claim is about, without it, and with controls.

    Parameters
    ----------
    function
        FILE.py:NAME of a function (thing, prompts) that returns a number for each prompt. It is
        called with what the claim is about, with None, and with each control. The file is run as
        a program.
    prompts
        A CSV, JSONL or text file of prompts.
    holds
        The condition, such as `effect > 0.3`, where `effect` is the number that your function
        returns with the thing that the claim is about, minus the number without it.
    sentence
        The claim in words; by default the condition.
    also
        A function in the same file for another task of the model, for the control damage.
    control
        Only these controls.
    draws
        How many draws of each random control.
    unit
        A column of the prompts over which the claim generalises.
    bounds
        The least and the greatest value for one unit.
    fresh
        Call the function again even if its result is kept from an earlier call.
    no_ledger
        Do not record that this claim was tried on these prompts; the output says so.
    save
        A file to write the numbers and the verdict to, such as refusal.assay.

    Examples
    --------
    printf '%s\\n' 5 11 2 8 12 1 9 4 7 3 10 6 > p.txt
    echo 'f = lambda w, ps: [int(p) * (1 + (w == "be loud")) for p in ps]' > h.py
    assay check h.py:f --text 'be loud' --prompts p.txt --holds 'effect > 3'
    """
    from assay.ask.measure import own_code
    from assay.checking.check import check as checked
    from assay.checking.prompts import Given

    if not own_code.is_written(function):
        raise DataError(
            f"assay check judges a function of your own, as FILE.py:NAME, got {function!r}; to "
            f"compare a record or a bundle with what is stored: assay verify {function}"
        )
    if prompts is None or not holds.strip():
        lacking = "--prompts FILE" if prompts is None else "--holds 'effect > 0.3'"
        raise DataError(f"check needs {lacking}; assay check --help has an example")
    _, given, things = parse(holds), Given.read(prompts), credited.read()
    module, name = own_code.module_of(function)  # last, because it may load a model
    own = own_code.named(module, name, function)
    result = checked(
        sentence or holds,
        own,
        prompts=given.value,
        holds=holds,
        **things,
        also=None if not also else own_code.named(module, also, function),
        controls=list(control) or None,
        draws=draws,
        unit=unit,
        bounds=bounds,
        cache=not fresh,
        ledger=not no_ledger,
    )
    if save is not None:
        result.save(save)
    other = unexpected([result.judged], expect)
    verdict = structs.replace(result.judged, notes=(*result.judged.notes, *result.notes))
    return Answer(verdict, [*words(result), *map(Aside, other)], int(bool(other)))


def words(result: Check) -> list[AnswerPart]:
    """Report the outcome with its number, a row for each control, and what is to be noted."""
    from assay.checking.result import HEADS

    head, number, *_ = repr(result).split("\n")
    rows = [result.row(name) for name in result.controls]
    table = Table(HEADS, rows, wide={HEADS[-1]: 1})
    notes = (f"note: {remark}" for remark in result.remarks)
    return [Line(head), Line(number), table, *notes, *result.reach]
