"""Unlike arms: what the rows show of arms that were not measured alike: a number that is copied to
several units of an arm, a setting that was chosen anew for each unit of one arm only, a control
that was weaker, an arm with more active latents, and numbers in another unit of measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core import shares
from assay.core.intervals import FEWEST
from assay.core.nouns import counted, joined, plural
from assay.core.reasons import draws_counted
from assay.core.results import Judged, with_note
from assay.core.rounding import grid
from assay.core.rows import Names, is_text
from assay.core.table_columns import LOSSES, is_overlapping, words_in
from assay.core.table_question import Question

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = frozenset(
    (
        *("layer", "layers", "block", "head", "heads", "site", "width", "threshold", "temperature"),
        *("pos", "position", "positions", "k", "rank", "lr", "strength", "alpha", "beta", "coef"),
        *("coeff", "coefficient", "scale", "multiplier"),
    )
)
"""Words in the names of columns that are settings of a method."""
ENDS = frozenset(("epoch", "epochs", "step", "steps", "checkpoint", "ckpt", "iteration"))
"""Words in the names of columns that say when training ended, each run at a time of its own."""
DOSES = frozenset(
    ("strength", "alpha", "coef", "coeff", "coefficient", "scale", "multiplier", "norm")
)
"""Words in the names of numbers that say how strongly an arm was changed."""
STRENGTHS = DOSES | {
    *("l0", "k", "rank", "heads", "neurons", "latents", "features", "positions", "edges")
}
"""Words in the names of numbers of which a control that has fewer is weaker."""
ADDED = frozenset(
    (
        *("delta", "added", "shift", "vector", "vec", "direction", "steer", "steering"),
        *("intervention", "perturbation", "injection", "injected"),
    )
)
"""Words in the name of a norm that say that it is that of what was added to a model."""
INPUTS = frozenset(("prompt", "question", "sentence", "problem", "passage", "input", "instruction"))
"""Words in the names of columns of texts that a model is given."""
MEASURED = frozenset(("hash", "sha", "md5", "tokens", "length", "len", "words", "chars"))
"""Words in the names of columns of numbers that say which text it was."""
PERPLEXITY = frozenset(("ppl", "perplexity"))
"""Words in the names of columns that say how likely what an arm wrote is. A length is none: whether
the number follows it can be seen from the rows."""
UNLIKE = 1.5
"""How many times as large a perplexity is from which it may be the cause."""
NUMBER = r"^\W*x?(\d+(?:\.\d+)?)x?\W*$"
"""A number that is all of a text, such as x8."""
FEW_UNLIKE, SHOWN = 0.1, 40
"""The share of units up to which arms may have other texts; letters of a text that are shown."""
SURELY = 3.291
"""From how many standard errors on a strength differs from another."""
MORE = 1.1
"""How many times as much an arm spends, or as strong it is, from which it is said."""
EXACT, OTHER, VARIED = 2e-3, 0.01, 0.05
"""The relative spread up to which a ratio of numbers is the same in all units, how far it then is
from 1, and the relative spread that the numbers themselves have."""
MOST_OPTIONS = 100
"""Options of a task up to which a number may be that of chance, 1 of these."""
EACH = 3
"""So many units on average have the same number, at least, where it may be a copy."""
FINE = 1e-3
"""The step of numbers, such as shares of so many answers, of which many are exactly 0 or 1."""
DIGITS = 5e-4
"""By how much a number that is rounded may lie from that of chance."""


def doubted(question: Question, judgement: Judged, controls: Names) -> Judged:
    """A decided verdict, with that reserve and a note on each way in which arms are unlike; of a
    claim about one arm, its controls."""
    found: list[Callable[[Question], Iterator[tuple[str, str]]]] = []
    if judgement.outcome == "holds":
        found = [partial(of, controls=controls) for of in (_weaker, _unlike_perplexity)]
    if judgement.outcome == "holds" and question.compared[1:]:
        failed = [c for c, v in judgement.controls.items() if v.outcome == "fails"]
        chosen = partial(_chosen, failed=failed)
        found = [_copied, _kept, chosen, _scaled, *found, _spent, _stronger, _other_inputs]
    if judgement.outcome in ("holds", "fails") and question.compared[1:]:
        found = [*found, _scaled_to_ends]
    if judgement.outcome == "holds" and not question.compared[1:]:
        found = [_chosen_in_one, *found]
    for unless, note in (x for of in found for x in of(question)):
        if any(note.split(" in ")[0] in said for said in judgement.notes):
            continue  # which another search has found
        judgement = with_note(judgement, note, unless)
    return judgement


def _copied(question: Question) -> Iterator[tuple[str, str]]:
    """An arm that has one number in all of its units, or each of a few numbers in several, where
    another arm has a number of its own in each unit, and that no chance explains."""
    (unit, *more), rows = question.axes, question.read
    for name in question.columns if not more else ():
        cells = rows.dropna(subset=[name]).groupby(["arm", unit])[name].mean().groupby("arm")
        counts = {str(arm): x.value_counts() for arm, x in cells if arm in question.compared}
        if not any(len(x) > 1 and x.max() == 1 for x in counts.values()):
            continue
        for arm, x in counts.items():
            known = any(map(is_of_chance, x.index[x > 1]))
            if x.sum() < FEWEST or x.sum() < EACH * len(x) or known:
                continue
            few = f"one {name}, {x.index[0]:g}," if len(x) == 1 else f"{len(x)} different numbers"
            yield (
                f"{name} of {arm} was copied from one {unit} to others",
                f"{arm} has {few} in {counted(int(x.sum()), unit)}: if {name} was not measured in "
                f"each {unit}, the interval lacks the spread that it has; give {arm} the {name} "
                f"that each {unit} has",
            )


def _kept(question: Question) -> Iterator[tuple[str, str]]:
    """An arm that is right in all of its units, or wrong in all, where another is not."""
    (unit, *more), rows = question.axes, question.read
    main, *others = question.compared
    for name in question.columns if not more else ():
        x = rows.dropna(subset=[name]).groupby("arm")[name]
        low, high, several = x.min(), x.max(), plural(unit, 2)
        is_share = low[main] < high[main] and {low[main], high[main]} <= {0.0, 1.0}
        for arm in (a for a in others if is_share and low[a] == high[a] and low[a] in (0, 1)):
            yield (
                "",
                f"{arm} has {name} {low[arm]:g} in each of its {x.size()[arm]} rows: if "
                f"{several} were kept for that, the claim is about such {several} only; and where "
                f"answers are sampled, measure {arm} again in a run that chose no {several}, as "
                "the difference may be smaller there",
            )


def _scaled_to_ends(question: Question) -> Iterator[tuple[str, str]]:
    """Numbers that go from one 0 to one 1 in each arm, which is then compared by its own scale."""
    for name in question.columns:
        each = [question.of([arm])[name].dropna().to_numpy(float) for arm in question.compared]
        ends = all(x.size and (x.min(), x.max()) == (0, 1) for x in each)
        once = all((x == end).sum() == 1 for x in each for end in (0, 1))
        once = once and all(2 * len(np.unique(x)) > len(x) for x in each)  # no shares of a few
        if ends and once and grid(np.concatenate(each)) <= FINE:
            arms = joined(question.compared)
            yield (
                f"{name} was scaled to 0 to 1 in each arm by itself",
                f"{name} is exactly 0 in one row and exactly 1 in one row of each of {arms}: if "
                "the least and the greatest number of each arm was set to these, arms are not "
                f"compared by {name}; judge the numbers before that",
            )


def is_of_chance(x: float) -> bool:
    """Whether a number may be known without measuring: a whole one, or 1/k or 1 − 1/k."""
    shares = (abs(x) % 1, 1 - abs(x) % 1)
    chances = (1 / k for k in range(2, MOST_OPTIONS + 1))
    return x % 1 == 0 or any(abs(s - c) < DIGITS * min(1, 10 * c) for c in chances for s in shares)


def _chosen(question: Question, failed: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A setting that differs from unit to unit in one arm, and in no other, unless it differs as
    much in a control in place of this arm, of which the claim fails: the choice does not suffice.
    """
    for name, (arm, units) in settings_of_one(question).items():
        each = question.rows.groupby("arm")[name].nunique()
        if arm == question.main and any(2 * each[c] > each[arm] for c in failed if c in each):
            continue
        values = counted(question.of([arm])[name].nunique(), "value")
        others = joined([a for a in question.compared if a != arm])
        unit, several = joined(units), joined([plural(u, 2) for u in units])
        yield (
            f"{name} was chosen for each {unit} by its result",
            f"{name} differs between {several} in {arm}, {values}, and not in {others}: if the "
            f"best one was chosen for each {unit}, {arm} is better even where no {name} has an "
            f"effect; choose it on other {several}",
        )


