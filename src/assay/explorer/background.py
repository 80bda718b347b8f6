"""Background: the index of a dictionary made by a process of its own, while `assay serve` answers
and pages say how far it is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, TypeAlias

from assay.core.compute import Range
from assay.core.errors import AssayError
from assay.data import corpus as corpora
from assay.evaluation import file_statements, sources
from assay.evaluation.indexing import MORE, IndexSetting, index, steps
from assay.evaluation.setting import Setting
from assay.evaluation.text import INDEX_SHARD, sites
from assay.evaluation.watching import BEGINS
from assay.explorer.library import Library, Making, Progress
from assay.explorer.pace import Pace, planned
from assay.features.index.about import About, address
from assay.features.index.reader import Index
from assay.lab.store.store import Store
from assay.subjects.folder import find

FIRST = 4096
"""Tokens of the first index, at most, and at most a quarter of all; it needs no gradients: half a
minute earlier than with them."""
YIELDS = 5
"""How far the process steps back (`nice`), so that pages are answered at once."""
LAST_WORDS = 5.0
"""Seconds that the terminal is waited for when the server ends."""
AGAIN = "start assay serve again to resume"
LONG = 10
"""Minutes above which a smaller index is suggested."""
SMALLER = (
    f"this takes more than {LONG} minutes; for a smaller index, stop it with Ctrl-C and add "
    f"--tokens {FIRST} --ablate 6 to the command, which later continues from there without them"
)

Show: TypeAlias = Callable[[str, int, int, str, Range | None], None]
"""Shows what is being done, how much of how much is, in which step, and how long the rest of all
takes."""
Stages: TypeAlias = "AbstractContextManager[Show]"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Where in the explorer a dictionary is, and the index that is asked for of it."""

    address: str
    name: str
    there: bool
    """Whether an index of it can be looked at already."""
    make: bool
    """Whether one is to be made: the store does not have what is asked for."""
    dictionary: str
    model: str
    text: str
    steps: tuple[Mapping[str, Any], ...]
    """What is made one after the other, so that there is something to see soon: the start of the
    text without gradients, then all of it with them, then with ablations, and last baselines."""
    root: str
    features: int
    """Those of the dictionary."""
    covering: int = 0
    """Tokens of the index that lacks ablations at most; 0: there is none."""
    elsewhere: str = ""
    """Where an index of another text than was asked for is complete: that text."""

    def lacks(self, made: int) -> str:
        """What is still to be measured when so many of the steps are made; empty while the whole
        text is not read."""
        whole = self.steps[-1]
        if not 0 < made < len(self.steps) or self.steps[made - 1]["tokens"] != whole["tokens"]:
            return ""
        parts = ["ablations"] * (self.steps[made - 1]["ablate"] < whole["ablate"])
        return " and ".join([*parts, *["baselines"] * whole["gradients"]])


