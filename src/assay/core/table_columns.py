"""Which columns of a table tell its rows apart, and what there is to note of the others: one that
changes with the arm, copies of units, levels that are left out."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core.digits import told_apart
from assay.core.errors import ClaimError, DataError, nearest
from assay.core.heavy import xr
from assay.core.nouns import all_of, joined, plural
from assay.core.power import FEWEST
from assay.core.reasons import arm_of
from assay.core.results import Judged
from assay.core.rows import EMPTY, Names, check_names, is_text, places

if TYPE_CHECKING:
    import pandas as pd

RUNS = ("seed", "run")
"""Columns that number runs: rows of one arm that share all units are averaged, whatever these
columns contain."""
DRAWS = ("draw", "draw_seed")
"""Columns that number the draws of a control."""
TIMES = frozenset(("time", "date", "timestamp", "day", "step", "epoch", "order", "trial"))
"""Columns that say in which order units were measured."""
DATE, SECONDS = re.compile(r"\d{4}-\d\d?-\d\d?(\D|$)"), (1e9, 2e9)
"""How a date begins; seconds since 1970, in the years from 2001 to 2033."""
CONDITIONS = frozenset(
    (
        *("layer", "block", "head", "position", "site", "width", "step"),
        *("document", "prompt", "task", "template", "dataset"),
    )
)
"""Columns that are conditions, whatever their numbers."""
ITEMS = re.compile(
    r"(?i)(?:^|[\W_])(?:document|prompt|task|template|dataset|question|item|example|sentence|text"
    r"|problem|word|pair|passage)(?:$|[\W_\d])"
)
"""Words in the names of columns that number what was measured, and are no conditions."""
NEARLY = 0.8
"""Share of cells with the same numbers from which these are labels."""
SHARES = frozenset(
    (
        *("acc", "accuracy", "auroc", "auc", "f1", "precision", "recall", "share", "percent"),
        *("pct", "correct", "em"),
    )
)
"""Words in the names of columns that are shares."""
LOSSES = frozenset(("nll", "ce", "xent", "perplexity", "ppl", "kl", "mse", "fvu", "l0", "entropy"))
CHANGES = frozenset(("diff", "difference", "delta", "change", "drop", "gain", "reduction"))
"""Words in names of columns whose numbers are never negative, and of changes, which may be so."""
APART = 10.0
"""How many times larger than all others numbers of a column of shares are that are percentages."""
WEIGHTS = frozenset(("ckpt", "checkpoint", "weights", "sha256"))
"""Words in the names of columns that say which weights a row is about."""
GIVEN = "given"
NOTHING = frozenset(("", "-", "empty", "none", "null", "nan", "na", "n/a", "no", "false"))
"""What is said of texts of which each row has one of its own; texts that say that there is none."""
MOST_NAMED = 3
"""Columns that a note names."""
UNNAMED = re.compile(r"(Unnamed: \d+)?")
"""What pandas calls a column without a name."""


def find_labels(
    rows: pd.DataFrame, units: Names, columns: list[str], label_names: Iterable[str], source: str
) -> Names:
    """The columns that the claim names as dimensions, and those that tell rows of one cell apart
    though it does not name them.

    These are texts that occur in two rows or more on average, numbers that nearly every cell has
    alike, and columns with a usual name of conditions.
    Raises: ClaimError, DataError.
    """
    used_columns = ["arm", *units, *columns]
    for name in label_names:
        if name not in rows or name in used_columns:
            candidates = [c for c in rows.columns if c not in used_columns]
            hint = nearest(name, candidates).replace("known:", "it has")
            problem = f"no column {name!r} in {source}; {hint}"
            if name in rows:
                role = "judged by the claim" if name in columns else "what verdicts are about"
                problem = f"column {name!r} cannot be selected or averaged over: it is {role}"
            raise ClaimError(problem)
        if is_text(rows[name]):
            rows[name] = rows[name].fillna("").astype(str)
        elif rows[name].isna().any():
            raise DataError(
                f"column {name!r}, which the claim names, is empty in {places(rows[name].isna())}"
            )
        else:
            check_names(rows, name)
    labels = list(label_names)
    cell = ["arm", *units, *(c for c in RUNS if c in rows and c not in units)]
    draws = [c for c in DRAWS if c in rows and c not in (*units, *labels)]
    candidates = []
    each = rows.groupby([*cell, *labels], sort=False, dropna=False)[columns]
    if (each.nunique(dropna=False) > 1).any(axis=None):  # else rows of a cell repeat its numbers
        others = [c for c in rows.columns if c not in (*cell, *columns, *labels)]
        candidates = [c for c in others if not _only_numbers(rows, c)]

    def likeness(c: str) -> tuple[bool, bool, bool, int]:
        """Those of which nearly each cell has the same first: an epoch, and only then an answer."""
        count = rows[c].nunique()
        pairs = count * len(rows[cell].drop_duplicates())
        crossed = len(rows[[*cell, c]].drop_duplicates()) >= NEARLY * pairs
        return not crossed, not is_text(rows[c]), rows[c].dtype.kind == "f", count

    for name in sorted(candidates, key=likeness):
        # what differs between draws alone, such as a path, says nothing more than these do
        known = [] if name in draws or name.lower() in CONDITIONS else draws
        by = dict.fromkeys((*cell, *labels, *known))
        cells = rows.groupby([*by], sort=False, dropna=False)
        if bool((cells[name].nunique(dropna=False) > 1).any()) and (
            name.lower() in CONDITIONS or _recurs(rows[name], cells.ngroup().to_numpy())
        ):
            rows[name] = rows[name].fillna("").astype(str) if is_text(rows[name]) else rows[name]
            if UNNAMED.fullmatch(name):
                place = list(rows.columns).index(name) + 1
                two = ", ".join(map(str, rows[name].unique()[:2]))
                raise ClaimError(
                    f"column {place}, which has no name, tells rows apart ({two}), and nothing is "
                    "averaged that the claim does not name: name it in the header, and in the claim"
                )
            labels.append(name)
    return tuple(labels)


def check_scale(rows: pd.DataFrame, arms: Collection[str], columns: Sequence[str]) -> None:
    """Refuse a column of shares, by its name, in which some are percentages, or a number such as -1
    or 999 marks a missing one, and one of losses that have the opposite sign in one arm.
    Raises: DataError."""
    read = rows["arm"].isin(arms)
    for name in columns:
        x = rows[name].where(read)
        _check_sign(name, x.groupby(rows["arm"].where(read)))
        part = (x > 0) & (x < 1)
        if not SHARES & {*re.split(r"[\W_]+", name.casefold())} or not part.any():
            continue
        wrong = (x > 100) | (x < 0)
        if x[wrong].nunique() == 1 and (x[wrong] % 1 == 0).all():  # a difference has several
            raise DataError(
                f"column {name!r} is {x[wrong].iloc[0]:g} in {places(wrong)}, and a share cannot "
                f"be{EMPTY}"
            )
        low, high = x[(x > 0) & (x <= 1)], x[x > 1]
        if len(high) and high.max() <= 100 and high.min() > APART * low.max():
            raise DataError(
                f"column {name!r} has numbers up to {low.max():g} and others from {high.min():g} "
                "on, shares and percentages; write all of them as shares"
            )


def _check_sign(name: str, by_arm: Any) -> None:
    """Refuse losses of which all in one arm are negative and none in another, by the column's name.
    Raises: DataError."""
    words = {*re.split(r"[\W_]+", name.casefold())}
    below, above = by_arm.max() < 0, by_arm.min() >= 0
    if words & LOSSES and not words & CHANGES and below.any() and above.any():
        raise DataError(
            f"column {name!r} is negative in all rows of {' and '.join(below[below].index)} and in "
            f"none of {' and '.join(above[above].index)}, and it cannot be negative: write it with "
            "the same sign in all arms"
        )


def _only_numbers(rows: pd.DataFrame, name: str) -> bool:
    """Whether a column only numbers the rows, as pandas' index does, and so distinguishes none."""
    if is_text(rows[name]) or not (UNNAMED.fullmatch(name) or name.lower() == "index"):
        return False
    whole, x = bool((rows[name] % 1 == 0).all()), rows[name]
    return whole and x.is_monotonic_increasing and x.is_unique


