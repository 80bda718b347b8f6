"""`assay rate` in the terminal: contexts, and a number for an answer."""

from __future__ import annotations

from rich.console import Console
from rich.style import Style
from rich.text import Text

from assay.cli.printing import colour, say
from assay.core.plain import plain
from assay.evaluation.rating import Rating
from assay.features.rating import Passage
from assay.report.looks import plain as visible

SCORES = {"1": 1.0, "2": 0.5, "3": 0.0}
PROMPT = "1 one meaning, 2 partly, 3 no meaning (words may follow); b back, q quit: "


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
            console.print(shaded(passage), soft_wrap=True)
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


def shaded(passage: Passage) -> Text:
    """A passage with its tokens shaded from the background to orange, those where the feature is on
    underlined too."""
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
