"""Where a loaded dictionary comes from: format, file hash, the peer's settings, and what was
inferred instead of read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.dictionaries.formats.plain import sha256
from assay.dictionaries.formats.weights import Hints

_LONGEST = 20_000  # characters of settings that are kept


def described(
    format: str,
    file: Path,
    *,
    architecture: str,
    config: Mapping[str, Any],
    inferred: list[str],
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The `origin` of a dictionary, as plain JSON; `inferred` names the fields that no file states.

    What Assay knew of the training text when it wrote the file, is known again.
    """
    ours = config.get("assay_origin")
    known = (
        {"trained_on": ours["trained_on"]}
        if isinstance(ours, Mapping) and isinstance(ours.get("trained_on"), Mapping)
        else {}
    )
    plain = json.loads(
        json.dumps({k: v for k, v in config.items() if k != "assay_origin"}, default=str)
    )
    if len(json.dumps(plain)) > _LONGEST:
        plain = {"too_long": True}
    origin: dict[str, Any] = {
        "format": format,
        "file": file.name,
        "sha256": sha256(file),
        "architecture": architecture,
    }
    origin |= {"config": plain, "inferred": sorted(set(inferred))}
    return origin | known | dict(more or {})


def batch_topk(k: object, estimator: str) -> dict[str, Any]:
    """What `origin` says of a file that BatchTopK trained and one threshold reads: how the
    threshold was estimated, and k."""
    trained = (
        {"trained_as": {"name": "BatchTopK", "k": int(k)}}
        if isinstance(k, int | float) and k >= 1 and k % 1 == 0
        else {}
    )
    return {"k": k, "threshold": estimator, **trained}


UNKNOWN = "unknown"
"""The target of a transcoder that does not name it: no place, so that it is never taken for the
input's."""


def placed(
    hints: Hints,
    site: object,
    site_out: object,
    inferred: list[str],
    guessed: tuple[str, ...],
    transcoder: bool = False,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sites in and out: what the user says, else what was found. Names in `guessed` join `inferred`
    where they are used."""
    sites = []
    for name, hint, file_site in (
        ("site", hints.site, site),
        ("site_out", hints.site_out, site_out),
    ):
        if hint is None and isinstance(file_site, str) and file_site and name in guessed:
            inferred.append(name)
        value = hint if hint is not None else file_site
        sites.append((value,) if isinstance(value, str) and value else ())
    return sites[0], sites[1] or ((UNKNOWN,) if transcoder else ())
