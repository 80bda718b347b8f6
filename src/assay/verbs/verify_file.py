"""Verify file: a bundle, a saved check or a frozen study checked by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from assay.core import foreign
from assay.core.results import Judged, ResultData
from assay.lab.judge import anchors, registered
from assay.lab.judge.anchors import Anchor
from assay.report.bundle.checking import CheckedBundle, check_bundle
from assay.report.bundle.standing import EXPLORATORY
from assay.report.statements import known
from assay.verbs.parts import Line, written
from assay.verbs.verb import Answer

REGISTRATION = ".prereg.json"
"""How the file of what was frozen ends."""
CHECK = ".assay"
"""How the file ends to which `assay.check` saves."""


@dataclass(frozen=True)
class Frozen:
    """What was frozen, and what says from outside when."""

    path: Path
    hash: str
    time: str
    anchors: tuple[Anchor, ...]


def of_file(path: Path, authority: Path | None) -> Answer[CheckedBundle | Frozen | Judged]:
    """Judge a bundle or a saved check again, and report where it differs from what it states; or
    read what was frozen, and report what shows when."""
    if path.name.endswith(CHECK):
        return of_check(path)
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


def of_check(path: Path) -> Answer[Judged]:
    """Judge the numbers of a saved check again, and report where the file states others. Raises:
    DataError where they do not give the verdict that the file states."""
    from assay.checking import saved
    from assay.checking.of_table import JudgedTable
    from assay.checking.result import Check
    from assay.report.checks import load
    from assay.verbs.check import words

    check = load(path)
    wrong = saved.differing(path, check.judged) if check.judged else []
    last = ["The numbers in the file give the verdict that it states."]
    if wrong:
        why = "The file was changed, or judged by an older version: its numbers do not give"
        last = [f"{why} all that it states.", *(f"  {line}" for line in wrong)]
    if isinstance(check, JudgedTable):
        judged = structs.replace(check.judged, notes=(*check.judged.notes, *check.notes))
        return Answer(
            judged.without_ties,
            [ResultData(verdicts=(judged,)), *known(judged), *last],
            int(bool(wrong)),
        )
    shown = words(check) if isinstance(check, Check) else map(Line, repr(check).split("\n"))
    return Answer(check.judged and check.judged.without_ties, [*shown, *last], int(bool(wrong)))
