"""`assay rate` in the terminal: contexts, a number for an answer, and at the end what
raters said."""

from __future__ import annotations

from rich.console import Console
from rich.style import Style
from rich.text import Text

from assay.cli.look import ORANGE
from assay.cli.printing import draw, grid, say
from assay.core.plain import plain
from assay.evaluation.rating import Rating
from assay.features.rating import Passage
from assay.report.evaluations import plain as visible
from assay.report.tables import number
from assay.verbs.rate import Rated

SCORES = {"1": 1.0, "2": 0.5, "3": 0.0}
PROMPT = "1 one meaning, 2 partly, 3 no meaning (words may follow); b back, q quit: "


def finished(rating: Rating) -> bool:
    """Ask what is left, and say why results are not shown yet; whether they can be."""
    if not ask(rating):
        print(f"{len(rating.left)} of {len(rating.items)} left; the same command goes on")
        return False
    if rating.others_go_on:
        print(
            "all are answered; another rater goes on, so results are not shown yet: --results "
            "shows them"
        )
    return not rating.others_go_on


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
        colour = "#" + "".join(f"{round(255 + shade * (c - 255)):02x}" for c in ORANGE)
        out.append(
            token_text,
            Style(color="#1f2328", bgcolor=colour, underline=True, bold=i == passage.at)
            if shade > 0 or i == passage.at
            else "",
        )
    return out


def show(tally: Rated) -> None:
    """Print the mean scores by arm, the agreement, and the line to type for a verdict."""
    table = grid(
        "arm",
        "mean score",
        "95 % interval",
        "features",
        "answers",
        right=("mean score", "features", "answers"),
    )
    for arm in tally.arms:
        interval = f"[{number(arm['low'], 2)}, {number(arm['high'], 2)}]"
        table.add_row(
            arm["arm"], number(arm["mean"], 2), interval, str(arm["features"]), str(arm["answers"])
        )
    draw(table)
    if tally.agreement is not None:
        a = tally.agreement
        say(
            f"agreement of {len(tally.raters)} raters: Krippendorff's α "
            f"{number(a['alpha'], 2)} [{number(a['low'], 2)}, {number(a['high'], 2)}]"
        )
    else:
        say("one rater: how far others would agree is not known")
    for name, why in tally.left_out.items():
        say(f"not counted, since it is no blinded rating: {name}: {why}")
    print(f"table    {tally.table}")
    print(f"verdict  {tally.judge}")
