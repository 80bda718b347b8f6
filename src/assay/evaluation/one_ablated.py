"""Single features, whatever their names, ablated on the text of an index for a page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.errors import AssayError, DataError, SpecError
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
    """What ablating one feature does on the text of an index, whichever others were ablated in it
    and whatever it was compared with."""

    of: IndexSpec
    feature: int


class Outdated(DataError):
    """An index on whose text nothing more can be measured until it is made again."""


def finished(root: Path) -> frozenset[str]:
    """Name what `ablate` left in a store; an index that is kept open is opened again when this
    changes."""
    return frozenset(path.name for path in _folder(root).glob("*") if not path.suffix)


def kept(folder: Path) -> dict[int, dict[str, Any]]:
    """The numbers of each feature of the index in a folder that `ablate` measured."""
    root, measured = folder.parents[2], {}
    for path in sorted(_folder(root).glob("*/spec.json")):
        with suppress(AssayError, OSError):
            spec, whole = IndexAblatedSpec.from_json(path.read_text()), _whole(folder)
            if spec.of == whole and (built := Store(root).built(spec)):
                measured[spec.feature] = json.loads((built / "numbers.json").read_text())
    return measured


def ablate(
    index: Index,
    feature: int,
    reader: Reader,
    turn: AbstractContextManager[Any],
    tick: Callable[[int, int], None],
) -> None:
    """Measure what ablating a feature does on the text of an index, each step of it within `turn`,
    and keep it in the store; `tick` hears how many of how many windows are done. Raises: Outdated,
    and DataError for a feature that never fires."""
    store, whole = Store(index.folder.parents[2]), _whole(index.folder)
    spec = IndexAblatedSpec(seed=whole.seed, of=whole, feature=feature)
    limits = math.inf, math.inf  # which tokens count is known
    place = Place(reader.subject, reader.dictionary, reader.reads, reader.target, limits, 0)

    def build(path: Path) -> None:
        shards = [shard for s in shard_specs(whole) if (shard := store.built(s))]
        if len(shards) < len(shard_specs(whole)):
            words = (
                f"the store lacks firings of this index; delete {index.folder} and make it again"
            )
            raise Outdated(words)
        columns = ablate_one(place, shards, feature, whole.ablate_windows, turn, tick, path)
        first = {name: values[0].item() for name, values in columns.items()}
        numbers = {name: x if isinstance(x, int) else known(x) for name, x in first.items()}
        (path / "numbers.json").write_text(json.dumps(numbers))

    store.artefact(spec, build)


def _folder(root: Path) -> Path:
    return root / "artefacts" / "index-ablated"


def _whole(folder: Path) -> IndexSpec:
    """What an index is of, the same however many of its features are ablated. Raises: Outdated."""
    try:
        spec = IndexSpec.from_json((folder / "spec.json").read_text())
    except SpecError as error:
        raise Outdated("this index was made by an older version of Assay; make it again") from error
    return spec.replace(ablate=0, compared=True, also=())
