"""Spec: what one run is, as a frozen value with a canonical text and a key that never moves."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import operator
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Gt, Le, Lt

from assay.core.errors import HeldError, SpecError, nearest
from assay.core.plain import canonical_json

T = TypeVar("T")
S = TypeVar("S", bound="Spec")

SpecMap = Callable[[tuple[S, ...]], tuple[S, ...]]
"""From the specs of a preset to those of one arm."""

_PER_RUN = "may differ between the runs of one ensemble"
PerRun = Annotated[T, _PER_RUN]
"""Marks a field that may differ between runs trained as one ensemble; every other field is
static."""

_TAG = "_"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One run: every field a plain value (bool, int, float, str, None, tuples of these, nested
    frozen dataclasses).

    Values are made canonical when a spec is built, so equal specs have equal keys: an int in a
    float field becomes a float, NumPy scalars become Python's, lists become tuples, −0.0 becomes
    0.0. A field's bounds are in its annotation, `steps: Annotated[int, Ge(1)]` (those of
    `annotated_types`); a subclass may define `check()` for rules between fields, which raises
    SpecError.

    Raises: SpecError for a wrong type, NaN or infinity, or a value outside a Literal or a bound.
    Example:
        >>> from dataclasses import dataclass
        >>> import assay
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Toy(assay.Spec):
        ...     lr: assay.PerRun[float] = 0.1
        >>> Toy(seed=1000, lr=1).to_json()
        '{"_":"Toy","lr":1.0,"seed":1000}'
    """

    MAPPED: ClassVar[frozenset[str]] = frozenset()
    """Of an artefact: its .npy files that are only read through `core.integrity.Mapped`, which
    compares the blocks that are touched."""

    seed: PerRun[int] = 0
    """Seed of everything random in this run; judged seeds start at 1000."""

    def __post_init__(self) -> None:
        hints = _hints(type(self))
        for f in fields(self):
            object.__setattr__(
                self,
                f.name,
                _canonical(getattr(self, f.name), hints[f.name], f"{type(self).__name__}.{f.name}"),
            )
        self.check()

    def check(self) -> None:
        """Raise SpecError where fields do not go together; the base accepts everything."""

    def replace(self, **changes: object) -> Self:
        """Replace these fields. Raises: SpecError for an unknown field, naming the nearest."""
        if not changes:
            return self
        _known(cls := type(self), changes)
        if cls.__post_init__ is not Spec.__post_init__:
            return dataclasses.replace(self, **changes)  # type: ignore[arg-type]
        clone, plain = object.__new__(cls), _plain_fields(cls)  # type: ignore[arg-type]
        # what stays is canonical: a preset has thousands of specs
        for name, kind in plain.items():
            if name not in changes:
                value = getattr(self, name)
            elif type(value := changes[name]) is not kind:
                value = _canonical(value, _hints(cls)[name], f"{cls.__name__}.{name}")
            object.__setattr__(clone, name, value)
        clone.check()
        return clone

    def to_json(self) -> str:
        """Canonical text: sorted keys, no spaces, shortest floats, the class name as tag."""
        return _text(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The spec whose `to_json` is `text`; nested ones are found by the field's annotation and
        the tag.

        Raises: SpecError when the text is of another class, has a field this class no longer
        knows, or lacks one."""
        return _build(cls, json.loads(text))


def per_run_fields(cls: type[Spec]) -> tuple[str, ...]:
    """Names of the fields that may differ between runs of one ensemble, in order of declaration."""
    return _split(cls)[0]


def static_fields(cls: type[Spec]) -> tuple[str, ...]:
    """Names of the fields that all runs of one ensemble share."""
    return _split(cls)[1]


def ranges(cls: type[Spec]) -> dict[str, str]:
    """Say what each field may be, such as "at least 1", in order of declaration; "" where its
    annotation has no bounds."""
    hints = _hints(cls)
    return {f.name: _range(hints[f.name]) for f in fields(cls)}


def grid(base: S, **axes: Sequence[object]) -> tuple[S, ...]:
    """The product of the axes over `base`, the last axis fastest.

    Args:
        base: gives all other fields.
        **axes: values of each field.
    Example:
        >>> import assay
        >>> assay.grid(assay.Spec(), seed=range(1000, 1003))
        (Spec(seed=1000), Spec(seed=1001), Spec(seed=1002))
    """
    _known(type(base), axes)
    return tuple(
        base.replace(**dict(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
    )


def changed(**changes: object) -> SpecMap[S]:
    """A map from specs to the same specs with these fields replaced; what an Arm's `specs` usually
    is.

    Args:
        **changes: new value of each field.
    Example:
        >>> import assay
        >>> to_seven = assay.changed(seed=7)
        >>> to_seven((assay.Spec(seed=1000),))
        (Spec(seed=7),)
    """
    return lambda specs: tuple(s.replace(**changes) for s in specs)


def variant(
    *,
    seeds: int | None = None,
    where: Mapping[str, object] | None = None,
    times: Mapping[str, float] | None = None,
    over: Mapping[str, Sequence[object]] | None = None,
    **fields: object,
) -> SpecMap[S]:
    """A map from the method's specs to those of another arm.

    Kept are the first `seeds` seeds, and the specs whose fields have the values in `where`, or one
    of several. `times` multiplies fields, whole numbers rounded to at least 1, so that
    `times={"steps": 0.5}` is half as long. Other fields are replaced. With `over` the arm is a grid
    of its own, made from the first spec that is kept: these axes, then the seeds, the last fastest.
    """

    def specs(main: tuple[S, ...]) -> tuple[S, ...]:
        first = set(sorted({s.seed for s in main})[:seeds])
        selected = [
            s
            for s in main
            if s.seed in first
            and all(_among(getattr(s, name), value) for name, value in (where or {}).items())
        ]
        variants = [s.replace(**fields) for s in (selected if over is None else selected[:1])]
        variants = [
            s.replace(
                **{name: _multiplied(getattr(s, name), by) for name, by in (times or {}).items()}
            )
            for s in variants
        ]
        return tuple(variants) if over is None else grid(variants[0], **over, seed=sorted(first))

    return specs


def _among(value: object, allowed: object) -> bool:
    return (
        value in allowed
        if isinstance(allowed, tuple | list | set | frozenset)
        else value == allowed
    )


def _multiplied(value: Any, by: float) -> Any:
    return max(1, round(by * value)) if isinstance(value, int) else by * value


def reserved(*names: str) -> SpecMap[S]:
    """A map from specs to the same specs, for an arm that all others are made from: only arms set
    these fields.

    Raises: HeldError from the map, before anything is trained, where one of them is not at its
    default."""

    def specs(main: tuple[S, ...]) -> tuple[S, ...]:
        for s in main:
            for f in fields(s):
                if f.name in names and (got := getattr(s, f.name)) != f.default:
                    raise HeldError(
                        f"{type(s).__name__}.{f.name} is for arms to set: leave it at "
                        f"{f.default!r}, got {got!r}",
                        f.name,
                    )
        return main

    return specs


def single(*names: str) -> SpecMap[S]:
    """A map from specs to the same specs, for an arm of which others make other values of these
    fields.

    Raises: HeldError from the map, before anything is trained, where one of them has several."""

    def specs(main: tuple[S, ...]) -> tuple[S, ...]:
        for name in names:
            if len(several := sorted({getattr(s, name) for s in main})) > 1:
                raise HeldError(
                    f"a preset has one {type(main[0]).__name__}.{name}, of which arms make others, "
                    f"got {', '.join(map(str, several))}",
                    name,
                    len(several),
                )
        return main

    return specs


def field_value(cls: type[Spec], name: str, value: object) -> Any:
    """Return a value as a field has it, whatever the other fields are. Raises: SpecError."""
    _known(cls, {name: value})
    return _canonical(value, _hints(cls)[name], f"{cls.__name__}.{name}")


def with_values(base: S, texts: Mapping[str, str]) -> S:
    """`base` with fields set from command-line texts, each read as the field's type.

    Raises: SpecError for an unknown field or a text that is not of the field's type.
    """
    _known(type(base), texts)
    hints = _hints(type(base))
    return base.replace(**{name: _read(text, hints[name], name) for name, text in texts.items()})


def key(experiment: str, version: int, arm: str, spec: Spec) -> str:
    """64 hex digits that name one run: SHA-256 of the canonical JSON of experiment, version, arm
    and every spec field.

    A field made by `added` is left out where it has the value at which old and new code agree, so
    that it moves no old key.
    """
    text = f"{_head(experiment, version, arm)},{_text(spec, True)}]"
    return hashlib.sha256(text.encode()).hexdigest()


def added(default: T, *, before: T) -> T:
    """A field that came later: `before` is its value at which the code does what it did without
    it."""
    return dataclasses.field(default=default, metadata={"before": before})


@dataclass(frozen=True)
class Removed:
    """A field that is gone: its old name and the value that today's code corresponds to."""

    name: str
    was: object


def removed(name: str, *, was: object) -> Any:
    """Declares, as a ClassVar, a field that no longer exists; keys keep it at `was`."""
    return Removed(name, was)


@functools.cache
def _gone(cls: type) -> tuple[Removed, ...]:
    return tuple(v for c in cls.__mro__ for v in vars(c).values() if isinstance(v, Removed))


@functools.cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(cls))


