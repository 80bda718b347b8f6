"""Tried: which claims were judged on a table, or on prompts, before. A table is known by the
numbers that a claim reads of it, and prompts by what they say: a copy of the file, other names,
another order of the rows, and other columns make no other table, and neither does leaving out some
of its rows."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core import rows
from assay.core.expression import parse
from assay.core.nouns import plural
from assay.core.results import Judged
from assay.lab.judge.questions import JUDGED, Question, Questions, key, known_units
from assay.lab.store.journal import QUESTIONS, Line, digest

if TYPE_CHECKING:
    import pandas as pd

DISTINCT, SHARED = 0.8, 0.5
"""Share of a column's numbers that differ from each other from which each is known by itself; share
of such numbers that two tables have in common from which they are one."""
KEPT, SHOWN = 1_000, 3
"""Numbers of a table that are noted, and other claims that are named."""
SCANNED = "scanned"
"""What a line says of a study that measured its prompts, once or at several points of a sweep."""
LEFT_OUT = ", which is left out here,"
"""What is said of a control that satisfied the same claim before."""


def file() -> Path:
    """Name the file that notes them: assay/questions.jsonl in $XDG_STATE_HOME, else in
    ~/.local/state."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser())
    return state / "assay" / QUESTIONS


def note(table: Any, judged: Judged, unit: Sequence[str], arm_column: str) -> list[str]:
    """Note that a claim was judged on a table, and say how many were, from the second on, or why
    that is not known.

    Args:
        table: as `assay.judge` takes it.
        judged: what came out.
        unit: its columns of units.
        arm_column: its column of arms.
    """
    frame, _ = rows.read(table, arm_column, needed=False)
    columns = [(c.name, c.arm or judged.arm) for c in parse(judged.text).columns]
    parts = sorted({_part(*_numbers(frame, c, arm, unit)) for c, arm in columns})
    units = sorted({x for c, arm in columns for x in _units(*_numbers(frame, c, arm, unit))})[:KEPT]
    question, threshold = key({}, parts), str(judged.threshold)
    entry = {"text": judged.text, "threshold": threshold, "outcome": judged.outcome}
    entry |= {"by": " ".join(judged.n)}
    whole = _results(frame, unit)
    try:
        noted = _noted(question, parts, units, entry, whole)
    except OSError as e:
        return [f"how many claims were tried on this table is not known: {e.strerror or e}"]
    others = [x for x in noted if x["text"] != judged.text]
    earlier = {x["text"]: x for x in others}
    same = [x for x in noted if x["text"] == judged.text]
    ways, of_claim = _ways([*noted, entry], "text"), 1
    count = _count(len(earlier) + 1, "this table", ways)
    of_claim += sum(_same_table(x, parts, units) for x in earlier.values())
    count += f", {of_claim} of them on these columns" if of_claim <= len(earlier) else ""
    again = [*_with_other_outcome(same, units, judged.outcome), *_on_other_rows(same, units)]
    return [*([count] if ways > 1 else []), *again, *_others(others, question)]


def note_asked(
    prompts: str,
    rows: Iterable[str],
    function: str,
    quantity: Any,
    holds: str,
    judged: Judged,
    controls: Mapping[str, bool],
) -> list[str]:
    """Note that a claim was judged on prompts, and say how many were, from the second on; which
    cannot be noted is said as well.

    Args:
        prompts: what the rows are, such as "these prompts".
        rows: what each says, or a hash of it.
        function: a hash of the function that was asked; "" where none was.
        quantity: what was asked, as JSON values.
        holds: the condition.
        judged: what came out.
        controls: by name whether each satisfies the claim.
    """
    units = sorted({*known_units(f"prompt {row}" for row in rows)})[:KEPT]
    question, parts = key({}, quantity), [digest(f"function {function}")] * bool(function)
    entry: dict[str, Any] = {"text": judged.text, "threshold": holds, "outcome": judged.outcome}
    entry |= {"by": " ".join(judged.n)}
    if satisfied := [name for name, too in controls.items() if too]:
        entry["satisfied"] = satisfied
    try:
        lines = _noted(question, parts, units, entry)
    except OSError as e:
        return [f"how many claims were tried on {prompts} is not known: {e.strerror or e}"]
    shared = [x for x in lines if _shares(x, units)]
    same = [x for x in shared if (x["question"], x["threshold"]) == (question, holds)]
    options = "options or another function" if function else "options"
    again = [*_with_other_outcome(same, units, judged.outcome, options)]
    again += [*_on_other_rows(same, units), *_satisfied(same, units, controls)]
    other = [x for x in shared if (x["question"], x["threshold"]) != (question, holds)]
    earlier = {(x["question"], x["threshold"]): x for x in other}
    ways = _ways([*shared, {"question": question, **entry}], "question", "threshold")
    if ways == 1:
        return again
    own = 1 + sum(parts == x.get("parts") for x in earlier.values())
    some = f", {own} of them with this same function (code and values)"
    of = ("", some if own <= len(earlier) else " with this function")[bool(function)]
    named = [x for x in other if x["question"] == question or x.get("parts") == parts]
    others = _others(named, question, "threshold")  # others are counted alone
    return [_count(len(earlier) + 1, prompts, ways) + of, *again, *others]


