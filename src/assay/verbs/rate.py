"""Rate: a person says of features' contexts whether they have one meaning, without knowing whose
features they are."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from assay.core.errors import AssayError, DataError
from assay.core.plain import cell
from assay.evaluation import rating
from assay.evaluation.rating import begin
from assay.features.rating import counted
from assay.lab.store.store import Store
from assay.report.tables import number
from assay.verbs.options import (
    A_MODEL,
    A_TEXT,
    AS_WRITTEN,
    HERE,
    Device,
    Flag,
    Flat,
    Place,
    Trust,
    device_here,
    writable,
)
from assay.verbs.verb import Answer, Door, Line, Part, Table, verb

MARGIN = 0.2
"""The difference of mean scores that the printed claim asks for."""
TABLE = "ratings.csv"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is rated."""

    against: tuple[str, ...] = ()
    """NAME=DICTIONARY: a dictionary beside the random directions, such as frozen=FILE. Repeatable;
    of another model, such as one that is not trained, its address in the explorer, once it has an
    index."""
    features: int = 30
    """Features of each dictionary, drawn evenly by how often they fire."""
    contexts: int = 8
    """Contexts of each feature: half its strongest, half evenly spaced through its firings."""
    seed: int = 0
    """Draws the features, the random directions, and the order."""


AS_USUAL = Choice()


@dataclass(frozen=True, kw_only=True)
class Rated:
    """Ratings by arm, and how far raters agree."""

    arms: tuple[Mapping[str, Any], ...]
    """arm, mean score, low, high, features, answers."""
    agreement: Mapping[str, float | None] | None
    """Krippendorff's alpha, low, high; None with one rater, and where all answers are equal."""
    raters: tuple[str, ...]
    left_out: Mapping[str, str]
    """Files that are no blinded rating, and why; their answers count in nothing."""
    items: int
    table: str
    judge: str
    """What to type for a verdict."""


@verb("what raters said of features")
def rate(
    dictionary: str,
    /,
    *,
    rater: str = "me",
    folder: Path = Path("rating"),
    choice: Annotated[Choice, Flat] = AS_USUAL,
    results: Flag = False,
    model: Annotated[
        str, Parameter(help=f"{A_MODEL}: the one that the dictionary was indexed on.")
    ] = "smollm2",
    text: Annotated[
        str, Parameter(help=f"{A_TEXT}: the one that the dictionary was indexed on.")
    ] = "stdlib",
    device: Device = "cpu",
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
    door: Door,
) -> Answer[Rated]:
    """Say of features whether their contexts have one meaning, without knowing which are trained
    and which random directions.

    Parameters
    ----------
    dictionary
        A file or folder of any known format, a stored run, or an address in the explorer.
    rater
        Who rates; several may rate the same folder, one after the other.
    folder
        Where the plan and the answers are kept; the same command goes on with what is there.
    results
        Show which arm had which scores, and write the table; from then on nobody's answers count.

    Examples
    --------
    assay rate gated-sae/showcase
    """
    if door.json and not results:
        raise AssayError(
            "--json prints results: say --results as well; answers are given in the terminal"
        )
    if not results:
        writable(folder.absolute().parent, "--folder")
        with trust.raised(), door.stages("rate") as bars:
            session = begin(
                dictionary,
                rater,
                folder,
                **vars(choice),
                model=model,
                text=text,
                root=place.root,
                device=device_here(device),
                progress=bars,
            )
        if not door.rate(session):
            missing = f"{len(session.left)} of {len(session.items)} left"
            return Answer(None, [f"{missing}; the same command goes on"])
        if session.others_go_on:
            later = "another rater goes on, so results are not shown yet: --results shows them"
            return Answer(None, [f"all are answered; {later}"])
    tally = tallied(folder, place.root)
    return Answer(tally, words(tally))


def words(tally: Rated) -> Iterator[Part]:
    """Tell the mean scores by arm, the agreement, and the line to type for a verdict."""
    yield Table(
        ("arm", "mean score", "95 % interval", "features", "answers"),
        [
            (
                arm["arm"],
                number(arm["mean"], 2),
                interval(arm),
                str(arm["features"]),
                str(arm["answers"]),
            )
            for arm in tally.arms
        ],
        right=("mean score", "features", "answers"),
    )
    if tally.agreement is None:
        yield "one rater: how far others would agree is not known"
    else:
        yield (
            f"agreement of {len(tally.raters)} raters: Krippendorff's α "
            f"{number(tally.agreement['alpha'], 2)} {interval(tally.agreement)}"
        )
    for name, why in tally.left_out.items():
        yield f"not counted, since it is no blinded rating: {name}: {why}"
    yield Line(f"table    {tally.table}")
    yield Line(f"verdict  {tally.judge}")


def interval(row: Mapping[str, Any]) -> str:
    """Write the two ends of an interval."""
    return f"[{number(row['low'], 2)}, {number(row['high'], 2)}]"


def tallied(folder: Path, root: Path = Path("assay-store")) -> Rated:
    """Show the arms: mean scores, agreement, and a table for `assay judge`; answers that come later
    no longer count.

    Raises: DataError where the folder has no blinded rating.
    """
    plan = rating.plan_of(folder)
    items = rating.items_of(plan, Store(root))
    sheets = rating.sheets(folder, plan)
    left_out = {sheet.path.name: sheet.fault for sheet in sheets if sheet.fault}
    answers_by_rater = {
        sheet.rater: sheet.answers for sheet in sheets if not sheet.fault and sheet.answers
    }
    if not answers_by_rater:
        why = (
            "; ".join(f"{name}: {fault}" for name, fault in left_out.items())
            or "nobody has answered yet"
        )
        raise DataError(f"{folder} has no blinded rating ({why})")
    for sheet in sheets:
        sheet.show_arms()
    tally = counted(items, list(plan["arms"]), answers_by_rater)
    table = folder / TABLE
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(tally.rows[0]))
        writer.writeheader()
        writer.writerows({name: cell(value) for name, value in row.items()} for row in tally.rows)
    trained, chance = (
        f"mean({arm}.score, over=rater)" if len(answers_by_rater) > 1 else f"{arm}.score"
        for arm in (rating.TRAINED, rating.RANDOM)
    )
    claim = f"{trained} - {chance} > {MARGIN:g}"
    return Rated(
        arms=tally.arms,
        agreement=tally.agreement,
        raters=tuple(answers_by_rater),
        left_out=left_out,
        items=len(items),
        table=str(table),
        judge=(
            f"assay judge {shlex.quote(str(table))} --claim '{claim}' --unit match --control "
            f"{rating.AGAIN} --bounds -1 1"
        ),
    )
