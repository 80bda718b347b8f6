"""Steps: a claim's statistic, a Python function of means, written down as the NumPy operations that
it does.

The function is called once on means that note what is done to them. What was noted is data: a list
of named operations, each of earlier steps, of terms and of numbers. A program that knows forty
operations of NumPy can then do the same without the function. A function that looks at the numbers
to choose its way, or that leaves NumPy, cannot be written down so; then nothing is given."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from assay.core.columns import Column
from assay.core.errors import ClaimError
from assay.core.intervals import Means, Statistic
from assay.report.bundle import judge

TRIED = 13
"""Draws on which the function is called: a number that is hardly the size of anything else, so that
it is known for what it is."""
METHODS = (
    *("mean", "sum", "min", "max", "argsort", "argmin", "argmax", "clip"),
    *("prod", "any", "all", "cumsum", "swapaxes", "std", "var"),
)


Step = dict[str, Any]
_tape: ContextVar[list[Step]] = ContextVar("what was done so far")


class Untold(ClaimError):
    """A statistic does something that steps cannot say."""


def _refused(why: str) -> Callable[..., Any]:
    def refuse(self: Noted, *args: Any) -> Any:
        raise Untold(why)

    return refuse


def _noted_method(name: str) -> Callable[..., Any]:
    def called(self: Noted, *args: Any, **more: Any) -> Any:
        return getattr(np, name)(self, *args, **more)

    return called


class Noted(np.ndarray):
    """An array that notes what is done to it."""

    place: Any
    """What it is in a step: a term, or an earlier step."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **more: Any) -> Any:
        if "out" in more:
            raise Untold("it changes an array in place")
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        return _apply(name, getattr(ufunc, method), inputs, more)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in (np.split, np.array_split):  # gives several arrays, each a step
            return func._implementation(*args, **kwargs)
        return _apply(func.__name__, func, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        return _apply("getitem", judge.OPERATIONS["getitem"], (self, index), {})

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    __bool__ = _refused("it chooses its way by what the numbers are")
    __float__ = _refused("it takes a number out of NumPy")
    __setitem__ = _refused("it changes an array in place")

    @property
    def T(self) -> Any:
        """Reverse the axes, noted."""
        return np.transpose(self)

    def reshape(self, *shape: Any, **more: Any) -> Any:
        """Give another shape, noted."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **more)

    def transpose(self, *axes: Any) -> Any:
        """Put axes in another order, noted."""
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def astype(self, kind: Any, **more: Any) -> Any:  # type: ignore[override]
        """Convert truth values and whole numbers to numbers, noted."""
        if np.dtype(kind) != np.float64:
            raise Untold(f"it converts to {np.dtype(kind)}")
        return _apply("astype", judge.OPERATIONS["astype"], (self,), {})

    def copy(self, *args: Any, **more: Any) -> Any:
        """Give itself: nothing here is changed in place."""
        return self


for _name in METHODS:
    setattr(Noted, _name, _noted_method(_name))


def noted(values: Any, place: Any) -> Noted:
    """Give an array that notes what is done to it, and what it is in a step."""
    array = np.asarray(values).view(Noted)
    array.place = place
    return array


def record(compute: Callable[[], Any]) -> list[Step]:
    """The steps that a computation on noted arrays does, the last of which is its value. Raises:
    Untold."""
    tape: list[Step] = []
    token = _tape.set(tape)
    try:
        with np.errstate(all="ignore"):
            value = _encode(compute())
            return [*tape, {"do": "add", "with": [value, 0.0]}]
    except Untold:
        raise
    except Exception as e:
        raise Untold(f"it cannot be followed ({type(e).__name__}: {e})") from e
    finally:
        _tape.reset(token)


def trace(statistic: Statistic, means: Means) -> list[Step]:
    """Write a statistic down as steps, the last of which is its value; `means` [draw, ...] are some
    on which they are tried.

    What is given gives the same numbers as the function on all of them. Raises: Untold, a
    ClaimError that says why there are no steps."""
    terms = {name: noted(x[:TRIED], {"term": name}) for name, x in means.items()}
    steps = record(lambda: statistic(terms))
    check(steps, statistic, means)
    return steps


def arithmetic(
    walk: Callable[[Callable[[Column], Any]], Any], keys: Mapping[Column, str], least: float
) -> list[Step]:
    """Write arithmetic of columns down as steps of these keys; a difference of numbers that is less
    than the share `least` of them is none."""
    parts = {column: noted(np.ones(2), {"term": key}) for column, key in keys.items()}

    def compute() -> Any:
        x = walk(parts.__getitem__)
        if len(parts) < 2 or walk(lambda column: np.float64(1.0)) != 0:
            return x
        tells = [abs(x) > least * abs(part) for part in parts.values()]
        return np.where(functools.reduce(np.logical_and, tells) | np.isnan(x), x, 0.0)

    return record(compute)


def check(steps: Sequence[Step], statistic: Statistic, means: Means) -> None:
    """Hold steps to the function that they were noted of, on means [draw, ...], all at once, alone,
    and a few. Raises: Untold."""
    for some in (slice(None), slice(0, 1), slice(TRIED, TRIED + 5)):
        part = {k: np.asarray(x[some], dtype=np.float64) for k, x in means.items()}
        with np.errstate(all="ignore"):
            theirs = np.asarray(statistic(part), dtype=np.float64)
            try:
                ours = judge.follow(steps, part)
            except (ValueError, IndexError, TypeError) as e:
                raise Untold("its steps depend on how many draws there are") from e
        near = functools.partial(np.allclose, rtol=1e-12, atol=1e-300, equal_nan=True)
        if ours.shape != theirs.shape or not near(ours, theirs):
            raise Untold("its steps depend on how many draws there are, or on the numbers")


def _apply(name: str, function: Callable[..., Any], args: Sequence[Any], more: Step) -> Any:
    """Do an operation, and note it."""
    if name not in judge.OPERATIONS:
        raise Untold(f"it calls {name}")
    more = {k: v for k, v in more.items() if v is not None}
    plain = function(*map(_bare, args), **{k: _bare(v) for k, v in more.items()})
    if not isinstance(plain, np.ndarray | np.generic):
        raise Untold(f"{name} gives no array")
    step: Step = {"do": name, "with": [_encode(a) for a in args]}
    tape = _tape.get()
    tape.append(step | ({"and": {k: _encode(v) for k, v in more.items()}} if more else {}))
    return noted(plain, {"step": len(tape) - 1})


def _bare(value: Any) -> Any:
    """The value itself, without what is noted."""
    if isinstance(value, Noted):
        return value.view(np.ndarray)
    if isinstance(value, tuple | list):
        return type(value)(map(_bare, value))
    return value


def _encode(value: Any) -> Any:
    """A thing that an operation was given, as data."""
    for kinds, encoded in ENCODED:
        if isinstance(value, kinds):
            return encoded(value)
    raise Untold(f"it uses a {type(value).__name__}")


def _place(value: Noted) -> Any:
    if not hasattr(value, "place"):
        raise Untold("it leaves NumPy on its way")
    return value.place


def _numbers(value: np.ndarray) -> Any:
    """Constant numbers; where they are the same for each draw, of one."""
    kind = value.dtype.kind
    if kind not in "biuf":
        raise Untold(f"it uses numbers of kind {value.dtype}")
    if value.ndim and len(value) == TRIED:
        first = np.broadcast_to(value[:1], value.shape)
        value = value[:1] if np.array_equal(value, first, equal_nan=kind == "f") else value
    return {"numbers": judge.listed(value), "kind": kind, "shape": list(value.shape)}


def _whole(value: Any) -> Any:
    if value is None or isinstance(value, int | np.integer):
        return None if value is None else int(value)
    raise Untold("it slices by something else than whole numbers")


ENCODED: Sequence[tuple[Any, Callable[[Any], Any]]] = (
    (Noted, _place),
    (slice, lambda v: {"slice": [_whole(v.start), _whole(v.stop), _whole(v.step)]}),
    (type(None), lambda v: {"new": "axis"}),
    (type(Ellipsis), lambda v: {"all": "axes"}),
    (bool | str, lambda v: v),
    (int, lambda v: {"draws": 1} if v == TRIED else v),
    (float, lambda v: v if np.isfinite(v) else _numbers(np.asarray(v))),
    (np.ndarray | np.generic, lambda v: _numbers(np.asarray(v))),
    (tuple, lambda v: {"tuple": [_encode(x) for x in v]}),
    (list, lambda v: {"list": [_encode(x) for x in v]}),
)
"""How each kind of thing is written; the first that fits."""
