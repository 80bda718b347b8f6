"""Contests: arms that others put to a recorded claim, each with the verdict before and after it, in
two files as a record has them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import structs

from assay.core.errors import DataError, ExperimentError
from assay.core.plain import canonical_json
from assay.core.results import Judged, Outcome
from assay.core.schema import Number, Written
from assay.lab import catalogue

if TYPE_CHECKING:
    from assay.core.experiment import Experiment

Effect = Literal["beaten", "unspecific", "undecided", "shared", "void"]
Role = Literal["control", "rival"]
WORDS: Mapping[str, str] = {
    "beaten": "was beaten",
    "unspecific": "satisfies it too (should fail)",
    "undecided": "left it undecided",
    "shared": "satisfies it too, as another method may",
    "void": "does not count",
}
"""What came of the arm, in words that follow its name."""


class Contest(Written, frozen=True, kw_only=True):
    """An arm that was put to a recorded claim, and the outcome."""

    experiment: str
    preset: str
    number: int
    """The claim's, from 1, as on pages."""
    text: str
    arm: str
    note: str
    """What the arm is, and why it is honest."""
    role: Role
    """control: a part that the claim credits was not learned in it; rival: another method, which
    may claim the same."""
    source: str
    """The text of the arm's file, or a recorded arm with the fields that were changed."""
    by: str
    when: str
    record: str
    """SHA-256 of the record's JSON file at that time, 64 hex digits."""
    look: int
    """Which contest of this claim it is: each one asks the next for a stricter interval."""
    level: Number
    """Of the interval by which the arm would have to satisfy the claim."""
    effect: Effect
    why: str = ""
    before: Outcome
    after: Outcome
    estimate: Number
    """With low and high: the claim's number of this arm."""
    low: Number
    high: Number
    cpu_seconds: Number
    """Of one run."""
    allowed: Number
    """CPU-seconds that one run was allowed."""
    commit: str = ""

    @property
    def name(self) -> str:
        """What to type for it after the experiment's name: the claim's number and the arm."""
        return f"{self.number}.{self.arm}"

    @property
    def digest(self) -> str:
        """64 hex digits of all that it says."""
        return sha256(canonical_json(self.to_json()).encode()).hexdigest()


def folder(experiment: Experiment) -> Path:
    """The folder of the contests of an experiment's records."""
    return catalogue.record_path(experiment.name, experiment.origin).parent / "contests"


def path(folder: Path, record_name: str, contest: Contest) -> Path:
    """The file of a contest in a folder of contests."""
    return folder / f"{record_name}.{contest.name}.json"


def read_all(folder: Path, record_name: str) -> tuple[Contest, ...]:
    """Read the contests of one record in a folder, in the order in which they were made.

    Raises: ExperimentError for a file that is none, or says something else than when it was
    written.
    """
    contests = []
    for file in sorted(folder.glob(f"{record_name}.[0-9]*.json")):
        try:
            data = json.loads(file.read_bytes())
            contest = Contest.from_json(data["contest"])
            whole = data["sealed"] == contest.digest
        except (OSError, ValueError, LookupError, TypeError, DataError) as e:
            raise ExperimentError(f"{file} is not a contest ({type(e).__name__}); remove it") from e
        if not whole:
            raise ExperimentError(f"{file} was changed after it was written; remove it")
        contests.append(contest)
    return tuple(sorted(contests, key=lambda c: (c.when, c.number, c.arm)))


def of_record(record_name: str, origin: str = "") -> tuple[Contest, ...]:
    """Read the contests that are committed next to a record."""
    return read_all(catalogue.record_path(record_name, origin).parent / "contests", record_name)


def of_preset(experiment: str, title: str, origin: str = "") -> tuple[Contest, ...]:
    """Read the contests of a preset's own record, by the preset's title: a smoke run, or one of
    other fields, has none. Raises: ExperimentError for a contest that cannot be read."""
    folder = catalogue.record_path(experiment, origin).parent / "contests"
    names = (experiment, f"{experiment}.{title}")
    return tuple(c for name in names for c in read_all(folder, name) if c.preset == title)


def standing(text: str, recorded: Outcome, contests: Iterable[Contest]) -> Outcome:
    """Give the outcome of a recorded claim after its contests: one that made it unspecific, or left
    it undecided, has the last word."""
    effects = {c.effect for c in contests if c.text == text}
    if "unspecific" in effects:
        return "unspecific"
    return "undecided" if "undecided" in effects else recorded


def after(verdicts: Iterable[Judged], contests: Iterable[Contest]) -> list[Judged]:
    """Give recorded verdicts with the outcomes that their contests left."""
    every = tuple(contests)
    return [structs.replace(v, outcome=standing(v.text, v.outcome, every)) for v in verdicts]


def turned(contests: Iterable[Contest]) -> dict[str, Outcome]:
    """Give the outcome now of each claim that a contest turned, by the claim's text."""
    every = tuple(contests)
    standings = {c.text: standing(c.text, c.before, every) for c in every}
    return {c.text: standings[c.text] for c in every if standings[c.text] != c.before}


def lines(contests: Iterable[Contest]) -> tuple[str, ...]:
    """Say what each challenged claim is now, and of each arm its note and the outcome: "claim 1 is
    unspecific after a challenge (2026-11): by-hand (random directions) satisfies it too"."""
    by_claim: dict[int, list[Contest]] = {}
    for contest in contests:
        by_claim.setdefault(contest.number, []).append(contest)
    return tuple(
        f"{state(of)}: " + "; ".join(f"{c.arm} ({c.note}) {WORDS[c.effect]}" for c in of)
        for _, of in sorted(by_claim.items())
    )


def state(contests: Sequence[Contest]) -> str:
    """Say what a claim is now: "claim 1 is unspecific after a challenge (2026-11)"."""
    first = contests[0]
    outcome = standing(first.text, first.before, contests)
    status = "still holds" if outcome == "holds" else f"is {outcome}"
    months = ", ".join(sorted({c.when[:7] for c in contests}))
    count = "a challenge" if len(contests) == 1 else f"{len(contests)} challenges"
    return f"claim {first.number} {status} after {count} ({months})"
