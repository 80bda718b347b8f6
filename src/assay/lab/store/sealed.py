"""Sealed: JSON files that carry a hash of what they say, so that nothing is shown that was changed
after it was written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import StoreError
from assay.core.plain import canonical_json

SEAL = "sha256"
"""The field that holds the hash of all others."""
SCHEMA = 1
"""The largest `schema` of a result, a record or a registration that this version reads."""


class NewerError(StoreError):
    """A file was written by a later version than this one."""


def known(path: Path, data: Any) -> None:
    """Refuse a file whose `schema` says that a later version wrote it. Raises: NewerError."""
    schema = data.get("schema", SCHEMA) if isinstance(data, dict) else SCHEMA
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerError(
            f"{path} has schema {schema}, this version reads up to {SCHEMA}; upgrade Assay"
        )


def seal(data: dict[str, Any]) -> bytes:
    """The file's bytes: these values, and the hash of them. Raises: ValueError for a number that is
    not finite."""
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    return json.dumps(
        {**json.loads(text), SEAL: _hash(json.loads(text))}, indent=1, ensure_ascii=False
    ).encode()


def unseal(path: Path) -> dict[str, Any]:
    """The values in this file, without the hash.

    Raises: NewerError where a later version wrote it;
    StoreError in one line where it cannot be read, is no such file, or says something else than
    when it was written."""
    try:
        data = json.loads(foreign.read_stored(path))
        held, digest = data.pop(SEAL), _hash(data)
    except OSError as e:
        raise StoreError(f"{path} cannot be read ({e.strerror or e})") from e
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise StoreError(
            f"{path} is damaged, or older than hashes of results; its sources are stored, "
            "so run the same command again"
        ) from e
    known(path, data)
    if held != digest:
        raise StoreError(
            f"{path} was changed after it was written; its sources are stored, so run the "
            "same command again"
        )
    return dict(data)


def evidence(text: bytes) -> dict[str, str]:
    """Read which runs a stored result judged: 16 digits of each key, and the 16 of its content.

    Empty where it does not say so, or is not as it was written.
    """
    try:
        data = json.loads(text)
        held, runs = data.pop(SEAL), data["evidence"]
        return dict(runs) if held == _hash(data) else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _hash(data: Any) -> str:
    return hashlib.sha256(canonical_json(data).encode(errors="surrogatepass")).hexdigest()
