"""Objections: what a colleague would say of a claim about a model, whatever its numbers: that the
sentence says more than one number of one model can, that the change is one of the input, that no
near control stands against it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from assay.ask.measure import interventions
from assay.ask.measure.measuring import Task
from assay.ask.measure.prompts import SLOT, PromptSet, Row, chat
from assay.ask.parts import Part
from assay.ask.tables import Diff, Intervention
from assay.core.errors import AssayError

PLURAL = re.compile(
    r"\b((large |small |all |most |some |many |big )*(language |transformer |neural |ai )?"
    r"(models|transformers|networks|llms|lms|ais))\b",
    re.IGNORECASE,
)
MENTAL = re.compile(
    r"\b(is aware|are aware|awareness|conscious\w*|understands?|understanding|believes?|beliefs?|"
    r"thinks?|wants?|intends?|intention\w*|feels?|deceives?|deceptive\w*|is honest|are honest|"
    r"lies to|is lying|realis\w+|realiz\w+|imagines?|knows? that)\b",
    re.IGNORECASE,
)


def of_words(text: str, number: str) -> Iterator[str]:
    """What a sentence adds to the number that is to carry it: other models, or a mind."""
    if match := PLURAL.search(text):
        yield (
            f'"{match[0]}" are many, and {number} is a number of one model: the verdict is about '
            "that one"
        )
    if match := MENTAL.search(text):
        yield (
            f'"{match[0]}" is said of a mind, and {number} is a number that is read off a model: '
            "the verdict is about the number, the word is the author's"
        )


def of_input(part: Part) -> Iterator[str]:
    """Of a patch that is a change of the text by other means."""
    task = part.task
    if not isinstance(task, Task) or task.intervention is None:
        return
    tables = [
        interventions.swept(task.intervention, point)
        for point in interventions.points(task.intervention)
    ]
    some = [t for t in tables if t.patch]
    if early := [t for t in some if _unmixed(t)]:
        yield (
            f"{', '.join(_sites(early[0]))} comes before the first block that mixes tokens: what "
            "is put there is another text, so this is a change of the input, and no finding about "
            "the model's inside"
        )
    elif whole := [t for t in some if t.position == "all" and all(map(_is_stream, _sites(t)))]:
        yield (
            f"all of {', '.join(_sites(whole[0]))} is all that the later blocks read: this is a "
            "change of the input, and no finding about the model's inside"
        )
    elif there := [t for t in some if t.patch == "corrupted" and _text_differs(t, task.prompts)]:
        yield (
            f"the pair's texts differ at {there[0].position} itself: what is put there may be "
            "nothing but the other token, a change of the input; patch a token behind it"
        )


def of_none(part: Part, diffs: Sequence[Diff] = ()) -> Iterator[str]:
    """Of a change, a probe, a difference or a model without near controls, since its author wants
    none."""
    table = getattr(part.task, "table", None) or part.task.intervention
    table = next((d for d in diffs if part.label.rpartition("/")[2] == d.name), table)
    controls, name = (part.task.model if table is None else table).controls, part.label
    if controls == ():
        name = name if table is None else table.name
        yield (f"controls = [] under {name}: no near control of its kind is asked of this claim")


def _sites(table: Intervention) -> tuple[str, ...]:
    return (table.site,) if isinstance(table.site, str) else table.site


def _unmixed(table: Intervention) -> bool:
    """Whether all of its sites have nothing yet of any other token."""
    early = ("hook_embed", "hook_pos_embed", "blocks.0.hook_resid_pre")
    return not table.heads and all(site in early for site in _sites(table))


def _is_stream(site: str) -> bool:
    return ".hook_resid_" in site


def _text_differs(table: Intervention, prompts: PromptSet) -> bool:
    """Whether the token of a patch is one that differs between most texts and their pairs."""
    slot = SLOT.fullmatch(str(table.position))
    if not slot or not all(_is_stream(site) for site in _sites(table)):
        return False
    differ = 0
    for row in prompts.rows:
        if slot[1] not in row.spans:
            return False
        try:
            pair = _corrupted(row, prompts)
        except AssayError:  # reported where the pair is read
            return False
        end = row.spans[slot[1]]
        differ += pair[:end] != row.text[:end]
    return 2 * differ > len(prompts.rows)


def _corrupted(row: Row, prompts: PromptSet) -> str:
    """The text of a row's pair."""
    other = prompts.table.corrupted
    if isinstance(other, str):
        return row.fill(other) or row.columns.get("corrupted", "")
    return chat(row, prompts.table, other).text
