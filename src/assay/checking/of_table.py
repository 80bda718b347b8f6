"""Of a table: the verdict on a claim about a user's own table, as one file with its rows, which is
judged again when it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from msgspec import structs

from assay.checking import saved
from assay.checking.result import CONTROL, HEADS, Concluded, printed
from assay.core import table
from assay.core.display import by_weight
from assay.core.reasons import NO_TEST
from assay.core.results import Judged

if TYPE_CHECKING:
    import pandas as pd


class Claimed(NamedTuple):
    """A claim in the words that results have of one: a sentence, "" if its author wrote none, and
    the condition."""

    sentence: str
    holds: str


def in_words(judged: Judged, sentence: str) -> Judged:
    """The verdict with the sentence as its text, and what was its text as the condition; as it is
    without a sentence."""
    return structs.replace(judged, text=sentence, condition=judged.text) if sentence else judged


@dataclass(frozen=True, eq=False)
class JudgedTable(Concluded):
    """The verdict on a table, with its rows and what was asked of them."""

    about: ClassVar[Mapping[str, Any]] = {}

    asked: Mapping[str, Any]
    """What `assay.judge` was given with the rows."""
    rows: pd.DataFrame
    judged: Judged
    notes: Sequence[str] = ()
    """What is not in the rows, such as how many claims were tried on them."""
    sentence: str = ""
    """The claim in words."""

    @property
    def heads(self) -> Sequence[str]:
        """Name the columns of the table of controls, and the arm that these replace."""
        place = f", in place of {self.judged.replaced}" if self.judged.replaced else ""
        return HEADS[0] + place, "estimate [95%]", HEADS[3]

    @property
    def question(self) -> Claimed:
        """Give the claim."""
        return Claimed(self.sentence, self.asked["claim"])

    @property
    def remarks(self) -> tuple[str, ...]:
        """List what a reader should know next to the number."""
        every = (*self.judged.warnings, *self.judged.notes, *self.notes, *self.judged_narrower)
        return by_weight(every)

    def cells(self) -> list[tuple[str, str, str]]:
        """Give a row for each control: its name, its number, and whether it satisfies the claim."""
        rows = []
        for name, v in self.controls.items():
            number = self.number(v.estimate, *v.shown) + self.level(name)
            came = NO_TEST if self.judged.no_test(name) else CONTROL[v.outcome]
            rows.append((name, number, came))
        return rows

    def __repr__(self) -> str:
        lines = [f"{self.outcome}: {self.sentence or self.question.holds}"]
        lines += [f"{self.question.holds}: " * bool(self.sentence) + self.own_number]
        return printed(self, lines, [self.heads, *self.cells()])

    def save(self, path: Path) -> Path:
        """Write it as one file, which `load` judges again."""
        content = {saved.TABLE: dict(self.asked), "notes": [*self.notes]}
        content |= {"sentence": self.sentence, "verdict": self.judged.to_json()}
        return saved.write(path, content, self.rows, repr(self))

    @classmethod
    def load(cls, path: Path) -> JudgedTable:
        """Read a saved verdict, and judge its rows again. Raises: DataError for another file, and
        where the verdict on its rows is not the one that it states."""
        content, rows = saved.read(path)
        try:
            asked, notes = content[saved.TABLE], tuple(content["notes"])
            sentence = str(content.get("sentence", ""))  # older versions have none
            judged, stated = table.judge(rows, **asked), content["verdict"]["outcome"]
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            raise saved.wrong(path, e) from e
        saved.refuse_changed(path, stated, judged.outcome)
        return cls(asked, rows, in_words(judged, sentence), notes, sentence)
