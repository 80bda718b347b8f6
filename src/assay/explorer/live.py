"""Live: models and dictionaries that pages ask about a text; each is loaded when first asked for,
kept, and asked one call at a time, for hooks hang on its modules.

Texts that a model writes are continued a little at each request, and stop between requests. The
same question gives the same text, so that what was given up is begun again. What takes longer than
a page runs in the background."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as Waited
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

from assay.core.compute import Range
from assay.core.errors import AssayError, DataError
from assay.evaluation import sources
from assay.evaluation.sources import Source
from assay.explorer.commands import command
from assay.explorer.problems import ASKED, AWAY, UNFIT, Problem
from assay.features.index.about import About
from assay.features.index.reader import Index
from assay.features.live.reader import Reader
from assay.lab.store.store import Store
from assay.subjects.pretrained import Pretrained

WAITING, PATIENCE = 8, 30.0
"""Pages that may wait for one model, and seconds that each does."""


class Turn:
    """Lets one thread at a time use a model, or judge. Raises: Problem, when entered, where too
    many wait or the wait is too long."""

    def __init__(self) -> None:
        self._model, self._count, self._waiting = threading.Lock(), threading.Lock(), 0

    def __enter__(self) -> Self:
        with self._count:
            if self._waiting >= WAITING:
                raise Problem(AWAY, f"{WAITING} others wait for this; ask again in a moment")
            self._waiting += 1
        try:
            if not self._model.acquire(timeout=PATIENCE):
                raise Problem(
                    AWAY, f"others were first for {PATIENCE:g} seconds; ask again in a moment"
                )
        finally:
            with self._count:
                self._waiting -= 1
        return self

    def __exit__(self, *_: object) -> None:
        self._model.release()


STRETCH = 0.4
"""Seconds for which one request writes."""
LONGEST = 60.0
"""Seconds that one text may take of the model in all."""
OPEN, STALE = 4, 10.0
"""Texts that are written at the same time, and seconds after which one that no page requests is
given up."""
TEXTS = 32
"""Texts that are kept, whether they ended or were given up."""


class Writing:
    """One text, or what is measured on it, step by step."""

    def __init__(self, begin: Callable[[], Iterator[Any]]):
        self._begin, self._lock = begin, threading.Lock()
        self._more: Iterator[Any] = iter(())
        self.steps: list[Any] = []
        self.seconds, self.asked = 0.0, time.monotonic()
        self.begun = self.ended = False

    def go_on(self, turn: Turn, new: int) -> None:
        """Write for a moment, or until there are so many tokens. Raises: Problem where the model is
        busy, or for a text that cannot be read."""
        with self._lock:
            until = time.monotonic() + STRETCH
            while not self.ended and len(self.steps) < new and time.monotonic() < until:
                with turn:
                    began = time.monotonic()
                    try:
                        if not self.begun:
                            self._more, self.steps = self._begin(), []
                            self.seconds, self.begun = 0.0, True
                        step = next(self._more, None)
                    except DataError as error:
                        raise Problem(ASKED, str(error)) from error
                    self.seconds += time.monotonic() - began
                if step is not None:
                    self.steps.append(step)
                self.ended = step is None or self.late

    @property
    def late(self) -> bool:
        """Whether it had all the time that a text may have."""
        return self.seconds > LONGEST

    def open(self, moment: float) -> bool:
        """Whether someone still asks for more; if not, what the model holds for it is let go."""
        if self.begun and not self.ended and self.asked + STALE >= moment:
            return True
        if not self.ended and not self._lock.locked():
            self.begun, self._more = False, iter(())
        return False


class Writings:
    """The texts of one dictionary, by question."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Writing] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, question: Hashable, begin: Callable[[], Iterator[Any]]) -> Writing:
        """Give the text of a question, there or to be begun. Raises: Problem where too many are
        being written."""
        with self._lock:
            moment = time.monotonic()
            writing = self._kept.get(question)
            open_count = sum(w.open(moment) for w in self._kept.values() if w is not writing)
            if writing is None:
                if open_count >= OPEN:
                    raise Problem(
                        AWAY, f"{OPEN} other texts are being written; ask again in a moment"
                    )
                writing = self._kept[question] = Writing(begin)
            self._kept.move_to_end(question)
            writing.asked = moment
            for key in [key for key, w in self._kept.items() if w is not writing][
                : max(0, len(self._kept) - TEXTS)
            ]:
                del self._kept[key]
            return writing


GIVEN, OFF = 0.02, 1.3
"""Seconds after each step of a measurement in which the model is free for others; by which factor
the time that is left may be off."""
Tick: TypeAlias = Callable[[int, int], None]


@dataclass(eq=False)
class Measurement:
    """What is measured in the background: how much of how much is done, in which time."""

    done: int = 0
    total: int = 0
    seconds: float = 0.0
    future: Future[None] = field(default_factory=Future)

    def run(self, measure: Callable[[Tick], None], closed: threading.Event) -> None:
        """Measure, step by step until all is done or the server ends."""
        began = time.monotonic()

        def tick(done: int, total: int) -> None:
            self.done, self.total, self.seconds = done, total, time.monotonic() - began
            if closed.wait(GIVEN):
                raise Problem(AWAY, "the server ended")

        measure(tick)

    @property
    def left(self) -> Range | None:
        """How long the rest takes, by what is done; None: nothing is done yet."""
        if not self.done:
            return None
        return Range.about(self.seconds / self.done * (self.total - self.done), OFF)


