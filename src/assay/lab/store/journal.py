"""Journal: the files to which a store and the records only append, one line each, with the hash of
what it says; one of them is the ledger of the whole store.

    <root>/results/<experiment>/frozen.jsonl       what was judged on which seeds
    <root>/results/<experiment>/looks.jsonl        each judging of a claim
    <root>/registered/<experiment>/*.looks.jsonl   each look at what was frozen
    <root>/questions.jsonl                         what was asked, by content
    <root>/ledger.jsonl                            what was frozen, judged and removed

A line names, by their hashes, the lines that no earlier one names, so that a missing line is
noticed: of a file that one process writes after the other that is the line before. Lines of older
versions name nothing; the first line after them names them all. The ledger names the last lines of
the other journals, and results and registrations name its own. So a store knows which runs somebody
may have seen, by arms, settings and seeds, under whatever name, and whatever is removed later."""

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
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import foreign
from assay.core.errors import StoreError
from assay.core.spec import canonical_json
from assay.lab.store import provenance
from assay.lab.store.atomic import SEAL, explained, unseal, write

if TYPE_CHECKING:
    from assay.core.experiment import Experiment
    from assay.core.spec import Spec
    from assay.lab.store.runs import Stored
    from assay.lab.store.store import Store

Line = Mapping[str, Any]
JUDGED = 1000
"""The first seed that is not a pilot's."""
JUDGINGS, LEDGER, QUESTIONS = "looks.jsonl", "ledger.jsonl", "questions.jsonl"
"""The files of each judging of a claim, of what was frozen, judged and removed, and of what was
asked."""
FROZEN: Mapping[str, type] = {"seeds": str, "claims": dict, "arms": dict}
JUDGING: Mapping[str, type] = {"preset": str, "text": str}
TAKEN: Mapping[str, type] = {"look": int, "registration": str, "seeds": str, "verdicts": dict}
NOTED: Mapping[str, type] = {
    **dict.fromkeys(("what", "experiment", "preset", "seeds"), str),
    **{"about": list, "arms": dict, "heads": dict},
}
ASKED: Mapping[str, type] = {"what": str}
"""What a line has: of what was judged, of a judging, of a look at what was frozen, of the ledger,
of what was asked."""
JOURNAL = re.compile(
    r"(results|registered)/[a-z0-9][a-z0-9-]*/[\w@=,+-][^/\\]*\.jsonl|questions\.jsonl"
)
"""Where a journal is in a store."""
AFTER, LOST = "after", "lost"
"""The fields in which a line names others: those that it follows, and those that are gone."""
UNSEALED = {"time", "commit", "preset", "text", "n", "outcome", "claims_key", *FROZEN}
"""All that a line of an older store has, from before there were hashes."""
SEEDS = re.compile(r"(-?\d+:-?\d+)?(,-?\d+:-?\d+)*")
"""What `spans` writes."""


def spans(seeds: Iterable[int]) -> str:
    """Seeds as ranges, the end left out: "3000:3008,3010:3011"."""
    distinct = set(seeds)
    starts = sorted(s for s in distinct if s - 1 not in distinct)
    ends = sorted(s + 1 for s in distinct if s + 1 not in distinct)
    return ",".join(f"{a}:{b}" for a, b in zip(starts, ends, strict=True))


def seeds_of(text: str) -> set[int]:
    """The seeds that ranges such as "3000:3008,3010:3011" name."""
    parts = [part.split(":") for part in text.split(",") if part]
    return {s for a, b in parts for s in range(int(a), int(b))}


def judged_seeds(line: Line) -> set[int]:
    """The seeds of a line that are not a pilot's."""
    return {s for s in seeds_of(line["seeds"]) if s >= JUDGED}


@lru_cache(maxsize=10_000)
def seedless(spec: str) -> str:
    """A setting: a spec without its seed, both as JSON."""
    return canonical_json({k: v for k, v in json.loads(spec).items() if k != "seed"})


def digest(text: str) -> str:
    """12 hex digits that identify a text."""
    return sha256(text.encode()).hexdigest()[:12]


def key(look: Line) -> str:
    """64 hex digits of what a line says, by which others name it."""
    return sha256(canonical_json(look).encode()).hexdigest()


def line(look: Line) -> bytes:
    """A line of a journal, with the hash of what it says."""
    return (canonical_json({**look, SEAL: digest(canonical_json(look))}) + "\n").encode()