def _chosen_in_one(question: Question) -> Iterator[tuple[str, str]]:
    """A setting that differs from unit to unit in the only arm that a claim is about, and in no
    other of the table."""
    for name, (arm, units) in settings_of_one(question).items():
        values = counted(question.of([arm])[name].nunique(), "value")
        unit, several = joined(units), joined([plural(u, 2) for u in units])
        yield (
            f"{name} was chosen for each {unit} by its result",
            f"{name} differs between {several} in {arm}, {values}, and in no other arm: if the "
            f"best one was chosen for each {unit}, the number is that large even where no {name} "
            f"has an effect; choose it on other {several}",
        )


def settings_of_one(question: Question) -> dict[str, tuple[str, Names]]:
    """Settings that differ from unit to unit in one of the arms that are compared, and in no other;
    of a claim about one arm, in this one, and in no other of the table: the arm of each, and what
    units it differs between. One that follows from what is known of a unit was not chosen by its
    result."""
    arms = question.compared if question.compared[1:] else question.known
    cell, rows, found = question.axes, question.of(arms), dict[str, tuple[str, Names]]()
    for name in _named(question, SETTINGS | ENDS, texts=True):
        values = rows.groupby("arm")[name].nunique()
        several = [arm for arm in arms if values[arm] > 1]
        if len(several) != 1 or several[0] not in question.compared or not arms[1:]:
            continue
        each = rows[rows["arm"] == several[0]].drop_duplicates([*cell, name])
        units = next(((u,) for u in cell if each.groupby(u)[name].nunique().max() == 1), cell)
        each = each.drop_duplicates([*units, name])
        least = len(each) if ENDS & words_in(name) else len(each) / 2
        if each.duplicated([*units]).any() or values.max() > least:
            continue  # each unit has several, or nearly all differ
        known = (str(x) for x in rows if x not in ("arm", name, *cell, *question.columns))
        known = (x for x in known if rows.groupby([*cell])[x].nunique(dropna=False).max() == 1)
        if not any(_follows(each[name], each[x]) for x in known):
            found[name] = several[0], units
    return found


