"""Index: every feature of a dictionary on a text, made once, for `assay serve`, `assay export` and
Python to read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from assay.features.index.reader import Index
from assay.verbs.fetch import OFFLINE, Network
from assay.verbs.options import (
    AS_WRITTEN,
    HERE,
    Device,
    Flat,
    Model,
    Place,
    Several,
    Text,
    Trust,
    device_here,
)
from assay.verbs.verb import Answer, Door, Line, Part, verb


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the text is read; what is not given comes from the dictionary's own file."""

    tokens: int = 32_768
    """Tokens that the model reads, at most. More of them later add to those that were read."""
    context: int | None = None
    """Tokens in a window, a BOS included; 128 where the file does not say."""
    bos: bool | None = None
    """Whether each window starts with the model's BOS token; where the file does not say, as the
    model's tokenizer has it."""
    skip_first: int = 1
    """Positions at the start of each window that do not count."""
    outlier: float = 6.0
    """Activations longer than this many medians do not count either; 0: all do."""
    part: Literal["auto", "all", "train", "validation", "test"] = "auto"
    """Files are split by the hash of their path; auto: what the dictionary was not trained on,
    where that is known."""
    site: str = ""
    """Where activations are read, such as blocks.9.hook_resid_post."""
    site_out: str = ""
    """Where a transcoder's reconstruction belongs."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the model computes in."""
    gradients: bool = True
    """Run the model back as well, for what every firing is worth to the loss, to first order; about
    as long again."""
    ablate: int = 32
    """Features that are taken out on a sample, of all densities; 0: none."""
    ablate_windows: int = 16
    """Windows on which each of them is taken out."""


AS_FILED = Reading()
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


@verb("a dictionary's features on a text")
def index(
    dictionary: str,
    /,
    *,
    model: Model = "smollm2",
    text: Text = "stdlib",
    also: Several = (),
    reading: Annotated[Reading, Flat] = AS_FILED,
    device: Device = "cpu",
    network: Network = OFFLINE,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
    door: Door,
) -> Answer[Indexed]:
    """Every feature of a dictionary on a text: where it fires, what it promotes, what it is worth;
    for the explorer and exports.

    Parameters
    ----------
    dictionary
        A file or folder of any known format, or a stored run such as gated-sae/showcase.
    also
        A dictionary of another seed, in which the features are looked for. Repeatable; of a stored
        run its arm's other seeds without it.

    Examples
    --------
    assay index gated-sae/showcase --tokens 8192
    """
    from assay.evaluation.indexing import index

    network.bring(door, model, dictionary, *also)
    with trust.raised(), door.stages("index") as bars:
        feature_index = index(
            dictionary,
            model=model,
            text=text,
            also=also,
            root=place.root,
            device=device_here(device),
            progress=bars,
            **asdict(reading),
        )
    indexed = to_indexed(feature_index)
    return Answer(indexed, words(indexed))


def words(index: Indexed) -> Iterator[Part]:
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