class Journal:
    """A file of lines, read once; the lines are to have what is `needed`."""

    def __init__(self, path: Path, needed: Mapping[str, type] | None = None):
        self.path = path
        needed = _needed(path) if needed is None else needed
        looks = {n: _look(text, needed) for n, text in _lines(path)}
        self.looks: list[dict[str, Any]] = []
        """What each line says that is as it was written, oldest first."""
        self.damaged = [n for n, look in looks.items() if look is None]
        """The numbers, from 1, of lines that are not, such as one that a kill tore."""
        self.after: dict[str, tuple[str, ...]] = {}
        """Each line by its hash, and those that it follows."""
        self.lost: set[str] = set()
        """Lines that are noted as gone."""
        self.named: set[str] = set()
        """The lines that others follow."""
        for look in looks.values():
            if look is not None:
                self._take(look)

    def _take(self, look: dict[str, Any]) -> str:
        if LOST not in look:
            self.looks.append(look)
        self.after[line := key(look)] = tuple(look.get(AFTER, ()))
        self.lost.update(look.get(LOST, ()))
        self.named.update(self.after[line])
        return line

    def add(self, *looks: Line) -> str:
        """Put lines at the end, each after those that none follows yet; gives the last one's hash.
        Raises: OSError when the disk is full."""
        text, last = b"", ""
        for look in looks:
            entry = {**look, AFTER: self.heads}
            text, last = text + line(entry), self._take(entry)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append(self.path, text)
        return last

    def notes_already(self, entry: Line) -> str:
        """Give the hash of a line that says just this, at whatever time; "" where none does."""
        varies = {"time", "commit", AFTER}
        same = (x for x in self.looks if {k: v for k, v in x.items() if k not in varies} == entry)
        return next(map(key, same), "")

    @property
    def heads(self) -> list[str]:
        """The lines that none follows."""
        return sorted(self.after.keys() - self.named)

    def before(self, line: str) -> set[str]:
        """A line and all that it follows, directly or not, also those that are gone."""
        ancestors, waiting = set[str](), [line]
        while waiting:
            if (current_line := waiting.pop()) not in ancestors:
                ancestors.add(current_line)
                waiting += self.after.get(current_line, ())
        return ancestors

    def missing(self, references: Collection[str] = ()) -> set[str]:
        """The lines that are named, in this file or by `references`, and are not in it."""
        return {*self.named, *references} - self.after.keys()

    def skip(self, others: Mapping[str, Collection[str]]) -> None:
        """Take lines of others as given, of which only their hashes are here, and which lines they
        follow: of an excerpt."""
        for name, followed in others.items():
            self.after.setdefault(name, tuple(followed))
            self.named.update(followed)

    def wrong(self, references: Collection[str] = (), *, ever: bool = False) -> str:
        """Say what is not as it was written, in a phrase; "" where all is well. With `ever` also
        lines that are gone and that `mend` has noted as gone."""
        missing, bad = self.missing(references), self.damaged
        # a changed line is missing by its name
        gone = len(missing | self.lost if ever else missing - self.lost) - len(bad)
        listing = ", ".join(map(str, bad[:5])) + f" and {len(bad) - 5} more" * (len(bad) > 5)
        changed = f"line {listing} is" if len(bad) == 1 else f"lines {listing} are"
        problems = [f"{changed} not as written"] * bool(bad) + [_gone(gone)] * (gone > 0)
        return " and ".join(problems)


def read(path: Path, needed: Mapping[str, type] = FROZEN) -> list[dict[str, Any]]:
    """Every line of a journal that is as it was written and has what is needed, oldest first."""
    return Journal(path, needed).looks


def note(path: Path, *looks: Line) -> str:
    """Put lines at the end of a journal, as `Journal.add` does."""
    return Journal(path).add(*looks)


def stamped(**look: Any) -> dict[str, Any]:
    """Give a line the time and the commit at which it is written."""
    return {"time": provenance.timestamp(), "commit": provenance.commit(), **look}


def append(path: Path, lines: bytes) -> None:
    """Put these lines at the end of a file, on lines of their own. Raises: OSError when the disk is
    full, and where something other than a file is there."""
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


