"""Cache: the folder in which models lie, and what was measured of this machine."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """Name the folder: $ASSAY_CACHE, else ~/.cache/assay."""
    return Path(os.environ.get("ASSAY_CACHE") or Path("~/.cache/assay").expanduser())


def hub(cache: Path | None = None) -> Path:
    """Name the folder of models from a hub. Their branches move, so they are inputs of a run."""
    return (cache or folder()) / "hub"
