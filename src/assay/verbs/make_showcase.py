"""Make-showcase: train the dictionary of a model that is there to be shown, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.verbs.options import AS_WRITTEN, HERE, Device, Place, Trust, device_here
from assay.verbs.verb import Answer, Door, Line, Part, verb


@dataclass(frozen=True, kw_only=True)
class Showcase:
    """The dictionary: what it is called, and what it was trained on."""

    name: str
    """What `assay serve`, `evaluate`, `index` and `assay.load` take."""
    file: Path
    model: str
    site: str
    text: str
    width: int
    k: int
    tokens: int
    """Tokens of the text that it was trained on, many times over."""
    trained: bool
    """Whether it was trained now, and not before."""


@verb("the dictionary that is there to be shown")
def make_showcase(
    model: str = "smollm2",
    /,
    *,
    device: Device = "cpu",
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
    door: Door,
) -> Answer[Showcase]:
    """Train a model's dictionary that is worth looking at, five minutes of a core; Ctrl-C loses
    little, the same command resumes.

    Parameters
    ----------
    model
        smollm2, or gemma3-270m.

    Examples
    --------
    assay make-showcase smollm2
    """
    from assay.dictionaries.training.showcase import PREFIX, artefact, recipe, showcase
    from assay.lab.store.store import Store
    from assay.verbs.train_dictionary import Desk

    spec, store = recipe(model), Store(place.root)
    made = store.built(artefact(spec)) is not None
    with trust.raised(), ExitStack() as bars:
        shown: dict[str, Any] = {}

        def tell(done: int, total: int, unit: str) -> None:
            if unit not in shown:
                bars.close()
                shown[unit] = bars.enter_context(door.bar("make-showcase", unit))
            shown[unit](done, total)

        file = showcase(spec, Desk(store, device_here(device), tell))
    text = spec.text("train")
    result = Showcase(
        name=f"{PREFIX}{model}",
        file=file,
        model=model,
        site=text.site,
        text=spec.corpus,
        width=spec.width,
        k=spec.k,
        tokens=text.windows * text.context,
        trained=not made,
    )
    return Answer(result, words(result, place))


def words(made: Showcase, place: Place) -> Iterator[Part]:
    """Tell what there is, and what to type next."""
    yield (
        f"{made.width:,} features of {made.site} in {made.model}, {made.k} on at a token, from "
        f"{made.tokens:,} tokens of {made.text}"
    )
    if not made.trained:
        yield "trained before: nothing was run"
    more = f"{made.name} --model {made.model} --text {made.text}{place.options}"
    yield Line(f"assay serve {more} --open")
    yield Line(f"assay evaluate {more}")
