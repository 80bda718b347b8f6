"""Stamp: all that a stored result was made from, in 64 hex digits; while it stays the same, judging would say the same again."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.lab.plan import Plan
from assay.lab.store import PARAMS, Store

_PACKAGES = ("numpy", "scipy", "xarray", "torch")
_SPOKEN = ("cli", "report", "testing", "conformance")  # what only shows results


def stamp(experiment: Experiment, plan: Plan) -> str:
    """64 hex digits of the stored runs, the statements and the code that judges them; "" where that code is not all Assay's.

    A user's file may import neighbours, which nobody lists; its results are judged each time.
    """
    if not experiment.origin.startswith("assay."):
        return ""
    # what lies in each run's folder, by hash: measures, and the times that its provenance tells
    runs = [[r.job.key, r.stored.status, {n: d for n, (_, d) in r.stored.files.items() if n != PARAMS}] for r in plan.rows if r.stored]
    text = canonical_json({"preset": plan.preset.title, "runs": runs, "rows": len(plan.rows), "code": _code()})
    return hashlib.sha256(text.encode()).hexdigest()


def stored_result(store: Store, experiment: Experiment, plan: Plan) -> dict[str, Any] | None:
    """The stored result of this plan as plain values, without its figures; None where judging it now might say anything else."""
    now = "" if plan.missing else stamp(experiment, plan)
    try:
        data = json.loads((store.root / "results" / experiment.name / f"{plan.preset.title}.json").read_text())
    except (OSError, ValueError):
        return None
    if not now or not isinstance(data, Mapping) or data.get("stamp") != now:
        return None
    return {k: v for k, v in data.items() if k not in ("figures", "stamp")}


@functools.cache
def _code() -> str:
    """The hash of every file of Assay that measures or judges, and of what it computes with."""
    root = Path(__file__).resolve().parents[1]
    files = sorted(p for p in root.rglob("*.py") if p.relative_to(root).parts[0] not in _SPOKEN)
    digest = hashlib.sha256(canonical_json([metadata.version(p) for p in _PACKAGES]).encode())
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
