"""Index: every feature of a dictionary on a text, made once, for `assay serve`, `assay export` and
Python to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal  # noqa: F401  # that of Windows, whose types are read here

from assay.evaluation import indexing
from assay.features.index.reader import Index
from assay.verbs.fetch import Network
from assay.verbs.machine import device_here
from assay.verbs.parts import written
from assay.verbs.verb import Answer, Door, More, Place, Windows

CLASSES = ("dense", "ordinary", "rare", "ultra-rare", "dead")


@dataclass(frozen=True, kw_only=True)
class Reading(Windows):
    """How a text is read for an index; what is not given comes from the dictionary's own file."""

    tokens: int = 16_384
    """For an index: the number of tokens to read, at most. A larger number later reads only the new
    ones."""
    site: Annotated[str, More] = ""
    """Where activations are read, such as blocks.9.hook_resid_post."""
    gradients: Annotated[bool, More] = True
    """Also run a backward pass, for the first-order effect of every firing on the loss; this
    doubles the time."""
    ablate: Annotated[int | None, More] = None
    """The number of features to ablate on a sample, of all densities; 0: none. By default as many
    as in an index that is there, or 24."""
    ablate_windows: Annotated[int, More] = 16
    """Windows on which each of them is ablated."""

    @property
    def given(self) -> dict[str, Any]:
        """What differs from what is usual."""
        return {n: v for n, v in vars(self).items() if v != getattr(Reading, n)}


USUAL = Reading()


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """An index: its dictionary, its path, and its contents."""

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
    """Of them, those whose 95% interval of importance is above 0."""
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
    whole = {"tokens": reading.tokens} | reading.given
    if few := indexing.few_documents(dictionary, model, text, place.root, **whole):
        door.aside(f"warning: {few}")
    with door.stages("index") as bars:
        return indexing.index(
            dictionary,
            model=model,
            text=text,
            also=also,
            root=place.root,
            device=device_here(device),
            progress=bars,
            **reading.given,
        )


def in_store(index: Index) -> Answer[Indexed]:
    """Answer with what an index has in it."""
    indexed = to_indexed(index)
    return Answer(indexed, written("index", i=indexed, classes=CLASSES))


def to_indexed(index: Index) -> Indexed:
    """Describe an index, and count what is in it."""
    about = index.about
    counted = ("classes", "antipodal", "recurring", "ablated", "helpful", "harmful")
    same = "address name site part tokens windows documents l0 fvu loss seeds agreement notes"
    return Indexed(
        folder=str(index.folder),
        model=about.model_words,
        text=about.corpus,
        width=about.d_sae,
        **{name: getattr(about, name) for name in same.split()},
        **{name: index.summary[name] for name in counted},
    )
