"""Journal: the files to which a store and the records only append, one line each, with the hash of
what it says; one of them is the ledger of the whole store.

    <root>/results/<experiment>/frozen.jsonl       what was judged on which seeds
    <root>/results/<experiment>/looks.jsonl        each judging of a claim
    <root>/registered/<experiment>/*.looks.jsonl   each declared look at what was frozen
    <root>/registered/<experiment>/*.signed.jsonl  the signatures given of it
    <root>/ledger.jsonl                            what was frozen, judged and removed

A line names, by their hashes, the lines that no earlier one names: so a line that goes missing is
missed. Of a file that one process writes after the other that is the line before; of lines that two
machines wrote apart, both. Older lines name nothing: the first line that comes after them names
them all. The ledger names the last lines of the other journals, and results and registrations name
its own: so a store knows which runs somebody may have seen, by arms, settings and seeds, under
whatever name, and whatever is removed later."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from assay.core import foreign
from assay.core.errors import StoreError
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.lab.plan.preset import Preset
from assay.lab.records import provenance
from assay.lab.store.atomic import explained, write
from assay.lab.store.sealed import SEAL, unseal
from assay.lab.store.store import Store, Stored

Line = Mapping[str, Any]
JUDGED = 1000
"""The first seed that is not a pilot's."""
JUDGINGS = "looks.jsonl"
"""The file in which a store notes each judging of a claim."""
LEDGER = "ledger.jsonl"
"""The file in which a store notes what was frozen, judged and removed."""
FROZEN: Mapping[str, type] = {"seeds": str, "claims": dict, "arms": dict}
JUDGING: Mapping[str, type] = {"preset": str, "text": str}
TAKEN: Mapping[str, type] = {"look": int, "registration": str, "seeds": str, "verdicts": dict}
SIGNED: Mapping[str, type] = {"sha256_of_signature": str, "registration": str}
NOTED: Mapping[str, type] = {
    **dict.fromkeys(("what", "experiment", "preset", "seeds"), str),
    **{"about": list, "arms": dict, "heads": dict},
}
"""What a line has: of what was judged, of a judging, of a declared look, of a signature, of the
ledger."""
JOURNAL = re.compile(r"(results|registered)/[a-z0-9][a-z0-9-]*/[\w@=,+-][^/\\]*\.jsonl")
"""Where a journal of an experiment lies in a store."""
AFTER, LOST = "after", "lost"
"""The fields in which a line names others: those that it follows, and those that are gone."""
UNSEALED = {"time", "commit", "preset", "text", "n", "outcome", "claims_key", *FROZEN}
"""All that a line of an older store has, from before there were hashes; whatever else a line has,
its hash is among it."""
SEEDS = re.compile(r"(-?\d+:-?\d+)?(,-?\d+:-?\d+)*")
"""What `spans` writes."""


def spans(seeds: Iterable[int]) -> str:
    """Seeds as ranges, the end left out: "3000:3008,3010:3011"."""
    ranges: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if ranges and ranges[-1][1] == seed:
            ranges[-1][1] += 1
        else:
            ranges.append([seed, seed + 1])
    return ",".join(f"{a}:{b}" for a, b in ranges)


def seeds_of(text: str) -> set[int]:
    """The seeds that ranges such as "3000:3008,3010:3011" name."""
    parts = [part.split(":") for part in text.split(",") if part]
    return {s for a, b in parts for s in range(int(a), int(b))}


def seedless(spec: str) -> str:
    """A setting: a spec without its seed, both as JSON."""
    return canonical_json({k: v for k, v in json.loads(spec).items() if k != "seed"})


def digest(text: str) -> str:
    """12 hex digits that stand for a text."""
    return sha256(text.encode()).hexdigest()[:12]


def key(look: Line) -> str:
    """64 hex digits of what a line says, by which others name it."""
    return sha256(canonical_json(look).encode()).hexdigest()


def line(look: Line) -> bytes:
    """A line of a journal, with the hash of what it says."""
    return (canonical_json({**look, SEAL: digest(canonical_json(look))}) + "\n").encode()


# a file of lines ----------------------------------------------------------------------------------


