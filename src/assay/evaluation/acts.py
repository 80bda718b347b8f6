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
from assay.evaluation import baselines, measure, summary
from assay.evaluation.setting import Setting
from assay.evaluation.sources import Source
from assay.evaluation.texts import Arrays, Compared, Tick
from assay.evaluation.watching import Watch

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
    watch: Watch,
) -> list[tuple[Arrays, Compared]]:
    """Each dictionary's sums, [document, …], and firings [piece, feature], and how it compares with
    baselines. Raises: DataError for numbers that are not finite."""
    from safetensors import safe_open

    where, pieces, source_parts = (
        torch.device(device),
        file.pieces(),
        [list[Any]() for _ in sources],
    )
    ours = [source.dictionary.to(where) for source in sources]
    with safe_open(file.path, "pt") as opened:
        x = opened.get_slice(file.name)
        y = opened.get_slice(file.target) if file.target else x
        head = [_read(part, file, 0, min(file.rows, PIECE), where) for part in (x, y)]
        limits = tuple(measure.outlier_limit(part, setting.outlier) for part in head)
        centre = head[1].double().mean(0).float()

        def counted(c: int, d: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            """Rows c to d that count: inputs, targets, documents."""
            inputs = _read(x, file, c, d, where)
            target = _read(y, file, c, d, where) if file.target else inputs
            keep = measure.select_positions(inputs[None], target[None], (limits[0], limits[1]), 0)[
                0
            ]
            if len(file.shape) == 3:
                keep &= torch.arange(c, d, device=where) % file.shape[1] >= setting.skip_first
            number = np.zeros(d - c, np.int64) if file.document is None else file.document[c:d]
            rows = inputs[keep]
            targets = target[keep] if file.target else rows
            return rows, targets, torch.from_numpy(number).to(where)[keep]

        for a, b in pieces:
            parts: list[list[Any]] = [[] for _ in sources]
            first, last = (0, 0) if file.document is None else file.document[[a, b - 1]].tolist()
            n = last - first + 1
            for c in range(a, b, PIECE):
                inputs, target, rows = counted(c, min(c + PIECE, b))
                rows = rows - first
                shared = measure.of_activations(target, rows, n, centre)
                for dictionary, dictionary_parts in zip(ours, parts, strict=True):
                    more, firings, _ = measure.of_dictionary(
                        dictionary, inputs, target, rows, n, centre
                    )
                    if not measure.finite(more):
                        raise DataError(
                            f"a dictionary gives numbers that are not finite on {file.path}; "
                            "is it that dictionary's site?"
                        )
                    dictionary_parts.append(shared | more | {"firings": firings})
            for dictionary_parts, all_of in zip(parts, source_parts, strict=True):
                total: measure.Sums = {}
                for part in dictionary_parts:
                    measure.add(total, part)
                all_of.append(measure.arrays(total))
            tick(b, file.rows)
            if b < file.rows:
                for source, all_of in zip(sources, source_parts, strict=True):
                    summary.tell(watch, source.name, all_of, file.document is not None)
        compared: list[Compared] = [None for _ in ours]
        if file.rows >= 2 * baselines.FEWEST:
            middle = file.rows - min(baselines.ROWS, file.rows // 2)
            fitted_on = counted(middle, file.rows)[:2]
            *rows_and_targets, document = counted(0, min(middle, baselines.TOKENS))
            compared = [
                baselines.on_rows(dictionary, fitted_on, rows_and_targets, document, setting.seed)
                for dictionary in ours
            ]
    if not any(part["tokens"].sum() for part in source_parts[0]):
        raise DataError(
            f"{file.path}: all {file.rows} activations are left out, with skip_first "
            f"{setting.skip_first} and outlier {setting.outlier:g}"
        )
    return [
        (_concatenate_parts(parts, file), comparison)
        for parts, comparison in zip(source_parts, compared, strict=True)
    ]


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
