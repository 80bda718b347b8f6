"""load: any library's dictionary, identified by names of files and tensors, never by shapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from assay.core import foreign
from assay.core.errors import DataError, nearest, nearest_beside
from assay.dictionaries import published
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats import dictionary_learning, plain
from assay.dictionaries.formats.format import TORCH, Format, Hints, Source, known
from assay.dictionaries.formats.weights import npz, safetensors
from assay.dictionaries.formats.weights import read as read_pickle

FORMATS = tuple(known())
"""The formats that `load` reads."""


def load(
    path: Path | str,
    *,
    format: str | None = None,
    site: str | None = None,
    site_out: str | None = None,
    scale: float | None = None,
    architecture: str | None = None,
    k: int | None = None,
    threshold: float | None = None,
    context: int | None = None,
    bos: bool | None = None,
) -> Dictionary:
    """The dictionary in a file or folder of SAELens, dictionary_learning, sparsify, Gemma Scope or
    Llama Scope, one of ours, or a state dict of one's own; or a published one by its name, once
    `assay fetch` has brought it.

    Names identify the format; `origin` of the result says which it was, the file's hash, and what
    was inferred and not read. The other arguments answer what a file leaves open, and are asked for
    by name where they are needed.

    Raises: DataError, one line, for a file of no known format, and for one that is broken,
    incomplete, or has two readings."""
    name, path = published.parse(str(path)), Path(path)
    if not path.exists() and name:
        path = published.find(name)
    if not path.exists():
        raise DataError(
            f"{path} does not exist; "
            f"{nearest_beside(path) or 'name a file or folder that holds a dictionary'}"
        )
    if format is not None and format not in known():
        raise DataError(f"no format {format!r}; {nearest(format, known())}")
    for key, number in (("scale", scale), ("threshold", threshold)):
        is_number = isinstance(number, int | float) and 0 <= number < float("inf")
        if number is not None and not (is_number and (number or key == "threshold")):
            kind = "a positive number" if key == "scale" else "a number of at least 0"
            raise DataError(f"the hint {key} must be {kind}, got {number!r}")
    hints = Hints(site, site_out, scale, architecture, k, threshold, context, bos)
    try:
        return _opened(path, None if format is None else known()[format], hints)
    except OSError as error:
        raise DataError(
            f"{error.filename or path} cannot be read ({error.strerror or error})"
        ) from error


def _opened(path: Path, stated: Format | None, hints: Hints) -> Dictionary:
    if path.is_dir():
        path = _inside(path, stated)
    elif path.suffix == ".json" and not path.name.endswith(".prereg.json"):
        path = _inside(path.parent, stated)
    likely = [format for format in known().values() if path.suffix in format.suffixes]
    if not likely:
        raise DataError(
            foreign.purpose(path)
            or f"{path}: {path.suffix or 'a file without an ending'} is read by none of "
            f"{', '.join(known())}"
        )
    weight_file = _read_weight_file(path, stated is not None)
    if stated is not None and stated not in likely:
        names = sorted(format.name for format in likely)
        kind = (
            "a torch"
            if path.suffix in TORCH
            else "an npz"
            if path.suffix == ".npz"
            else "a safetensors"
        )
        raise DataError(
            f"{path} is {kind} file, which format {stated.name} never is; known: {', '.join(names)}"
        )
    format = (
        stated
        or _by_content(weight_file, likely, hints)
        or next((candidate for candidate in likely if path.name in candidate.files), None)
    )
    if format is None:
        raise DataError(_of_nobody(weight_file))
    return format.load(weight_file, hints)


def _by_content(weight_file: Source, likely: Sequence[Format], hints: Hints) -> Format | None:
    """The format whose names the tensors have. A state dict of one's own may have the names of a
    class of dictionary_learning: unless settings say that it is one, its user does."""
    fitting = next((candidate for candidate in likely if candidate.fits(weight_file)), None)
    open_to_both = fitting is None or (
        fitting is dictionary_learning.FORMAT
        and hints.architecture in plain.ARCHITECTURES
        and not dictionary_learning.stated_class(weight_file)
    )
    return plain.FORMAT if open_to_both and plain.holds(weight_file, hints) else fitting


def _read_weight_file(path: Path, stated: bool) -> Source:
    """What a weight file holds, by the reader for its ending."""
    if path.suffix in TORCH:
        return Source(path, read_pickle(path), stated=stated)
    if path.suffix == ".npz":
        return Source(path, npz(path), stated=stated)
    return Source(path, *safetensors(path), stated=stated)


def _of_nobody(weight_file: Source) -> str:
    names = ", ".join(map(str, sorted(weight_file.values, key=str)[:8])) or "nothing"
    return (
        f"{weight_file.file} holds {names}, names that no known format has; call the tensors "
        f"{', '.join(plain.NAMES[0])}, or use a format of docs/formats.md with its settings"
    )


def _inside(folder: Path, stated: Format | None) -> Path:
    """The weight file in a folder. Raises: DataError where there is none, or two."""
    formats = [
        format
        for format in known().values()
        if stated is None or not stated.files or format is stated
    ]
    file_names = [name for format in formats for name in format.files]
    present_names = [name for name in file_names if (folder / name).is_file()]
    if len(present_names) == 1:
        return folder / present_names[0]
    if present_names:
        raise DataError(f"{folder} holds {' and '.join(present_names)}; name the file itself")
    for settings in dict.fromkeys(format.settings for format in formats if format.settings):
        if (folder / settings).is_file():
            weight_names = [
                name for format in formats if format.settings == settings for name in format.files
            ]
            raise DataError(
                f"{folder} has {settings} but no weights; expected "
                f"{' or '.join(weight_names)} next to it"
            )
    deeper = sorted(
        {str(p.parent.relative_to(folder)) for name in file_names for p in folder.glob(f"*/{name}")}
    )
    if deeper:
        more = f" and {len(deeper) - 3} more" if len(deeper) > 3 else ""
        raise DataError(
            f"{folder} has no dictionary itself, but {', '.join(deeper[:3])}{more} below it "
            "do; name one of them"
        )
    raise DataError(
        f"{folder} holds no dictionary; expected a folder with "
        f"{'one of ' if len(file_names) > 1 else ''}{', '.join(file_names)}"
    )
