"""Related: rows of a probe that are not independent of each other: groups that are taken as one,
and rows that are alike although their labels differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import shorten
from typing import Any

import numpy as np

from assay.ask.near import Control
from assay.ask.telling import words_of
from assay.checking.reading import bag
from assay.core.dependence import DIMS, Sets, near_copies, principal
from assay.core.heavy import scipy
from assay.core.intervals import FEWEST
from assay.core.nouns import plural
from assay.core.scopes import listed
from assay.core.wordings import numbered, spelling

ONE_LABEL = 0.85
"""The share of rows that have the usual label of their set from which sets of near-copies tell
labels."""
COPY, CHAINED, OPPOSITE = 1.3, 1.5, 0.7
"""How many times as far apart as the rows of one group, or of one chain, rows are at most that
belong to it; how many times as far apart as either is from its nearest row two rows of sets that go
on in each other are at most; the share of rows with an opposite one from which rows count as
mirrored."""
LONG, OVERLAPPING, WORDS = 8, 0.45, 4
"""So many rows are a chain; the share of rows in chains, or whose texts overlap, from which rows
overlap; in how many words texts do at least."""
CLOSE, SHOWN = 0.5, 0.45
"""The correlation of rows from which they are each other's opposite, negated; that of what is read
of two rows, beyond what all rows share, from which they are shown as alike."""
PLACES, MOSTLY = 8, 0.9
"""So many words of a text, from each end, may tell its set; the share of rows of which one does."""
NEARLY = 0.9
"""The share of the largest correlation from which other rows are as near to each other."""
LEAST_OF_A_LABEL, AGAIN = 3, 10
"""So many words of each label, and rows beyond the first with a word, from which it is no chance
that each word has one label."""
FEW = 1000
"""About so many rows are looked at for two clusters."""
ONE_GROUP = "give near-copies one group (groups=)"
SWAPPED = (
    "choose sets of texts in which each word has both labels, such as two true statements and the "
    "two false ones that swap their words, and give each set one group"
)
"""What makes a test of controls that read words where one group would have nearly all rows."""
DIFFERS = "X differs from the model's own activations of these texts"
THE_MODELS = Control("model", "the model's own activations of these texts", drawn=False)
"""What X should be: no control, as the claim should be true of it."""
ADDED = "X tells the label better than the model's own activations of these texts"
UNEXPLAINED = "nothing in the texts explains it"
BY_LABEL = (
    "As labels of both kinds are mixed along the rows, the label itself may be the cause, too; "
    "model= and site= show whether X is the model's own"
)
"""Said of clusters that are the labels and that no batch explains: a label that the model
represents strongly looks like this."""
CAUSES = (
    "the number of tokens, the position in the text, padding that is not masked, the batch or "
    "another format of the prompt are usual causes"
)
WITHOUT_CAUSE = f", and {UNEXPLAINED} ({CAUSES})"
OVERLAP = (
    "Rows overlap, as windows of one text do, so a probe is judged on rows that are nearly those "
    "it was trained on"
)
ALIKE, OVERLAPPING_ROWS = "similar rows", "overlapping rows"
AS_ONE = " are taken as one group"
"""Said of rows that are found to belong together, though nothing proves it."""
ENOUGH = "so far that this may be what tells the labels"
DOUBTS: Mapping[str, tuple[str, str]] = {
    UNEXPLAINED: (
        "clusters that nothing in the texts explains",
        "more groups do not help: give model= and site=, which show whether X is the model's own, "
        "or what may be the cause as controls=; compute X with both labels mixed along the rows",
    ),
    OVERLAP: (
        "rows overlap",
        "more rows like these do not help: give their documents as groups=, or windows that do not "
        "overlap",
    ),
    ENOUGH: (
        "the score drifts along the rows",
        "more rows in this order do not help: compute X in mixed order",
    ),
}
"""By what is noted of rows why a claim that would hold is undecided, and what would decide it."""
SAME, PROJECTED, LEAST_NUMBERS = 1e-3, 4, 3
"""Of rows that are the same: how far apart they are at most, in spreads of a column; in how many
directions such are sought; how many numbers that are not whole they have at least."""
CLEAN, FAR, TOWARDS, SHUFFLES = 0.95, 4.0, 0.5, 99
"""The share of rows of each label in its half from which activations lie in two clusters, one for
each label; how many standard deviations apart these are, at least, of which fewer rows have one
label; how far from the middle between them, in halves of their distance, rows of the other label
are then at most on average, if the label itself may be the cause; so often sets are shuffled to see
whether texts explain them."""


def with_same_texts(group: np.ndarray, texts: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Groups as one where they have a text in common, so that none is learned from and judged; and
    what was found."""
    _, text = np.unique([spelling(t) for t in texts or ()], return_inverse=True)
    several = sum(len(np.unique(group[text == k])) > 1 for k in range(text.max(initial=-1) + 1))
    if not several:
        return group, []
    if not text.any():
        return group, ["all texts are the same, so no control of words or spelling says anything"]
    words = f"{several} {'text is' if several == 1 else 'texts are'} in several groups"
    together = _linked(group, text)
    few = (count := int(together.max()) + 1) < FEWEST
    advice = ": keep one row of each text, or give each text to one group" * few
    return together, [
        f"{words}, and such groups are taken as one, so that no text is both trained on and "
        f"judged; this leaves {count} {plural('group', count)}{advice}"
    ]


