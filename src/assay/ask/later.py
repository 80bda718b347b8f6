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
_WHICH = ("", *(f".{preset}" for preset in PRESETS))


def frozen_arms(path: Path) -> Collection[str] | None:
    """The arms of what was frozen of a study, next to its file, before freezes held what was asked;
    None where nothing was frozen then."""
    arms: set[str] = set()
    found = False
    for which in _WHICH:
        frozen = path.parent / f"{path.stem}{which}{ENDING}"
        if frozen.is_file():
            try:
                held = json.loads(foreign.read_stored(frozen))
                arms_of = {*held["arms"]}
            except (OSError, ValueError, KeyError, TypeError):  # reported where it is judged by
                continue
            if "questions" not in held:
                arms, found = arms | arms_of, True
    return arms if found else None


def all_frozen(path: Path) -> Collection[str] | None:
    """The arms of all that was frozen of a study, whenever that was; None where nothing was."""
    arms: set[str] = set()
    files = [path.parent / f"{path.stem}{which}{ENDING}" for which in _WHICH]
    for frozen in (f for f in files if f.is_file()):
        try:
            arms |= {*json.loads(foreign.read_stored(frozen))["arms"]}
        except (OSError, ValueError, KeyError, TypeError):  # reported where it is judged by
            continue
    return arms if any(f.is_file() for f in files) else None


def is_left_out(label: str, frozen: Collection[str] | None) -> bool:
    """Whether a control is left out of what was frozen before there was any of its kind."""
    return frozen is not None and label.rpartition("/")[2] in LATER and label not in frozen
