"""What a page was asked: conditions, numbers and choices out of the query string, and links that
change a part of it.

A condition is one `where=density>=0.01`; a form without script says the same in three fields,
`column`, `compare` and `value`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams

from assay.core.errors import nearest
from assay.explorer.problems import ASKED, Problem
from assay.features.index.reader import NUMERIC, SORTED, Compare, Condition

_CONDITION = re.compile(r"(\w+)(>=|<=|=)(.*)", re.DOTALL)
MOST = 20
"""So many conditions at once."""


def number(query: QueryParams, name: str, default: int, low: int, high: int) -> int:
    """Read a whole number between two bounds. Raises: Problem."""
    text = query.get(name, "")
    if text == "":
        return default
    if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= high:
        raise Problem(
            ASKED, f"{name} is a whole number from {low:,} to {high:,}, got {text[:40]!r}"
        )
    return int(text)


def choice(query: QueryParams, name: str, known: Sequence[str], default: str) -> str:
    """Read one of several words. Raises: Problem."""
    text = query.get(name, "") or default
    if text not in known:
        raise Problem(ASKED, f"{name} cannot be {text[:40]!r}; {nearest(text[:40], known)}")
    return text


def conditions(query: QueryParams) -> tuple[Condition, ...]:
    """Read the conditions on columns of `features`; a form's fields that were left empty are none.
    Raises: Problem."""
    triples = []
    for text in query.getlist("where"):
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise Problem(
                ASKED,
                (
                    "a condition is a column, >=, <= or =, and a value, such as density>=0.01; "
                    f"got {text[:60]!r}"
                ),
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
            (
                f"features have no column {column[:40]!r} to filter by; "
                f"{nearest(column[:40], list(SORTED))}"
            ),
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
