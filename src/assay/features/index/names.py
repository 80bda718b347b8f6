"""Names: what a feature is about in a few tokens or words, with a score; and the features to look
at first."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core import foreign
from assay.core.errors import DataError
from assay.dictionaries.measuring.redundancy import THRESHOLD
from assay.features.index.about import About, decoder_rows
from assay.features.index.schema import COMPANIONS

GAIN, MOST = 0.05, 3
"""F1 by which each further token of a rule has to pay for itself, and how many it has at most."""
LEGIBLE, FEWEST = 0.5, 20
"""F1, also on other documents, and firings from which a name can be relied on."""
MIXED = 0.25
"""F1 below which a name says little of where its feature fires."""
FIRINGS_PER_TOKEN = int(2 / MIXED) - 1
"""Firings that each token of a name needs: k tokens chosen among those of n random firings, each of
which occurs once in the text, have an F1 of 2k / (k + n), which is `MIXED` at n = 7k."""
PRECISE = 0.5
"""Share of its firings on a rule's tokens from which a feature fires on these, however seldom."""
COMMON = 0.1
"""Share of the tokens above which a feature is on everywhere, and says little of any of them."""
LARGEST = 2**22
"""Bytes of a file of names."""


@dataclass(frozen=True)
class Name:
    """What a feature is about. `kind` is rule (it fires on these tokens), promoted (it is on where
    one of these comes next), given (words of a person or a language model), few (it fires too few
    times for a name: on these tokens as often as its words say), or empty: it never fires."""

    kind: str
    tokens: tuple[str, ...] = ()
    words: str = ""
    score: float | None = None
    """F1 of the rule or of the promoted tokens on the index's text, on which they were chosen; of
    words, what came with them."""
    precision: float | None = None
    """Share of its firings that are on the rule's tokens, or right before the promoted ones."""

    @property
    def mixed(self) -> bool:
        """Whether tokens say so little of where it fires that they are no name of it."""
        return self._weak and (self.precision or 0.0) < PRECISE

    @property
    def poor(self) -> bool:
        """Whether the text says too little of where it fires: it has no name, or a mixed one."""
        return self.kind in ("", "few") or self.mixed

    @property
    def some(self) -> bool:
        """Whether it fires on the rule's tokens, though on few of the places where these are."""
        return self._weak and not self.mixed

    @property
    def _weak(self) -> bool:
        return self.kind in ("rule", "promoted") and (self.score or 0.0) < MIXED


@dataclass(frozen=True, eq=False)
class Names:
    """The best name of each feature that tokens alone give."""

    rule: Float[np.ndarray, " f"]
    """F1 of "the token is one of these k", of the `COMPANIONS` that it fires on most the k with the
    highest F1 alone, at the least k within `GAIN` a token of the best."""
    ranks: tuple[tuple[int, ...], ...]
    """The ranks of these k tokens of each feature, the one that says most first."""
    promoted: Float[np.ndarray, " f"]
    """F1 of "one of these tokens comes next", from its even sample of contexts, where these are
    chosen likewise among those of its ten most promoted tokens that do come next."""
    following: tuple[tuple[int, ...], ...]
    """These tokens of each feature, the one that says most first; none where none comes next."""
    before: Float[np.ndarray, " f"]
    """Share of its firings that one of these comes after."""
    firings: Float[np.ndarray, " f"]
    held_out: Float[np.ndarray, " f"]
    """F1 of names chosen likewise, on documents from which they were not chosen."""

    @property
    def good(self) -> Bool[np.ndarray, " f"]:
        """Whether the name can be relied on: few firings are predicted well by chance where tokens
        are chosen among them, but not elsewhere."""
        frequent = self.firings >= FEWEST
        return frequent & (self.score >= LEGIBLE) & (self.held_out >= LEGIBLE)

    @property
    def score(self) -> Float[np.ndarray, " f"]:
        """F1 of the better one."""
        return np.maximum(self.rule, self.promoted)

    @property
    def known(self) -> Float[np.ndarray, " f"]:
        """F1 of the name; 0 for a feature that fires too few times for one."""
        score = np.where(self.promoted < MIXED, self.rule, self.score)
        return np.where(self.firings < FIRINGS_PER_TOKEN, 0.0, score)


