"""Notes of a depot: results, registrations, and every line of the files to which a store only
appends, each one object.

    notes/<path in the store>/<number>-<hash of what it holds>

The number is one more than any its writer had seen, so that what somebody knew of comes before what
they noted, whatever the clocks say. Lines are never taken away: a machine appends those it lacks,
in that order. Of a result the last one stands, which is made again from the same runs at any time;
of a registration the first, since what was frozen stays."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.core import foreign
from assay.lab.away.depot.bucket import Bucket
from assay.lab.judge import journal
from assay.lab.store.atomic import explained, write
from assay.lab.store.store import Store

NAME = re.compile(
    r"notes/(ledger\.jsonl|(?:results|registered)/[a-z0-9][a-z0-9-]*/(?:[\w@=,+-][^/\\]*/)?[\w@=,+-][^/\\]*)/(\d{8})-([0-9a-f]{16})"
)
LAGS = (0.5, 1.0, 2.0)
"""Seconds until a list that lacks a number is asked for again."""


@dataclass(frozen=True, order=True)
class Note:
    """One object: a whole file, or one line of one."""

    number: int
    hash: str
    path: str

    @property
    def name(self) -> str:
        """The object's name."""
        return f"notes/{self.path}/{self.number:08d}-{self.hash}"


def list_notes(bucket: Bucket, experiment: str | None = None) -> dict[str, list[Note]]:
    """The notes of an experiment and the ledger, or all, that the depot lists: by path, in order.

    The ledger comes first: of what it names was sent before it was.
    """
    for wait in (*LAGS, 0.0):
        notes_by_path: dict[str, list[Note]] = {}
        under = [
            f"notes/{journal.LEDGER}",
            *(
                f"notes/{part}" + (f"/{experiment}" if experiment else "")
                for part in ("results", "registered")
            ),
        ]
        for name in (name for part in under for name in bucket.names(part)):
            if (m := NAME.fullmatch(name)) is not None:
                notes_by_path.setdefault(m[1], []).append(Note(int(m[2]), m[3], m[1]))
        # Numbers without a gap, since each is one more than any that its writer had seen; a gap is
        # a line that the list does not have yet. Two of one number, from two machines, are no gap.
        gaps = any(
            {n.number for n in notes} != set(range(1, 1 + max(n.number for n in notes)))
            for p, notes in notes_by_path.items()
            if lines(p)
        )
        if not gaps:
            break
        time.sleep(wait)  # a line that comes earlier is not listed yet
    return {path: sorted(notes) for path, notes in notes_by_path.items()}


def lines(path: str) -> bool:
    """Whether a file is one to which a store only appends."""
    return path.endswith(".jsonl")


def fetch(bucket: Bucket, store: Store, listed: dict[str, list[Note]]) -> None:
    """Append the lines that the store lacks, and write the files that it has not, or has not as
    they stand."""
    if not listed:
        return
    with store.lock("notes"), explained(store.root):
        for path, notes in sorted(
            listed.items(), key=lambda pair: pair[0] == journal.LEDGER
        ):  # last, as it is sent
            place = store.root / path
            have = {digest for _, digest, _ in _read_notes(place)}
            missing = _lacking(notes, have, lines(path), place.exists())
            for data in bucket.each(_reader(bucket), missing):
                if data is not None:
                    place.parent.mkdir(parents=True, exist_ok=True)
                    journal.append(place, data) if lines(path) else write(place, data)


def send(bucket: Bucket, store: Store, experiment: str, listed: dict[str, list[Note]]) -> int:
    """Send every note of this experiment that the depot does not list, then the ledger; gives how
    many.
    """
    return sum(
        _send(bucket, store, place, listed)
        for place in (*_files(store, experiment), store.root / journal.LEDGER)
    )


def owed(bucket: Bucket, store: Store, experiment: str, listed: dict[str, list[Note]]) -> None:
    """Send the notes of other experiments of which the ledger has lines that the depot does not
    list: these name lines of their journals.
    """
    known = {note.hash for note in listed.get(journal.LEDGER, [])}
    texts = [
        data
        for data, digest, sound in _read_notes(store.root / journal.LEDGER)
        if sound and digest not in known
    ]
    for other in sorted(
        {str(line["experiment"]) for line in map(json.loads, texts) if "experiment" in line}
        - {experiment}
    ):
        there_too = list_notes(bucket, other)
        for place in _files(store, other):
            _send(bucket, store, place, there_too)


def _send(bucket: Bucket, store: Store, place: Path, listed: dict[str, list[Note]]) -> int:
    sent = 0
    if place.exists():
        path = place.relative_to(store.root).as_posix()
        notes = listed.get(path, [])
        # Numbered from what the depot lists, not from lines of the file: others may have sent some.
        known, number = (
            {note.hash for note in notes},
            max((note.number for note in notes), default=0),
        )
        for data, digest, sound in _read_notes(place):
            if digest in known or not sound:
                continue
            number += 1
            bucket.write(Note(number, digest, path).name, data)
            sent += 1
    return sent


def _lacking(notes: list[Note], have: set[str], appended: bool, exists: bool) -> list[Note]:
    if appended:
        return [note for note in notes if note.hash not in have]
    if notes[0].path.startswith("registered/"):
        return [] if exists else notes[:1]
    # A result of this machine that the depot never had is newer than what is there, and not
    # replaced.
    unsent = exists and not have & {note.hash for note in notes}  # made here since
    return [] if unsent or notes[-1].hash in have else notes[-1:]


def _reader(bucket: Bucket) -> Callable[[Note], bytes | None]:
    def read(note: Note) -> bytes | None:
        data = bucket.read(note.name)
        return (
            data if data is not None and _hash(data) == note.hash else None
        )  # one that was cut off is no note yet

    return read


def _read_notes(place: Path) -> Iterator[tuple[bytes, str, bool]]:
    """What a file holds as notes: bytes, hash, and whether they are as they were written."""
    if not place.is_file():
        return
    if not lines(place.name):
        data = foreign.read_stored(place)
        yield data, _hash(data), True
        return
    bad = set(journal.Journal(place).damaged)
    for number, text in enumerate(foreign.read_stored(place).split(b"\n"), 1):
        if text.strip():
            yield text + b"\n", _hash(text + b"\n"), number not in bad


def _files(store: Store, experiment: str) -> list[Path]:
    parts = (store.root / "results" / experiment, store.root / "registered" / experiment)
    return sorted(
        p for part in parts for p in part.rglob("*") if p.is_file() and not p.name.startswith(".")
    )


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
