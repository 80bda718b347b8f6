"""Judge: judge a claim about a user's own table of numbers, or estimate a number from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec import structs

from assay.checking.of_table import JudgedTable, in_words
from assay.core import rows as rows_of
from assay.core import table as table_of
from assay.core.errors import ClaimError
from assay.core.results import Estimated, Judged, ResultData
from assay.lab.judge import tried
from assay.report.statements import known, unexpected, with_flags
from assay.verbs.parts import Aside, InFull
from assay.verbs.verb import Answer, Bare, Expected, Flag, Formula, More, Several, verb

UNCOUNTED = "not counted (the ledger is off): how many claims were tried on this table"


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
    over: str = "",
    crosses: float | None = None,
    must_hold: Annotated[Several, More] = (),
    also: Annotated[Several, More] = (),
    unlearned: Annotated[Several, More] = (),
    violation: Annotated[Several, More] = (),
    fixed: Annotated[Several, More] = (),
    beats: Annotated[float, More] = 0.0,
    empty: Annotated[float | None, More] = None,
    bounds: Annotated[tuple[float, float] | None, Bare] = None,
    tested: Annotated[int, More] = 0,
    distinct: Annotated[Flag, More] = False,
    scope: str = "",
    sentence: Annotated[str, More] = "",
    arm_column: Annotated[str, More] = "arm",
    no_ledger: Annotated[Flag, More] = False,
    save: Annotated[Path | None, More] = None,
    verbose: Flag = False,
    expect: Expected = None,
) -> Answer[Judged | Estimated]:
    """Judge a claim about a table of your own results, or estimate a number from it. The table
    needs a column named `arm`, one or two columns of units, and columns of numbers.

    Parameters
    ----------
    table
        A CSV file, JSON lines (.jsonl), or the log or logs of an evaluation.
    claim
        The claim, such as 'gated.fvu - relu.fvu < -0.02'.
    unit
        A column whose values are independent units, such as seed. For crossed units, such as every
        seed on every document, write --unit seed --unit document.
    control
        An arm for which the claim should fail, such as shuffled. By default, Assay makes
        one, called dealt: the same rows with shuffled labels.
    about
        The arm of the claim that the controls replace; needed if the outcome depends on it.
    estimate
        A number to estimate without a threshold, such as fvu, in place of a claim.
    over
        With --estimate: a column that was swept. The result is a curve over its values.
    crosses
        With --over: report where the curve crosses this value, with an interval.
    must_hold
        An arm with a planted effect, for which the claim should hold.
    also
        An arm that may satisfy the claim as well.
    unlearned
        An arm in which nothing was learned, such as a random one; if it satisfies the claim, the
        claim is unspecific.
    violation
        An arm with a planted violation of a claim of no effect.
    fixed
        A column, such as template, if the claim is only about the values in this table. Without it,
        the verdict also has to be the same with these values as units.
    beats
        The margin by which the method has to beat each control.
    empty
        The value for no effect: 0.5 for an AUROC, 1 for a relative error.
    bounds
        The least and the greatest value that the claim can have for one unit: 0 1 for a share, -1 1
        for a difference of shares. The interval is then exact.
    tested
        How many rows all folds together were tested on, or for an AUROC how many of the rarer
        label. With it, folds that all have 1, or 0, are decided.
    distinct
        The units are known to differ and to have no order, such as tasks or prompts, so that a
        pattern in the order of rows is chance; the output repeats it.
    scope
        What the numbers are about, in a few words; printed with the verdict.
    sentence
        The claim in words; by default the condition.
    arm_column
        The column that names the arm of each row.
    no_ledger
        Do not record that this claim was tried on this table; the output says so.
    save
        A file to write the rows and the verdict to, such as gated.assay, which `assay report` makes
        a page of and `assay verify` judges again.
    verbose
        Show every control, the power, which other arms satisfy the claim, and how the interval was
        made.

    Examples
    --------
    (echo arm,seed,x; for s in 1 2 3 4 5 6; do echo "a,$s,.1$s"
       echo "b,$s,.2$((7-s))"; echo "c,$s,.2$s"; done) > my.csv
    assay judge my.csv --claim 'a.x-b.x < -.05' --unit seed --control c --about a
    assay judge my.csv --estimate 'a.x - b.x' --unit seed
    """
    of_claims: dict[str, Any] = {
        **{"control": control, "about": about, "must_hold": must_hold, "also": also},
        **{"unlearned": unlearned, "violation": violation, "fixed": fixed, "bounds": bounds},
        **{"tested": tested or None, "distinct": distinct or None},
    }
    swept: dict[str, Any] = {"over": over, "crosses": crosses}
    refuse_mixture(
        claim, estimate, of_claims | {"expect": expect, "save": save, "sentence": sentence}, swept
    )
    numbers: dict[str, Any] = {"unit": unit, "scope": scope}
    if estimate:
        number = table_of.estimate(table, value=estimate, arm_column=arm_column, **numbers, **swept)
        return estimated(with_flags(number), verbose)
    of_claims |= {"tested": tested, "distinct": distinct}
    asked = {"claim": claim, "beats": beats, "empty": empty, **of_claims, **numbers}
    verdict = table_of.judge(table, **asked, arm_column=arm_column)
    lines = [f"{', '.join(unit)}: said to have no order (--distinct)"] * distinct
    lines += [UNCOUNTED] if no_ledger else tried.note(table, verdict, unit, arm_column)
    if save is not None:
        rows = rows_of.read(table, arm_column, needed=False)[0]
        JudgedTable(asked, rows, verdict, lines, sentence).save(save)
    verdict = in_words(structs.replace(verdict, notes=(*verdict.notes, *lines)), sentence)
    return answered(with_flags(verdict), expect, verbose)


def answered(verdict: Judged, expect: Expected, verbose: Flag) -> Answer[Judged | Estimated]:
    """Answer with a verdict, and say if it is another one than expected."""
    other = [Aside(line) for line in unexpected([verdict], expect)]
    data = ResultData(verdicts=(verdict,))
    return Answer(
        verdict.without_ties,
        [InFull(data) if verbose else data, *known(verdict, all_of_it=bool(verbose)), *other],
        int(bool(other)),
    )


def estimated(number: Estimated, verbose: Flag) -> Answer[Judged | Estimated]:
    """Answer with a number that was estimated from a table."""
    data = ResultData(findings=(number,))
    return Answer(number, [data, *known(number, all_of_it=bool(verbose))])


def refuse_mixture(
    claim: str, estimate: str, of_claims: Mapping[str, Any], of_estimates: Mapping[str, Any]
) -> None:
    """Refuse a claim together with an estimate, neither of them, and what belongs to the other.
    Raises: ClaimError."""
    if bool(claim.strip()) == bool(estimate.strip()):
        raise ClaimError(
            "judge takes either --claim, a sentence with a threshold, or --estimate, a number "
            f"without one; got {'both' if claim.strip() else 'neither'}"
        )
    if estimate and of_estimates["crosses"] is not None and not of_estimates["over"]:
        raise ClaimError("--crosses needs --over COLUMN, over whose values the estimate is a curve")
    given, kind = (of_claims, "claim") if estimate else (of_estimates, "estimate")
    if wrong := next((k for k, v in given.items() if v is not None and v not in ("", ())), None):
        raise ClaimError(f"--{wrong.replace('_', '-')} belongs to --{kind}; leave it out")