def _follows(x: pd.Series, of: pd.Series) -> bool:
    """Whether values follow from those of another column, of which each comes again."""
    return 2 <= of.nunique() <= len(of) / 2 and bool(x.groupby(of).nunique().max() == 1)


def _scaled(question: Question) -> Iterator[tuple[str, str]]:
    """An arm whose number is the same multiple of another's in each unit."""
    main, *others = question.compared
    (unit, *more), rows = question.axes, question.read
    for name in question.columns if not more else ():
        cells = rows.groupby([unit, "arm"])[name].mean().unstack()
        for other in others:
            x = cells[[main, other]].dropna()
            ratio = x[main] / x[other]
            if len(x) < FEWEST or not np.isfinite(ratio).all() or ratio.mean() <= 0:
                continue
            is_same = ratio.std() < EXACT * ratio.mean() and abs(ratio.mean() - 1) > OTHER
            if is_same and x[other].std() > VARIED * abs(x[other].mean()):
                times = f"{ratio.mean():.4g} times that of {other}"
                yield (
                    f"{name} of {main} is in another unit, {times}",
                    f"{name} of {main} is {times} in each {unit}, as numbers are that are in "
                    "another unit, such as bits in place of nats (1.443 times as many): give both "
                    "in the same one",
                )


def weaker(question: Question, controls: Names) -> dict[tuple[Names, str, str], list[str]]:
    """Controls that have less than the arm under judgement of what makes an intervention strong,
    the product of what columns say of it, such as a coefficient and the norm of a vector, and not
    as much as the arm that this is compared with: by these columns, and by what both have."""
    rows, (main, *others), strengths = question.rows, question.compared, {}
    for name in _named(question, STRENGTHS, texts=True):
        written = rows[name].astype(str).str.extract(NUMBER)[0].astype(float)
        of_arms = written.groupby(rows["arm"])
        if _is_given(of_arms, name) and _is_strength(of_arms, words_in(name)):
            x = of_arms.mean().abs()
            strengths[name] = x[x > 0]
    found: dict[tuple[Names, str, str], list[str]] = {}
    for control in controls:
        both = [name for name, x in strengths.items() if {control, main} <= {*x.index}]
        own, judged = (math.prod(strengths[k][arm] for k in both) for arm in (control, main))
        rest = [math.prod(strengths[k].get(arm, 0) for k in both) for arm in others]
        if MORE * own < judged and not any(own < MORE * x and x < MORE * own for x in rest):
            words = (tuple(both), f"{own:.3g}", f"{judged:.3g}")
            found.setdefault(words, []).append(control)
    return found


