"""The terminal as a door: where answers are printed, bars are shown, and somebody is asked."""

from __future__ import annotations

import contextlib
import io
import sys
import webbrowser
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.style import Style
from rich.text import Text

from assay.cli.printing import colour, emit, say, show, tell
from assay.core.plain import plain
from assay.report import tables
from assay.verbs.verb import Answer, Call

if TYPE_CHECKING:
    from assay.cli.bars import Bar, Measuring, Stages
    from assay.cli.progress import Display, SeriesDisplay
    from assay.evaluation.rating import Rating
    from assay.features.rating import Passage

SCORES = {"1": 1.0, "2": 0.5, "3": 0.0}
PROMPT = "1 one meaning, 2 partly, 3 no meaning (words may follow); b back, q quit: "


class Terminal:
    """Where a verb was typed; all that waits for nobody goes to standard error."""

    def __init__(self, json: bool) -> None:
        self.json, self.out = json, sys.stdout
        self.attended = not json and sys.stdin.isatty()

    @property
    def width(self) -> int:
        """Characters in a line: those of the terminal, at most 100, which is what a file has."""
        return min(tables.WIDTH, Console().width) if self.out.isatty() else tables.WIDTH

    def bar(self, name: str, unit: str) -> Bar:
        """Begin a bar."""
        from assay.cli.bars import Bar

        return Bar(name, unit)

    def stages(self, name: str) -> Stages:
        """Begin a bar for each stage of an index."""
        from assay.cli.bars import Stages

        return Stages(name)

    def measuring(self) -> Measuring:
        """Begin the bar of an evaluation."""
        from assay.cli.bars import Measuring

        return Measuring()

    def run(self, name: str) -> Display:
        """Begin to show a run."""
        from assay.cli.progress import Display

        return Display(name)

    def series(self, name: str) -> SeriesDisplay:
        """Begin to show a series."""
        from assay.cli.progress import SeriesDisplay

        return SeriesDisplay(name)

    def aside(self, text: str) -> None:
        """Print a line on standard error."""
        tell(text, sys.stderr)

    def asks(self, question: str) -> bool:
        """Ask for yes or no."""
        with contextlib.redirect_stdout(self.out):
            return input(question).strip().lower() in {"y", "yes"}

    def speaking(self) -> contextlib.AbstractContextManager[Any]:
        """Leave standard output to a protocol that is spoken on it."""
        return contextlib.redirect_stdout(self.out)

    def open(self, address: str) -> None:
        """Show a page in the browser."""
        webbrowser.open(address)

    def rate(self, rating: Rating) -> bool:
        """Have whoever is there answer what is left of a rating."""
        with contextlib.redirect_stdout(self.out):
            return ask(rating)

    def answer(self, answer: Answer[Any]) -> None:
        """Print an answer: one JSON value and nothing else, or its words."""
        with contextlib.redirect_stdout(self.out):
            if not self.json:
                show(answer.words)
            elif answer.result is not None:
                emit(answer.result)
            sys.stdout.flush()


class _Aside(io.TextIOBase):
    """Standard error for whoever prints on standard output, and may close it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def close(self) -> None:
        pass


def answer(call: Call) -> int:
    """Do what was typed and print what it answers; the exit code. What an experiment's own code
    prints meanwhile goes to standard error."""
    door = Terminal(call.json)
    with contextlib.redirect_stdout(_Aside()):
        given = call.begin(door)
    door.answer(given)
    return given.code


def ask(rating: Rating) -> bool:
    """Show item after item until all have an answer or the rater quits; whether all have one."""
    console = Console()
    say(
        "Do the marked places have one meaning? Shade and underline: how strongly the feature "
        "is on there; the marked token is in ⟦ ⟧."
    )
    position = (rating.left or [len(rating.items)])[0]
    while position < len(rating.items):
        item = rating.items[position]
        console.print()
        console.rule(f"{position + 1} of {len(rating.items)}", style="bright_black")
        for passage in item.passages:
            console.print(underlined(passage), soft_wrap=True)
        if (answer := rating.answers.answers.get(item.hash)) is not None:
            words = f", {plain(answer.words)}" if answer.words else ""
            print(f"answered before: {answer.score:g}{words}")
        try:
            key, _, words = input(PROMPT).strip().partition(" ")
        except EOFError:
            key, words = "q", ""
        if key in SCORES:
            rating.answers.add(item.hash, SCORES[key], words.strip())
            position = rating.following(position)
        elif key == "b":
            position = max(0, position - 1)
        elif key == "q":
            break
    return not rating.left


def underlined(passage: Passage) -> Text:
    """A passage with its tokens shaded from the background to orange, those where the feature is on
    underlined too."""
    from assay.report.evaluations import plain as visible

    out = Text("· ")
    for i, (token, shade) in enumerate(zip(passage.tokens, passage.shades, strict=True)):
        token_text = f"⟦{visible(token)}⟧" if i == passage.at else visible(token)
        out.append(
            token_text,
            Style(color="#1f2328", bgcolor=colour(shade), underline=True, bold=i == passage.at)
            if shade > 0 or i == passage.at
            else "",
        )
    return out
