"""What `assay index` and `assay serve` print: what is in the index, and how to open it."""

from __future__ import annotations

import sys
import webbrowser
from typing import TYPE_CHECKING

from assay.cli import printing
from assay.cli.bar import Bar
from assay.cli.printing import say
from assay.evaluation.remaining import PHASES, Remaining

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

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

    def __call__(self, what: str, done: int, total: int) -> None:
        """Takes how many of how many of something are done."""
        self.remaining(what, done, total)
        first = not done and what == next(iter(PHASES))
        if not (done or first):  # what will be done later
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
        self.bar(done, total)


def show(found: Indexed) -> None:
    """Print the sizes, the classes of features and what was taken out; then what to type next."""
    say(f"{found.name}: {found.width:,} features at {found.site} of {found.model}")
    say(
        f"on {found.tokens:,} tokens of {found.documents:,} documents ({found.text}, part "
        f"{found.part})"
    )
    quality = "" if found.fvu is None else f"; FVU {found.fvu:.3f}"
    loss = "" if found.loss is None else f"; the model's loss here {found.loss:.3f} nats"
    say(f"{found.l0:.1f} features on per token{quality}{loss}")
    some = ", ".join(
        f"{found.classes[name]:,} {name}" for name in CLASSES if found.classes.get(name)
    )
    say(
        f"features by how often they fire: {some}"
        + (f"; {found.antipodal:,} antipodal" if found.antipodal else "")
    )
    if found.ablated:
        agreement = (
            ""
            if found.agreement is None
            else f"; rank correlation with the first-order estimate {found.agreement:.2f}"
        )
        say(
            f"{found.ablated} features taken out: {found.helpful} lower the loss where they are "
            f"on, {found.harmful} raise it, "
            f"of {found.ablated - found.helpful - found.harmful} the 95 % interval holds "
            f"0{agreement}"
        )
    if found.seeds:
        say(
            f"{found.recurring:,} features recur in all of {len(found.seeds)} other "
            "dictionaries (cosine at least .7)"
        )
    for note in found.notes:
        say(note)
    print()
    print(f"folder   {found.folder}")
    print(f"address  {found.address}")


def shown(as_json: bool, in_browser: bool, asked: Wanted | None = None) -> Callable[[Served], None]:
    """Tell where the explorer is, once it can be opened; that an index is being made; and open it,
    if asked for."""

    def ready(served: Served) -> None:
        printing.emit(served) if as_json else print(served.address)
        sys.stdout.flush()
        if asked is not None and asked.make:
            print(
                (
                    f"{asked.name} is being indexed; the pages say how far that is, and Ctrl-C "
                    "ends both"
                ),
                file=sys.stderr,
            )
        if in_browser:
            webbrowser.open(served.address)

    return ready
