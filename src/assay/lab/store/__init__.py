"""Store: runs, groups and artefacts on a disk, whose they are, and the ledger of what was seen."""

from typing import TYPE_CHECKING

from assay.core.heavy import lazy

if TYPE_CHECKING:
    from assay.lab.store.store import Store as Store
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
