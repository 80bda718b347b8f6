"""Later: near controls that studies did not have when some of them were frozen. What was frozen is
judged as it was; anything else, frozen since then or not, has them all."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from assay.core import foreign
from assay.core.experiment import PRESETS

LATER = ("damage", "other-text", "places")
"""Controls that came after the first studies were frozen."""
ENDING = ".prereg.json"


def frozen_arms(path: Path, *, of_old: bool = True) -> Collection[str] | None:
    """The arms of what was frozen of a study, next to its file: of what was frozen before freezes
    held what was asked, or of all; None where nothing was frozen then."""
    arms: set[str] = set()
    found = False
    for which in ("", *(f".{preset}" for preset in PRESETS)):
        frozen = path.parent / f"{path.stem}{which}{ENDING}"
        if frozen.is_file():
            try:
                held = json.loads(foreign.read_stored(frozen))
                arms_of = {*held["arms"]}
            except (OSError, ValueError, KeyError, TypeError):  # reported where it is judged by
                continue
            if not (of_old and "questions" in held):
                arms, found = arms | arms_of, True
    return arms if found else None


def is_left_out(label: str, frozen: Collection[str] | None) -> bool:
    """Whether a control is left out of what was frozen before there was any of its kind."""
    return frozen is not None and label.rpartition("/")[2] in LATER and label not in frozen
