"""Sizes: sentences with places for numbers of the training, filled from the specs of the preset
that is run.

A place is `{arm.field}`, the values of a field over that arm's specs, or `{name}`, a number that
the experiment computes from them (`Experiment.sizes`). `{ungrok.pairs[-1]}` is the last of several
values in ascending order, `{main.start#:w}` their number in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from assay.core.errors import ExperimentError, SpecError, nearest
from assay.core.spec import Spec

_PLACE = re.compile(
    r"\{(?P<head>[a-z][\w-]*)(\.(?P<field>\w+))?(\[(?P<index>-?\d+)\]|(?P<count>#))?(:(?P<form>[^{}]*))?\}"
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_FIRST = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_PARTS = {
    **{2: "a half", 3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth"},
    **{7: "a seventh", 8: "an eighth", 9: "a ninth", 10: "a tenth"},
}


class Filled(str):
    """A sentence as one preset has it; its template can be filled for another."""

    template: str


class Sizes:
    """The numbers of a preset's training by the names that places give them."""

    def __init__(
        self,
        specs_of: Callable[[str], tuple[Spec, ...]],
        computed: Mapping[str, Callable[[Sizes], Any]],
    ) -> None:
        self._specs_of, self._computed = specs_of, computed

    def __call__(self, arm: str, field: str) -> tuple[Any, ...]:
        """Give the values of a field over an arm's specs, each once, in ascending order. Raises:
        ExperimentError for neither."""
        specs = self._specs_of(arm)
        if specs and field not in (names := [f.name for f in fields(specs[0])]):
            raise ExperimentError(
                f"{type(specs[0]).__name__} has no field {field}; {nearest(field, names)}"
            )
        return tuple(sorted({getattr(s, field) for s in specs}))

    def fill(self, text: str, *, anew: bool = True) -> str:
        """Fill the places of a sentence; one that was filled before stays as it is unless it is
        filled anew.

        Raises: ExperimentError for an arm or a field that there is not; SpecError where too few
        values are trained."""
        if isinstance(text, Filled) and not anew:
            return text
        template = text.template if isinstance(text, Filled) else text
        if (full := _PLACE.sub(self._place, template)) == template:
            return text
        filled = Filled(full)
        filled.template = template
        return filled

    def _place(self, match: re.Match[str]) -> str:
        head, field, index, form = (
            match["head"],
            match["field"],
            match["index"],
            match["form"] or "",
        )
        if field is None:  # a brace of another meaning stays
            return written(self._computed[head](self), form) if head in self._computed else match[0]
        values = self(head, field)
        if len(values) == 1 and isinstance(values[0], tuple):
            values = values[0]
        if index is not None:
            try:
                return written(values[int(index)], form)
            except IndexError:
                raise SpecError(
                    f"a sentence names {match[0]}, but arm {head} has only {len(values)} of "
                    f"{field}: {values}"
                ) from None
        if match["count"]:
            return written(len(values), form)
        *others, last = [written(v, form) for v in values] or ["none"]
        return f"{', '.join(others)} and {last}" if others else last


def written(value: Any, form: str = "") -> str:
    """Write a number as sentences have it; by form "." as .002, "%" as 5 %, "/" as a third, "w" in
    words, else by Python's.

    >>> [written(x) for x in (1600, 0.5, 0.00003)]
    ['1,600', '0.5', '3e-5']
    >>> [written(0.002, "."), written(0.05, "%"), written(1 / 3, "/"), written(8, "w"), written(9, "w density|densities"), written(1600, "d")]
    ['.002', '5 %', 'a third', 'eight', 'nine densities', '1600']
    """  # noqa: E501
    if form == "/":
        return (
            _PARTS.get(round(1 / value), written(value))
            if abs(value * round(1 / value) - 1) < 1e-6
            else written(round(value, 6))
        )
    if form == "w":
        return in_words(value)
    if form.startswith("w "):
        singular, _, several = form[2:].partition("|")
        return f"{in_words(value)} {singular if value == 1 else several}"
    if form == "e":
        mantissa, power = f"{value:e}".split("e")
        return f"{float(mantissa):g}e{int(power)}"
    if form == "%":
        return f"{100 * value:g} %"
    if form not in ("", "."):
        return format(value, form)
    if isinstance(value, float):
        text = written(value, "e") if value and not 1e-3 <= abs(value) < 1e6 else f"{value:.6g}"
    else:
        text = f"{value:,}" if isinstance(value, int) else str(value)
    return text.removeprefix("0") if form == "." else text


def in_words(number: int) -> str:
    """Write a whole number below a hundred in words, any other in digits.

    >>> [in_words(n) for n in (0, 11, 20, 42, 128, 1600)]
    ['zero', 'eleven', 'twenty', 'forty-two', '128', '1,600']
    """
    if not 0 <= number < 100 or number != int(number):
        return f"{number:,}"
    tens, ones = divmod(int(number), 10)
    return (
        _FIRST[int(number)] if number < 20 else _TENS[tens] + (f"-{_FIRST[ones]}" if ones else "")
    )
