"""Check: a claim about what a function in the user's own file measures, with near controls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from assay.errors import ClaimError
from assay.verbs.about import thing
from assay.verbs.stated import Stated, answered
from assay.verbs.verb import Answer, Bare, Expected, Formula, More, Several, verb
from assay.verdicts.conditions import parse


@verb("the verdict on a claim about what your function measures")
def check(
    function: str,
    /,
    *,
    prompts: Path,
    holds: Formula,
    about: str,
    claim: str = "",
    control: Annotated[Several, More] = (),
    damage: Annotated[str, More] = "",
    given: Annotated[str, More] = "",
    unit: Annotated[Several, More] = (),
    fixed: Annotated[Several, More] = (),
    bounds: Annotated[tuple[float, float] | None, Bare, More] = None,
    draws: Annotated[int, More] = 0,
    scope: str = "",
    save: Path | None = None,
    expect: Expected = None,
) -> Answer[Stated]:
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
    about
        What the claim is about, as in Python: "Heads([(2, 1)], of=(4, 6))",
        "Vector.learned('acts.npy', 'labels.npy')", "Patch('other')".
    claim
        The claim in words; by default the condition.
    control
        Only these controls.
    damage
        A function in the same file for another task of the model, which should stay as it is.
    given
        A condition without which the claim is not decided, such as 'effect_before > 0'.
    unit
        A column of the prompts over which the claim generalises.
    fixed
        A column, such as template, if the claim is only about the values in these prompts.
    bounds
        The least and the greatest number of a prompt.
    draws
        How many of each control that is drawn, at most.
    scope
        What was changed, where, and in which model, in a few words.
    save
        An .assay file to write the result to, with its numbers and the rule. An interrupted check
        goes on from what was measured, which is in FILE.part until then.

    Examples
    --------
    printf '%s\\n' 5 11 2 8 12 1 9 4 7 3 10 6 > p.txt
    echo 'def f(text, prompts):
        return [int(p) * (2 if text == "go up" else 1) for p in prompts]' > h.py
    assay check h.py:f --about "Text('go up')" --prompts p.txt --holds 'effect>3'
    """
    from assay.ask.measure import own_code
    from assay.checks import check as checks

    if not own_code.is_written(function):
        raise ClaimError("no-function", "a function is written FILE.py:NAME", at=function)
    credited = thing(about)
    parse(holds)
    module, name = own_code.module_of(function)  # last, because it may load a model

    def named(name: str) -> checks.Function:
        return own_code.function_named(module, name, function)

    part = save and save.with_name(f"{save.name}.part")
    result = checks.check(
        claim or holds,
        named(name),
        prompts,
        holds,
        credited,
        controls=control or None,
        damage=named(damage) if damage else None,
        given=given,
        unit=unit,
        fixed=fixed,
        bounds=bounds,
        draws=draws,
        scope=scope,
        save=part,
    )
    if save and part:
        result.save(save)
        part.unlink()
    return answered(result, expect)
