"""Opens what reads a text live: a dictionary by any name that `evaluate` takes, with its model,
site and BOS rule settled as there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assay.dictionaries.dictionary import Dictionary
from assay.evaluation import file_statements, sources
from assay.evaluation.plans import sites
from assay.evaluation.setting import Setting
from assay.evaluation.sources import Source
from assay.features.live.reader import Reader
from assay.lab.store import Store
from assay.subjects import folder as models
from assay.subjects.pretrained import Pretrained, load


@dataclass(frozen=True, eq=False)
class Opened:
    """A reader, and where its dictionary came from."""

    source: Source
    reader: Reader


def open_reader(
    dictionary: str | Path | Dictionary | Source,
    *,
    model: str | Path | Pretrained = "smollm2",
    site: str = "",
    bos: bool | None = None,
    skip_first: int = 1,
    outlier: float = 6.0,
    most: int | None = None,
    root: str | Path = "assay-store",
    device: str = "cpu",
) -> Opened:
    """Open a dictionary and its model for reading texts; give a loaded model to read with several
    dictionaries.

    `bos` None: what the dictionary's file says, else what the model's family does. `most` is how
    many tokens a text may have; None: as many as the model reads.

    Raises: DataError or ModelError for what cannot be read or does not fit together; SpecError for
    impossible numbers."""
    setting = Setting(site=site, skip_first=skip_first, outlier=outlier)
    source = (
        dictionary if isinstance(dictionary, Source) else sources.find([dictionary], Store(root))[0]
    )
    single = source.dictionary
    folder = model.folder if isinstance(model, Pretrained) else models.find(str(model))
    reads, writes = sites(source.name, single, setting, folder)
    with_bos, _ = file_statements.choose_bos(bos, single.origin, folder)
    subject = model if isinstance(model, Pretrained) else load(str(model), device)
    reader = Reader(
        subject, single.to(subject.device), reads, writes, with_bos, skip_first, outlier, most
    )
    return Opened(source, reader)
