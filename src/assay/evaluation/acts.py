"""Dictionaries measured on activations in a safetensors file: everything but losses. Read in
pieces, so that any size will do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from assay.core import cache, foreign
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.evaluation import baselines, measure
from assay.evaluation.setting import Setting
from assay.evaluation.sources import Source
from assay.evaluation.texts import Arrays, Compared, Tick

NAMES = ("acts", "activations", "x")
TARGETS = ("target", "targets", "y")
KINDS = ("F64", "F32", "F16", "BF16")
PIECE = 8192
"""Rows read at a time."""
LARGEST, DOCUMENTS = 2**40, 100_000_000
"""Bytes of a file, and numbers of documents in it, which are all read at once."""


@dataclass(frozen=True, eq=False)
class ActsFile:
    """A file of activations: [b, d], with `document` [b] if it says which rows belong together, or
    [w, s, d], a document each window."""

    path: Path
    name: str
    target: str | None
    shape: tuple[int, ...]
    width: int
    """Numbers in each row of what is reconstructed: of `target`, or of the activations
    themselves."""
    document: Int[np.ndarray, " b"] | None
    """The document of each row, numbered from 0, each in one piece; None where the file does not
    say."""

    @property
    def rows(self) -> int:
        """Number of activations."""
        return int(np.prod(self.shape[:-1]))

    def pieces(self) -> list[tuple[int, int]]:
        """Rows from … to …: about as many as are read at a time, whole documents where there are
        any."""
        if self.document is None:
            return [(a, min(a + PIECE, self.rows)) for a in range(0, self.rows, PIECE)]
        ends = np.append(np.flatnonzero(np.diff(self.document)) + 1, self.rows)
        count = min(len(ends), max(24, -(-self.rows // PIECE)))
        chosen = np.unique(ends[np.searchsorted(ends, np.linspace(0, self.rows, count + 1)[1:])])
        return list(zip([0, *chosen[:-1].tolist()], chosen.tolist(), strict=True))


def fingerprint(path: Path) -> str:
    """The hash of the file's bytes. Raises: DataError when there is no such file."""
    if not path.is_file():
        raise DataError(
            f"no file {path}; --acts takes a safetensors file with acts, [rows, d] or "
            "[windows, positions, d]"
        )
    return cache.sha256(foreign.tensors(path, LARGEST), most=LARGEST)


def open_file(path: Path) -> ActsFile:
    """The file, its shapes checked, no activation read.

    Raises: DataError for a file that is no safetensors file, or whose tensors are of another rank,
    kind or length."""
    from safetensors import SafetensorError, safe_open

    foreign.tensors(path, LARGEST)
    try:
        with safe_open(path, "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            kinds = {name: str(file.get_slice(name).get_dtype()) for name in shapes}
            if "document" in shapes:
                foreign.within(
                    math.prod(shapes["document"]), DOCUMENTS, path, "numbers of documents"
                )
            # NumPy has none of some others
            whole = kinds.get("document", "").startswith(("I", "U"))
            document = file.get_tensor("document").numpy() if whole else None
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path} is not a readable safetensors file ({str(error)[:120]})"
        ) from error
    candidates = [n for n in shapes if n != "document" and n not in TARGETS]
    name = next((n for n in NAMES if n in shapes), candidates[0] if len(candidates) == 1 else None)
    if name is None:
        raise DataError(
            f"{path} holds {', '.join(sorted(shapes)) or 'nothing'}; the activations should "
            "be called acts"
        )
    shape, target = shapes[name], next((n for n in TARGETS if n in shapes), None)
    if len(shape) not in (2, 3) or 0 in shape:
        raise DataError(
            f"{path}: {name} must be [rows, d] or [windows, positions, d] and not empty, got "
            f"{list(shape)}"
        )
    for tensor in (name, target):
        if tensor is not None and kinds[tensor] not in KINDS:
            raise DataError(
                f"{path}: {tensor} must be floating-point numbers, got {kinds[tensor]}; "
                f"known: {', '.join(KINDS)}"
            )
    if target is not None and shapes[target][:-1] != shape[:-1]:
        raise DataError(
            f"{path}: {target} is {list(shapes[target])}, expected one row for each of {name} "
            f"{list(shape)}"
        )
    if "document" in shapes and document is None:
        raise DataError(
            f"{path}: document must be {shape[0]} whole numbers, one for each first index, "
            f"got {kinds['document']}"
        )
    width = shape[-1] if target is None else shapes[target][-1]
    return ActsFile(path, name, target, shape, width, _documents(path, document, shape))