def _recurs(values: pd.Series, cell: np.ndarray) -> bool:
    """Whether values are labels: texts that come again, or numbers, the same ones in every cell but
    those few that lack a row."""
    if is_text(values):
        texts = values[values.notna() & (values != "")]
        return 2 * texts.nunique() <= len(texts)
    counts = np.bincount(cell)
    if len(counts) == 1 or 2 * values.nunique() > len(values):
        return False
    in_order = values.to_numpy()[np.lexsort((values.to_numpy(), cell))]
    cells = Counter(map(tuple, np.split(in_order, np.cumsum(counts)[:-1])))
    _, count = cells.most_common(1)[0]
    return count >= NEARLY * len(counts)


def left_out(
    judgement: Judged, rows: pd.DataFrame, units: Names, arms: Mapping[str, xr.Dataset]
) -> list[str]:
    """A line for each unit of which levels are left out, with the arms of the verdict that lack
    them."""
    lines = []
    for unit, n in judgement.verdict.n.items():
        levels, other_units = rows[unit].nunique(), [u for u in units if u != unit]
        if n < levels:
            lacks = {a: data.to_array().isnull().any("variable") for a, data in arms.items()}
            empty = {a: missing.all(other_units) for a, missing in lacks.items()}
            where = [
                _lacked(a, unit, x[unit].values[x.values]) for a, x in empty.items() if x.any()
            ]
            why = joined(where) if where else "no arm has all numbers there"
            are = "is" if levels - n == 1 else "are"
            of_more = {name: v.n[unit] for name, v in judgement.controls.items() if v.n[unit] > n}
            more = "".join(
                f"; control {name} is over {all_of(k) if k == levels else k}"
                for name, k in of_more.items()
            )
            out = f"{levels - n} of {levels} {plural(unit, levels)} {are} left out"
            lines.append(f"{out}: {why}{more}")
    return lines


