"""Render: what a page function gives, as HTML or JSON; the one environment of templates, which
escapes everything."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from assay.core import digits
from assay.core.compute import left_in_words
from assay.core.plain import as_json, plain
from assay.core.schema import to_json
from assay.evaluation import file_statements
from assay.evaluation.indexing import MORE
from assay.evaluation.summary import NOTHING_PREDICTED
from assay.explorer.problems import Problem
from assay.features.index.about import About
from assay.features.index.schema import IDENTIFIERS
from assay.features.index.searching import FEWEST
from assay.report import evaluations, pages, palette, tables

SMALL = 1e-4
"""Numbers below this have an exponent on all pages."""
LEVELS = 20
"""Steps of a shade or a bar: a page may not carry styles of its own, so each step is a class, .a0
to .a20 and .w0 to .w20."""
CALLED = {
    "gradient_total": "first order, total",
    "gradient_active": "first order, where on",
    "relative": "share of maximum",
    "logit": "unnormalised logit",
}
"""Columns that pages call otherwise than the tables do."""
EFFECTS = {
    "importance": "importance",
    "importance_total": "importance",
    "gradient_active": "gradient",
    "gradient_total": "gradient",
}
"""Columns of what the loss is without a feature, and the interval that tells each from 0; a total
has the sign of the mean."""
_TURNS = re.compile("[\u061c\u200e\u200f]")
"""Marks that turn the direction of writing and that core.plain leaves."""


@dataclass(frozen=True)
class Shown:
    """A page: its template, the values it shows, which are its JSON as well, and what is drawn from
    them for the template alone."""

    template: str
    values: Mapping[str, Any]
    drawn: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Moved:
    """Another address of this page: what a form sent, as a link says it."""

    to: str


Page = Callable[..., Shown | Moved]


@functools.cache
def environment() -> Environment:
    """The templates, with the filters that pages use."""
    env = Environment(
        loader=PackageLoader("assay.explorer"),
        autoescape=True,
        finalize=_sanitize,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    env.globals |= {
        "effects": EFFECTS,
        "evaluations": evaluations,
        "nothing_predicted": NOTHING_PREDICTED,
        "more_tokens": MORE,
        "texts": {"docs": "docs (English docstrings)", "stdlib": "stdlib (Python code)"},
    }
    env.filters |= {
        "other_text": lambda about: file_statements.other_text(about.notes),
        "token": pages.token,
        "words": pages.words,
        "minus": lambda text: tables.minus(str(text)),
        "number": number,
        "cell": cell,
        "signed": signed,
        "percent": percent,
        "recall": recall,
        "unbroken": unbroken,
        "correlation": correlation,
        "doubt": doubt,
        "share": share,
        "count": lambda n: f"{n:,}",
        "several": several,
        "sentence": lambda text: text[:1].upper() + text[1:] if text[:1].isascii() else text,
        "ended": lambda text: text if text.endswith(("?", ".", "!")) else f"{text}.",
        "level": level,
        "interval": interval,
        "effect": effect,
        "left": left_in_words,
        "named": lambda column: CALLED.get(column, column.replace("_", " ")),
    }
    return env


def html(view: Shown, path: str = "/", shelf: Mapping[str, Any] | None = None) -> str:
    """A page as HTML; `path` is its address, without what it was asked, `shelf` the dictionaries
    that can be gone over to, by model."""
    drawings = dict(view.drawn) | {"path": path, "shelf": shelf or {}}
    return environment().get_template(view.template).render(**{**view.values, **drawings})


def data(view: Shown) -> str:
    """A page's values as JSON; null where a number is not finite."""
    return as_json(to_json(view.values), allow_nan=False)


def problem(error: Problem, path: str, shelf: Mapping[str, Any]) -> Shown:
    """The page that says why there is none, in the frame of the dictionary at whose address that
    is."""
    entries = [entry for of_model in shelf.values() for entry in of_model]
    here = [e for e in entries if f"{path.removesuffix('.json')}/".startswith(f"/{e.address}/")]
    frame = {"dictionary": here[0].address, "about": here[0].about} if here else {}
    return Shown("problem.html", {"problem": error, **frame})


def problem_data(error: Problem) -> str:
    """Why there is no page, as JSON."""
    return as_json({"status": error.status, "error": error.words, "then": error.then})


def number(value: float | None, digits: int = 3) -> str:
    """A number at so many significant digits, with a true minus sign; whole numbers in full, "–"
    where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15):
        return tables.minus(f"{int(value):,}")
    size = abs(float(f"{value:.{digits - 1}e}"))  # as it is rounded: 99.97 is 100, not 100.0
    if SMALL <= size < 1e6:
        places = max(0, digits - 1 - math.floor(math.log10(size)))
        return tables.minus(f"{value:,.{places}f}")
    return tables.minus(f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e"))


def cell(value: float | None, column: str, digits: int = 3) -> str:
    """A number of a column: as `number` has it, but for what is a name."""
    return str(value) if column in IDENTIFIERS and value is not None else number(value, digits)


def signed(value: float | None, digits: int = 3) -> str:
    """A number with its sign, for what can be above or below nothing."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 and text != "–" else text