def excerpt(
    path: Path, experiment: str, references: Collection[str] = ()
) -> tuple[bytes, dict[str, list[str]]]:
    """Give the lines of a journal of a whole store that are about one experiment, as they were
    written; and of each other line that these or `references` name, by its hash, which of them it
    follows, directly or not."""
    texts, own, named = list[bytes](), set[str](), {*references}
    for _, text in _lines(path):
        look = _look(text, _needed(path))
        if look is None:
            texts.append(b"{}")  # its place alone: it may be about anything
        elif LOST in look or look.get("experiment") == experiment:
            texts.append(text)
            own.add(key(look))
            named.update(look.get(AFTER, ()))
    after = Journal(path).after
    others = after.keys() - own

    def followed(line: str) -> set[str]:
        reached, waiting = set[str](), [line]
        while waiting:
            new = {*after[waiting.pop()]} - reached
            reached |= new
            waiting += new & others
        return reached - others

    between = {line: sorted(followed(line)) for line in sorted(named & others)}
    return b"".join(text + b"\n" for text in texts), between


def mend(store: Store, path: Path, references: Collection[str] = ()) -> None:
    """Leave out the damaged lines of a journal, and note in it which are gone; the file as it was
    is kept in the store's `tmp`."""
    journal = Journal(path)
    with explained(store.root):
        if path.is_file() and not path.is_symlink():
            whole = [text for n, text in _lines(path) if n not in journal.damaged]
            name = f"damaged-{path.parent.name}-{path.name}-{uuid.uuid4().hex[:12]}"
            shutil.copyfile(path, store.prepare().root / "tmp" / name)
            write(path, b"".join(text + b"\n" for text in whole))
        elif journal.damaged:
            store.remove(path)  # no file
        if gone := journal.missing(references) - journal.lost:
            note(path, {"time": provenance.timestamp(), LOST: sorted(gone)})


def _lines(path: Path) -> list[tuple[int, bytes]]:
    """The lines of a file that say something, with their numbers; none where there is no file."""
    try:
        texts = foreign.read_stored(path).split(b"\n")
    except FileNotFoundError:
        return []
    except OSError:
        texts = [b"no file that can be read"]
    return [(n, text) for n, text in enumerate(texts, 1) if text.strip()]


def _needed(path: Path) -> Mapping[str, type]:
    """What a line of this journal has, by where it is; older versions noted signatures as well."""
    if path.parent.parent.name == "registered":
        return TAKEN if path.name.endswith(".looks.jsonl") else {"registration": str}
    needed = {JUDGINGS: JUDGING, LEDGER: NOTED, QUESTIONS: ASKED}
    return needed.get(path.name, FROZEN)


def _look(text: bytes, needed: Mapping[str, type]) -> dict[str, Any] | None:
    """What a line says; None where that cannot be trusted."""
    with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError):
        look = json.loads(text)
        seal = look.pop(SEAL, None)
        needed = {LOST: list} if LOST in look else needed
        names = [line for field in (AFTER, LOST) for line in look.get(field, [])]
        sound = all(isinstance(look.get(k), kind) for k, kind in needed.items())
        whole = seal == digest(canonical_json(look)) if seal else set(look) <= UNSEALED
        if sound and whole and all(isinstance(line, str) for line in names):
            return look if SEEDS.fullmatch(look.get("seeds", "")) else None
    return None


def _gone(number: int) -> str:
    return "1 line is gone" if number == 1 else f"{number} lines are gone"


def stored(store: Store, experiment: str) -> Path:
    """Where a store keeps what was judged at each look."""
    return store.root / "results" / experiment / "frozen.jsonl"


def judgings(store: Store, experiment: str) -> list[dict[str, Any]]:
    """Every noted judging of an experiment's claims in a store, oldest first."""
    return read(store.root / "results" / experiment / JUDGINGS, JUDGING)


def harmed(store: Store, experiment: str = "*") -> Iterator[tuple[Path, str, set[str]]]:
    """The journals that are not as they were written, how, and what the ledger names of each."""
    for path, references in Ledger(store).files(experiment).items():
        if wrong := Journal(path).wrong(references):
            yield path, wrong, references


@dataclass(frozen=True)
class Subject:
    """What somebody sees who sees results: seeds of arms with these settings, of these
    experiments."""

    about: frozenset[str]
    """The experiment's name, and those that it borrows from; empty where unknown."""
    seeds: frozenset[int]
    arms: Mapping[str, Collection[str]]
    """12 hex digits of each setting of an arm without its seed, by the arm's name without the side
    of a study."""

    def shared(self, line: Line) -> set[int]:
        """The judged seeds that a line of the ledger is about as well; none where it is about
        something else."""
        is_about = self.alike(line) or not line["about"] or self.about & set(line["about"])
        return judged_seeds(line) & self.seeds if is_about else set()

    def alike(self, line: Line) -> bool:
        """Whether a line is about an arm with the same settings."""
        others = line["arms"]
        return any(set(hashes) & set(others.get(arm, ())) for arm, hashes in self.arms.items())


