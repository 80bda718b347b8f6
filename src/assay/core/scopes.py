"""Scope: for which model, site, text and sizes a verdict speaks: words of an experiment, values of
specs.

An experiment writes one sentence with fields or properties of its spec in braces, such as
"before block {layer}". Each becomes the values of all runs that a verdict reads. A field that
was changed and does not show in the sentence is named after it.
"""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assay.core.errors import ExperimentError, nearest

if TYPE_CHECKING:
    from assay.core.spec import Spec

SEVERAL = 4
"""Numbers that are listed one by one; of more the least and the greatest are named."""


def sentence(template: str, specs: Sequence[Spec]) -> str:
    """Fill the braces of a template with the values that these specs have, each value once."""
    return string.Formatter().vformat(template, (), _Filled(specs))


def check(template: str, spec: Spec) -> None:
    """Check that the names in braces can be filled in from a spec. Raises: ExperimentError."""
    try:
        for _, name, _, _ in string.Formatter().parse(template):
            if name is not None and not hasattr(spec, name):
                attributes = [attribute for attribute in dir(spec) if not attribute.startswith("_")]
                lacks = f"which {type(spec).__name__} does not have; {nearest(name, attributes)}"
                raise ExperimentError(f"scope names {{{name}}}, {lacks}")
        sentence(template, (spec,))
    except ValueError as e:
        raise ExperimentError(f"scope {template!r}: {e}; write a brace that is meant twice") from e


def scopes_of(claims: Sequence[str], estimates: Sequence[str]) -> list[tuple[str, str]]:
    """Part what the scopes of all claims and estimates share from what those of some add.

    Args:
        claims: their scopes, in their order; "" of one that has none.
        estimates: as `claims`.
    Returns: ("", what all share), then (the statements, what they add).
    Example:
        >>> from assay.core.scopes import scopes_of
        >>> scopes_of(["6 seeds; gpt2, 9 prompts", "6 seeds; gpt2, 9 prompts, read at x"], [])
        [('', '6 seeds; gpt2, 9 prompts'), ('claim 2', 'read at x')]
        >>> scopes_of(["6 seeds; gpt2"], ["6 seeds; gpt2", "6 seeds; gpt2, block 3"])
        [('', '6 seeds; gpt2'), ('estimate 2', 'block 3')]
    """
    scopes = [*claims, *estimates]
    parts = [scope.split("; ") for scope in scopes if scope]
    same = [p for p in (parts or [[]])[0] if all(p in of for of in parts)]
    left = {s: [p for p in s.split("; ") if p not in same] for s in scopes if s}
    ends = zip(*((of or [""])[-1].split(", ") for of in left.values()), strict=False)
    begun = [p[0] for p in itertools.takewhile(lambda p: len({*p}) == 1, ends)]
    shared = "; ".join([*same, *filter(None, [", ".join(begun)])])
    by_words: dict[str, list[int]] = {"": []}
    for number, scope in enumerate(scopes, 1):
        *whole, last = left.get(scope) or [""]
        words = "; ".join(filter(None, [*whole, ", ".join(last.split(", ")[len(begun) :])]))
        by_words.setdefault(words, []).append(number)
    del by_words[""]
    return [("", shared)] * bool(shared) + [
        (_named(numbers, len(claims)), words) for words, numbers in by_words.items()
    ]


def _named(numbers: Sequence[int], claims: int) -> str:
    """Name statements by their numbers, of which the first ones are claims."""
    kinds = {
        "claim": [n for n in numbers if n <= claims],
        "estimate": [n - claims for n in numbers if n > claims],
    }
    return " and ".join(claims_in_words(of, noun) for noun, of in kinds.items() if of)


def claims_in_words(numbers: Sequence[int], noun: str = "claim") -> str:
    """Name claims by their numbers: "claim 2", "claims 1, 3"."""
    return f"{noun}{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def changes(current: Iterable[Spec], earlier: Iterable[Spec]) -> dict[str, tuple[Any, ...]]:
    """Find the fields whose values are not those of other specs, each with its values now."""
    new, old = _values_by_field(current), _values_by_field(earlier)
    return {name: tuple(new[name]) for name in new if new[name].keys() != old.get(name, {}).keys()}


def fits(spec: Spec, where: Mapping[str, Any]) -> bool:
    """Tell whether the fields of a spec have these values; names of what is no field do not
    count."""
    return all(_same(getattr(spec, name, level), level) for name, level in where.items())


def listed(values: Iterable[Any], form: str = "") -> str:
    """Write values as one phrase, each once: "0.1, 0.2 and 0.3", "4 to 64"; phrases that contain
    commas are separated by semicolons. `form` is a Python format."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) > SEVERAL and all(isinstance(v, int | float) for v in distinct):
        return f"{_written(min(distinct), form)} to {_written(max(distinct), form)}"
    texts = [_written(v, form) for v in distinct] or [""]
    if any("," in text and not text.replace(",", "").isdecimal() for text in texts):
        return "; ".join(texts)
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


class _Filled(Mapping[str, Any]):
    """Fills in a template's braces: the values of specs by the name of a field or property."""

    def __init__(self, specs: Sequence[Spec]) -> None:
        self.specs = specs

    def __getitem__(self, name: str) -> _Values:
        return _Values([getattr(s, name) for s in self.specs if hasattr(s, name)])

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _Values:
    """Values that are written as one phrase where they are formatted."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values

    def __format__(self, form: str) -> str:
        return listed(self.values, form)


def _written(value: Any, form: str) -> str:
    if isinstance(value, tuple):
        return listed(value, form)
    usual = "" if isinstance(value, bool) else {int: ",", float: "g"}.get(type(value), "")
    return format(value, form or usual)


def _same(value: Any, level: Any) -> bool:
    if isinstance(value, float) and isinstance(level, float):
        return math.isclose(value, level, rel_tol=1e-12)
    return bool(value == level)


def _values_by_field(specs: Iterable[Spec]) -> dict[str, dict[Any, None]]:
    values: dict[str, dict[Any, None]] = {}
    for spec in specs:
        for name in spec.__dataclass_fields__:
            values.setdefault(name, {})[getattr(spec, name)] = None
    return values
