"""Owners: which file the runs stored under an experiment's name belong to, so that two files of one
name never share runs.

A name is made from a file's name, and runs are found by it: `a/my_claim.py` and `b/my_claim.py` are
both my-claim. The store notes whose runs it holds under a name, and refuses another file while the
first one exists and says something else."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from assay.core import foreign
from assay.core.errors import Operator, StoreError
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.lab import catalogue
from assay.lab.store.atomic import write
from assay.lab.store.origin import called, code, in_file
from assay.lab.store.store import Store

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
"""What a stored name looks like: one folder, never another one's and never outside."""


def sound(name: str) -> str:
    """This name, if it may be a folder of the store. Raises: StoreError for any other, such as an
    empty one or ../x."""
    if not NAME.fullmatch(name):
        raise StoreError(
            f"an experiment is stored under a name of a–z, 0–9 and -, got {name!r}; give "
            "Experiment(name=…), or name its file"
        )
    return name


def check(store: Store, experiment: str, origin: str) -> None:
    """Refuse a name whose stored runs are of another file that still exists and reads differently.
    Raises: StoreError."""
    owner = _owner(store, sound(experiment))
    if (
        owner
        and origin
        and owner != origin
        and Path(owner).is_file()
        and code(origin) not in ("", code(owner))
    ):
        raise StoreError(
            f"the runs of {experiment} in {store.root} are those of {owner}, and {origin} is "
            "another file of that name; rename one of the two files",
            Operator(", or name another store with --root"),
        )


def claim(store: Store, experiment: Experiment) -> None:
    """Note that the runs under this name are this file's from now on; built-in experiments and
    entry points need no note.

    A file that reads the same keeps them: whoever submits a copy of a study does not take its name
    from the author."""
    owner = _owner(store, experiment.name)
    if (
        in_file(experiment.origin)
        and owner != experiment.origin
        and not (Path(owner).is_file() and code(owner) == code(experiment.origin))
    ):
        path = _path(store, experiment.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        # as seen from the store, so that a folder in which both lie can be moved or copied
        write(
            path,
            canonical_json(
                {"origin": os.path.relpath(experiment.origin, store.root.resolve())}
            ).encode(),
        )


def origin(store: Store, experiment: str) -> str:
    """The path of the file whose runs are stored under a name; empty where none is noted."""
    return _owner(store, experiment)


def earlier(store: Store, experiment: str, origin: str) -> str:
    """The name under which an older version may have stored this file's runs: the same without
    digits, if nobody else owns those."""
    name = catalogue.lossy(called(Path(origin))) if origin.endswith(".py") else ""
    return (
        name
        if name not in ("", experiment)
        and (store.root / "runs" / name).is_dir()
        and not _owner(store, name)
        else ""
    )


def forget(store: Store, experiment: str) -> None:
    """Delete the note, where there is one."""
    _path(store, sound(experiment)).unlink(missing_ok=True)


def _owner(store: Store, experiment: str) -> str:
    """The path of the file; empty where nothing readable is noted, as in older stores."""
    try:
        return os.path.normpath(
            store.root.resolve()
            / json.loads(foreign.read_stored(_path(store, experiment)))["origin"]
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _path(store: Store, experiment: str) -> Path:
    return store.root / "owners" / f"{experiment}.json"
