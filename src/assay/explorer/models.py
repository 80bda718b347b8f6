"""The model and the dictionary behind an index, loaded when a page first asks for them and kept for the next."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assay.explorer.problems import AWAY, UNFIT, Problem
from assay.features.index.reader import Index

if TYPE_CHECKING:
    from assay.evaluation.reading import Opened
    from assay.features.live.reader import Reader
    from assay.subjects.pretrained import Pretrained

LONGEST = 512
"""Tokens of a text that a page may have read."""


def reader(index: Index, root: Path) -> Reader:
    """Open what was indexed; only for pages that are live, since a model answers one call at a time.

    Raises: Problem where it is not what was indexed any more; ModelError or DataError where it cannot be opened.
    """
    about = index.about
    again = "assay index DICTIONARY"
    if not about.model:
        raise Problem(UNFIT, f"{about.name} was indexed from activations, without a model that could read a text")
    if not about.source:
        raise Problem(AWAY, f"the index of {about.name} does not say where its dictionary is; make it again", again)
    opened = _opened(about.source, about.model, about.site, about.bos, about.skip_first, about.outlier, root)
    if opened.source.sha256 != about.dictionary:
        raise Problem(AWAY, f"{about.source} is another dictionary than the one that was indexed; index it again", again)
    if opened.reader.subject.folder.fingerprint != about.model_sha256:
        raise Problem(AWAY, f"{about.model} is another model than the one that was read for this index; index it again", again)
    return opened.reader


@lru_cache(4)
def _opened(source: str, model: str, site: str, bos: bool, skip_first: int, outlier: float, root: Path) -> Opened:
    from assay.evaluation.reading import open_reader

    return open_reader(source, model=_model(model), site=site, bos=bos, skip_first=skip_first, outlier=outlier, most=LONGEST, root=root)


@lru_cache(1)
def _model(name: str) -> Pretrained:
    from assay.subjects.pretrained import load

    return load(name)
