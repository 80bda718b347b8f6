"""Modules whose names have changed: files that people wrote under the old names still run.

A user's experiment is kept in its store as it was written, so an old import must go on working.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

RENAMED = {
    "assay.circuits.bounded": "assay.circuits.rules",
    "assay.circuits.challenge.seal": "assay.circuits.challenge.folder",
    "assay.circuits.find.direct": "assay.circuits.find.terms",
    "assay.circuits.find.grids": "assay.circuits.find.cutting",
    "assay.circuits.find.joint": "assay.circuits.find.attribution",
    "assay.circuits.find.patterns": "assay.circuits.find.tables",
    "assay.circuits.find.scores": "assay.circuits.find.terms",
    "assay.circuits.language": "assay.circuits.rules",
    "assay.circuits.picture.asking": "assay.circuits.picture.heads",
    "assay.circuits.picture.bounds": "assay.circuits.picture.maps",
    "assay.circuits.picture.taken": "assay.circuits.picture.contents",
    "assay.circuits.places": "assay.circuits.explanation",
    "assay.circuits.solving.figures": "assay.circuits.solving.entry",
    "assay.cli.options": "assay.verbs.options",
    "assay.core.findings": "assay.core.estimates",
    "assay.core.intact": "assay.core.integrity",
    "assay.evaluation.index_text": "assay.evaluation.text",
    "assay.evaluation.leakage": "assay.evaluation.file_statements",
    "assay.evaluation.luck": "assay.evaluation.result",
    "assay.evaluation.plans": "assay.evaluation.text",
    "assay.evaluation.random_directions": "assay.evaluation.rating",
    "assay.evaluation.sums": "assay.evaluation.measure",
    "assay.features.dashboards.groups": "assay.features.dashboards.saedashboard",
    "assay.features.explaining.asked": "assay.features.explaining.chat_explainer",
    "assay.features.explaining.endpoint": "assay.features.explaining.chat",
    "assay.features.explaining.given": "assay.features.explaining.token_context",
    "assay.features.index.lookup": "assay.features.index.about",
    "assay.features.index.passes": "assay.features.index.firings",
    "assay.features.index.tables": "assay.features.index.schema",
    "assay.features.largest": "assay.features.effects",
    "assay.features.live.firing": "assay.features.live.edits",
    "assay.features.live.paths": "assay.features.live.logits",
    "assay.features.live.promoted": "assay.features.live.logits",
    "assay.features.loss_gradient": "assay.features.effects",
    "assay.features.parts": "assay.features.effects",
    "assay.features.token_kernel": "assay.features.linear_probe",
    "assay.lab.executors": "assay.lab.engines",
    "assay.lab.executors.inline": "assay.lab.engines.inline",
    "assay.lab.executors.workers": "assay.lab.engines.workers",
    "assay.verbs.schemas": "assay.cli.schemas",
}
LAB = {
    "plan": "design forecast preset schedule time_left",
    "store": "atomic edits health migration origin ownership reading sealed tensors user_code",
    "work": "events groups memory worker",
    "judge": "journal ledger looks registered result sequential sources stamp verdicts",
    "records": "provenance recording reproduction series",
}
"""The lab's rooms, and what lay beside them before."""
JOINED = {
    "judge.ledger": "judge.journal",
    "judge.stamp": "judge.result",
    "plan.time_left": "plan.schedule",
    "store.migration": "store.health",
    "store.ownership": "store.origin",
    "store.reading": "store.origin",
}
"""Files of the lab that are parts of others now."""
RENAMED |= {
    f"assay.lab.{n}": f"assay.lab.{JOINED.get(f'{room}.{n}', f'{room}.{n}')}"
    for room in LAB
    for n in LAB[room].split()
}
RENAMED |= {f"assay.lab.{old}": f"assay.lab.{new}" for old, new in JOINED.items()}


class _Renamed(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in RENAMED else None

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # The module itself, not a copy: its classes and caches must be the same under both names.
        name = module.__name__
        for old in [name, *(n for n in RENAMED if n.startswith(f"{name}."))]:
            sys.modules[old] = importlib.import_module(RENAMED[old])


def install() -> None:
    """Let old names be imported; asked last of all, so that no other import waits for it."""
    if not any(type(finder).__name__ == _Renamed.__name__ for finder in sys.meta_path):
        sys.meta_path.append(_Renamed())
