"""A list of features: chosen ones with their names and strongest contexts, to keep and to share as
one file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from starlette.datastructures import QueryParams

from assay.core.plain import show_token
from assay.explorer import commands, offline, query_args, shading
from assay.explorer.library import Library
from assay.explorer.problems import ASKED, UNKNOWN, Problem
from assay.explorer.render import Raw, Shown
from assay.features.index.names import Name
from assay.features.index.reader import Index
from assay.features.index.schema import Context, Feature

MOST = 100
"""Features of a list."""
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """Show a list of features, which the address says. Raises: Problem."""
    index = library.index(path_params["model"], path_params["dictionary"])
    base = f"{path_params['model']}/{path_params['dictionary']}"
    numbers = _numbers(query, index)
    state = [("features", ",".join(map(str, numbers)))]
    files = {kind: query_args.link(f"/{base}/list/{kind}", state) for kind in ("html", "csv")}
    values = {"dictionary": base, "about": index.about, "features": cards(index, numbers)}
    drawings = {"files": files, "command": commands.writer(index)} | drawn(index, numbers)
    return Shown("list.html", values, drawings)


def file(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Raw:
    """Give a list as one file: pages that open without a server, or names that `assay serve
    --names` reads. Raises: Problem."""
    index = library.index(path_params["model"], path_params["dictionary"])
    numbers = _numbers(query, index)
    if not numbers:
        raise Problem(ASKED, "no feature is in this list; give features=12,40")
    if path_params["format"] == "html":
        return Raw(offline.page(index, numbers), "text/html", {"features": numbers}, POLICY)
    if path_params["format"] != "csv":
        raise Problem(UNKNOWN, "a list is written as html or csv")
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("feature", "words", "score"))
    for k, name in index.names(numbers).items():
        writer.writerow((k, in_words(name), "" if name.score is None else f"{name.score:.3f}"))
    return Raw(out.getvalue(), "text/csv", {"features": numbers})


def in_words(name: Name) -> str:
    """Say a name as text."""
    if name.mixed:
        return f"mixed, often “{show_token(name.tokens[0])}”"
    tokens = " or ".join(f"“{show_token(token)}”" for token in name.tokens)
    return name.words or f"{'some ' * name.some}{'before ' * (name.kind == 'promoted')}{tokens}"


def cards(
    index: Index, numbers: Sequence[int], twins: Mapping[int, int] | None = None
) -> list[dict[str, Any]]:
    """What is said of each feature in a list, such as how many twins it hides."""
    glances = index.glance(numbers)
    return [{**glances[k], "twins": (twins or {}).get(k, 0)} for k in numbers]


def drawn(index: Index, numbers: Sequence[int]) -> dict[str, Any]:
    """The strongest context of each feature, shaded, and the token there that its name does not
    cover."""
    lines, also = dict.fromkeys(numbers, Markup("")), {}
    for k, name in index.names(numbers).items():
        feature = index.feature(k)
        strongest = next((c for c in feature.contexts if c.kind == "top"), None)
        if strongest is not None:
            lines[k] = shading.line(strongest, float(index.maxima[k])).tokens
            if (text := _uncovered(feature, name, strongest)) is not None:
                shares = {row["text"]: row["share"] for row in feature.tokens}
                share = shares.get(text) if name.kind == "rule" else None
                also[k] = {"text": text, "share": share}
    return {"lines": lines, "also": also}


def _uncovered(feature: Feature, name: Name, context: Context) -> str | None:
    """The token of a context by which a name does not explain it; None where it does."""
    if name.kind == "rule":
        covered, place = set(name.tokens[: 1 if name.mixed else None]), context.at
    elif name.kind == "promoted":
        covered, place = {text for text, _ in feature.promoted}, context.at + 1
    else:
        return None
    text = next(iter(context.tokens[place:]), None)
    return None if text in covered else text


def _numbers(query: QueryParams, index: Index) -> list[int]:
    """Read features=12,40 or features=12,40-45. Raises: Problem."""
    ranges = []
    for word in filter(None, map(str.strip, query.get("features", "").split(","))):
        match = _RANGE.fullmatch(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not first <= last < index.about.d_sae:
            raise Problem(
                ASKED,
                f"{word[:40]!r} is not a feature: they are numbered 0 to {index.about.d_sae - 1}; "
                "write numbers with commas between them, and ranges as 40-45",
            )
        ranges.append(range(first, last + 1))
    if (count := sum(map(len, ranges))) > MOST:
        raise Problem(ASKED, f"a list has at most {MOST} features, got {count:,}")
    return list(dict.fromkeys(k for some in ranges for k in some))
