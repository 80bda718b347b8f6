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
    "assay.circuits.picture.taken": "assay.circuits.picture.contents",
    "assay.core.findings": "assay.core.estimates",
    "assay.core.intact": "assay.core.integrity",
    "assay.features.explaining.asked": "assay.features.explaining.chat_explainer",
    "assay.features.explaining.given": "assay.features.explaining.token_context",
}


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
        sys.modules[name] = importlib.import_module(RENAMED[name])


def install() -> None:
    """Let old names be imported; asked last of all, so that no other import waits for it."""
    if not any(type(finder).__name__ == _Renamed.__name__ for finder in sys.meta_path):
        sys.meta_path.append(_Renamed())
