"""Judge: judge a claim about a user's own table of numbers, or estimate a number from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from assay.errors import ClaimError
from assay.verbs.parts import Line
from assay.verbs.stated import Stated, answered
from assay.verbs.verb import Answer, Bare, Expected, Flag, Formula, More, Several, verb
from assay.verdicts import table as of_table
from assay.verdicts.result import Estimate


@verb("the verdict on a table of your own numbers, or an estimate from it")
def judge(
    table: Path,
    /,
    *,
    claim: Formula = "",
    unit: Several = (),
    control: Several = (),
    about: str = "",
    estimate: Formula = "",
    missed: Annotated[Several, More] = (),
    found: Annotated[Several, More] = (),
    noise: Annotated[Several, More] = (),
    given: Annotated[Several, More] = (),
    fixed: Annotated[Several, More] = (),
    result: Annotated[Several, More] = (),
    bounds: Annotated[tuple[float, float] | None, Bare, More] = None,
    folds: Annotated[str, More] = "",
    unpaired: Annotated[Flag, More] = False,
    tries: Annotated[int, More] = 1,
    scope: Annotated[str, More] = "",
    arm: Annotated[str, More] = "",
    save: Path | None = None,
    expect: Expected = None,
) -> Answer[Stated | Estimate]:
    """Judge a claim about a table of your own results, or estimate a number from it. The table
    needs a column named `arm`, one or two columns of units, and columns of numbers.

    Parameters
    ----------
    table
        A CSV, TSV, JSON, JSONL or Parquet file, or the log of an evaluation.
    claim
        The claim, such as 'gated.fvu - relu.fvu < -0.02'.
    unit
        A column whose values are independent units, such as seed. For crossed units, such as every
        seed on every document, write --unit seed --unit document.
    control
        An arm for which the claim should be false, such as shuffled.
    about
        The arm of the claim that the controls replace; needed if the outcome depends on it.
    estimate
        A number to estimate without a threshold, such as fvu, in place of a claim.
    missed
        An arm that a claim of no effect should be false of.
    found
        An arm with a planted effect, for which the claim should be true.
    noise
        A control whose draws are independent draws of one distribution.
    given
        A condition without which the claim is not decided.
    fixed
        A column, such as template, if the claim is only about the values in this table.
    result
        A column that the arm causes, as it causes the number that is judged.
    bounds
        The least and the greatest number that a unit can have: 0 1 for a share.
    folds
        The unit that is a fold of a cross-validation.
    unpaired
        Each arm has units of its own, though they are named alike.
    tries
        How many claims were tried, of which this is one.
    scope
        What the numbers are about, in a few words.
    arm
        The column of arms.
    save
        An .assay file to write the result to, with its numbers and the rule.

    Examples
    --------
    (echo arm,seed,x; for s in 1 2 3 4 5 6; do echo "a,$s,.1$s"
       echo "b,$s,.2$((7-s))"; echo "c,$s,.2$s"; done) > my.csv
    assay judge my.csv --claim 'a.x-b.x < -.05' --unit seed --control c --about a
    assay judge my.csv --estimate 'a.x - b.x' --unit seed
    """
    of_claims = {
        **{"control": control, "about": about, "missed": missed, "found": found, "noise": noise},
        **{"given": given, "fixed": fixed, "result": result, "scope": scope},
    }
    if bool(claim.strip()) == bool(estimate.strip()):
        raise ClaimError("claim-or-estimate", "give one of --claim and --estimate")
    if not estimate:
        verdict = of_table.judge_table(
            table,
            claim,
            unit,
            **of_claims,  # type: ignore[arg-type]
            bounds=bounds,
            folds=folds,
            unpaired=unpaired,
            tries=tries,
            arm=arm,
        )
        if save is not None:
            verdict.save(save)
        return answered(verdict, expect)
    if tries > 1 or save or expect or any(of_claims.values()):
        raise ClaimError("of-a-claim", "--estimate goes with --unit, --bounds, --folds, --unpaired")
    options = {"bounds": bounds, "folds": folds, "unpaired": unpaired, "arm": arm}
    number = of_table.estimate(table, estimate, unit, **options)  # type: ignore[arg-type]
    return Answer(number, [Line(str(number))])