def _documents(
    path: Path, document: np.ndarray | None, shape: tuple[int, ...]
) -> np.ndarray | None:
    """The document of every row; None for rows that belong to none."""
    if document is None:
        return None if len(shape) == 2 else np.repeat(np.arange(shape[0]), shape[1])
    if document.shape != shape[:1] or document.dtype.kind not in "iu":
        raise DataError(
            f"{path}: document must be {shape[0]} whole numbers, one for each first index, "
            f"got {list(document.shape)}"
        )
    starts = np.append(0, 1 + np.flatnonzero(document[1:] != document[:-1]))
    if len(np.unique(document)) < len(starts):
        raise DataError(
            f"{path}: the rows of a document must follow each other; sort them by document"
        )
    number = np.cumsum(np.isin(np.arange(len(document)), starts)) - 1
    return number if len(shape) == 2 else np.repeat(number, shape[1])


def check(source: Source, file: ActsFile) -> None:
    """Refuse a dictionary that does not fit the file. Raises: DataError."""
    dictionary = source.dictionary
    if dictionary.W_enc.shape[1] != file.shape[-1]:
        raise DataError(
            f"{source.name} reads {dictionary.W_enc.shape[1]} numbers per token, {file.path} has "
            f"{file.shape[-1]}"
        )
    if file.target is None and (
        dictionary.sites_out or dictionary.W_dec.shape[-1] != dictionary.W_enc.shape[1]
    ):
        raise DataError(
            f"{source.name} predicts activations at another site; {file.path} needs them as a "
            "second tensor, target"
        )
    if dictionary.W_dec.shape[-1] != file.width:
        raise DataError(
            f"{source.name} writes {dictionary.W_dec.shape[-1]} numbers per token, {file.path} has "
            f"{file.width} in {file.target}"
        )


def run(
    file: ActsFile,
    sources: Sequence[Source],
    setting: Setting,
    device: str,
    tick: Tick,
) -> list[tuple[Arrays, Compared]]:
    """Each dictionary's sums, [document, …], and firings [piece, feature], and how it compares with
    baselines. Raises: DataError for numbers that are not finite."""
    from safetensors import safe_open

    ours = [source.dictionary.to(torch.device(device)) for source in sources]
    source_parts = [list[Any]() for _ in sources]
    with safe_open(file.path, "pt") as opened:
        rows = _Rows(file, opened, setting, torch.device(device))
        for a, b in file.pieces():
            for parts, sums in zip(source_parts, _piece(rows, ours, a, b), strict=True):
                parts.append(sums)
            tick(b, file.rows)
        compared = _compared(rows, ours, setting.seed)
    if not any(part["tokens"].sum() for part in source_parts[0]):
        raise DataError(
            f"{file.path}: all {file.rows} activations are left out, with skip_first "
            f"{setting.skip_first} and outlier {setting.outlier:g}"
        )
    return [
        (_concatenate_parts(parts, file), comparison)
        for parts, comparison in zip(source_parts, compared, strict=True)
    ]


