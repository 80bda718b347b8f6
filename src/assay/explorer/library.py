"""Library: which indexes a store holds, read from their about.json alone; each is opened when a
page first needs it. One may be made in the background meanwhile."""

from __future__ import annotations

import re
import shlex
import threading
from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from assay.core.compute import Range
from assay.core.errors import DataError
from assay.evaluation import one_ablated
from assay.explorer.commands import ROOT
from assay.explorer.live import Live
from assay.explorer.problems import AWAY, UNFIT, UNKNOWN, Problem
from assay.features.index import names as given_names
from assay.features.index.about import FILE, About
from assay.features.index.reader import Index


@dataclass(frozen=True)
class Progress:
    """How far the making of an index is."""

    words: str = "starting"
    """What is being done."""
    done: int = 0
    total: int = 0
    unit: str = ""
    share: float = 0.0
    """Of what is being done, from 0 to 1."""
    seconds: Range | None = None
    """That the rest of all steps takes; None: not known yet."""
    first: bool = True
    """Whether it is an index of the text's start alone, which is there soon."""
    finished: bool = False
    failed: str = ""
    """Why nothing comes of it, and what to do."""
    step: int = 0
    """The number of the present step among all `steps`; 0: not known yet."""
    steps: int = 0


@dataclass(eq=False)
class Making:
    """A dictionary whose index is made in the background; its maker sets `progress`."""

    address: str
    name: str
    there: bool = False
    """Whether an index of the dictionary can be looked at meanwhile."""
    ablate: int = 0
    """Features that will be ablated."""
    lacks: str = ""
    """What is still missing in the index that is there, if all else in it is final; empty while its
    numbers are provisional."""
    made: int = 0
    """Indexes that were made of it by now, each of more than the one before."""
    progress: Progress = field(default_factory=Progress)

    @property
    def words(self) -> str:
        """Say what can be viewed already, and what is being done."""
        if self.lacks:
            return (
                f"{self.name} can be viewed, and its names and contexts are final; {self.lacks} "
                "are being added."
            )
        if self.there:
            now = f"{self.name} can be viewed: all pages work, on the start of the text."
            if self.progress.first:
                now = f"An index of {self.name} is there; Assay checks whether it is complete."
            return f"{now} Names are provisional until all of the text is read."
        first = ": the start of the text first, so that there is something to see soon"
        return f"{self.name} is being indexed{first * self.progress.first}."


class Unmade(Problem):
    """The index that a page needs is being made."""

    def __init__(self, making: Making):
        super().__init__(AWAY, f"the index of {making.name} is being made")
        self.making = making


_KEY = re.compile(r"[0-9a-f]{16}")
_READING = attrgetter(
    *("address", "dictionary", "model_sha256", "corpus_sha256", "site", "site_out", "part"),
    *("windows", "context", "bos", "skip_first", "outlier", "dtype", "gradients", "seeds"),
)
"""What two indexes share that differ only in how many features were ablated."""


@dataclass(frozen=True)
class Entry:
    """An index of the store. Of several of one text, each but the newest adds ~ and the start of
    its key to its address."""

    address: str
    key: str
    made: float
    """When its about.json was written, in seconds since 1970."""
    about: About


@dataclass(frozen=True)
class Broken:
    """A folder of the store that should be an index and cannot be read."""

    key: str
    why: str


