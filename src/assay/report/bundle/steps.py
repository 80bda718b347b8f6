"""Steps: a claim's statistic, a Python function of means, written down as the NumPy operations that
it does.

The function is called once on means that note what is done to them. What was noted is data: a list
of named operations, each of earlier steps, of terms and of numbers. A program that knows some
operations of NumPy can then do the same without the function. A function that looks at the numbers
to choose its way, or that leaves NumPy, cannot be written down so; then nothing is given. Whether
the steps do the same for any number of draws shows when the bundle's own code judges the claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial, reduce
from typing import Any

import numpy as np

from assay.core.columns import Column
from assay.core.errors import ClaimError
from assay.core.intervals import Means, Statistic
from assay.report.bundle import judge

TRIED = 13
"""Draws on which the function is called: a number that is hardly the size of anything else, so that
it is known for what it is."""
_PLAIN = ("shape", "ndim", "size", "dtype")
"""What an array knows of itself that is no operation."""

Step = dict[str, Any]
_tape: ContextVar[list[Step]] = ContextVar("what was done so far")


class NoSteps(ClaimError):
    """A statistic does something that steps cannot say."""


class Noted(np.lib.mixins.NDArrayOperatorsMixin):
    """Numbers that note what is done to them; no array, so that what NumPy does not hand on to
    them fails."""

    def __init__(self, values: Any, place: Any) -> None:
        self.values = np.asarray(values)
        self.place = place
        """What it is in a step: a term, or an earlier step."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **more: Any) -> Any:
        if "out" in more:
            raise NoSteps("it changes an array in place")
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        return _apply(name, getattr(ufunc, method), inputs, more)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in (np.split, np.array_split):  # gives several arrays, each a step
            return func._implementation(*args, **kwargs)
        return _apply(func.__name__, func, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        """A method of an array is the function of NumPy of that name."""
        if name.startswith("__"):  # which Python itself looks for
            raise AttributeError(name)
        return getattr(self.values, name) if name in _PLAIN else partial(getattr(np, name), self)

    def __getitem__(self, index: Any) -> Any:
        return _apply("getitem", judge.OPERATIONS["getitem"], (self, index), {})

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        raise NoSteps("it chooses its way by what the numbers are")

    def __float__(self) -> float:
        raise NoSteps("it takes a number out of NumPy")

    def __array__(self, *args: Any, **more: Any) -> np.ndarray:
        raise NoSteps("it leaves NumPy on its way")

    @property
    def T(self) -> Any:
        """Reverse the axes, noted."""
        return np.transpose(self)  # type: ignore[call-overload]

    def reshape(self, *shape: Any, **more: Any) -> Any:
        """Give another shape, noted."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **more)  # type: ignore[call-overload]

    def transpose(self, *axes: Any) -> Any:
        """Put axes in another order, noted."""
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)  # type: ignore[call-overload]

    def astype(self, kind: Any, **more: Any) -> Any:
        """Convert truth values and whole numbers to numbers, noted."""
        if np.dtype(kind) != np.float64:
            raise NoSteps(f"it converts to {np.dtype(kind)}")
        return _apply("astype", judge.OPERATIONS["astype"], (self,), {})

    def copy(self, *args: Any, **more: Any) -> Any:
        """Give itself: nothing here is changed in place."""
        return self


def record(compute: Callable[[], Any]) -> list[Step]:
    """The steps that a computation on noted arrays does, the last of which is its value. Raises:
    NoSteps."""
    tape: list[Step] = []
    token = _tape.set(tape)
    try:
        with np.errstate(all="ignore"):
            value = _encode(compute())
            return [*tape, {"do": "add", "with": [value, 0.0]}]
    except NoSteps:
        raise
    except Exception as e:
        raise NoSteps(f"it cannot be followed ({type(e).__name__}: {e})") from e
    finally:
        _tape.reset(token)


def trace(statistic: Statistic, means: Means) -> list[Step]:
    """Write a statistic down as steps, the last of which is its value, by calling it on means
    [draw, ...]. Raises: NoSteps, a ClaimError that says why there are no steps."""
    terms: Any = {name: Noted(x[:TRIED], {"term": name}) for name, x in means.items()}
    return record(lambda: statistic(terms))


def arithmetic(
    walk: Callable[[Callable[[Column], Any]], Any], keys: Mapping[Column, str], least: float
) -> list[Step]:
    """Write arithmetic of columns down as steps of these keys; a difference of numbers that is less
    than the share `least` of them is none."""
    parts = {column: Noted(np.ones(2), {"term": key}) for column, key in keys.items()}

    def compute() -> Any:
        x = walk(parts.__getitem__)
        if len(parts) < 2 or walk(lambda column: np.float64(1.0)) != 0:
            return x
        large = [abs(x) > least * abs(part) for part in parts.values()]
        return np.where(reduce(np.logical_and, large) | np.isnan(x), x, 0.0)

    return record(compute)


def _apply(name: str, function: Callable[..., Any], args: Sequence[Any], more: Step) -> Any:
    """Do an operation, and note it."""
    if name not in judge.OPERATIONS:
        raise NoSteps(f"it calls {name}")
    more = {k: v for k, v in more.items() if v is not None}
    plain = function(*map(_bare, args), **{k: _bare(v) for k, v in more.items()})
    if not isinstance(plain, np.ndarray | np.generic):
        raise NoSteps(f"{name} gives no array")
    step: Step = {"do": name, "with": [_encode(a) for a in args]}
    tape = _tape.get()
    tape.append(step | ({"and": {k: _encode(v) for k, v in more.items()}} if more else {}))
    return Noted(plain, {"step": len(tape) - 1})


def _bare(value: Any) -> Any:
    """The value itself, without what is noted."""
    if isinstance(value, Noted):
        return value.values
    if isinstance(value, tuple | list):
        return type(value)(map(_bare, value))
    return value


def _encode(value: Any) -> Any:
    """A thing that an operation was given, as data."""
    for kinds, encoded in ENCODED:
        if isinstance(value, kinds):
            return encoded(value)
    raise NoSteps(f"it uses a {type(value).__name__}")


def _numbers(value: np.ndarray) -> Any:
    """Constant numbers; where they are the same for each draw, of one."""
    kind = value.dtype.kind
    if kind not in "biuf":
        raise NoSteps(f"it uses numbers of kind {value.dtype}")
    if value.ndim and len(value) == TRIED:
        first = np.broadcast_to(value[:1], value.shape)
        value = value[:1] if np.array_equal(value, first, equal_nan=kind == "f") else value
    finite = kind != "f" or bool(np.isfinite(value).all())
    listed = (value if finite else value.astype(str)).tolist()  # JSON has no NaN
    return {"numbers": listed, "kind": kind, "shape": list(value.shape)}


def _whole(value: Any) -> Any:
    if value is None or isinstance(value, int | np.integer):
        return None if value is None else int(value)
    raise NoSteps("it slices by something else than whole numbers")


ENCODED: Sequence[tuple[Any, Callable[[Any], Any]]] = (
    (Noted, lambda v: v.place),
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