class _Index(Protocol):
    """What names are made from: an index as its reader opens it, which in turn gives names."""

    folder: Path
    about: About
    given_names: Mapping[int, Name]

    @property
    def windows(self) -> Int[np.ndarray, "window s"]: ...
    @property
    def all_names(self) -> Names: ...
    def names(self, numbers: Sequence[int]) -> dict[int, Name]: ...
    def columns(self, names: Sequence[str]) -> dict[str, Float[np.ndarray, " f"]]: ...
    def arrays(self, sql: str, values: Sequence[Any] = ()) -> dict[str, Any]: ...
    def query(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]: ...
    def words(self, ids: set[int] | Sequence[int]) -> dict[int, str]: ...


def names(index: _Index) -> Names:
    """Score a rule and the promoted tokens of every feature on the index's text.

    Formula: 2 TP / (where it should fire + where the feature fires)
    """
    firings = index.columns(("firings",))["firings"]
    table = index.arrays("SELECT feature, rank, firings, recall FROM feature_tokens")
    rule, ranks = rules(table, firings)
    promoted, following, before = _promoted(index, firings)
    by_rule, by_promoted = (_held_out(index, firings, ahead) for ahead in (0, 1))
    held_out = np.where(promoted > rule, by_promoted, by_rule)
    return Names(rule, ranks, promoted, following, before, firings, held_out)


def rules(
    table: Mapping[str, np.ndarray], firings: Float[np.ndarray, " f"]
) -> tuple[Float[np.ndarray, " f"], tuple[tuple[int, ...], ...]]:
    """Score a rule of every feature, and give the ranks of its tokens, from the tokens that each
    fires on most."""
    hits, places = np.zeros((2, len(firings), COMPANIONS))
    cells, fires = (table["feature"], table["rank"]), firings[:, None]
    hits[cells], places[cells] = table["firings"], table["firings"] / table["recall"]
    order = np.argsort(-_f1(hits, places, fires), axis=1, kind="stable")[:, :MOST]
    hits, places = (np.take_along_axis(x, order, 1).cumsum(1) for x in (hits, places))
    f1, size = _fewest(_f1(hits, places, fires), firings)
    rows = zip(order.tolist(), size.tolist(), strict=True)
    return f1, tuple(tuple(row[:k]) for row, k in rows)


def _promoted(
    index: _Index, firings: Float[np.ndarray, " f"]
) -> tuple[Float[np.ndarray, " f"], tuple[tuple[int, ...], ...], Float[np.ndarray, " f"]]:
    """Choose, of the promoted tokens that come next in each feature's even sample of contexts,
    those that say best where it fires: their F1, the tokens, and the share of its firings that they
    come after."""
    text, n = index.windows, len(firings)
    places = index.arrays(
        'SELECT feature, "window", position FROM contexts '
        "WHERE kind = 'even' AND position + 1 < ?",
        [text.shape[1]],
    )
    logits = index.arrays("SELECT feature, token FROM logits WHERE sign > 0")
    base = int(text.max(initial=0)) + int(logits["token"].max(initial=0)) + 1
    pairs = logits["feature"].astype(np.int64) * base + logits["token"]
    next_pairs = places["feature"].astype(np.int64) * base
    next_pairs += text[places["window"], places["position"] + 1]
    found, times = np.unique(next_pairs[np.isin(next_pairs, pairs)], return_counts=True)
    feature, token = found // base, found % base
    sampled = np.maximum(1, np.bincount(places["feature"], minlength=n))
    share, claimed = times / sampled[feature], np.bincount(text.ravel(), minlength=base)[token]
    on = firings[feature]
    worth = _f1(share * on, claimed, on)
    shares, counts, tokens = _most(feature, worth, n, share, claimed, token + 1)
    shares, on_each = shares.cumsum(1), firings[:, None]
    f1, size = _fewest(_f1(shares * on_each, counts.cumsum(1), on_each), firings)
    rows = zip(tokens.astype(int).tolist(), size.tolist(), strict=True)
    following = tuple(tuple(t - 1 for t in row[:k] if t) for row, k in rows)
    return f1, following, np.take_along_axis(shares, size[:, None] - 1, 1)[:, 0]


def _most(
    feature: Int[np.ndarray, " n"], worth: np.ndarray, width: int, *columns: np.ndarray
) -> Float[np.ndarray, "c f k"]:
    """The columns of the `MOST` worthiest rows of each feature, by rank; 0 where there are
    fewer."""
    order = np.lexsort((-worth, feature))
    feature = feature[order]
    rank = np.arange(len(feature)) - np.searchsorted(feature, feature)
    is_first = rank < MOST
    tables = np.zeros((len(columns), width, MOST))
    for table, column in zip(tables, columns, strict=True):
        table[feature[is_first], rank[is_first]] = column[order][is_first]
    return tables