@functools.cache
def _head(experiment: str, version: int, arm: str) -> str:
    """How the text begins that a run's key is the hash of."""
    return canonical_json([experiment, version, arm])[:-1]


_SIMPLE: Mapping[type, Callable[[Any], str]] = {
    int: int.__repr__,
    float: float.__repr__,
    bool: {True: "true", False: "false"}.__getitem__,
    str: functools.lru_cache(canonical_json),
}


def _text(value: Any, for_key: bool = False) -> str:
    """The canonical JSON of a spec, or of a value in one: that of its plain values in a dict, but
    with what a class writes of itself remembered."""
    if (write := _SIMPLE.get(type(value))) is not None:
        return write(value)
    if isinstance(value, tuple):
        return f"[{','.join([_text(v, for_key) for v in value])}]"
    if not dataclasses.is_dataclass(value):
        return canonical_json(value)
    parts = []
    cls: Any = type(value)
    for name, begin, before in _parts(cls, for_key):
        if not name:
            parts.append(begin)
        elif (v := getattr(value, name)) != before or not for_key:
            parts.append(begin + _text(v, for_key))
    return f"{{{','.join(parts)}}}"


@functools.cache
def _parts(cls: type, for_key: bool) -> tuple[tuple[str, str, object], ...]:
    """Of each field, in the order of the text, its name, what is written before its value, and at
    which value it is left out of a key; of what is the same in all, the whole part without a
    name."""
    parts = {_TAG: ("", f"{canonical_json(_TAG)}:{canonical_json(cls.__name__)}", _NOTHING)}
    for f in fields(cls):
        before = f.metadata.get("before", _NOTHING)
        parts[f.name] = (f.name, f"{canonical_json(f.name)}:", before)
    for g in _gone(cls) if for_key else ():
        parts[g.name] = ("", f"{canonical_json(g.name)}:{_text(g.was)}", _NOTHING)
    return tuple(parts[written] for written in sorted(parts))


