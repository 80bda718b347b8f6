"""Searching: from tokens and texts to the features that fire on them or promote them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Int

from assay.features.index.reader import Index
from assay.features.index.schema import EFFECTS, Page, Row, known

_WORTH = ", ".join(f"f.{name}" for name in ("density", "maximum", *EFFECTS))
"""What lists say of each feature that is found, in SQL."""
FEWEST = 3
"""Firings on a token below which the share of its occurrences is given as a count."""
SENTENCE = re.compile(r"(?:(?<=[.?!] )|(?<=\n))([A-Z][a-z]*(?: [^\W\d_]+,?){4,10} [^\W\d_]+)\.\s")
LINE = re.compile(r"(?<=\n)[ \t]*(\S+ [^\n]{2,50} \S+)(?=\n)")
WINDOWS = 256
"""Windows in which sentences are looked for, at most."""


def longest(index: Index, text: str) -> tuple[int, ...]:
    """Cut a text into the longest tokens of the vocabulary that fit, from its start; nothing
    where one place has no token."""
    ids: list[int] = []
    while text:
        length = next(
            (n for n in range(min(len(text), 40), 0, -1) if text[:n] in index.token_numbers), 0
        )
        if not length:
            return ()
        ids.append(index.token_numbers[text[:length]])
        text = text[length:]
    return tuple(ids)


def by_token(index: Index, token: int, limit: int = 50, offset: int = 0) -> Page:
    """Features that fire on a token, of the five of each that are kept, by the product of the lower
    ends of the 95% intervals of share and recall.

    Formula: (p + z²/2n − z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n), z = 1.96; n: firings, occurrences
    Source: Wilson 1927, J. Am. Stat. Assoc. 22
    """
    total = index.query("SELECT count(*) AS n FROM feature_tokens WHERE token = ?", [token])[0]["n"]
    rows = index.query(
        f"SELECT x.feature, x.firings, x.share, x.recall, {_WORTH} "
        "FROM feature_tokens x JOIN features f ON f.feature = x.feature "
        f"WHERE x.token = ? ORDER BY {_lower_end('x.share')} * {_lower_end('x.recall')} DESC, "
        "x.feature LIMIT ? OFFSET ?",
        [token, limit, offset],
    )
    return Page(tuple(rows), total)


def _lower_end(share: str) -> str:
    """The lower end of a share's interval, in SQL; it is of `x.firings` / share trials."""
    p, n = share, f"(x.firings / {share})"
    root = f"sqrt(greatest(0, {p} * (1 - {p}) / {n}) + 3.8416 / (4 * {n} * {n}))"
    return f"(({p} + 1.9208 / {n} - 1.96 * {root}) / (1 + 3.8416 / {n}))"


def strongest_on(index: Index, token: int, limit: int = 50) -> Page:
    """Features whose strongest context is at a token that is not among the five kept of each."""
    kept = index.query("SELECT feature FROM feature_tokens WHERE token = ?", [token])
    listed = {row["feature"] for row in kept}
    rows = [
        row
        for row in by_context(index, [token], index.about.d_sae).rows
        if row["relative"] > 1 - 1e-6 and row["feature"] not in listed
    ]
    return Page(tuple(rows[:limit]), len(rows))


def by_promoted(index: Index, token: int, sign: int = 1, limit: int = 50, offset: int = 0) -> Page:
    """Features among whose ten most promoted (sign 1) or suppressed (sign −1) tokens this one
    is, strongest first."""
    total = index.query(
        "SELECT count(*) AS n FROM logits WHERE token = ? AND sign = ?", [token, sign]
    )[0]["n"]
    rows = index.query(
        f"SELECT l.feature, l.logit, l.rank, {_WORTH} FROM logits l "
        "JOIN features f ON f.feature = l.feature WHERE l.token = ? AND l.sign = ? "
        "ORDER BY l.logit * ? DESC, l.feature LIMIT ? OFFSET ?",
        [token, sign, sign, limit, offset],
    )
    return Page(tuple(rows), total)


