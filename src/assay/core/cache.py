"""Cache: the folder in which models and published dictionaries lie, and what was measured of this
machine."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """Name the folder: $ASSAY_CACHE, else ~/.cache/assay."""
    return Path(os.environ.get("ASSAY_CACHE") or Path("~/.cache/assay").expanduser())


def hub(cache: Path | None = None) -> Path:
    """Name the folder of what comes from a hub. Branches move, so it is an input of a run."""
    return (cache or folder()) / "hub"
