"""Journal: the files to which a store and the records only append, one line each, with the hash of
what it says.

A line names, by their hashes, the lines that no earlier one names: so a line that goes missing is
missed. Of a file that one process writes after the other that is the line before; of lines that two
machines wrote apart, both. Older lines name nothing: the first line that comes after them names
them all. The last lines of a journal are named by the ledger of its store."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.spec import canonical_json
from assay.lab.records import provenance
from assay.lab.store.atomic import explained, write
from assay.lab.store.sealed import SEAL
from assay.lab.store.store import Store
from assay.lab.store.urls import NOTE

FROZEN: Mapping[str, type] = {"seeds": str, "claims": dict, "arms": dict}
"""What a line has that says what was judged."""
JUDGINGS = "looks.jsonl"
"""The file in which a store notes each judging of a claim."""
JUDGING: Mapping[str, type] = {"preset": str, "text": str}
"""What a line of it has."""
TAKEN: Mapping[str, type] = {"look": int, "registration": str, "seeds": str, "verdicts": dict}
"""What a line has that says what a declared look found."""
SIGNED: Mapping[str, type] = {"sha256_of_signature": str, "registration": str}
"""What a line has that says which signature was given."""
LEDGER = "ledger.jsonl"
"""The file in which a store notes what was frozen, judged and removed."""
NOTED: Mapping[str, type] = {
    "what": str,
    "experiment": str,
    "about": list,
    "preset": str,
    "seeds": str,
    "arms": dict,
    "heads": dict,
}
"""What a line of it has."""
JOURNAL = re.compile(r"(results|registered)/[a-z0-9][a-z0-9-]*/[\w@=,+-][^/\\]*\.jsonl")
"""Where a journal of an experiment lies in a store."""
AFTER, LOST = "after", "lost"
"""The fields in which a line names others: those that it follows, and those that are gone."""
UNSEALED = {
    "time",
    "commit",
    "preset",
    "text",
    "n",
    "outcome",
    "claims_key",
    "seeds",
    "claims",
    "arms",
}
"""All that a line of an older store has, from before there were hashes; whatever else a line has,
its hash is among it."""
SEEDS = re.compile(r"(-?\d+:-?\d+)?(,-?\d+:-?\d+)*")
"""What `spans` writes."""


def stored(store: Store, experiment: str) -> Path:
    """Where a store keeps what was frozen at each look."""
    return store.root / "results" / experiment / "frozen.jsonl"


def files(store: Store, experiment: str = "*") -> dict[Path, set[str]]:
    """The journals of an experiment, or of all, each with those of its lines that the ledger names;
    also one that is gone, but was named.
    """
    references = {
        p: set[str]()
        for part in ("results", "registered")
        for p in sorted((store.root / part).glob(f"{experiment}/*.jsonl"))
    }
    mirrors = (
        store.root / NOTE
    ).exists()  # of a depot: of another experiment it may have the ledger's lines alone
    for noted in read(store.root / LEDGER, NOTED):
        for path, heads in (
            noted["heads"].items() if experiment in ("*", noted["experiment"]) else ()
        ):
            if JOURNAL.fullmatch(path) and ((store.root / path).parent.exists() or not mirrors):
                references.setdefault(store.root / path, set()).update(map(str, heads))
    return references


def lines(numbers: Sequence[int]) -> str:
    """Some lines as the subject of a sentence: "line 3 is", "lines 1, 2, 5 are"; of many the first
    ones."""
    listing = ", ".join(map(str, numbers[:5])) + (
        f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    )
    return f"line {listing} is" if len(numbers) == 1 else f"lines {listing} are"


def count(number: int) -> str:
    """So many lines as the subject of a sentence: "1 line is", "2 lines are"."""
    return "1 line is" if number == 1 else f"{number} lines are"


def line(look: Mapping[str, Any]) -> bytes:
    """A line of a file of looks, with the hash of what it says."""
    return (canonical_json({**look, SEAL: digest(canonical_json(look))}) + "\n").encode()


def read(path: Path, needed: Mapping[str, type] = FROZEN) -> list[dict[str, Any]]:
    """Every line of a file of looks, oldest first; one that was torn by a kill or changed, or has
    not what is needed, is left out."""
    return [look for _, look in _lines(path, needed) if look is not None and LOST not in look]


def damaged(path: Path) -> list[int]:
    """The numbers, from 1, of lines that are not as they were written, such as one that a kill
    tore."""
    return [number for number, look in _lines(path, _needed(path)) if look is None]


@dataclass(frozen=True)
class Chain:
    """Which lines of a journal name which, by their hashes."""

    lines: Mapping[str, tuple[str, ...]]
    """Each line, and those that it follows."""
    lost: frozenset[str]
    """Lines that somebody was told are gone."""

    @cached_property
    def named(self) -> frozenset[str]:
        """The lines that others follow."""
        return frozenset(line for after in self.lines.values() for line in after)

    @property
    def heads(self) -> list[str]:
        """The lines that none follows."""
        return sorted(self.lines.keys() - self.named)

    def before(self, line: str) -> set[str]:
        """A line and all that it follows, directly or not, also those that are not here."""
        ancestors, waiting = set[str](), [line]
        while waiting:
            if (current_line := waiting.pop()) not in ancestors:
                ancestors.add(current_line)
                waiting += self.lines.get(current_line, ())
        return ancestors

    def missing(self, references: Collection[str] = ()) -> set[str]:
        """The lines that are named, here or elsewhere, and are not here."""
        return {*self.named, *references} - self.lines.keys()


def chain(path: Path) -> Chain:
    """Read which lines of a journal name which."""
    looks = [look for _, look in _lines(path, _needed(path)) if look is not None]
    return Chain(
        {key(look): tuple(look.get(AFTER, ())) for look in looks},
        frozenset(line for look in looks for line in look.get(LOST, ())),
    )


def key(look: Mapping[str, Any]) -> str:
    """64 hex digits of what a line says, by which others name it."""
    return sha256(canonical_json(look).encode()).hexdigest()


def wrong(path: Path, references: Collection[str] = (), *, ever: bool = False) -> str:
    """What is not as it was written, in a phrase, empty where all is well; lines that are `named`
    elsewhere should be there.

    With `ever` also lines that are gone and that `mend` has noted so.
    """
    bad, line_chain = damaged(path), chain(path)
    missing = line_chain.missing(references)
    gone = len(missing | line_chain.lost if ever else missing - line_chain.lost) - len(
        bad
    )  # a changed line is not there by its name
    problems = [f"{lines(bad)} not as written"] * bool(bad) + [f"{count(gone)} gone"] * (gone > 0)
    return " and ".join(problems)


def note(path: Path, *looks: Mapping[str, Any]) -> str:
    """Put lines at the end of a journal, each after those that none follows yet; gives the last
    one's hash.

    Raises: OSError when the disk is full.
    """
    after, text = chain(path).heads, b""
    for look in looks:
        entry = {**look, AFTER: after}
        after = [key(entry)]
        text += line(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    append(path, text)
    return after[0]


def mend(store: Store, path: Path, references: Collection[str] = ()) -> None:
    """Leave out the damaged lines of a journal, and note in it which are gone; the file as it was
    is kept in the store's `tmp`.
    """
    try:
        content = foreign.read_stored(path)
    except FileNotFoundError:
        pass
    except foreign.NotAFileError:
        store.remove(path)
    else:
        lines, bad = content.split(b"\n"), set(damaged(path))
        intact_text = b"".join(
            text + b"\n"
            for number, text in enumerate(lines, 1)
            if text.strip() and number not in bad
        )
        with explained(store.root):
            shutil.copyfile(
                path,
                store.prepare().root
                / "tmp"
                / f"damaged-{path.parent.name}-{path.name}-{uuid.uuid4().hex[:12]}",
            )
            write(path, intact_text)
    line_chain = chain(path)
    if gone := line_chain.missing(references) - line_chain.lost:
        with explained(store.root):
            note(path, {"time": provenance.timestamp(), LOST: sorted(gone)})


def _needed(path: Path) -> Mapping[str, type]:
    """What a line of this journal has, by where it lies."""
    if path.parent.parent.name == "registered":
        return TAKEN if path.name.endswith(".looks.jsonl") else SIGNED
    return {JUDGINGS: JUDGING, LEDGER: NOTED}.get(path.name, FROZEN)


def _lines(path: Path, needed: Mapping[str, type]) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Each line that is not empty with its number, and what it says; None where that cannot be
    trusted."""
    try:
        lines = foreign.read_stored(path).split(b"\n")
    except FileNotFoundError:
        return
    except OSError:
        lines = [b"no file that can be read"]
    for number, text in enumerate(lines, 1):
        if text.strip():
            yield number, _look(text, needed)


