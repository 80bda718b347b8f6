"""Doctor: what is installed or missing, the state of a store, and deleting from it."""

from __future__ import annotations

from dataclasses import dataclass

from assay.ask.freezing import subjects
from assay.core.compute import in_bytes
from assay.core.errors import AssayError
from assay.lab import catalogue
from assay.lab.store import health as store_health
from assay.lab.store import origin
from assay.lab.store.health import Check, Health, removable, remove
from assay.lab.store.store import Store
from assay.verbs.installation import examine
from assay.verbs.parts import Line
from assay.verbs.verb import HERE, Answer, Door, Flag, Place, verb


@dataclass(frozen=True)
class Removed:
    """How many bytes were freed."""

    bytes: int


@verb("what is installed or missing, and how a store is; or what was deleted")
def doctor(
    *, clean: Flag = False, remove: str = "", yes: Flag = False, place: Place = HERE, door: Door
) -> Answer[Health | Removed]:
    """Check the installation, devices, models, disk and store, and say how to fix what is wrong;
    --clean also cleans the store.

    Parameters
    ----------
    clean
        Delete damaged runs, and files left by killed processes and broken downloads.
    remove
        List, and then delete, the stored runs and results of this experiment or file, and the
        artefacts that no other one uses.
    yes
        Delete without asking.

    Examples
    --------
    assay doctor
    assay doctor --remove superposition
    """
    if remove:
        return removed(remove, yes, place, door)
    if clean and door.attended and (harms := list(store_health.harms(Store(place.root)))):
        for harm in harms:
            door.aside(f"{harm.path} ({harm.why})")
        if not door.asks(f"Delete {len(harms)} that are damaged? [y/N] "):
            return Answer(None)
    health = examine(place.root, clean)
    lines = [*health.done, *map(in_words, health.checks)]
    return Answer(health, map(Line, lines), 0 if health.healthy else 1)


def removed(name: str, yes: bool, place: Place, door: Door) -> Answer[Health | Removed]:
    """Delete an experiment's stored runs, if the user confirms. Raises: AssayError where no user
    can be asked."""
    store, entry = place.lab().store, catalogue.entry(name)
    origin.check(store, entry.name, entry.origin)
    paths = tuple(removable(store, entry.name))
    if not paths:
        return Answer(Removed(0), [Line(f"nothing is stored of {name}")])
    bytes_ = in_bytes(sum(count for _, count in paths))
    if not yes and not door.attended:
        raise AssayError(
            f"{', '.join(str(path) for path, _ in paths)} ({bytes_}) would be deleted; to confirm, "
            f"type: assay doctor --remove {name} --yes"
        )
    for path, count in paths:
        door.aside(f"{path}  {in_bytes(count)}")
    if not yes and not door.asks(f"Delete these, {bytes_}? [y/N] "):
        return Answer(None)
    freed = remove(store, entry.name, subjects(store, entry.name))
    return Answer(Removed(freed), [Line(f"{in_bytes(freed)} freed")])


def in_words(check: Check) -> str:
    """Write one check as a line: its sign, what was found, and how to fix it."""
    sign = {"well": "●", "missing": "○", "broken": "✕"}[check.state]
    return f"{sign} {check.about}: {check.found}" + (f"; {check.mend}" if check.mend else "")
