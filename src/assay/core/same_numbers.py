"""Same numbers: units that are numbered anew in each arm, such as latents of two dictionaries, or
prompts that each arm drew for itself, so that those of one number need not be the same: if nothing
that a table says of them agrees between arms, each arm has units of its own."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from assay.core.nouns import joined, plural
from assay.core.rows import is_text
from assay.core.table_columns import RUNS, words_in
from assay.core.table_question import Question
from assay.core.unlike_arms import MEASURED, SETTINGS
from assay.core.unlike_sides import BASELINE, made_of

if TYPE_CHECKING:
    import pandas as pd

PARTS = frozenset(("latent", "feature", "neuron", "direction", "component", "atom", "head"))
"""Words in the names of units that are parts of a model or of a dictionary."""
FEWEST_COMMON, MANY = 16, 12
"""Units that arms have in common, at least, for their columns to be compared; so many different
numbers, at least, does a column have that describes a unit."""
FEW_COMMON = 0.2
"""The share of an arm's units up to which those of the same name in another may be so by chance."""
AGREE, SURELY = 0.3, 1.645
"""The mean rank correlation of columns, plus so many standard errors, below which arms have nothing
in common at units of one number."""
NEARLY_SAME = 0.5
"""That of numbers of the unchanged model, which would be 1 but for noise."""
BY_CHANCE, SOME = 3.291, 0.1
"""From how many standard errors on one column alone shows that they have; the share of units that
have equal values, more than by chance, at least."""


def separated(question: Question) -> tuple[Question, list[str]]:
    """The question in which each arm has units of its own, and a note, if these are parts of a
    model, or are mere numbers and a column says what each was before any arm changed it; if they
    differ in nothing but a number or a name that each arm may give to another one, and no column
    says that they are the same. Else the question as it is."""
    unit, *more = question.axes
    words = {w.removesuffix("s") for w in re.split(r"[\W_\d]+", unit.casefold())}
    if more or question.fixed or not question.compared[1:]:
        return question, []
    units, arms = plural(unit, 2), joined(question.compared)
    if few := _few_in_common(question, words):
        note = (
            f"only {few} {units} have the same name in {arms}: judged as other {units} in each "
            "arm, as where each arm drew its own"
        )
    elif (PARTS & words or _are_numbered(question, words)) and not any(
        _agree(question, *pair) for pair in itertools.combinations(question.compared, 2)
    ):
        note = (
            f"no column agrees between {units} of {arms} that have the same name: judged as other "
            f"{units} in each arm; if they are the same, add a column that says what each is"
        )
    else:
        return question, []
    own = question.rows["arm"].astype(str) + " " + question.rows[unit].astype(str)
    return replace(question, rows=question.rows.assign(**{unit: own})), [note]


def _few_in_common(question: Question, words: set[str]) -> str:
    """How many units have the same name in two arms, in words, if these are so few that chance may
    explain them, as where each arm drew its units from thousands; "" for settings and runs, for
    names that are none of parts or numbers, and where no unit or no pair of arms has few."""
    (unit,), rows = question.axes, question.rows
    levels = {arm: {*question.of([arm])[unit].astype(str)} for arm in question.compared}
    is_drawn = not ({*RUNS} | SETTINGS) & words and rows[unit].astype(str).str.isdigit().all()
    if not (PARTS & words or is_drawn) or min(map(len, levels.values())) < FEWEST_COMMON:
        return ""
    both = [
        (len(a & b), min(len(a), len(b))) for a, b in itertools.combinations(levels.values(), 2)
    ]
    if not any(n for n, _ in both) or any(n >= FEW_COMMON * size for n, size in both):
        return ""
    n, size = max(both)
    return f"{n} of {size}"


def _are_numbered(question: Question, words: set[str]) -> bool:
    """Whether units are mere numbers, and no runs, and a column says what each is before any arm
    changes it: a number of the unchanged model, or a length that some arms have in common, which
    is none of what they generated. A baseline from which a gain is computed may be each arm's."""
    (unit,), rows = question.axes, question.rows
    if {*RUNS} & words or not rows[unit].astype(str).str.fullmatch(r"\d+").all():
        return False
    parts = (x for _, a, _, b in made_of(question) for x in (a, b))
    taken = (*question.taken, *parts)
    names = [str(x) for x in rows if x not in taken and not is_text(rows[x])]
    names = [x for x in names if rows[x].nunique() >= MANY]
    if any(BASELINE & words_in(x) for x in names):
        return True
    for name in (x for x in names if MEASURED & words_in(x)):
        each = rows.groupby([unit, "arm"])[name].mean().unstack("arm")
        pairs = itertools.combinations(each, 2)
        if any(_equal(each[[*pair]].dropna()) for pair in pairs):
            return True
    return False


def _agree(question: Question, a: str, b: str) -> bool:
    """Whether columns show, or may show, that units of the same name are the same in two arms: one
    agrees, or all together may do so, or there are too few units or columns to tell."""
    (unit,), rows = question.axes, question.of([a, b])
    taken = ("arm", unit, *question.labels)
    correlations, n, described, known = list[float](), 0, False, list[float]()
    for name in (str(x) for x in rows if x not in taken):
        each = rows.groupby([unit, "arm"])[name]
        both = (each.first() if is_text(rows[name]) else each.mean()).unstack("arm")
        both = both.reindex(columns=[a, b]).dropna()
        if _equal(both):
            return True
        if not is_text(rows[name]) and both.nunique().min() >= MANY:
            correlations.append(float(both.rank().corr().to_numpy()[0, 1]))
            n = max(n, len(both))
            described |= name not in question.columns
            known += [correlations[-1]] * bool(BASELINE & words_in(name))
            if abs(correlations[-1]) * math.sqrt(len(both) - 1) > BY_CHANCE:
                return True
    if n < FEWEST_COMMON or not described:
        return True
    likely, enough = (known, NEARLY_SAME) if known else (correlations, AGREE)
    error = 1 / math.sqrt((n - 1) * len(likely))
    return float(np.mean(likely)) + SURELY * error > enough


def _equal(both: pd.DataFrame) -> bool:
    """Whether values are equal at the same units more often than by chance."""
    equal, n = (both.iloc[:, 0] == both.iloc[:, 1]).sum(), len(both)
    shares = [both[arm].value_counts(normalize=True) for arm in both]
    expected = float(shares[0].mul(shares[1]).sum())
    error = math.sqrt(n * expected * (1 - expected))
    return n > 0 and expected < 1 and bool(equal - n * expected > max(SOME * n, BY_CHANCE * error))
