"""The gym's table: what each agent by rule reported in each level's worlds, at both desks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from assay.core.heavy import scipy
from assay.lab.records import records
from marks import markdown

RECORD = Path(__file__).parents[2] / "benchmarks/gym/records/gym.json"
AGENTS = ("honest", "p-hacker", "lazy", "exhaustive", "guessing")
LEVELS = range(1, 7)


def table() -> str:
    """Discoveries of a world by level, true and false, as a mean and the half-width of its 95 % t
    interval over worlds."""
    record = records.read_file(RECORD, "assay verify benchmarks/gym/gym.py --record")
    assert record is not None
    arms = record["arms"]
    tables = []
    for what in ("true", "false"):
        rows = []
        for agent in AGENTS:
            for desk in ("plain", "assay"):
                name = "main" if (agent, desk) == ("p-hacker", "assay") else f"{agent}-{desk}"
                level = np.array([spec["level"] for spec in arms[name]["specs"]])
                x = np.asarray(arms[name]["measures"]["variables"][what]["values"], float)
                cells = [_cell(x[level == one]) for one in LEVELS]
                rows.append((agent, desk, *cells))
        heads = (what, "desk", *(str(one) for one in LEVELS))
        tables.append(markdown.table(heads, rows, "|---|---|" + "--:|" * len(LEVELS)))
    return "\n".join(tables)


def _cell(x: np.ndarray) -> str:
    half = scipy.stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5
    return f"{x.mean():.2f} ± {half:.2f}"
