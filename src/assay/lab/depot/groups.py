"""Groups of a depot: what each unfinished group is of, so that every machine goes on with those
that another has formed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from assay.lab import groups
from assay.lab.atomic import explained, write
from assay.lab.depot.bucket import Bucket
from assay.lab.groups import RunGroup
from assay.lab.store import Store

NAME = re.compile(r"groups/[a-z0-9][a-z0-9-]*/([0-9a-f]{16})\.json")


def fetch(bucket: Bucket, store: Store, experiment: str) -> set[str]:
    """Make the groups that the depot lists the store's own, without their checkpoints; gives the
    names of their objects."""
    listed = set(bucket.names(f"groups/{experiment}"))
    for name in listed:
        match = NAME.fullmatch(name)
        folder = store.root / "groups" / match[1] if match else None
        if (
            folder is None
            or groups.read(folder) is not None
            or (text := bucket.read(name)) is None
            or not groups.matches_name(text, folder.name)
        ):
            continue
        with explained(store.root):
            folder.mkdir(parents=True, exist_ok=True)
            write(folder / "keys.json", text)
    return listed


def send(bucket: Bucket, formed: Iterable[RunGroup]) -> None:
    """Tell of these groups."""
    for group in formed:
        bucket.write(name_of(group), (group.folder / "keys.json").read_bytes())


def name_of(group: RunGroup) -> str:
    """The name of a group's object."""
    return f"groups/{group.experiment}/{group.name}.json"
