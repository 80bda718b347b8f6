"""What `assay index` and `assay serve` print: what is in the index, and how to open it."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Callable
from types import TracebackType
from typing import Self

from assay.cli import printing
from assay.cli.bar import Bar
from assay.cli.printing import say
from assay.evaluation.remaining import PHASES, Remaining
from assay.verbs.background import Wanted
from assay.verbs.index import Indexed
from assay.verbs.serve import Served

CLASSES = ("dense", "ordinary", "rare", "ultra-rare", "dead")


class Bars:
    """A bar for each stage of the work, all with the time that is left in all; a context manager
    that is called with (what, done, total)."""

    def __init__(self, name: str) -> None:
        self.name, self.what = name, ""
        self.bar: Bar | None = None
        self.remaining = Remaining()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.__exit__(kind, error, trace)

    def __call__(self, what: str, completed: int, total: int) -> None:
        """Takes how many of how many of something are done."""
        self.remaining(what, completed, total)
        first = not completed and what == next(iter(PHASES))
        if not (completed or first):  # what will be done later
            return
        if what != self.what or first:
            self.__exit__(None, None, None)
            phase = PHASES[what]
            self.what, self.bar = (
                what,
                Bar(
                    f"{self.name}: {phase.words}", phase.unit, left=lambda: self.remaining.seconds
                ).__enter__(),
            )
        assert self.bar is not None
        if first and self.bar.console.is_terminal:
            self.bar.say(f"{self.name}: loading the model, then {total:,} tokens")
        self.bar(completed, total)


def show(index_summary: Indexed) -> None:
    """Print the sizes, the classes of features and what was taken out; then what to type next."""
    say(
        f"{index_summary.name}: {index_summary.width:,} features at {index_summary.site} of "
        f"{index_summary.model}"
    )
    say(
        f"on {index_summary.tokens:,} tokens of {index_summary.documents:,} documents "
        f"({index_summary.text}, part "
        f"{index_summary.part})"
    )
    quality = "" if index_summary.fvu is None else f"; FVU {index_summary.fvu:.3f}"
    loss = (
        ""
        if index_summary.loss is None
        else f"; the model's loss here {index_summary.loss:.3f} nats"
    )
    say(f"{index_summary.l0:.1f} features on per token{quality}{loss}")
    some = ", ".join(
        f"{index_summary.classes[name]:,} {name}"
        for name in CLASSES
        if index_summary.classes.get(name)
    )
    say(
        f"features by how often they fire: {some}"
        + (f"; {index_summary.antipodal:,} antipodal" if index_summary.antipodal else "")
    )
    if index_summary.ablated:
        agreement = (
            ""
            if index_summary.agreement is None
            else f"; rank correlation with the first-order estimate {index_summary.agreement:.2f}"
        )
        say(
            f"{index_summary.ablated} features taken out: {index_summary.helpful} lower the loss "
            "where they are "
            f"on, {index_summary.harmful} raise it, "
            f"of {index_summary.ablated - index_summary.helpful - index_summary.harmful} the 95 % "
            "interval holds "
            f"0{agreement}"
        )
    if index_summary.seeds:
        say(
            f"{index_summary.recurring:,} features recur in all of {len(index_summary.seeds)} "
            "other "
            "dictionaries (cosine at least .7)"
        )
    for note in index_summary.notes:
        say(note)
    print()
    print(f"folder   {index_summary.folder}")
    print(f"address  {index_summary.address}")


def make_announcer(
    as_json: bool, in_browser: bool, request: Wanted | None = None
) -> Callable[[Served], None]:
    """Tell where the explorer is, once it can be opened; that an index is being made; and open it,
    if asked for."""

    def ready(served: Served) -> None:
        printing.emit(served) if as_json else print(served.address)
        sys.stdout.flush()
        if request is not None and request.make:
            print(
                (
                    f"{request.name} is being indexed; the pages say how far that is, and Ctrl-C "
                    "ends both"
                ),
                file=sys.stderr,
            )
        if in_browser:
            webbrowser.open(served.address)

    return ready