def _look(text: bytes, needed: Mapping[str, type]) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError, RecursionError):
        look = json.loads(text)
        if not isinstance(look, dict):
            return None
        needed = {LOST: list} if LOST in look else needed
        if not all(isinstance(look.get(k), kind) for k, kind in needed.items()):
            return None
        if not all(
            isinstance(look.get(k, []), list)
            and all(isinstance(entry, str) for entry in look.get(k, []))
            for k in (AFTER, LOST)
        ):
            return None
        held = look.pop(SEAL, None)
        whole = held == digest(canonical_json(look)) if held else set(look) <= UNSEALED
        if whole and SEEDS.fullmatch(look.get("seeds", "")):
            return look
    return None


def judgings(store: Store, experiment: str) -> list[dict[str, Any]]:
    """Every noted judging of an experiment's claims in a store, oldest first."""
    return read(store.root / "results" / experiment / JUDGINGS, JUDGING)


def append(path: Path, lines: bytes) -> None:
    """Put these lines at the end of a file, on lines of their own.

    Raises: OSError when the disk is full, and where something else than a file lies there."""
    with contextlib.suppress(FileNotFoundError):
        foreign.open_stored(path).close()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        end = os.fstat(handle).st_size
        torn = (
            end > 0 and os.pread(handle, 1, end - 1) != b"\n"
        )  # by a full disk: what follows would be lost with it
        lines = b"\n" * torn + lines
        if os.write(handle, lines) < len(lines):  # one write: lines of two processes never mix
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(text: str) -> str:
    """12 hex digits that stand for a text."""
    return sha256(text.encode()).hexdigest()[:12]