def subject(experiment: Experiment, specs: tuple[Spec, ...]) -> Subject:
    """Return what a result of a preset with these specs shows."""
    trained = [name for name, arm in experiment.arms.items() if arm.train]
    every = [(n, s.to_json()) for n in trained for s in experiment.specs_of(n, specs)]
    about = frozenset((experiment.name, *experiment.borrows))
    return Subject(about, frozenset(s.seed for s in specs), settings(every))


def settings(specs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """12 hex digits of each setting of an arm without its seed, of arms' names and specs as
    JSON."""
    hashes: dict[str, list[str]] = {}
    for arm, hashed in sorted({(a.rpartition("/")[2], digest(seedless(s))) for a, s in specs}):
        hashes.setdefault(arm, []).append(hashed)
    return hashes


class Ledger(Journal):
    """What was frozen, judged and removed in a store: of which experiments, seeds, arms by the
    hashes of their settings, and the last lines of that experiment's other journals."""

    def __init__(self, store: Store):
        super().__init__(store.root / LEDGER, NOTED)
        self.store = store

    def files(self, experiment: str = "*") -> dict[Path, set[str]]:
        """The journals of an experiment, or of all, each with those of its lines that the ledger
        names; also one that is gone, but was named."""
        root = self.store.root
        parts = [root / part for part in ("results", "registered")]
        paths = (path for part in parts for path in sorted(part.glob(f"{experiment}/*.jsonl")))
        references = {path: set[str]() for path in (*paths, root / QUESTIONS)}
        for noted in self.looks:
            if experiment in ("*", noted["experiment"]):
                for path, heads in noted["heads"].items():
                    if JOURNAL.fullmatch(path):
                        references.setdefault(root / path, set()).update(map(str, heads))
        return references

    def note(
        self, event: str, experiment: str, preset: str, about: Subject, **more: Any
    ) -> dict[str, Any]:
        """Note that something was frozen, judged or removed, unless a line says just that; gives
        that line's place. Raises: OSError when the disk is full."""
        paths = [p for p in self.files(experiment) if p.is_file()]
        entry = {"what": event, "experiment": experiment, "preset": preset, **more}
        entry |= {"about": sorted(about.about), "seeds": spans(about.seeds)}
        entry["arms"] = dict(about.arms)
        # by their last lines all earlier ones: what is taken out later is missing
        root = self.store.root
        entry["heads"] = {p.relative_to(root).as_posix(): Journal(p).heads for p in paths}
        return self._place(self.notes_already(entry) or self.add(stamped(**entry)))

    def note_removed(
        self, experiment: str, runs: Collection[Stored], about: Collection[str] = ()
    ) -> None:
        """Note that these runs are to be removed, and when the first was made: the user may have
        seen them."""
        seeds = frozenset(int(json.loads(run.spec_json).get("seed", -1)) for run in runs)
        if max(seeds, default=-1) >= JUDGED:
            lines = [line for line in self.looks if line["experiment"] == experiment]
            names = about or [name for line in lines for name in line["about"]]
            arms = settings((run.arm, run.spec_json) for run in runs)
            finished = (str(run.provenance.get("finished") or "") for run in runs)
            since = min(filter(None, finished), default="")
            exposed = Subject(frozenset(names), seeds, arms)
            self.note("removed", experiment, "", exposed, since=since)

    def head(self, experiment: str, preset: str) -> dict[str, Any] | None:
        """The place of the last line about judging an experiment's preset; None without one."""
        asked = ("judged", experiment, preset)
        judged = [x for x in self.looks if (x["what"], x["experiment"], x["preset"]) == asked]
        return self._place(key(judged[-1])) if judged else None

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
        """Say how many lines are gone, of those that a result names and all that they follow, in a
        phrase; "" where none is."""
        heads = self.references(experiment, preset)
        number = len({line for head in heads for line in self.before(head)} - self.after.keys())
        return f"of {self.path} {_gone(number)}, with whatever was seen then" if number else ""

    def _place(self, line: str) -> dict[str, Any]:
        return {"lines": len(self.before(line)), "hash": line}