def note_scan(
    study: str,
    models: Sequence[str],
    prompts: Iterable[str],
    asked: Iterable[Question],
    claims: int,
) -> None:
    """Note that a study measured prompts, so that a check of what was found on the same prompts can
    say so. What cannot be noted is left out.

    Args:
        study: its name.
        models: those that it asked.
        prompts: of each row its text and its columns, as JSON.
        asked: what claims and estimates read, at one or several points of a sweep.
        claims: how many of them are claims that were judged.
    """
    parts = {part.key: part for q in asked for part in q.parts}.values()
    # a point has a key for each measure that is a function of the same numbers
    points = sum(len(part.points) // (1 + len(part.others)) for part in parts)
    rows = [json.loads(row) for row in prompts]
    units = sorted({*known_units(f"prompt {text}" for text, _ in rows)})[:KEPT]
    cells = sorted({_cells_key(dict(columns)) for _, columns in rows if columns})[:KEPT]
    entry = {"experiment": study, "models": [*models], "points": points, "claims": claims}
    entry |= {"units": units, "cells": cells}
    if rows:
        with contextlib.suppress(OSError):
            Questions(file()).note(key({}, [study, units]), SCANNED, **entry)


def scans(rows: Iterable[str], columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Say which studies judged claims about prompts or swept over them, by what these say or their
    columns: those of most points, last."""
    units = {*known_units(f"prompt {row}" for row in rows)}
    values = zip(*columns.values(), strict=True)
    cells = {_cells_key(dict(zip(columns, row, strict=True))) for row in values}
    sizes = dict[str, tuple[int, int, str]]()
    for line in (x for x in Questions(file()).looks if x["what"] == SCANNED):
        much = line["points"] > 1 or line.get("claims", 0)  # else nothing was found there
        if much and (_shares(line, [*units]) or _shares({"units": line["cells"]}, [*cells])):
            models = " and ".join(line.get("models", ()))
            sizes[line["experiment"]] = line["points"], line.get("claims", 0), models
    each = [
        f"{study}{f' of {models}' * bool(models)}{_how_much(n, claims)}"
        for study, (n, claims, models) in sorted(sizes.items(), key=lambda size: size[1])
    ]
    advice = (
        "if that is the model of this claim, and the claim was chosen because of what was found "
        "there, check it on other prompts"
    )
    looked = f"a study on this machine looked at these prompts before: {_last(each)}"
    return [f"{looked}; {advice}"] if each else []


def _how_much(points: int, claims: int) -> str:
    """How much a study looked at: points of a sweep or claims; "" for neither."""
    words = f"{claims} {plural('claim', claims)}" if claims else ""
    words = f"{points} points of a sweep" if points > 1 else words
    return f" ({words})" if words else ""


def _cells_key(columns: Mapping[str, Any]) -> str:
    """Twelve hex digits of a row, by its columns."""
    return digest(json.dumps(sorted((name, str(x)) for name, x in columns.items())))


def _noted(
    question: str,
    parts: Sequence[str],
    units: Sequence[str],
    entry: Mapping[str, Any],
    whole: Sequence[str] = (),
) -> list[Line]:
    """Note a claim, and return the earlier lines about the same table or prompts; `whole` are all
    columns of results that the table has, whether the claim reads them or not."""
    questions = Questions(file())
    looks = [x for x in questions.looks if x["what"] == JUDGED and "experiment" not in x]
    earlier: list[Line] = [
        x for x in looks if _same_table(x, parts, units) or {*whole} & {*x.get("whole", ())}
    ]
    more = {"whole": whole} if whole else {}
    questions.note(question, JUDGED, parts=parts, units=units, **more, **entry)
    return earlier


def _ways(lines: Sequence[Mapping[str, Any]], *claim: str) -> int:
    """In how many ways the claims of lines were judged, which the fields `claim` tell apart:
    another unit is another way. Lines of older versions do not say it."""
    return len({tuple(x.get(name, lines[-1]["by"]) for name in (*claim, "by")) for x in lines})


def _count(count: int, place: str, ways: int) -> str:
    """How many claims there are with those before, and in how many ways they were judged."""
    tried = f"{count} {plural('claim', count)} {'was' if count == 1 else 'were'} tried on {place}"
    return f"{tried} ({ways} ways: with different units)" if ways > count else tried


def _with_other_outcome(
    same: Sequence[Line], units: Sequence[str], outcome: str, options: str = "options"
) -> Iterator[str]:
    """What else came out of the same claim on the same rows, such as with more draws of a
    control."""
    ends = dict.fromkeys(x["outcome"] for x in same if x.get("units") == [*units])
    if unlike := ", ".join(end for end in ends if end != outcome):
        yield f"the same claim was judged before on this machine, with other {options}: {unlike}"


def _satisfied(
    same: Sequence[Line], units: Sequence[str], controls: Mapping[str, bool]
) -> Iterator[str]:
    """Which controls satisfied the same claim on the same rows that are left out now, or do not
    satisfy it with fewer draws."""
    lines = (x.get("satisfied", ()) for x in same if x.get("units") == [*units])
    for name in dict.fromkeys(itertools.chain.from_iterable(lines)):
        if not controls.get(name):
            left_out = "" if name in controls else LEFT_OUT
            yield f"control {name}{left_out} satisfied the claim in an earlier check"


def _on_other_rows(same: Sequence[Line], units: Sequence[str]) -> Iterator[str]:
    """What came out of the same claim on other rows of the same table, which has more in common
    than the numbers of one of two arms."""
    others = [x for x in same if x.get("units") != [*units] and _overlap(x, units) > SHARED]
    if others:
        ends = _outcomes([x["outcome"] for x in others])
        yield f"the same claim was judged before on this machine, on other rows: {ends}"


def _others(others: Sequence[Line], question: str, condition: str = "text") -> Iterator[str]:
    """Which claims asked the same with another threshold, by the field that holds the condition,
    and which others there were, each once; those of one text with all that came of them."""
    again = [x for x in others if x["question"] == question]
    for words, field, lines in (
        ("the same measure was judged before on this machine:", condition, again),
        ("also judged:", "text", [x for x in others if x not in again]),
    ):
        came = dict.fromkeys((x[field], x["question"], x["outcome"]) for x in lines)
        texts = dict.fromkeys(text for text, *_ in came)
        each = []
        for text in texts:
            ends = [outcome for of, _, outcome in came if of == text]
            each.append(
                f"“{text}” ({'with other data or options: ' * (len(ends) > 1)}{_outcomes(ends)})"
            )
        if each:
            yield f"{words} {_last(each)}"


def _outcomes(outcomes: Sequence[str]) -> str:
    """How often each came out: fails, 2 × holds."""
    return ", ".join(f"{k} × {x}" if k > 1 else x for x, k in Counter(outcomes).items())


def _last(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" * (len(names) > SHOWN)
    return ", ".join(names[-SHOWN:]) + more


def _same_table(line: Line, parts: Sequence[str], units: Sequence[str]) -> bool:
    """Whether a line is about a table with one of these columns, or with half of these numbers."""
    return bool({*parts} & {*line.get("parts", ())}) or _shares(line, units)


def _shares(line: Line, units: Sequence[str]) -> bool:
    """Whether a line is about half of these units, or of its own."""
    return _overlap(line, units) >= SHARED


def _overlap(line: Line, units: Sequence[str]) -> float:
    """The share of these units, or of those of a line, whichever are fewer, that both have."""
    units_of_line = set(line.get("units", ()))
    fewer = min(len(units_of_line), len(units))
    return len(units_of_line & {*units}) / fewer if fewer else 0.0


def _results(frame: pd.DataFrame, unit: Sequence[str]) -> list[str]:
    """Twelve hex digits of each column of numbers in each arm, but of those that are the same in
    all arms, such as a layer or a length: other tables have them as well."""
    arms = [str(arm) for arm in frame["arm"].unique()]
    results = set[str]()
    numbers = frame.select_dtypes("number").drop(columns=[*unit], errors="ignore")
    # one number throughout says nothing of a table, and a wide one may have a thousand such columns
    for name in numbers.columns[numbers.nunique() > 1].sort_values():
        parts = {_part(*_numbers(frame, str(name), arm, unit)) for arm in arms}
        results |= parts if len(parts) > 1 else set()
    return sorted(results)


def _numbers(
    frame: pd.DataFrame, column: str, arm: str, unit: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The numbers of an arm in a column as texts of twelve digits, and the units of each."""
    of = frame[frame["arm"] == arm]
    numbers = [f"{x:.12g}" for x in np.asarray(of[column], dtype=float)]
    return numbers, [" ".join(map(str, row)) for row in of[[*unit]].itertuples(index=False)]


def _part(numbers: Sequence[str], units: Sequence[str]) -> str:
    """Twelve hex digits of a column of an arm: of its numbers in ascending order, and where many
    are equal of the units as well, since other tables have such columns."""
    is_id = len({*numbers}) >= DISTINCT * len(numbers)
    texts = numbers if is_id else [f"{u} {x}" for u, x in zip(units, numbers, strict=True)]
    return digest("\n".join(sorted(texts)))


def _units(numbers: Sequence[str], units: Sequence[str]) -> list[str]:
    """Twelve hex digits of each number of a column in which few are equal."""
    few_equal = len({*numbers}) >= DISTINCT * len(numbers)
    return [digest(x) for x in numbers] if few_equal and len(units) > 5 else []
