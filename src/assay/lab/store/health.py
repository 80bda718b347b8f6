"""Health: everything in a store that is not as it was written, and what is done about it; every
byte is read. What of an experiment can be removed; the ledger notes which runs may have been seen.

Older are the stores whose header says nothing of hashes: their artefacts, results and checkpoints
carry none, or another kind. They are read as they are, and nothing is written into them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from assay.core.compute import in_bytes
from assay.core.errors import AssayError, StoreError
from assay.core.nouns import counted
from assay.lab.store import groups, journal, origin
from assay.lab.store.atomic import NewerError, explained, unseal
from assay.lab.store.folder import mend_header, size
from assay.lab.store.journal import Ledger
from assay.lab.store.runs import PARAMS
from assay.lab.store.store import Store

THEN = {
    "run": "Assay does not use this run; `assay run` repeats it",
    "parameters": "Assay does not use them; `assay run` repeats the run",
    "group": "it is not resumed; `assay run` starts those runs again",
    "checkpoint": "nothing goes on from it; `assay run` starts that group again",
    "artefact": "Assay does not use it; the next command that needs it builds it again",
    "result": "it is never shown; `assay run` writes it again",
    "looks": "later changes may go unnoticed",
}
"""The kinds of what can be harmed, and what becomes of each if nothing is done."""


@dataclass(frozen=True)
class Harm:
    """One file or folder that cannot be trusted."""

    what: str
    """Its kind."""
    path: Path
    why: str
    mend: Callable[[], None] = field(repr=False, compare=False)
    """Remove it, or what cannot be trusted in it."""

    @property
    def then(self) -> str:
        """What happens to it if nothing is done."""
        return THEN[self.what]


def harms(store: Store) -> Iterator[Harm]:
    """Everything in a store that is not as it was written, runs first; what an older version wrote
    without hashes is no harm."""

    def removed(noun: str, path: Path, why: str) -> Harm:
        return Harm(noun, path, why, partial(store.remove, path))

    for bad in store.damaged():
        yield removed("run", bad.folder, bad.reason)
    for run in store.list():
        if run.has_params and _sha256(run.folder / PARAMS) != run.files[PARAMS][1]:
            yield removed("parameters", run.folder, f"{PARAMS} differs from its hash")
    if store.older:
        return
    for folder in groups.damaged(store):
        why = "its keys.json is not as it was written"
        yield Harm("group", folder, why, partial(_unform, store, folder))
    for group in groups.unfinished(store):
        for path in groups.checkpoints(group.folder):
            # else the group was just finished
            if groups.whole(path) is None and path.exists():
                why = "it differs from its hash, or is older than hashes"
                yield removed("checkpoint", path, why)
    for folder, why in store.broken_artefacts():
        yield removed("artefact", folder, why)
    for path in sorted((store.root / "results").glob("*/*.json")):
        try:
            data = unseal(path)
        except NewerError:
            continue  # whole, and of use after an upgrade
        except StoreError as e:
            yield removed("result", path, str(e).removeprefix(f"{path} "))
            continue
        # another file of this store in its place has a whole seal
        name = data.get("experiment"), data.get("preset")
        if name != (path.parent.name, path.stem):
            yield removed("result", path, "holds something else of this store")
    ledger = Ledger(store)
    referenced = ledger.references()
    damaged = list(journal.harmed(store))
    if gone := ledger.wrong(referenced):
        damaged.append((ledger.path, gone, referenced))
    for path, why, references in damaged:
        yield Harm("looks", path, why, partial(journal.mend, store, path, references))


def _unform(store: Store, folder: Path) -> None:
    with groups.forming(store):
        if groups.read(folder) is None:
            store.remove(folder)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def removable(store: Store, experiment: str) -> list[tuple[Path, int]]:
    """Return what `remove` would delete: folders and files with their bytes, results first. Looks
    stay, since they cannot be rebuilt.

    Artefacts (harvests, most of a store's bytes) are shared: they go with the last experiment that
    has runs. Raises: StoreError for a name that is not one experiment's folder."""
    root = store.root
    origin.sound(experiment)
    paths = sorted((root / "results" / experiment).glob("*.json"))
    begun = list(groups.unfinished(store))
    paths += [g.folder for g in begun if g.experiment == experiment]
    paths += (root / "runs").glob(experiment)
    names = {g.experiment for g in begun} | {p.name for p in (root / "runs").glob("*")}
    paths += [] if names - {experiment} else sorted((root / "artefacts").glob("*"))
    return [(p, size(p)) for p in paths]


def remove(store: Store, experiment: str, about: Collection[str] = ()) -> int:
    """Delete the stored runs and results of an experiment, and return how many bytes that freed;
    `about` names the experiment and those that it borrows from. Raises: StoreError."""
    freed = 0
    if runs := list(store.list(experiment)):
        store.prepare()
        with explained(store.root):
            Ledger(store).note_removed(experiment, runs, about)
    for path, n in removable(store, experiment):
        if path.parent.name == "groups":
            with groups.locked(store, path.name, wait=True):
                if path.exists():
                    store.remove(path)
        else:
            store.remove(path)
        freed += n
    origin.forget(store, experiment)
    return freed


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it is well, what was found, and how to fix it."""

    about: str
    state: Literal["well", "missing", "broken"]
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Health:
    """Every check, each after those that it depends on, and what was fixed before."""

    healthy: bool
    done: tuple[str, ...]
    checks: tuple[Check, ...]


def of_store(root: Path) -> Iterator[Check]:
    """Look through the store: whole runs, damaged folders, what kills left behind."""
    try:
        run_store = Store(root)
    except AssayError as error:
        yield Check("store", "broken", str(error))
        return
    if not root.exists():
        yield Check("store", "well", f"{root} does not exist yet; the first `assay run` makes it")
        return
    whole = sum(1 for _ in run_store.list())
    yield Check("store", "well", f"{root}: {counted(whole, 'run')}, {in_bytes(run_store.size())}")
    if run_store.older:
        lacks = f"{root} was written by an older Assay, and is only read"
        yield Check("older store", "missing", lacks, "name another --root for new runs")
    for group in groups.unfinished(run_store):
        state = f"stopped at step {group.step}" + (
            f" ({group.error.splitlines()[0]})" if group.error else ""
        )
        yield Check(
            "unfinished",
            "missing",
            f"{group.experiment}, {', '.join(group.arms)}: {state}",
            "`assay run` goes on from there",
        )
    for harm in harms(run_store):
        mend = "keeps the other lines" if harm.what == "looks" else "removes it"
        yield Check(
            f"damaged {harm.what}",
            "broken",
            f"{harm.path}: {harm.why}",
            f"{harm.then}; `assay doctor --clean` {mend}",
        )
    if leftovers := sorted((root / "tmp").glob("*")):
        yield Check(
            "leftovers",
            "missing",
            f"temporary files or folders ({len(leftovers)}) in {root / 'tmp'}",
            "assay doctor --clean deletes old ones",
        )


def cleaned(root: Path) -> list[str]:
    """Remove what is damaged, and what kills left in the store's `tmp`; a line for each."""
    lines = (
        [f"wrote {root / 'store.json'} again, which could not be read"] if mend_header(root) else []
    )
    run_store = Store(root)
    for harm in list(harms(run_store)):
        harm.mend()
        lines.append(f"removed {'lines of ' * (harm.what == 'looks')}{harm.path} ({harm.why})")
    freed = run_store.clean()
    return [*lines, f"freed {in_bytes(freed)} of leftovers in {root / 'tmp'}"]
