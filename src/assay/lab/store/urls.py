"""URLs: whether a root names a depot and no folder, and which depot a folder mirrors; loads
nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

from assay.core import foreign
from assay.core.errors import StoreError

NOTE = "depot.json"
"""The file of a store that says which depot it mirrors."""


def is_url(root: Path | str) -> bool:
    """Whether this names a depot, as s3://bucket/prefix does, and not a folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(root)) is not None


def url_of(root: Path) -> str:
    """The URL of the depot that this store mirrors; "" where it is a store of its own."""
    try:
        return str(json.loads(foreign.read_stored(root / NOTE))["url"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def sound(url: str) -> str:
    """This URL in its one spelling. Raises: StoreError where it holds a password or a token:
    commands are seen by others."""
    protocol, _, rest = url.partition(":")
    protocol, local = protocol.lower(), protocol.lower() in ("file", "local")
    rest = "/" * local + rest.lstrip("/")
    host = rest.partition("/")[0]
    if not rest.strip("/"):
        raise StoreError(
            f"the URL {protocol}:// names no bucket or folder; such as {protocol}://bucket/prefix"
        )
    if ":" in host.rpartition("@")[0] or "?" in rest or "#" in rest:
        safe_url = f"{protocol}://{host.rpartition('@')[2]}".partition("?")[0].partition("#")[0]
        raise StoreError(
            f"the URL {safe_url}… holds a password or a token, which others could read in the list "
            "of processes; "
            f"give it as {protocol}'s own tools take it: by the environment, or in a file of theirs"
        )
    return f"{protocol}://{re.sub('/+', '/', rest).rstrip('/')}"
