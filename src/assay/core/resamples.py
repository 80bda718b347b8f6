"""Resamples: units that are draws of the same rows, such as bootstraps and random splits, so that
more of them make a number no more certain about new rows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from assay.core.clustered import Limits
from assay.core.dependence import Grouping
from assay.core.digits import estimate
from assay.core.heavy import scipy
from assay.core.intervals import Interval
from assay.core.nouns import counted
from assay.core.table_question import Question

SURELY = frozenset(("bootstrap", "boot", "resample", "subsample", "split"))
"""Words in the names of units that are drawn anew from the same rows."""
PERHAPS = frozenset(
    ("rep", "repeat", "repetition", "replicate", "mc", "permutation", "shuffle", "resampling")
)
"""Words in the names of units that may be so, or experiments of their own."""
NUMBERED = re.compile(r"\D*\d+(\.0)?")
"""The name of one of many, such as 17 or split-17, and not train."""


def resampled(question: Question, i: Interval, level: float) -> Iterator[Grouping]:
    """The grouping of units that are, or may be, resamples of the same rows: the interval of one.

    Formula: θ ± t √(V + (n − 1) Vᵤ) of n resamples, of which Vᵤ is the part of the variance V: how
    far bootstraps lie from each other is the standard error itself, as Efron (1979) has it. Random
    splits lie farther apart than that if they test up to half of the rows."""
    for unit, n, part in zip(question.axes, i.n, i.parts, strict=True):
        words = {w.removesuffix("s") for w in re.split(r"[\W_\d]+", unit.casefold())}
        levels = question.read[unit].unique()
        if not words & (SURELY | PERHAPS) or not all(NUMBERED.fullmatch(str(x)) for x in levels):
            continue
        half = scipy.special.stdtrit(i.df, (1 + level) / 2)
        half = float(half) * math.sqrt(i.variance + (n - 1) * part)
        limits = Limits(i.estimate - half, i.estimate + half)
        units, surely = counted(n, unit), bool(words & SURELY)
        are = f"the {units} are resamples of the same rows"
        number = " ".join(estimate(i.estimate, *limits))
        more = (
            "more of them make the interval no more certain about new rows, and their spread is "
            f"that of the number, which is {number}"
        )
        own = f"if each {unit} is an experiment of its own, call the column run"
        yield Grouping(
            unit,
            f"{are}: {more}" if surely else f"if {are}, {more}; {own}",
            limits,
            bool(np.isfinite(half)),
            "give a table of the rows, and name them as the unit",
            decides=surely,
            reason=f"{are}, and with their own spread as the standard error, the number is {number}"
            if surely
            else are,
        )
