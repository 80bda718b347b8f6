"""Assay's own files: what `Dictionary.save` wrote, `params.safetensors` of a stored run, or the
folder of `assay train-dictionary`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from assay.core import foreign
from assay.core.errors import AssayError, DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats.format import Format, Hints, Source

_META = "assay"


def fits(weight_file: Source) -> bool:
    """Whether a safetensors file's metadata is ours."""
    return _META in weight_file.metadata


def open_file(weight_file: Source) -> Source:
    """A file, which says everything itself. Raises: DataError for one that Assay did not write."""
    if not fits(weight_file):
        raise DataError(f"{weight_file.file} has no header of Assay's, so it was not written by it")
    return weight_file


def read(source: Source, hints: Hints) -> Dictionary:
    """The dictionaries of one of our files, with every run; a user may say of other places that
    they are meant.

    Raises: DataError for a file that holds something else, is damaged, or has numbers that are NaN
    or infinite, and for other hints."""
    hint_names = [
        name
        for name, value in vars(hints).items()
        if value is not None and name not in ("site", "site_out")
    ]
    if hint_names:
        raise DataError(
            f"{source.file} is a file of Assay's, which says everything itself; leave out "
            f"{', '.join(hint_names)}"
        )
    dictionary = _whole(source.file)
    if hints.site is None and hints.site_out is None:
        return dictionary
    sites, sites_out = (
        (hint,) if hint else stated
        for hint, stated in ((hints.site, dictionary.sites), (hints.site_out, dictionary.sites_out))
    )
    return replace(dictionary, sites=sites, sites_out=sites_out)


def _whole(path: Path) -> Dictionary:
    foreign.tensors(path)
    try:
        dictionary = Dictionary.load(path)
    except AssayError as error:
        if path.name in str(error):
            raise
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # a header of the right kind whose fields are not
        raise DataError(
            f"{path}: its header does not describe its tensors ({type(error).__name__}: {error})"
        ) from error
    wrong = _wrong(dictionary)
    if wrong:
        raise DataError(f"{path}: {wrong}; the file was not written by Assay, or was changed since")
    bad = [name for name, value in dictionary.tensors().items() if not bool(value.isfinite().all())]
    if bad:
        raise DataError(
            f"{path}: {', '.join(sorted(bad))} has numbers that are NaN or infinite; the file "
            "cannot be used"
        )
    return dictionary


def prepare(dictionary: Dictionary, model: str | None) -> Callable[[Path], list[str]]:
    """Give what writes one file with every run; the model's name has no place in it."""

    def fill(place: Path) -> list[str]:
        place.touch()
        mode = place.stat().st_mode
        dictionary.save(place)
        place.chmod(mode)
        return ["."]

    return fill


def _wrong(dictionary: Dictionary) -> str:
    """What of a header or of its tensors no dictionary has, in a few words; empty where all is as
    it should be."""
    kind = dictionary.nonlinearity
    names = {*kind.init(1, dictionary.width), *getattr(kind, "encoders", ())}
    if extra := sorted(dictionary.own.keys() - names):
        return f"{', '.join(extra)} are not tensors of a {type(kind).__name__} dictionary"
    if whole := sorted(
        name for name, value in dictionary.tensors().items() if not value.is_floating_point()
    ):
        return f"{', '.join(whole)} must be a tensor of floating-point numbers"
    k = getattr(kind, "k", 1)
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= dictionary.width:
        return f"k must be a whole number from 1 to {dictionary.width}, got {k!r}"
    if not all(isinstance(site, str) for site in (*dictionary.sites, *dictionary.sites_out)):
        return "sites must be a list of names"
    if not isinstance(dictionary.origin, Mapping):
        return "origin must be an object"
    for name in ("scale", "scale_out"):
        value = getattr(dictionary, name)
        if value is not None and not bool((value > 0).all()):
            return f"{name} must be above 0 in every run"
    return ""


FORMAT = Format(
    name="assay",
    suffixes=(".safetensors",),
    files=("dictionary.safetensors",),
    fits=fits,
    open=open_file,
    read=read,
    prepare=prepare,
)
