"""Looks: every judging that is noted, and what claims, settings and arms were at each; what changed since is told.

A look at judged seeds burns them: whoever has seen what they say and then changes a claim, a control or a setting judges what was
seen. Seeds below 1000 are for pilots, which anybody may look at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.core.claims import Claim, Exact, claims_key
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.lab import journal, provenance, records
from assay.lab.plan import Plan
from assay.lab.store import Store

JUDGED = 1000
"""The first seed that is not a pilot's."""
Frozen = Mapping[str, Any]


def frozen(experiment: Experiment, plan: Plan) -> dict[str, Any]:
    """Say what is judged on which seeds: hashes of every claim and exact statement by its text, and of every arm's settings."""
    arms, experiment = {}, experiment.sized(plan.preset.specs)
    for arm, rows in plan.by_arm().items():
        fields = {canonical_json({k: v for k, v in json.loads(r.job.spec.to_json()).items() if k != "seed"}) for r in rows}
        arms[arm] = journal.digest(canonical_json([experiment.version, sorted(fields)]))
    derived = {name: "derived" for name, arm in experiment.arms.items() if arm.derive is not None}
    return {
        "seeds": spans(getattr(s, "seed", -1) for s in plan.preset.specs),
        "claims": {s.text: claims_key([s])[:12] for s in experiment.claims if isinstance(s, Claim | Exact)},
        "arms": {**arms, **derived},
    }


def changes(looks: Sequence[Frozen], now: Frozen) -> list[str]:
    """What is not as at the first look at any of the same judged seeds, and what later looks had besides; each claim and arm once.

    What was changed after the first look and changed back is as it was. Empty where nobody looked at these seeds.
    """
    seen: list[Frozen] = []
    first: list[Frozen] = []
    known: set[int] = set()
    for look in looks:
        shared = {s for s in seeds_of(look["seeds"]) & seeds_of(now["seeds"]) if s >= JUDGED}
        seen += [look] if shared else []
        first += [look] if shared - known else []
        known |= shared
    told: list[str] = []
    for kind, what in (("claims", "claim"), ("arms", "arm")):
        new = now[kind]
        told += [f"{what} added or reworded: {name}" for look in first for name in new if name not in look[kind]]
        told += [f"{what} dropped or reworded: {name}" for look in seen for name in look[kind] if name not in new]
        told += [f"{what} changed: {name}" for look in first for name in new if name in look[kind] and look[kind][name] != new[name]]
    return list(dict.fromkeys(told))


def changed(experiment: Experiment, plan: Plan, store: Store | None = None) -> tuple[str, ...]:
    """What changed after a look at these seeds, by the committed looks and those of a store; each phrase once."""
    now = frozen(experiment, plan)
    kept = (committed(experiment), *([journal.stored(store, experiment.name)] if store else []))
    return tuple(dict.fromkeys(change for path in kept for change in changes(journal.read(path), now)))


def committed(experiment: Experiment) -> Path:
    """Where the looks at an experiment's records are kept, beside its record."""
    return records.path(experiment.name, experiment.origin).with_suffix(".looks.jsonl")


def freeze(path: Path, experiment: Experiment, plan: Plan) -> None:
    """Note what is judged on which seeds, unless the last look already says so. Raises: OSError when the disk is full."""
    now, before = frozen(experiment, plan), journal.read(path)
    if any({k: look.get(k) for k in now} == now for look in before):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    journal.append(path, journal.line({"time": provenance.now(), "commit": provenance.commit(), **now}))


def shared(path: Path, seeds: Iterable[int]) -> set[str]:
    """The looks that a file notes at any of these judged seeds, each as a text that says what was judged; told twice, it is one look."""
    judged = {s for s in seeds if s >= JUDGED}
    kept = (look for look in journal.read(path) if judged & seeds_of(look["seeds"]))
    return {canonical_json({k: look[k] for k in journal.FROZEN}) for look in kept}


def spans(seeds: Iterable[int]) -> str:
    """Seeds as ranges, the end left out: "3000:3008,3010:3011"."""
    told: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if told and told[-1][1] == seed:
            told[-1][1] += 1
        else:
            told.append([seed, seed + 1])
    return ",".join(f"{a}:{b}" for a, b in told)


def seeds_of(text: str) -> set[int]:
    """The seeds that ranges such as "3000:3008,3010:3011" name."""
    parts = [part.split(":") for part in text.split(",") if part]
    return {s for a, b in parts for s in range(int(a), int(b))}
