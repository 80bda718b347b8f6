"""A checkpoint of what is being trained, as a file in its own unfinished folder, for trainings
outside experiments."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from assay.core.bench import Bench
from assay.core.heavy import torch


class Alone:
    """A bench whose checkpoint is a file in a separate folder: the code that needs the model may
    have fits of its own."""

    def __init__(self, bench: Bench, folder: Path):
        self.device, self.root, self.report, self.file = (
            bench.device,
            bench.root,
            bench.report,
            folder / "training.safetensors",
        )
        self.note: Mapping[str, str] = {}
        """What the file says about the training in addition to its step."""
        self.artefact, self.artefacts = bench.artefact, bench.artefacts
        self._every = float(os.environ.get("ASSAY_CHECKPOINT_SECONDS", "20"))
        self._last = time.monotonic()

    def slot(self) -> Alone:
        """Itself: one training, one file."""
        return self

    def restore(self) -> tuple[int, dict[str, torch.Tensor]] | None:
        """The last saved (step, tensors), or None where there are none that are whole."""
        from safetensors import SafetensorError, safe_open
        from safetensors.torch import load_file

        try:
            with safe_open(self.file, "pt") as file:
                step = int(file.metadata()["step"])
            return step, load_file(self.file)
        except (OSError, SafetensorError):
            return None

    def due(self) -> bool:
        """True when the last save is long enough ago."""
        return time.monotonic() - self._last >= self._every

    def save(self, step: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Replace the checkpoint by this one, whole."""
        from safetensors.torch import save_file

        partial = self.file.with_suffix(".new")
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
            partial,
            {"step": str(step), **self.note},
        )
        partial.replace(self.file)
        self._last = time.monotonic()
