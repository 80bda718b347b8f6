"""Mirror: the store on this machine in which it works on a depot; the store says itself which depot that is.

It lies in the cache, in a folder that the depot's URL names, and may be deleted whenever everything in it was sent.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from assay.core import cache
from assay.core.errors import StoreError
from assay.core.spec import canonical_json
from assay.lab.atomic import explained, write
from assay.lab.store import Store, is_url

__all__ = ["NOTE", "is_url", "mirror", "url_of"]

NOTE = "depot.json"


def mirror(url: str) -> Path:
    """The folder of the store that mirrors the depot at this URL, which is made. Raises: StoreError for a URL that holds a password."""
    url = _sound(url)
    root = cache.folder() / "depots" / hashlib.sha256(url.encode()).hexdigest()[:16]
    if not (root / NOTE).exists():
        with explained(root):
            Store(root).prepare()
            write(root / NOTE, canonical_json({"url": url}).encode())
    return root


def url_of(root: Path) -> str:
    """The URL of the depot that this store mirrors; "" where it is a store of its own."""
    try:
        return str(json.loads((root / NOTE).read_bytes())["url"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _sound(url: str) -> str:
    """This URL in its one spelling."""
    protocol, _, rest = url.partition(":")
    rest = rest.lstrip("/") if protocol.lower() not in ("file", "local") else "/" + rest.lstrip("/")
    host = rest.partition("/")[0]
    if ":" in host.rpartition("@")[0] or "?" in rest or "#" in rest:
        shown = f"{protocol}://{host.rpartition('@')[2]}".partition("?")[0]
        raise StoreError(
            f"the URL {shown} holds a password or token, and commands are seen by others; give it as {protocol}'s own tools take it, "
            "from the environment or a file of theirs"
        )
    return f"{protocol.lower()}://{re.sub('/+', '/', rest).rstrip('/')}"
