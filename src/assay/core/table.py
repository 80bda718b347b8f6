"""judge and estimate: the verdict machinery on anyone's numbers: a table of rows, a claim as text →
Judged; a quantity as text → Estimated."""

from __future__ import annotations

import contextlib
import io
import math
import numbers
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import reduce
from itertools import product
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs

from assay.core import apart, estimates, foreign, judging, rounding
from assay.core.arrays import is_tensor
from assay.core.ceilings import ceiling
from assay.core.claims import Claim, Estimate, Value, rival
from assay.core.columns import Column
from assay.core.dealing import DEAL, DEALT, OTHERS, caution, deal
from assay.core.errors import Argument, ClaimError, DataError, nearest
from assay.core.expression import Parsed, parse
from assay.core.heavy import xr
from assay.core.placing import FEWEST
from assay.core.plain import plain
from assay.core.reading import LEARNED, plural
from assay.core.reasons import GIVEN, TIES
from assay.core.results import Estimated, Judged, Price
from assay.core.stats import mean

if TYPE_CHECKING:
    import pandas as pd

Names = tuple[str, ...]
MISSING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "None", "null"})
"""Words for a missing number."""
LARGEST, WIDEST, ARMS, CELLS = 64 * 2**20, 1_000, 1_000, 10_000_000
"""Bytes and columns of a file, arms of a table, and combinations of its units' levels."""
RUNS = ("seed", "run")
"""Columns that tell runs apart: rows of one arm that share all units are averaged, whatever stands
there."""
CONDITIONS = frozenset(
    (
        *("layer", "block", "head", "position", "site", "width", "step"),
        *("document", "prompt", "task", "template", "dataset"),
    )
)
"""Columns that are conditions, whatever their numbers."""
NEARLY, FEW_LEVELS = 0.8, 12
"""Share of cells with the same numbers from which these are labels; levels of a column of whole
numbers up to which it may be a condition."""
TOO_MANY = "write a decimal comma (84,1) as a point (84.1), and a text that has a comma in quotes"
"""What mends a row of a CSV that has a value more than the header has names."""
OTHER_FORMATS = frozenset(
    (
        *(".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".feather", ".arrow"),
        *(".xls", ".xlsx", ".ods", ".pkl", ".pickle", ".npy", ".npz", ".h5"),
    )
)
"""Ends of the names of files that hold tables in other ways."""
EMPTY = "; leave the cell empty where there is no number"
"""What is advised of a cell that is none."""
UNNAMED = re.compile(r"(Unnamed: \d+)?")
"""What pandas calls a column without a name."""


def judge(
    frame: pd.DataFrame | Mapping[str, Sequence] | Path | str,
    *,
    claim: str,
    unit: str | Sequence[str],
    control: str | Sequence[str] = (),
    must_hold: str | Sequence[str] = (),
    also: str | Sequence[str] = (),
    unlearned: str | Sequence[str] = (),
    violation: str | Sequence[str] = (),
    beats: float = 0.0,
    empty: float | None = None,
    bounds: tuple[float, float] | None = None,
    level: float = 0.95,
    scope: str = "",
    arm_column: str = "arm",
) -> Judged:
    """Judge a claim such as "gated.fvu - relu.fvu < -0.02" about the rows of a table, with its
    controls.

    Every other arm of the table is asked as well, and counted where it satisfies the claim; one of
    those in `unlearned` makes it unspecific. `bounds` are the least and the greatest number that a
    unit can have, for an exact interval over one unit; a column of only 0 and 1 has them. The table
    has a column `arm` (or `arm_column`), a column for each unit, and numbers. The first arm named
    is the one under judgement; each control takes its place and has to be beaten. Runs, and rows
    that nothing tells apart, are averaged where they share arm and units, which a note tells; rows
    of other labels are so only where the claim names that column.

    Args:
        frame: a DataFrame, columns by name, or the path of a CSV.
        claim: with its threshold, such as "a.fvu - b.fvu < -0.02".
        unit: one or two columns of independent units.
        control: arms that must be beaten; by default the same rows with their labels dealt out.
        must_hold: arms with a planted effect.
        also: rivals that may satisfy it.
        unlearned: arms in which nothing was learned, such as random ones.
        violation: arms with a planted violation, where the claim is that little or nothing is
            there.
        beats: by how much controls must be beaten.
        empty: the value where there is nothing, 0 by default.
        bounds: least and greatest number of a unit.
        level: of the interval, 0 to 1.
        scope: for what the verdict speaks.
        arm_column: the column of arms.
    Raises: DataError when the table cannot be used, ClaimError when the claim cannot be judged on
    it.
    Example:
        >>> import assay
        >>> rows = {"arm": ["new"] * 6 + ["old"] * 6 + ["again"] * 6, "seed": [*range(6)] * 3}
        >>> rows["fvu"] = [0.11, 0.12, 0.14, 0.10, 0.13, 0.15]
        >>> rows["fvu"] += [0.21, 0.23, 0.24, 0.22, 0.25, 0.26]
        >>> rows["fvu"] += [0.22, 0.225, 0.25, 0.215, 0.26, 0.255]  # as old, on other draws
        >>> assay.judge(rows, claim="new.fvu - old.fvu < -0.05", unit="seed", control="again")
        <Judged 'new.fvu - old.fvu < -0.05': holds, -0.11 [-0.1194, -0.1006]>
    """
    units, controls = _names(unit), _names(control)
    planted, allowed, idle, violations = map(_names, (must_hold, also, unlearned, violation))
    parsed = parse(claim)
    rows, source = _rows(frame, arm_column, wide=lambda names: _wide(names, parsed, units))
    _check_units(rows, units, parsed)
    known = [str(a) for a in rows["arm"].unique()]
    foreign.within(len(known), ARMS, source, "arms")
    foreign.within(
        math.prod(rows[unit].nunique() for unit in units),
        CELLS,
        source,
        f"combinations of {' and '.join(units)}",
    )
    main_arm = _under_judgement(parsed, known, controls)
    arms_named = (*controls, *planted, *allowed, *idle, *violations)
    _check_arms(parsed, known, (main_arm, *arms_named), source)
    _check_controls(main_arm, parsed, (*controls, *planted, *violations))
    columns = list(dict.fromkeys(c.name for c in parsed.columns))
    for column in columns:
        _check_numeric(rows, column, units, source)
    labels = _labels(
        rows, units, columns, dict.fromkeys(dim for c in parsed.columns for dim in c.named), source
    )
    foreign.within(
        math.prod(rows[name].nunique() for name in (*units, *labels)),
        CELLS,
        source,
        f"combinations of {' and '.join((*units, *labels))}",
    )
    used = dict.fromkeys((main_arm, *parsed.arms, *controls, *planted, *violations))
    read = {}
    for arm in dict.fromkeys((*used, *known)):
        judged = arm == main_arm or arm not in parsed.arms
        read_columns = [
            replace(c, arm=arm)
            for c in parsed.columns
            if (c.arm in (None, main_arm) if judged else c.arm == arm)
        ]
        try:
            read[arm] = _cells(rows[rows["arm"] == arm], arm, units, labels, read_columns)
        except ClaimError:
            if arm in used:  # any other arm that lacks what the claim reads has no answer to give
                raise
    arms = {arm: data for arm, (data, _) in read.items()}
    notes = tuple(note for arm in used for note in read[arm][1])
    compared = {arm: arms[arm] for arm in dict.fromkeys((main_arm, *parsed.arms))}
    if independent := len(units) == 1 and apart.are_apart(compared, units[0]):
        notes += (apart.in_words(compared, units[0]),)
        notes += (apart.UNBOUNDED,) if bounds is not None else ()
    if not controls:
        name = DEALT if DEALT not in known else f"{DEALT} labels"
        labelled = parsed.arms if len(parsed.arms) > 1 else known
        arms[name] = _dealt(rows, main_arm, labelled, parsed, units, labels)
        controls, notes = (
            (name,),
            (*notes, caution(name, [a for a in known if a not in labelled])),
        )
    within = all(0 <= edge <= 1 for edge in (parsed.low, parsed.high) if math.isfinite(edge))
    if bounds is None and within and _is_share(rows, parsed):
        bounds = (0.0, 1.0)
        exact = f"{columns[0]} is 0 or 1 in every row: judged by an exact interval for shares"
        notes += (exact,) if len(units) == 1 else ()
    statement = replace(
        _claim(parsed, main_arm, units, controls, planted, allowed, bounds, source),
        **(_of_groups(parsed, main_arm, units[0]) if independent else {}),
        ceiling=_ceiling(rows, parsed, main_arm),
        violations=violations,
        beats=beats,
        empty=empty,
    )
    measured = {
        name: data.assign_attrs({LEARNED: ()}) if name in idle else data
        for name, data in arms.items()
    }
    judgement = judging.judge(statement, measured, level, scope)
    tied = judgement.verdict.reason == TIES and not independent
    if tied and bounds is None and _is_difference(rows, parsed, units):
        statement = replace(statement, bounds=(-1.0, 1.0))
        notes += (f"{columns[0]} is 0 or 1 in every row: exact interval between -1 and 1",)
        judgement = judging.judge(statement, measured, level, scope)
    if tied := judgement.verdict.reason == TIES and not independent:
        keys = {c.key: c.name for c in parsed.columns}
        moved = rounding.find(
            lambda arms: judging.standing(statement, arms)[0].points,
            measured,
            rows[rows["arm"].isin(compared)],
            keys,
        )
        if moved.by:
            judgement = judging.judge(replace(statement, rounding=moved.by), measured, level, scope)
            notes += (moved.words,)
    arms_about = compared if len(compared) > 1 else used
    if judgement.verdict.reason == TIES:
        price = Price(apart.UNBOUNDED) if independent else _untied(judgement)
        judgement = structs.replace(judgement, price=price)
    return structs.replace(
        judgement,
        notes=(
            *notes,
            *_cautions(rows[rows["arm"].isin(compared)], units, labels, columns),
            *_alike(rows[rows["arm"].isin(compared)], units, labels, columns),
            *(() if tied else _copies(rows[rows["arm"].isin(arms_about)], units, columns)),
            *_nested(rows[rows["arm"].isin(compared)], units),
            *_too_few(judgement.verdict.n),
            *_left_out(
                judgement,
                rows[rows["arm"].isin(compared)] if independent else rows,
                units,
                {a: arms[a] for a in dict.fromkeys((main_arm, *parsed.arms))},
            ),
        ),
    )


def estimate(
    frame: pd.DataFrame | Mapping[str, Sequence] | Path | str,
    *,
    value: str,
    unit: str | Sequence[str],
    over: str = "",
    crosses: float | str | None = None,
    natural: tuple[float, float] | None = None,
    level: float = 0.95,
    scope: str = "",
    arm_column: str = "arm",
) -> Estimated:
    """Estimate a quantity such as "gated.fvu - relu.fvu" from the rows of a table, with its
    interval; over a column, a curve with a band, and where it crosses a value.

    Nothing judges it, so it needs no control, and a table without a column `arm` is one arm.

    Args:
        frame: a DataFrame, columns by name, or the path of a CSV.
        value: what is estimated, without a threshold.
        unit: one or two columns of independent units.
        over: a column whose levels the curve goes over.
        crosses: a value of the curve, to find where it has it; or "half".
        natural: the least and the greatest number that there can be; 0 and 1 of a column that has
            no other number.
        level: of the interval, 0 to 1.
        scope: for what the number speaks.
        arm_column: the column of arms.
    Raises: DataError when the table cannot be used, ClaimError when the quantity cannot be
    estimated on it.
    Example:
        >>> import assay
        >>> rows = {"seed": [0, 1, 2, 3, 4, 5], "fvu": [0.11, 0.12, 0.14, 0.10, 0.13, 0.15]}
        >>> number = assay.estimate(rows, value="fvu", unit="seed")
        >>> print(round(number.estimate, 3), round(number.t_low, 3), round(number.t_high, 3))
        0.125 0.105 0.145
    """
    units, parsed = _names(unit), parse(value, compared=False)
    rows, source = _rows(frame, arm_column, needed=False)
    _check_units(rows, units, parsed)
    axes = (*units, over) if over else units
    if over:
        if over in units:
            raise ClaimError(f"column {over!r} is a unit; a curve goes over another column")
        _check_units(rows, (over,), parsed, "over")
    known = [str(a) for a in rows["arm"].unique()]
    main_arm = _under_judgement(parsed, known, ())
    _check_arms(parsed, known, (main_arm,), source)
    columns = list(dict.fromkeys(c.name for c in parsed.columns))
    for column in columns:
        _check_numeric(rows, column, axes, source)
    dims = dict.fromkeys(dim for c in parsed.columns for dim in c.named)
    used = dict.fromkeys((main_arm, *parsed.arms))
    rows = rows[rows["arm"].isin(list(used))].copy()
    labels = _labels(rows, axes, columns, dims, source)
    foreign.within(
        math.prod(rows[name].nunique() for name in (*axes, *labels)),
        CELLS,
        source,
        f"combinations of {' and '.join((*axes, *labels))}",
    )
    bounds = (0.0, 1.0) if _is_share(rows, parsed) else None
    arms, notes = {}, list[str]()
    for arm in used:
        read = [replace(c, arm=arm) for c in parsed.columns if (c.arm or main_arm) == arm]
        arms[arm], told = _cells(rows[rows["arm"] == arm], arm, axes, labels, read)
        notes += told
    compute = _value(parsed, main_arm)
    if independent := len(axes) == 1 and apart.are_apart(arms, units[0]):
        notes.append(apart.in_words(arms, units[0]))
        parsed = apart.by_means(parsed, main_arm)
        compute, bounds = apart.put_apart(_value(parsed, main_arm), units[0]), None
    statement = Estimate(
        text=parsed.text,
        value=lambda data: compute(data[main_arm], data),
        units=units,
        statistic=parsed.statistic,
        over=over,
        crosses=crosses,
        natural=natural or bounds,
        bounds=bounds,
        source=source,
        condition=parsed.text,
    )
    number = structs.replace(estimates.estimate(statement, arms, level, scope), notes=tuple(notes))
    keys = {c.key: c.name for c in parsed.columns}
    return number if over or independent else rounding.widen(number, statement, arms, rows, keys)


def _dealt(
    rows: pd.DataFrame,
    main_arm: str,
    labelled: Sequence[str],
    parsed: Parsed,
    units: Names,
    labels: Names,
) -> xr.Dataset:
    """The arm under judgement with the labels of these arms dealt out. Raises: ClaimError where
    there is no other arm, too few units told first."""
    columns = list(dict.fromkeys(replace(c, arm=None) for c in parsed.columns))
    arms = {}
    for arm in labelled:
        own = [replace(c, arm=arm) for c in columns]
        with contextlib.suppress(ClaimError):  # an arm that lacks what the claim reads
            arms[arm] = _cells(rows[rows["arm"] == arm], arm, units, labels, own)[0]
    if len(arms) > 1:
        return deal(arms, main_arm)
    few = [(u, n) for u in units if (n := int(rows[u].nunique())) < FEWEST]
    first = "".join(f"too few units: {n} of {FEWEST} {plural(u, FEWEST)}; and " for u, n in few[:1])
    raise ClaimError(
        f"{first}a verdict needs a control, an arm for which the claim must fail: ",
        Argument("control", ("NAME",)),
        f"; the only arm is {main_arm}: add one",
    )


def _ceiling(
    rows: pd.DataFrame, parsed: Parsed, main_arm: str
) -> Callable[[Mapping[str, xr.Dataset]], str] | None:
    """What says that two arms that are compared by one column of 0 and 1 lie on the same bound."""
    columns = [replace(c, arm=c.arm or main_arm) for c in parsed.columns]
    shares = all(bool(rows[c.name].dropna().isin((0, 1)).all()) for c in columns)
    if len(columns) < 2 or len({c.key for c in columns}) > 1 or not shares:
        return None
    return ceiling(columns, (0.0, 1.0), lambda arm, c: arm[c.key])


def _is_share(rows: pd.DataFrame, parsed: Parsed) -> bool:
    """Whether what is asked for is one column by itself, which is 0 or 1 in every row."""
    return parsed.plain and all(
        bool(rows[c.name].dropna().isin((0, 1)).all()) for c in parsed.columns
    )


def _is_difference(rows: pd.DataFrame, parsed: Parsed, units: Names) -> bool:
    """Whether what is asked for is one column of two arms, the second taken from the first, which
    is 0 or 1 in every row: a difference that lies between -1 and 1."""
    columns, walk = parsed.columns, parsed.terms.get("value")
    if walk is None or len(units) > 1 or len(columns) != 2 or len({c.name for c in columns}) > 1:
        return False
    corners = [dict(zip(columns, ends, strict=True)) for ends in product((0.0, 1.0), repeat=2)]
    with np.errstate(all="ignore"):
        values = [float(walk(ends.__getitem__)) for ends in corners]
    shares = bool(rows[columns[0].name].dropna().isin((0, 1)).all())
    return shares and values in ([0.0, -1.0, 1.0, 0.0], [0.0, 1.0, -1.0, 0.0])


def _check_arms(parsed: Parsed, known: list[str], arms_named: Sequence[str], source: str) -> None:
    """Refuse an arm that the table has not, and one whose name reads as a difference."""
    for arm in (*parsed.arms, *arms_named):
        if arm not in known:
            # relu-again.fvu reads as a difference
            cut = next((a for a in known if arm in parsed.arms and arm in a.split("-")), "")
            hint = (
                f'did you mean "{cut}".column? Names with other signs are quoted'
                if cut
                else nearest(arm, known)
            )
            raise ClaimError(f"no arm {arm!r} in column arm of {source}; {hint}")
    for arm in known:  # random-probe.acc reads as a difference, too, where there is an arm probe
        read = rf"(?<![\w.\"'-]){re.escape(arm)}\s*\."
        if not arm.isidentifier() and re.search(read, parsed.text):
            raise ClaimError(
                f'the claim reads {arm}.column as a difference; did you mean "{arm}".column? '
                "Names with other signs are quoted"
            )


def _untied(judgement: Judged) -> Price:
    """What decides a claim where units tie: in a table of measured numbers, most often rounded
    ones."""
    how = (
        ", or name the bounds LOW HIGH of the claim's value (for a difference of shares -1 1)"
        if judgement.claim.statistic is mean and judgement.claim.bounds is None
        else ""
    )
    price = judgement.verdict.price
    if price and "for an exact interval" in price.text and not how:
        return price
    return Price(
        f"give the numbers unrounded{how}: {price.text.partition(':')[0]}, probably by rounding"
        if price
        else ""
    )


def _left_out(
    judgement: Judged, rows: pd.DataFrame, units: Names, arms: Mapping[str, xr.Dataset]
) -> list[str]:
    """A line for each unit of which levels are left out, with the arms of the verdict that lack
    them."""
    lines = []
    for unit, n in judgement.verdict.n.items():
        levels, other_units = rows[unit].nunique(), [u for u in units if u != unit]
        if n < levels:
            empty = [
                a
                for a, data in arms.items()
                if bool(data.to_array().isnull().any("variable").all(other_units).any())
            ]
            *some, last = empty or [""]
            why = (
                f"{' and '.join(filter(None, (', '.join(some), last)))} "
                f"{'have' if some else 'has'} no number there"
                if empty
                else "no arm has all numbers there"
            )
            are = "is" if levels - n == 1 else "are"
            lines.append(f"{levels - n} of {levels} {plural(unit, levels)} {are} left out: {why}")
    return lines


def _nested(rows: pd.DataFrame, units: Names) -> list[str]:
    """A line for each column of runs that are taken as they are: of which each unit has one, and
    fewer of them than units."""
    return [
        f"{name} is no unit here: the verdict is about these {count} {plural(name, count)}, and "
        f"says nothing of others; with --unit {name} it does"
        for name in RUNS
        if name in rows and name not in units
        for count in [rows[name].nunique()]
        if rows.groupby([*units])[name].nunique().max() == 1
        and count < rows.groupby([*units]).ngroups
    ]


def _too_few(n: Mapping[str, int]) -> list[str]:
    """What can be judged where one of two units has too few levels."""
    few = [unit for unit in n if n[unit] < FEWEST]
    return [
        f"--unit {other} alone, and mean(COLUMN, over={unit}) in the claim, would give a verdict "
        f"about these {n[unit]} {plural(unit, n[unit])}"
        for unit in few
        for other in n
        if other not in few
    ]


def _cautions(rows: pd.DataFrame, units: Names, labels: Names, columns: Sequence[str]) -> list[str]:
    """A line for each column of a few whole numbers in which the arms that are compared differ,
    though the claim does not name it."""
    lines = []
    averaged = rows.duplicated(["arm", *units, *labels]).any()
    for name in rows.columns:
        if name in ("arm", *units, *labels, *columns, *RUNS) or _texts(rows[name]):
            continue
        if _numbers(rows, name):
            continue
        values, by_arm = rows[name].astype(float), rows.groupby("arm", sort=False)[name].mean()
        few = 2 <= values.nunique() <= FEW_LEVELS and bool((values % 1 == 0).all())
        shift = by_arm.max() - by_arm.min()
        if few and (averaged or name.lower() in CONDITIONS) and shift > values.std() / 2:
            each = ", ".join(f"{arm} {mean:.3g}" for arm, mean in by_arm.items())
            lines.append(
                f"{name} differs between the arms that are compared ({each} on average), and the "
                f"claim does not name it: if it is a condition, write COLUMN[{name}=…], or "
                f"mean(COLUMN, over={name})"
            )
    return lines


def _alike(rows: pd.DataFrame, units: Names, labels: Names, columns: Sequence[str]) -> list[str]:
    """A line where rows are averaged of which nothing says in what they differ."""
    cell = ["arm", *units, *labels]
    telling = [c for c in rows.columns if c not in (*cell, *columns) and not _numbers(rows, c)]
    cells = rows.groupby(cell, sort=False)
    if cells.ngroups == len(rows) or any((cells[c].nunique() > 1).any() for c in telling):
        return []
    return [
        "no column tells the averaged rows apart: where they are of several settings, a column "
        "must say which"
    ]


def _copies(rows: pd.DataFrame, units: Names, columns: Sequence[str]) -> list[str]:
    """A line for each unit of which half of the levels or more have all the numbers of others, but
    for next to nothing; of whole numbers, such as right and wrong answers, many have. Raises:
    DataError where chance does not make numbers so alike."""
    lines = []
    whole = bool((rows[list(columns)].astype(float) % 1 == 0).all(axis=None))
    for unit in units if rows["arm"].nunique() > 1 and not whole else ():
        numbers = rows.groupby([unit, "arm"])[list(columns)].mean().unstack("arm").dropna()
        sets, near = numbers.value_counts(), len(numbers.apply(_clusters).drop_duplicates())
        if not 0 < 2 * near <= len(numbers):
            continue
        exact = 2 * len(sets) <= len(numbers)
        count = len(sets) if exact else near
        line = (
            f"the {len(numbers)} levels of {unit} have only {count} different "
            f"{plural('set', count)} of numbers{'' if exact else ', but for next to nothing'}: "
            "copies of a unit are no further units"
        )
        if exact and not _alike_by_chance(sets):
            raise DataError(
                f"{line}; keep the rows of one level of each set, or name what was drawn "
                "independently: ",
                Argument("unit", ("NAME",)),
            )
        lines.append(line)
    return lines


def _clusters(x: pd.Series) -> pd.Series:
    """Which numbers of a column are one, but for single precision or a hundredth of the gaps that
    as many numbers have on average."""
    low, high = x.quantile([0.25, 0.75])
    tolerance = max(1e-7 * x.abs().max(), 0.01 * (high - low) / len(x))
    return (x.sort_values().diff() > tolerance).cumsum()


def _alike_by_chance(sets: pd.Series) -> bool:
    """Whether units that have one set of numbers, of so many each, need not be copies: where most
    sets stand alone, numbers come again in other sets or arms, or lie on a grid."""
    numbers = np.unique(sets.index.to_frame().to_numpy(float), axis=1)
    varying = numbers[:, np.ptp(numbers, axis=0) > 0]
    return (
        varying.shape[1] < 2
        or (sets > 1).mean() < NEARLY
        or len(np.unique(varying)) < NEARLY * varying.size
        or any(map(_is_coarse, varying.T))
    )


def _is_coarse(x: np.ndarray) -> bool:
    """Whether numbers have three digits at most, or are shares of up to 200, four digits of them
    at least."""
    parts = np.array([*range(1, 201), 1000])[:, None]
    counts = parts * x / 10.0 ** np.ceil(np.log10(np.abs(x).max()))
    return bool((np.abs(counts - np.round(counts)) <= np.minimum(6e-5 * parts, 0.012)).all(1).any())


def _labels(
    rows: pd.DataFrame, units: Names, columns: list[str], label_names: Iterable[str], source: str
) -> Names:
    """The columns that the claim names as dimensions, and those that tell rows of one cell apart
    though it does not name them.

    Such are texts that stand in two rows or more on average, numbers of which nearly every cell has
    the same ones, and whatever is called as conditions are.
    Raises: ClaimError, DataError.
    """
    used_columns = ["arm", *units, *columns]
    for name in label_names:
        if name not in rows or name in used_columns:
            problem = (
                "cannot be selected or averaged over: it is "
                f"{'judged by the claim' if name in columns else 'what verdicts are about'}"
            )
            candidates = [c for c in rows.columns if c not in used_columns]
            raise ClaimError(
                f"column {name!r} {problem}"
                if name in rows
                else f"no column {name!r} in {source}; {nearest(name, candidates)}"
            )
        if _texts(rows[name]):
            rows[name] = rows[name].fillna("").astype(str)
        elif rows[name].isna().any():
            raise DataError(
                f"column {name!r}, which the claim names, is empty in {_places(rows[name].isna())}"
            )
    labels = list(label_names)
    cell = ["arm", *units, *(c for c in RUNS if c in rows and c not in units)]
    candidates = (
        [c for c in rows.columns if c not in (*cell, *columns, *labels) and not _numbers(rows, c)]
        if rows.duplicated([*cell, *labels]).any()
        else []
    )
    for name in sorted(
        candidates,
        key=lambda c: (not _texts(rows[c]), rows[c].dtype.kind == "f", rows[c].nunique()),
    ):
        cells = rows.groupby([*cell, *labels], sort=False, dropna=False)
        if bool((cells[name].nunique(dropna=False) > 1).any()) and (
            name.lower() in CONDITIONS or _recurs(rows[name], cells.ngroup().to_numpy())
        ):
            rows[name] = rows[name].fillna("").astype(str) if _texts(rows[name]) else rows[name]
            if UNNAMED.fullmatch(name):
                place = list(rows.columns).index(name) + 1
                some = ", ".join(map(str, rows[name].unique()[:2]))
                raise ClaimError(
                    f"column {place}, which has no name, tells rows apart ({some}), and nothing is "
                    "averaged that the claim does not name: name it in the header, and in the claim"
                )
            labels.append(name)
    return tuple(labels)


def _numbers(rows: pd.DataFrame, name: str) -> bool:
    """Whether a column only numbers the rows, as pandas' index does, and so tells none apart."""
    if _texts(rows[name]) or not (UNNAMED.fullmatch(name) or name.lower() == "index"):
        return False
    return (
        bool((rows[name] % 1 == 0).all())
        and rows[name].is_monotonic_increasing
        and (rows[name].is_unique)
    )


def _texts(values: Any) -> bool:
    from pandas.api.types import is_numeric_dtype

    return not is_numeric_dtype(values)


def _recurs(values: pd.Series, cell: np.ndarray) -> bool:
    """Whether values are labels: texts that come again, or numbers, the same ones in every cell but
    those few that lack a row."""
    if _texts(values):
        texts = values[values.notna() & (values != "")]
        return 2 * texts.nunique() <= len(texts)
    counts = np.bincount(cell)
    if len(counts) == 1 or 2 * values.nunique() > len(values):
        return False
    in_order = values.to_numpy()[np.lexsort((values.to_numpy(), cell))]
    cells = Counter(map(tuple, np.split(in_order, np.cumsum(counts)[:-1])))
    _, most = cells.most_common(1)[0]
    return most >= NEARLY * len(counts)


def _cells(
    rows: pd.DataFrame, arm: str, units: Names, labels: Names, columns: Sequence[Column]
) -> tuple[xr.Dataset, list[str]]:
    """The numbers of one arm that the claim names, with the units as dims, and what was done to its
    rows."""
    grouped = rows.groupby([*units, *labels], sort=True)[
        list(dict.fromkeys(c.name for c in columns))
    ]
    cells = grouped.mean().where(
        grouped.count().eq(grouped.size(), axis=0)
    )  # one missing row makes its cell missing
    notes = []
    if len(cells) < len(rows):
        axes = " × ".join((*units, *labels))
        notes.append(
            f"{arm}: {len(rows):,} rows averaged into {len(cells):,} "
            f"{plural('cell', len(cells))} of {axes}"
        )
    whole = xr.Dataset.from_dataframe(cells)
    data = xr.Dataset({c.key: c.take(whole[c.name], units) for c in columns})
    present = data.to_array().notnull().all("variable")
    missing = int(present.size - present.sum())  # combinations that no row has among them
    if missing:
        notes.append(f"{arm}: {missing:,} {plural('cell', missing)} with a missing number left out")
    return data, notes


def _claim(
    parsed: Parsed,
    main_arm: str,
    units: Names,
    controls: Names,
    planted: Names,
    allowed: Names,
    bounds: tuple[float, float] | None,
    source: str,
) -> Claim:
    return Claim(
        text=parsed.text,
        value=_value(parsed, main_arm),
        units=units,
        statistic=parsed.statistic,
        low=parsed.low,
        high=parsed.high,
        of=main_arm,
        must_fail=controls,
        must_hold=planted,
        also=dict.fromkeys(allowed, rival("named by whoever asked")),
        bounds=bounds,
        threshold_from=GIVEN,
        source=source,
    )


def _of_groups(parsed: Parsed, main_arm: str, unit: str) -> dict[str, Any]:
    """What a claim about independent groups computes. Raises: ClaimError."""
    means = apart.by_means(parsed, main_arm)
    value = apart.put_apart(_value(means, main_arm), unit)
    return {"value": value, "statistic": means.statistic, "bounds": None}


def _value(parsed: Parsed, main_arm: str) -> Value:
    """What a text compares or estimates, of the cells of arms."""

    def value(arm: xr.Dataset, arms: Mapping[str, xr.Dataset]) -> dict[str, xr.DataArray]:
        dealt = OTHERS in arm.attrs
        beside = arm.attrs[OTHERS] if dealt else arms

        def numbers(c: Column) -> xr.DataArray:
            read.append((arm if c.arm is None or c.arm == main_arm else beside[c.arm])[c.key])
            return read[-1]

        terms = {}
        for term, walk in parsed.terms.items():
            read: list[xr.DataArray] = []
            with np.errstate(all="ignore"):  # told below, in one line
                terms[term] = walk(numbers)
            # left out silently, such units would leave a mean over those that the function happens
            # to accept
            lost = int((np.isnan(terms[term]) & ~reduce(or_, map(np.isnan, read))).sum())
            if lost:
                problem = (
                    f"{parsed.text if term == 'value' else term} is no number in {lost} "
                    f"{plural('cell', lost)}"
                )
                raise ClaimError(
                    f"{problem}: a log or root of a negative number, or 0/0; judge another quantity"
                )
        # What comes of all deals on average is one number a unit.
        return {t: x.mean(DEAL, skipna=False) for t, x in terms.items()} if dealt else terms

    return value


def _rows(
    frame: Any,
    arm_column: str,
    *,
    needed: bool = True,
    wide: Callable[[Sequence[str]], str] = lambda names: "",
) -> tuple[pd.DataFrame, str]:
    """The rows of a table, with a column `arm`, and what to call it; where the column is not
    needed, a table without it is the arm main. `wide` says of columns what mends them where arms
    are among them."""
    import pandas as pd

    source = "the table"
    if isinstance(frame, (str, Path)):
        path, source = Path(frame), str(frame)
        try:
            separator = "\t" if path.suffix == ".tsv" else ","
            # pandas renames the second of two equal names before anybody could ask which one is
            # meant
            text = foreign.read(path, "a CSV file", LARGEST)
            if path.suffix.lower() in OTHER_FORMATS or text.startswith(b"PAR1"):
                raise DataError(
                    f"{source} is no CSV: tables are read as text, separated by commas, or by tabs "
                    "in a .tsv; write one with pandas' to_csv(…, index=False), or in Python hand "
                    "the DataFrame to assay.judge"
                )
            foreign.within(
                text.partition(b"\n")[0].count(separator.encode()) + 1, WIDEST, path, "columns"
            )
            header = pd.read_csv(
                io.BytesIO(text),
                sep=separator,
                header=None,
                nrows=1,
                dtype=str,
                keep_default_na=False,
            )
            if len(header.columns) == 1:
                _check_separator(source, arm_column, str(header.iloc[0, 0]), decimals=True)
            twice = [
                name
                for name, n in Counter(str(c).strip() for c in header.iloc[0]).items()
                if name and n > 1
            ]
            if twice:
                raise DataError(
                    f"{source} has several columns called {twice[0]!r}; a column has one name "
                    "of its own"
                )
            # an arm may well be called "null", which pandas would read as nothing
            frame = pd.read_csv(
                io.BytesIO(text),
                sep=separator,
                float_precision="round_trip",
                keep_default_na=False,
                na_values=[""],
            )
        except pd.errors.EmptyDataError as e:
            raise DataError(
                f"{source} is empty; expected a header line with arm, the units and the numbers"
            ) from e
        except (UnicodeDecodeError, pd.errors.ParserError) as e:
            packed = path.suffix in (".gz", ".bz2", ".zip", ".xz", ".zst", ".tar", ".tgz")
            if isinstance(e, UnicodeDecodeError) and not packed:
                raise DataError(
                    f"{source} is not a comma-separated table: it is not UTF-8 text (byte "
                    f"{e.start:,}); save it as UTF-8"
                ) from e
            why = str(e).splitlines()[0].strip()
            if counts := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", why):
                names, line, values = counts.groups()
                why = f"line {line} has {values} values, the header {names} names; {TOO_MANY}"
            raise DataError(
                f"{source} is not a comma-separated table{' (unpack it first)' * packed}: {why}"
            ) from e
        if not isinstance(
            frame.index, pd.RangeIndex
        ):  # pandas would take the first column for row names
            raise DataError(
                f"{source} is not a comma-separated table: line 2 has more values than the header "
                f"has names; {TOO_MANY}"
            )
    try:
        if isinstance(frame, Mapping):
            frame = {
                name: value.tolist() if is_tensor(value) else value for name, value in frame.items()
            }
        rows = pd.DataFrame(frame)
    except (ValueError, TypeError) as e:
        why = str(e).splitlines()[0]
        raise DataError(
            f"expected a DataFrame, or columns of one length, got {type(frame).__name__}: {why}"
        ) from e
    rows = rows.rename(columns=lambda c: plain(str(c)).strip())
    if rows.columns.duplicated().any():
        raise DataError(
            f"{source} has several columns called {rows.columns[rows.columns.duplicated()][0]!r}"
        )
    if not needed and arm_column == "arm" and "arm" not in rows.columns:
        rows = rows.assign(arm="main")
    if len(rows.columns) == 1:
        _check_separator(source, arm_column, str(rows.columns[0]))
    if arm_column not in rows.columns:
        if how := wide(list(rows.columns)):
            raise DataError(f"{source} has no column {arm_column!r}, but {how}")
        raise DataError(
            f"{source} has no column {arm_column!r}, which says what each row is a run of; "
            f"{nearest(arm_column, rows.columns)}; another name is given with ",
            Argument("arm_column", "NAME"),
            " (arm_column= in Python)",
        )
    if arm_column != "arm":
        if (
            "arm" in rows.columns
        ):  # a claim may name it, and a column that vanishes is one that nobody judges
            raise DataError(
                f"{source} has a column 'arm' beside {arm_column!r}; rename one of them, or "
                "judge by 'arm'"
            )
        rows = rows.rename(columns={arm_column: "arm"})
    if rows.empty:
        raise DataError(f"{source} has no rows")
    rows["arm"] = rows["arm"].astype(object).map(_label)
    if rows["arm"].isna().any():
        raise DataError(f"{source} has no arm in {_places(rows['arm'].isna())}")
    rows["arm"] = rows["arm"].str.strip()
    return rows, source


def _wide(names: Sequence[str], parsed: Parsed, units: Names) -> str:
    """Which columns look like arms of the claim, and how they become rows; "" where none does."""
    pairs = {(c.arm, c.name) for c in parsed.columns if c.arm}
    arms = [
        n
        for n in names
        if any(n == a or re.fullmatch(rf"{re.escape(a)}[\W_]?{re.escape(x)}", n) for a, x in pairs)
    ]
    if not arms:
        return ""
    listed = " and ".join(map(repr, arms))
    rename = "" if set(arms) <= set(parsed.arms) else "name each after its arm alone; "
    ids = [n for n in names if n in units]
    return (
        f"{listed} look like arms: a table has one row for each arm and unit; {rename}"
        f"table.melt({ids}, var_name='arm', value_name={parsed.columns[0].name!r}) of pandas "
        "makes them"
    )


def _check_separator(source: str, arm_column: str, name: str, *, decimals: bool = False) -> None:
    """Refuse a table whose only column has a name of several, parted by another sign."""
    if other := re.search(r"[;\t|]", name):
        points = ", and decimal points" if decimals else ""
        raise DataError(
            f"{source} has no column {arm_column!r}, but one called {name!r}: its values are "
            f"separated by {other[0]!r}; write commas{points}"
        )


def _check_units(
    rows: pd.DataFrame, units: tuple[str, ...], parsed: Parsed, role: str = "unit"
) -> None:
    if not 1 <= len(units) <= 2 or len(set(units)) < len(units):
        got = ", ".join(units) or "none"
        raise ClaimError(
            "name one or two columns whose levels are independent units, such as ",
            Argument("unit", ("seed",)),
            f"; got {got}",
        )
    for unit in units:
        if unit == "arm" or unit in (c.name for c in parsed.columns):
            what = "a unit" if role == "unit" else "what a curve goes over"
            taken = "judged by the claim" if parsed.kind == "claim" else "what is estimated"
            raise ClaimError(
                f"column {unit!r} cannot be {what}: it is {'the arm' if unit == 'arm' else taken}"
            )
        if unit not in rows.columns:
            raise ClaimError(
                f"no column {unit!r} to be {'a unit' if role == 'unit' else 'a swept field'}; "
                f"{nearest(unit, [c for c in rows.columns if c != 'arm'])}"
            )
        if (
            rows[unit].dtype.kind == "O"
        ):  # 3 and "d3" in one column cannot be put in order otherwise
            rows[unit] = rows[unit].astype(object).map(_label)
        elif rows[unit].dtype.kind == "f":
            rows[unit] = rows[unit].astype(float)  # of halves pandas forms no groups
        if rows[unit].isna().any():
            raise DataError(f"{role} column {unit!r} is empty in {_places(rows[unit].isna())}")


def _under_judgement(parsed: Parsed, known: list[str], controls: tuple[str, ...]) -> str:
    """The first arm named; without one, main, or the only arm that is no control."""
    candidates = [a for a in known if a not in controls]
    if parsed.arms:
        return parsed.arms[0]
    if "main" in known:
        return "main"
    if len(candidates) == 1:
        return candidates[0]
    raise ClaimError(
        f"which arm is the {parsed.kind} about? Write arm.column, with one of "
        f"{', '.join(candidates or known)}"
    )


def _check_controls(main_arm: str, parsed: Parsed, other_arms: tuple[str, ...]) -> None:
    for arm in other_arms:
        if arm == main_arm or arm in parsed.arms:
            why = f"putting it in the place of {main_arm!r} would compare it with itself"
            advice = (
                "a control is another arm, such as the same training on shuffled data or with "
                "other seeds"
            )
            raise ClaimError(f"arm {arm!r} stands in the claim itself, so {why}; {advice}")


def _check_numeric(rows: pd.DataFrame, column: str, units: tuple[str, ...], source: str) -> None:
    import pandas as pd

    if column not in rows.columns:
        candidates = [c for c in rows.columns if c not in ("arm", *units)]
        raise ClaimError(f"no column {column!r} in {source}; {nearest(column, candidates)}")
    raw = (
        rows[column]
        if rows[column].dtype.kind in "biuf"
        else rows[column].astype(object).map(_real)
    )
    numeric = pd.to_numeric(raw, errors="coerce")
    wrong = numeric.isna() & raw.notna() & ~raw.astype(str).str.strip().isin(MISSING)
    if wrong.any():
        raise DataError(
            f"column {column!r} must hold numbers, got {str(raw[wrong].iloc[0])[:80]!r} in "
            f"{_places(wrong)}{_as_number(str(raw[wrong].iloc[0]).strip())}"
        )
    if np.isinf(numeric).any():
        raise DataError(
            f"column {column!r} is infinite in {_places(np.isinf(numeric))}; a mean of it means "
            f"nothing{EMPTY}"
        )
    rows[column] = numeric.astype(float)


def _as_number(text: str) -> str:
    """How a percentage or a decimal comma is written here, as the end of a sentence; of any other
    text, that a cell may be empty."""
    if share := re.fullmatch(r"([-+]?\d*\.?\d+)\s*%", text):
        return f"; write {share[1]}, without the sign"
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+", text):  # thousands, or three decimals
        return "; write thousands without a comma, and decimals behind a point"
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        return f"; write {text.replace(',', '.')}, with a point"
    return EMPTY


def _real(value: Any) -> Any:
    """A cell of a column of any kind: a number, None for none, else its text; pandas would read
    times and bytes as numbers."""
    if _nothing(value):
        return None
    if isinstance(value, numbers.Real | Decimal | np.bool_):
        with contextlib.suppress(OverflowError, ValueError):
            return float(value)
    return plain(value if isinstance(value, str) else repr(value))


def _label(value: Any) -> Any:
    """What a cell of any kind calls an arm or a level of a unit: its text, None for none."""
    # Half a character, which no file can hold, is replaced; what a terminal obeys is changed where
    # it is printed.
    return None if _nothing(value) else str(value).encode("utf-8", "replace").decode()


def _nothing(value: Any) -> bool:
    return (
        value is None
        or type(value).__name__ == "NAType"
        or (isinstance(value, float) and math.isnan(value))
    )


def _places(where: Any) -> str:
    row_numbers = (np.flatnonzero(np.asarray(where)) + 1).tolist()
    first = ", ".join(map(str, row_numbers[:3]))
    return (
        f"row {first}"
        if len(row_numbers) == 1
        else f"rows {first}{' …' if len(row_numbers) > 3 else ''} ({len(row_numbers)} in all)"
    )


def _names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())
