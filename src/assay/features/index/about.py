"""About: of what an index is, and how it was made.

Lookup: the rows of one feature, read from the few row groups that hold it, however many features
there are.

SQL asks the statistics of every row group first, which takes a tenth of a second where there are
thousands."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from assay.core import foreign, inputs, integrity
from assay.core.errors import DataError

FILE, DECODER = "about.json", "decoder.npy"
FORMAT = 1
_PLACES = ("model", "source")
"""What may be a path."""


class Damaged(DataError):
    """A file of an index cannot be read as it was written; `why` is what its reader said, None
    where it is not there."""

    def __init__(self, folder: Path, file: str, why: object = None):
        self.file, self.why = file, why
        detail = (str(why).splitlines() or [""])[0][:100]
        fault = (
            f"it lacks {file}"
            if why is None
            else f"{file} cannot be read{f' ({detail})' if detail else ''}"
        )
        super().__init__(f"the index {folder} is damaged: {fault}; delete it and make it again")


@dataclass(frozen=True, kw_only=True)
class About:
    """What an index is of. Its address is model/dictionary~text; a feature's is
    model/dictionary~text/feature."""

    name: str
    """What the dictionary is called."""
    dictionary: str
    """SHA-256 of the dictionary's content."""
    model: str
    """The model's folder or name as it was given; empty where activations were given without
    one."""
    model_words: str
    """What to call the model in a report."""
    model_sha256: str
    corpus: str
    corpus_sha256: str
    site: str
    site_out: str
    kind: str
    """Name of the nonlinearity."""
    d_in: int
    d_sae: int
    tokens: int
    """Tokens that count."""
    windows: int
    context: int
    documents: int
    bos: bool
    skip_first: int
    source: str = ""
    """The dictionary as it was asked for: a path, or the name of a stored run; empty in indexes
    made before this was kept."""
    outlier: float = 6.0
    """Activations longer than this many medians were left out; 0: none."""
    part: str = "all"
    dtype: str = ""
    """In which the model computed; empty in indexes made before this was kept."""
    gradients: bool = False
    """Whether every firing has a first-order effect on the loss."""
    loss: float | None = None
    """Mean loss of the model at the text's predictions, in nats."""
    loss_spliced: float | None = None
    """`loss` and its rise with the reconstruction in place, which is measured on the first windows
    of the text, as `rise` says."""
    rise: Mapping[str, Any] | None = None
    """By how much it rises, with its 95% interval over documents, as an evaluation has it."""
    compared: Mapping[str, Any] | None = None
    """What random directions, principal components and the mean do on the same tokens, as an
    evaluation has it."""
    fvu: float | None = None
    """Variance of the activations that the dictionary does not explain, as a share."""
    l0: float = 0.0
    """Features on per token."""
    correlation_tokens: int = 0
    """Tokens that correlations of features are from."""
    ablated: int = 0
    """Features that were taken out."""
    ablation_tokens: int = 0
    """Tokens of the sample on which they were."""
    agreement: float | None = None
    """Spearman's rank correlation, over the features that were taken out, of the ablation's change
    of the loss with the first-order estimate."""
    seeds: tuple[str, ...] = ()
    """The other dictionaries that features were looked for in."""
    notes: tuple[str, ...] = ()
    made: Mapping[str, Any] = field(default_factory=dict)
    """Times, software, machine."""
    format: int = FORMAT

    @property
    def address(self) -> str:
        """Where the explorer shows it; an index of another text has another address."""
        return address(self.model, self.name, self.corpus)

    @property
    def agreement_interval(self) -> tuple[float, float]:
        """The 95% interval of `agreement`, −1 to 1 where it cannot be known.

        Formula: tanh(artanh ρ ± 1.96 √((1 + ρ²/2) / (n − 3))), n features; 1 counts as half the way
            to the next smaller value that ρ can have, 1 − 6 / (n³ − n), and −1 likewise
        Source: Bonett & Wright 2000, Psychometrika 65
        """
        if self.agreement is None or self.ablated <= 3:
            return -1.0, 1.0
        half = 1.96 * math.sqrt((1 + self.agreement**2 / 2) / (self.ablated - 3))
        most = 1 - 6 / (self.ablated**3 - self.ablated)
        middle = math.atanh(max(-most, min(most, self.agreement)))
        return math.tanh(middle - half), math.tanh(middle + half)

    @property
    def reliable(self) -> bool:
        """Whether ablations support the first-order estimates: their rank correlation was
        measured, it is at least 0.5, and its interval does not include 0."""
        return (self.agreement or 0.0) >= 0.5 and self.agreement_interval[0] > 0

    @property
    def unreliable(self) -> bool:
        """Whether the rank correlation with ablations was measured and does not support them."""
        return self.agreement is not None and not self.reliable

    @property
    def doubt(self) -> str:
        """What first-order estimates are that are not reliable: shown not to be, or not shown."""
        return "unreliable" if self.agreement_interval[1] < 0.5 else "unchecked"

    def write(self, folder: Path) -> None:
        """Write it into an index's folder; where the model and the dictionary lie as seen from
        there, unless it is below ~."""
        record = asdict(self)
        for name in _PLACES:
            if "/" in record[name] and Path(record[name]).expanduser().exists():
                path = str(Path(record[name]).expanduser().absolute())
                record[name] = inputs.as_seen_from(folder, path)
        (folder / FILE).write_text(json.dumps(record, indent=1, allow_nan=False))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What the index in a folder is of. Raises: DataError where there is none, or one of a
        later format."""
        try:
            record = json.loads(foreign.read_stored(folder / FILE))
            if integrity.differs(folder / FILE):
                raise Damaged(folder, FILE, "it differs from its hash")
            if record["format"] > FORMAT:
                raise DataError(
                    f"the index {folder} has format {record['format']}, this version reads up "
                    f"to {FORMAT}; upgrade Assay"
                )
            names = {f.name for f in fields(cls)}
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in record.items() if k in names
            }
            for name in _PLACES:
                if values.get(name, "").startswith(("../", "~/")):
                    values[name] = str(inputs.resolve_place(values[name], folder.resolve()))
            return cls(**values)
        except FileNotFoundError as error:
            raise DataError(
                f"{folder} is not an index: it has no {FILE}; make one with: assay export "
                "DICTIONARY --format index"
            ) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(folder, FILE, error) from error


def address(model: str, name: str, text: str) -> str:
    """The address of an index, model/dictionary~text, each fit for a link."""
    of_text = slug(Path(text).name)
    return f"{slug(Path(model).name or 'activations')}/{slug(name)}~{of_text}"


def slug(text: str) -> str:
    """A name as a part of an address: lower case, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"


