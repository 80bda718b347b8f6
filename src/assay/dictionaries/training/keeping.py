"""Keeping: the bench of a training outside of any store: its device, a folder to go on from, and a
line that tells how far it is."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from assay.core.bench import Bench, Unkept
from assay.core.errors import StoreError
from assay.core.heavy import torch
from assay.data.checkpoint import Alone


class Desk(Unkept):
    """A bench with a device, which reports steps, loss and the time left on one line of standard
    error, or steps to a function."""

    def __init__(self, device: torch.device, progress: bool | Callable[[int, int], None] = False):
        self._device, self._progress = device, progress
        self._began: tuple[float, int] | None = None

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        return self._device

    def report(self, done: int, total: int, unit: str = "steps", **numbers: float) -> None:
        """Report how far it is, where that is wanted."""
        if callable(self._progress):
            self._progress(done, total)
        if self._progress is not True:
            return
        now = time.monotonic()
        since, first = self._began = self._began or (now, done)
        left = (now - since) / max(1, done - first) * (total - done)
        more = "".join(f", {name} {value:.4g}" for name, value in numbers.items())
        rest = f", about {left:,.0f} s left" if first < done < total else ""
        end = "\n" if done >= total else ""
        line = f"{done:,} of {total:,} {unit}{more}{rest}"
        print(f"\r{line:70}", end=end, file=sys.stderr, flush=True)


class Kept(Alone):
    """A bench whose checkpoint lies in a folder, and is that of one training only."""

    def __init__(self, bench: Bench, folder: Path, identity: Mapping[str, Any]):
        super().__init__(bench, folder)
        self.note = {"identity": json.dumps(dict(identity), sort_keys=True)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made ({error.strerror or error})") from error

    def restore(self) -> tuple[int, dict[str, torch.Tensor]] | None:
        """The last saved (step, tensors), or None where there are none that are whole. Raises:
        StoreError for those of another training."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.file, "pt") as file:
                stored = json.loads((file.metadata() or {}).get("identity", "{}"))
        except (OSError, SafetensorError, ValueError):
            return None
        wanted = json.loads(self.note["identity"])
        changed = [n for n in wanted if stored.get(n) != wanted[n]]
        if changed:
            differences = ", ".join(
                f"{n} {stored.get(n)!r} there, {wanted[n]!r} here" for n in changed
            )
            raise StoreError(
                f"{self.file} is of another training ({differences}); name another folder, or "
                "remove it"
            )
        return super().restore()