def _lacked(arm: str, unit: str, levels: Sequence[Any]) -> str:
    """Say at which levels of a unit an arm has no number."""
    these = f"{len(levels)} {plural(unit, 2)}"
    if len(levels) <= MOST_NAMED:
        these = f"{plural(unit, len(levels))} {joined([*map(str, levels)])}"
    return f"{arm} lacks a number in {these}"


def too_few(n: Mapping[str, int]) -> list[str]:
    """What can be judged where one of two units has too few levels."""
    few = [unit for unit in n if n[unit] < FEWEST]
    return [
        f'unit="{other}" alone, and mean(COLUMN, over={unit}) in the claim, would give a verdict '
        f"about these {n[unit]} {plural(unit, n[unit])}"
        for unit in few
        for other in n
        if other not in few
    ]


def one_with_arms(
    rows: pd.DataFrame,
    compared: Names,
    taken: Names,
    controls: Names,
    outcome: str,
    *,
    independent: bool,
) -> tuple[str, str]:
    """What may be the cause as well as the arm, and a line on it: columns that have one value in
    all rows of the first arm that is compared, and another one in all of each other arm and in the
    controls; so have times that do not overlap, and amounts where each arm has units of its own. A
    column that has a value of its own for each of several arms, or a word in common with the name
    of an arm, describes the arms."""
    main, *others = compared
    rows = rows.assign(**said_or_not(rows, [x for x in map(str, rows) if x not in ("arm", *taken)]))
    by_arm, found = rows.groupby("arm"), dict[str, dict[str, str]]()
    bases = {arm_of(str(arm)) for arm in by_arm.groups}
    for name in (x for x in rows.columns if others and x not in ("arm", *taken)):
        single = by_arm[name].nunique(dropna=False) == 1
        value = by_arm[name].first()[single].dropna()
        value = value.map(
            lambda x: f"{x:.6g}" if isinstance(x, float) else str(x).strip() or "empty"
        )
        rest = value.reindex([*others, *controls])
        if not {*compared} <= {*value.index}:
            ordered = _are_times(name, rows[name]) or (independent and _is_amount(rows, name))
            if ordered and _is_apart(by_arm[name], main, [*others, *controls]):
                found[name] = _spans(by_arm[name], [*compared])
            continue
        if value[main] in {*rest}:
            continue
        pairs = {(arm_of(str(arm)), x) for arm, x in value.items()}
        said = [x for _, x in pairs if x.casefold() not in NOTHING]  # of arms with nothing, none
        is_name = len({*said}) == len(said) > 1 and len(value) == by_arm.ngroups
        is_name = is_name and len(bases) > 2
        describes = is_text(rows[name]) or rows[name].dtype.kind == "b"
        of_main = is_overlapping(f"{name} {value[main]}", main)
        if describes and (of_main or any(is_overlapping(value[x], x) for x in others)):
            continue
        if not is_name:
            found[name] = {str(arm): x for arm, x in value.items()}
    if not found:
        return "", ""
    *first, last = list(found)[:MOST_NAMED]
    named = f"{', '.join(first)} and {last} are" if first else f"{last} is"
    together = "all of these" if first else f"arm and {last}"
    each = [", ".join(found[name][arm] for name in (*first, last)) for arm in compared]
    of_others = [f", and {x} in all of {arm}" for x, arm in zip(each[1:], others, strict=True)]
    more = f" ({len(found) - MOST_NAMED} more columns too)" * (len(found) > MOST_NAMED)
    return (
        f"{' or '.join((*first, last))} is the cause",
        f"{named} {each[0]} in all rows of {main}{''.join(of_others)}{more}: the claim {outcome} "
        f"for {together} together, and no control separates them; leave out a column that only "
        "says what an arm is",
    )