class Lookup:
    """One table of an index; safe to be read by many threads at once."""

    def __init__(self, path: Path):
        self.path = path

    def rows(self, feature: int) -> list[dict[str, Any]]:
        """The rows of a feature, in their order. Raises: Damaged."""
        import pyarrow as pa

        try:
            first, last = self._bounds
            groups = np.flatnonzero((first <= feature) & (feature <= last)).tolist()
            if groups and integrity.differs(self.path, [self._span(group) for group in groups]):
                raise Damaged(self.path.parent, self.path.name, "it differs from its hash")
            with self._file() as file:
                table = file.read_row_groups(groups, use_threads=False)
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
    def _bounds(self) -> tuple[Int[np.ndarray, " group"], Int[np.ndarray, " group"]]:
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
        """The file, opened for one reading. One that a thread keeps is closed when the thread ends,
        and Arrow aborts the process where that is while the interpreter ends."""
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.path, metadata=self._metadata, memory_map=True)


def decoder_rows(folder: Path) -> Float[np.ndarray, "f d"]:
    """Read the decoder rows of an index, of length 1, in half precision. Raises: DataError where
    there are none."""
    try:
        decoder: np.ndarray = np.load(folder / DECODER)
    except FileNotFoundError as error:
        raise DataError(
            "this index was made before decoder rows were kept; make it again with: assay "
            "export DICTIONARY --format index"
        ) from error
    except (OSError, ValueError, EOFError) as error:
        raise Damaged(folder, DECODER, error) from error
    if decoder.ndim != 2 or decoder.dtype.kind != "f":
        raise Damaged(folder, DECODER, f"it holds {decoder.dtype} of shape {decoder.shape}")
    return decoder