def _held_out(
    index: _Index, firings: Float[np.ndarray, " f"], ahead: int
) -> Float[np.ndarray, " f"]:
    """Score, in each feature's even sample of contexts, names on documents from which they were not
    chosen: on half of them those of the other half, and the other way round. `ahead` is 1 for names
    by promoted tokens, 0 for rules.

    Formula: 2 TP / (where it should fire + where the feature fires), sums over both halves
    """
    text, n = index.windows, len(firings)
    sample = index.arrays(
        "SELECT feature, \"window\", position, document FROM contexts WHERE kind = 'even'"
    )
    feature, window = sample["feature"].astype(np.int64), sample["window"]
    documents, number = np.unique(sample["document"], return_inverse=True)
    half = (number if len(documents) > 1 else window) % 2
    half_of_window = np.zeros(len(text), int)
    half_of_window[window] = half
    padded = np.pad(text.astype(np.int64) + 1, ((0, 0), (0, 1)))  # 0: no token
    token, base = padded[window, sample["position"] + ahead], int(padded.max(initial=0)) + 1
    counts = [np.bincount(padded[half_of_window == h].ravel(), minlength=base) for h in (0, 1)]
    pair, usable = feature * base + token, token > 0
    if ahead:
        logits = index.arrays(
            "SELECT feature, token FROM logits WHERE sign > 0 AND token < ?", [base - 1]
        )
        usable &= np.isin(pair, logits["feature"].astype(np.int64) * base + logits["token"] + 1)
    each = firings / np.maximum(1, np.bincount(feature, minlength=n))
    true, claimed = np.zeros((2, n))
    for h in (0, 1):
        other = half != h
        found, times = np.unique(pair[other & usable], return_counts=True)
        k, t = found // base, found % base
        fires = each * np.bincount(feature[other], minlength=n)
        hits, places = times * each[k], counts[1 - h][t]
        worth = _f1(hits, places, fires[k])
        hits, places, tokens = _most(k, worth, n, hits, places, t)
        size = _fewest(_f1(hits.cumsum(1), places.cumsum(1), fires[:, None]), fires)[1]
        k, rank = np.nonzero((np.arange(MOST) < size[:, None]) & (tokens > 0))
        t = tokens[k, rank].astype(np.int64)
        hit = np.isin(pair, k * base + t) & ~other
        true += each * np.bincount(feature[hit], minlength=n)
        np.add.at(claimed, k, counts[h][t])
    return _f1(true, claimed, firings)


