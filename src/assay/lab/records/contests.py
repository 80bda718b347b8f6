"""Contests: arms that others put to a recorded claim, each with the verdict before and after it, in
two files as a record has them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Literal

from assay.core.errors import DataError, ExperimentError
from assay.core.experiment import Experiment
from assay.core.results import Outcome
from assay.core.schema import Number, Written
from assay.core.spec import canonical_json
from assay.lab.records import records

Effect = Literal["beaten", "unspecific", "undecided", "shared", "void"]
Role = Literal["control", "rival"]
WORDS: Mapping[str, str] = {
    "beaten": "beaten",
    "unspecific": "made it unspecific",
    "undecided": "left it undecided",
    "shared": "satisfied it too",
    "void": "void",
}
"""What came of the arm, in words that follow a number of arms."""


class Contest(Written, frozen=True, kw_only=True):
    """An arm that somebody put to a recorded claim, and what came of it."""

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
    """SHA-256 of the record's JSON file as it was then, 64 hex digits."""
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
    """Where the contests of an experiment's records lie."""
    return records.path(experiment.name, experiment.origin).parent / "contests"


def path(folder: Path, record_name: str, contest: Contest) -> Path:
    """Where a contest lies in a folder of contests."""
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
            raise ExperimentError(f"{file} is no contest ({type(e).__name__}); remove it") from e
        if not whole:
            raise ExperimentError(f"{file} was changed after it was written; remove it")
        contests.append(contest)
    return tuple(sorted(contests, key=lambda c: (c.when, c.number, c.arm)))


def of_record(record_name: str, origin: str = "") -> tuple[Contest, ...]:
    """Read the contests that are committed beside a record."""
    return read_all(records.path(record_name, origin).parent / "contests", record_name)


def summaries(contests: Iterable[Contest]) -> dict[str, str]:
    """Say of each contested claim, by its text, what came of its contests: "contested by 3 arms
    (2026-11): 2 beaten, 1 made it unspecific (lot)"."""
    by_claim: dict[str, list[Contest]] = {}
    for contest in contests:
        by_claim.setdefault(contest.text, []).append(contest)
    return {text: _summary(of) for text, of in by_claim.items()}


def fallen(contests: Iterable[Contest]) -> int:
    """Count the claims that a contest made unspecific."""
    return len({c.text for c in contests if c.effect == "unspecific"})


def lines(contests: Iterable[Contest]) -> tuple[str, ...]:
    """Say the same in a line for each contested claim, the claim's number first."""
    every = tuple(contests)
    numbers = {c.text: c.number for c in every}
    in_order = sorted(summaries(every).items(), key=lambda item: numbers[item[0]])
    return tuple(f"claim {numbers[text]} is {words}" for text, words in in_order)


def _summary(contests: list[Contest]) -> str:
    counts = Counter(c.effect for c in contests)
    parts = []
    for effect, n in counts.items():
        names = ", ".join(c.arm for c in contests if c.effect == effect)
        parts.append(f"{n} {WORDS[effect]}" + (f" ({names})" if effect != "beaten" else ""))
    months = sorted({c.when[:7] for c in contests})
    many = f"{len(contests)} arm{'s' * (len(contests) > 1)}"
    return f"contested by {many} ({', '.join(months)}): {', '.join(parts)}"