class _Rows:
    """The rows of an open file, with what settles which of them count."""

    def __init__(self, file: ActsFile, opened: Any, setting: Setting, device: torch.device):
        self.file, self.setting, self.device = file, setting, device
        self.x = opened.get_slice(file.name)
        self.y = opened.get_slice(file.target) if file.target else self.x
        first = min(file.rows, PIECE)
        head = [_read(part, file, 0, first, device) for part in (self.x, self.y)]
        limits = [measure.outlier_limit(part, setting.outlier) for part in head]
        self.limits = limits[0], limits[1]
        self.centre = head[1].double().mean(0).float()

    def counted(self, c: int, d: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rows c to d that count: inputs, targets, documents."""
        file = self.file
        inputs = _read(self.x, file, c, d, self.device)
        target = _read(self.y, file, c, d, self.device) if file.target else inputs
        keep = measure.select_positions(inputs[None], target[None], self.limits, 0)[0]
        if len(file.shape) == 3:
            position = torch.arange(c, d, device=self.device) % file.shape[1]
            keep &= position >= self.setting.skip_first
        number = np.zeros(d - c, np.int64) if file.document is None else file.document[c:d]
        rows = inputs[keep]
        targets = target[keep] if file.target else rows
        return rows, targets, torch.from_numpy(number).to(self.device)[keep]


def _piece(rows: _Rows, dictionaries: Sequence[Dictionary], a: int, b: int) -> list[Arrays]:
    """Each dictionary's sums over rows a to b, and its firings there. Raises: DataError."""
    file = rows.file
    totals: list[measure.Sums] = [{} for _ in dictionaries]
    first, last = (0, 0) if file.document is None else file.document[[a, b - 1]].tolist()
    n = last - first + 1
    for c in range(a, b, PIECE):
        inputs, target, document = rows.counted(c, min(c + PIECE, b))
        about = document - first, n, rows.centre
        shared = measure.of_activations(target, *about)
        for dictionary, total in zip(dictionaries, totals, strict=True):
            more, firings, _ = measure.of_dictionary(dictionary, inputs, target, *about)
            if not measure.finite(more):
                raise DataError(
                    f"a dictionary gives numbers that are not finite on {file.path}; is it that "
                    "dictionary's site?"
                )
            measure.add(total, shared | more | {"firings": firings})
    return list(map(measure.arrays, totals))


def _compared(rows: _Rows, dictionaries: Sequence[Dictionary], seed: int) -> list[Compared]:
    """How dictionaries compare with baselines that are fitted on the last rows; None where these
    are too few."""
    count = rows.file.rows
    if count < 2 * baselines.FEWEST:
        return [None for _ in dictionaries]
    middle = count - min(baselines.ROWS, count // 2)
    fitted_on = rows.counted(middle, count)[:2]
    *measured, document = rows.counted(0, min(middle, baselines.TOKENS))
    return [baselines.on_rows(d, fitted_on, measured, document, seed) for d in dictionaries]


def _concatenate_parts(parts: list[Arrays], file: ActsFile) -> Arrays:
    sums = {
        name: np.concatenate([p[name] for p in parts]) for name in parts[0] if name != "firings"
    }
    if file.document is None:  # rows without documents: one unit, from which no interval follows
        sums = {name: value.sum(0, keepdims=True) for name, value in sums.items()}
    pieces = (
        [len(p["tokens"]) for p in parts]
        if file.document is not None
        else [1] + [0] * (len(parts) - 1)
    )
    return sums | {"firings": np.stack([p["firings"] for p in parts]), "shards": np.array(pieces)}


def _read(part: Any, file: ActsFile, a: int, b: int, device: torch.device) -> torch.Tensor:
    """Rows a to b as float32 [b − a, d]. Raises: DataError for a number that is NaN or infinite,
    saying where."""
    if len(file.shape) == 2:
        rows = part[a:b]
    else:
        s = file.shape[1]
        first = a // s
        rows = part[first : -(-b // s)].flatten(0, 1)[a - first * s : b - first * s]
    rows = rows.to(device).float()
    bad = (~rows.isfinite()).any(1)
    if bool(bad.any()):
        raise DataError(
            f"{file.path}: row {a + int(bad.nonzero()[0])} has a number that is NaN or infinite"
        )
    return rows
