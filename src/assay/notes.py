"""Notes: the closed list of what a result says about itself, each a code with data."""

from __future__ import annotations

from dataclasses import dataclass, field
from string import Formatter
from types import MappingProxyType
from typing import Any

MOST = 60
"""Codes in the whole product, at most."""


@dataclass(frozen=True)
class Kind:
    """A kind of note: what it says, what it means, and whether it doubts.

    Attributes:
        template: the one line, with the names of the note's data in braces.
        meaning: why it matters and what to do, for the page of notes.
        doubt: whether it turns *holds* into *undecided*.
    """

    template: str
    meaning: str
    doubt: bool = False

    @property
    def fields(self) -> frozenset[str]:
        """Names of the data that its template needs."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.template) if name)


NOTES = MappingProxyType(
    {
        "no-test": Kind(
            "{control} cannot test the claim: {why}",
            "Its numbers equal the claim's own, or cannot vary. Give a control that could fail.",
            doubt=True,
        ),
        "edits-the-prompt": Kind(
            "{arm} changes what the model reads as much as an edit of the prompt would",
            "The change reaches the residual stream before any block has read the position.",
        ),
        "copies-answer": Kind(
            "{arm} writes the answer that the condition asks for",
            "A patch from a prompt with that answer. Ask for an answer that no prompt names.",
        ),
        "answer-in-prompt": Kind(
            "the answer is in {n} of {N} prompts",
            "The model may copy it. Compare with prompts that lack it.",
        ),
        "averaged": Kind(
            "{n} rows are averaged to {cells} numbers, one for each arm, unit and level",
            "Several rows have the same arm and unit. What tells them apart is part of the number.",
        ),
        "left-out": Kind(
            "{n} of {of} {unit}s are left out: some number of theirs is missing",
            "The claim is about the others. Measure them, or say why they are missing.",
        ),
        "tried": Kind(
            "{n} claims were tried, so each is judged at the level {level}",
            "One of many claims holds by luck more often than one alone (Šidák 1967).",
        ),
        "no-control": Kind(
            "no control {control}: give {give}",
            "What it would test is still open.",
        ),
        "dropped-control": Kind(
            "the control {control} was left out",
            "What it would test is still open; say why it is none of the claim.",
        ),
        "few-draws": Kind(
            "{n} of {of} others were tried for {control}",
            "Another one may have the effect; draws= tries more.",
        ),
        "idle": Kind(
            "{control} tests nothing here: {why}",
            "Other controls test the claim.",
        ),
        "selection": Kind(
            "{thing} may be the best of many on these prompts; give chosen_on=",
            "The best of many on some prompts is less good on others.",
        ),
        "same-prompts": Kind(
            "{n} prompts are copies of others, and count with these as one",
            "A copy says nothing new.",
        ),
        "noise": Kind(
            "calls differ, which adds a standard error of {by}",
            "Everything was called twice on all prompts; their mean is judged.",
        ),
        "batch": Kind(
            "{name} of a prompt depends on the others in its call, by up to {by}",
            "Is padding masked, is a mean taken over the call, is the order kept?",
        ),
        "batch-decides": Kind(
            "{name} of a prompt depends on others in its call by {by}, over half the effect",
            "Is padding masked, is a mean taken over the call, is the order kept?",
            doubt=True,
        ),
        "unmoved": Kind(
            "{n} of {of} prompts have exactly the same number with {thing} as without",
            "Does the change reach them?",
        ),
        "merged": Kind(
            "{n} groups were joined to others, with which they share a text or a row",
            "No probe is judged on a copy of what it has learned from.",
        ),
        "telling": Kind(
            "{what} alone tells the labels with an AUROC of {auroc}: {control}",
            "What a control reads need be no more than this.",
        ),
        "groups": Kind(
            "units share {column}, {n} in all; with these as units it is [{low:.3g}, {high:.3g}]",
            "Units that share something are one observation. Give it as `unit`, or as `fixed`.",
            doubt=True,
        ),
        "few-groups": Kind(
            "it is about {n} values of {column}; with these as units it is [{low:.3g}, {high:.3g}]",
            "Fewer than six say nothing about others. Measure more, or say it with `fixed`.",
        ),
        "copies": Kind(
            "units are {n} sets of near-copies; with these as units it is [{low:.3g}, {high:.3g}]",
            "Near-copies are one measurement. Give what they share as the unit.",
            doubt=True,
        ),
        "order": Kind(
            "neighbours by {column} are alike (r = {r:.2f}), so {n} units are worth {worth:.0f}: "
            "[{low:.3g}, {high:.3g}]",
            "Units that follow one another say less than others. Take blocks of them as the unit.",
            doubt=True,
        ),
        "missing": Kind(
            "{n} of {of} numbers are missing; with the worst there it is [{low:.3g}, {high:.3g}]",
            "What is missing may be unlike what is there. Measure it, or bound it.",
            doubt=True,
        ),
        "choice": Kind(
            "this is the best of {n} {what}; as such it is [{low:.3g}, {high:.3g}]",
            "The best of several is good by luck as well. Choose it on other units.",
            doubt=True,
        ),
        "imbalance": Kind(
            "{column} goes with what is compared; with it held fixed it is [{low:.3g}, {high:.3g}]",
            "It may be the cause. Balance it, or give it as a `result` if the arm causes it.",
            doubt=True,
        ),
        "invariants": Kind(
            "{column} is {value} in {arm}, and {usual} at this unit in the other arms",
            "No control shares it. Give one that does, or give it as a `result` of the arm.",
            doubt=True,
        ),
        "setting": Kind(
            "{column} is {value} in {arm}, and {usual} in the other arms",
            "A control tests only what it shares with the method. Is this what the claim is about?",
        ),
        "twins": Kind(
            "{one} has the same numbers as {other} at {share:.0%} of the units",
            "Numbers that agree like this are one measurement twice. Look at how they were made.",
            doubt=True,
        ),
        "mixture": Kind(
            "it is clearly false where {column} {sign} {value}: [{low:.3g}, {high:.3g}]",
            "A mean may hide a part of which it is false. Claim each part.",
            doubt=True,
        ),
        "heaps": Kind(
            "{column} is {value} in {share:.0%} of {arm}, hardly elsewhere; without these it is "
            "[{low:.3g}, {high:.3g}]",
            "A value that one arm repeats may mark a failure or a limit. Judge the other units.",
            doubt=True,
        ),
    }
)


@dataclass(frozen=True)
class Note:
    """A note of a result.

    Attributes:
        code: a key of `NOTES`.
        data: exactly the fields of its template.

    Raises:
        ValueError: the code is not in the list, or the data are not its fields.
    """

    code: str
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.code not in NOTES:
            raise ValueError(f"no note has the code {self.code!r}")
        if NOTES[self.code].fields != set(self.data):
            raise ValueError(f"{self.code} needs {sorted(NOTES[self.code].fields)}")

    @property
    def doubt(self) -> bool:
        """Whether it turns *holds* into *undecided*."""
        return NOTES[self.code].doubt

    def __str__(self) -> str:
        return NOTES[self.code].template.format(**self.data)
