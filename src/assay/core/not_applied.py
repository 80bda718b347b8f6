"""Not applied: a control that a column says was changed as the arm under judgement was, and whose
rows show that nothing happened, as where a hook did not run."""

from __future__ import annotations

from collections.abc import Iterator

from assay.core.nouns import joined
from assay.core.reasons import draws_counted
from assay.core.rows import Names
from assay.core.table_columns import RUNS, words_in
from assay.core.table_question import Question
from assay.core.unlike_arms import ADDED, DOSES

WAS_CHANGED = ADDED | DOSES | {"applied", "edited", "patched", "modified", "intervened", "injected"}
"""Words in the names of numbers that say whether an arm was changed, and by how much. Any other may
be a result, such as the activation of a latent, which may well be 0 wherever another is steered."""
VARIED = 2
"""A number of more than so many values in an arm is measured."""


def found(question: Question, controls: Names) -> Iterator[tuple[str, str]]:
    """What a claim holds unless it is the cause, and a note, for each control that has one number
    in all rows, and this is that of all arms that are compared with the one under judgement, while
    the latter has others in each row; of a control that was changed like the latter by the value
    that another column has in both."""
    main, *others = question.compared
    same: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for control in (c for c in controls if c in question.known):
        still = tuple(_still(question, control))
        if still and _is_said(question, control):
            same.setdefault(still, []).append(control)
    for still, those in same.items():
        are = joined([f"{name} is {x:g}" for name, x in still])
        is_sure = any(words_in(name) & WAS_CHANGED for name, _ in still)
        for control in draws_counted(those):
            yield (
                f"{control} was not applied: {are}, as in {joined(others)}" if is_sure else "",
                f"{are} in all rows of control {control}, as in {joined(others)}, and another "
                f"number in each row of {main}: if that says whether anything was changed, "
                f"{control} rules nothing out; see that it was applied",
            )


def _still(question: Question, control: str) -> Iterator[tuple[str, float]]:
    """The numbers of which a control and all arms that are compared with the one under judgement
    have one, and the latter measured others, with this number."""
    main, *others = question.compared
    own, rest = question.of([main]), question.of([control, *others])
    for name in _others(question):
        x = rest[name]
        if x.dtype.kind in "iuf" and x.notna().all() and x.nunique() == 1:
            usual = float(x.iloc[0])
            if own[name].nunique() > VARIED and not own[name].eq(usual).any():
                yield name, usual


def _is_said(question: Question, control: str) -> bool:
    """Whether a column has one value in all rows of the arm under judgement and of a control, and
    in no row of those that the former is compared with."""
    main, *others = question.compared
    both, rest = question.of([main, control]), question.of(others)
    return any(
        both[x].nunique(dropna=False) == 1 and not rest[x].eq(both[x].iloc[0]).any()
        for x in _others(question)
    )


def _others(question: Question) -> Iterator[str]:
    """The columns that nothing reads."""
    return (str(x) for x in question.rows if x not in (*RUNS, *question.taken))
