"""What a column of a table is, by its values alone: names, numbers, dates, or texts."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.cluster import hierarchy

FEW = 12
"""A column of at most so many values is one of kinds."""
MISSING = "(missing)"


def is_name(x: pd.Series) -> bool:
    """Whether its values name something, rather than being numbers."""
    return not pd.api.types.is_numeric_dtype(x) or x.dtype == bool


def is_text(x: pd.Series) -> bool:
    """Whether it is a text of several words in nearly each row, and hardly any twice."""
    return is_name(x) and x.nunique() > len(x) / 2 and x.astype(str).str.contains(" ").mean() > 0.9


def as_numbers(x: pd.Series) -> pd.Series | None:
    """Its values as numbers, ISO dates as hours; None of anything else."""
    if not is_name(x):
        return x.astype(float)
    if x.dtype == bool or not x.astype(str).str.match(r"\d{4}-\d\d-\d\d").all():
        return None
    dates = pd.to_datetime(x, errors="coerce", format="ISO8601", utc=True)
    return None if dates.isna().any() else (dates - dates.min()).dt.total_seconds() / 3600


def codes(x: pd.Series) -> np.ndarray:
    """Its values, numbered from 0."""
    return np.unique(plain(x), return_inverse=True)[1]


def plain(x: pd.Series) -> np.ndarray:
    """Its values as texts, with one for what is missing."""
    return x.astype(object).where(x.notna(), MISSING).astype(str).to_numpy(str)


def steps(x: pd.Series) -> np.ndarray:
    """The code of each value, or of each of five steps where many numbers differ."""
    number = as_numbers(x)
    if number is None or x.nunique() <= FEW:
        return codes(x)
    return pd.qcut(number.rank(method="first"), 5, labels=False).fillna(5).to_numpy(int)


def is_even(x: pd.Series) -> bool:
    """Whether its numbers lie as far apart as the places of a sequence do."""
    apart = np.diff(np.sort(x.to_numpy()))
    return bool(len(apart) and apart.min() > 0 and apart.max() <= 1.01 * apart.min())


def restates(x: pd.Series, number: pd.Series) -> bool:
    """Whether its values come again and fix a number, and so only say that in other words."""
    if not 2 <= x.nunique() <= len(x) / 2:
        return False
    return bool(number.groupby(plain(x)).std().max() <= 1e-9 * number.std())


def wordings(texts: pd.Series, share: float = 0.5) -> np.ndarray:
    """The code of each text's set of texts that share half of their words: those of one template.

    Formula: average linkage of Jaccard's distance between the sets of words and pairs of words.
    Source: Broder 1997 (resemblance of shingles); Sokal and Michener 1958.
    """
    words = [re.findall(r"\w+", text.lower()) for text in plain(texts)]
    each = pd.Series([[*{*w, *map(" ".join, itertools.pairwise(w))}] for w in words]).explode()
    which = pd.factorize(each, use_na_sentinel=False)[0]
    there = sparse.csr_array((np.ones(len(each)), (each.index, which)))
    size = there.sum(1)
    both = (there @ there.T).toarray()
    distance = 1 - both / np.maximum(size[:, None] + size - both, 1)
    tree = hierarchy.average(distance[np.triu_indices(len(texts), 1)])
    return hierarchy.fcluster(tree, 1 - share, "distance") - 1
