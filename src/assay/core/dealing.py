"""Dealing: the rows of a table with the labels of its arms dealt out anew, or, of a claim about a
correlation, with one of its columns dealt out to other units: the control of a claim whose author
names none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from assay.core.heavy import xr
from assay.core.nouns import joined
from assay.train import rng

DEALT, OTHERS, DEAL = "dealt", "dealt others", "deal"
"""The name of the control; the attribute of its dataset that holds the arms dealt with it; the
dimension of the deals."""
DEALS, LARGEST = 100, 4_000_000
"""So many deals, fewer where all of them would have more numbers than this."""
MOST_NAMED = 3
"""Other arms that are named."""


def deal(arms: Mapping[str, xr.Dataset], main: str) -> xr.Dataset:
    """Permute the labels of these arms at random and give the arm now called `main`: unit by unit,
    or across all rows where the arms have no common units.

    Every deal is a level of the dimension `deal`. The other arms of each deal lie in an attribute,
    so that both sides of a comparison are of the same one.
    """
    names = [main, *(name for name in arms if name != main)]
    joined = xr.concat([arms[n] for n in names], "label", join="outer", combine_attrs="drop")
    joined = joined.transpose("label", ...)
    units = [str(d) for d in joined.dims if d != "label"]
    present = joined.to_array().notnull().all("variable").transpose("label", *units).values
    deals = max(1, min(DEALS, LARGEST // max(1, present.size)))
    seeds = np.arange(deals)
    if (present == present[:1]).all():
        places = rng.uniform(seeds, DEALT, 0, present.shape)
        order = np.argsort(places, axis=1)  # of the labels, for each unit by itself
        dealt = {
            k: np.take_along_axis(x.transpose("label", *units).values[None], order, 1)
            for k, x in joined.items()
        }
    else:
        places = np.flatnonzero(present)
        moved = places[rng.permutation(seeds, DEALT, 0, len(places))]
        dealt = {}
        for k, x in joined.items():
            numbers = np.full((deals, present.size), np.nan)
            numbers[:, places] = x.transpose("label", *units).values.ravel()[moved]
            dealt[k] = numbers.reshape(deals, *present.shape)
    coords = {u: joined[u] for u in units if u in joined.coords}

    def side(i: int) -> xr.Dataset:
        data = {k: ((DEAL, *units), x[:, i]) for k, x in dealt.items()}
        return xr.Dataset(data, coords=coords)

    return side(0).assign_attrs({OTHERS: {n: side(i) for i, n in enumerate(names) if i}})


def caution(name: str, others: Sequence[str] = (), shuffled: str = "") -> str:
    """Say what the control of this name can tell, whose labels are shuffled or else this column,
    and which other arms may tell more."""
    only = f"{shuffled} is related to the other column" if shuffled else "the arms differ"
    words = (
        f"control {name}: the same rows with shuffled {shuffled or 'labels'}; it shows only that "
        f"{only}, not why"
    )
    named = [
        *others[:MOST_NAMED],
        *[f"{len(others) - MOST_NAMED} more"] * (len(others) > MOST_NAMED),
    ]
    return f"{words}; these arms may show why: {joined(named)}" if others else words
