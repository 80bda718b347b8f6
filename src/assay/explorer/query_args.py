"""What a page was asked: conditions, numbers, choices and changes of features (out=12, scale=12:2,
clamp=12:8.5) out of the query string, and links that change a part of it.

A condition is one `where=density>=0.01`; a form without script says the same in three fields,
`column`, `compare` and `value`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import numpy as np
from jaxtyping import Float
from starlette.datastructures import QueryParams

from assay.core.errors import nearest
from assay.explorer import render
from assay.explorer.problems import ASKED, Problem
from assay.features.index.schema import NUMERIC, SORTED, Compare, Condition
from assay.features.live.edits import Change

_CONDITION = re.compile(r"(\w+)(>=|<=|=)(.*)", re.DOTALL)
T = TypeVar("T")
FIELDS = ("feature", "way", "amount", "new", "temperature", "seed")
"""Fields of the form that changes a feature."""
PARTS = 50
"""Parts of a query string that are tried one by one where it cannot be read."""
MOST = 20
"""So many conditions at once."""
FEW = 6
"""Up to so many choices are all listed when another word was given."""


def number(query: QueryParams, name: str, default: int, low: int, high: int) -> int:
    """Read a whole number between two bounds. Raises: Problem."""
    text = query.get(name, "")
    if text == "":
        return default
    if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= high:
        words = f"{name} is a whole number from {low:,} to {high:,}, got {text[:40]!r}"
        raise Problem(ASKED, words, field=name)
    return int(text)


def choice(query: QueryParams, name: str, choices: Sequence[str], default: str) -> str:
    """Read one of several words. Raises: Problem."""
    text = query.get(name, "") or default
    if text not in choices:
        end = ", ".join(choices) if len(choices) <= FEW else nearest(text[:40], choices)
        raise Problem(ASKED, f"{text[:40]!r} is not a choice for {name}: {end}")
    return text


def sent_fields(query: QueryParams) -> dict[str, str]:
    """Read what was typed in the form that changes a feature."""
    return {name: query[name] for name in FIELDS if name in query}


def askable(query: QueryParams, read: Callable[[QueryParams], T]) -> T | None:
    """Read a query string without the fields of a form, or else without the last part whose absence
    lets it be read; None where there is no such part."""
    parts = [part for part in query.multi_items() if part[0] not in FIELDS][:PARTS]
    for i in reversed(range(len(parts) + 1)):
        with suppress(Problem):
            return read(QueryParams(parts[:i] + parts[i + 1 :]))
    return None


def conditions(query: QueryParams) -> tuple[Condition, ...]:
    """Read the conditions on columns of `features`; a form's fields that were left empty are none.
    Raises: Problem."""
    triples = []
    for text in query.getlist("where"):
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise Problem(
                ASKED,
                "a condition is a column, >=, <= or =, and a value, such as density>=0.01; "
                f"got {text[:60]!r}",
            )
        triples.append(match.groups())
    fields = query.getlist("column"), query.getlist("compare"), query.getlist("value")
    if len({len(part) for part in fields}) > 1:
        raise Problem(ASKED, "column, compare and value come in threes")
    triples += [
        (column, compare, value.strip())
        for column, compare, value in zip(*fields, strict=True)
        if value.strip()
    ]
    if len(triples) > MOST:
        raise Problem(ASKED, f"at most {MOST} conditions at once, got {len(triples)}")
    return tuple(dict.fromkeys(condition(*triple) for triple in triples))


def condition(column: str, compare: str, value: str) -> Condition:
    """Make a bound on a column of text. Raises: Problem for a column that is not there, or a value
    of another kind."""
    if column not in SORTED:
        raise Problem(
            ASKED,
            f"features have no column {column[:40]!r} to filter by; "
            f"{nearest(column[:40], list(SORTED))}",
        )
    compares: dict[str, Compare] = {">=": ">=", "<=": "<=", "=": "="}
    if compare not in compares:
        raise Problem(ASKED, f"a condition compares by >=, <= or =, got {compare[:40]!r}")
    if column not in NUMERIC:
        return Condition(column, compares[compare], value)
    try:
        bound = float(value)
    except ValueError:
        bound = float("nan")
    if not abs(bound) < float("inf"):
        raise Problem(ASKED, f"{column} is compared with a number, got {value[:40]!r}")
    return Condition(column, compares[compare], bound)


def format_condition(bound: Condition) -> str:
    """Write a condition as a query string holds it."""
    value = f"{bound.value:.12g}" if isinstance(bound.value, float) else bound.value
    return f"{bound.column}{bound.compare}{value}"


def link(path: str, state: Iterable[tuple[str, Any]]) -> str:
    """Write an address with a query string; values that are None are left out."""
    query_string = urlencode([(name, str(value)) for name, value in state if value is not None])
    return quote(path, safe="/~") + (f"?{query_string}" if query_string else "")


CHANGED = 10
"""Features that are changed at once."""
WAYS = {"clamp": "set to", "scale": "multiply by", "out": "ablate"}
LARGEST = 1e6


@dataclass(frozen=True)
class Wanted:
    """What is to be done to one feature wherever it counts; a page shows it before torch is there
    to do it."""

    feature: int
    way: str
    amount: float = 0.0

    @property
    def change(self) -> Change:
        """As the live functions take it."""
        return (
            Change(self.feature, value=self.amount)
            if self.way == "clamp"
            else Change(self.feature, factor=self.amount)
        )

    @property
    def words(self) -> str:
        """Say it in words."""
        return {
            "out": "ablated",
            "scale": f"multiplied by {render.number(self.amount)}",
            "clamp": f"set to {render.number(self.amount)}",
        }[self.way]


def read_changes(query: QueryParams, maxima: Float[np.ndarray, " f"]) -> tuple[Wanted, ...]:
    """Read the changes, each feature once: the last that is said of it counts. One that is set to
    no amount is set to its maximum, or if it has none to the median one. Raises: Problem."""
    entries = [
        (name, *value.partition(":")[::2]) for name, value in query.multi_items() if name in WAYS
    ]
    fields = [query.getlist(name) for name in ("feature", "way", "amount")]
    entries += [
        (way or "clamp", feature, amount)
        for feature, way, amount in zip_longest(*fields, fillvalue="")
        if feature.strip()
    ]
    changes_by_feature: dict[int, Wanted] = {}
    for way, feature, amount in entries:
        change = _parse_change(way, feature.strip(), amount.strip(), maxima)
        changes_by_feature.pop(change.feature, None)
        changes_by_feature[change.feature] = change
    if len(changes_by_feature) > CHANGED:
        raise Problem(
            ASKED, f"at most {CHANGED} features are changed at once, got {len(changes_by_feature)}"
        )
    return tuple(changes_by_feature.values())


def _parse_change(way: str, feature: str, amount: str, maxima: Float[np.ndarray, " f"]) -> Wanted:
    if way not in WAYS:
        *ways, last = (f"way={word} ({shown})" for word, shown in WAYS.items())
        raise Problem(
            ASKED,
            f"a feature is changed by {', '.join(ways)} or {last}, not by way={way[:40]}",
            field="way",
        )
    if not re.fullmatch(r"[0-9]{1,9}", feature) or int(feature) >= len(maxima):
        words = f"features are numbered 0 to {len(maxima) - 1:,}, got {feature[:40]!r}"
        raise Problem(ASKED, words, field="feature")
    if way == "out":
        if amount:
            raise Problem(
                ASKED,
                f"to ablate feature {int(feature)} takes no amount, got {amount[:40]}; leave it "
                f"empty, or choose “set to” or “multiply by”",
                field="amount",
            )
        return Wanted(int(feature), way)
    if not amount and way == "clamp" and (maxima > 0).any():
        usual = maxima[int(feature)] or np.median(maxima[maxima > 0])
        return Wanted(int(feature), way, float(f"{usual:.4g}"))
    if not amount:
        verb = "multiplied by" if way == "scale" else "set to"
        words = f"give the amount that feature {int(feature)} is {verb}"
        raise Problem(ASKED, words, field="amount")
    try:
        value = float(amount)
    except ValueError:
        value = float("nan")
    if not abs(value) <= LARGEST:
        words = f"the amount is a number up to {LARGEST:,.0f}, got {amount[:40]}"
        raise Problem(ASKED, words, field="amount")
    return Wanted(int(feature), way, value)


def format_changes(changes: Sequence[Wanted]) -> list[tuple[str, str]]:
    """Write changes as parts of a query string."""
    return [
        (w.way, str(w.feature) if w.way == "out" else f"{w.feature}:{w.amount:.6g}")
        for w in changes
    ]


def without(changes: Sequence[Wanted], feature: int) -> tuple[Wanted, ...]:
    """The changes of all other features."""
    return tuple(w for w in changes if w.feature != feature)


def instead(changes: Sequence[Wanted], change: Wanted) -> tuple[Wanted, ...]:
    """These changes with one more, in place of an earlier one of its feature."""
    return (*without(changes, change.feature), change)