TOKENS = 256
"""Tokens that a text may have, and a prompt with what is written after it."""
SHOWN = 0.3
"""Seconds that a page waits for a model to be loaded before it shows that it is."""
KEPT = 64
"""Answers of one dictionary that are kept, the latest asked."""
_PLACE = attrgetter(
    *("source", "name", "dictionary", "model", "model_sha256"),
    *("site", "site_out", "bos", "skip_first", "outlier"),
)
"""What indexes of more and more of a text share: they have one reader."""
T = TypeVar("T")


@dataclass(eq=False)
class Loaded:
    """A dictionary with its model, and the latest answers."""

    reader: Reader
    turn: Turn
    """Of the model, which other dictionaries may share."""
    writings: Writings = field(default_factory=Writings, repr=False)
    answers: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict, repr=False)

    def ask(self, question: Hashable, answer: Callable[[Reader], T]) -> T:
        """Answer a question in this model's turn, or as it was answered before. Raises: Problem for
        a text that cannot be read."""
        with self.turn:
            if question not in self.answers:
                try:
                    self.answers[question] = answer(self.reader)
                except DataError as error:
                    raise Problem(ASKED, str(error)) from error
                while len(self.answers) > KEPT:
                    self.answers.popitem(last=False)
            self.answers.move_to_end(question)
            value: T = self.answers[question]
            return value


class Live:
    """The models and dictionaries behind a store's indexes."""

    def __init__(self, root: Path):
        self.root = root
        self._lock = threading.Lock()
        self._begun: dict[Hashable, Future[Loaded]] = {}
        self._models: dict[str, tuple[Pretrained, Turn]] = {}
        self._worker = ThreadPoolExecutor(1, "load")
        self._measuring = ThreadPoolExecutor(1, "measure")
        self._measurements: dict[Hashable, Measurement] = {}
        self._closed = threading.Event()

    def close(self) -> None:
        """End what is measured in the background, after the present step."""
        self._closed.set()
        self._measuring.shutdown(wait=False, cancel_futures=True)

    def measure(self, question: Hashable, measure: Callable[[Tick], None]) -> Measurement:
        """Give the measurement of a question, which the first call begins, or else the first one
        after an error. Raises: Problem where too many wait; what `measure` raised."""
        with self._lock:
            measurement = self._measurements.get(question)
            if measurement is None:
                open_count = sum(not m.future.done() for m in self._measurements.values())
                if open_count >= WAITING:
                    raise Problem(AWAY, f"{WAITING} others wait for this; ask again in a moment")
                measurement = self._measurements[question] = Measurement()
                run = measurement.run
                measurement.future = self._measuring.submit(run, measure, self._closed)
        wait([measurement.future], SHOWN)
        if measurement.future.done():
            with self._lock:
                self._measurements.pop(question, None)
            measurement.future.result()
        return measurement

    def begin(self, index: Index) -> Future[Loaded]:
        """Begin to load an index's dictionary with its model, unless a page did before: one that
        waits for a text to be typed does."""
        about = index.about
        with self._lock:
            if (key := _PLACE(about)) not in self._begun:
                self._begun[key] = self._worker.submit(self._load, about)
            return self._begun[key]

    def loaded(self, index: Index) -> Loaded | None:
        """Give an index's dictionary with its model; None while they are being loaded, which the
        first call begins.

        Raises: Problem where one of them is gone, was changed, or does not fit; the next call tries
        again."""
        about = index.about
        if not about.source and not (self.root / "runs" / about.name).is_dir():
            raise Problem(
                AWAY,
                f"the index of {about.name} does not say where its dictionary is; make it again",
                command(about, self.root, "index"),
            )
        try:
            return self.begin(index).result(SHOWN)
        except Waited:
            return None
        except Exception:
            with self._lock:
                self._begun.pop(_PLACE(about), None)
            raise

    def _load(self, about: About) -> Loaded:
        """Runs in the worker's thread alone, one at a time."""
        try:
            from assay.features.live.reader import Reader
            from assay.subjects import folder as models
            from assay.subjects.pretrained import load
            from assay.subjects.site import Site
        except ImportError as error:
            raise Problem(
                AWAY, f"reading a text needs a library that is not installed: {error}"
            ) from error
        if (fingerprint := models.find(about.model).fingerprint) != about.model_sha256:
            raise Problem(
                UNFIT,
                f"{about.model} is another model than the one that was indexed: sha256 "
                f"{fingerprint[:12]}…, then {about.model_sha256[:12]}…",
            )
        dictionary = self._source(about).fitted(models.find(about.model)).dictionary
        if fingerprint not in self._models:
            self._models[fingerprint] = load(about.model), Turn()
        subject, turn = self._models[fingerprint]
        reads, writes = Site.parse(about.site), Site.parse(about.site_out)
        writes_there = None if writes == reads else writes
        rules = about.bos, about.skip_first, about.outlier, TOKENS
        return Loaded(Reader(subject, dictionary, reads, writes_there, *rules), turn)

    def _source(self, about: About) -> Source:
        """The dictionary that was indexed, by the path or name it had; its hash must be the
        same."""
        store, source, why = Store(self.root), None, ""
        for candidate in dict.fromkeys(name for name in (about.source, about.name) if name):
            try:
                source = sources.find([candidate], store)[0]
            except (AssayError, OSError) as error:
                why = why or str(error)
                continue
            if source.sha256 == about.dictionary:
                return source
        if source is None:
            raise Problem(
                AWAY, f"the dictionary {about.name} is not where it was when it was indexed: {why}"
            )
        raise Problem(
            UNFIT,
            f"{about.name} is another dictionary than the one that was indexed: sha256 "
            f"{source.sha256[:12]}…, then {about.dictionary[:12]}…",
            command(about, self.root, "index"),
        )
