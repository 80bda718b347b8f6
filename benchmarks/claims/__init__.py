"""Claims whose truth is known by construction, by people who had not read what Assay looks for.

Each is a function that draws data from a generator, as a script of the field would log them, and
returns the verdict of `assay.judge`, `assay.check` or `assay.check_probe`. Its docstring says what
is true, and why; its name is the generator's seed, so that a renamed claim draws other data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Make = Callable[[np.random.Generator], Any]
KINDS = {
    "true": "the data are enough and clean: it should hold, without a reserve",
    "false": "it should fail, be unspecific, or be undecided",
    "confounded": "the number satisfies the claim for another reason, which a careful colleague "
    "would see in the data or in the call: it should not hold without a reserve",
    "scarce": "the data cannot tell (chance, dependence, few units): it should not hold without a "
    "reserve",
}
"""Kind of a claim → what is right."""


class Case(NamedTuple):
    """One claim: its name, the file that it is in, its kind, and what judges it on fresh data.

    `cause` is a word that a good answer would have in it, or empty."""

    name: str
    file: str
    kind: str
    cause: str
    make: Make


CASES: list[Case] = []
"""Every claim of the files that were imported."""


def case(kind: str, cause: str = "") -> Callable[[Make], Make]:
    """Add the function below to the claims of a kind."""
    assert kind in KINDS, kind

    def keep(make: Make) -> Make:
        CASES.append(Case(make.__name__, make.__module__.rpartition(".")[2], kind, cause, make))
        return make

    return keep


def listed(text: str, at: str | None = None) -> list[str]:
    """Split a text into its words, or at a mark."""
    return text.split(at)