_NOTHING = object()


def _build(cls: type, data: Mapping[str, Any]) -> Any:
    if data.get(_TAG) != cls.__name__:
        raise SpecError(f"expected a stored {cls.__name__}, got one of {data.get(_TAG)!r}")
    hints = _hints(cls)
    gone = {g.name: g.was for g in _gone(cls)}
    values = {}
    for name, v in data.items():
        if name == _TAG or (name in gone and gone[name] == v):
            continue
        if name in gone:
            raise SpecError(
                f"{cls.__name__}.{name} was removed at {gone[name]!r}; this stored spec has "
                f"{v!r} and cannot be run any more"
            )
        if name not in _names(cls):
            raise SpecError(f"{cls.__name__} has no field {name}; {nearest(name, _names(cls))}")
        values[name] = _nested(v, hints[name])
    for f in fields(cls):
        if f.name not in values and "before" in f.metadata:
            values[f.name] = f.metadata["before"]
        if f.name not in values and f.default is f.default_factory is MISSING:
            raise SpecError(f"a stored {cls.__name__} of an older version lacks {f.name}")
    return cls(**values)


def _nested(value: Any, hint: Any) -> Any:
    if isinstance(value, dict):
        for option in _options(hint):
            if (
                isinstance(option, type)
                and dataclasses.is_dataclass(option)
                and option.__name__ == value.get(_TAG)
            ):
                return _build(option, value)
        raise SpecError(f"no class of {hint} is called {value.get(_TAG)!r}")
    if isinstance(value, list):
        inner = next(
            (
                typing.get_args(o)[0]
                for o in _options(hint)
                if typing.get_origin(o) is tuple and typing.get_args(o)
            ),
            Any,
        )
        return tuple(_nested(v, inner) for v in value)
    return value


