"""Modules whose names have changed: files that people wrote under the old names still run.

A user's experiment is kept in its store as it was written, so an old import must go on working.
Modules of verbs, of studies and of the lab are not listed, since experiments do not import them.
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
    "assay.lab.atomic": "assay.lab.store.atomic",  # is in files that older versions wrote
    "assay.core.ceilings": "assay.core.bounded",
    "assay.core.curves": "assay.core.estimates",
    "assay.core.extras": "assay.core.heavy",
    "assay.core.findings": "assay.core.estimates",
    "assay.core.hashes": "assay.core.cache",
    "assay.core.intact": "assay.core.integrity",
    "assay.core.lazy": "assay.core.heavy",
    "assay.core.placing": "assay.core.power",
    "assay.core.rng": "assay.train.rng",
    "assay.core.prices": "assay.core.power",
    "assay.core.scales": "assay.core.claims",
    "assay.core.schedules": "assay.core.fit",
    "assay.dictionaries.baselines.linear": "assay.dictionaries.baselines.directions",
    "assay.dictionaries.formats.coder": "assay.dictionaries.formats.format",
    "assay.dictionaries.kinds": "assay.dictionaries.nonlinearity",
    "assay.dictionaries.measuring.arrays": "assay.core.arrays",
    "assay.dictionaries.measuring.positions": "assay.dictionaries.measuring.sums",
    "assay.dictionaries.measuring.splice": "assay.dictionaries.measuring.ablation",
    "assay.dictionaries.training.effects": "assay.dictionaries.training.losses",
    "assay.dictionaries.training.sparsity": "assay.dictionaries.training.learners",
    "assay.evaluation.index_text": "assay.evaluation.text",
    "assay.evaluation.leakage": "assay.evaluation.file_statements",
    "assay.evaluation.luck": "assay.evaluation.result",
    "assay.evaluation.plans": "assay.evaluation.text",
    "assay.evaluation.sums": "assay.evaluation.measure",
    "assay.features.examples": "assay.features.card",
    "assay.features.index.lookup": "assay.features.index.about",
    "assay.features.index.passes": "assay.features.index.firings",
    "assay.features.index.tables": "assay.features.index.schema",
    "assay.features.largest": "assay.features.effects",
    "assay.features.live.attribution": "assay.features.live.ablation",
    "assay.features.live.firing": "assay.features.live.edits",
    "assay.features.loss_gradient": "assay.features.effects",
    "assay.features.parts": "assay.features.effects",
    "assay.subjects.places": "assay.subjects.architectures",
    "assay.subjects.rebuilt": "assay.subjects.folder",
    "assay.subjects.sampling": "assay.subjects.writing",
    "assay.subjects.structure": "assay.subjects.sizes",
}


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
        for old in [name, *(former for former in RENAMED if former.startswith(f"{name}."))]:
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
