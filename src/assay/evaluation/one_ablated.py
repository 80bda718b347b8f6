"""One feature ablated on the text of an index, whatever its name, when it is asked for."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.errors import AssayError, DataError
from assay.core.spec import Spec
from assay.evaluation.indexing import IndexSpec, shard_specs
from assay.features.index.ablations import ablate_one
from assay.features.index.firings import Place
from assay.features.index.reader import Index
from assay.features.index.schema import known
from assay.features.live.reader import Reader
from assay.lab.store.store import Store


@dataclass(frozen=True, kw_only=True)
class IndexAblatedSpec(Spec):
    """What ablating one feature does on the text of an index."""

    of: IndexSpec
    feature: int


def kept(index: Index, feature: int) -> dict[str, Any]:
    """The numbers of a feature that `ablated` measured before; none where it did not."""
    with suppress(AssayError, OSError):
        if path := _store(index).built(_spec(index, feature)):
            return _numbers(path)
    return {}


def ablated(index: Index, feature: int, reader: Reader) -> dict[str, Any]:
    """Measure what ablating a feature does on the text of an index, and keep it in the store.
    Raises: AssayError for an index of an older version or without its firings, and for a feature
    that never fires."""
    spec, store = _spec(index, feature), _store(index)
    limits = math.inf, math.inf  # which tokens count is known
    place = Place(reader.subject, reader.dictionary, reader.reads, reader.target, limits, 0)

    def build(path: Path) -> None:
        shards = [shard for s in shard_specs(spec.of) if (shard := store.built(s))]
        if len(shards) < len(shard_specs(spec.of)):
            raise DataError("the store lacks firings of this index; make it again")
        columns = ablate_one(place, shards, feature, spec.of.ablate_windows, path)
        first = {name: values[0].item() for name, values in columns.items()}
        numbers = {name: x if isinstance(x, int) else known(x) for name, x in first.items()}
        (path / "numbers.json").write_text(json.dumps(numbers))

    return _numbers(store.artefact(spec, build))


def _store(index: Index) -> Store:
    return Store(index.folder.parents[2])


def _spec(index: Index, feature: int) -> IndexAblatedSpec:
    whole = IndexSpec.from_json((index.folder / "spec.json").read_text())
    return IndexAblatedSpec(seed=whole.seed, of=whole, feature=feature)


def _numbers(folder: Path) -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads((folder / "numbers.json").read_text())
    return numbers
