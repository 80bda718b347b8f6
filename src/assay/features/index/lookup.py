"""Lookup: the rows of one feature, read from the few row groups that hold it, however many features
there are.

SQL asks the statistics of every row group first, which takes a tenth of a second where there are
thousands."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from assay.core import integrity
from assay.features.index.about import Damaged


class Lookup:
    """One table of an index; safe to be read by many threads at once."""

    def __init__(self, path: Path):
        self.path = path
        self._local = threading.local()

    def rows(self, feature: int) -> list[dict[str, Any]]:
        """The rows of a feature, in their order. Raises: Damaged."""
        import pyarrow as pa

        try:
            first, last = self._bounds
            groups = np.flatnonzero((first <= feature) & (feature <= last)).tolist()
            if groups and integrity.differs(self.path, [self._span(group) for group in groups]):
                raise Damaged(self.path.parent, self.path.name, "it differs from its hash")
            table = self._file().read_row_groups(groups, use_threads=False)
            matches = table.column("feature").to_numpy() == feature
            records: list[dict[str, Any]] = table.filter(pa.array(matches)).to_pylist()
        except (
            OSError,
            pa.ArrowException,
            KeyError,
            AttributeError,
        ) as error:  # the last two: no such column, no statistics of it
            raise Damaged(self.path.parent, self.path.name, error) from error
        return records

    @cached_property
    def _metadata(self) -> Any:
        import pyarrow.parquet as pq

        return pq.read_metadata(self.path)

    @cached_property
    def _bounds(self) -> tuple[Int[np.ndarray, "group"], Int[np.ndarray, "group"]]:
        """The lowest and the highest feature of each row group; of one without rows a span that
        holds none."""
        groups = [self._metadata.row_group(i) for i in range(self._metadata.num_row_groups)]
        spans = [g.column(0).statistics for g in groups]
        low = [span.min if g.num_rows else 1 for g, span in zip(groups, spans, strict=True)]
        high = [span.max if g.num_rows else 0 for g, span in zip(groups, spans, strict=True)]
        return np.array(low, np.int64), np.array(high, np.int64)

    def _span(self, group: int) -> tuple[int, int]:
        """The first byte of a row group, and the one after its last."""
        row = self._metadata.row_group(group)
        columns = [row.column(i) for i in range(row.num_columns)]
        starts = [
            min(c.dictionary_page_offset or c.data_page_offset, c.data_page_offset) for c in columns
        ]
        return min(starts), max(
            start + c.total_compressed_size for start, c in zip(starts, columns, strict=True)
        )

    def _file(self) -> Any:
        """This thread's own view of the file."""
        import pyarrow.parquet as pq

        if not hasattr(self._local, "file"):
            self._local.file = pq.ParquetFile(self.path, metadata=self._metadata, memory_map=True)
        return self._local.file
