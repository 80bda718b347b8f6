"""Remove: the stored runs and results of an experiment, and artefacts that no other one is left to
use."""

from __future__ import annotations

from dataclasses import dataclass

from assay.ask.related import subjects
from assay.core.errors import AssayError
from assay.lab import catalogue
from assay.lab.store import origin, removal
from assay.verbs.options import HERE, Flag, Name, Place
from assay.verbs.verb import Answer, Door, Line, megabytes, verb


@dataclass(frozen=True)
class Removed:
    """How many bytes are free again."""

    bytes: int


@verb("what of an experiment was deleted")
def remove(name: Name, /, *, yes: Flag = False, place: Place = HERE, door: Door) -> Answer[Removed]:
    """Delete the stored runs and results of an experiment, and artefacts that no other one is left
    to use, after saying which.

    Parameters
    ----------
    yes
        Do not ask.

    Examples
    --------
    assay remove superposition
    """
    store, entry = place.lab().store, catalogue.entry(name)
    origin.check(store, entry.name, entry.origin)
    paths = tuple(removal.removable(store, entry.name))
    if not paths:
        return Answer(Removed(0), [Line(f"nothing is stored of {name}")])
    size = megabytes(sum(count for _, count in paths))
    if not yes and not door.attended:
        raise AssayError(
            f"{', '.join(str(path) for path, _ in paths)} ({size}) would be deleted; "
            f"say so with: assay remove {name} --yes"
        )
    for path, count in paths:
        door.aside(f"{path}  {megabytes(count)}")
    if not yes and not door.asks(f"Delete these, {size}? [y/N] "):
        return Answer(None)
    freed = removal.remove(store, entry.name, subjects(store, entry.name))
    return Answer(Removed(freed), [Line(f"{megabytes(freed)} freed")])
