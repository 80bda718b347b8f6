"""Taken: runs that other studies of the same store have measured: the same spec on the same inputs,
whatever the study is called and whatever it claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from assay.core.experiment import Experiment
from assay.lab.plan.plan import Plan, Row
from assay.lab.store import origin
from assay.lab.store.groups import forming
from assay.lab.store.runs import Stored, folder_end, renamed
from assay.lab.store.store import Store


def take(store: Store, experiment: Experiment, plan: Plan) -> Mapping[str, int]:
    """Store the missing runs of a plan that other studies have measured, as their files are, and
    count them by the name of the study.

    Only arms that ask a model are taken: their specs say all that is measured, and their inputs the
    content of what is read. Raises: StoreError."""
    materials = experiment.materials
    if materials is None:
        return {}
    missing = [r for r in plan.missing if r.parent is None and materials.measures(r.job.arm)]
    if not missing:
        return {}
    by_end: dict[str, list[tuple[str, str]]] = {}
    for folder in sorted((store.root / "runs").glob("*")):
        for name in store.names(folder.name) if folder.name != experiment.name else ():
            by_end.setdefault(name.partition("-")[2], []).append((folder.name, name))
    taken = Counter[str]()
    files = []
    with forming(store):
        for row in missing:
            for other, name in by_end.get(folder_end(row.job.arm, row.job.spec.seed), ()):
                run = store.at(store.root / "runs" / other / name)
                if isinstance(run, Stored) and _is_same(run, row, experiment):
                    files.append(renamed(run, row.job))
                    taken[other] += 1
                    break
        if files:
            origin.claim(store, experiment)
            store.take(files)
    return taken


def _is_same(run: Stored, row: Row, experiment: Experiment) -> bool:
    """Whether a run of another study is what this one would measure, as it would measure it."""
    return (
        run.spec_json == row.job.spec.to_json()
        and dict(run.inputs) == dict(row.inputs)
        and (run.version, run.measured) == (experiment.version, experiment.measured)
        and not run.read
        and not run.unchecked
    )