def said_or_not(rows: pd.DataFrame, names: Iterable[str]) -> dict[str, pd.Series]:
    """The columns of texts, such as the path of a checkpoint from which each run began, that say
    something in all rows of some arms and in no row of all others, as this alone: GIVEN or
    "none"."""
    found = dict[str, Any]()
    for name in (x for x in names if is_text(rows[x])):
        empty = rows[name].isna() | rows[name].astype(str).str.strip().str.casefold().isin(NOTHING)
        share, several = empty.groupby(rows["arm"]).mean(), rows.groupby("arm")[name].nunique()
        if {*share} == {0.0, 1.0} and several[share == 0].max() > 1:
            found[name] = empty.map({True: "none", False: GIVEN})
    return found


def is_overlapping(a: str, b: str) -> bool:
    """Whether two names have a word or a number in common, or a part of three letters or more that
    is a word of one."""
    of_a, of_b = (re.findall(r"\d+(?:\.\d+)?|[^\W\d_]+", x.casefold()) for x in (a, b))
    pairs = itertools.product(of_a, of_b)
    return any(
        x == y or (x.isalpha() and min(map(len, (x, y))) > 2 and (x in y or y in x))
        for x, y in pairs
    )


def words_in(name: str) -> set[str]:
    """The words in the name of a column."""
    return {w for w in re.split(r"[\W_]+", name.casefold()) if w}


def same_weights(rows: pd.DataFrame, units: Names, compared: Names) -> list[str]:
    """A line where the seeds are no trainings, as a column says that an arm has the same weights in
    all of them."""
    runs, of_arms = [x for x in units if x in RUNS], rows[rows["arm"].isin(compared)].groupby("arm")
    for name in (x for x in rows.columns if runs and x not in units and WEIGHTS & words_in(str(x))):
        if (of_arms[name].nunique() == 1).all():
            these = plural(runs[0], 2)
            return [
                f"{name} is the same in all {these} of an arm: these {these} are no trainings, and "
                "the verdict is about these weights"
            ]
    return []


def _are_times(name: str, x: pd.Series) -> bool:
    """Whether a column has times: by its name, dates, or seconds since 1970."""
    if is_text(x):
        return bool(x.astype(str).str.match(DATE).all())
    return name.casefold() in TIMES or bool(x.between(*SECONDS).all())


def _is_amount(rows: pd.DataFrame, name: str) -> bool:
    """Whether a column has numbers that do not only number something."""
    if is_text(rows[name]) or name in RUNS or ITEMS.search(name):
        return False
    x = np.unique(rows[name].dropna().to_numpy(float))
    return bool((np.diff(x) != 1).any())


def _is_apart(by_arm: Any, main: str, others: Sequence[str]) -> bool:
    """Whether the values of one arm are all below, or all above, those of the others, where not
    each of several arms is apart from all the others."""
    low, high = by_arm.min(), by_arm.max()
    rest = [x for x in dict.fromkeys(others) if x in low.index]
    if low[[main, *rest]].isna().any():
        return False
    is_apart = high[main] < low[rest].min() or low[main] > high[rest].max()
    order = low.sort_values().index
    each = (high[order].to_numpy()[:-1] < low[order].to_numpy()[1:]).all()
    return bool(is_apart and not (each and len(order) > 2))


def _spans(by_arm: Any, arms: list[str]) -> dict[str, str]:
    """From which value on a column goes in each arm, and up to which one."""
    ends = [*by_arm.min()[arms], *by_arm.max()[arms]]
    if all(isinstance(x, int | float | np.number) for x in ends):
        whole = all(float(x).is_integer() for x in ends)
        ends = [f"{x:.0f}" for x in ends] if whole else told_apart(*ends)
    spans = zip(arms, ends, ends[len(arms) :], strict=False)
    return {arm: " to ".join(dict.fromkeys(map(str, (low, high)))) for arm, low, high in spans}


def same_rows(rows: pd.DataFrame, units: Names, labels: Names, columns: Sequence[str]) -> list[str]:
    """A line where rows are averaged of which nothing says in what they differ."""
    cell = ["arm", *units, *labels]
    telling = [c for c in rows.columns if c not in (*cell, *columns) and not _only_numbers(rows, c)]
    cells = rows.groupby(cell, sort=False)
    if cells.ngroups == len(rows) or any((cells[c].nunique() > 1).any() for c in telling):
        return []
    return [
        "no column distinguishes the averaged rows: if they have different settings, add a "
        "column that says which"
    ]