def locate_index(
    dictionary: str, model: str, text: str | None, root: Path, **options: Any
) -> Wanted:
    """Find where in the explorer a dictionary is, and whether an index of it is to be made.

    `options` are those of `evaluation.indexing.index`; what is None is as in an index that was
    begun; without a text, that of an index that is there, or the one of the dictionary's training.
    Raises: AssayError for a dictionary, a model or a text that is not there.
    """
    (source,) = sources.find([dictionary], Store(root))
    every = [about for about in _abouts(root) if about.dictionary == source.sha256]
    fingerprint = text and corpora.load(text).fingerprint
    of_text = [about for about in every if fingerprint in (None, about.corpus_sha256)]
    here = [a for a in every if a.address == address(model, source.name, a.corpus)]
    begun = [about for about in here if about in of_text]
    if text is None and begun:
        begun = [a for a in begun if a.corpus_sha256 == max(begun, key=_worth).corpus_sha256]
    started = bool(begun) and all(_is_start(about) for about in begun)
    given = {name: value for name, value in options.items() if value is not None}
    make = not of_text or started or bool(given)
    best = max(begun if make else of_text, key=_worth, default=None)
    others = [about for about in here if about not in begun and not _is_start(about)]
    if text is None:
        text = best.corpus if best else file_statements.training_text(source.dictionary.origin)
    if started and best is not None:  # what the file does not say was said when it was begun
        given = {n: getattr(best, n) for n in ("site", "site_out", "context", "bos")} | given
    if make:  # a missing model, site or text is reported in the terminal
        corpora.load(text)
        stated = Setting(site=given.get("site") or "", site_out=given.get("site_out") or "")
        sites(source.name, source.dictionary, stated, find(model))
    usual = IndexSetting()
    whole = {n: getattr(usual, n) for n in ("tokens", "gradients", "ablate")} | given
    steps = _before(whole, begun)
    covering = [a for a in begun if make and _covers(a, model, text, whole)]
    if covering:
        best = max(covering, key=lambda a: (a.ablated >= whole["ablate"], a.tokens, a.ablated))
        steps, make = [], best.ablated < whole["ablate"] or "ablate_windows" in given
        whole |= {"tokens": best.windows * best.context, "gradients": best.gradients}
    place = address(model, source.name, text)
    if best is not None and not make:  # a newer one of its text may have its plain address
        entries = Library(root).look()[0]
        place = next((e.address for e in entries if e.about == best), best.address)
    return Wanted(
        address=place,
        name=source.name if best is None else best.name,
        there=best is not None and place.startswith(best.address),
        make=make,
        dictionary=dictionary,
        model=model,
        text=text,
        steps=(*steps, whole),
        root=str(root),
        features=source.dictionary.width,
        covering=best.tokens if best is not None and covering else 0,
        elsewhere=max(others, key=_worth).corpus if make and fingerprint and others else "",
    )


