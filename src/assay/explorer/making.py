"""Making: an index that is made in the background while pages are read, and what pages say of
it."""

from __future__ import annotations

from dataclasses import dataclass, field

from assay.explorer.problems import AWAY, Problem


@dataclass(frozen=True)
class Progress:
    """How far the making of an index is."""

    words: str = "starting"
    """What is being done."""
    done: int = 0
    total: int = 0
    unit: str = ""
    share: float = 0.0
    """Of all that is done for it, from 0 to 1."""
    seconds: float | None = None
    """That the rest takes, about; None: not known yet."""
    first: bool = True
    """Whether it is an index of the text's start alone, which is there soon."""
    finished: bool = False
    failed: str = ""
    """Why nothing comes of it, and what to do."""


@dataclass(eq=False)
class Making:
    """A dictionary whose index is made in the background; whoever makes it sets `progress`."""

    address: str
    name: str
    there: bool = False
    """Whether an index of the dictionary can be looked at meanwhile."""
    progress: Progress = field(default_factory=Progress)


class Unmade(Problem):
    """The index that a page needs is being made."""

    def __init__(self, making: Making):
        super().__init__(AWAY, f"the index of {making.name} is being made")
        self.making = making
