"""Index: every feature of a dictionary on a text, made once, for `assay serve`, `assay export` and
Python to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from assay.evaluation import indexing
from assay.features.index.reader import Index
from assay.verbs.fetch import Network
from assay.verbs.options import Place, Reading, device_here
from assay.verbs.verb import Answer, AnswerPart, Door, Line

CLASSES = ("dense", "ordinary", "rare", "ultra-rare", "dead")


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """An index: of what it is, where it lies, and what is in it."""

    address: str
    """model/dictionary, as in the explorer."""
    folder: str
    name: str
    model: str
    site: str
    text: str
    part: str
    tokens: int
    windows: int
    documents: int
    width: int
    l0: float
    fvu: float | None
    loss: float | None
    classes: dict[str, int]
    """Features by how often they fire: dead, ultra-rare, rare, ordinary, dense."""
    antipodal: int
    """Features with another that points the other way."""
    seeds: tuple[str, ...]
    """Other dictionaries that features were looked for in."""
    recurring: int
    """Features found in all of those."""
    ablated: int
    """Features that were taken out."""
    helpful: int
    """Of them, those whose 95 % interval of importance is above 0."""
    harmful: int
    agreement: float | None
    """Spearman's rank correlation of the ablation's change of the loss with the first-order
    estimate, over the features taken out."""
    notes: tuple[str, ...]


def make(
    dictionary: str,
    model: str,
    text: str,
    also: Sequence[str],
    reading: Reading,
    device: str,
    network: Network,
    place: Place,
    door: Door,
) -> Index:
    """Make the index of a dictionary in a store, or find it, with a bar for each stage."""
    network.bring(door, model, dictionary, *also)
    with door.stages("index") as bars:
        return indexing.index(
            dictionary,
            model=model,
            text=text,
            also=also,
            root=place.root,
            device=device_here(device),
            progress=bars,
            **vars(reading),
        )


def in_store(index: Index) -> Answer[Indexed]:
    """Answer with what an index has in it."""
    indexed = to_indexed(index)
    return Answer(indexed, words(indexed))


def words(index: Indexed) -> Iterator[AnswerPart]:
    """Tell the sizes, the classes of features and what was taken out; then what to type next."""
    yield f"{index.name}: {index.width:,} features at {index.site} of {index.model}"
    yield (
        f"on {index.tokens:,} tokens of {index.documents:,} documents ({index.text}, part "
        f"{index.part})"
    )
    quality = "" if index.fvu is None else f"; FVU {index.fvu:.3f}"
    loss = "" if index.loss is None else f"; the model's loss here {index.loss:.3f} nats"
    yield f"{index.l0:.1f} features on per token{quality}{loss}"
    some = ", ".join(f"{n:,} {name}" for name in CLASSES if (n := index.classes.get(name)))
    antipodal = f"; {index.antipodal:,} antipodal" if index.antipodal else ""
    yield f"features by how often they fire: {some}{antipodal}"
    if index.ablated:
        agreement = (
            ""
            if index.agreement is None
            else f"; rank correlation with the first-order estimate {index.agreement:.2f}"
        )
        yield (
            f"{index.ablated} features taken out: {index.helpful} lower the loss where they are "
            f"on, {index.harmful} raise it, of {index.ablated - index.helpful - index.harmful} "
            f"the 95 % interval holds 0{agreement}"
        )
    if index.seeds:
        yield (
            f"{index.recurring:,} features recur in all of {len(index.seeds)} other "
            "dictionaries (cosine at least .7)"
        )
    yield from index.notes
    yield ""
    yield Line(f"folder   {index.folder}")
    yield Line(f"address  {index.address}")


def to_indexed(feature_index: Index) -> Indexed:
    """Describe an index, and count what is in it."""
    about, counts = feature_index.about, feature_index.summary
    plain: dict[str, Any] = {
        name: counts[name]
        for name in ("classes", "antipodal", "recurring", "ablated", "helpful", "harmful")
    }
    return Indexed(
        address=about.address,
        folder=str(feature_index.folder),
        name=about.name,
        model=about.model_words,
        site=about.site,
        text=about.corpus,
        part=about.part,
        tokens=about.tokens,
        windows=about.windows,
        documents=about.documents,
        width=about.d_sae,
        l0=about.l0,
        fvu=about.fvu,
        loss=about.loss,
        seeds=about.seeds,
        agreement=about.agreement,
        notes=about.notes,
        **plain,
    )