def _before(whole: Mapping[str, Any], begun: Sequence[About]) -> list[dict[str, Any]]:
    """The steps before the whole index, without those that what was `begun` makes needless."""
    light = {**whole, "gradients": False, "ablate": 0}
    quick = light | {"tokens": max(1, min(FIRST, whole["tokens"] // 4))}
    read = {**whole, "ablate": 0, "compared": False}
    needed = (
        (quick, (light != whole or whole["tokens"] > FIRST) and not begun),
        (read, whole["gradients"] or whole["ablate"]),
        ({**whole, "compared": False}, whole["gradients"] and whole["ablate"]),
    )
    return [step for step, is_needed in needed if is_needed]


def _worth(about: About) -> tuple[bool, int]:
    """Of several indexes, a complete one is shown, and of these that of most tokens."""
    return not _is_start(about), about.tokens


def _abouts(root: Path) -> list[About]:
    """What the store's indexes describe, the newest first."""
    entries = Library(root).look()[0]
    return [entry.about for entry in sorted(entries, key=lambda entry: -entry.made)]


def _covers(about: About, model: str, text: str, whole: Mapping[str, Any]) -> bool:
    """Whether an index is of this model and text, is read as is asked for, and has at least as many
    tokens."""
    read_as = {"dtype": "float32"} | {n: v for n, v in whole.items() if hasattr(about, n)}
    del read_as["tokens"], read_as["gradients"]
    return (
        not _is_unmeasured(about)
        and about.windows * about.context >= whole["tokens"]
        and about.gradients >= whole["gradients"]
        and all(getattr(about, name) in (value, "") for name, value in read_as.items())
        and about.model_sha256 == find(model).fingerprint
        and about.corpus_sha256 == corpora.load(text).fingerprint
    )


def _is_start(about: About) -> bool:
    """Whether an index is one of those that `_index` makes first: of the start of a text alone, or
    without what is measured last."""
    is_short = about.windows * about.context < INDEX_SHARD + about.context and not about.ablated
    return is_short or _is_unmeasured(about)


def _is_unmeasured(about: About) -> bool:
    """Whether an index lacks the losses with the reconstruction in place, which are measured
    last."""
    return about.gradients and about.rise is None


@contextmanager
def index_in_background(
    making: Making, request: Wanted, stages: Stages, say: Callable[[str], None]
) -> Iterator[None]:
    """Make an index while the body runs, and report to `making` and `stages` how far it is, and to
    `say` how it ended; at the body's end, the process ends."""
    if not request.make:
        yield
        return
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_make, args=(theirs, request), daemon=True)
    process.start()
    theirs.close()

    def follow() -> None:
        with stages as show:
            _listen(ours, process, making, request, show, say)
        if making.progress.finished:
            is_small = request.steps[-1]["tokens"] < MORE
            more = f"; --tokens {MORE} reads more text, for more names that can be relied on"
            say(f"{request.name} is indexed completely{more * is_small}")
        elif process.exitcode != -signal.SIGTERM:  # which is how the server ends it
            say(f"the index of {request.name} was not finished: {making.progress.failed}")

    listener = threading.Thread(target=follow, daemon=True)
    listener.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()
        listener.join(LAST_WORDS)


def _listen(
    pipe: Connection,
    process: SpawnProcess,
    making: Making,
    request: Wanted,
    show: Show,
    say: Callable[[str], None],
) -> None:
    """Hear of the process's progress until it ends, and say what can be viewed already; each index
    that is made has its own steps."""
    pace = Pace(planned(request.steps, request.features))
    steps_of_each = [steps(**reading) for reading in request.steps]
    first = len(steps_of_each) > 1 and not making.there
    making.progress = Progress(first=first)
    advised = request.steps[-1]["tokens"] <= FIRST
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            process.join()
            memory = ", perhaps as memory ran out" if process.exitcode == -signal.SIGKILL else ""
            making.progress = replace(making.progress, failed=f"its process ended{memory}; {AGAIN}")
            return
        match message:
            case ("failed", str(why)):
                making.progress = replace(making.progress, failed=why)
                return
            case "first":
                making.there, first = True, False
                making.made += 1
                making.lacks = request.lacks(making.made)
                making.progress = Progress(first=False, seconds=pace.left)
                if making.made < len(request.steps):
                    say(making.words)
            case "finished":
                making.there = True
                making.progress = Progress(first=False, finished=True, share=1.0)
                return
            case (str(what), int(done), int(total)):
                earlier = sum(map(len, steps_of_each[: making.made]))
                step = earlier + steps_of_each[making.made].index(what) + 1
                pace(step - 1, done, total)
                show(what, done, total, f", step {step} of {len(pace.work)}", pace.left)
                if not advised and pace.left is not None and pace.left.low > 60 * LONG:
                    advised = True
                    say(SMALLER)
                making.progress = Progress(
                    step=step,
                    steps=len(pace.work),
                    words="making the index" if done else BEGINS.get(what, "loading the model"),
                    done=done,
                    total=total,
                    unit=what,
                    share=done / total if total else 0.0,
                    seconds=pace.left,
                    first=first,
                )


def _make(pipe: Connection, request: Wanted) -> None:
    """Make an index of the start of the text where there is none, then of more; runs in a process
    of its own."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the server, which ends this process
    os.nice(YIELDS)

    def tell(*message: Any) -> None:
        try:
            pipe.send(message if len(message) > 1 else message[0])
        except OSError:  # the server is gone
            os._exit(1)

    try:
        _index(request, tell)
        tell("finished")
    except (AssayError, OSError) as error:
        why = " ".join(str(error).split())
        if isinstance(error, OSError):
            why = f"cannot use {error.filename or 'a file'}: {error.strerror}"
        tell("failed", f"{why}; when that is fixed, {AGAIN}")
    except BaseException:
        traceback.print_exc()
        tell(
            "failed", f"this failed, and the terminal in which the server runs says where; {AGAIN}"
        )


def _index(request: Wanted, tell: Callable[..., None]) -> None:
    earlier: Index | None = None
    for reading in request.steps:
        made = index(
            request.dictionary,
            model=request.model,
            text=request.text,
            root=Path(request.root),
            progress=tell,
            **reading,
        )
        if earlier is not None and made.folder != earlier.folder:  # the later one has all of it
            Store(Path(request.root)).remove(earlier.folder)
        earlier = made
        tell("first")