def _fewest(
    f1: Float[np.ndarray, "f k"], firings: Float[np.ndarray, " f"]
) -> tuple[Float[np.ndarray, " f"], Int[np.ndarray, " f"]]:
    """The F1 of the first tokens of each feature, and how many: the fewest of which each pays for
    itself, and no more than its firings allow."""
    allowed = np.maximum(1, firings // FIRINGS_PER_TOKEN)[:, None]
    more = np.arange(MOST)
    size = np.where(more < allowed, f1 - GAIN * more, -np.inf).argmax(1)
    return np.take_along_axis(f1, size[:, None], 1)[:, 0], size + 1


def _f1(
    true: Float[np.ndarray, "..."],
    claimed: Float[np.ndarray, "..."],
    fires: Float[np.ndarray, "..."],
) -> Float[np.ndarray, "..."]:
    return 2 * true / np.maximum(1, claimed + fires)


def read(path: Path, width: int = 2**31) -> dict[int, Name]:
    """Read names that a person or a language model gave: CSV with the columns feature, words and,
    where it is known, score.

    Raises: DataError for another table, or a feature that is not there.
    """
    text = foreign.read(path, "a CSV file of names", LARGEST).decode("utf-8-sig", "replace")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not {"feature", "words"} <= set(rows.fieldnames or ()):
        raise DataError(f"{path} needs the columns feature and words, and may have score")
    by_hand: dict[int, Name] = {}
    for line, row in enumerate(rows, 2):
        try:
            number, score = int(row["feature"]), row.get("score") or None
            value = None if score is None else float(score)
        except ValueError as error:
            raise DataError(f"{path}, line {line}: {error}") from error
        if not 0 <= number < width:
            raise DataError(
                f"{path}, line {line}: features are numbered 0 to {width - 1:,}, got {number}"
            )
        if words := (row["words"] or "").strip():
            by_hand[number] = Name("given", words=words, score=value)
    return by_hand


def start(index: _Index, count: int = 12) -> tuple[tuple[int, int], ...]:
    """Choose the features to look at first, each with how many twins it hides.

    They are of those whose name can be relied on, or at least fits this text if there are none, and
    that are not on everywhere if there are any: first those that help by ablation, then those of
    the largest first-order importance (by its lower end), if ablations support such estimates. Else
    the others that were ablated follow, and then those that write most where they are on (mean
    activation times length of the decoder row). Last, if there is room, are those that help and
    have no good name. Of several whose names begin with one token, the first, and those that help.
    """
    c = index.columns(("firings", "gradient_low", "importance_low", "mean", "decoder_norm"))
    reliable = index.about.reliable
    worth = c["gradient_low"] if reliable else c["mean"] * c["decoder_norm"]
    is_known = good(index)
    if not is_known.any():
        is_known = (index.all_names.score >= LEGIBLE) & (c["firings"] >= FEWEST)
    rare = is_known & (c["firings"] <= COMMON * index.about.tokens)
    helps = c["importance_low"] > 0
    is_good = rare if rare.any() else is_known
    worth = np.where(helps, c["importance_low"], np.where(is_good, worth, np.nan))
    unmeasured = np.isnan(c["importance_low"]) | reliable
    order = np.lexsort((-worth, unmeasured, ~helps, ~is_good))[: int(np.isfinite(worth).sum())]
    unit = decoder_rows(index.folder).astype(np.float32)
    chosen: list[tuple[int, int]] = []
    hidden: set[int] = set()
    used: set[tuple[str, ...]] = set()
    for k in order.tolist():
        if len(chosen) == count:
            break
        name = index.names([k])[k]
        words = (name.words, *(t.strip() for t in name.tokens[:1]))
        if k not in hidden and (helps[k] or words not in used):
            similar = np.flatnonzero(twins(unit, k)).tolist()
            hidden.update(similar)
            used.add(words)
            chosen.append((k, len(similar)))
    return tuple(chosen)


def good(index: _Index) -> Bool[np.ndarray, " f"]:
    """Tell which features have a name that can be relied on, or that was given."""
    names = index.all_names
    is_given = np.isin(np.arange(len(names.firings)), list(index.given_names))
    return names.good | (is_given & (names.firings >= FEWEST))


def legible(index: _Index) -> dict[str, int]:
    """Count the features that fire often enough to be named, and those whose name can be relied
    on."""
    names = index.all_names
    return {"firing": int((names.firings >= FEWEST).sum()), "legible": int(names.good.sum())}


def twins(unit: Float[np.ndarray, "f d"], feature: int) -> Bool[np.ndarray, " f"]:
    """Tell which other features write nearly the same direction, of rows of length 1."""
    similar = unit @ unit[feature] > THRESHOLD
    similar[feature] = False
    return similar


def named(
    index: _Index, names: Names, by_hand: Mapping[int, Name], numbers: Sequence[int]
) -> dict[int, Name]:
    """Give the name of each of these features."""
    features = list(dict.fromkeys(int(k) for k in numbers))
    listed = ", ".join(map(str, features)) or "NULL"
    tokens: dict[int, list[int]] = {k: [] for k in features}
    shares: dict[int, list[float]] = {k: [] for k in features}
    for row in index.query(
        f"SELECT feature, token, share FROM feature_tokens WHERE feature IN ({listed}) "
        "ORDER BY feature, rank"
    ):
        tokens[row["feature"]].append(row["token"])
        shares[row["feature"]].append(row["share"])
    words = index.words({t for k in features for t in (*tokens[k], *names.following[k])})

    def best(k: int) -> Name:
        if k in by_hand or not tokens[k]:
            return by_hand.get(k, Name(""))
        if (count := int(names.firings[k])) < FIRINGS_PER_TOKEN:
            often = [i for i, share in enumerate(shares[k]) if share == shares[k][0]][:MOST]
            on = round(count * sum(shares[k][i] for i in often))
            words_of_few = "once" if count == 1 else f"{on} of {count} times"
            return Name("few", tuple(words[tokens[k][i]] for i in often), words_of_few)
        score, share = float(names.promoted[k]), float(names.before[k])
        if score > names.rule[k] and score >= MIXED:
            return Name("promoted", tuple(words[t] for t in names.following[k]), "", score, share)
        rule = tuple(words[tokens[k][rank]] for rank in names.ranks[k])
        share = sum(shares[k][rank] for rank in names.ranks[k])
        return Name("rule", rule, "", float(names.rule[k]), share)

    return {k: best(k) for k in features}
