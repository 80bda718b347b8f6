"""Scope: for which model, site, text and sizes a verdict speaks, in the words of an experiment and the values of its specs.

An experiment writes one sentence with fields, or properties, of its spec in braces: "before block {layer}".
Each stands for the values of all runs that a verdict reads. A field that was changed and does not show in the sentence is named after it.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from assay.core.errors import ExperimentError, nearest
from assay.core.spec import Spec

SEVERAL = 4
"""Numbers that are listed one by one; more are told by the least and the greatest."""


def sentence(template: str, specs: Sequence[Spec]) -> str:
    """Fill the braces of a template with the values that these specs have, each value once."""
    return string.Formatter().vformat(template, (), _Filled(specs))


def check(template: str, spec: Spec) -> None:
    """Check that what stands in braces is a field or a property of a spec. Raises: ExperimentError."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        if unknown := next((name for name in names if not hasattr(spec, name)), None):
            known = [name for name in dir(spec) if not name.startswith("_")]
            raise ExperimentError(f"scope names {{{unknown}}}, which {type(spec).__name__} has not; {nearest(unknown, known)}")
        sentence(template, (spec,))
    except ValueError as e:
        raise ExperimentError(f"scope {template!r}: {e}; a brace that is meant as such is written twice") from e


def changes(now: Iterable[Spec], before: Iterable[Spec]) -> dict[str, tuple[Any, ...]]:
    """Fields whose values are not those of other specs, each with the values now."""
    new, old = (_columns(specs) for specs in (now, before))
    return {name: tuple(values) for name, values in new.items() if values.keys() != old.get(name, {}).keys()}


def fits(spec: Spec, where: Mapping[str, Any]) -> bool:
    """Whether the fields of a spec have these values; names of what is no field do not count."""
    return all(_same(getattr(spec, name, wanted), wanted) for name, wanted in where.items())


def listed(values: Iterable[Any], form: str = "") -> str:
    """Write values as one phrase, each once: "0.1, 0.2 and 0.3", "4 to 64", phrases apart by semicolons; `form` is a format of Python's."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) > SEVERAL and all(isinstance(v, int | float) for v in distinct):
        return f"{_written(min(distinct), form)} to {_written(max(distinct), form)}"
    told = [_written(v, form) for v in distinct] or [""]
    if any("," in phrase for phrase in told if not phrase.replace(",", "").isdecimal()):
        return "; ".join(told)
    return " and ".join(filter(None, (", ".join(told[:-1]), told[-1])))


class _Filled(Mapping[str, Any]):
    """The values of specs by the name of a field or property."""

    def __init__(self, specs: Sequence[Spec]) -> None:
        self.specs = specs

    def __getitem__(self, name: str) -> _Values:
        return _Values([getattr(s, name) for s in self.specs if hasattr(s, name)])

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


class _Values:
    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values

    def __format__(self, form: str) -> str:
        return listed(self.values, form)


def _same(value: Any, wanted: Any) -> bool:
    return math.isclose(value, wanted, rel_tol=1e-12) if isinstance(wanted, float) and isinstance(value, float) else value == wanted


def _written(value: Any, form: str) -> str:
    if isinstance(value, tuple):
        return listed(value, form)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return format(value, form) if form else str(value)
    return format(value, form or ("," if isinstance(value, int) else "g"))


def _columns(specs: Iterable[Spec]) -> dict[str, dict[Any, None]]:
    found: dict[str, dict[Any, None]] = {}
    for s in specs:
        for name in s.__dataclass_fields__:
            found.setdefault(name, {})[getattr(s, name)] = None
    return found