_hint_cache: dict[type, dict[str, Any]] = {}


def _hints(cls: type) -> dict[str, Any]:
    if cls not in _hint_cache:
        _hint_cache[cls] = typing.get_type_hints(cls, include_extras=True)
    return _hint_cache[cls]


@functools.cache
def _plain_fields(cls: type) -> dict[str, type | None]:
    """The names of fields, in order, each with int, str or bool where any of these is canonical as
    it is."""
    plain: dict[object, type] = {((kind, ()),): kind for kind in (int, str, bool)}
    return {name: plain.get(_alternatives(_hints(cls)[name])) for name in _names(cls)}


_split_cache: dict[type, tuple[tuple[str, ...], tuple[str, ...]]] = {}


def _split(cls: type) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the fields that may differ between runs, and of those that may not."""
    if cls not in _split_cache:
        per_run = {name for name, hint in _hints(cls).items() if _is_per_run(hint)}
        names = [f.name for f in fields(cls)]
        _split_cache[cls] = (
            tuple(n for n in names if n in per_run),
            tuple(n for n in names if n not in per_run),
        )
    return _split_cache[cls]


def _is_per_run(hint: Any) -> bool:
    return typing.get_origin(hint) is Annotated and _PER_RUN in typing.get_args(hint)[1:]


def _options(hint: Any) -> tuple[Any, ...]:
    """The alternatives of an annotation: unions taken apart, Annotated removed."""
    return tuple(option for option, _ in _alternatives(hint))


@functools.cache  # of each field, as often as there are specs
def _alternatives(hint: Any) -> tuple[tuple[Any, tuple[object, ...]], ...]:
    """The alternatives of an annotation, each with what it is marked by, but for PerRun; None is
    within any bounds."""
    if isinstance(hint, type):
        return ((hint, ()),)
    if typing.get_origin(hint) is Annotated:
        inner, *marks = typing.get_args(hint)
        outer_marks = tuple(mark for mark in marks if mark != _PER_RUN)
        return tuple(
            (option, () if option is type(None) else (*more, *outer_marks))
            for option, more in _alternatives(inner)
        )
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(
            alternative for part in typing.get_args(hint) for alternative in _alternatives(part)
        )
    return ((hint, ()),)


def _range(hint: Any) -> str:
    descriptions = []
    for option, marks in _alternatives(hint):
        inner = (
            _range(typing.get_args(option)[0])
            if typing.get_origin(option) is tuple and typing.get_args(option)
            else ""
        )
        descriptions.append(in_words(marks) or (inner and f"each {inner}"))
    return " or ".join(filter(None, descriptions))


_TYPES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    type(None): "None",
    tuple: "a list",
}


def _describe_hint(hint: Any) -> str:
    names = []
    for o in _options(hint):
        if dataclasses.is_dataclass(o):
            names.append(f"a table of {', '.join(f.name for f in fields(o))}")
        elif typing.get_origin(o) is Literal:
            names.append("one of " + ", ".join(map(repr, typing.get_args(o))))
        else:
            names.append(_TYPES.get(typing.get_origin(o) or o, getattr(o, "__name__", str(o))))
    return " or ".join(names)


def _canonical(value: Any, hint: Any, where: str) -> Any:
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # NumPy scalars
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError(f"{where} must be finite, got {value}")
    if isinstance(value, int) and abs(value) >= 2**63:  # arrays hold no larger ones
        raise SpecError(f"{where} must be less than 2^63, got {value}")
    for option, marks in _alternatives(hint):
        if (fitted := _fitted(value, option, where)) is not _MISFIT:
            return within(fitted, marks, where) if marks else fitted
    raise SpecError(f"{where} must be {_describe_hint(hint)}, got {value!r}")


_MISFIT = object()


def _fitted(value: Any, option: Any, where: str) -> Any:
    """The value as one alternative of an annotation has it, or _MISFIT."""
    origin = typing.get_origin(option)
    if option is Any:
        return value
    if origin is Literal:
        same = value in typing.get_args(option) and type(value) in {
            type(a) for a in typing.get_args(option)
        }
        return value if same else _MISFIT
    if option is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) + 0.0 if number else _MISFIT  # + 0.0 turns −0.0 into 0.0
    if origin is tuple or option is tuple:
        if not isinstance(value, tuple):
            return _MISFIT
        inner = typing.get_args(option)
        kinds = (
            [inner[0]] * len(value)
            if len(inner) == 2 and inner[1] is Ellipsis
            else list(inner) or [Any] * len(value)
        )
        if len(kinds) != len(value):
            return _MISFIT
        return tuple(
            _canonical(v, k, f"each of {where}") for v, k in zip(value, kinds, strict=True)
        )
    if isinstance(value, Mapping) and dataclasses.is_dataclass(option):
        return _filled(value, option, where)
    fits = (
        isinstance(option, type)
        and isinstance(value, option)
        and not (isinstance(value, bool) and option is not bool)
    )
    return value if fits else _MISFIT


def _filled(values: Mapping[str, Any], cls: Any, where: str) -> Any:
    """The nested dataclass that a table of its fields stands for."""
    _known(cls, values)
    hints = _hints(cls)
    for f in fields(cls):
        if f.name not in values and f.default is dataclasses.MISSING:
            raise SpecError(f"{where} lacks {f.name}, as in {{ {f.name} = … }}")
    return cls(**{k: _canonical(v, hints[k], f"{where}.{k}") for k, v in values.items()})


def _read(text: str, hint: Any, where: str) -> Any:
    for option in _options(hint):
        try:
            if option is bool and text.lower() in ("true", "false", "1", "0", "yes", "no"):
                return text.lower() in ("true", "1", "yes")
            if option is int:
                return int(text)
            if option is float:
                return float(text)
            if option is type(None) and text.lower() == "none":
                return None
            if typing.get_origin(option) is tuple:
                return tuple(
                    _read(t, typing.get_args(option)[0], where)
                    for t in text.strip("()").split(",")
                    if t
                )
            if typing.get_origin(option) is Literal:
                return next(a for a in typing.get_args(option) if str(a) == text)
        except (ValueError, StopIteration):
            continue
        if option is str:
            return text
    raise SpecError(f"{where} must be {_describe_hint(hint)}, got {text!r}")


def _known(cls: type, names: Mapping[str, object]) -> None:
    field_names = _names(cls)  # type: ignore[arg-type]
    for name in names:
        if name not in field_names:
            raise SpecError(f"{cls.__name__} has no field {name}; {nearest(name, field_names)}")


_KINDS: dict[type, tuple[str, str, Callable[[Any, Any], bool]]] = {
    Ge: ("at least", "ge", operator.ge),
    Gt: ("above", "gt", operator.gt),
    Le: ("at most", "le", operator.le),
    Lt: ("below", "lt", operator.lt),
}


def within(value: Any, marks: Sequence[object], where: str) -> Any:
    """Give back a value that lies within the bounds among the marks; a text among them says why,
    such as "as errors are taken over chains".

    Raises: SpecError for a value outside them.
    """
    if marks and any(not holds(value, limit) for _, limit, holds in _bounds(marks)):
        why = "".join(f", {mark}" for mark in marks if isinstance(mark, str))
        raise SpecError(f"{where} must be {in_words(marks)}{why}, got {_short(value)}")
    return value


def in_words(marks: Sequence[object]) -> str:
    """Say the range that bounds leave: "at least 1", "positive", "from 0 to 1", "above 0 and at
    most 1"; "" where there is none."""
    limits = {word: _short(limit) for word, limit, _ in _bounds(marks)}
    if limits == {"above": "0"}:
        return "positive"
    if set(limits) == {"at least", "at most"}:
        return f"from {limits['at least']} to {limits['at most']}"
    return " and ".join(f"{word} {limit}" for word, limit in limits.items())


def _bounds(marks: Sequence[object]) -> Iterator[tuple[str, Any, Callable[[Any, Any], bool]]]:
    for mark in marks:
        if type(mark) in _KINDS:
            word, name, holds = _KINDS[type(mark)]
            yield word, getattr(mark, name), holds
        elif isinstance(mark, GroupedMetadata):  # Interval(ge=0, le=1) is Ge(0) and Le(1)
            yield from _bounds(tuple(mark))
        elif isinstance(mark, BaseMetadata):
            raise SpecError(
                "a spec's fields are bounded by Ge, Gt, Le, Lt and Interval, and by check(), "
                f"not by {mark!r}"
            )


def _short(value: object) -> str:
    return str(value).removesuffix(".0")
