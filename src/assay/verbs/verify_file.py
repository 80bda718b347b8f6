"""Verify file: a bundle, a saved result or a frozen study checked by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assay.core import foreign
from assay.lab.judge import anchors, registered
from assay.lab.judge.anchors import Anchor
from assay.report import result_file
from assay.report.bundle.checking import CheckedBundle, check_bundle
from assay.report.bundle.standing import EXPLORATORY
from assay.verbs.parts import written
from assay.verbs.stated import Stated, answered
from assay.verbs.verb import Answer

REGISTRATION = ".prereg.json"
"""How the file of what was frozen ends."""
CHECK = ".assay"
"""How the file of a result ends."""


@dataclass(frozen=True)
class Frozen:
    """What was frozen, and what says from outside when."""

    path: Path
    hash: str
    time: str
    anchors: tuple[Anchor, ...]


def of_file(path: Path, authority: Path | None) -> Answer[CheckedBundle | Frozen | Stated]:
    """Judge a bundle or a saved result again, and report where it differs from what it states; or
    read what was frozen, and report what shows when."""
    if path.name.endswith(CHECK):
        return of_result(path)
    if path.name.endswith(REGISTRATION):
        study = path.name.replace(REGISTRATION, ".toml")
        expected = f"a frozen study; for one that is not frozen, type: assay verify {study}"
        registration = registered.read(foreign.regular(path, expected))
        stamps = tuple(anchors.stamps(registration, authority))
        frozen = Frozen(path, registration.hash, registration.time, stamps)
        wrong = any(anchor.wrong for anchor in stamps)
        return Answer(frozen, written("verify_frozen", f=frozen), int(wrong))
    bundle = check_bundle(path, authority)
    words = written("verify_bundle", b=bundle, s=bundle.standing, exploratory=EXPLORATORY)
    return Answer(bundle, words, int(not bundle.same))


def of_result(path: Path) -> Answer[Stated]:
    """Judge the numbers of a saved result again, and report where the file states others."""
    wrong = result_file.judge_again(result_file.read(path), path)
    lines = [f"{holds}: states another {name}" for holds, names in wrong.items() for name in names]
    same = "The numbers in the file give the verdict that it states."
    return answered(result_file.load(path), more=lines or [same], code=int(bool(lines)))