def _weaker(question: Question, controls: Names) -> Iterator[tuple[str, str]]:
    """A control that is weaker than the arm under judgement."""
    main = question.main
    for (names, least, most), those in weaker(question, controls).items():
        name, verb = joined(names), "are" if names[1:] else "is"
        has = f"{name} with the product" if names[1:] else name
        for control in draws_counted(those):
            yield (
                f"the {name} of {control} {verb} too low",
                f"control {control} has {has} {least}, and {main} {most}: one that has as much may "
                f"satisfy the claim as well; give {control} as much",
            )


def _other_inputs(question: Question) -> Iterator[tuple[str, str]]:
    """Texts that were given to the model, of which arms have different ones at the same units."""
    rows = question.read
    names = [c for c in rows.columns if c not in question.taken and INPUTS & words_in(c)]
    names = [c for c in names if is_text(rows[c]) or MEASURED & words_in(c)]
    names = [c for c in names if rows.groupby("arm")[c].nunique().max() > 1]
    for unit, name in product(question.axes, names):
        by_arm = rows.dropna(subset=[name]).groupby([unit, "arm"])[name]
        if by_arm.nunique().max() > 1:
            continue
        each = by_arm.first().unstack()
        each = each.reindex(columns=[*question.compared]).dropna()
        unlike = each.ne(each[question.main], axis=0).any(axis=1)
        if unlike.sum() > FEW_UNLIKE * len(each):
            shown = "“{}” in {}" if is_text(rows[name]) else "{} in {}"
            texts = [shown.format(str(x)[:SHOWN], a) for a, x in each[unlike].iloc[0].items()]
            those = f"the texts in {name}" if is_text(rows[name]) else f"other texts ({name})"
            yield (
                f"{those} are the cause",
                f"{name} differs between arms in {unlike.sum()} of {counted(len(each), unit)}, as "
                f"in {' and '.join(texts)}: give the arms the same texts, or each its own "
                f"{plural(unit, 2)}",
            )


def about_as_long(question: Question) -> list[str]:
    """Columns that count a text's tokens, one number in each arm, that differ by less than a half,
    and by less than the number that is judged, in proportion."""
    rows, (main, *others) = question.read, question.compared
    means, found = rows.groupby("arm")[question.columns].mean(), list[str]()
    for name in _named(question, MEASURED):
        of_arms = rows.groupby("arm")[name]
        x = of_arms.first()
        if of_arms.nunique(dropna=False).max() > 1 or not (x > 0).all():
            continue
        with np.errstate(all="ignore"):
            by = np.abs(np.log(x[main] / x[others].to_numpy(float)))
            ours = means.loc[main].to_numpy(float) / means.loc[others].to_numpy(float)
            apart = np.where(ours > 0, np.abs(np.log(ours)), math.inf).min(axis=1)
        if (by < math.log(UNLIKE)).all() and (apart > by).all():
            found.append(name)
    return found


def _spent(question: Question) -> Iterator[tuple[str, str]]:
    """An L0 of which the arms that are compared have unequal ones, unless the one under judgement
    has the least, and is better all the same. If the author does not say which arm that is, it is
    the one with the lower loss."""
    main, means = question.main, question.read.groupby("arm")
    if not question.about and words_in(question.columns[0]) & LOSSES:
        main = str(means[question.columns[0]].mean().idxmin())
    others = [arm for arm in question.compared if arm != main]
    for name in _named(question, frozenset(("l0",))):
        x = means[name].mean()[[main, *others]]
        if x.min() > 0 and x[main] >= x[others].min() and x.max() > MORE * x.min():
            are = shares.means_in_words(question.read, name, question.compared)
            yield (
                f"{name} is the cause, which {are}",
                f"{name} {are}, and more active latents mostly favour an arm, as here {main}: "
                f"compare arms of equal {name}, or leave the column out if it is a result of the "
                "arm",
            )


