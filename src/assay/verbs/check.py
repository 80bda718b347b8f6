"""Check: a claim about what a function in the user's own file measures, with near controls."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import structs

from assay.core.errors import DataError, every
from assay.core.expression import parse
from assay.core.foreign import purpose
from assay.core.results import Judged
from assay.report.statements import unexpected, with_flags
from assay.verbs.credited import Credited, refuse_python
from assay.verbs.parts import AnswerPart, Aside, Line
from assay.verbs.verb import Answer, Bare, Expected, Flag, Flat, Formula, More, Several, verb

if TYPE_CHECKING:
    from assay.checking.result import Check

NOTHING = Credited()


@verb("the verdict on a claim about what your function measures")
def check(
    function: str,
    /,
    *,
    prompts: Path | None = None,
    holds: Formula = "",
    sentence: str = "",
    credited: Annotated[Credited, Flat] = NOTHING,
    also: Annotated[str, More] = "",
    control: Annotated[Several, More] = (),
    draws: Annotated[int | None, More] = None,
    unit: Annotated[Several, More] = (),
    fixed: Annotated[Several, More] = (),
    bounds: Annotated[tuple[float, float] | None, Bare, More] = None,
    scope: Annotated[str, More] = "",
    measured_in: Annotated[str, More] = "",
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
        How many draws of each random control; by default 4, 12 where these leave it open, or all
        others of a small pool.
    unit
        A column of the prompts over which the claim generalises.
    fixed
        A column, such as template, if the claim is only about the values in these prompts. Without
        it, the verdict also has to be the same with these values as units.
    bounds
        The least and the greatest value for one unit.
    scope
        What was changed, where, and in which model, in a few words; shown with the verdict.
    measured_in
        The unit of the number, such as nats.
    fresh
        Call the function again even if its result is kept from an earlier call.
    no_ledger
        Do not record that this claim was tried on these prompts; the output says so.
    save
        A file to write the numbers and the verdict to, such as refusal.assay.

    Examples
    --------
    printf '%s\\n' 5 11 2 8 12 1 9 4 7 3 10 6 > p.txt
    echo 'def f(text, prompts):
        return [int(p) * (2 if text == "be loud" else 1) for p in prompts]' > h.py
    assay check h.py:f --text 'be loud' --prompts p.txt --holds 'effect > 3'
    """
    from assay.ask.measure import own_code
    from assay.checking.check import check as checked
    from assay.checking.prompts import Given

    refuse_incomplete(function, prompts, holds)
    refuse_python(
        {**vars(credited), "also": also, "control": control, "unit": unit, "fixed": fixed}
    )
    _, given, things, _ = every(
        partial(parse, holds),
        partial(Given.read, prompts),
        credited.read,
        partial(own_code.file_of, function),
    )
    module, name = own_code.module_of(function)  # last, because it may load a model
    result = checked(
        sentence or holds,
        own_code.function_named(module, name, function),
        prompts=given.value,
        holds=holds,
        **things,
        also=None if not also else own_code.function_named(module, also, function),
        controls=list(control) or None,
        draws=draws,
        unit=unit,
        fixed=fixed,
        bounds=bounds,
        scope=scope,
        measured_in=measured_in,
        cache=not fresh,
        ledger=not no_ledger,
    )
    if save is not None:
        result.save(save)
    result = replace(result, judged=with_flags(result.judged))
    other = unexpected([result.judged], expect)
    notes = filter(None, (result.caveat, *result.judged.notes, *result.notes))
    verdict = structs.replace(result.judged, notes=tuple(notes))
    return Answer(verdict.without_ties, [*words(result), *map(Aside, other)], int(bool(other)))


def refuse_incomplete(function: str, prompts: Path | None, holds: str) -> None:
    """Refuse what is no function, and a claim without prompts or a condition. Raises: DataError."""
    from assay.ask.measure.own_code import is_written

    if not is_written(function):
        hint = purpose(Path(function)) or f"to check a record: assay verify {function}"
        raise DataError(
            f"assay check judges a function of your own, as FILE.py:NAME, got {function!r}; {hint}"
        )
    if prompts is None or not holds.strip():
        lacking = ["--prompts FILE"] * (prompts is None)
        lacking += ["--holds 'effect > 0.3'"] * (not holds.strip())
        raise DataError(f"check needs {' and '.join(lacking)}; assay check --help has an example")


def words(result: Check) -> list[AnswerPart]:
    """Report the outcome with its number, a row for each control, and what is to be noted."""
    from assay.checking.result import HEADS, aligned

    head, number, *_ = repr(result).split("\n")
    table = map(Line, aligned([HEADS, *map(result.row, result.controls)]))
    notes = (f"note: {remark}" for remark in result.remarks)
    scope, *remedies = result.reach
    return [Line(head), Line(number), *remedies, *table, *notes, scope]
