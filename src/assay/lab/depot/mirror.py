"""Mirror: the store on this machine in which it works on a depot; the store says itself which depot
that is.

It lies in the cache, in a folder that the depot's URL names, and may be deleted whenever everything
in it was sent."""

from __future__ import annotations

import hashlib
from pathlib import Path

from assay.core import cache
from assay.core.spec import canonical_json
from assay.lab.atomic import explained, write
from assay.lab.store import Store
from assay.lab.urls import NOTE, sound


def mirror(url: str) -> Path:
    """The folder of the store that mirrors the depot at this URL, which is made. Raises: StoreError
    for a URL that holds a password."""
    url = sound(url)
    root = cache.folder() / "depots" / hashlib.sha256(url.encode()).hexdigest()[:16]
    if not (root / NOTE).exists():
        with explained(root):
            Store(root).prepare()
            write(root / NOTE, canonical_json({"url": url}).encode())
    return root
