"""Notes on claims: which of them doubt a number, and in which order they are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from assay.core.results import ResultData
from assay.core.scopes import claims_in_words

OF_CLAIMS = re.compile(r"claims? (\d+(?:, \d+)*): ")
"""How a note begins that concerns some of the claims."""
ROUTINE = re.compile(
    r": the loss on unrelated text|: the mean is taken "
    r"| makes the change in blocks? (?!.*next to its own)"
    r"| makes the change \d| is learned "
)
"""What a note has that only says how something was done."""
KINDS = (
    # a number that contradicts the verdict
    r"the claim is (?:not )?true where",
    # something else gives the number, or the verdict means little or nothing
    r"no lead to lose|also true if|(?<!would |heads )satisf(?:y|ies)\b|cannot hold|alone determines"
    r"|is in the prompt;|should break the claim|by definition|are equal in every unit"
    r"|count as \d|(?:no|not a) finding|is enough\b|editing the prompt"
    r"|swapping the words|none of its controls|prompt's activations (?:may )?make|no near control"
    r"|is learned: measure|describes n(?:either|one)"
    r"|is a single logit|alone may give|disturbs them whatever"
    r"|[1-9]\d* of \d+ (?:draws of )?other heads satisf",
    # a control is weaker than it looks
    r"would satisfy the claim: |not counted as beaten|next to its own",
    # what limits the claim: every other note
    "",
    # how it was done, and what was measured
    f"{ROUTINE.pattern}| chosen on |is (?:high|low)est (?:at|for) |, unit by unit",
)
"""What the notes of each kind have, the kind first that a reader should know first."""
DOUBTS = re.compile(
    r"the claim is (?:not )?true where|alone (?:may give|determines)|is in the prompt;"
    r"|disturbs them whatever|describes neither|no(?:ne| lead) to lose|separates? the labels"
    r"|would be unspecific|it may fail because|no control separates|cannot reach, since"
)
"""What a note has that doubts a number, however its claim came out."""
DOUBT = "※"
"""The sign of a claim whose number a note doubts, and of the note."""


def notes_in_order(notes: Iterable[str], claims: int) -> list[str]:
    """Give each note once, with those of so many claims that it concerns: first those for which the
    verdict may mean little, and last those that only describe what was measured."""
    every = range(1, claims + 1)
    concerned: dict[str, set[int]] = {}
    for note in notes:
        match = OF_CLAIMS.match(note)
        numbers = map(int, match[1].split(", ")) if match else every
        concerned.setdefault(note[match.end() if match else 0 :], set()).update(numbers)
    return [
        words if len(of) == len(every) else f"{claims_in_words(sorted(of))}: {words}"
        for words, of in sorted(concerned.items(), key=lambda x: _rank(x[0]))
    ]


def doubts_number(note: str, outcome: str) -> bool:
    """Whether a note doubts a claim that came out in this way: of one that is open or unspecific,
    the reason says what does."""
    means_little = outcome == "holds" and _rank(note) < 2
    return outcome in ("holds", "fails") and (means_little or bool(DOUBTS.search(note)))


def doubts(data: ResultData) -> list[list[str]]:
    """Give for each claim the notes that doubt its number, those on its result first."""
    found: list[list[str]] = []
    for n, v in enumerate(data.verdicts, 1):
        reads = f"{v.arm} {v.condition}"
        found.append([])
        for note in sorted(dict.fromkeys(data.notes), key=_rank):
            of, arm = OF_CLAIMS.match(note), re.match(r"([\w-]+)(?:/\S+)?: ", note)
            is_its = str(n) in of[1].split(", ") if of else not arm or arm[1] in reads
            if is_its and doubts_number(note, v.outcome):
                found[-1].append(note)
        found[-1] += [note for note in v.notes if doubts_number(note, v.outcome)]
    return found


def parted(data: ResultData) -> tuple[list[str], list[str]]:
    """Part the notes on a result into those that doubt a number, and all others, each in order."""
    doubtful = {OF_CLAIMS.sub("", note) for of in doubts(data) for note in of}
    above = [note for note in data.notes if OF_CLAIMS.sub("", note) in doubtful]
    count, others = len(data.verdicts), (note for note in data.notes if note not in above)
    return notes_in_order(above, count), notes_in_order(others, count)


def clause(note: str) -> str:
    """The first clause of a note, up to a comma or a colon where it is long."""
    first = re.split(r"; |\. (?=[A-Z])", note)[0]
    return re.sub(r"^(.{60,150})[,:] .*", r"\1 …", first) if len(first) > 150 else first


def _rank(note: str) -> int:
    """The place of a note's kind among `KINDS`."""
    found = (i for i, has in enumerate(KINDS) if has and re.search(has, note))
    return next(found, KINDS.index(""))
