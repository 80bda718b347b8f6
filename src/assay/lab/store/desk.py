"""Desk: where a dictionary is trained outside the lab: artefacts are built in a store."""

from __future__ import annotations

from collections.abc import Callable

from assay.core.bench import Unkept
from assay.core.heavy import torch
from assay.lab.store.store import Store


class Desk(Unkept):
    """A bench that builds in a store, on a device, and reports how far it is."""

    def __init__(self, store: Store, device: str, progress: Callable[[int, int, str], None]):
        self.root, self._device, self._progress = store.root, device, progress
        self.artefact, self.artefacts = store.artefact, store.artefacts  # type: ignore[method-assign]

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        return torch.device(self._device)

    def report(self, done: int, total: int, unit: str = "steps", **numbers: float) -> None:
        """Pass on how far it is."""
        self._progress(done, total, unit)