def tokens_like(index: Index, by: str, text: str, limit: int = 20) -> list[Row]:
    """Tokens of the vocabulary that contain this text: those that are it first, whatever their case
    and with a space or without, then those that begin with it, each by how often they occur; those
    for which no feature is listed come last.

    Each has the number of `features` that are listed for it, as one that they fire on, as promoted
    or as suppressed; `containing` and `listed` count all such tokens, and those with features.
    """
    table, sign = ("feature_tokens", "") if by == "token" else ("logits", "WHERE sign = ?")
    return list(
        index.query(
            "SELECT t.token, t.text, t.count, coalesce(x.n, 0) AS features, "
            "count(*) OVER () AS containing, count(x.n) OVER () AS listed FROM tokens t LEFT JOIN "
            f"(SELECT token, count(*) AS n FROM {table} {sign} GROUP BY token) x "
            "ON x.token = t.token WHERE contains(lower(t.text), lower(?)) "
            "ORDER BY t.text = ? DESC, trim(t.text) = trim(?) DESC, "
            "lower(trim(t.text)) = lower(trim(?)) DESC, x.n IS NULL, "
            "starts_with(lower(trim(t.text)), lower(trim(?))) DESC, t.count DESC, t.token LIMIT ?",
            [*([1 if by == "promoted" else -1] if sign else []), *[text] * 5, limit],
        )
    )


def by_context(index: Index, ids: Sequence[int], limit: int = 50, offset: int = 0) -> Page:
    """Features with a kept context in which these tokens follow each other and at whose last
    one they are on, by activation share."""
    if not ids:
        return Page((), 0)
    windows, positions = _places(index, ids)
    row, feature, value = index.contexts_by_row
    target_rows = windows * index.windows.shape[1] + positions
    low, high = (np.searchsorted(row, target_rows, side) for side in ("left", "right"))
    hits = (
        np.repeat(low, high - low)
        + np.arange((high - low).sum())
        - np.repeat(np.cumsum(high - low) - (high - low), high - low)
    )
    glances = index.glances
    numbers = {name: glances[name] for name in ("density", *EFFECTS)}
    features, contexts = np.unique(feature[hits], return_counts=True)
    relative = np.zeros(len(glances["density"]))
    np.maximum.at(relative, feature[hits], value[hits] / glances["maximum"][feature[hits]])
    order = np.lexsort((features, -relative[features]))[offset : offset + limit]
    rows = tuple(
        {
            "feature": int(k),
            "contexts": int(n),
            "relative": float(relative[k]),
            **{name: known(column[k]) for name, column in numbers.items()},
        }
        for k, n in zip(features[order], contexts[order], strict=True)
    )
    return Page(rows, len(features))


def strongest_places(index: Index, features: Sequence[int]) -> dict[int, dict[str, str]]:
    """The token on which each feature fires most strongly, between those next to it; features
    that never fire are left out."""
    listed = ", ".join(str(int(feature)) for feature in features) or "NULL"
    rows = index.query(
        f'SELECT feature, tokens, "at" FROM contexts WHERE feature IN ({listed}) AND rank = 0 AND '
        "kind = 'top'"
    )
    places = {}
    for row in rows:
        at, words = row["at"], [index.words([token])[token] for token in row["tokens"]]
        before, after = "".join(words[max(0, at - 2) : at]), "".join(words[at + 1 : at + 2])
        places[row["feature"]] = {"before": before, "token": words[at], "after": after}
    return places


def _places(
    index: Index, ids: Sequence[int]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Windows and positions of the last of these tokens wherever they follow each other in the
    text."""
    tokens = index.windows
    count = tokens.shape[1] - len(ids) + 1
    if count < 1:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    matches = np.ones((len(tokens), count), bool)
    for i, token in enumerate(ids):
        matches &= tokens[:, i : i + count] == token
    window, position = np.nonzero(matches)
    return window, position + len(ids) - 1


@lru_cache(8)
def beginnings(index: Index, count: int = 4) -> tuple[str, ...]:
    """Give short sentences of the text, from all over it and each without its last word, or lines
    where it has too few sentences, as code does: prompts of the kind that was read."""
    windows = index.windows[:: max(1, len(index.windows) // WINDOWS)].tolist()
    texts = ["".join(index.words(window)[token] for token in window) for window in windows]
    for pattern in (SENTENCE, LINE):
        found = dict.fromkeys(match for text in texts for match in pattern.findall(text))
        if len(found) >= count:
            shown = [text.rpartition(" ")[0] for text in found]
            return tuple(shown[i * len(shown) // count] for i in range(count))
    return ()
