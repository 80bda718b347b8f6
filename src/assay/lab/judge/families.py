"""Families: claims of one study that ask the same quantity at several levels of a sweep, such as
one layer each. Anyone who scans thirty layers and reports the best finds something by luck, so
their intervals hold for all of them at once, unless each is asked for by itself."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from assay.core.claims import Claim
from assay.core.experiment import Experiment
from assay.core.expression import SIGNS_TYPED
from assay.core.nouns import all_of

_SWEPT = re.compile(r"\[[^\]]*\]|\d+(\.\d+)?(e[+-]?\d+)?")
"""A place in a sweep, as it is written: levels in brackets, and the number in an arm's name."""
_SIDE = re.compile(r'"(?:\w+=[^/"]*/)+([\w-]+)"')
"""An arm of an experiment with swept fields, as a study names it: "width=3/main"."""
_COMPARED = re.compile(r"\s*(<=|>=|<|>)\s*")


def simultaneous(claims: Sequence[Claim]) -> list[Claim]:
    """Give claims with how many of them ask the same quantity along a sweep."""
    asked: dict[str, set[str]] = {}
    for c in claims:
        for family, question in _asked(c):
            asked.setdefault(family, set()).add(question)
    counts = {c.text: max((len(asked[f]) for f, _ in _asked(c)), default=1) for c in claims}
    return [dataclasses.replace(c, together=counts[c.text]) for c in claims]


def each(experiment: Experiment, together: Mapping[str, int] | None = None) -> Experiment:
    """Give an experiment whose claims are judged each by itself, or with as many others as an
    earlier look had, by their text."""
    counts = together or {}
    claims = [
        dataclasses.replace(s, together=counts.get(s.text, 1)) if isinstance(s, Claim) else s
        for s in experiment.claims
    ]
    if counted(experiment) == {t: n for t, n in counts.items() if n > 1}:
        return experiment
    return dataclasses.replace(experiment, claims=tuple(claims))


def counted(experiment: Experiment) -> dict[str, int]:
    """Return how many claims are judged together, by the text of each that is judged with
    others."""
    claims = [s for s in experiment.claims if isinstance(s, Claim)]
    return {c.text: c.together for c in claims if c.together > 1}


def lines(claims: Collection[Claim]) -> Iterator[str]:
    """Say which claims have intervals that hold at once, and which could have."""
    whole = simultaneous([*claims])
    for together in sorted({c.together for c in whole if c.together > 1}):
        family = [c for c in whole if c.together == together]
        numbers = ", ".join(str(n) for n, c in enumerate(whole, 1) if c in family)
        which = f"claims {numbers} ask the same quantity at {together} levels of a sweep"
        singly = {c.text for c in claims if c.together == 1}
        if any(c.text in singly for c in family):
            yield (
                f"{which}, each judged by itself: by chance, one of {together} holds up "
                f"to {together} times as often as one alone"
            )
        else:
            yield (
                f"{which}: their intervals hold for {all_of(together)} at once; "
                "`assay run --each` judges each by itself"
            )


def _asked(claim: Claim) -> list[tuple[str, str]]:
    """The quantity of a claim without its threshold and without its place in a sweep, then with its
    place; none of a claim in code, since it is not known there."""
    text = "".join(SIGNS_TYPED.get(sign, sign) for sign in claim.condition)
    equal = re.search(r"\s+at\s+equal\s+\w+\s*$", text)
    parts = _COMPARED.split(text[: equal.start()] if equal else text)[::2]
    (quantity,) = [p for p in parts if not is_number(p)][:1] or [""]
    if not quantity:
        return []
    where = " ".join(f"{k}={v}" for k, v in sorted(claim.where.items()))
    plain = re.sub(r"\s+", "", quantity) + (equal[0] if equal else "")
    fields = " ".join(sorted(map(str, claim.where)))
    family = _SWEPT.sub("#", _SIDE.sub(r"\1", plain))
    return [(f"{family} {fields}", f"{plain} {where}")]


def is_number(text: str) -> bool:
    """Say whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