def with_same_rows(x: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Groups as one where they have the same activations, but for rounding, so that none is learned
    from and judged, or those of a row times −1; and what was found. Whole numbers may agree by
    chance, such as many zeros."""
    x = x[:, np.ptp(x, axis=0) > 0]
    rows = np.flatnonzero((x % 1 != 0).sum(1) >= LEAST_NUMBERS)
    middle = np.median(np.abs(x - np.median(x, axis=0)), axis=0)
    z = (x / np.where(middle > 0, middle, x.std(0)))[rows]
    draw, most = np.random.default_rng(0), SAME * np.sqrt(x.shape[1])
    both = np.concatenate([z, -z])
    tree = scipy.spatial.KDTree(both @ draw.normal(size=(x.shape[1], PROJECTED)))
    pairs = np.array(sorted(tree.query_pairs(PROJECTED * most)), dtype=int).reshape(-1, 2)
    pairs = pairs[pairs[:, 0] < len(z)]  # each is found twice
    is_same = np.linalg.norm(both[pairs[:, 0]] - both[pairs[:, 1]], axis=1) < most
    first, other = rows[pairs[is_same].T % max(1, len(z))]
    if (group[first] == group[other]).all():
        return group, []
    links = scipy.sparse.coo_array((np.ones(len(first)), (first, other)), (len(x), len(x)))
    together = _linked(group, scipy.sparse.csgraph.connected_components(links, directed=False)[1])
    across = group[first] != group[other]
    first, other = first[across], other[across]
    times = " times −1" * bool((pairs[is_same][:, 1] >= len(z)).any())
    return together, [
        f"{len(np.unique([first, other]))} rows of X are the same as a row of another group{times}"
        f", such as row {first[0]} and row {other[0]}, and such groups are taken as one; this "
        f"leaves {(count := int(together.max()) + 1)} {plural('group', count)}: keep one row of "
        "each"
    ]


def with_mirrored_rows(x: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Groups as one where they have rows that are opposite, but for noise, as those of two prompts
    are that are centred together: what is learned of one holds of the other, whatever the labels.
    And what was found.

    Opposite rows have the same products of two columns, so that they are near-copies in these."""
    if (np.ptp(x, axis=0) > 0).sum() < LEAST_NUMBERS:
        return group, []  # in a plane, rows are opposite by chance
    x = (x - x.mean(0)) / np.where(np.ptp(x, axis=0) > 0, x.std(0), 1.0)
    points = principal(x)
    one, other = np.triu_indices(points.shape[1])
    products = points[:, one] * points[:, other]
    sets = near_copies(principal(products - products.mean(0)), "row")
    if sets is None or sets.of.max() + 1 < FEWEST:
        return group, []
    size = np.maximum(np.linalg.norm(x, axis=1), 1e-12)
    opposite = (x @ x.T < -CLOSE * np.outer(size, size)) & (sets.of[:, None] == sets.of)
    if opposite.any(1).mean() < OPPOSITE:
        return group, []
    together = _linked(group, sets.of)
    if (left := int(together.max()) + 1) == len(np.unique(group)):
        return group, []
    first, second = divmod(int((opposite & (group[:, None] != group)).argmax()), len(x))
    return together, [
        f"most rows of X are the opposite of a row of another group, such as row {first} and row "
        f"{second}, once the mean of all rows is taken away: such rows are taken as one group, "
        f"{left} in all"
    ]


def with_near_copies(
    x: np.ndarray, y: np.ndarray, group: np.ndarray, texts: Sequence[str] | None
) -> tuple[np.ndarray, bool, list[str]]:
    """Groups as one where they have rows of one label that are nearer to each other than
    independent ones, so that no copy is learned from and judged; whether this is so of their texts
    as well, and what was found."""
    sets = _sets(x - x.mean(0), y)
    # a label that is read clearly makes sets of any rows sets of one label
    if sets is None or _sets(x - np.where(y[:, None], x[y].mean(0), x[~y].mean(0)), y) is None:
        return group, True, []
    scale = np.where(np.ptp(x, axis=0) > 0, x.std(0), 1.0)
    apart = scipy.spatial.distance.cdist(x / scale, x / scale)
    is_free = len(np.unique(group)) == len(x)  # and else groups say what belongs together
    of = _chained(apart, sets.of) if is_free else sets.of
    near = _nearer_than_own(apart, group, of)
    together = _linked(group, scipy.sparse.csgraph.connected_components(near, directed=False)[1])
    if (left := int(together.max()) + 1) == len(np.unique(group)):
        return group, True, []
    across = near & (group[:, None] != group)
    pair = divmod(int(np.where(across, apart, np.inf).argmin()), len(x))
    in_texts = texts is None or _explained(texts, sets.of, y)
    pair_in_words = _in_words(pair, texts if in_texts else None, _place(texts, sets.of))
    found = f"{sets.words}, across groups, such as {pair_in_words}"
    if not in_texts:
        found += f", by their activations{WITHOUT_CAUSE}"
    if left < FEWEST:
        line = _line(texts, sets.of) or ", for each row the name of its set"
        advice = f"if rows of one set are not independent, give groups={line}"
        is_chain = len(np.unique(of)) < len(np.unique(sets.of))
        return group, True, [f"{found}{f'. {OVERLAP}' if is_chain else f': {advice}'}"]
    return together, in_texts, [f"{found}: rows of one set{AS_ONE}, {left} in all"]


def with_overlaps(
    x: np.ndarray, group: np.ndarray, texts: Sequence[str] | None
) -> tuple[np.ndarray, list[str]]:
    """Groups as one where rows overlap, as windows of one text do, by their texts or else by their
    activations, unless too few would be left; and what was found."""
    for near, how in (
        (_overlapping_texts(texts or ()), "the text of one begins within that of the other"),
        (_chains(x), "rows lie in chains in which each is between those that are nearest to it"),
    ):
        across = near & (group[:, None] != group) if len(near) else near
        if not across.any():
            continue
        pair = listed([f"row {i}" for i in divmod(int(across.argmax()), len(group))])
        count = int(across.any(0).sum())
        found = f"{count:,} rows overlap with a row of another group, such as {pair}: {how}"
        of = scipy.sparse.csgraph.connected_components(near, directed=False)[1]
        if (left := int((together := _linked(group, of)).max()) + 1) < FEWEST:
            return group, [f"{found}. {OVERLAP}"]
        return together, [f"{found}; such rows{AS_ONE}, {left} in all"]
    return group, []


def _chains(x: np.ndarray) -> np.ndarray:
    """Which rows are next to each other in chains, where most rows lie in long ones: either is one
    of the two that are nearest to the other."""
    z = (x - x.mean(0)) / np.where(np.ptp(x, axis=0) > 0, x.std(0), 1.0)
    size = np.square(z).sum(1)
    apart = np.sqrt(np.maximum(size[:, None] + size - 2 * z @ z.T, 0))
    np.fill_diagonal(apart, np.inf)
    near = np.zeros(apart.shape, dtype=bool)
    np.put_along_axis(near, np.argpartition(apart, 1, axis=1)[:, :2], True, axis=1)
    near &= near.T
    chain = scipy.sparse.csgraph.connected_components(near, directed=False)[1]
    if (np.bincount(chain)[chain] >= LONG).mean() < OVERLAPPING:
        return np.zeros_like(near)
    # the ends of two chains may be each other's second neighbours, farther away
    return np.asarray(near & (apart < COPY * np.median(apart[near])))


def _overlapping_texts(texts: Sequence[str]) -> np.ndarray:
    """Which texts begin within another one and go on as it does, until one of them ends, where most
    texts have such a one."""
    words = [words_of(text) for text in texts]
    begins = dict[tuple[str, ...], list[int]]()
    for i, own in enumerate(words):
        begins.setdefault(tuple(own[:WORDS]), []).append(i)
    near = np.zeros((len(texts), len(texts)), dtype=bool)
    for j, own in enumerate(words):
        for k in range(1, len(own) - WORDS + 1):
            found = begins.get(tuple(own[k : k + WORDS]), [])
            if len(found) == 1:  # many texts may have the same beginning and end
                other = words[found[0]]
                near[j, found[0]] |= own[k : k + len(other)] == other[: len(own) - k]
    near |= near.T
    return near if near.any(0).sum() >= OVERLAPPING * len(texts) else np.zeros_like(near)


def _chained(apart: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Sets as one that go on in each other, as windows of one text do, if most rows have a row of
    another set nearer than the farthest of their own."""
    same = of[:, None] == of
    farthest = np.where(same, apart, 0.0).max(1)
    if (np.where(same, np.inf, apart).min(1) < farthest).mean() <= 0.5:
        return of
    nearest = np.where(np.eye(len(of), dtype=bool), np.inf, apart).min(1)
    links = apart < CHAINED * np.minimum(nearest[:, None], nearest)
    return _linked(of, np.asarray(scipy.sparse.csgraph.connected_components(links)[1]))


def _sets(x: np.ndarray, y: np.ndarray) -> Sets | None:
    """The sets of near-copies among rows, if most of them have one label each."""
    sets = near_copies(principal(x), "row")
    if sets is None or sets.of.max() + 1 < FEWEST:  # labels, too, lie in two sets
        return None
    yes, count = np.bincount(sets.of, y), np.bincount(sets.of)
    return sets if np.maximum(yes, count - yes).sum() >= ONE_LABEL * len(y) else None


def _explained(texts: Sequence[str], of: np.ndarray, y: np.ndarray) -> bool:
    """Whether the texts of a set have more words in common than if sets are shuffled within each
    label."""
    inner, draw = bag(texts)(np.arange(len(y))), np.random.default_rng(0)
    parts = np.flatnonzero(y), np.flatnonzero(~y)

    def in_common(of: np.ndarray) -> float:
        return float(inner[of[:, None] == of].sum())

    def shuffled() -> np.ndarray:
        other = of.copy()
        for rows in parts:
            other[rows] = of[draw.permutation(rows)]
        return other

    return in_common(of) > max(in_common(shuffled()) for _ in range(SHUFFLES))


def in_two_clusters(x: np.ndarray, y: np.ndarray, *, mixed: bool) -> list[str]:
    """A note where activations, without the labels, fall into two clusters, one for each label or,
    if they lie far apart, for most of its rows, which the texts do not tell; with labels `mixed`
    along the rows, that the label itself may be the cause."""
    few = slice(None, None, 1 + len(x) // FEW)
    x, y = x[few], y[few]
    left, size, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    agreement, by_label = 0.0, mixed
    for points in (principal(x - x.mean(0)), (left * size)[:, :DIMS]):
        tree = scipy.cluster.hierarchy.linkage(points, "ward")
        second = scipy.cluster.hierarchy.fcluster(tree, 2, "maxclust") == 2
        second ^= second[y].mean() + (~second)[~y].mean() < 1
        share = (second[y].mean() + (~second)[~y].mean()) / 2
        if share >= CLEAN or (share >= ONE_LABEL and _are_far(points, second)):
            agreement = max(agreement, share)
            by_label &= share >= CLEAN or _are_between(points, second, second != y)
    of = "" if agreement >= CLEAN else f" in {100 * agreement:.0f}% of the rows"
    note = f"the activations lie in two clusters, one for each label{of}, and {UNEXPLAINED}"
    return [f"{note}: {CAUSES}{f'. {BY_LABEL}' if by_label else ''}"] if agreement else []


def _are_between(points: np.ndarray, second: np.ndarray, others: np.ndarray) -> bool:
    """Whether the rows of a cluster that have the label of the other one lie towards it on average,
    as where the clusters overlap, and not in its middle."""
    one, other = points[~second].mean(0), points[second].mean(0)
    line = other - one
    along = (points - (one + other) / 2) @ line / (line @ line / 2)  # from -1 to 1
    return bool(np.abs(along[others]).mean() < TOWARDS)


def _are_far(points: np.ndarray, second: np.ndarray) -> bool:
    """Whether two clusters are farther from each other than those of any one cloud of points that
    is cut in two."""
    one, other = points[~second], points[second]
    line = other.mean(0) - one.mean(0)
    along = np.concatenate([part @ line - part.mean(0) @ line for part in (one, other)])
    return bool(line @ line > FAR * along.std())


def _nearer_than_own(apart: np.ndarray, group: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Which rows of a set of near-copies are about as near to each other as either is to the
    nearest row of its group: groups are what their author says, unless they cut sets apart. A row
    that is a group by itself has no nearer one there, so that it stays in its set."""
    np.fill_diagonal(apart, np.inf)
    own = np.where(group[:, None] == group, apart, np.inf).min(1)
    return np.asarray((of[:, None] == of) & (apart < COPY * np.minimum(own[:, None], own)))


def merged(names: Sequence[str], stated: np.ndarray, group: np.ndarray) -> list[str]:
    """A note on which of the groups that the author named are taken as one, with two examples; none
    where all are kept."""
    named = dict(zip(stated.tolist(), names, strict=True))
    held = {int(k): [named[j] for j in dict.fromkeys(stated[group == k].tolist())] for k in group}
    several = [members for members in held.values() if len(members) > 1]
    if not several:
        return []
    examples = " and ".join(f"{members[0]!r} with {members[1]!r}" for members in several[:2])
    count = sum(map(len, several))
    return [
        f"of the {len(named)} groups that groups= names, {count} were merged into {len(several)}, "
        f"such as {examples}: keep one of each, or give them one name"
    ]


def of_other_labels(
    below: Sequence[str],
    positive: np.ndarray,
    group: np.ndarray,
    readers: Mapping[Control, Any],
    texts: Sequence[str] | None,
) -> list[str]:
    """A note on controls that are below chance, with the two rows of different groups and labels
    that are most alike in what the first of them reads, if they are alike beyond what all rows
    share."""
    control, reader = next(((c, r) for c, r in readers.items() if c.name in below), (None, None))
    if control is None or reader is None:
        return []
    inner = reader(np.arange(len(group)))
    inner = inner - inner.mean(0) - inner.mean(1)[:, None] + inner.mean()
    norms = np.sqrt(np.maximum(np.diag(inner), 1e-12))
    apart = (group[:, None] != group) & (positive[:, None] != positive)
    alike = np.where(apart, inner / np.outer(norms, norms), -np.inf)
    pair = divmod(int(alike.argmax()), len(group))
    note = f"below chance: {', '.join(below)}, which rules out little; this happens if a row is "
    note += "judged by what was learned from "
    if alike[pair] < SHOWN:
        return [f"{note}rows like it that have the other label: give such rows one group (groups=)"]
    found = f"{note}its near-copies, which have the other label. The most alike in what "
    found += f"{control.name} reads are {_in_words(pair, texts)}"
    close = scipy.sparse.csgraph.connected_components(alike >= NEARLY * alike[pair])[1]
    if _linked(group, close).max() + 1 < FEWEST:  # each with rows of nearly all other groups
        return [f"{found}. One group of all near-copies would have nearly all rows: {SWAPPED}"]
    return [f"{found}: if these are near-copies, {ONE_GROUP}"]


def _in_words(pair: Sequence[int], texts: Sequence[str] | None, place: int | None = None) -> str:
    """Name two rows, with their texts, and the words that these share and not all texts do, or the
    one at a place that tells their set."""
    if texts is None:
        return " and ".join(f"row {i}" for i in pair)
    rows = " and ".join(f"row {i} “{shorten(texts[i], 60)}”" for i in pair)
    first, second = (words_of(texts[i]) for i in pair)
    common = set.intersection(*({*words_of(text)} for text in texts))
    shared = [w for w in dict.fromkeys(first) if w in second and w not in common]
    if place is not None and len({texts[i].casefold().split()[place] for i in pair}) == 1:
        shared = [texts[pair[0]].split()[place]]
    words = listed([f"“{w}”" for w in shared])
    return f"{rows}, which share {words}" if shared else rows


def _line(texts: Sequence[str] | None, of: np.ndarray) -> str:
    """The argument that groups rows by the word that tells their sets; "" where none does."""
    place = _place(texts, of)
    return "" if place is None else f"[text.split()[{place}] for text in texts]"


def in_common(texts: Sequence[str] | None, of: np.ndarray) -> tuple[str, str]:
    """Say which rows are in one set, such as those of the same first word, and what groups= is
    then."""
    place = _place(texts, of)
    if place is None:
        return ALIKE, "for each row the name of its set"
    names = {0: "first word", -1: "last word"}
    word = names.get(place, f"word {place + 1 if place > 0 else place}")
    return f"rows of the same {word}", _line(texts, of)


def _place(texts: Sequence[str] | None, of: np.ndarray) -> int | None:
    """The place of the word that tells the sets of rows; None where none does."""
    for place, word in _placed(texts or ()):
        counts = np.zeros((word.max() + 1, of.max() + 1))
        np.add.at(counts, (word, of), 1)
        if min(counts.max(0).sum(), counts.max(1).sum()) >= MOSTLY * len(of):
            return place
    return None


def _placed(texts: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
    """Each place that all texts have, from either end, and which word is there."""
    words = [text.casefold().split() for text in texts]
    fewest = min(PLACES, min(map(len, words), default=0))
    for place in (*range(fewest), *range(-fewest, 0)):
        yield place, numbered([w[place] for w in words])


def recognised(
    y: np.ndarray, group: np.ndarray, texts: Sequence[str], shared: Mapping[str, np.ndarray]
) -> list[str]:
    """A note on words that have one label each, such as the names of persons, if most of them are
    in rows of several groups, so that a probe may learn which label each has; where they are in
    different places, by the words that texts have in common."""
    ways = (*(of for _, of in _placed(texts)), *shared.values())
    of = next((x for x in ways if _has_one_label_each(x, y)), group)
    count = int(of.max()) + 1
    several = sum(len(np.unique(group[of == k])) > 1 for k in range(count))
    if 2 * several <= count:
        return []
    words = [words_of(text) for text in texts]
    common = set.intersection(*map(set, words))
    names = []
    for rows in (np.flatnonzero(of == k) for k in range(2)):
        own = set.intersection(*({*words[i]} for i in rows)) - common
        names.append(f"“{' '.join(w for w in dict.fromkeys(words[rows[0]]) if w in own)}”")
    line = _line(texts, of) or ", for each row the word or phrase that it has"
    return [
        f"{count} words or phrases, such as {' and '.join(names)}, have one label each (in about "
        f"{np.median(np.bincount(of)):.0f} rows), and {'all' if several == count else several} of "
        "them are in several groups: a probe may recognise the word instead of reading the label; "
        f"give groups={line}"
    ]


def _has_one_label_each(of: np.ndarray, y: np.ndarray) -> bool:
    """Whether nearly all rows have words that come again, and all rows with the same ones have the
    same label, which several of them have and several have not."""
    rows, yes = np.bincount(of), np.bincount(of, y)
    again = rows[rows > 1].sum() >= MOSTLY * len(of) and len(of) - len(rows) >= AGAIN
    labels = (yes == 0).sum(), (yes == rows).sum()
    return bool(again and sum(labels) == len(rows) and min(labels) >= LEAST_OF_A_LABEL)


def _linked(group: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Groups of rows as one where a set has rows of several."""
    shape = (int(group.max()) + 1, int(sets.max()) + 1)
    links = scipy.sparse.coo_array((np.ones(len(group)), (group, sets)), shape)
    both = scipy.sparse.block_array([[None, links], [links.T, None]])
    of = scipy.sparse.csgraph.connected_components(both)[1]
    return np.asarray(np.unique(of[group], return_inverse=True)[1])
