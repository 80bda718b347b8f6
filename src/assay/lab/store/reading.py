"""Reading: what an experiment's runs read from outside, compared with what lies there now.

A run's folder says where each file lay, relative to the experiment's own folder, to the home folder
or whole. That stays in the store: results, records and bundles have names and hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from assay.core import inputs
from assay.core.plain import plain
from assay.lab.store.origin import code, files, in_file, parent_folder

if TYPE_CHECKING:
    from assay.lab.store.store import Stored

_watches: dict[tuple[str, str], inputs.Watch] = {}


def watch(name: str, origin: str) -> inputs.Watch:
    """Give what notes an experiment's inputs in this process, one for each text of its file."""
    known = (origin or name, code(origin) if origin else "")
    if known not in _watches:
        _watches[known] = inputs.Watch(*files(origin))
    return _watches[known]


def home(origin: str) -> Path | None:
    """Give the folder in which a user's own experiment has its files; None for any other."""
    return parent_folder(Path(origin)).absolute() if in_file(origin) else None


class Present:
    """What lies now where runs of an experiment read something; each place is looked at once."""

    def __init__(self, home: Path | None):
        self._home = home
        self._now: dict[str, str | None] = {}

    def changed(self, digests: Mapping[str, str]) -> str:
        """Say which files differ from what was read, and both hashes; empty where none does."""
        current_digests = {place: self._at(place) for place in digests}
        changed_digests = {
            place: digest
            for place, digest in current_digests.items()
            if digest not in (None, digests[place])
        }
        return ", ".join(
            f"{inputs.brief(place)} {digests[place][:12]}, now {str(digest)[:12]}"
            for place, digest in changed_digests.items()
        )

    def gone(self, places: Iterable[str]) -> list[str]:
        """List the files that are not there any more."""
        return [inputs.brief(place) for place in places if self._at(place) is None]

    def _at(self, place: str) -> str | None:
        if place not in self._now:
            self._now[place] = inputs.hash_current(inputs.resolve_place(place, self._home))
        return self._now[place]


def digests_by_name(stored: Iterable[Stored]) -> dict[str, str]:
    """Give the hashes of what runs read by file name, two of one name as NAME and NAME 2."""
    read = {pair for run in stored for pair in run.read.items()}
    digests: dict[str, list[str]] = {}
    for name, digest in sorted({(plain(Path(place).name), digest) for place, digest in read}):
        digests.setdefault(name, []).append(digest)
    return {
        f"{name} {i}" if i > 1 else name: digest
        for name, several in digests.items()
        for i, digest in enumerate(several, 1)
    }


def notes(stored: Iterable[Stored], present: Present, outdated: bool) -> list[str]:
    """Say what was not checked, what cannot be and, with `outdated`, what has changed since."""
    runs = list(stored)
    messages = []
    if unchecked := sorted({inputs.brief(place) for run in runs for place in run.unchecked}):
        messages.append(f"read past Assay: {_some(unchecked)}, not checked")
    if gone := sorted({name for run in runs for name in present.gone(run.read)}):
        messages.append(
            f"read and not found here: {_some(gone)}, so whether it changed is not known"
        )
    texts = dict.fromkeys(present.changed(run.read) for run in runs) if outdated else {}
    if changed := "; ".join(filter(None, texts)):
        messages.append(f"changed since it was read: {changed}; `assay run` makes these runs anew")
    return messages


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
