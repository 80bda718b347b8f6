"""Rate: a person says of features' contexts whether they have one meaning, without knowing whose
features they are."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.errors import DataError
from assay.core.plain import cell
from assay.verbs.destination import writable

if TYPE_CHECKING:
    from assay.evaluation.rating import Rating

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


def rate(
    dictionary: str,
    rater: str,
    folder: Path,
    choice: Choice,
    *,
    model: str = "smollm2",
    text: str = "stdlib",
    root: Path = Path("assay-store"),
    device: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
) -> Rating:
    """Draw what is to be rated, or go on with what the folder has. Indexes that are missing are
    made first.

    Raises: AssayError for what does not fit together.
    """
    from assay.evaluation.rating import begin

    writable(folder.absolute().parent, "--folder")
    return begin(
        dictionary,
        rater,
        folder,
        **vars(choice),
        model=model,
        text=text,
        root=root,
        device=device,
        progress=progress,
    )


def results(folder: Path, root: Path = Path("assay-store")) -> Rated:
    """Show the arms: mean scores, agreement, and a table for `assay judge`; answers that come later
    no longer count.

    Raises: DataError where the folder has no blinded rating.
    """
    import csv

    from assay.evaluation import rating
    from assay.features.rating import counted
    from assay.lab.store.store import Store

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
