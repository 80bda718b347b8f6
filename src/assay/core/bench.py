"""Bench and Slot: what the lab passes to training while it runs, and a stand-in without a lab."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.core.spec import Spec


class Slot(Protocol):
    """Where one call of `fit` keeps its checkpoint."""

    def restore(self) -> tuple[int, dict[str, torch.Tensor]] | None:
        """The last saved (step, tensors), or None."""

    def due(self) -> bool:
        """True when enough time has passed since the last save."""

    def save(self, step: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Replace the checkpoint by this one, atomically."""


class Bench(Protocol):
    """What an experiment needs from the lab while it trains and measures.

    Example:
        >>> from assay import Bench
        >>> from assay.core.bench import Unkept
        >>> bench: Bench = Unkept()  # what training is handed where there is no lab
        >>> bench.device
        device(type='cpu')
    """

    @property
    def device(self) -> torch.device:
        """Where tensors are trained."""

    @property
    def root(self) -> Path:
        """The folder of the store."""

    def artefact(self, spec: Spec, build: Callable[[Path], None]) -> Path:
        """The folder of an artefact, built once by `build(folder)`; shared by everyone who asks for
        the same spec."""

    def artefacts(self, specs: Sequence[Spec], build: Callable[[Spec, Path], None]) -> list[Path]:
        """The folders of several artefacts; processes that ask for the same ones share the
        building."""

    def slot(self) -> Slot:
        """The checkpoint of the next call of `fit`, in order of the calls."""

    def report(self, done: int, total: int, unit: str = "steps", **numbers: float) -> None:
        """Report how far this group is."""


class Unkept:
    """A Bench and its Slot without a lab: on the CPU, nothing is kept or resumed. For training in a
    notebook, say."""

    root = Path()

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def artefact(self, spec: Spec, build: Callable[[Path], None]) -> Path:
        """Refuse to build: there is no store to build in. Raises: SpecError."""
        raise SpecError("artefacts need a store; train in an experiment, through assay.Lab")

    def artefacts(self, specs: Sequence[Spec], build: Callable[[Spec, Path], None]) -> list[Path]:
        """Refuse to build: there is no store to build in. Raises: SpecError."""
        raise SpecError("artefacts need a store; train in an experiment, through assay.Lab")

    def slot(self) -> Slot:
        """Itself: there is nothing to keep apart."""
        return self

    def restore(self) -> None:
        """Find no checkpoint: nothing was saved."""

    def due(self) -> bool:
        """False, always."""
        return False

    def save(self, step: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Let the checkpoint go."""

    def report(self, done: int, total: int, unit: str = "steps", **numbers: float) -> None:
        """Report nothing."""