def interval(row: Mapping[str, Any], column: str) -> str:
    """A number with the interval in the columns next to it."""
    value, low, high = row[column], row.get(f"{column}_low"), row.get(f"{column}_high")
    if value is None or low is None or high is None:
        return signed(value)
    return estimated(value, low, high)


def estimated(value: float, low: float, high: float) -> str:
    """A number with its interval, to the digits that the interval supports; an end that is not 0 is
    not printed as 0, where two more digits show it. Below SMALL all have the same exponent."""
    size = max(map(abs, (value, low, high)))
    power = math.floor(math.log10(size)) if 0 < size < SMALL else 0
    value, low, high = (x / 10.0**power for x in (value, low, high))
    text = " ".join(digits.estimate(value, low, high, (0.0,)))
    return tables.minus(re.sub(r"[\d.]+", rf"\g<0>e{power}", text) if power else text)


def effect(row: Mapping[str, Any], column: str, alone: bool = False) -> Markup:
    """What the loss is without a feature, with its interval if not `alone`; grey where that does
    not exclude 0."""
    low, high = (row.get(f"{EFFECTS[column]}_{end}") for end in ("low", "high"))
    own = {column: row[column], f"{column}_low": low, f"{column}_high": high}
    is_alone = alone or column.endswith("_total")
    text = signed(row[column]) if is_alone else interval(own, column)
    text = text.replace(", ", ",\N{NO-BREAK SPACE}")  # breaks before the interval, but not in it
    if low is not None and high is not None and not low <= 0 <= high:
        return escape(text)
    return Markup('<span class="quiet">{}</span>').format(text)


def percent(share: float | None, digits: int = 3) -> str:
    """A share in percent: the rarest features are on at one token of a million."""
    return "–" if share is None else f"{number(100 * share, digits)}%"


def recall(row: Mapping[str, Any], digits: int = 3) -> str:
    """The share of a token's occurrences at which a feature fires, or 1 of 1 where that is rare."""
    if row["firings"] >= FEWEST:
        return percent(row["recall"], digits)
    return f"{row['firings']} of {round(row['firings'] / row['recall']):,}"


def correlation(about: About) -> str:
    """The rank correlation of first-order estimates with ablation, with its interval."""
    low, high = about.agreement_interval
    return tables.minus(f"{about.agreement:.2f} [{low:.2f}, {high:.2f}]")


def doubt(about: About) -> str:
    """Say that first-order estimates are unreliable or unchecked in this index; empty where
    ablations support them, or there are none."""
    if about.agreement is None and about.gradients:
        enough = "enough " * (about.ablated > 0)
        return f"first-order estimates have not been checked against {enough}ablations yet"
    if not about.unreliable:
        return ""
    words = f"first-order estimates are {about.doubt} here: their rank correlation with ablation is"
    few = ", too few to tell" if about.doubt == "unchecked" else ""
    return f"{words} {correlation(about)} over {several(about.ablated, 'feature')}{few}"


def unbroken(command: str) -> Markup:
    """A command whose options are not broken after their hyphens where a line ends."""
    option = Markup('<span class="option">{}</span>')
    words = (option.format(w) if w.startswith("-") else escape(w) for w in command.split(" "))
    return Markup(" ").join(words)


def share(value: float | None, places: int = 2) -> str:
    """A share to so many decimals, "–" where there is none."""
    return (
        "–"
        if value is None or not math.isfinite(value)
        else tables.minus(f"{round(value, places) + 0.0:.{places}f}")
    )


def several(n: int, singular: str, many: str = "") -> str:
    """A count with its noun: 1 feature, 2 features."""
    return f"{n:,} {singular if n == 1 else many or singular + 's'}"


def level(share: float) -> int:
    """The step of a shade or a bar, 0 to 20, for a share between 0 and 1; whatever is on has at
    least 1."""
    if not share > 0:
        return 0
    return max(1, min(LEVELS, round(LEVELS * share)))


@functools.cache
def style() -> str:
    """The style sheet: the report's, with classes for shades and bars, and what only the explorer
    has."""
    steps = "".join(
        f".a{i}{{--a:{i / LEVELS:.2f}}}.w{i}{{--w:{i / LEVELS:.2f}}}" for i in range(LEVELS + 1)
    )
    explorer_css = (
        files("assay.explorer").joinpath("static", "explorer.css").read_text(encoding="utf-8")
    )
    return f"{palette.css()}{palette.styles('style.css')}\n{steps}\n{explorer_css}"


def _sanitize(value: Any) -> Any:
    """What a page shows of a value: no text or markup in it turns the direction of writing, or
    cannot be encoded."""
    return type(value)(_TURNS.sub("�", plain(value))) if isinstance(value, str) else value
