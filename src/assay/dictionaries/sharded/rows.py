"""Rows: what every rank reads of a step's batch, out of one array on disk or of shards that pass
through memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.core.bench import Slot
from assay.core.errors import DataError
from assay.core.fit import SETTLING
from assay.core.heavy import torch
from assay.data.shards import ShardReader
from assay.dictionaries.sharded.part import Part
from assay.dictionaries.sharded.ranks import bounds
from assay.dictionaries.training.batches import CHUNK, moments, numbers, of_shards, shuffled
from assay.dictionaries.training.keeping import Following

Draw = Callable[[int, Callable[[int], slice]], "Float[torch.Tensor, 'b d']"]
"""Raw rows of a numbered batch: those in the stretch that a function of their number gives."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Raw rows of each step's batch, and of the batches on which is measured in the end."""

    mean: Float[torch.Tensor, " d"]
    scale: float
    count: int
    """Rows in all."""
    training: Draw
    measuring: Draw
    pieces: int
    """Batches on which is measured."""
    reader: ShardReader | None = None
    steps: int = 0

    @classmethod
    def of(cls, acts: Path | ShardReader, batch: int, seed: int, steps: int) -> Rows:
        """Open a .npy file, or take a reader of shards. Raises: DataError."""
        if isinstance(acts, ShardReader):
            data = of_shards(acts, batch, seed, steps)
            last = min(steps, SETTLING)

            def read(step: int, stretch: Callable[[int], slice]) -> torch.Tensor:
                rows = acts(step)
                return rows[stretch(len(rows))]

            def read_last(piece: int, stretch: Callable[[int], slice]) -> torch.Tensor:
                return read(steps - last + piece, stretch)

            return cls(data.mean, data.scale, acts.rows, read, read_last, last, acts, steps)
        rows = matrix(acts)
        order = shuffled(len(rows), batch, seed)

        def gather(step: int, stretch: Callable[[int], slice]) -> torch.Tensor:
            chosen = order(step)
            return torch.from_numpy(numbers(rows[chosen[stretch(len(chosen))].numpy()]))

        def piece_of(piece: int, stretch: Callable[[int], slice]) -> torch.Tensor:
            its = rows[piece * CHUNK : (piece + 1) * CHUNK]
            return torch.from_numpy(numbers(its[stretch(len(its))]))

        return cls(*moments(rows), len(rows), gather, piece_of, -(-len(rows) // CHUNK))

    @property
    def identity(self) -> Mapping[str, Any]:
        """What tells these rows from others, as plain JSON."""
        window = {} if self.reader is None else {"window": self.reader.window}
        # A number that other data would hardly share: it stands for the rows themselves.
        return {"rows": [self.count, len(self.mean)], "scale": self.scale, **window}

    def header(self, header: Mapping[str, Any]) -> dict[str, Any]:
        """A dictionary's header with what the rows say of themselves."""
        about = {} if self.reader is None else self.reader.shards.about
        origin = dict(header.get("origin", {}))
        if "trained_on" in about:
            origin["trained_on"] = about["trained_on"]
        more = {"origin": origin} if origin else {}
        return {**header, "sites": list(about.get("sites", ())), **more}

    def slot(self, slot: Slot) -> Slot:
        """A slot that the reader follows, where there is one."""
        return slot if self.reader is None else Following(slot, self.reader, self.steps)

    def normalised(self, part: Part, draw: Draw) -> Callable[[int], Float[torch.Tensor, "b d"]]:
        """This replica's rows of each batch, as training sees them."""
        replicas = part.ranks.rows

        def stretch(count: int) -> slice:
            # All ranks draw the same batch by the seed and take their part of it, so that nothing
            # has to be sent.
            return bounds(count, replicas.size, replicas.place)

        return lambda step: (draw(step, stretch) - self.mean) * self.scale


def matrix(path: Path) -> Float[np.ndarray, "n d"]:
    """A matrix in a .npy file, mapped and not read. Raises: DataError."""
    try:
        rows = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is not a readable .npy file ({error}); save the activations [n, d] with "
            "np.save"
        ) from error
    if (
        not isinstance(rows, np.ndarray)
        or rows.ndim != 2
        or rows.dtype.kind != "f"
        or len(rows) < 2
        or not rows.shape[1]
    ):
        got = f"{rows.dtype} {list(rows.shape)}" if isinstance(rows, np.ndarray) else "an archive"
        raise DataError(f"{path} must hold real numbers [n, d] with at least two rows, got {got}")
    return rows