class Journal:
    """A file of lines as it lies now, read once; the lines are to have what is `needed`."""

    def __init__(self, path: Path, needed: Mapping[str, type] | None = None):
        self.path = path
        needed = _needed(path) if needed is None else needed
        try:
            texts = foreign.read_stored(path).split(b"\n")
        except FileNotFoundError:
            texts = []
        except OSError:
            texts = [b"no file that can be read"]
        numbered = [(n, _look(t, needed)) for n, t in enumerate(texts, 1) if t.strip()]
        self._whole = [look for _, look in numbered if look is not None]
        self.looks = [look for look in self._whole if LOST not in look]
        """What each line says that is as it was written, oldest first."""
        self.damaged = [number for number, look in numbered if look is None]
        """The numbers, from 1, of lines that are not, such as one that a kill tore."""

    @cached_property
    def after(self) -> dict[str, tuple[str, ...]]:
        """Each line by its hash, and those that it follows."""
        return {key(look): tuple(look.get(AFTER, ())) for look in self._whole}

    @cached_property
    def lost(self) -> frozenset[str]:
        """Lines that somebody was told are gone."""
        return frozenset(line for look in self._whole for line in look.get(LOST, ()))

    @cached_property
    def named(self) -> frozenset[str]:
        """The lines that others follow."""
        return frozenset(line for after in self.after.values() for line in after)

    @property
    def heads(self) -> list[str]:
        """The lines that none follows."""
        return sorted(self.after.keys() - self.named)

    def before(self, line: str) -> set[str]:
        """A line and all that it follows, directly or not, also those that are not here."""
        ancestors, waiting = set[str](), [line]
        while waiting:
            if (current_line := waiting.pop()) not in ancestors:
                ancestors.add(current_line)
                waiting += self.after.get(current_line, ())
        return ancestors

    def missing(self, references: Collection[str] = ()) -> set[str]:
        """The lines that are named, here or elsewhere, and are not here."""
        return {*self.named, *references} - self.after.keys()

    def wrong(self, references: Collection[str] = (), *, ever: bool = False) -> str:
        """Say what is not as it was written, in a phrase; empty where all is well. Lines that are
        named elsewhere should be there.

        With `ever` also lines that are gone and that `mend` has noted so.
        """
        missing, bad = self.missing(references), self.damaged
        # a changed line is not there by its name
        gone = len(missing | self.lost if ever else missing - self.lost) - len(bad)
        listing = ", ".join(map(str, bad[:5]))
        listing += f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        changed = f"line {listing} is" if len(bad) == 1 else f"lines {listing} are"
        problems = [f"{changed} not as written"] * bool(bad) + [_gone(gone)] * (gone > 0)
        return " and ".join(problems)


def read(path: Path, needed: Mapping[str, type] = FROZEN) -> list[dict[str, Any]]:
    """Every line of a journal, oldest first; one that was torn by a kill or changed, or has not
    what is needed, is left out."""
    return Journal(path, needed).looks


