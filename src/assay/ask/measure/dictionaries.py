"""Dictionaries that a study names: local files, stored runs and published ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Identity, ReLU
from assay.evaluation import sources
from assay.evaluation.sources import Source
from assay.lab.store.store import Store

_opened: dict[str, Dictionary] = {}
"""The last few, by the hash of their source."""
KEPT = 2


def source(name: str, folder: Path, root: Path) -> Source:
    """The dictionary of a name: a file or folder relative to the study, a run of the store, or a
    published one. Raises: DataError."""
    path = folder / Path(name).expanduser()
    inside = path.exists() or name.startswith((".", "/", "~"))
    return sources.find([str(path) if inside else name], Store(root))[0]


def opened(name: str, folder: Path, root: Path) -> Dictionary:
    """Open the dictionary of a name; the last few stay open. Raises: DataError."""
    stored = source(name, folder, root)
    if stored.sha256 not in _opened:
        while len(_opened) >= KEPT:
            _opened.pop(next(iter(_opened)))
        _opened[stored.sha256] = stored.dictionary
    return _opened[stored.sha256]


def latent(dictionary: Dictionary, name: str, number: int) -> tuple[Dictionary, int]:
    """A dictionary that gives this latent the same activation, and the latent's number in it: with
    that latent alone, if no other one influences it. Raises: DataError for an unknown number."""
    if not 0 <= number < dictionary.width:
        raise DataError(f"{name} has latents 0 to {dictionary.width - 1:,}, got {number:,}")
    if type(dictionary.nonlinearity) not in (ReLU, JumpReLU, Identity):
        return dictionary, number
    column = slice(number, number + 1)
    single = replace(
        dictionary,
        W_enc=dictionary.W_enc[:, :, column],
        b_enc=dictionary.b_enc[:, column],
        W_dec=dictionary.W_dec[:, column],
        own={
            key: value[:, column] if value.shape[1:] == (dictionary.width,) else value
            for key, value in dictionary.own.items()
        },
    )
    return single, 0
