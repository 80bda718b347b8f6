"""Modules whose names have changed: files that people wrote under the old names still run.

A user's experiment is kept in its store as it was written, so an import of the version before
must go on working.
Another distribution to which modules have moved says so with an entry point in the group
`assay.renamed`: a mapping of old names, or the names of old packages, to new ones.
"""

import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

GROUP = "assay.renamed"

RENAMED: dict[str, str] = {
    "assay.core.extras": "assay.core.heavy",
    "assay.core.hashes": "assay.core.cache",
    "assay.lab.executors": "assay.lab.engines",
    "assay.lab.judge.journal": "assay.lab.store.journal",
    "assay.lab.judge.sequential": "assay.lab.judge.followed",
    "assay.lab.judge.sources": "assay.lab.catalogue",
    "assay.lab.judge.verdicts": "assay.lab.judge.kept",
    "assay.lab.plan.forecast": "assay.lab.forecast",
    "assay.lab.plan.schedule": "assay.lab.work.work",
    "assay.lab.records.provenance": "assay.lab.store.provenance",
    "assay.lab.records.recording": "assay.lab.judge.recording",
    "assay.lab.records.reproduction": "assay.lab.judge.reproduction",
    "assay.lab.store.tensors": "assay.lab.store.runs",
    "assay.lab.work.groups": "assay.lab.store.groups",
    "assay.studies": "assay.ask",
    "assay.subjects.structure": "assay.subjects.sizes",
}
"""Modules of the version before this one, with their names now."""
MEASURING = (
    "activations controls dictionaries directions dry editing interventions logits measuring "
    "models next_tokens probe_fits probe_tasks probes prompts reads sae_arms saes seen training"
)
"""Files of `ask` that are in its room `measure` now."""
RENAMED |= {f"assay.ask.{n}": f"assay.ask.measure.{n}" for n in MEASURING.split()}


def current(name: str) -> str:
    """Give the name that a module has now; "" where it was never renamed."""
    old = name
    while old:
        if old in RENAMED:
            return RENAMED[old] + name[len(old) :]
        old = old.rpartition(".")[0]
    return ""


class _Renamed(MetaPathFinder, Loader):
    """Gives the module under its new name. Asked first, once an old name was met: a package under
    an old name has the folder of the new one, in which a submodule would be found, and be loaded a
    second time."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        renamed = fullname.startswith("assay.") and current(fullname)
        return ModuleSpec(fullname, self) if renamed else None

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # The module itself, not a copy: its classes and caches must be the same under both names.
        name = module.__name__
        for old in [name, *(known for known in RENAMED if known.startswith(f"{name}."))]:
            sys.modules[old] = importlib.import_module(current(old))


class _Moved(_Renamed):
    """Meets the first old name, which nothing else finds, so that commands that use none pay for
    none. Then it asks other distributions where their modules were: reading what is installed takes
    as long as a dozen imports."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("assay."):
            return None
        sys.meta_path[:] = [_Renamed(), *(f for f in sys.meta_path if f is not self)]
        for point in importlib.metadata.entry_points(group=GROUP):
            RENAMED.update(point.load())
        return super().find_spec(fullname, path, target)


def install() -> None:
    """Let old names be imported."""
    names = (_Renamed.__name__, _Moved.__name__)
    if not any(type(finder).__name__ in names for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
