"""Cache: the folder in which models lie, and what was measured of this machine."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """Name the folder: $ASSAY_CACHE, else ~/.cache/assay."""
    return Path(os.environ.get("ASSAY_CACHE") or Path("~/.cache/assay").expanduser())