def _unlike_perplexity(question: Question, controls: Names) -> Iterator[tuple[str, str]]:
    """A perplexity that is clearly another in the arm under judgement than in those that it is
    compared with, and in each control."""
    (main, *others), rows = question.compared, question.rows
    for name in _named(question, PERPLEXITY) if others else ():
        x = rows[name]
        varies = x.groupby(rows["arm"]).nunique()[[main, *others]].max() > 1
        if not varies or (x < 0).any():
            continue
        by, surely = _logs_apart(question, name)
        signs = np.sign(by[others])
        unlike = (by[others].abs() > np.maximum(math.log(UNLIKE), surely[others])).all()
        shared = (signs.iloc[0] * by.reindex([*controls]) <= math.log(MORE)).any()
        if unlike and signs.nunique() == 1 and not shared:
            are = shares.means_in_words(rows, name, question.compared)
            yield (
                f"{name} is the cause, which {are}",
                f"{name} {are}, and in no control as in {main}: add a control that has as much, "
                f"compare arms of equal {name}, or leave the column out if it is a result of the "
                "arm",
            )


def _logs_apart(question: Question, name: str) -> tuple[pd.Series, pd.Series]:
    """By how much the mean of log(1 + x) is larger in the arm under judgement than in each arm, and
    by how much it would be by chance at most, for the unit over which that is most."""
    rows = question.rows
    log = rows[name].astype(float).map(math.log1p)
    mean = log.groupby(rows["arm"]).mean()
    surely = 0 * mean
    for unit in question.axes:
        of_arms = log.groupby([rows["arm"], rows[unit]]).mean().groupby("arm")
        error = of_arms.var().fillna(0.0) / of_arms.count()
        by_chance = SURELY * (error + error[question.main]) ** 0.5
        surely = by_chance.where(by_chance > surely, surely)
    return mean[question.main] - mean, surely


def _stronger(question: Question) -> Iterator[tuple[str, str]]:
    """A strength of which the arms that are compared have unequal ones, unless their names say so:
    the norm of what was added, or else the product of all strengths."""
    arms, means = [*question.compared], dict[str, np.ndarray]()
    for name in _named(question, DOSES):
        of_arms, words = question.rows.groupby("arm")[name], words_in(name)
        if not _is_strength(of_arms, words):
            continue
        x = of_arms.agg(["mean", "std", "count"]).loc[arms].abs()
        error = (x["std"].fillna(0.0) / np.sqrt(x["count"])).to_numpy()
        mean = x["mean"].to_numpy()
        if not (mean > 0).all() or (SURELY * error > (MORE - 1) * mean).any():
            continue
        if all(is_overlapping(f"{m:g}", arm) for m, arm in zip(mean, arms, strict=True)):
            return
        means[name] = mean
    added = [name for name in means if "norm" in words_in(name) and ADDED & words_in(name)]
    names = added[:1] or [*means]
    total = np.prod([means[name] for name in names], axis=0)
    if names and total.max() > MORE * total.min():
        unequal = [x for x in names if means[x].max() > MORE * means[x].min()] or names
        named, verb = joined(unequal), "are" if unequal[1:] else "is"
        each = [
            f"{joined([f'{means[x][k]:.3g}' for x in unequal])} in {arm}"
            for k, arm in enumerate(arms)
        ]
        yield (
            f"{named} {verb} the cause, which {verb} {joined(each)} on average",
            f"{named} {verb} {joined(each)} on average: compare arms that are changed as strongly, "
            "or several strengths of each",
        )


def _is_given(of_arms: Any, name: str) -> bool:
    """Whether a number is what an arm was given: the same in all of its rows, unless it measures a
    dictionary or what was added, or some arm has none of a dose. Others, such as the rank of an
    answer, are results."""
    words, constant = words_in(name), of_arms.nunique() <= 1
    measures = bool(words & (ADDED | {"norm", "l0"}))
    return measures or bool(constant.all() or (words & DOSES and constant.any()))


def _is_strength(of_arms: Any, words: set[str]) -> bool:
    """Whether a column may say how strongly arms were changed: a norm only if its name says that it
    is that of what was added, or some arm has none, and not that of a gradient."""
    is_none = (of_arms.max() == 0) & (of_arms.min() == 0) | of_arms.max().isna()
    return "norm" not in words or bool(is_none.any() or words & (DOSES - {"norm"} | ADDED))


def _named(question: Question, words: frozenset[str], *, texts: bool = False) -> Iterator[str]:
    """The columns of numbers, or also of texts, that nothing reads and in whose names one of these
    words is."""
    for name in (c for c in question.rows.columns if c not in question.taken):
        if words & words_in(name) and (texts or not is_text(question.rows[name])):
            yield name
