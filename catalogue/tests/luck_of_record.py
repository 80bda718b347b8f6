"""Luck: by how much two dictionaries of one kind differ that were trained alike, from the record of
metric-audit. Assay carries the two kinds that `assay evaluate` reports in its luck.json."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from assay.core.intervals import smallest_difference
from assay.dictionaries.measuring.measures import TABLE
from assay.lab.judge.recording import numbers
from assay.lab.records import records

RECORD, ARM = "metric-audit", "lm"
"""Of which experiment, and of which of its arms: dictionaries of a language model that differ by
start and order of data alone."""
SETUP = ("subject", "layer", "corpus", "width", "k", "steps", "batch")
"""Fields of the spec that say what was trained."""


def luck(nonlinearity: str) -> dict[str, Any] | None:
    """The smallest difference, measure by measure, that two dictionaries of a kind do not owe to
    luck; None for a kind without a record.

    `differences` has it by the name of the measure, in its unit; two trainings that differ by start
    and order of data alone exceed it in 5 % of pairs. `trainings` is on how many it rests, `setup`
    what they were. `k` is left out of kinds that have none.

    Formula: t_.975, n−1 · √2 · s of the n trainings of that kind
    """
    record = records.read(RECORD)
    arm = (record or {}).get("arms", {}).get(ARM)
    if arm is None:
        return None
    coords, scores = (
        arm["measures"]["coords"],
        numbers(arm["measures"]["variables"]["scores"]["values"]),
    )
    kind = nonlinearity.lower()
    if kind not in coords["kind"]:
        return None
    # every copy of every seed
    values = scores[:, coords["kind"].index(kind)].reshape(-1, scores.shape[-1])
    differences, counts = {}, []
    for measure in (m for m in TABLE if m.name in coords["measure"]):
        known = values[:, coords["measure"].index(measure.name)]
        known = known[np.isfinite(known)]
        difference = (
            smallest_difference(float(known.std(ddof=1)), len(known))
            if len(known) > 1
            else math.nan
        )
        if math.isfinite(difference) and np.ptp(known) > 1e-6 * abs(known).max():
            differences[measure.name] = difference
            counts.append(len(known))
    if not differences:
        return None
    setup = {
        name: arm["shared"][name] for name in SETUP if name != "k" or nonlinearity.endswith("TopK")
    }
    return {
        "kind": nonlinearity,
        "trainings": min(counts),
        "differences": differences,
        "setup": setup,
    }
