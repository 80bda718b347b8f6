"""Stamp: all that a stored result was made from, in 64 hex digits; while it stays the same, judging
would say the same again."""

from __future__ import annotations

import hashlib
from typing import Any

from assay.core import foreign
from assay.core.claims import claims_key
from assay.core.errors import StoreError
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.lab.judge import sources
from assay.lab.plan.plan import Plan
from assay.lab.store.sealed import evidence, unseal
from assay.lab.store.store import PARAMS, Store


def stamp(experiment: Experiment, plan: Plan) -> str:
    """64 hex digits of the stored runs, the statements and the code that judges them; "" where that
    code cannot be named.

    That of a user cannot, since a file may import neighbours, which nobody lists; nor can Assay's
    own while somebody edits it."""
    code = sources.unchanged() if experiment.origin.startswith("assay.") else ""
    if not code:
        return ""
    # what lies in each run's folder, by hash: measures, and the times that its provenance tells
    runs = [
        [r.job.key, r.stored.status, {n: d for n, (_, d) in r.stored.files.items() if n != PARAMS}]
        for r in plan.rows
        if r.stored
    ]
    text = canonical_json(
        {"preset": plan.preset.title, "runs": runs, "rows": len(plan.rows), "code": code}
    )
    return hashlib.sha256(text.encode()).hexdigest()


def stored_result(store: Store, experiment: Experiment, plan: Plan) -> dict[str, Any] | None:
    """The stored result of this plan as plain values, without its figures; None where judging it
    now might say anything else."""
    current_stamp = "" if plan.missing else stamp(experiment, plan)
    try:
        data = unseal(store.root / "results" / experiment.name / f"{plan.preset.title}.json")
    except StoreError:
        return None
    if (
        not current_stamp
        or data.get("stamp") != current_stamp
        or data.get("claims_key") != claims_key(experiment.sized(plan.preset.specs).claims)
    ):
        return None
    notes = list(
        dict.fromkeys([*plan.notes, *data.get("notes", ())])
    )  # what has come to the store since
    return {
        **{k: v for k, v in data.items() if k not in ("figures", "stamp", "evidence")},
        "notes": notes,
    }


def replaced(store: Store, plan: Plan) -> tuple[str, ...]:
    """Say where stored runs are not those that the stored result of this plan judged."""
    try:
        judged = evidence(
            foreign.read_stored(
                store.root / "results" / plan.experiment / f"{plan.preset.title}.json"
            )
        )
    except OSError:
        return ()
    changed_rows = [
        r
        for r in plan.cached
        if r.stored is not None and judged.get(r.job.key[:16], r.stored.id) != r.stored.id
    ]
    if not changed_rows:
        return ()
    return (
        f"{len(changed_rows)} of {len(plan.cached)} runs are others than those that the stored "
        "result "
        "judged; `assay run` judges these",
    )