class Library:
    """The indexes of a store, found anew whenever a page asks, so that one made meanwhile is
    there."""

    def __init__(
        self, root: Path, making: Making | None = None, names: tuple[str, Path] | None = None
    ):
        self.root, self.live = root, Live(root)
        self.names = names
        """The address of a dictionary, and a file of names that a user gave its features."""
        self.making = making
        """The index that is being made in the background, if one is."""
        self._abouts: dict[Path, tuple[int, About | str]] = {}
        self._open: dict[str, tuple[tuple[float, frozenset[str]], Index]] = {}
        """Each with when it was made and what was ablated by then: it is opened again after
        either changes."""
        self._lock = threading.Lock()

    def look(self) -> tuple[tuple[Entry, ...], tuple[Broken, ...]]:
        """List the indexes by address, of each reading the one with most features ablated; and the
        folders that cannot be read."""
        indexes, broken = [], []
        for folder in sorted((self.root / "artefacts" / "index").glob("*")):
            if _KEY.fullmatch(folder.name):
                written_at, about = self._about(folder)
                if isinstance(about, About):
                    indexes.append((written_at, folder.name, about))
                else:
                    broken.append(Broken(folder.name, about))
        address_counts: Counter[str] = Counter()
        entries = []
        indexes.sort(key=lambda row: (row[2].ablated, row[0]))
        most = {_READING(row[2]): row for row in indexes}  # the last one is kept
        for written_at, key, about in sorted(most.values(), key=lambda row: (-row[0], row[1])):
            suffix = f"~{key[:6]}" if address_counts[about.address] else ""
            address_counts[about.address] += 1
            entries.append(Entry(about.address + suffix, key, written_at, about))
        return tuple(sorted(entries, key=lambda entry: entry.address)), tuple(broken)

    def entry(self, model: str, dictionary: str) -> Entry:
        """Find an index by its address. Raises: Problem; Unmade for one that is being made."""
        entries, broken = self.look()
        for entry in entries:
            if entry.address == f"{model}/{dictionary}":
                return entry
        if self.making is not None and self.making.address == f"{model}/{dictionary}":
            raise Unmade(self.making)
        root = "" if self.root == ROOT else f" --root {shlex.quote(str(self.root))}"
        name = f"{model}/{dictionary}".partition("~")[0]
        near = [e.address for e in entries if e.address.partition("~")[0] == name]
        if near:
            words = f"this store has no index {model}/{dictionary}; it has {', '.join(near)}"
            raise Problem(UNKNOWN, words)
        more = f"; {len(broken)} in the store cannot be read, see the first page" if broken else ""
        raise Problem(
            UNKNOWN,
            f"no index of a dictionary {model}/{dictionary} is in this store{more}",
            "assay export DICTIONARY --format index --text TEXT --model "
            f"{shlex.quote(model)}{root}",
        )

    def index(self, model: str, dictionary: str) -> Index:
        """Open the index at this address, or give the one that is open. Raises: Problem where it is
        not there, damaged or does not fit."""
        entry = self.entry(model, dictionary)
        try:
            return self._index(entry)
        except Problem:
            if self._folder(entry).exists():
                raise
            return self._index(self.entry(model, dictionary))  # a larger one has taken its place

    def _index(self, entry: Entry) -> Index:
        with self._lock:
            state = entry.made, one_ablated.finished(self.root)
            opened_at, index = self._open.get(entry.key, (None, None))
            if index is None or opened_at != state:
                index = self._opened(entry)
                self._open[entry.key] = state, index
        return index

    def _folder(self, entry: Entry) -> Path:
        return self.root / "artefacts" / "index" / entry.key

    def growing(self, address: str) -> Making | None:
        """Give the index at an address to which more is being added; None of any other."""
        making = self.making
        if making is None or making.address != address:
            return None
        return making if making.there and not making.progress.finished else None

    def provisional(self, address: str) -> bool:
        """Whether what the index at an address says will change, as more of its text is read."""
        growing = self.growing(address)
        return growing is not None and not growing.lacks

    def shelf(self) -> dict[str, list[Entry]]:
        """The indexes by model, each model's by layer."""
        models: dict[str, list[Entry]] = {}
        for entry in sorted(self.look()[0], key=lambda entry: _by_layer(entry.about)):
            models.setdefault(entry.about.model_words or entry.about.model, []).append(entry)
        return models

    def same_site(self, entry: Entry) -> tuple[Entry, ...]:
        """Find the indexes of other dictionaries of the same model and site."""
        about, place = entry.about, attrgetter("model_sha256", "site")
        others = (e for e in self.look()[0] if e.about.dictionary != about.dictionary)
        return tuple(e for e in others if place(e.about) == place(about))

    def same_text(self, entry: Entry) -> tuple[Entry, ...]:
        """Find the other indexes of the same dictionary on a text of the same name."""
        others = (e for e in self.look()[0] if e.address != entry.address)
        return tuple(e for e in others if e.about.address == entry.about.address)

    def _opened(self, entry: Entry) -> Index:
        try:
            given = None
            if self.names is not None and self.names[0] == entry.address:
                given = given_names.read(self.names[1], entry.about.d_sae)
            folder = self._folder(entry)
            index = Index(folder, given, one_ablated.kept(folder))
            features = index.query("SELECT count(*) AS n FROM features")[0]["n"]
        except DataError as error:
            raise Problem(AWAY, str(error)) from error
        if features != entry.about.d_sae:
            raise Problem(
                UNFIT,
                f"the index {entry.key} has {features:,} features and says that its "
                f"dictionary has {entry.about.d_sae:,}; make it again",
            )
        return index

    def _about(self, folder: Path) -> tuple[float, About | str]:
        """When this index was made, and what it indexes; or why that is unknown."""
        try:
            changed = (folder / FILE).stat().st_mtime_ns
        except OSError:
            return 0.0, f"it has no {FILE}"
        cached = self._abouts.get(folder)
        if cached is None or cached[0] != changed:
            try:
                cached = changed, About.read(folder)
            except DataError as error:
                cached = changed, str(error)
            self._abouts[folder] = cached
        return changed / 1e9, cached[1]


def _by_layer(about: About) -> tuple[Any, ...]:
    layers = [int(n) for n in re.findall(r"\d+", about.site)]
    return about.model_words, layers, about.site, about.name
