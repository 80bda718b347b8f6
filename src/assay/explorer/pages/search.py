"""Search: features by the token they fire on, by words in their contexts, by a token they
promote."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from starlette.datastructures import QueryParams

from assay.core.errors import AssayError
from assay.explorer import query_args
from assay.explorer.library import Library
from assay.explorer.problems import ASKED, Problem
from assay.explorer.query_args import link
from assay.explorer.render import Moved, Shown, several
from assay.features.index import searching
from assay.features.index.reader import Index
from assay.features.index.schema import SORTED, Page, Row
from assay.subjects import folder

WAYS = {
    "token": "fires on the token",
    "text": "fires at the end of these words",
    "promoted": "promotes the token",
    "suppressed": "suppresses the token",
}
MATCHES = ("The token", "Longer tokens that begin with", "Longer tokens that contain")
"""How tokens match what was typed, the nearest first."""
ROWS, LIKE = 25, 12
"""Features on one page of a list, and tokens offered that hold what was typed."""
SENTENCES = ("The next word is {}", "The next word:\n{}")
"""Prompts in which the model reads a token for which no feature is listed: after a space, and
without one."""
LONGEST = 200
"""Characters that can be searched for."""
COLUMNS = {
    "token": ("firings", "share", "recall", "density", "importance"),
    "text": ("contexts", "relative", "density", "importance"),
    "promoted": ("logit", "rank", "density", "importance"),
    "suppressed": ("logit", "rank", "density", "importance"),
    "strongest": ("density", "importance"),
}


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown | Moved:
    """Show what was asked for, and how many more there are; a number that is typed at the top of a
    page, where no way of searching is chosen, leads to that feature. Raises: Problem for what
    cannot be asked."""
    index = library.index(path_params["model"], path_params["dictionary"])
    base = f"{path_params['model']}/{path_params['dictionary']}"
    by, text = query_args.choice(query, "by", list(WAYS), "token"), query.get("q", "")
    if len(text) > LONGEST:
        raise Problem(ASKED, f"at most {LONGEST} characters can be searched for, got {len(text):,}")
    number = int(text) if re.fullmatch(r"[0-9]{1,9}", text.strip()) else None
    if "by" not in query and number is not None and number < index.about.d_sae:
        return Moved(f"/{base}/{number}")
    offset = query_args.number(query, "offset", 0, 0, 10**9)
    values: dict[str, Any] = {
        "dictionary": base,
        "provisional": library.provisional(base),
        "about": index.about,
        "by": by,
        "q": text,
        "number": number,
        "tokens": [],
        "containing": 0,
        "listed": 0,
        "chosen": None,
        "lists": [],
        **dict.fromkeys(("note", "instead", "prompt", "sentence", "reads", "promoted"), ""),
    }
    if text and by == "text":
        values |= _by_text(index, base, text, offset)
    elif text:
        values |= _by_token(index, base, by, text, query, offset)
    return Shown(
        "search.html",
        values,
        {
            "ways": WAYS,
            "matches": MATCHES,
            "examples": _examples(index, base),
            "bounds": ("density>=0.01", f"maximum>={index.maxima.max() / 2:.2g}", "class=dead"),
            "schema": SORTED,
            "fewest": searching.FEWEST,
        },
    )


@lru_cache(8)
def _examples(index: Index, base: str) -> list[dict[str, str]]:
    """Searches that find something: of tokens that the indexed text contains, those that features
    of "start here" fire on most, and promote."""
    features = [index.feature(k) for k, _ in index.start]
    found = {
        "token": [str(row["text"]) for f in features for row in f.tokens],
        "promoted": [word for f in features for word, _ in f.promoted],
    }
    listed = [word for words in found.values() for word in words if re.search(r"\w{3}", word)]
    marks = ", ".join("?" * len(listed)) or "NULL"
    sql = f"SELECT text FROM tokens WHERE count > 0 AND text IN ({marks})"
    occurring = {row["text"] for row in index.query(sql, listed)}
    examples = ((by, next((w for w in found[by] if w in occurring), "")) for by in found)
    return [
        {"words": WAYS[by], "text": w, "link": link(f"/{base}/search", [("by", by), ("q", w)])}
        for by, w in examples
        if w
    ]


def _by_token(
    index: Index, base: str, by: str, text: str, query: QueryParams, offset: int
) -> dict[str, Any]:
    """What fires on, promotes or suppresses a token; of several that hold the text, the usual one
    unless one was chosen."""
    tokens = searching.tokens_like(index, by, text, LIKE)
    text_of_token = {row["token"]: row["text"] for row in tokens}
    chosen = query_args.number(query, "id", _usual(tokens, text), -1, 2**31 - 1)
    if not tokens and "id" not in query:
        return {
            "note": "No token of this model's vocabulary contains these characters.",
            "instead": link(f"/{base}/search", [("by", "text"), ("q", text)]),
            **(_elsewhere(index, base, text, []) if by == "token" else {}),
        }
    word = text_of_token.get(chosen) or index.words([chosen])[chosen]
    if by == "token":
        rows = searching.by_token(index, chosen, ROWS, offset)
    else:
        rows = searching.by_promoted(index, chosen, 1 if by == "promoted" else -1, ROWS, offset)
    state = [("by", by), ("q", text), ("id", chosen)]
    asked = word if "id" in query else text
    is_other = word.strip() != asked.strip()
    same = [
        row
        for row in tokens
        if (row["token"] == chosen if "id" in query else row["text"].strip() == text.strip())
    ]
    listed = _list(index, base, by, WAYS[by].capitalize(), rows, offset, state)
    shown: dict[str, Any] = {
        "tokens": _choices(base, by, text, tokens, chosen),
        "containing": tokens[0]["containing"] if tokens else 0,
        "listed": tokens[0]["listed"] if tokens else 0,
        "chosen": {"token": chosen, "text": word},
        "lists": [listed],
    }
    strongest = searching.strongest_on(index, chosen, ROWS)
    if by == "token" and strongest.total:
        title = "Fires most strongly on the token"
        shown["lists"] += [_list(index, base, "strongest", title, strongest, 0, state)]
    if by == "token" and (is_other or not listed["total"]):
        shown |= _unlisted(index, base, asked.strip() or word, same)
    elif is_other:
        shown["note"] = f"No feature has a token “{text}” itself among its ten most {by}."
    if is_other:
        how = "contains it" if _match(word, text) else "differs in capitals"
        other = f"“{word.strip()}”, which {how},"
        if any(each["total"] for each in shown["lists"]):
            shown["note"] += f" The list below is of {other.rstrip(',')}."
        elif shown["listed"] or not _match(word, text):
            shown["note"] += f" {other} is not listed either."
        else:
            shown["note"] += " No token that contains it has features listed."
    if by == "token" and not any(each["total"] for each in shown["lists"]):
        shown |= _elsewhere(index, base, asked, same)
    return shown


def _unlisted(index: Index, base: str, text: str, same: Sequence[Row]) -> dict[str, Any]:
    """Say of a token for which no feature is listed whether it is in the text, and whether the
    contexts that are kept have features that are on there; with a link to these."""
    if not same:
        return {"note": f"“{text}” itself is no token of this model's vocabulary."}
    count, seen = sum(row["count"] for row in same), [row for row in same if row["count"]]
    tokens = " or ".join(f"“{row['text'].replace(' ', '·')}”" for row in seen or same)
    if not count:
        unknown = "so what fires on it is not known"
        return {"note": f"The indexed text does not contain the token {tokens}, {unknown}."}
    firing = sum(searching.by_context(index, [row["token"]], 0).total for row in same)
    note = (
        f"The token {tokens} occurs {several(count, 'time')} in the indexed text, but it is not "
        "among the five tokens on which any feature fires most often, which are all that is "
        "listed here. "
    )
    if not firing:
        return {"note": f"{note}In the stored contexts, no feature fires on it."}
    fires = f"In the stored contexts, {several(firing, 'feature fires', 'features fire')} on it."
    return {"note": note + fires, "instead": link(f"/{base}/search", [("by", "text"), ("q", text)])}


def _elsewhere(index: Index, base: str, text: str, same: Sequence[Row]) -> dict[str, str]:
    """Where else to look for features of a word for which none is listed: a prompt in which the
    model reads one of the tokens that are it, if there is such a prompt, and what promotes it."""
    encode, _ = _encoder(index)
    sentences = [each.format(text.strip()) for each in SENTENCES]
    found = [(s, row["text"]) for s in sentences for row in same if row["token"] in encode(s)]
    sentence, reads = next(iter(found), (sentences[0], ""))
    query = [("text", sentence), ("rows", "size")]
    promoted = searching.tokens_like(index, "promoted", text, LIKE)
    is_promoted = any(row["features"] and not _match(row["text"], text) for row in promoted)
    return {
        "prompt": f"{link(f'/{base}/prompt', query)}#heat" if index.about.model else "",
        "sentence": sentence,
        "reads": reads,
        "promoted": link(f"/{base}/search", [("by", "promoted"), ("q", text)]) * is_promoted,
    }


def _choices(
    base: str, by: str, text: str, tokens: Sequence[Mapping[str, Any]], chosen: int
) -> list[dict[str, Any]]:
    """Tokens, each with how it matches, the address at which it is the chosen one, and whether it
    is shown as a choice."""
    return [
        {
            **row,
            "match": _match(row["text"], text),
            "link": link(f"/{base}/search", [("by", by), ("q", text), ("id", row["token"])]),
            "shown": bool(row["features"]) or row["token"] == chosen,
        }
        for row in tokens
    ]


def _match(token: str, text: str) -> int:
    """How a token that contains a text matches it, as a place in `MATCHES`."""
    token, text = token.strip().lower(), text.strip().lower()
    return 0 if token == text else 1 if token.startswith(text) else 2


def _usual(tokens: Sequence[Mapping[str, Any]], text: str) -> int:
    """The token that is meant: of those that are the text in any case, with a space or without, one
    with features, in the case as typed, with a space that was typed, with the most; else the first
    that contains the text and has features; −1: none."""
    same = [row for row in tokens if not _match(row["text"], text)]
    listed = [row for row in tokens if row["features"]] or tokens
    meant = max(
        same,
        key=lambda row: (
            row["features"] > 0,
            row["text"].strip() == text.strip(),
            row["text"] == text != text.lstrip(),
            row["features"],
            row["text"] == text,
            row["count"],
        ),
        default=listed[0] if listed else {"token": -1},
    )
    return int(meant["token"])


def _by_text(index: Index, base: str, text: str, offset: int) -> dict[str, Any]:
    """Features on at the end of these words in a context that is kept; words may begin with a space
    in the text, or not."""
    encode, note = _encoder(index)
    lists, known_ids = [], set()
    for typed in dict.fromkeys([text, text if text[0].isspace() else f" {text}"]):
        ids = tuple(encode(typed))
        if not ids or ids in known_ids:
            continue
        known_ids.add(ids)
        words = index.words(ids)
        listing = searching.by_context(index, ids, ROWS, offset)
        title = "after a space" if typed != text else "as typed"
        state = [("by", "text"), ("q", text)]
        lists.append(
            _list(index, base, "text", title, listing, offset, state)
            | {"tokens": [words[i] for i in ids]}
        )
    if not lists:
        note = "These words cannot be made of the tokens of this model's vocabulary."
    return {"lists": lists, "note": note}


def _encoder(index: Index) -> tuple[Callable[[str], Sequence[int]], str]:
    """The model's tokenizer; where its folder is not here, the longest tokens of the vocabulary
    that fit, and a note."""
    try:
        return folder.find(index.about.model).tokenizer.encode, ""
    except (AssayError, ImportError):
        return (
            functools.partial(searching.longest, index),
            "The model is not here, so the words were cut into the longest tokens that fit: "
            "its own tokenizer may cut elsewhere.",
        )


def _list(
    index: Index,
    base: str,
    by: str,
    title: str,
    listing: Page,
    offset: int,
    state: Sequence[tuple[str, Any]],
) -> dict[str, Any]:
    """A list with the name of each feature, how many it hides, and links to the pages
    before and after."""
    name_of = index.names([row["feature"] for row in listing.rows])
    strongest = searching.strongest_places(index, list(name_of))
    rows = [
        {**row, "name": name, "strongest": strongest.get(k)}
        for row, (k, name) in zip(listing.rows, name_of.items(), strict=True)
    ]
    after, before = offset + ROWS, max(0, offset - ROWS)
    # of all features before of some
    worth = "gradient_active" if index.about.reliable else "importance"
    columns = (worth if name == "importance" else name for name in COLUMNS[by])
    return {
        "by": by,
        "title": title,
        "columns": tuple(name for name in columns if any(row[name] is not None for row in rows)),
        "rows": rows,
        "total": listing.total,
        "offset": offset,
        "hidden": listing.total - len(rows),
        "later": link(f"/{base}/search", [*state, ("offset", after)])
        if after < listing.total and by != "strongest"
        else None,
        "earlier": link(f"/{base}/search", [*state, ("offset", before or None)])
        if offset
        else None,
    }
