"""load: any library's dictionary, told by the names of files and tensors, never by shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.core.errors import DataError, nearest, nearest_beside
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats import dictionary_learning, gemma_scope, openai, ours, saelens, sparsify
from assay.dictionaries.formats.pickles import read as read_pickle
from assay.dictionaries.formats.plain import safetensors
from assay.dictionaries.formats.weights import Hints, Source

_READ: dict[str, Callable[[Source, Hints], Dictionary]] = {
    "saelens": saelens.read,
    "dictionary-learning": dictionary_learning.read,
    "sparsify": sparsify.read,
    "openai": openai.read,
    "gemma-scope": gemma_scope.read,
}
FORMATS = ("assay", *_READ)
"""The formats that `load` reads."""
_IN_FOLDER = {
    saelens.WEIGHTS: "saelens",
    sparsify.WEIGHTS: "sparsify",
    dictionary_learning.WEIGHTS: "dictionary-learning",
    gemma_scope.WEIGHTS: "gemma-scope",
    gemma_scope.WEIGHTS_2: "gemma-scope",
}
_PICKLES = (".pt", ".pth", ".bin", ".ckpt")


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
) -> Dictionary:
    """The dictionary in a file or folder of SAELens, dictionary_learning, sparsify, OpenAI or Gemma Scope, or one of ours.

    The format is told by names; `origin` of the result says which it was, the file's hash, and what was inferred and not
    read. The other arguments answer what a file leaves open, and are asked for by name where they are needed.

    Raises: DataError, one line, for a file of no known format, and for one that is broken, incomplete, or has two readings.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist; {nearest_beside(path) or 'name a file or folder that holds a dictionary'}")
    if format is not None and format not in FORMATS:
        raise DataError(f"no format {format!r}; {nearest(format, FORMATS)}")
    hints = Hints(site, site_out, scale, architecture, k, threshold)
    try:
        return _opened(path, format, hints)
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read ({error.strerror or error})") from error


def _opened(path: Path, format: str | None, hints: Hints) -> Dictionary:
    if path.is_dir():
        path = _inside(path, format)
    elif path.suffix == ".json":
        path = _inside(path.parent, format)
    if path.suffix in _PICKLES:
        values = read_pickle(path)
        name = format or _of_pickle(path, values)
        opened = {"openai": openai.open_file, "dictionary-learning": dictionary_learning.open_file}
        if name not in opened:
            raise DataError(f"{path} is a torch file, which format {name} never is; known: {', '.join(sorted(opened))}")
        return _READ[name](opened[name](path, values), hints)
    if path.suffix == ".npz":
        if format not in (None, "gemma-scope"):
            raise DataError(f"{path} is an npz file, which format {format} never is; only gemma-scope is")
        return gemma_scope.read(gemma_scope.open_file(path, stated=format is not None), hints)
    if path.suffix != ".safetensors":
        raise DataError(f"{path}: {path.suffix or 'a file without an ending'} is read by none of {', '.join(FORMATS)}")
    tensors, metadata = safetensors(path)
    if format in (None, "assay") and ours.fits(metadata):
        _no_hints(path, hints)
        found = ours.read(path)
        return (
            found
            if hints.site is None and hints.site_out is None
            else replace(
                found,
                sites=(hints.site,) if hints.site else found.sites,
                sites_out=(hints.site_out,) if hints.site_out else found.sites_out,
            )
        )
    if format == "assay":
        raise DataError(f"{path} has no header of Assay's, so it was not written by it")
    name = format or _IN_FOLDER.get(path.name, "")
    openers: dict[str, Callable[[Path], Source]] = {"saelens": saelens.open_folder, "sparsify": sparsify.open_folder}
    if name in openers and path.name in _IN_FOLDER:
        return _READ[name](openers[name](path.parent), hints)
    if name == "gemma-scope":
        return gemma_scope.read(gemma_scope.open_file(path, stated=format is not None), hints)
    raise DataError(
        f"{path} holds {', '.join(sorted(tensors)[:8]) or 'nothing'}, and neither its name nor its header says whose it is; expected "
        f"{', '.join(n for n in _IN_FOLDER if n.endswith('.safetensors'))}, with its settings beside it"
    )


def _inside(folder: Path, format: str | None) -> Path:
    """The weight file in a folder. Raises: DataError where there is none, or two."""
    found = [name for name in _IN_FOLDER if (folder / name).is_file() and format in (None, "assay", _IN_FOLDER[name])]
    if len(found) == 1:
        return folder / found[0]
    if found:
        raise DataError(f"{folder} holds {' and '.join(found)}; name the file itself")
    wanted = [name for name in _IN_FOLDER if format in (None, "assay", _IN_FOLDER[name])]
    beside = [name for name in (saelens.WEIGHTS, sparsify.WEIGHTS) if name in wanted]
    if (folder / "cfg.json").is_file() and beside:
        raise DataError(f"{folder} has cfg.json but no weights; expected {' or '.join(beside)} beside it")
    deeper = sorted({str(p.parent.relative_to(folder)) for name in wanted for p in folder.glob(f"*/{name}")})
    if deeper:
        more = f" and {len(deeper) - 3} more" if len(deeper) > 3 else ""
        raise DataError(f"{folder} holds no dictionary itself, but {', '.join(deeper[:3])}{more} below it do; name one of them")
    raise DataError(
        f"{folder} holds no dictionary; expected a folder with {'one of ' if len(wanted) > 1 else ''}{', '.join(wanted)}"
    )


def _of_pickle(path: Path, values: Mapping[str, Any]) -> str:
    if openai.fits(values):
        return "openai"
    if dictionary_learning.fits(values) or path.name == dictionary_learning.WEIGHTS:
        return "dictionary-learning"
    raise DataError(
        f"{path} holds {', '.join(map(str, sorted(values, key=str)[:8])) or 'nothing'}, names that no known format has"
    )


def _no_hints(path: Path, hints: Hints) -> None:
    given = [name for name, value in vars(hints).items() if value is not None and name not in ("site", "site_out")]
    if given:
        raise DataError(f"{path} is a file of Assay's, which says everything itself; leave out {', '.join(given)}")
