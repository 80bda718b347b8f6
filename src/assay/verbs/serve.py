"""Serve: the explorer of a store, for browsers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

from assay.evaluation import indexing
from assay.verbs.index import USUAL, Reading
from assay.verbs.parts import Aside, Line
from assay.verbs.verb import HERE, Answer, Door, Flag, Flat, Model, Place, verb


def opened(door: Door, in_browser: bool = False, meanwhile: str = "") -> Callable[[Any], None]:
    """Give what prints where a door is as soon as it can be entered, and what is done meanwhile."""

    def ready(served: Any) -> None:
        door.answer(
            Answer(served, [Line(served.address), *([Aside(meanwhile)] if meanwhile else [])])
        )
        if in_browser:
            door.open(served.address)

    return ready


def _meanwhile(wanted: Any, options: Iterable[str]) -> str:
    """Say what is done about the index of a dictionary while pages are answered; `options` are
    those of the reading that were given."""
    has = f"has an index of {wanted.covering:,} tokens" if wanted.covering else "has an index"
    if not wanted.make:
        return f"{wanted.name} {has}, so no other is made" if wanted.covering else ""
    done = f"is being indexed on {wanted.text}"
    done = f"{has}, and Assay adds what it lacks" if wanted.there else done
    if wanted.elsewhere:
        without = " and ".join(["--text", *(f"--{name.replace('_', '-')}" for name in options)])
        done += f" (to see its complete index of {wanted.elsewhere}, leave out {without})"
    return f"{wanted.name} {done}; Ctrl-C ends the server and the indexing"


def served() -> Any:
    """Give the type of what `serve` answers."""
    from assay.explorer.serving import Served

    return Served


@verb("where the explorer answers", results=served)
def serve(
    dictionary: str | None = None,
    /,
    *,
    model: Model = "smollm2",
    text: str | None = None,
    reading: Annotated[Reading, Flat] = USUAL,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    open: Flag = False,
    names: Path | None = None,
    place: Place = HERE,
    door: Door,
) -> Answer[Any]:
    """Explore dictionaries in the browser: features, prompts, steering, search. Stop it with
    Ctrl-C.

    Parameters
    ----------
    dictionary
        A dictionary to open; if it has no index yet, one is made in the background.
    text
        stdlib (Python code), docs (English docstrings), or a folder of text files. By default that
        of the index that is there, or docs if the dictionary was trained on it, or stdlib.
    host
        The address to listen on. If other machines can reach it, a token is needed.
    port
        The port. By default 8377 if it is free, otherwise any free port.
    token
        The token that a browser has to send once, in the address. By default one is generated if it
        is needed.
    open
        Open it in the browser.
    names
        A CSV file of names for the dictionary's features, such as those by a language model, with
        the columns feature, words and, if known, score.

    Examples
    --------
    assay serve gated-sae/showcase --open
    """
    from assay.explorer import background, serving

    wanted, meanwhile = None, ""
    if dictionary is not None:
        wanted = background.locate_index(dictionary, model, text, place.root, **reading.given)
        meanwhile = _meanwhile(wanted, reading.given)
        at = dictionary, model, wanted.text, place.root
        if wanted.make and (few := indexing.few_documents(*at, **wanted.steps[-1])):
            door.aside(f"warning: {few}")
    ready = opened(door, open, meanwhile)
    where = place.root, host, port, token
    stages = door.stages("index")
    serving.serve(*where, wanted, names, ready=ready, stages=stages, say=door.aside)
    return Answer(None)