def note(path: Path, *looks: Line) -> str:
    """Put lines at the end of a journal, each after those that none follows yet; gives the last
    one's hash.

    Raises: OSError when the disk is full.
    """
    after, text = Journal(path).heads, b""
    for look in looks:
        entry = {**look, AFTER: after}
        after = [key(entry)]
        text += line(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    append(path, text)
    return after[0]


def stamped(**look: Any) -> dict[str, Any]:
    """Give a line the time and the commit at which it is written."""
    return {"time": provenance.timestamp(), "commit": provenance.commit(), **look}


def append(path: Path, lines: bytes) -> None:
    """Put these lines at the end of a file, on lines of their own.

    Raises: OSError when the disk is full, and where something else than a file lies there."""
    with contextlib.suppress(FileNotFoundError):
        foreign.open_stored(path).close()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        end = os.fstat(handle).st_size
        # torn by a full disk: what follows would be lost with it
        torn = end > 0 and os.pread(handle, 1, end - 1) != b"\n"
        lines = b"\n" * torn + lines
        if os.write(handle, lines) < len(lines):  # one write: lines of two processes never mix
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(handle)
    finally:
        os.close(handle)


def mend(store: Store, path: Path, references: Collection[str] = ()) -> None:
    """Leave out the damaged lines of a journal, and note in it which are gone; the file as it was
    is kept in the store's `tmp`.
    """
    journal = Journal(path)
    bad = set(journal.damaged)
    try:
        texts = foreign.read_stored(path).split(b"\n")
    except FileNotFoundError:
        pass
    except foreign.NotAFileError:
        store.remove(path)
    else:
        whole = [t for n, t in enumerate(texts, 1) if t.strip() and n not in bad]
        name = f"damaged-{path.parent.name}-{path.name}-{uuid.uuid4().hex[:12]}"
        with explained(store.root):
            shutil.copyfile(path, store.prepare().root / "tmp" / name)
            write(path, b"".join(text + b"\n" for text in whole))
    if gone := journal.missing(references) - journal.lost:
        with explained(store.root):
            note(path, {"time": provenance.timestamp(), LOST: sorted(gone)})


def _needed(path: Path) -> Mapping[str, type]:
    """What a line of this journal has, by where it lies."""
    if path.parent.parent.name == "registered":
        return TAKEN if path.name.endswith(".looks.jsonl") else SIGNED
    return {JUDGINGS: JUDGING, LEDGER: NOTED}.get(path.name, FROZEN)


def _look(text: bytes, needed: Mapping[str, type]) -> dict[str, Any] | None:
    """What a line says; None where that cannot be trusted."""
    with contextlib.suppress(ValueError, RecursionError):
        look = json.loads(text)
        if not isinstance(look, dict):
            return None
        needed = {LOST: list} if LOST in look else needed
        references = [look.get(k, []) for k in (AFTER, LOST)]
        if not all(isinstance(look.get(k), kind) for k, kind in needed.items()) or not all(
            isinstance(lines, list) and all(isinstance(line, str) for line in lines)
            for lines in references
        ):
            return None
        held = look.pop(SEAL, None)
        whole = held == digest(canonical_json(look)) if held else set(look) <= UNSEALED
        if whole and SEEDS.fullmatch(look.get("seeds", "")):
            return look
    return None


def _gone(number: int) -> str:
    return "1 line is gone" if number == 1 else f"{number} lines are gone"


# the journals of a store --------------------------------------------------------------------------


def stored(store: Store, experiment: str) -> Path:
    """Where a store keeps what was judged at each look."""
    return store.root / "results" / experiment / "frozen.jsonl"


def judgings(store: Store, experiment: str) -> list[dict[str, Any]]:
    """Every noted judging of an experiment's claims in a store, oldest first."""
    return read(store.root / "results" / experiment / JUDGINGS, JUDGING)


def files(store: Store, experiment: str = "*") -> dict[Path, set[str]]:
    """The journals of an experiment, or of all, each with those of its lines that the ledger names;
    also one that is gone, but was named.
    """
    references = {
        p: set[str]()
        for part in ("results", "registered")
        for p in sorted((store.root / part).glob(f"{experiment}/*.jsonl"))
    }
    for noted in Ledger(store).looks:
        if experiment in ("*", noted["experiment"]):
            for path, heads in noted["heads"].items():
                place = store.root / path
                if JOURNAL.fullmatch(path):
                    references.setdefault(place, set()).update(map(str, heads))
    return references


def harmed(store: Store, experiment: str = "*") -> Iterator[tuple[Path, str, set[str]]]:
    """The journals that are not as they were written, how, and what the ledger names of each."""
    for path, references in files(store, experiment).items():
        if wrong := Journal(path).wrong(references):
            yield path, wrong, references


@dataclass(frozen=True)
class Subject:
    """What somebody sees who sees results: seeds of arms with these settings, of these
    experiments."""

    about: frozenset[str]
    """The experiment's name, and those that it borrows from; empty where nobody knows."""
    seeds: frozenset[int]
    arms: Mapping[str, Collection[str]]
    """12 hex digits of each setting of an arm without its seed, by the arm's name without the side
    of a study.
    """

    def shared(self, line: Line) -> set[int]:
        """The judged seeds that a line of the ledger is about as well; none where it is about
        another thing.
        """
        if not (self.alike(line) or not line["about"] or self.about & set(line["about"])):
            return set()
        return {s for s in self.seeds & seeds_of(line["seeds"]) if s >= JUDGED}

    def alike(self, line: Line) -> bool:
        """Whether a line is about an arm with the same settings."""
        return any(
            set(settings) & set(line["arms"].get(arm, ())) for arm, settings in self.arms.items()
        )


def subject(experiment: Experiment, preset: Preset) -> Subject:
    """What a result of this preset shows."""
    specs = [
        (name, s.to_json())
        for name, a in experiment.arms.items()
        if a.train
        for s in experiment.specs_of(name, preset.specs)
    ]
    about = frozenset((experiment.name, *experiment.borrows))
    return Subject(about, frozenset(s.seed for s in preset.specs), settings(specs))


def settings(specs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """12 hex digits of each setting of an arm without its seed, of arms' names and specs as
    JSON."""
    pairs = {(arm.rpartition("/")[2], digest(seedless(spec))) for arm, spec in specs}
    groups = groupby(sorted(pairs), lambda pair: pair[0])
    return {arm: [hashed for _, hashed in group] for arm, group in groups}


class Ledger(Journal):
    """What was frozen, judged and removed in a store: of which experiments, seeds, arms by the
    hashes of their settings, and the last lines of that experiment's other journals."""

    def __init__(self, store: Store):
        super().__init__(store.root / LEDGER, NOTED)
        self.store = store

    def note(
        self,
        what: Literal["frozen", "judged", "removed"],
        experiment: str,
        preset: str,
        about: Subject,
        **more: Any,
    ) -> dict[str, Any]:
        """Note that something was frozen, judged or removed, unless a line says just that; gives
        that line's place.

        Raises: OSError when the disk is full.
        """
        # By the last lines of the journals it names all lines before them: what is taken out of one
        # later is missed here.
        heads = {
            p.relative_to(self.store.root).as_posix(): Journal(p).heads
            for p in files(self.store, experiment)
            if p.is_file()
        }
        entry = {
            "what": what,
            "experiment": experiment,
            "preset": preset,
            "about": sorted(about.about),
            "seeds": spans(about.seeds),
            "arms": dict(about.arms),
            "heads": heads,
            **more,
        }
        varies = {"time", "commit", AFTER}
        for line in self.looks:
            if {k: v for k, v in line.items() if k not in varies} == entry:
                return self._place(key(line))
        written = note(self.path, stamped(**entry))
        return Ledger(self.store)._place(written)

    def note_removed(
        self, experiment: str, runs: Collection[Stored], about: Collection[str] = ()
    ) -> None:
        """Note that these runs are to be removed, and when the first was made: whoever removes them
        may have seen them.
        """
        seeds = frozenset(int(json.loads(run.spec_json).get("seed", -1)) for run in runs)
        if any(s >= JUDGED for s in seeds):
            known = {
                name
                for line in self.looks
                if line["experiment"] == experiment
                for name in line["about"]
            }
            arms = settings((run.arm, run.spec_json) for run in runs)
            finished = (str(run.provenance.get("finished") or "") for run in runs)
            since = min(filter(None, finished), default="")
            exposed = Subject(frozenset(about) or frozenset(known), seeds, arms)
            self.note("removed", experiment, "", exposed, since=since)

    def head(self, experiment: str, preset: str) -> dict[str, Any] | None:
        """The place of the last line about judging an experiment's preset; None without one."""
        judged = ("judged", experiment, preset)
        for line in reversed(self.looks):
            if (line["what"], line["experiment"], line["preset"]) == judged:
                return self._place(key(line))
        return None

    def exposures(self, about: Subject) -> Iterator[tuple[Line, set[int]]]:
        """The lines that say that somebody may have seen some of these runs, each with the
        seeds."""
        for line in self.looks:
            if line["what"] != "frozen" and (shared := about.shared(line)):
                yield line, shared

    def references(self, experiment: str = "*", preset: str = "*") -> set[str]:
        """The lines that stored results and registrations name; files that cannot be read name
        none."""
        hashes = set()
        for part in ("results", "registered"):
            for path in (self.store.root / part).glob(f"{experiment}/{preset}.json"):
                with contextlib.suppress(StoreError, TypeError, KeyError):
                    hashes.add(str(unseal(path)["ledger"]["hash"]))
        return hashes

    def gone(self, experiment: str, preset: str) -> str:
        """Say how many lines are not here, of those that a result names and all that they follow,
        in a phrase; empty where none is gone.
        """
        heads = self.references(experiment, preset)
        number = len({line for head in heads for line in self.before(head)} - self.after.keys())
        return f"of {self.path} {_gone(number)}, with whatever was seen then" if number else ""

    def _place(self, line: str) -> dict[str, Any]:
        return {"lines": len(self.before(line)), "hash": line}
